"""Late trades: bars that lack some of their volume and trades until the vendor revises them.

Which bars, and how long after their close, is a pure function of series, grain and time, each grain for
itself; in the end all bars are whole and add up. Prices do not change, bars without trades neither.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from core.sandbox.bars import Bar, Marks
from core.sandbox.draws import unit
from core.sandbox.series import Series
from core.windows import Grain

REVISE_UP_TO = 5_400


@dataclass(frozen=True, slots=True)
class Revisions:
    """A `share` (0..1) of all bars with trades is revised, up to `up_to` seconds after their close."""

    share: float
    up_to: int = REVISE_UP_TO

    def seen(self, series: Series, grain: Grain, bars: Sequence[Bar], now: int) -> list[Bar]:
        """`bars` as they are published at `now` (UTC seconds)."""
        return [self._published(series, grain, bar, now) for bar in bars]

    def _published(self, series: Series, grain: Grain, bar: Bar, now: int) -> Bar:
        close = bar.start + grain.seconds
        if now >= close + self.up_to or bar.marks is None:
            return bar
        lag = revisions_of(series, grain, bar.start, self.share, self.up_to)
        return bar if lag is None or now >= close + lag else _lacking(series, grain, bar, bar.marks)


def revisions_of(series: Series, grain: Grain, ts: int, share: float, up_to: int = REVISE_UP_TO) -> int | None:
    """Seconds (1..`up_to`) from the close of the bar that starts at `ts` to its revision.

    None for bars that are whole from the start. Of a bar without trades it says nothing.
    """
    key = series.seed ^ (grain.seconds << 20)
    number = ts // grain.seconds
    if unit(key ^ 0x1A7E, number) >= share:
        return None
    return 1 + int(unit(key ^ 0x2A7E, number) * up_to)


def _lacking(series: Series, grain: Grain, bar: Bar, marks: Marks) -> Bar:
    """`bar` without some of the trades of its largest component."""
    part = 0.02 + 0.3 * unit(series.seed ^ 0x3A7E, bar.start // grain.seconds)
    kind = bar.counts.index(max(bar.counts))
    count, lot, value = bar.counts[kind], bar.lots[kind], bar.values[kind]
    fewer = count - max(1, int(count * part))
    less = min(lot - 1, max(fewer, lot - max(1, int(lot * part)))) if fewer else 0
    low, high = series.terms.bounds(less, marks.low.price, marks.high.price) if less else (0, 0)
    worth = min(max(value * less // lot, low), high)
    return bar._replace(
        counts=_with(bar.counts, kind, fewer),
        lots=_with(bar.lots, kind, less),
        values=_with(bar.values, kind, worth),
    )


def _with(amounts: tuple[int, ...], index: int, amount: int) -> tuple[int, ...]:
    return (*amounts[:index], amount, *amounts[index + 1 :])
