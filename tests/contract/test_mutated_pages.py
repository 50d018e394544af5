"""100,000 wounded pages: no crash, nothing impossible is stored, every refused row is kept with its reason.

Rows in = stored + unchanged + quarantined, exactly: rows in are counted by another JSON reader.
"""

import json
import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from core.coverage import SeriesState
from core.datasets import SeriesKey
from core.engine.ingest import Ingest, Outcome, Request
from core.errors import Malformed, SourceError
from core.monitoring.quality import Checked, check_page
from core.planner import BACKFILL, Fetch, SeriesPlan
from core.sources import Page, RejectedRow
from core.sources.coindesk import CoinDeskSource
from core.sources.decode import decode_page
from core.sources.http import Answer
from core.stores.opening import open_store
from core.stores.sql_store import SQLStore
from core.windows import GRAINS
from tests.fakes import VirtualClock
from tests.mutation import NOW, Asked, adds_up, is_valid, right_pages, wounded
from tests.stores import rounds

OF_ANY_TYPE = ({"A": 1}, [], [[{}]], "", "a\0b", None, True, -1, 0.5, 2**70)
DATE = "Sun, 15 Jun 2025 18:00:00 GMT"


@pytest.fixture(scope="module")
def pages() -> list[Asked]:
    return list(right_pages())


def rows_in(body: bytes) -> int:
    """How many rows an answer that could be read has."""
    return len(json.loads(body.decode("utf-8", "replace"), strict=False)["Data"])


def assert_sound(asked: Asked, checked: Checked) -> None:
    """Every usable row is possible; those that do not add up are stored only when most of a page are such."""
    rows = [dict(zip(("ts", *checked.columns), row, strict=True)) for row in checked.rows]
    assert all(is_valid(asked, row) for row in rows), asked.body
    odd = sum(not adds_up(asked, row) for row in rows)
    disputed = sum(row.reason == "conflicting_rows" for row in checked.rejected)
    others = checked.repeats + disputed
    assert not odd or 2 * (odd + others) > len(rows) + others, asked.body
    assert all(row.reason and row.detail and len(row.raw) <= 4_096 for row in checked.rejected)


def examine(asked: Asked) -> tuple[int, int, str]:
    """Rows in and rows accounted for of one answer, and what became of it."""
    try:
        unit = GRAINS[asked.key.interval].unit
        found = decode_page(asked.dataset, asked.groups, asked.body, unit, asked.key.market, asked.key.instrument)
        page = Page(found.rows, NOW, found.rejected, is_bounded=found.is_bounded, is_meant=found.is_meant)
        checked = check_page(asked.dataset, asked.key, asked.groups, asked.window, page, None)
    except Malformed as error:
        return 1, int(bool(error.reason)), "refused"
    assert_sound(asked, checked)
    known = len(checked.rows) + checked.repeats + len(checked.rejected) + checked.surplus
    return rows_in(asked.body), known, "partly" if checked.rejected else "accepted"


def examine_many(pages: Sequence[Asked], seed: int, count: int) -> Counter[str]:
    chance = random.Random(seed)
    fates: Counter[str] = Counter()
    for _ in range(count):
        asked = wounded(chance.choice(pages), chance)
        came, known, fate = examine(asked)
        assert came == known, asked.body
        fates[fate] += 1
    return fates


def test_right_pages_are_accepted_whole(pages: list[Asked]) -> None:
    assert len(pages) == 30
    assert {examine(asked) for asked in pages} == {(8, 8, "accepted")}


@pytest.mark.slow
def test_wounded_pages_crash_nothing_and_bring_nothing_in(pages: list[Asked], seed: int) -> None:
    fates = examine_many(pages, seed, 2_000)
    assert min(fates[fate] for fate in ("refused", "partly", "accepted")) > 100, fates


def with_first(body: bytes, field: str, value: object) -> bytes:
    """`body` with another value in one field of its first row."""
    answer = json.loads(body)
    answer["Data"][0][field] = value
    return json.dumps(answer).encode()


class Canned(CoinDeskSource):
    """The vendor's client, with the answer given instead of fetched."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__("http://127.0.0.1:1", clock=clock)
        self.body = b""

    async def _get(self, path: str, params: Any) -> Answer:
        answer = Answer(200, {"Date": DATE, "X-RateLimit-Limit": "0"}, self.body)
        self._learn(answer)
        return answer


@pytest.mark.slow
async def test_a_value_of_any_type_in_any_field_of_the_first_row_crashes_nothing(pages: list[Asked]) -> None:
    source = Canned(VirtualClock(NOW))
    for asked in pages:
        kinds = {column.name: column.kind for column in asked.dataset.constants}
        for field in json.loads(asked.body)["Data"][0]:
            for value in OF_ANY_TYPE:
                source.body = with_first(asked.body, field, value)
                page = await source.history(asked.dataset, asked.key, asked.window, asked.groups)
                told = page.constants()
                assert all(type(told[name]) is kind for name, kind in kinds.items() if name in told), source.body


class Ledger:
    """What went into a store, added up."""

    def __init__(self, store: SQLStore, clock: VirtualClock) -> None:
        self.source = Canned(clock)
        self.store = store
        self.fetched = self.kept = self.quarantined = 0
        self._ingest = Ingest(self.source, store, check_page, clock)
        self._states: dict[SeriesKey, SeriesState] = {}

    async def take(self, asked: Asked) -> None:
        """One answer through decoding, gate and store; rows in must be rows out."""
        state = self._states.get(asked.key) or (await self.store.series("coindesk", [asked.key]))[0]
        plan = SeriesPlan(state, asked.window, (asked.window,), (), ())
        fetch = Fetch(state, asked.window, BACKFILL)
        self.source.body = asked.body
        try:
            outcome = await self._ingest.window(Request(fetch, asked.dataset, asked.groups, state, plan, "r-1"))
        except Malformed as error:
            record = RejectedRow(error.reason, str(error), error.raw.decode("utf-8", "replace"))
            await self.store.quarantine(state, asked.window, record, "r-1")
            self.fetched += 1
            self.quarantined += 1
        except SourceError:
            return  # a 200 that says in `Err` that it is none
        else:
            self._states[asked.key] = outcome.state
            self._count(asked, outcome)

    def _count(self, asked: Asked, outcome: Outcome) -> None:
        written = outcome.written
        assert written is not None
        kept = written.inserted + written.updated + written.unchanged
        assert outcome.fetched == kept + written.quarantined, asked.body
        self.fetched += outcome.fetched
        self.kept += kept
        self.quarantined += written.quarantined


@pytest.mark.parametrize("count", [1_500, pytest.param(100_000, marks=[pytest.mark.slow, pytest.mark.timeout(600)])])
async def test_wounded_pages_through_a_real_store(pages: list[Asked], seed: int, store_url: str, count: int) -> None:
    chance = random.Random(seed)
    clock = VirtualClock(NOW)
    store = await open_store(store_url, clock.wall)
    try:
        ledger = Ledger(store, clock)
        for _ in range(max(1_500, rounds(store_url, count))):
            await ledger.take(wounded(chance.choice(pages), chance))
        assert ledger.fetched == ledger.kept + ledger.quarantined
        [(sightings, unexplained)] = await query(
            store, "SELECT sum(sightings), sum(CAST(reason = '' OR detail = '' AS INTEGER)) FROM quarantine"
        )
        assert (sightings, unexplained) == (ledger.quarantined, 0)
        await assert_nothing_impossible(store, pages)
    finally:
        await store.close()


async def assert_nothing_impossible(store: SQLStore, pages: list[Asked]) -> None:
    seen = 0
    for asked in pages:
        names = ["ts", *(column.name for column in asked.dataset.columns if column.group in asked.groups)]
        where = "data_type = ? AND interval = ?"
        found = await query(
            store,
            f"SELECT {', '.join(names)} FROM {asked.key.data_type} JOIN series ON id = series_id WHERE {where}",
            (asked.key.data_type, asked.key.interval),
        )
        stored = [dict(zip(names, row, strict=True)) for row in found]
        assert all(is_valid(asked, row) for row in stored)
        seen += len(stored)
    assert seen >= 30 * 8


async def query(store: SQLStore, sql: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    return await store._db.run(lambda db: db.execute(sql, values).fetchall())
