"""A series is one engine's at a time, and who lost it writes nothing more: two engines on one PostgreSQL database."""

import asyncio
import itertools
import os
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager

import pytest

from core.coverage import SeriesState
from core.datasets import SPOT_OHLCV, SeriesKey
from core.errors import LeaseLost, StoreBusy
from core.records import in_groups
from core.sources import RejectedRow
from core.stores import Commit, lease_sql
from core.stores.leases import LEASE_SECONDS, Unshared
from core.stores.lock import Holder
from core.stores.postgres import PostgresStore, connected_database
from core.stores.postgres_connection import PostgresDatabase
from core.windows import Window
from tests.services import run_sql

NOW = 1_750_000_000
GROUPS = ("ID", "OHLC")
KEYS = [SeriesKey("spot_ohlcv", "kraken", name, "1m") for name in ("BTC-USD", "ETH-USD", "SOL-USD")]


class Fleet:
    """Engines on one database, each by its store, and what the database says of them."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.states: list[SeriesState] = []
        self._stores: list[PostgresStore] = []

    async def engine(self, name: str, seconds: float = LEASE_SECONDS, **place: object) -> PostgresStore:
        store = await PostgresStore.open(self.url, lambda: float(NOW), name=name, lease_seconds=seconds)
        self._stores.append(store)
        await store.enter(holder(name, **place), "1.0")
        self.states = await store.series("coindesk", KEYS)
        return store

    @property
    def ids(self) -> list[int]:
        return [state.id for state in self.states]

    def leases(self) -> dict[int, tuple[str, int, bool]]:
        """Owner, epoch, and whether it goes on, by series."""
        found = run_sql(self.url, f"SELECT series_id, owner, epoch, until > {lease_sql.NOW} FROM tapewatch.lease")
        return {row[0]: (row[1], row[2], row[3]) for row in found}

    def engines(self) -> list[str]:
        return [row[0] for row in run_sql(self.url, "SELECT name FROM tapewatch.engine ORDER BY name")]

    def bars(self) -> int:
        return int(run_sql(self.url, "SELECT count(*) FROM tapewatch.spot_ohlcv")[0][0])

    def end_leases(self, owner: str) -> None:
        """Time passes for the leases of `owner`, by the clock that decides: the database's."""
        run_sql(self.url, "UPDATE tapewatch.lease SET until = until - 3600 WHERE owner = $1 AND until > 0", owner)

    def waiting(self) -> int:
        """How many transactions wait for another one."""
        query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        return int(run_sql(self.url, query)[0][0])

    async def until_somebody_waits(self) -> None:
        async with asyncio.timeout(20):
            while not self.waiting():  # noqa: ASYNC110 - the database tells nobody
                await asyncio.sleep(0.01)

    @contextmanager
    def transaction_of(self, name: str, epochs: dict[int, int]) -> Iterator["Transaction"]:
        """A transaction of that engine that is under way for as long as the test wants."""
        under_way = Transaction(self.url, name, epochs)
        try:
            yield under_way
        finally:
            under_way.end()

    async def leave(self, store: PostgresStore) -> None:
        self._stores.remove(store)
        await store.close()

    async def close(self) -> None:
        for store in self._stores:
            await store.close()


class Transaction:
    """Work inside of one transaction, on a thread with a connection of its own."""

    def __init__(self, url: str, name: str, epochs: dict[int, int]) -> None:
        self._url, self._name, self._epochs = url, name, epochs
        self._work: Callable[[PostgresDatabase], object] = lambda _db: None
        self._has_done, self._may_end = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run)

    def do(self, work: Callable[[PostgresDatabase], object]) -> None:
        self._work = work
        self._thread.start()
        assert self._has_done.wait(20)

    def end(self) -> None:
        self._may_end.set()
        if self._thread.ident is not None:
            self._thread.join(20)

    def _run(self) -> None:
        with connected_database(self._url) as db:
            db._owner, db._epochs = self._name, self._epochs
            with db.transaction():
                self._work(db)
                self._has_done.set()
                self._may_end.wait(20)


def holder(name: str, pid: int = os.getpid(), **place: object) -> Holder:
    given = {"kind": "command", "socket": "", "protocol": 1, "since": 4e9, "host": "elsewhere", **place}
    return Holder(pid=pid, name=name, **given)  # type: ignore[arg-type]


@pytest.fixture
async def fleet(postgres_store_url: str) -> AsyncIterator[Fleet]:
    made = Fleet(postgres_store_url)
    yield made
    await made.close()


def answer(state: SeriesState, start: int = 0, sent_at: int = 1_000) -> Commit:
    """Three closed bars of one minute."""
    columns = in_groups(SPOT_OHLCV.columns, GROUPS)
    window = Window(start, start + 180)
    return Commit(
        series=state,
        dataset=SPOT_OHLCV,
        groups=GROUPS,
        columns=tuple(column.name for column in columns),
        window=window,
        rows=[(ts, *(column.kind(1) for column in columns)) for ts in range(window.start, window.end, 60)],
        closed_before=2**40,
        known_at=NOW,
        sent_at=sent_at,
        covered=window,
        run_id="r",
    )


async def test_what_one_has_another_does_not_get_and_hears_who_has_it(fleet: Fleet) -> None:
    one, two = await fleet.engine("one"), await fleet.engine("two")
    first, second, third = fleet.ids
    assert await one.leases.take([second, first]) == ({first, second}, ())
    assert await two.leases.take(fleet.ids) == ({third}, (f"one (elsewhere, pid {os.getpid()})",))
    assert await one.leases.take(fleet.ids) == ({first, second}, (f"two (elsewhere, pid {os.getpid()})",))
    assert fleet.leases() == {first: ("one", 1, True), second: ("one", 1, True), third: ("two", 1, True)}
    await one.commit(answer(fleet.states[0]))
    await two.commit(answer(fleet.states[2]))


async def test_a_lease_that_is_given_back_is_free_at_once(fleet: Fleet) -> None:
    one, two = await fleet.engine("one"), await fleet.engine("two")
    await one.leases.take(fleet.ids)
    await one.leases.release(fleet.ids[:1])
    await one.leases.renew()
    assert (await two.leases.take(fleet.ids)).series == {fleet.ids[0]}
    assert fleet.leases()[fleet.ids[0]] == ("two", 2, True)


async def test_a_lease_ends_by_the_clock_of_the_database(fleet: Fleet) -> None:
    """Renewing keeps it; when nobody has for its whole length, the next one gets it with a higher epoch."""
    one, two = await fleet.engine("one", seconds=3_000), await fleet.engine("two", seconds=3_000)
    await one.leases.take(fleet.ids)
    fleet.end_leases("one")
    await one.leases.renew()
    assert (await two.leases.take(fleet.ids)).series == set()
    fleet.end_leases("one")
    assert (await two.leases.take(fleet.ids[:2])).series == set(fleet.ids[:2])
    owners = fleet.leases()
    assert [owners[each][:2] for each in fleet.ids] == [("two", 2), ("two", 2), ("one", 1)]


async def test_a_zombie_is_refused_and_writes_nothing(fleet: Fleet) -> None:
    """It was paused past its lease: whatever it still wants to write of that series is refused."""
    one, two = await fleet.engine("one"), await fleet.engine("two")
    state, other = fleet.states[:2]
    await one.leases.take(fleet.ids[:2])
    fleet.end_leases("one")
    await two.leases.take([state.id])
    await two.commit(answer(state, sent_at=2_000))
    rejected = RejectedRow("unparsable", "no JSON", "x")
    for write in (
        one.commit(answer(state, start=180)),
        one.commit(answer(state, sent_at=3_000)),
        one.quarantine(state, Window(0, 180), rejected, "r"),
        one.settle_start(state, 60),
    ):
        with pytest.raises(LeaseLost, match="went to engine two"):
            await write
    assert fleet.bars() == 3
    assert run_sql(fleet.url, "SELECT count(*) FROM tapewatch.quarantine")[0][0] == 0
    assert run_sql(fleet.url, 'SELECT start, "end" FROM tapewatch.coverage')[0][:] == (0, 180)
    # What nobody took is its own still, and a commit of it is not refused.
    await one.commit(answer(other))
    await one.leases.renew()
    assert not one.leases.holds(state.id)
    assert one.leases.holds(other.id)


async def test_what_was_lost_stays_lost_until_it_is_taken_again(fleet: Fleet) -> None:
    one, two = await fleet.engine("one"), await fleet.engine("two")
    state = fleet.states[0]
    await one.leases.take([state.id])
    fleet.end_leases("one")
    await two.leases.take([state.id])
    await two.leases.release([state.id])
    await one.leases.renew()
    assert not one.leases.holds(state.id)
    with pytest.raises(LeaseLost):
        await one.commit(answer(state))
    assert await one.leases.take([state.id]) == ({state.id}, ())
    assert fleet.leases()[state.id] == ("one", 3, True)
    assert one.leases.holds(state.id)
    assert (await one.commit(answer(state))).inserted == 3


async def test_taking_what_we_have_keeps_its_epoch_until_it_ended(fleet: Fleet) -> None:
    one = await fleet.engine("one")
    await one.leases.take(fleet.ids)
    await one.leases.take(fleet.ids)
    fleet.end_leases("one")
    await one.leases.take(fleet.ids[:1])
    assert [fleet.leases()[each][1] for each in fleet.ids] == [2, 1, 1]


async def test_taking_waits_for_a_commit_that_is_under_way(fleet: Fleet) -> None:
    """Its lease ended while it was at it: it is let through, and the next owner finds all of it."""
    one, two = await fleet.engine("one"), await fleet.engine("two")
    await one.leases.take(fleet.ids)
    with fleet.transaction_of("one", dict.fromkeys(fleet.ids, 1)) as commit:
        commit.do(lambda db: db.lock_series(fleet.ids[0]))
        fleet_ended = asyncio.create_task(asyncio.to_thread(fleet.end_leases, "one"))
        await fleet.until_somebody_waits()
        commit.end()
        await fleet_ended
    with fleet.transaction_of("one", dict.fromkeys(fleet.ids, 1)) as commit:
        commit.do(lambda db: db.lock_series(fleet.ids[0]))
        taking = asyncio.create_task(two.leases.take(fleet.ids))
        await fleet.until_somebody_waits()
        assert not taking.done()
        commit.end()
        assert (await taking).series == set(fleet.ids)


async def test_a_commit_that_waited_for_its_lease_to_be_taken_is_refused(fleet: Fleet) -> None:
    """Its statement began before the other one's transaction ended: what it reads then must not be from before."""
    one = await fleet.engine("one")
    await one.leases.take(fleet.ids)
    fleet.end_leases("one")
    with fleet.transaction_of("two", {}) as taking:
        taking.do(lambda db: lease_sql.take(db, "two", fleet.ids))
        writing = asyncio.create_task(one.commit(answer(fleet.states[0])))
        await fleet.until_somebody_waits()
        taking.end()
        with pytest.raises(LeaseLost, match="went to engine two"):
            await writing
    assert fleet.bars() == 0


async def test_two_that_take_at_once_get_each_series_once(fleet: Fleet, seed: int) -> None:
    one, two = await fleet.engine("one"), await fleet.engine("two")
    for _ in range(10):
        got = await asyncio.gather(one.leases.take(fleet.ids), two.leases.take(fleet.ids[::-1]))
        assert sorted(itertools.chain(*(taken.series for taken in got))) == sorted(fleet.ids)
        await one.leases.release(fleet.ids)
        await two.leases.release(fleet.ids)


async def test_a_commit_that_nobody_waits_for_is_over_before_its_lease_is_given_back(fleet: Fleet) -> None:
    """A worker that is cancelled leaves its thread at the commit; afterwards another engine may have the series."""
    one = await fleet.engine("one")
    await one.leases.take(fleet.ids)
    with fleet.transaction_of("", {}) as obstacle:
        obstacle.do(lambda db: db.execute("SELECT 1 FROM series WHERE id = ? FOR UPDATE", (fleet.ids[0],)))
        writing = asyncio.create_task(one.commit(answer(fleet.states[0])))
        await fleet.until_somebody_waits()
        writing.cancel()
        await asyncio.wait([writing])
        releasing = asyncio.create_task(one.leases.release(fleet.ids))
        await asyncio.wait([releasing], timeout=0.1)
        assert fleet.leases()[fleet.ids[0]] == ("one", 1, True)
        obstacle.end()
        await releasing
    assert fleet.bars() == 3
    assert not fleet.leases()[fleet.ids[0]][2]


async def test_leaving_gives_everything_back(fleet: Fleet) -> None:
    one, two = await fleet.engine("one"), await fleet.engine("two")
    await one.leases.take(fleet.ids)
    await fleet.leave(one)
    assert fleet.engines() == ["two"]
    assert (await two.leases.take(fleet.ids)).series == set(fleet.ids)


async def test_a_dead_engine_of_this_machine_keeps_nothing(fleet: Fleet) -> None:
    """Who was killed could not say so; whether a process of another machine lives cannot be seen from here."""
    dead = await asyncio.create_subprocess_exec(sys.executable, "-c", "pass")
    await dead.wait()
    here = await fleet.engine("here", pid=dead.pid)
    await here.leases.take(fleet.ids[:1])
    elsewhere = await fleet.engine("elsewhere", pid=dead.pid)
    run_sql(fleet.url, "UPDATE tapewatch.engine SET machine = 'another' WHERE name = 'elsewhere'")
    await elsewhere.leases.take(fleet.ids[1:])
    third = await fleet.engine("third")
    assert fleet.engines() == ["elsewhere", "third"]
    assert (await third.leases.take(fleet.ids)).series == set(fleet.ids[:1])
    fleet.end_leases("elsewhere")
    assert (await third.leases.take(fleet.ids)).series == set(fleet.ids)
    with pytest.raises(LeaseLost):
        await here.commit(answer(fleet.states[0]))


async def test_a_number_that_another_process_has_by_now_is_not_the_engine(fleet: Fleet) -> None:
    alive = await asyncio.create_subprocess_exec(sys.executable, "-c", "input()", stdin=asyncio.subprocess.PIPE)
    try:
        await fleet.engine("old", pid=alive.pid, since=1.0)
        await fleet.engine("real", pid=alive.pid, since=4e9)
        await fleet.engine("next")
        assert fleet.engines() == ["next", "real"]
    finally:
        await alive.communicate(b"\n")


async def test_a_series_that_was_dropped_is_written_no_more(fleet: Fleet) -> None:
    one, two = await fleet.engine("one"), await fleet.engine("two")
    await one.leases.take(fleet.ids[:1])
    with pytest.raises(StoreBusy, match=r"one \(elsewhere, pid"):
        await two.drop(KEYS[0])
    await two.drop(KEYS[1])
    fleet.end_leases("one")
    await two.drop(KEYS[0])
    with pytest.raises(LeaseLost, match="was dropped"):
        await one.commit(answer(fleet.states[0]))
    assert fleet.bars() == 0
    assert await one.leases.take(fleet.ids[:1]) == (set(), ())


async def test_a_file_has_one_engine_and_needs_no_leases() -> None:
    leases = Unshared()
    assert await leases.take([1, 2]) == ({1, 2}, ())
    assert leases.holds(1)
    await leases.renew()
    await leases.release([1])
