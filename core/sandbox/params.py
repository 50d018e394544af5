"""Query parameters: the vendor's names, ranges and defaults, refused with a 400 that names them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from core.sandbox.wire import Refusal
from core.windows import DAY, HOUR, MINUTE, Grain

PAGE_CAP = {DAY: 5_000, HOUR: 2_000, MINUTE: 2_000}
_LATEST = 4_102_444_800
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


@dataclass(frozen=True, slots=True)
class PageRequest:
    """The parameters of a history call; `to_ts` in UTC seconds, None for now."""

    market: str
    instrument: str
    groups: tuple[str, ...]
    limit: int
    to_ts: int | None
    aggregate: int
    fill: bool
    csv: bool

    @classmethod
    def parse(cls, known_groups: tuple[str, ...], grain: Grain, query: Mapping[str, str]) -> "PageRequest":
        """Raises Refusal 400 for anything missing or out of range."""
        to_ts = integer(query, "to_ts", -1, -_LATEST, _LATEST)
        boolean(query, "apply_mapping", default=True)
        return cls(
            market=text(query, "market", 2, 30).lower(),
            instrument=text(query, "instrument", 1, 500),
            groups=tuple(several(query, "groups", known_groups, known_groups)),
            limit=integer(query, "limit", 30, 1, PAGE_CAP[grain]),
            to_ts=to_ts if query.get("to_ts") else None,
            aggregate=integer(query, "aggregate", 1, 1, 30),
            fill=boolean(query, "fill", default=True),
            csv=choice(query, "response_format", "JSON", ("JSON", "CSV")) == "CSV",
        )
