"""Streams of published values, as bars: how updates are split into shorter bars that add up exactly.

An update carries one value (a funding rate) or several that belong together (open interest, mark
price, and what they come to). A bar is drawn before its parts, as bars of trades are. Parts add
updates of their own, whose values lie strictly between the extremes of the bar that is split in every
respect, or repeat the update before: so the extremes of a bar and their times are those of its parts.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from math import exp
from typing import NamedTuple

from core.sandbox.bars import share

DRAWS = 8
_FULL = 65_536

Values = tuple[float, ...]


class Update(NamedTuple):
    """One update. `rank` orders those of one second: first -1, last 1, others 0."""

    ts: int
    rank: int
    values: Values


class Told(NamedTuple):
    """The updates that a bar reports: `highs` and `lows` by value; of equal ones the earliest."""

    first: Update
    highs: tuple[Update, ...]
    lows: tuple[Update, ...]
    last: Update

    def in_order(self) -> list[Update]:
        """Each once, in order of time."""
        return sorted({self.first, *self.highs, *self.lows, self.last})


class Flow(NamedTuple):
    """One bar. `opening` are the values before it; without updates there are no marks. `total` is their number."""

    start: int
    opening: Values
    marks: Told | None = None
    total: int = 0

    @property
    def closing(self) -> Values:
        return self.opening if self.marks is None else self.marks.last.values


class Slots(NamedTuple):
    """How a bar is cut: `parts` of `seconds`, of which `open` may have updates.

    A part gets up to `fresh` updates of its own.
    """

    parts: int
    seconds: int
    fresh: int
    open: Callable[[int], bool]


# Values of an update at a time between two others: a part/65536 of the way and two more draws.
Between = Callable[[Values, Values, int, int, int], Values]


def flowing(start: int, opening: Values, updates: Sequence[Update], count: int) -> Flow:
    """A bar of `count` updates that reports those that stand out among `updates` (at least one)."""
    ordered = sorted(updates)
    ordered[0] = ordered[0]._replace(rank=-1)
    ordered[-1] = ordered[-1]._replace(rank=1)
    highs, lows = [], []
    for values in zip(*(update.values for update in ordered), strict=True):
        highs.append(ordered[values.index(max(values))])
        lows.append(ordered[values.index(min(values))])
    return Flow(start, opening, Told(ordered[0], tuple(highs), tuple(lows), ordered[-1]), count)


def joined(start: int, bars: Sequence[Flow]) -> Flow:
    """One bar made of consecutive ones (at least one)."""
    updates = [update for bar in bars if bar.marks for update in bar.marks.in_order()]
    if not updates:
        return Flow(start, bars[0].opening)
    return flowing(start, bars[0].opening, updates, sum(bar.total for bar in bars))


def elapsed(bar: Flow, until: int, seconds: int) -> Flow:
    """The part of a running bar of `seconds` that has happened before `until`."""
    updates = [update for update in bar.marks.in_order() if update.ts < until] if bar.marks else []
    if not updates:
        return Flow(bar.start, bar.opening)
    count = max(len(updates), bar.total * (until - bar.start) // seconds)
    return flowing(bar.start, bar.opening, updates, count)


def split(bar: Flow, slots: Slots, between: Between, draws: Sequence[int]) -> list[Flow]:
    """The parts of a bar, one for each slot, those without updates included.

    `draws` holds `DRAWS` numbers in [0, 65536) a slot.
    """
    starts = range(bar.start, bar.start + slots.parts * slots.seconds, slots.seconds)
    if bar.marks is None:
        return [Flow(start, bar.opening) for start in starts]
    told = bar.marks.in_order()
    hosts: dict[int, list[Update]] = {}
    for update in told:
        hosts.setdefault((update.ts - bar.start) // slots.seconds, []).append(update)
    counts = _counts(bar.total, hosts, slots, draws)
    draw = _fresh(bar.marks, told, between)
    opening = bar.opening
    bars = []
    for slot, start in enumerate(starts):
        count = counts.get(slot, 0)
        if not count:
            bars.append(Flow(start, opening))
            continue
        own = hosts.get(slot, [])
        wanted = min(count - len(own), slots.fresh)
        if wanted:
            span = max(start, told[0].ts), min(start + slots.seconds - 1, told[-1].ts)
            numbers = draws[slot * DRAWS + 2 : slot * DRAWS + 2 + 2 * wanted]
            own = [*own, *draw(span, count, numbers)]
        part = flowing(start, opening, own, count)
        opening = part.closing
        bars.append(part)
    return bars


def _counts(count: int, hosts: dict[int, list[Update]], slots: Slots, draws: Sequence[int]) -> dict[int, int]:
    """How many updates each slot gets, for those that get any."""
    least = {slot: len(updates) for slot, updates in hosts.items()}
    spare = count - sum(least.values())
    free = [slot for slot in range(min(hosts), max(hosts) + 1) if slot not in hosts and slots.open(slot)]
    odds = int(_FULL * (1.0 - exp(-spare / len(free)))) if free else 0
    for slot in free:
        if spare and draws[slot * DRAWS] < odds:
            least[slot] = 1
            spare -= 1
    active = sorted(least)
    more = share(spare, [draws[slot * DRAWS + 1] + 20_000 for slot in active])
    return {slot: least[slot] + extra for slot, extra in zip(active, more, strict=True)}


def _fresh(
    marks: Told, told: Sequence[Update], between: Between
) -> Callable[[tuple[int, int], int, Sequence[int]], list[Update]]:
    """What draws the updates of a slot: for its span of seconds (inclusive), count and numbers."""
    times = [update.ts for update in told]
    lows = [update.values[i] for i, update in enumerate(marks.lows)]
    highs = [update.values[i] for i, update in enumerate(marks.highs)]
    bounds = list(zip(lows, highs, strict=True))

    def values(ts: int, noise: int) -> Values:
        at = bisect_right(times, ts) - 1
        here = told[at]
        if at + 1 == len(told):
            return here.values
        there = told[at + 1]
        part = (ts - here.ts) * _FULL // (there.ts - here.ts)
        found = between(here.values, there.values, part, noise, noise * 40_503 & 0xFFFF)
        inside = all(low < value < high for value, (low, high) in zip(found, bounds, strict=True))
        return found if inside else here.values

    def fresh(span: tuple[int, int], count: int, numbers: Sequence[int]) -> list[Update]:
        first, last = span
        width = last - first + 1
        pause = min(width, width // count + 1)
        stamps = (
            first + (numbers[0] * pause >> 16),
            *(last - (number * pause >> 16) for number in numbers[2:4:2]),
            *(first + (number * width >> 16) for number in numbers[4::2]),
        )
        return [Update(ts, 0, values(ts, noise)) for ts, noise in zip(stamps, numbers[1::2], strict=True)]

    return fresh
