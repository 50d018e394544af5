"""A look through the store without a call: every check over every closed bar, intervals against one another."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from core.datasets import SeriesKey
from core.findings import NEWEST_BARS, Check, Finding, examine, joined
from core.monitoring.reconcile import Guilty, compositions, reconcile
from core.stores.bars import BarStore, StoredSeries
from core.stores.selection import Selection
from core.windows import DAY, GRAINS, Window, clip

CHECKED_BARS = 20_000
RECONCILED_SECONDS = 28 * DAY.seconds


class Suspicion(NamedTuple):
    key: SeriesKey
    finding: Finding


@dataclass(slots=True)
class Looked:
    """What a look through the store saw. `defects` are checks of others that failed, by name."""

    series: int = 0
    bars: int = 0
    findings: list[Suspicion] = field(default_factory=list)
    guilty: list[Guilty] = field(default_factory=list)
    defects: dict[str, Exception] = field(default_factory=dict)


async def look_through(store: BarStore, selection: Selection, span: Window, checks: Mapping[str, Check]) -> Looked:
    """Check the selected series within `span`, and reconcile them with their other intervals. Raises StoreError."""
    looked = Looked()
    families: set[SeriesKey] = set()
    for series in await store.stored(selection):
        looked.series += 1
        looked.findings += await _check(store, series, clip(series.span, span), checks, looked)
        families.add(series.key._replace(interval=""))
    for family in sorted(families):
        looked.guilty += await _reconcile(store, family, span)
    return looked


async def _check(
    store: BarStore, series: StoredSeries, span: Window, checks: Mapping[str, Check], looked: Looked
) -> list[Suspicion]:
    step = GRAINS[series.key.interval].seconds
    found: list[Finding] = []
    for part in _parts(span, CHECKED_BARS * step):
        # Checks judge a bar by those before it.
        bars = await store.bars(series, Window(part.start - NEWEST_BARS * step, part.end))
        looked.bars += sum(ts >= part.start for ts in bars.ts)
        if part.end < series.span.end:
            bars = replace(bars, asked_until=None)
        found += [each for each in examine(bars, checks, looked.defects.__setitem__) if each.window.end > part.start]
    return [Suspicion(series.key, finding) for finding in joined(found)]


async def _reconcile(store: BarStore, family: SeriesKey, span: Window) -> list[Guilty]:
    named = Selection((family.data_type,), (family.market,), (family.instrument,))
    kin = {each.key.interval: each for each in await store.stored(named) if each.key.instrument == family.instrument}
    if len(kin) < 2:
        return []
    columns = tuple(compositions(family.data_type))
    whole = Window(min(each.span.start for each in kin.values()), max(each.span.end for each in kin.values()))
    guilty: list[Guilty] = []
    for part in _parts(clip(whole, span), RECONCILED_SECONDS):
        guilty += reconcile({name: await store.bars(series, part, columns) for name, series in kin.items()})
    return guilty


def _parts(span: Window, seconds: int) -> Iterator[Window]:
    """`span` cut where multiples of `seconds` lie, so that days stay whole."""
    start = span.start
    while start < span.end:
        end = min(span.end, (start // seconds + 1) * seconds)
        yield Window(start, end)
        start = end
