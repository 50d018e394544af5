"""Numbers, times and bars as short text, measured in terminal cells, in Unicode or plain ASCII.

Nothing here fails on odd input: a number that is missing, infinite or negative where it cannot be
shows as `-`. `fit` is the only way into a cell: it cleans what others wrote, then cuts and pads.
"""

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from rich.cells import cell_len, get_character_cell_size

from core.text import clean

_NOTHING = "-"
_SCALES = ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


@dataclass(frozen=True, slots=True)
class Glyphs:
    """The drawing characters of one alphabet. Each is one cell wide.

    `frame` has the corners clockwise from the top left, then the horizontal and the vertical line.
    """

    full: str
    empty: str
    spark: str
    frame: str
    more: str
    down: str
    up: str
    bar: str
    enter: str
    branch: str
    states: dict[str, str]


UNICODE = Glyphs(
    full="█",
    empty="·",
    spark="▁▂▃▄▅▆▇█",
    frame="╭╮╯╰─│",
    more="…",
    down="▼",
    up="▲",
    bar="│",
    enter="⏎",
    branch="└",
    states={
        "queued": "○",
        "planning": "◌",
        "running": "●",
        "held": "‖",
        "waiting": "▲",
        "cancelling": "■",
        "complete": "✓",
        "complete_with_gaps": "✓",
        "waiting_quota": "▲",
        "failed": "✖",
        "cancelled": "■",
        "done": "✓",
        "gaps": "✓",
        "CRITICAL": "✖",
        "ERROR": "✖",
        "WARNING": "▲",
        "INFO": "●",
        "firing": "●",
        "recovering": "↑",
        "pending": "○",
        "no data": "?",
        "error": "✖",
        "acked": "◆",
        "silenced": "‖",
        "explained": "└",
        "resolved": "✓",
    },
)
ASCII = Glyphs(
    full="#",
    empty=".",
    spark="_.:-=+*#",
    frame="++++-|",
    more="~",
    down="v",
    up="^",
    bar="|",
    enter="enter",
    branch="`",
    states={
        "queued": "o",
        "planning": "o",
        "running": "*",
        "held": '"',
        "waiting": "!",
        "cancelling": "#",
        "complete": "v",
        "complete_with_gaps": "v",
        "waiting_quota": "!",
        "failed": "X",
        "cancelled": "#",
        "done": "v",
        "gaps": "v",
        "CRITICAL": "X",
        "ERROR": "X",
        "WARNING": "!",
        "INFO": "*",
        "firing": "*",
        "recovering": "^",
        "pending": "o",
        "no data": "?",
        "error": "X",
        "acked": "@",
        "silenced": '"',
        "explained": "`",
        "resolved": "v",
    },
)


@dataclass(slots=True)
class _Zone:
    is_local: bool = False


_zone = _Zone()


def count(number: float | None) -> str:
    """`950`, `1.2k`, `13M`: at most five cells."""
    if number is None or not math.isfinite(number):
        return _NOTHING
    if number < 0:
        return f"-{count(-number)}"
    for scale, letter in _SCALES:
        if number >= scale * 0.9995:
            value = number / scale
            return f"{value:.1f}{letter}" if value < 9.95 else f"{value:.0f}{letter}"
    return f"{number:.0f}"


def grouped(number: float | None) -> str:
    """`1,204,331`."""
    if number is None or not math.isfinite(number):
        return _NOTHING
    return f"{number:,.0f}"


def size(octets: float | None) -> str:
    """Bytes in powers of 1024: `812`, `1.2K`, `34M`."""
    if octets is None or not math.isfinite(octets) or octets < 0:
        return _NOTHING
    for power, letter in ((4, "T"), (3, "G"), (2, "M"), (1, "K")):
        value = octets / 1024**power
        if value >= 0.9995:
            return f"{value:.1f}{letter}" if value < 9.95 else f"{value:.0f}{letter}"
    return f"{octets:.0f}"


def percent(part: float, whole: float) -> str:
    """`62%`; 100 % only when everything is there, `-` while the whole is unknown."""
    if not (math.isfinite(part) and math.isfinite(whole)) or whole <= 0:
        return _NOTHING
    return f"{min(100, math.floor(100 * max(part, 0.0) / whole))}%"


def age(seconds: float | None) -> str:
    """A duration in at most five cells: `0.2s`, `42s`, `5m`, `2h03`, `3d`."""
    if seconds is None or not math.isfinite(seconds):
        return _NOTHING
    seconds = max(0.0, seconds)
    if seconds < 9.95:
        return f"{seconds:.1f}s"
    if seconds < 99.5:
        return f"{seconds:.0f}s"
    if seconds < 5970:
        return f"{seconds / 60:.0f}m"
    hours, minutes = divmod(int(seconds) // 60, 60)
    return f"{hours}h{minutes:02d}" if hours < 48 else f"{hours // 24}d"


def took(seconds: float | None) -> str:
    """How long a call took in at most seven cells: `2.24us`, `400us`, `21.5ms`, `1.5s`, `17m`; `-` while unknown."""
    if seconds is None or not math.isfinite(seconds):
        return _NOTHING
    for unit, name in ((1e-6, "us"), (1e-3, "ms"), (1.0, "s")):
        if seconds < 999.5 * unit:
            return f"{round(max(0.0, seconds) / unit, 3):.3g}{name}"
    return age(seconds)


def eta(seconds: float | None) -> str:
    """`0:04:12`, `2d 03h`; `-` while unknown."""
    if seconds is None or not math.isfinite(seconds) or seconds < 0:
        return _NOTHING
    hours, rest = divmod(int(seconds), 3600)
    if hours < 48:
        return f"{hours}:{rest // 60:02d}:{rest % 60:02d}"
    return f"{min(hours // 24, 9999)}d {hours % 24:02d}h"


def show_local_time(is_local: bool) -> None:
    """From now on times are shown in this machine's zone, or in UTC as at first: one choice for all views."""
    _zone.is_local = is_local


def clock(time: float) -> str:
    """Time of day of epoch seconds with its zone: `14:02:11Z`, `16:02:11+02`."""
    return _format(time, "%H:%M:%S") + ("Z" if not _zone.is_local else _format(time, "%z")[:3])


def moment(time: float | None) -> str:
    """Date and time of epoch seconds, in the zone that `clock` names: `2026-11-23 14:02`."""
    return _NOTHING if time is None else _format(time, "%Y-%m-%d %H:%M")


def _format(time: float, pattern: str) -> str:
    try:
        at = datetime.fromtimestamp(time, UTC)
        return (at.astimezone() if _zone.is_local else at).strftime(pattern)
    except (ValueError, OverflowError, OSError):
        return _NOTHING


def bar(done: float, total: float, width: int, glyphs: Glyphs) -> str:
    """A progress bar of `width` cells, full only when everything is done."""
    if width <= 0:
        return ""
    share = done / total if total > 0 and math.isfinite(done) else 0.0
    full = int(width * min(1.0, max(0.0, share)))
    return glyphs.full * full + glyphs.empty * (width - full)


def spark(values: tuple[float, ...], width: int, glyphs: Glyphs, top: float | None = None) -> str:
    """The newest `width` values as columns, right-aligned; `top` is the value of a full column."""
    shown = [value if math.isfinite(value) else 0.0 for value in values[-width:]] if width > 0 else []
    highest = top if top is not None else max(shown, default=0.0)
    steps = len(glyphs.spark) - 1
    if highest <= 0:
        drawn = glyphs.spark[0] * len(shown)
    else:
        drawn = "".join(glyphs.spark[round(steps * min(1.0, max(0.0, value / highest)))] for value in shown)
    return drawn.rjust(max(width, 0))


@lru_cache(maxsize=8192)
def fit(text: str, width: int, align: str = "<", more: str = "…") -> str:
    """`text` cleaned and exactly `width` cells wide: cut with `more`, padded to `align` (`<` or `>`).

    `align` `|` cuts out the middle, which keeps both ends of a name.
    """
    if width <= 0:
        return ""
    text = clean(text, max(200, width))
    if not more.isascii() or text.isascii():
        text = cut(text, width, more, middle=align == "|")
    else:
        text = cut(text.encode("ascii", "replace").decode(), width, more, middle=align == "|")
    padding = " " * (width - cell_len(text))
    return padding + text if align == ">" else text + padding


def cut(text: str, width: int, more: str, *, middle: bool = False) -> str:
    """`text`, which is clean already, in at most `width` cells."""
    if cell_len(text) <= width:
        return text
    if middle and width >= 8:
        tail = _take(text[::-1], width // 2 - 1)[::-1]
        return _take(text, width - cell_len(tail) - 1) + more + tail
    return _take(text, width - 1) + more


def _take(text: str, width: int) -> str:
    """The longest beginning of `text` that is at most `width` cells wide."""
    used = 0
    for at, character in enumerate(text):
        used += get_character_cell_size(character)
        if used > width:
            return text[:at]
    return text


def wrap(text: str, width: int, limit: int = 4000) -> list[str]:
    """`text` cleaned and folded into lines of at most `width` cells."""
    rest = clean(text, limit)
    lines: list[str] = []
    while rest and width > 1:
        line = _take(rest, width)
        space = line.rfind(" ")
        if len(line) < len(rest) and space > width // 2:
            line = line[:space]
        lines.append(line)
        rest = rest[len(line) :].lstrip()
    return lines
