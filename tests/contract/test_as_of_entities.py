"""Reference data as they were known at a time: random lives of a market's instruments, and copies taken in between."""

import random
from collections.abc import AsyncIterator
from typing import Any

import pytest

from core.datasets import SeriesKey
from core.references import EXCHANGE_METADATA, SPOT_INSTRUMENTS, Reference
from core.sources import Listing, Row
from core.stores.catalog import ListingCommit
from core.stores.entities_sql import entity_streams, unkept
from core.stores.export_sql import Question, columns_of
from core.stores.opening import open_store
from core.stores.sql_store import SQLStore
from core.windows import Window
from tests.fakes import ManualClock, row_of
from tests.stores import rounds

SOURCE = "coindesk"
FIRST = 1_750_000_000
ALWAYS = Window(0, 2**40)
# What a new name says of the old symbols, and when it was given, is not recorded beside it.
IMPLIED = {"base", "quote", "mapping_created_on"}
SEEDS = [pytest.param(0, 30, id="few"), pytest.param(30, 250, id="many", marks=pytest.mark.slow)]


class Lists:
    """A store that is given lists, an hour apart."""

    def __init__(self, store: SQLStore) -> None:
        self.store = store
        self.now = FIRST

    async def answer(self, key: SeriesKey, rows: list[Row]) -> None:
        self.now += 3_600
        [state] = await self.store.series(SOURCE, [key])
        listing = Listing(rows, self.now, len(rows))
        await self.store.write_listing(ListingCommit(state, SOURCE, listing, "r-1", is_trusted=True))

    async def exported(self, reference: Reference, *markets: str, **question: Any) -> list[dict[str, Any]]:
        def read(db: Any) -> list[dict[str, Any]]:
            columns = tuple(columns_of(db, reference.name))
            streams = entity_streams(db, reference, markets, (), Question(columns, **question))
            rows = [row for stream in streams for row in stream.read(ALWAYS)]
            assert {row[0] for row in rows} <= {None}
            return [dict(zip(columns, row[1:], strict=True)) for row in rows]

        return await self.store._db.run(read)


@pytest.fixture
async def lists(store_url: str) -> AsyncIterator[Lists]:
    store = await open_store(store_url, ManualClock(FIRST))
    yield Lists(store)
    await store.close()


class Market:
    """Instruments that are listed, change, are renamed, retired, delisted, come back, or lend their name to others."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.next_id = 100
        self.listed: list[Row] = [self.new(f"A{at}-USD") for at in range(6)]
        self.gone: list[Row] = []

    def new(self, name: str) -> Row:
        self.next_id += 1
        base, quote = name.split("-")
        given = {
            "instrument": name,
            "exchange_symbol": f"X{self.next_id}",
            "instrument_status": "ACTIVE",
            "base": base,
            "quote": quote,
            "base_id": self.next_id,
            "quote_id": 5,
            "mapping_created_on": self.next_id,
            "has_trades_spot": True,
            "total_trades_spot": 1,
        }
        return row_of("spot_instruments", **given)

    def happen(self) -> None:
        for _ in range(self.chance.randint(0, 4)):
            self.chance.choice(
                [self.alter, self.alter, self.rename, self.appear, self.delist, self.relist, self.reuse]
            )()

    def alter(self) -> None:
        row = self.chance.choice(self.listed)
        options: dict[str, list[Any]] = {
            "instrument_status": ["ACTIVE", "RETIRED", "IGNORED"],
            "histo_shard": ["a", "b", None],
            "transform_function": ["", "INVERT"],
            "has_trades_spot": [True, False, None],
            "first_trade_spot_timestamp": [None, 5, 6],
            "exchange_symbol": [row["exchange_symbol"], row["exchange_symbol"] + "x"],
            "total_trades_spot": [1, 2, 3],
        }
        for name in self.chance.sample(sorted(options), 2):
            row[name] = self.chance.choice(options[name])

    def rename(self) -> None:
        row = self.chance.choice(self.listed)
        self.next_id += 1
        row |= {"instrument": f"B{self.next_id}-USD", "base": f"B{self.next_id}", "mapping_created_on": self.next_id}

    def appear(self) -> None:
        self.listed.append(self.new(f"N{self.next_id}-USD"))

    def delist(self) -> None:
        if len(self.listed) > 2:
            self.gone.append(self.listed.pop(self.chance.randrange(len(self.listed))))

    def relist(self) -> None:
        names = {row["instrument"] for row in self.listed}
        back = [row for row in self.gone if row["instrument"] not in names]
        if back:
            self.listed.append(back[0])
            self.gone.remove(back[0])

    def reuse(self) -> None:
        """The name goes to another asset."""
        if len(self.listed) > 2:
            old = self.listed.pop(0)
            self.gone.append(old)
            self.listed.append(self.new(old["instrument"]))

    @property
    def rows(self) -> list[Row]:
        return [dict(row) for row in self.listed]


@pytest.mark.slow
@pytest.mark.parametrize(("first", "last"), SEEDS)
async def test_as_of_equals_a_copy_taken_then(lists: Lists, first: int, last: int) -> None:
    hidden = unkept(SPOT_INSTRUMENTS)
    for seed in range(first, first + rounds(lists.store.url, last - first)):
        key = SeriesKey("spot_instruments", f"market{seed}")
        market = Market(random.Random(seed))
        copies: list[tuple[int, list[dict[str, Any]]]] = []
        for _ in range(12):
            market.happen()
            await lists.answer(key, market.rows)
            copies.append((lists.now, await lists.exported(SPOT_INSTRUMENTS, key.market)))
        for at, then in copies:
            found = await lists.exported(SPOT_INSTRUMENTS, key.market, as_of=at)
            assert len(found) == len(then), (seed, at)
            for row, was in zip(found, then, strict=True):
                assert {name for name in hidden if row[name] is not None} == set()
                differ = {name for name in row if row[name] != was[name]} - hidden
                assert all(name in IMPLIED and row[name] is None for name in differ), (seed, at, differ, row, was)


async def test_what_was_not_recorded_is_empty_and_everything_else_is_there(lists: Lists) -> None:
    key = SeriesKey("spot_instruments", "kraken")
    market = Market(random.Random(1))
    await lists.answer(key, market.rows)
    begun, then = lists.now, await lists.exported(SPOT_INSTRUMENTS)
    market.listed[0] |= {"instrument": "NEW-USD", "base": "NEW", "histo_shard": "z"}
    market.delist()
    await lists.answer(key, market.rows)
    now = await lists.exported(SPOT_INSTRUMENTS)
    assert now[0]["instrument"] == "NEW-USD"
    assert [row["is_listed"] for row in now].count(0) == 1
    found = await lists.exported(SPOT_INSTRUMENTS, as_of=begun)
    assert found[0]["instrument"] == "A0-USD"
    assert (found[0]["base"], found[0]["quote_id"], found[0]["histo_shard"]) == (None, 5, None)
    assert found[1]["base"] == "A1"
    assert {row["is_listed"] for row in found} == {1}
    assert {row["changed"] for row in found} == {row["changed"] for row in then} == {begun}
    assert {row["last_seen"] for row in found} == {row["total_trades_spot"] for row in found} == {None}


async def test_before_the_first_list_nothing_was_known(lists: Lists) -> None:
    await lists.answer(SeriesKey("spot_instruments", "kraken"), Market(random.Random(1)).rows)
    assert await lists.exported(SPOT_INSTRUMENTS, as_of=FIRST) == []


async def test_what_changed_since(lists: Lists) -> None:
    key = SeriesKey("spot_instruments", "kraken")
    market = Market(random.Random(1))
    await lists.answer(key, market.rows)
    market.listed[2]["histo_shard"] = "z"
    market.appear()
    await lists.answer(key, market.rows)
    since = lists.now
    market.listed[3]["histo_shard"] = "y"
    await lists.answer(key, market.rows)
    found = await lists.exported(SPOT_INSTRUMENTS, changed_since=since)
    assert [row["instrument"] for row in found] == ["A2-USD", "A3-USD", market.listed[6]["instrument"]]
    found = await lists.exported(SPOT_INSTRUMENTS, changed_since=since, as_of=since)
    assert [row["instrument"] for row in found] == ["A2-USD", market.listed[6]["instrument"]]


async def test_lists_and_flags_come_back_as_they_are_stored(lists: Lists) -> None:
    key = SeriesKey("exchange_metadata", "spot")
    row = row_of("exchange_metadata", market="kraken", id=1, exchange_status="ACTIVE", has_spot_trading=True)
    await lists.answer(key, [{**row, "spot_trading_mechanisms": '[{"NAME":"CLOB"}]'}])
    at, then = lists.now, await lists.exported(EXCHANGE_METADATA)
    await lists.answer(key, [{**row, "has_spot_trading": None, "spot_trading_mechanisms": None}])
    [found], [was] = await lists.exported(EXCHANGE_METADATA, as_of=at), then
    assert found["spot_trading_mechanisms"] == '[{"NAME":"CLOB"}]'
    assert (found["has_spot_trading"], type(found["has_spot_trading"])) == (1, int)
    assert {name for name in found if found[name] != was[name]} <= unkept(EXCHANGE_METADATA)
