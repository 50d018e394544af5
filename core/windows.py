"""Half-open time spans on a grid: the algebra that planning and coverage rest on.

Every time is an integer of UTC epoch seconds. Every span is `[start, end)`. A list of windows is
*normal* when it is ascending, and its windows neither overlap nor touch; `merge` makes it so.
Costs follow the number of windows, never the number of bars in them.
"""

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import NamedTuple

from core.errors import ConfigError


class Window(NamedTuple):
    """The span `[start, end)` in UTC epoch seconds."""

    start: int
    end: int

    @property
    def seconds(self) -> int:
        return self.end - self.start


class Grain(NamedTuple):
    """A bar length the vendor serves: `1d`, `1h` or `1m`."""

    name: str
    seconds: int
    unit: str
    path: str

    def floor(self, ts: int) -> int:
        """Start of the bar that contains `ts`."""
        return ts - ts % self.seconds

    def ceil(self, ts: int) -> int:
        """First bar start at or after `ts`."""
        return -(-ts // self.seconds) * self.seconds

    def bars(self, window: Window) -> int:
        """How many bars start inside `window`, whose ends lie on the grid."""
        return window.seconds // self.seconds


DAY = Grain("1d", 86_400, "DAY", "days")
HOUR = Grain("1h", 3_600, "HOUR", "hours")
MINUTE = Grain("1m", 60, "MINUTE", "minutes")
GRAINS = {grain.name: grain for grain in (DAY, HOUR, MINUTE)}

_SPAN_UNITS = {"m": 60, "h": 3_600, "d": 86_400, "w": 7 * 86_400}
_SPAN = re.compile(r"([1-9][0-9]{0,5})([mhdw])", re.ASCII)


def merge(windows: Iterable[Window]) -> list[Window]:
    """The same points in time as a normal list; empty windows vanish."""
    merged: list[Window] = []
    for window in sorted(windows):
        if window.end <= window.start:
            continue
        if merged and window.start <= merged[-1].end:
            merged[-1] = Window(merged[-1].start, max(merged[-1].end, window.end))
        else:
            merged.append(window)
    return merged


def subtract(wanted: Iterable[Window], taken: Iterable[Window]) -> list[Window]:
    """What of `wanted` is not in `taken`, as a normal list."""
    left: list[Window] = []
    holes = merge(taken)
    at = 0
    for window in merge(wanted):
        start = window.start
        while at < len(holes) and holes[at].end <= start:
            at += 1
        ahead = at
        while ahead < len(holes) and holes[ahead].start < window.end:
            if holes[ahead].start > start:
                left.append(Window(start, holes[ahead].start))
            start = max(start, holes[ahead].end)
            ahead += 1
        if start < window.end:
            left.append(Window(start, window.end))
    return left


def intersect(first: Iterable[Window], second: Iterable[Window]) -> list[Window]:
    """The points in time that lie in both, as a normal list."""
    first = merge(first)
    return subtract(first, subtract(first, second))


def clip(window: Window, bounds: Window) -> Window:
    """`window` cut to `bounds`; empty (start == end) when they do not meet."""
    start = max(window.start, bounds.start)
    return Window(start, max(start, min(window.end, bounds.end)))


def pages(window: Window, span: int, *, newest_first: bool = True) -> Iterator[Window]:
    """Cut `window` into pieces of at most `span` seconds, lazily.

    The newest piece always ends at `window.end`, so the page that holds the running bar is full and
    the remainder is the oldest one, whichever order is asked for.
    """
    count = -(-window.seconds // span)
    order = range(count) if newest_first else range(count - 1, -1, -1)
    for back in order:
        end = window.end - back * span
        yield Window(max(window.start, end - span), end)


def bundle(windows: Iterable[Window], span: int) -> list[Window]:
    """As few pieces of at most `span` seconds as hold all of `windows`, newest first.

    What lies between windows comes along where it fits, and nowhere else.
    """
    found: list[Window] = []
    for window in reversed(merge(windows)):
        # The newest piece reaches back to here at no cost; what is older needs pieces of its own.
        floor = found[-1].end - span if found else window.end
        if window.end > floor:
            found[-1] = Window(max(window.start, floor), found[-1].end)
        rest = Window(window.start, min(window.end, floor))
        found += pages(rest, span) if rest.seconds > 0 else []
    return found


def parse_time(text: str) -> int:
    """UTC epoch seconds of an ISO 8601 date or time; without a zone it means UTC.

    Raises ConfigError naming the text and the form that is expected.
    """
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        message = f"{text!r} is not a date or time; write 2024-01-31, 2024-01-31T12:00 or 2024-01-31T12:00:00Z"
        raise ConfigError(message) from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def parse_span(text: str) -> int:
    """Seconds of a length of time such as `90d`, `12h`, `30m` or `2w`. Raises ConfigError for another form."""
    found = _SPAN.fullmatch(text.strip())
    if found is None:
        raise ConfigError(f"{text!r} is not a length of time; write 90d, 12h, 30m or 2w")
    return int(found[1]) * _SPAN_UNITS[found[2]]


def parse_since(text: str, now: float) -> int:
    """The time that `text` names, or the length of time before `now` (UTC epoch seconds), as in `7d`.

    Raises ConfigError.
    """
    if _SPAN.fullmatch(text.strip()):
        return int(now) - parse_span(text)
    try:
        return parse_time(text)
    except ConfigError as error:
        raise ConfigError(f"{error}, or how long ago: 7d, 12h, 2w") from None


def iso(ts: float) -> str:
    """`2024-01-31T12:00:00Z` for UTC epoch seconds."""
    return datetime.fromtimestamp(ts, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
