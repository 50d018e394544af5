"""The bars of every series: a pure function of seed, series and time.

A day's close comes from noise over days that all exchanges share, its other figures from draws of
its own; hours are split from the day and minutes from the hour. Times are UTC epoch seconds, days
are numbered from 1970-01-01.
"""

from bisect import bisect
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from math import exp, log

from core.sandbox.assets import ASSETS, seconds
from core.sandbox.bars import DRAWS, Bar, Grid, Trade, elapsed, joined, split, trading
from core.sandbox.draws import key_of, lattice, uniforms, wander
from core.sandbox.opening_hours import idle, open_hours
from core.sandbox.series import SURGE, Series
from core.sandbox.timeline import Timeline
from core.windows import DAY, HOUR, MINUTE

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


class Market(Timeline[Series, Bar]):
    """The trades of all series of one seed."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._seed = seed
        self._asset_key = lru_cache(partial(key_of, seed, "price"))
        self.log_price = lru_cache(maxsize=100_000)(self._draw_log_price)
        self._level: Callable[[Series, int], int] = lru_cache(maxsize=20_000)(self._draw_level)

    def close(self, series: Series, at: int) -> int:
        """Price in ticks after the last complete hour before `at`."""
        hour = HOUR.floor(at - HOUR.seconds)
        return self._hours(series, hour // DAY.seconds)[hour % DAY.seconds // HOUR.seconds].closing

    def closing(self, series: Series, day: int) -> int:
        """Price in ticks at the end of `day`, which is not before the first one."""
        if not idle(series, day):
            return self._level(series, day)
        return self._opening(series, day) or self._level(series, day)

    def marks(self, series: Series, day: int) -> list[Trade]:
        """The trades that a day reports, ascending; none when it is idle."""
        if idle(series, day):
            return []
        u = uniforms(series.seed, day, 24)
        opening, level = self._opening(series, day), self._level(series, day)
        return sorted(self._place(series, day, self._prices(series, opening, level, u), u))

    def _elapsed(self, line: Series, bar: Bar, until: int) -> Bar:
        return elapsed(bar, until, MINUTE.seconds, line.terms)

    def joined(self, start: int, bars: list[Bar]) -> Bar:
        return joined(start, bars)

    def _following(self, bar: Bar, start: int) -> Bar:
        return Bar(start, bar.closing)

    def _reopened(self, bar: Bar, previous: Bar) -> Bar:
        return bar._replace(opening=previous.closing)

    def _draw_log_price(self, symbol: str, day: int) -> float:
        """Logarithm of an asset's USD price at the end of `day`."""
        asset = ASSETS[symbol]
        own = asset.wobble * wander(self._asset_key(symbol), day) if asset.wobble else 0.0
        cycle = asset.beta * (_cycle(day) - _REFERENCE) if asset.beta else 0.0
        return log(asset.price) + cycle + own

    def _draw_level(self, series: Series, day: int) -> int:
        """Close of `day` in ticks, if it trades."""
        own = 0.0004 * lattice(series.seed, day)
        price = exp(self.log_price(series.base, day) - self.log_price(series.quote, day) + own)
        return max(_LEAST_TICKS, round(price * 10.0**series.ticks))

    def _opening(self, series: Series, day: int) -> int | None:
        """Close of the nearest earlier day that trades; None on the first day."""
        first = series.first // DAY.seconds
        if day <= first:
            return None
        day -= 1
        while idle(series, day):
            day -= 1
        return self._level(series, day)

    def _draw_day(self, series: Series, day: int) -> Bar:
        start = day * DAY.seconds
        opening = self._opening(series, day)
        level = self._level(series, day)
        if opening is not None and idle(series, day):
            return Bar(start, opening)
        u = uniforms(series.seed, day, 24)
        prices = self._prices(series, opening, level, u)
        marks = self._place(series, day, prices, u)
        near = level if opening is None else opening
        move = abs(level - near) / near
        sums = self._sizes(series, day, marks, move, u)
        return trading(start, near if opening is not None else prices[0], marks, sums)

    def _prices(self, series: Series, opening: int | None, level: int, u: Sequence[int]) -> tuple[int, int, int, int]:
        """First, high, low and last price of a day that trades."""
        wobble = max(ASSETS[series.base].wobble, ASSETS[series.quote].wobble, 0.0002)
        near = level if opening is None else opening
        first = near + int(near * wobble * (u[0] - 32_768) / 800_000)
        least = 10 * _grain_of(level)
        high = max(first, level) + least + int(level * wobble * (u[1] * u[2] >> 16) / 40_000)
        low = min(first, level) - least - int(level * wobble * (u[3] * u[4] >> 16) / 40_000)
        return first, high, max(low, 1), level

    def _place(self, series: Series, day: int, prices: tuple[int, int, int, int], u: Sequence[int]) -> list[Trade]:
        """The first, high, low and last trade of a day, at times when the exchange is up."""
        start = day * DAY.seconds
        hours = open_hours(series, day)
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
        worth = exp(self.log_price(series.quote, day))
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
        up = set(open_hours(series, day))
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
