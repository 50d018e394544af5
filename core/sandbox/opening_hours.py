"""When a line can have events: outages of its exchange, and days on which nothing happens."""

from typing import Protocol

from core.sandbox.draws import unit
from core.sandbox.timeline import Line
from core.windows import DAY, HOUR


class Kept(Line, Protocol):
    """A line with draws of its own: `idle_days` is the chance of an idle day, `venue` the exchange's key."""

    @property
    def seed(self) -> int: ...
    @property
    def venue(self) -> int: ...
    @property
    def idle_days(self) -> float: ...


def idle(line: Kept, day: int) -> bool:
    """Days without events. Every fifth day has some, which bounds how far a close is looked for."""
    if day == line.first // DAY.seconds:
        return False
    if line.last is not None and day == line.last // DAY.seconds:
        return False
    return day % 5 != 0 and unit(line.seed ^ 0x1D1E, day) < line.idle_days


def open_hours(line: Kept, day: int) -> list[int]:
    """The hours of `day`, from 0, in which the exchange is up and the line has begun and not ended."""
    begin, end = 0, 24
    if day == line.first // DAY.seconds:
        begin = line.first % DAY.seconds // HOUR.seconds
    if line.last is not None and day == line.last // DAY.seconds:
        end = line.last % DAY.seconds // HOUR.seconds + 1
    down = _outage(line.venue, day)
    edges = {begin, end - 1} if begin or end < 24 else set[int]()
    return [hour for hour in range(begin, end) if hour not in down or hour in edges]


def _outage(venue: int, day: int) -> range:
    """The hours of `day` in which the exchange is down; mostly none."""
    if unit(venue, day) > 1 / 90:
        return range(0)
    begin = int(20 * unit(venue ^ 1, day))
    return range(begin, begin + 1 + int(4 * unit(venue ^ 2, day)))
