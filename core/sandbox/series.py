"""What makes one price series: its span, units, size, and the components its volume consists of.

Units are chosen so that a day's value has at most 15 significant digits: all of JSON's numbers are
then exact, and bars add up to their day in the printed figures too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor, log10

from core.sandbox.bars import Terms

# A busy day is this much larger than an average one.
SURGE = 6.0
_DIGITS = 14.9


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """One instrument's trades. `first` and `last` are its first and last trade (UTC seconds).

    `last` is None while it trades. `ticks`, `lots` and `values` are decimals: a price is
    ticks / 10**ticks, and likewise for volumes (negative: lots of tens, hundreds ...). `contract`
    is the size of an inverse contract in quote currency, None otherwise. `notional` is an average
    day's volume in USD, `trade_size` of a trade. `parts` are the components' shares of the volume.
    `idle_days` is the chance of a day without trades, `venue` the key of the market's outages.
    `ended` and `before` are those of a `timeline.Line`.
    """

    key: str
    base: str
    quote: str
    first: int
    last: int | None
    ticks: int
    lots: int
    values: int
    contract: int | None
    notional: float
    trade_size: float
    parts: tuple[float, ...]
    idle_days: float
    seed: int
    venue: int
    ended: int | None = None
    before: "Series | None" = None

    @property
    def terms(self) -> Terms:
        if self.contract is None:
            return Terms()
        return Terms(self.contract * 10 ** (self.values + self.ticks))


@dataclass(frozen=True, slots=True, eq=False)
class Stream:
    """What is published about one contract besides its trades: its funding rate or open interest.

    `series` are the trades, `first` the first update (UTC seconds), `rate` the updates of an average
    day. `level` is the usual value in units of 10**-`places`: of the funding rate for `interval_ms`,
    or of the open interest (of inverse contracts their number).
    """

    series: Series
    first: int
    rate: float
    level: int
    places: int
    seed: int
    interval_ms: int = 0
    before: "Stream | None" = None

    @property
    def last(self) -> int | None:
        return self.series.last

    @property
    def ended(self) -> int | None:
        return self.series.ended

    @property
    def venue(self) -> int:
        return self.series.venue

    @property
    def idle_days(self) -> float:
        return 0.002 + self.series.idle_days / 4


@dataclass(frozen=True, slots=True)
class Scale:
    """Decimals of prices, lots and values, see `Series`."""

    ticks: int
    lots: int
    values: int


def scale_for(price: float, notional: float, inverse: bool) -> Scale:
    """Decimals for a series near `price` that turns over `notional` of its quote currency a day."""
    ticks = min(12, max(0, 6 - floor(log10(price))))
    largest = log10(notional * SURGE)
    if inverse:
        return Scale(ticks, 0, max(0, min(10, floor(_DIGITS - 1.5 - largest + log10(price)))))
    lots = min(8, floor(_DIGITS - largest) - ticks)
    return Scale(ticks, lots, ticks + lots)


def normalised(parts: Sequence[float]) -> tuple[float, ...]:
    """`parts` scaled to sum to 1."""
    total = sum(parts)
    return tuple(part / total for part in parts)
