"""The bars of every series: a pure function of seed, series and time.

A day's close comes from noise over days that all exchanges share, its other figures from draws of
its own; hours are split from the day and minutes from the hour. Nothing is walked from the start of
a history, so any page costs the same and agrees with every other. Times are UTC epoch seconds, days
are numbered from 1970-01-01.
"""

from bisect import bisect
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, partial
from math import exp, log

from core.sandbox.assets import ASSETS, seconds
from core.sandbox.bars import DRAWS, Bar, Grid, Trade, elapsed, joined, split, trading
from core.sandbox.draws import key_of, lattice, uniforms, unit, wander
from core.sandbox.series import SURGE, Series
from core.windows import DAY, HOUR, MINUTE, Grain

# The market's cycle: USD prices of the leading asset at the turn of years, interpolated in logarithms.
_CYCLE = (
    (2009, 80), (2013, 90), (2014, 740), (2015, 310), (2016, 430), (2017, 990), (2018, 13_800),
    (2019, 3_800), (2020, 7_200), (2021, 29_000), (2022, 46_500), (2023, 16_600), (2024, 42_500),
    (2025, 94_000), (2026, 91_000), (2028, 120_000), (2040, 250_000),
)  # fmt: skip
_DAYS = [seconds(f"{year}-01-01") // DAY.seconds for year, _ in _CYCLE]
_LOGS = [log(price) for _, price in _CYCLE]
_REFERENCE = log(100_000)
_LEAST_TRADES = 40
_LEAST_TICKS = 1_000


class Market:
    """All series of one seed. Caches make paging cheap; they never change an answer."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._asset_key = lru_cache(partial(key_of, seed, "price"))
        self._log_price = lru_cache(maxsize=100_000)(self._draw_log_price)
        self._day: Callable[[Series, int], Bar] = lru_cache(maxsize=20_000)(self._draw_day)
        self._hours: Callable[[Series, int], list[Bar]] = lru_cache(maxsize=512)(self._split_day)
        self._minutes: Callable[[Series, int], list[Bar]] = lru_cache(maxsize=256)(self._split_hour)

    def bars(self, series: Series, grain: Grain, start: int, end: int, now: int) -> list[Bar]:
        """Bars that start in [start, end), ascending; the running one as far as it is at `now`.

        The span is cut to the history: from the bar of the first trade to that of the last one, or
        to the running one.
        """
        newest = now if series.last is None else min(now, series.last)
        start = max(grain.ceil(start), grain.floor(series.first))
        end = min(grain.ceil(end), grain.floor(newest) + grain.seconds)
        if end <= start:
            return []
        bars = list(self._closed(series, grain, start, end))
        if end > now:
            bars[-1] = self._running(series, grain, now)
        return bars

    def close(self, series: Series, at: int) -> int:
        """Price in ticks after the last complete hour before `at`."""
        hour = HOUR.floor(at - HOUR.seconds)
        return self._hours(series, hour // DAY.seconds)[hour % DAY.seconds // HOUR.seconds].closing

    def _closed(self, series: Series, grain: Grain, start: int, end: int) -> Iterator[Bar]:
        for number in range(start // DAY.seconds, (end - 1) // DAY.seconds + 1):
            if grain is DAY:
                yield self._day(series, number)
                continue
            for hour in self._hours(series, number):
                if grain is HOUR:
                    if start <= hour.start < end:
                        yield hour
                elif hour.start < end and hour.start + HOUR.seconds > start:
                    yield from (b for b in self._minutes(series, hour.start) if start <= b.start < end)

    def _running(self, series: Series, grain: Grain, now: int) -> Bar:
        """The bar that contains `now`, made of what has happened before `now`."""
        start = grain.floor(now)
        if grain is MINUTE:
            minutes = self._minutes(series, HOUR.floor(now))
            return elapsed(minutes[now % HOUR.seconds // MINUTE.seconds], now, MINUTE.seconds, series.terms)
        if grain is HOUR:
            done = self._minutes(series, start)[: (now - start) // MINUTE.seconds]
            return joined(start, [*done, self._running(series, MINUTE, now)])
        hours = self._hours(series, now // DAY.seconds)[: (now - start) // HOUR.seconds]
        return joined(start, [*hours, self._running(series, HOUR, now)])

    def _draw_log_price(self, symbol: str, day: int) -> float:
        asset = ASSETS[symbol]
        own = asset.wobble * wander(self._asset_key(symbol), day) if asset.wobble else 0.0
        cycle = asset.beta * (_cycle(day) - _REFERENCE) if asset.beta else 0.0
        return log(asset.price) + cycle + own

    def _level(self, series: Series, day: int) -> int:
        """Close of `day` in ticks, if it trades."""
        own = 0.0004 * lattice(series.seed, day)
        price = exp(self._log_price(series.base, day) - self._log_price(series.quote, day) + own)
        return max(_LEAST_TICKS, round(price * 10.0**series.ticks))

    def _idle(self, series: Series, day: int) -> bool:
        """Days without trades. Every fifth day trades, which bounds how far a close is looked for."""
        if day == series.first // DAY.seconds:
            return False
        if series.last is not None and day == series.last // DAY.seconds:
            return False
        return day % 5 != 0 and unit(series.seed ^ 0x1D1E, day) < series.idle_days

    def _opening(self, series: Series, day: int) -> int | None:
        """Close of the nearest earlier day that trades; None on the first day."""
        first = series.first // DAY.seconds
        if day <= first:
            return None
        day -= 1
        while self._idle(series, day):
            day -= 1
        return self._level(series, day)

    def _outage(self, series: Series, day: int) -> range:
        """The hours of `day` in which the exchange is down; mostly none."""
        if unit(series.venue, day) > 1 / 90:
            return range(0)
        begin = int(20 * unit(series.venue ^ 1, day))
        return range(begin, begin + 1 + int(4 * unit(series.venue ^ 2, day)))

    def _open_hours(self, series: Series, day: int) -> list[int]:
        begin, end = 0, 24
        if day == series.first // DAY.seconds:
            begin = series.first % DAY.seconds // HOUR.seconds
        if series.last is not None and day == series.last // DAY.seconds:
            end = series.last % DAY.seconds // HOUR.seconds + 1
        down = self._outage(series, day)
        edges = {begin, end - 1} if begin or end < 24 else set[int]()
        return [hour for hour in range(begin, end) if hour not in down or hour in edges]

    def _draw_day(self, series: Series, day: int) -> Bar:
        start = day * DAY.seconds
        opening = self._opening(series, day)
        level = self._level(series, day)
        if opening is not None and self._idle(series, day):
            return Bar(start, opening)
        u = uniforms(series.seed, day, 24)
        wobble = max(ASSETS[series.base].wobble, ASSETS[series.quote].wobble, 0.0002)
        near = level if opening is None else opening
        first = near + int(near * wobble * (u[0] - 32_768) / 800_000)
        least = 10 * _grain_of(level)
        high = max(first, level) + least + int(level * wobble * (u[1] * u[2] >> 16) / 40_000)
        low = min(first, level) - least - int(level * wobble * (u[3] * u[4] >> 16) / 40_000)
        marks = self._place(series, day, (first, high, max(low, 1), level), u)
        move = abs(level - near) / near
        sums = self._sizes(series, day, marks, move, u)
        return trading(start, near if opening is not None else first, marks, sums)

    def _place(self, series: Series, day: int, prices: tuple[int, int, int, int], u: Sequence[int]) -> list[Trade]:
        """The first, high, low and last trade of a day, at times when the exchange is up."""
        start = day * DAY.seconds
        hours = self._open_hours(series, day)
        pause = min(1_500, int(DAY.seconds * series.trade_size / series.notional) + 1)
        first = start + hours[0] * HOUR.seconds + (u[5] * pause >> 16)
        last = start + (hours[-1] + 1) * HOUR.seconds - 1 - (u[6] * pause >> 16)
        if day == series.first // DAY.seconds:
            first = series.first
        if series.last is not None and day == series.last // DAY.seconds:
            last = series.last

        def when(hour_draw: int, second_draw: int) -> int:
            hour = hours[hour_draw * len(hours) >> 16]
            ts = start + hour * HOUR.seconds + (second_draw * HOUR.seconds >> 16)
            return min(max(ts, first), last)

        high, low = when(u[7], u[8]), when(u[9], u[10])
        return [
            Trade(first, -1, prices[0]),
            Trade(high, 0, prices[1]),
            Trade(low, 0, prices[2]),
            Trade(last, 1, prices[3]),
        ]

    def _sizes(
        self, series: Series, day: int, marks: Sequence[Trade], move: float, u: Sequence[int]
    ) -> list[tuple[int, ...]]:
        """Counts, lots and values of a day by component."""
        # Markets quoted in a coin shrink with its price too, or their early volumes in it would explode.
        power = 1.2 if ASSETS[series.quote].beta else 0.5
        growth = min(1.2, exp(power * (_cycle(day) - _REFERENCE)))
        busy = min(SURGE / 1.3, 0.4 + 1.6 * (u[11] * u[12] >> 16) / 65_536 + 12.0 * move)
        open_part = (max(m.ts for m in marks) - min(m.ts for m in marks)) / DAY.seconds
        notional = series.notional * growth * busy * max(open_part, 0.05)
        level = marks[-1].price
        worth = exp(self._log_price(series.quote, day))
        if series.contract is None:
            lots = notional / worth / level * 10.0 ** (series.ticks + series.lots)
        else:
            lots = notional / worth / series.contract
        trades = notional / series.trade_size
        terms, edge = series.terms, 8 * _grain_of(level)
        prices = [m.price for m in marks]
        low, high = min(prices) + edge, max(prices) - edge - 1
        middle = sum(prices) // 4
        counts, sizes, values = [], [], []
        for kind, part in enumerate(series.parts):
            count = max(_LEAST_TRADES, int(trades * part * (0.9 + u[13 + kind] / 327_680)))
            size = max(20 * count, int(lots * part * (0.9 + u[17 + kind] / 327_680)))
            price = min(max(middle + (high - low) * (u[20 + kind] - 32_768) // 400_000, low), high)
            counts.append(count)
            sizes.append(size)
            values.append(terms.value(size, price, u[13 + kind]))
        return [tuple(counts), tuple(sizes), tuple(values)]

    def _split_day(self, series: Series, day: int) -> list[Bar]:
        whole = self._day(series, day)
        grain = _grain_of(self._level(series, day))
        up = set(self._open_hours(series, day))
        grid = Grid(24, HOUR.seconds, 8, 4 * grain, 2 * grain, up.__contains__)
        return split(whole, grid, series.terms, uniforms(series.seed ^ 0xDA1, day, 24 * DRAWS))

    def _split_hour(self, series: Series, start: int) -> list[Bar]:
        day, hour = divmod(start // HOUR.seconds, 24)
        whole = self._hours(series, day)[hour]
        grid = Grid(60, MINUTE.seconds, 0, _grain_of(self._level(series, day)), 0, _always)
        return split(whole, grid, series.terms, uniforms(series.seed ^ 0x402, start, 60 * DRAWS))


def _grain_of(level: int) -> int:
    """The smallest price step, in ticks, that bars are told apart by."""
    return max(2, level // 100_000)


@lru_cache(maxsize=20_000)
def _cycle(day: int) -> float:
    """Logarithm of the leading asset's price at `day`, without its own noise."""
    right = min(max(bisect(_DAYS, day), 1), len(_DAYS) - 1)
    start, low, high = _DAYS[right - 1], _LOGS[right - 1], _LOGS[right]
    return low + (high - low) * (day - start) / (_DAYS[right] - start)


def _always(_: int) -> bool:
    return True
