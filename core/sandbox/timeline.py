"""Bars along a line of time: days are drawn, hours split from days and minutes from hours.

What a bar consists of is left to the subclasses. Nothing is walked from the start of a history, so
any page costs the same and agrees with every other. Times are UTC epoch seconds, days are numbered
from 1970-01-01.

A line that was interrupted is a chain: each stretch is a line of its own, begins with an event and
knows the one `before` it. What was served before an interruption therefore never changes.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Generic, Protocol, Self, TypeVar

from core.windows import DAY, HOUR, MINUTE, Grain


class Line(Protocol):
    """What bars run along. `first` and `last` are its first and last event, None while it goes on.

    Nothing happens at or after `ended`, whatever `last` says. `before` is the stretch that this one
    continues.
    """

    def __hash__(self) -> int: ...
    @property
    def first(self) -> int: ...
    @property
    def last(self) -> int | None: ...
    @property
    def ended(self) -> int | None: ...
    @property
    def before(self) -> Self | None: ...


class Moment(Protocol):
    @property
    def ts(self) -> int: ...


class Reported(Protocol):
    @property
    def last(self) -> Moment: ...


class Part(Protocol):
    """A bar, whatever it holds; without events it has no marks."""

    @property
    def start(self) -> int: ...
    @property
    def marks(self) -> Reported | None: ...


L = TypeVar("L", bound=Line)
B = TypeVar("B", bound=Part)


def newest(line: Line, now: int) -> int:
    """The last second up to `now` that can have an event."""
    if line.last is not None:
        now = min(now, line.last)
    return now if line.ended is None else min(now, line.ended - 1)


def oldest(line: Line) -> int:
    """The first event of the whole chain."""
    while line.before is not None:
        line = line.before
    return line.first


class Timeline(ABC, Generic[L, B]):
    """All bars of one kind. Caches make paging cheap; they never change an answer."""

    def __init__(self) -> None:
        self._day: Callable[[L, int], B] = lru_cache(maxsize=20_000)(self._draw_day)
        self._hours: Callable[[L, int], list[B]] = lru_cache(maxsize=512)(self._split_day)
        self._minutes: Callable[[L, int], list[B]] = lru_cache(maxsize=256)(self._split_hour)

    @abstractmethod
    def _draw_day(self, line: L, day: int) -> B: ...

    @abstractmethod
    def _split_day(self, line: L, day: int) -> list[B]: ...

    @abstractmethod
    def _split_hour(self, line: L, start: int) -> list[B]: ...

    @abstractmethod
    def _elapsed(self, line: L, bar: B, until: int) -> B:
        """The part of a minute's bar that has happened before `until`."""

    @abstractmethod
    def joined(self, start: int, bars: list[B]) -> B:
        """One bar made of consecutive ones (at least one)."""

    @abstractmethod
    def _following(self, bar: B, start: int) -> B:
        """The bar without events that begins at `start` and follows `bar`."""

    @abstractmethod
    def _reopened(self, bar: B, previous: B) -> B:
        """`bar` as it is after `previous`."""

    def bars(self, line: L, grain: Grain, start: int, end: int, now: int) -> list[B]:
        """Bars that start in [start, end), ascending; the running one as far as it is at `now`.

        The span is cut to the history: from the bar of the first event to that of the last one, or
        to the running one.
        """
        own = self._stretch(line, grain, start, end, now)
        if line.before is None:
            return own
        joint = grain.floor(line.first)
        past = self.bars(line.before, grain, start, min(end, joint + grain.seconds), line.first)
        stopped = self._final(line.before, grain, line.first)
        gap = range(max(grain.ceil(start), stopped.start + grain.seconds), min(grain.ceil(end), joint), grain.seconds)
        if own and own[0].start == joint:
            shared = past and past[-1].start == joint
            own[0] = self.joined(joint, [past.pop(), own[0]]) if shared else self._reopened(own[0], stopped)
        return [*past, *(self._following(stopped, at) for at in gap), *own]

    def aggregated(self, bars: list[B], grain: Grain, count: int) -> list[B]:
        """`bars` joined to bars of `count` grains, aligned to 1970-01-01."""
        if count == 1:
            return bars
        size = count * grain.seconds
        buckets: dict[int, list[B]] = {}
        for bar in bars:
            buckets.setdefault(bar.start - bar.start % size, []).append(bar)
        return [self.joined(at, parts) for at, parts in buckets.items()]

    def latest(self, line: L, now: int) -> int:
        """The time of the last event up to `now`, which is after the first one."""
        at = newest(line, now)
        while True:
            [bar] = self.bars(line, DAY, DAY.floor(at), DAY.floor(at) + 1, now)
            if bar.marks is not None:
                return bar.marks.last.ts
            at -= DAY.seconds

    def _stretch(self, line: L, grain: Grain, start: int, end: int, now: int) -> list[B]:
        """`bars` of one stretch alone."""
        if line.ended is not None:
            now = min(now, line.ended)
        start = max(grain.ceil(start), grain.floor(line.first))
        end = min(grain.ceil(end), grain.floor(newest(line, now)) + grain.seconds)
        if end <= start:
            return []
        bars = list(self._closed(line, grain, start, end))
        if end > now:
            bars[-1] = self._running(line, grain, now)
        return bars

    def _final(self, line: L, grain: Grain, now: int) -> B:
        """The last bar of a stretch that ended before `now`."""
        at = grain.floor(newest(line, now))
        return self.bars(line, grain, at, at + grain.seconds, now)[-1]

    def _closed(self, line: L, grain: Grain, start: int, end: int) -> Iterator[B]:
        for number in range(start // DAY.seconds, (end - 1) // DAY.seconds + 1):
            if grain is DAY:
                yield self._day(line, number)
                continue
            for hour in self._hours(line, number):
                if grain is HOUR:
                    if start <= hour.start < end:
                        yield hour
                elif hour.start < end and hour.start + HOUR.seconds > start:
                    yield from (b for b in self._minutes(line, hour.start) if start <= b.start < end)

    def _running(self, line: L, grain: Grain, now: int) -> B:
        """The bar that contains `now`, made of what has happened before `now`."""
        start = grain.floor(now)
        if grain is MINUTE:
            return self._elapsed(line, self._minutes(line, HOUR.floor(now))[now % HOUR.seconds // MINUTE.seconds], now)
        if grain is HOUR:
            done = self._minutes(line, start)[: (now - start) // MINUTE.seconds]
            return self.joined(start, [*done, self._running(line, MINUTE, now)])
        hours = self._hours(line, now // DAY.seconds)[: (now - start) // HOUR.seconds]
        return self.joined(start, [*hours, self._running(line, HOUR, now)])
