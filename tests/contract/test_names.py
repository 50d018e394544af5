"""Names of instruments are swapped, given away, taken back and lost: a series is of one instrument for good."""

import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import pytest

from core.datasets import SeriesKey
from core.sources import Listing, Row
from core.stores.catalog import ListingCommit
from core.stores.opening import open_store
from core.stores.sql_store import SQLStore
from tests.fakes import ManualClock, row_of

SOURCE = "coindesk"
LIST = SeriesKey("spot_instruments", "kraken")


@dataclass
class Being:
    """An instrument as the exchange sees it: `id` is that of its asset."""

    id: int
    name: str
    symbol: str
    is_listed: bool = True

    @property
    def row(self) -> Row:
        ids = {"base_id": self.id, "quote_id": 5, "base": self.name.split("-")[0], "quote": "USD"}
        names = {"instrument": self.name, "exchange_symbol": self.symbol, "instrument_status": "ACTIVE"}
        return row_of("spot_instruments", has_trades_spot=True, **names, **ids)


class World:
    """A market, and what of it a store was told. `owners` are the instruments that series were first asked for."""

    def __init__(self, store: SQLStore, clock: ManualClock, chance: random.Random) -> None:
        self.store = store
        self.clock = clock
        self.chance = chance
        self.beings = [Being(at, f"N{at}-USD", f"S{at}") for at in range(1, 6)]
        self.owners: dict[int, int] = {}

    @property
    def listed(self) -> list[Being]:
        return [being for being in self.beings if being.is_listed]

    async def answer(self) -> None:
        self.clock.pass_(3_600)
        [state] = await self.store.series(SOURCE, [LIST])
        listing = Listing([being.row for being in self.listed], int(self.clock.now), len(self.listed))
        await self.store.write_listing(ListingCommit(state, SOURCE, listing, "r-1", is_trusted=True))

    async def ask(self) -> None:
        """For the series of everything that is listed, as a job does; none may be another one's."""
        for being in self.listed:
            [state] = await self.store.series(SOURCE, [SeriesKey("spot_ohlcv", "kraken", being.name, "1d")])
            if state.blocked is None:
                assert self.owners.setdefault(state.id, being.id) == being.id, (state.key, being)

    def happen(self) -> None:
        """One event; names and symbols stay those of one listed instrument at a time."""
        self.chance.choice(EVENTS)(self)

    def free(self, names: set[str], letter: str) -> str:
        found = f"{letter}{self.chance.randrange(60)}"
        return self.free(names, letter) if found in names else found

    def new_name(self) -> str:
        return self.free({being.name.removesuffix("-USD") for being in self.listed}, "N") + "-USD"


def rename(world: World) -> None:
    world.chance.choice(world.listed).name = world.new_name()


def swap(world: World) -> None:
    some = world.chance.sample(world.listed, min(len(world.listed), world.chance.choice([2, 3])))
    for being, name in zip(some, [being.name for being in [*some[1:], some[0]]], strict=True):
        being.name = name


def give_away(world: World) -> None:
    giver, taker = world.chance.choices(world.listed, k=2)
    if giver is not taker:
        taker.name, giver.name = giver.name, world.new_name()


def symbol(world: World) -> None:
    world.chance.choice(world.listed).symbol = world.free({being.symbol for being in world.listed}, "S")


def vanish(world: World) -> None:
    if len(world.listed) > 2:
        world.chance.choice(world.listed).is_listed = False


def appear(world: World) -> None:
    gone = [being for being in world.beings if not being.is_listed]
    if gone:
        back = world.chance.choice(gone)
        if back.name in {being.name for being in world.listed}:
            back.name = world.new_name()
        back.is_listed = True


def reuse(world: World) -> None:
    old = world.chance.choice(world.listed)
    old.is_listed = False
    world.beings.append(Being(len(world.beings) + 1, old.name, world.chance.choice([old.symbol, "S99"])))


EVENTS: tuple[Callable[[World], None], ...] = (rename, swap, give_away, symbol, vanish, appear, reuse)


@pytest.fixture
async def world(store_url: str, seed: int) -> AsyncIterator[World]:
    clock = ManualClock(1_750_000_000)
    store = await open_store(store_url, clock)
    yield World(store, clock, random.Random(seed))
    await store.close()


@pytest.mark.parametrize("case", range(20))
async def test_no_series_is_ever_of_two_instruments(world: World, case: int) -> None:
    for _ in range(12):
        await world.answer()
        await world.ask()
        for _ in range(world.chance.choice([1, 1, 2, 3])):
            world.happen()


async def names_of(world: World) -> dict[int, str]:
    """The names of series that may be written, by their instruments."""
    sql = "SELECT id, instrument FROM series WHERE interval = '1d' AND blocked IS NULL"
    found = await world.store._db.run(lambda db: db.execute(sql).fetchall())
    return {world.owners[series_id]: name for series_id, name in found}


async def test_a_name_that_cannot_be_had_yet_is_taken_once_it_is_free(world: World) -> None:
    """Three change names in a ring while one of the names is still that of a series of one that is gone."""
    one, two, three, four, _ = world.beings
    await world.answer()
    await world.ask()
    four.is_listed = False
    await world.answer()
    one.name, two.name, three.name = two.name, three.name, four.name
    await world.answer()
    await world.ask()
    assert await names_of(world) == {1: "N1-USD", 5: "N5-USD"}
    four.name, four.is_listed = "N9-USD", True
    await world.answer()
    await world.ask()
    assert await names_of(world) == {1: "N2-USD", 2: "N3-USD", 3: "N4-USD", 4: "N9-USD", 5: "N5-USD"}


async def test_what_comes_back_under_another_name_leaves_its_old_one_to_who_has_it(world: World) -> None:
    one, two = world.beings[:2]
    await world.answer()
    await world.ask()
    one.is_listed = False
    await world.answer()
    two.name = one.name
    await world.answer()
    await world.ask()
    one.name, one.is_listed = "N9-USD", True
    await world.answer()
    await world.ask()
    found = await names_of(world)
    assert (found[1], found[2]) == ("N9-USD", "N1-USD")
