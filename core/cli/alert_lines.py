"""Alerts for a terminal: a table where it is wide, blocks where it is narrow, plain lines where it is none. Pure."""

import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from core.text import clean

if TYPE_CHECKING:
    from core.events import AlertChanged
    from core.stores.alerts import Logged

NARROW = 80
COLOURS = {"INFO": "36", "WARNING": "33", "ERROR": "31", "CRITICAL": "1;31"}
COLUMNS = ("level", "state", "since", "alert", "notes", "message", "engine", "next")
LONGEST = 500


def rows(alerts: "Sequence[AlertChanged]") -> list[dict[str, Any]]:
    """For a table without a terminal: a line an alert."""
    return [{**_shown(alert), "notes": ", ".join(notes(alert)) or None} for alert in alerts]


def block(alert: "AlertChanged", width: int, *, colour: bool) -> Iterator[str]:
    """One alert within `width` columns: a row whose text is wrapped in its column, or lines below each other."""
    shown = _shown(alert)
    head = f"{shown['level']:8}  {shown['state']:10}"
    left = f"{head}  {shown['since']}  " if width >= NARROW else "  "
    texts = [shown["alert"], *([f"({', '.join(notes(alert))})"] if notes(alert) else []), shown["message"]]
    texts += [f"{name}: {shown[name]}" for name in ("engine", "next") if shown[name]]
    lines = [line for text in texts for line in _wrapped(text, width - len(left))]
    if width < NARROW:
        yield from (
            _painted(line, alert.level, colour) for line in _wrapped(f"{head.rstrip()}  {shown['since']}", width)
        )
        yield from (left + line for line in lines)
        return
    yield _painted(left, alert.level, colour) + lines[0]
    yield from (" " * len(left) + line for line in lines[1:])


def notes(alert: "AlertChanged") -> list[str]:
    """What keeps it from being told, and how it behaves."""
    from core.windows import iso  # noqa: PLC0415

    found = []
    if alert.acked_by and alert.acked_until is not None:
        found.append(f"acked by {clean(alert.acked_by, 40)} until {iso(alert.acked_until)}")
    if alert.silenced_until is not None:
        found.append(f"silenced until {iso(alert.silenced_until)}")
    if alert.inhibited_by:
        found.append(f"explained by {clean(alert.inhibited_by)}")
    if alert.is_flapping:
        found.append("flapping")
    if alert.resolved is not None and not alert.is_open:
        found.append(f"over at {iso(alert.resolved)}")
    return found


def as_object(alert: "AlertChanged") -> dict[str, Any]:
    """For programs: times in ISO, texts without what a terminal would obey."""
    from msgspec import structs  # noqa: PLC0415

    from core.windows import iso  # noqa: PLC0415

    found = structs.asdict(alert)
    for name in ("seq", "time"):
        found.pop(name, None)
    for name, value in found.items():
        if name in {"since", "fired", "resolved", "acked_until", "silenced_until"}:
            found[name] = None if value is None else iso(value)
        elif isinstance(value, str):
            found[name] = clean(value, LONGEST)
    return found


def change_object(change: "Logged") -> dict[str, Any]:
    """A change as `--follow --output jsonl` has it; `id` is what --after takes."""
    from core.windows import iso  # noqa: PLC0415

    names = ("alert", "incident", "sequence", "rule", "source", "level", "state", "value", "message")
    found = as_object(change.alert)
    return {
        "event": "change",
        "id": change.id,
        "time": iso(change.alert.time),
        **{name: found[name] for name in names},
    }


def change_line(alert: "AlertChanged", at: float, *, colour: bool) -> str:
    """One line: when, how bad, what it has become, which alert, and its message."""
    from core.windows import iso  # noqa: PLC0415

    level = _painted(f"{alert.level:8}", alert.level, colour)
    return f"{iso(at)}  {level}  {alert.state:10}  {clean(alert.alert)}: {clean(alert.message, LONGEST)}"


def _shown(alert: "AlertChanged") -> dict[str, Any]:
    from core.windows import iso  # noqa: PLC0415

    return {
        "level": alert.level,
        "state": alert.state,
        "since": iso(alert.since),
        "alert": clean(alert.alert),
        "notes": None,
        "message": clean(alert.message, LONGEST),
        "engine": clean(alert.doing, LONGEST) if alert.is_open and alert.doing else None,
        "next": clean(alert.command, LONGEST) if alert.is_open and alert.command else None,
    }


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, max(width, 10), break_on_hyphens=False) or [""]


def _painted(text: str, level: str, colour: bool) -> str:
    return f"\x1b[{COLOURS[level]}m{text}\x1b[0m" if colour and level in COLOURS else text
