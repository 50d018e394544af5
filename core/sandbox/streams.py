"""Funding rates and open interest: what futures markets publish besides trades, as bars of updates.

A pure function of seed, contract and time, like the trades. Mark prices follow the trades of their
contract: a day's are those of its own first, high, low and last trade.
"""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from functools import lru_cache
from math import exp

from core.sandbox import updates
from core.sandbox.bars import Trade, path_of
from core.sandbox.draws import uniforms, wander
from core.sandbox.market import Market
from core.sandbox.opening_hours import idle, open_hours
from core.sandbox.series import Stream
from core.sandbox.timeline import Timeline
from core.sandbox.updates import DRAWS, Between, Flow, Slots, Update, Values
from core.windows import DAY, HOUR, MINUTE

_FULL = 65_536


class Published(Timeline[Stream, Flow]):
    """Bars of updates; what an update says is left to the subclasses."""

    def __init__(self) -> None:
        super().__init__()
        self._closing: Callable[[Stream, int], Values] = lru_cache(maxsize=20_000)(self._draw_closing)

    @abstractmethod
    def _draw_closing(self, stream: Stream, day: int) -> Values:
        """The last values of a day with updates."""

    @abstractmethod
    def _of_day(self, stream: Stream, day: int, before: Values, span: tuple[int, int]) -> list[Update]:
        """The updates of a day that matter, the first and last of them at the ends of `span`.

        `before` are the values that the day opens with.
        """

    @abstractmethod
    def _between(self, stream: Stream) -> Between: ...

    def joined(self, start: int, bars: list[Flow]) -> Flow:
        return updates.joined(start, bars)

    def _elapsed(self, line: Stream, bar: Flow, until: int) -> Flow:
        return updates.elapsed(bar, until, MINUTE.seconds)

    def _following(self, bar: Flow, start: int) -> Flow:
        return Flow(start, bar.closing)

    def _reopened(self, bar: Flow, previous: Flow) -> Flow:
        return bar._replace(opening=previous.closing)

    def _draw_day(self, line: Stream, day: int) -> Flow:
        start = day * DAY.seconds
        opening = self._opening(line, day)
        if opening is not None and idle(line, day):
            return Flow(start, opening)
        u = uniforms(line.seed ^ 0x5BA, day, 3)
        span = _span(line, day, u)
        found = self._of_day(line, day, opening or self._closing(line, day), span)
        part = max(0.01, (span[1] - span[0]) / DAY.seconds)
        count = int(line.rate * part * (0.85 + 0.3 * u[2] / _FULL))
        return updates.flowing(start, opening or found[0].values, found, max(len(found), count))

    def _opening(self, stream: Stream, day: int) -> Values | None:
        """Close of the nearest earlier day with updates; None on the first day."""
        if day <= stream.first // DAY.seconds:
            return None
        day -= 1
        while idle(stream, day):
            day -= 1
        return self._closing(stream, day)

    def _split_day(self, line: Stream, day: int) -> list[Flow]:
        up = set(open_hours(line, day))
        draws = uniforms(line.seed ^ 0xDA1, day, 24 * DRAWS)
        return updates.split(
            self._day(line, day), Slots(24, HOUR.seconds, 3, up.__contains__), self._between(line), draws
        )

    def _split_hour(self, line: Stream, start: int) -> list[Flow]:
        day, hour = divmod(start // HOUR.seconds, 24)
        draws = uniforms(line.seed ^ 0x402, start, 60 * DRAWS)
        return updates.split(
            self._hours(line, day)[hour], Slots(60, MINUTE.seconds, 2, _always), self._between(line), draws
        )


class Funding(Published):
    """Funding rates: one value, in units of 10**-places. It rests at the usual rate for long."""

    def _draw_closing(self, stream: Stream, day: int) -> Values:
        mood = wander(stream.seed, day) / 5.0
        away = max(0.0, abs(mood) - 0.4) * (1 if mood > 0 else -1)
        return (round(stream.level * (1.0 + 1.6 * away)),)

    def _of_day(self, stream: Stream, day: int, before: Values, span: tuple[int, int]) -> list[Update]:
        u = uniforms(stream.seed, day, 6)
        opened, closed = int(before[0]), int(self._closing(stream, day)[0])
        first, last = span
        stir = 0 if opened == closed and u[0] < 40_000 else stream.level
        high = max(opened, closed) + (stir * (u[1] * u[2] >> 16) >> 17)
        low = min(opened, closed) - (stir * (u[3] * u[4] >> 16) >> 17)
        width = last - first
        return [
            Update(first, -1, (opened + (closed - opened) * u[5] // (3 * _FULL),)),
            Update(first + (u[0] * width >> 16), 0, (high,)),
            Update(first + (u[2] * width >> 16), 0, (low,)),
            Update(last, 1, (closed,)),
        ]

    def _between(self, stream: Stream) -> Between:
        swing = stream.level // 8

        def between(here: Values, there: Values, part: int, noise: int, _more: int) -> Values:
            value = int(here[0]) + int(there[0] - here[0]) * part // _FULL
            return (value + ((noise - 32_768) * swing >> 16),)

        return between


class OpenInterest(Published):
    """Open interest in the underlying, the mark price, and what both come to in quote currency.

    For inverse contracts the last is a whole number of contracts and the first follows from it.
    """

    def __init__(self, market: Market) -> None:
        super().__init__()
        self._market = market

    def _draw_closing(self, stream: Stream, day: int) -> Values:
        return _values(stream, _size(stream, day), self._market.closing(stream.series, day))

    def _of_day(self, stream: Stream, day: int, before: Values, span: tuple[int, int]) -> list[Update]:
        first, last = span
        u = uniforms(stream.seed, day, 16)
        marks = self._market.marks(stream.series, day)
        opened, closed = _held(stream, before), self._closing(stream, day)
        path = path_of([*(mark for mark in marks if mark.ts < last), Trade(last, 1, int(closed[1]))])
        width = max(1, last - first)
        rise = _held(stream, closed) - opened

        def update(ts: int, rank: int, noise: int, scale: int) -> Update:
            size = opened + rise * (ts - first) // width
            return Update(ts, rank, _values(stream, size + size * (noise - 32_768) // scale, path(ts)))

        stamps = [mark.ts for mark in marks if first < mark.ts < last]
        stamps += [first + (number * width >> 16) for number in u[:2]]
        between = [update(ts, 0, u[2 + i], 6_000_000) for i, ts in enumerate(stamps)]
        return [update(first, -1, u[14], 40_000_000), *between, Update(last, 1, closed)]

    def _between(self, stream: Stream) -> Between:
        def between(here: Values, there: Values, part: int, noise: int, more: int) -> Values:
            size, later = _held(stream, here), _held(stream, there)
            price, then = int(here[1]), int(there[1])
            size += (later - size) * part // _FULL
            price += (then - price) * part // _FULL
            size += size * (noise - 32_768) // 60_000_000
            price += price * (more - 32_768) // 120_000_000
            return _values(stream, size, price)

        return between


def _span(stream: Stream, day: int, u: Sequence[int]) -> tuple[int, int]:
    """The first and last update of a day with updates."""
    start = day * DAY.seconds
    hours = open_hours(stream, day)
    pause = min(1_500, int(DAY.seconds / stream.rate) + 1)
    first = start + hours[0] * HOUR.seconds + (u[0] * pause >> 16)
    last = start + (hours[-1] + 1) * HOUR.seconds - 1 - (u[1] * pause >> 16)
    if day == stream.first // DAY.seconds:
        first = stream.first
    if stream.last is not None and day == stream.last // DAY.seconds:
        last = stream.last
    return first, max(first, last)


def _size(stream: Stream, day: int) -> int:
    """Open interest at the end of a day: lots, or contracts when they are inverse. It grows at first."""
    age = day - stream.series.first // DAY.seconds
    grown = min(1.0, 0.15 + age / 300)
    return round(stream.level * grown * exp(0.05 * wander(stream.seed, day)))


def _values(stream: Stream, size: int, price: int) -> Values:
    """Open interest, mark price, and the product; see `OpenInterest`."""
    contract = stream.series.contract
    if contract is None:
        return size, price, size * price
    worth = size * contract
    return worth * 10**stream.series.ticks / price, price, worth


def _held(stream: Stream, values: Values) -> int:
    """The size that `_values` was made from."""
    contract = stream.series.contract
    return int(values[0]) if contract is None else int(values[2]) // contract


def _always(_: int) -> bool:
    return True
