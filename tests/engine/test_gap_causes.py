"""Two hundred gaps of six causes in a sandbox of a dozen series: what is told of them, and what a repair costs."""

import random
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from engine_kit import NOW, Kit, ask
from gate_kit import Vendor

from core.causes import (
    DELISTED,
    FAILED_FETCH,
    INSTRUMENT_SILENT,
    MARKET_SILENT,
    REJECTED_ROWS,
    UNEXPLAINED,
    VENDOR_SHORT_PAGE,
)
from core.datasets import page_seconds
from core.operations import Operation
from core.sandbox.catalog import Catalog, Instrument
from core.stores.explain_sql import explained_gaps, failed_windows
from core.stores.selection import EVERYTHING
from core.windows import HOUR, Window, bundle, intersect, iso, merge, pages, subtract
from tests.accounts import assert_accounted

STEP = HOUR.seconds
END = NOW - 2 * 86_400
SPAN = Window(END - 4_500 * STEP, END)
PAGES = list(pages(SPAN, page_seconds(HOUR), newest_first=False))
FAULTS_END = NOW + 3_600
SERIES, RETIRED = 12, 5

Place = tuple[str, int, int]


class Planted(NamedTuple):
    """Faults as the sandbox takes them, and the gaps that they have to leave: (instrument, start, end) to cause."""

    faults: list[dict[str, Any]]
    causes: dict[Place, str]


class Planter:
    """Draws places for gaps that touch neither each other nor, unless they mean to, the edge of a page."""

    def __init__(self, chance: random.Random, names: list[str]) -> None:
        self.chance = chance
        self.names = names
        self.causes: dict[Place, str] = {}
        self.spoiled: list[dict[str, Any]] = []
        self.lost: list[dict[str, Any]] = []
        self._taken: dict[str, list[Window]] = defaultdict(list)
        self._closed: dict[str, list[Window]] = defaultdict(list)

    def window(self, names: list[str], most: int) -> Window:
        """Up to `most` bars in the middle of a page, away from what was planted in any of `names`."""
        while True:
            page = self.chance.choice(PAGES)
            bars = self.chance.randint(1, most)
            start = self.chance.randrange(page.start + 30 * STEP, page.end - (bars + 30) * STEP, STEP)
            window = Window(start, start + bars * STEP)
            around = Window(window.start - 2 * STEP, window.end + 2 * STEP)
            if not any(intersect([around], self._taken[name]) for name in names):
                return window

    def place(self, most: int) -> tuple[str, Window]:
        """Somewhere in one instrument, on a page that is answered."""
        while True:
            name = self.chance.choice(self.names)
            window = self.window([name], most)
            if self.is_answered(name, window):
                return name, window

    def is_answered(self, name: str, window: Window) -> bool:
        return not intersect([window], self._closed[name])

    def plant(self, name: str, window: Window, cause: str) -> None:
        self._taken[name].append(window)
        self.causes[name, *window] = cause

    def fail(self, name: str, page: Window) -> None:
        """A page that is refused until the faults end."""
        self._closed[name].append(page)
        self.causes[name, *page] = FAILED_FETCH
        self.lost.append({"query": {"instrument": name, "to_ts": str(page.end - STEP)}, "status": 503})

    def silent_market(self, ends: dict[str, int]) -> None:
        """Nobody of kraken has a bar then, whoever of `ends` is dead already excepted."""
        window = self.window(self.names, 12)
        while any(abs(end - window.start) < 86_400 for end in ends.values()):
            window = self.window(self.names, 12)
        for name in (*self.names, *(name for name, end in ends.items() if end > window.start)):
            if self.is_answered(name, window):
                self.plant(name, window, MARKET_SILENT)
        self.lost.append({"query": {"market": "kraken"}, "drop_span": {"from": window.start, "to": window.end}})

    def silent_instrument(self) -> None:
        name, window = self.place(40)
        self.plant(name, window, INSTRUMENT_SILENT)
        self.lost.append({"query": {"instrument": name}, "drop_span": {"from": window.start, "to": window.end}})

    def bad_rows(self) -> None:
        name, window = self.place(3)
        page = next(page for page in PAGES if page.start <= window.start < page.end)
        first = (window.start - page.start) // STEP
        self.plant(name, window, REJECTED_ROWS)
        spoil = self.chance.choice([{"VOLUME": -1}, {"HIGH": {"raw": "null"}}, {"CLOSE": "1.5"}, {"TIMESTAMP": "soon"}])
        rows = list(range(first, first + HOUR.bars(window)))
        query = {"instrument": name, "to_ts": str(page.end - STEP)}
        self.spoiled.append({"query": query, "mutate": {"rows": rows, "set": spoil}})

    def short_page(self, name: str, edge: int) -> None:
        """The older page ends early, or the newer one begins late."""
        bars = self.chance.randint(1, 20)
        is_end = self.chance.random() < 0.5
        window = Window(edge - bars * STEP, edge) if is_end else Window(edge, edge + bars * STEP)
        page = next(page for page in PAGES if edge == (page.end if is_end else page.start))
        self.plant(name, window, VENDOR_SHORT_PAGE)
        query = {"instrument": name, "to_ts": str(page.end - STEP)}
        cut = {"short": bars} if is_end else {"drop": list(range(bars))}
        self.spoiled.append({"query": query, **cut})

    @property
    def faults(self) -> list[dict[str, Any]]:
        """What goes by a row's place in the page comes before anything that moves rows."""
        spoiled = sorted(self.spoiled, key=lambda rule: "mutate" not in rule)
        return [{**rule, "until": FAULTS_END} for rule in [*spoiled, *self.lost]]


def plant(chance: random.Random, living: list[str], dead: list[Instrument]) -> Planted:
    """About 220 gaps."""
    planter = Planter(chance, living)
    edges = [page.end for page in PAGES[:-1]]
    failing, others = living[:4], living[4:]
    for name in failing:
        planter.fail(name, chance.choice(PAGES))
    for name in others:
        for edge in edges:
            planter.short_page(name, edge)
    ends = {one.mapped: max(SPAN.start, HOUR.floor(one.series.last or 0) + STEP) for one in dead}
    for _ in range(6):
        planter.silent_market(ends)
    for _ in range(60):
        planter.silent_instrument()
    for _ in range(55):
        planter.bad_rows()
    for name, end in ends.items():
        for page in PAGES:
            if page.end > end:
                planter.plant(name, Window(max(page.start, end), page.end), DELISTED)
    return Planted(planter.faults, planter.causes)


def cast() -> tuple[list[str], list[Instrument], list[str]]:
    """Instruments of kraken that live through the span, some that do not, and which of the living are idle at times."""
    listed = Catalog(7).instruments["spot"]["kraken"].values()
    living = [one for one in listed if one.status == "ACTIVE" and one.series.first < SPAN.start - 86_400]
    idlest = sorted(living, key=lambda one: -one.series.idle_days)[:2]
    rest = [one for one in living if one not in idlest][: SERIES - 2]
    dead = [one for one in listed if one.series.last is not None and one.series.last < SPAN.end - 30 * 86_400]
    chosen = [one.mapped for one in (*rest, *idlest)]
    return chosen, dead[:RETIRED], [one.mapped for one in idlest]


def operation(names: list[str], **fields: Any) -> Operation:
    return ask(instrument=",".join(names), interval="1h", start=iso(SPAN.start), end=iso(SPAN.end), **fields)


def repair(**fields: Any) -> Operation:
    given = {"instrument": None, "start": None, "end": None, "interval": "1h", "repair": "open"}
    return ask(**{**given, **fields})


async def told(kit: Kit) -> dict[Place, str]:
    """What the store says of every gap and failed window."""
    gaps = await kit.store._db.run(explained_gaps, EVERYTHING)
    failed = await kit.store._db.run(failed_windows, EVERYTHING)
    found = {(each.key.instrument, *each.gap.window): each.explanation.cause for each in gaps}
    return {**found, **{(each.key.instrument, *each.window): FAILED_FETCH for each in failed}}


async def written(kit: Kit) -> dict[Place, str]:
    rows = await kit.query('SELECT instrument, start, "end", cause FROM gap JOIN series ON series.id = gap.series_id')
    return {(row[0], row[1], row[2]): row[3] for row in rows}


@pytest.mark.slow
async def test_gaps_are_explained_and_closed_by_as_few_calls_as_it_takes(kit: Kit, tmp_path: Path, seed: int) -> None:
    living, dead, idle = cast()
    planted = plant(random.Random(seed), living, dead)
    assert len(planted.causes) >= 200
    vendor = Vendor(kit, tmp_path, planted.faults)
    job = await kit.run(operation([*living, *(one.mapped for one in dead)]))
    assert job.state == "complete_with_gaps"
    assert not [call for call in vendor.calls if not call.is_history]

    found = await told(kit)
    wrong = {place: (cause, found.get(place)) for place, cause in planted.causes.items() if found.get(place) != cause}
    assert len(wrong) + len(found.keys() - planted.causes.keys()) <= 0.02 * len(planted.causes), wrong
    assert set(found) == set(planted.causes), "an idle bar is data, no gap"
    assert set((await written(kit)).values()) <= set(found.values()) - UNEXPLAINED
    assert await written(kit) == {place: cause for place, cause in found.items() if cause != FAILED_FETCH}
    # Nobody has seen any of them twice, so none is held to be final.
    assert await kit.query("SELECT DISTINCT sightings FROM gap") == [(1,)]
    quiet = f"SELECT count(*) FROM spot_ohlcv_1h WHERE instrument IN ('{idle[0]}', '{idle[1]}') AND total_trades = 0"
    assert (await kit.query(quiet))[0][0] > 100

    # While the faults last nothing gets better, and what is seen again is confirmed.
    await kit.clock.sleep(2_400)
    mark = len(vendor.calls)
    await kit.run(repair(instrument=living[-1]))
    assert {call.instrument for call in vendor.since(mark)} == {living[-1]}
    again = slots(await told(kit), living[-1])
    assert again == slots(planted.causes.keys() - met_by_place(planted, living[-1]), living[-1])
    sightings = "SELECT DISTINCT sightings FROM gap JOIN series ON series.id = gap.series_id WHERE instrument = '{}'"
    assert await kit.query(sightings.format(living[-1])) == [(2,)]

    await kit.clock.sleep(2 * 3_600)
    open_ = {place for place, cause in (await told(kit)).items() if cause != DELISTED and place[0] != living[-1]}
    mark = len(vendor.calls)
    closing = await kit.run(repair())
    calls = vendor.since(mark)
    counters = closing.counters
    assert (counters.requests, counters.metadata_requests, counters.retries) == (len(calls), 0, 0)
    assert_only_what_it_takes(calls, open_)
    left = await told(kit)
    assert {place for place in left if place[0] != living[-1]} == {
        place for place, cause in planted.causes.items() if cause == DELISTED
    }
    # Those that were seen twice are due in a week; they may be asked for sooner.
    await kit.run(repair(repair="all", instrument=living[-1]))
    assert set((await told(kit)).values()) == {DELISTED}
    await kit.store._db.run(assert_accounted)
    mark = len(vendor.calls)
    nothing = await kit.run(repair())
    assert (nothing.state, vendor.since(mark)) == ("complete", [])


def slots(places: Iterable[Place], name: str) -> list[Window]:
    """What is missing of an instrument, wherever pages have cut it."""
    return merge(Window(start, end) for who, start, end in places if who == name)


def met_by_place(planted: Planted, name: str) -> set[Place]:
    """Faults by the place in a page do not meet a page that is cut elsewhere."""
    by_place = {VENDOR_SHORT_PAGE, REJECTED_ROWS}
    return {place for place, cause in planted.causes.items() if place[0] == name and cause in by_place}


def assert_only_what_it_takes(calls: list[Any], open_: set[Place]) -> None:
    """Every call is a page that a gap lies in; no series could have done with fewer; nothing else was asked."""
    for name in {place[0] for place in open_}:
        holes = merge(Window(start, end) for who, start, end in open_ if who == name)
        asked = [call.window for call in calls if call.instrument == name]
        assert subtract(holes, asked) == []
        assert all(intersect([window], holes) for window in asked)
        assert len(asked) == len(bundle(holes, page_seconds(HOUR)))
    assert {call.instrument for call in calls} == {place[0] for place in open_}
    assert all(call.is_history for call in calls)
