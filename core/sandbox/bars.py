"""Bars in integers, and how one is split into shorter ones that add up to it exactly.

Prices are ticks, volumes are lots, and `values` is what lots times price comes to, so that sums and
comparisons are exact. A bar is drawn before its parts: `split` finds parts whose opens, highs, lows,
closes, stamps, counts, lots and values reproduce the parent. Two rules make that always possible:
every part that trades has at least one trade of every component (buy, sell ...), and the average
price of a parent keeps away from its low and high, so that parts can stay inside.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate, pairwise
from math import exp
from typing import NamedTuple

DRAWS = 22
_FULL = 65_536


class Trade(NamedTuple):
    """A trade that a bar reports. `rank` orders trades of one second: first -1, last 1, others 0."""

    ts: int
    rank: int
    price: int


class Marks(NamedTuple):
    """The trades that a bar reports; of equal prices the earliest is the high or the low."""

    first: Trade
    high: Trade
    low: Trade
    last: Trade

    def in_order(self) -> list[Trade]:
        """Each once, in order of time."""
        return sorted(set(self))


class Bar(NamedTuple):
    """One bar. `opening` is the close before it; the tuples hold one entry a component.

    An idle bar has no marks and empty tuples.
    """

    start: int
    opening: int
    marks: Marks | None = None
    counts: tuple[int, ...] = ()
    lots: tuple[int, ...] = ()
    values: tuple[int, ...] = ()

    @property
    def closing(self) -> int:
        return self.opening if self.marks is None else self.marks.last.price


class Terms(NamedTuple):
    """How lots and price make a value: lots x price, or for inverse contracts scale x lots / price."""

    scale: int | None = None

    def value(self, lots: int, price: int, part: int) -> int:
        """Value of `lots` at a price `part`/65536 of a tick above `price`."""
        if self.scale is None:
            return lots * price + (lots * part >> 16)
        return lots * self.scale * _FULL // (price * _FULL + part)

    def bounds(self, lots: int, low: int, high: int) -> tuple[int, int]:
        """The smallest and largest value `lots` can have at prices low..high."""
        if self.scale is None:
            return lots * low, lots * high
        total = lots * self.scale
        return -(-total // high), total // low

    def prices(self, lots: int, value: int) -> tuple[int, int]:
        """The ticks just below and just above the average price."""
        if self.scale is None:
            return value // lots, -(-value // lots)
        total = lots * self.scale
        return total // value, -(-total // value)


class Grid(NamedTuple):
    """How a bar is cut: `slots` parts of `size` seconds, of which `open` may trade.

    A trading part gets at least `floor` trades of each component; 0 means just as many as the
    trades it reports need. New trades stay `inset` ticks inside the range of the bar that is cut,
    so only the trades it reports reach its high and low. `margin` is the distance in ticks that the
    parts' own averages keep from their lows and highs: less than `inset` here and more than the
    `inset` of the next cut (0 for bars that are not cut again).
    """

    slots: int
    size: int
    floor: int
    inset: int
    margin: int
    open: Callable[[int], bool]


def trading(start: int, opening: int, marks: Sequence[Trade], sums: Sequence[tuple[int, ...]]) -> Bar:
    """A bar that reports trades out of `marks`; `sums` is counts, lots, values."""
    ordered = sorted(marks)
    # Trades drawn later for the same second must fall between the first and the last one.
    ordered[0] = ordered[0]._replace(rank=-1)
    ordered[-1] = ordered[-1]._replace(rank=1)
    high = low = ordered[0]
    for mark in ordered:
        if mark.price > high.price:
            high = mark
        if mark.price < low.price:
            low = mark
    return Bar(start, opening, Marks(ordered[0], high, low, ordered[-1]), *sums)


def share(total: int, weights: Sequence[int]) -> list[int]:
    """`total` cut into integers in proportion to `weights` (not all zero), summing to it exactly."""
    whole = sum(weights)
    edges = [total * reached // whole for reached in accumulate(weights)]
    return [edges[0], *(b - a for a, b in pairwise(edges))]


def fit(total: int, wanted: Iterable[int], bounds: Sequence[tuple[int, int]]) -> list[int]:
    """Integers near `wanted`, within `bounds`, that sum to `total`."""
    fitted = [min(max(value, low), high) for value, (low, high) in zip(wanted, bounds, strict=True)]
    rest = total - sum(fitted)
    if rest == 0:
        return fitted
    if rest > 0:
        room = [high - value for value, (_, high) in zip(fitted, bounds, strict=True)]
    else:
        room = [value - low for value, (low, _) in zip(fitted, bounds, strict=True)]
    if sum(room) < abs(rest):
        # Only rounding of inverse contracts gets here; the sum matters more than the last digit.
        fitted[fitted.index(max(fitted))] += rest
        return fitted
    step = 1 if rest > 0 else -1
    return [value + step * part for value, part in zip(fitted, share(abs(rest), room), strict=True)]


def split(bar: Bar, grid: Grid, terms: Terms, draws: Sequence[int]) -> list[Bar]:
    """The parts of a bar, one for each slot of `grid`, idle ones included.

    `draws` holds `DRAWS` numbers in [0, 65536) a slot.
    """
    if bar.marks is None:
        return [Bar(bar.start + slot * grid.size, bar.opening) for slot in range(grid.slots)]
    marks = bar.marks.in_order()
    hosts: dict[int, list[Trade]] = {}
    for mark in marks:
        hosts.setdefault((mark.ts - bar.start) // grid.size, []).append(mark)
    active = _active(bar, grid, hosts, draws)
    path = path_of(marks)
    low, high = bar.marks.low.price + grid.inset, bar.marks.high.price - grid.inset
    half = grid.size // 2
    mids = [min(max(path(bar.start + slot * grid.size + half), low), high - 1) for slot, _ in active]
    filled = _partition(bar, active, mids, (low, high), terms, draws)
    sums = {slot: part for (slot, _), part in zip(active, filled, strict=True)}
    return _parts(bar, grid, hosts, sums, (low, high), path, terms, draws)


def _active(bar: Bar, grid: Grid, hosts: dict[int, list[Trade]], draws: Sequence[int]) -> list[tuple[int, int]]:
    """Slots that trade, ascending, each with the least number of trades of every component."""
    kinds = len(bar.counts)
    least = grid.floor or 1
    chosen = {slot: grid.floor or (len(marks) + 2 + kinds - 1) // kinds for slot, marks in hosts.items()}
    budget = min(bar.counts) - sum(chosen.values())
    free = [s for s in range(min(hosts), max(hosts) + 1) if s not in hosts and grid.open(s)]
    if free:
        per_slot = sum(bar.counts) / (kinds * least * len(free))
        odds = int(_FULL * (1.0 - exp(-0.8 * per_slot)))
        for slot in free:
            if draws[slot * DRAWS] < odds and budget >= least:
                chosen[slot] = least
                budget -= least
    return sorted(chosen.items())


def path_of(marks: Sequence[Trade]) -> Callable[[int], int]:
    """The price at any second between `marks` (ascending), by straight lines."""
    legs = [(a.ts, b.ts, a.price, b.price) for a, b in pairwise(marks) if b.ts > a.ts]
    before, after = marks[0], marks[-1]

    def price(ts: int) -> int:
        if ts <= before.ts:
            return before.price
        for start, end, low, high in legs:
            if ts <= end:
                return low + (high - low) * (ts - start) // (end - start)
        return after.price

    return price


def _partition(
    bar: Bar,
    active: Sequence[tuple[int, int]],
    mids: Sequence[int],
    span: tuple[int, int],
    terms: Terms,
    draws: Sequence[int],
) -> list[tuple[tuple[int, ...], ...]]:
    """Counts, lots and values of every active slot, each a tuple over components."""
    columns = []
    for kind, (count, lots, value) in enumerate(zip(bar.counts, bar.lots, bar.values, strict=True)):
        at = 1 + 3 * kind
        spare = count - sum(least for _, least in active)
        weights = [(draws[s * DRAWS + at] * draws[s * DRAWS + 21] >> 16) + 400 for s, _ in active]
        counts = [least + more for (_, least), more in zip(active, share(spare, weights), strict=True)]
        weights = [n * (draws[s * DRAWS + at + 1] + 20_000) for n, (s, _) in zip(counts, active, strict=True)]
        sizes = [n + more for n, more in zip(counts, share(lots - count, weights), strict=True)]
        wanted = [
            terms.value(size, mid, draws[s * DRAWS + at + 2])
            for size, mid, (s, _) in zip(sizes, mids, active, strict=True)
        ]
        values = fit(value, wanted, [terms.bounds(size, *span) for size in sizes])
        columns.append((counts, sizes, values))
    per_slot = zip(*(zip(*column, strict=True) for column in columns), strict=True)
    return [tuple(zip(*kinds, strict=True)) for kinds in per_slot]


def _parts(
    bar: Bar,
    grid: Grid,
    hosts: dict[int, list[Trade]],
    sums_of: dict[int, tuple[tuple[int, ...], ...]],
    span: tuple[int, int],
    path: Callable[[int], int],
    terms: Terms,
    draws: Sequence[int],
) -> list[Bar]:
    begin, end = hosts[min(hosts)][0].ts, hosts[max(hosts)][-1].ts
    opening = bar.opening
    bars = []
    for slot in range(grid.slots):
        start = bar.start + slot * grid.size
        sums = sums_of.get(slot)
        if sums is None:
            bars.append(Bar(start, opening))
            continue
        window = max(start, begin), min(start + grid.size - 1, end)
        numbers = draws[slot * DRAWS + 13 : slot * DRAWS + 21]
        needed = _needed(sums, grid.margin, terms)
        drawn = _drawn(sum(sums[0]) - len(hosts.get(slot, ())), window, needed, span, path, numbers)
        part = trading(start, opening, [*hosts.get(slot, ()), *drawn], sums)
        opening = part.closing
        bars.append(part)
    return bars


def _needed(sums: tuple[tuple[int, ...], ...], margin: int, terms: Terms) -> tuple[int, int]:
    """The low and the high a part must reach for the average prices of its components."""
    pairs = [terms.prices(lots, value) for lots, value in zip(sums[1], sums[2], strict=True)]
    return min(low for low, _ in pairs) - margin, max(high for _, high in pairs) + margin


def _drawn(
    room: int,
    window: tuple[int, int],
    needed: tuple[int, int],
    span: tuple[int, int],
    path: Callable[[int], int],
    numbers: Sequence[int],
) -> list[Trade]:
    """Two to four new trades in `window` (seconds, inclusive) that reach the `needed` prices.

    With four, two are as near to the ends as `room`, the number of trades to come, makes likely.
    """
    first, last = window
    width = last - first + 1
    pause = min(width, 3 * width // room + 1)
    swing = span[1] - span[0]
    trades = []
    for i in range(4 if room >= 4 else 2):
        ts = first + (numbers[2 * i] * (width if i < 2 else pause) >> 16)
        if i == 3:
            ts = last + first - ts
        price = path(ts) + ((numbers[2 * i + 1] - 32_768) * swing >> 19)
        price = min(max(price, span[0]), span[1])
        if i == 0:
            price = max(price, needed[1])
        elif i == 1:
            price = min(price, needed[0])
        trades.append(Trade(ts, 0, price))
    return trades


def joined(start: int, bars: Sequence[Bar]) -> Bar:
    """One bar made of consecutive ones (at least one)."""
    marks = [mark for bar in bars if bar.marks for mark in bar.marks]
    if not marks:
        return Bar(start, bars[0].opening)
    busy = [bar for bar in bars if bar.marks]
    sums = [
        tuple(map(sum, zip(*column, strict=True)))
        for column in zip(*((bar.counts, bar.lots, bar.values) for bar in busy), strict=True)
    ]
    return trading(start, bars[0].opening, marks, sums)


def elapsed(bar: Bar, until: int, seconds: int, terms: Terms) -> Bar:
    """The part of a running bar of `seconds` that has happened before `until`."""
    marks = [mark for mark in bar.marks or () if mark.ts < until]
    if not marks:
        return Bar(bar.start, bar.opening)
    done = until - bar.start
    counts = tuple(max(1, count * done // seconds) for count in bar.counts)
    lots = tuple(max(now, lot * done // seconds) for now, lot in zip(counts, bar.lots, strict=True))
    prices = [mark.price for mark in marks]
    values = []
    for lot, whole, value in zip(lots, bar.lots, bar.values, strict=True):
        low, high = terms.bounds(lot, min(prices), max(prices))
        values.append(min(max(value * lot // whole, low), high))
    return trading(bar.start, bar.opening, marks, (counts, lots, tuple(values)))
