"""Query parameters: the vendor's names, ranges and defaults, refused with a 400 that names them."""

from collections.abc import Collection, Mapping, Sequence

from core.sandbox.wire import Refusal

_TRUE = {"true": True, "1": True, "false": False, "0": False}


def bad(name: str, value: object, reason: str) -> Refusal:
    return Refusal(400, f"Invalid value: {name} parameter. {reason}", param=name, values=[value])


def text(query: Mapping[str, str], name: str, shortest: int, longest: int) -> str:
    """A required string of shortest..longest characters."""
    value = query.get(name, "")
    if not value:
        raise Refusal(400, f"Missing parameter: {name} is required.", param=name, values=[])
    if not shortest <= len(value) <= longest:
        raise bad(name, value, f"Its length must be between {shortest} and {longest}.")
    return value


def integer(query: Mapping[str, str], name: str, default: int, low: int, high: int) -> int:
    value = query.get(name, "")
    if not value:
        return default
    try:
        number = int(value)
    except ValueError:
        raise bad(name, value, "It must be an integer.") from None
    if not low <= number <= high:
        raise bad(name, number, f"It must be between {low} and {high}.")
    return number


def boolean(query: Mapping[str, str], name: str, default: bool) -> bool:
    value = query.get(name, "")
    if not value:
        return default
    if value.lower() not in _TRUE:
        raise bad(name, value, "It must be true or false.")
    return _TRUE[value.lower()]


def choice(query: Mapping[str, str], name: str, default: str, allowed: Collection[str]) -> str:
    value = query.get(name, "") or default
    if value not in allowed:
        raise bad(name, value, f"It must be one of {', '.join(allowed)}.")
    return value


def several(
    query: Mapping[str, str], name: str, default: Sequence[str], allowed: Collection[str] | None = None
) -> list[str]:
    """A comma separated list, in the order asked, each once."""
    value = query.get(name, "")
    items = list(dict.fromkeys(item.strip() for item in value.split(",") if item.strip()))
    for item in items:
        if allowed is not None and item not in allowed:
            raise bad(name, item, f"It must be among {', '.join(allowed)}.")
    return items or list(default)
