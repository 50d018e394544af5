"""How much of each month of a series is stored: pure, and reckoned from spans, never from bars.

A month is a number: twelve times the year, plus 0 to 11. Every slot of it that could be stored by now is exactly
one of stored, in a gap, in an explained gap, or not asked for.
"""

from bisect import bisect_right
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

from core.windows import Window
from tui.archive.series import Coverage


class Share(NamedTuple):
    """Slots of one month."""

    stored: int
    gaps: int
    explained: int
    unasked: int

    @property
    def expected(self) -> int:
        return sum(self)


def month_of(time: float) -> int:
    """The month of UTC epoch seconds."""
    moment = datetime.fromtimestamp(time, UTC)
    return 12 * moment.year + moment.month - 1


@lru_cache(maxsize=4096)
def month_window(month: int) -> Window:
    """UTC epoch seconds of a month."""
    return Window(_starts(month), _starts(month + 1))


def _starts(month: int) -> int:
    return int(datetime(month // 12, month % 12 + 1, 1, tzinfo=UTC).timestamp())


def months_of(coverage: Coverage) -> range:
    """The months from the first to the last that anything was asked for; empty when nothing was."""
    if not coverage.asked:
        return range(0)
    first = coverage.asked[0].start if coverage.start is None else max(coverage.start, coverage.asked[0].start)
    last = coverage.asked[-1].end - 1
    return range(month_of(min(first, last)), month_of(last) + 1)


def share_of(coverage: Coverage, month: int, until: int) -> Share | None:
    """What is there of a month, of the slots that had ended by `until` (UTC epoch seconds, on the series' grid).

    None when there are no such slots: before the history, or after now.
    """
    return _share(coverage, month, min(until, month_window(month).end))


@lru_cache(maxsize=16_384)
def _share(coverage: Coverage, month: int, until: int) -> Share | None:
    start = month_window(month).start
    if coverage.start is not None:
        start = max(start, coverage.start)
    if until <= start:
        return None
    asked = _overlap(coverage.asked, start, until)
    gaps = _overlap(coverage.gaps, start, until)
    explained = _overlap(coverage.explained, start, until)
    seconds = (asked - gaps - explained, gaps, explained, until - start - asked)
    return Share(*(max(0, each) // coverage.seconds for each in seconds))


def _overlap(windows: Sequence[Window], start: int, end: int) -> int:
    """Seconds of ascending, disjoint `windows` between the two."""
    seconds = 0
    for at in range(max(0, bisect_right(windows, (start,)) - 1), len(windows)):
        first, last = windows[at]
        if first >= end:
            break
        seconds += max(0, min(last, end) - max(first, start))
    return seconds
