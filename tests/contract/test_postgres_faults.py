"""PostgreSQL away, refusing, or gone in the middle: what was begun happens exactly once, and somebody hears of waits.

Faults come from a proxy in front of the server, from the server's own hand, and from others at work on it.
"""

import asyncio
import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
from test_catalog import KRAKEN, pair
from test_store import KEY, SOURCE, answer, counts, eventful, reject, series

from core.alerting import Change
from core.datasets import SPOT_OHLCV, SeriesKey
from core.errors import ConfigError, StoreError, StoreRefused, StoreUnavailable, TapewatchError
from core.events import AlertChanged
from core.servers import PostgresOptions, PostgresServer, free_port, postgres
from core.sources import Listing
from core.stores import Written, patience, postgres_address, postgres_connection
from core.stores import postgres as postgres_store
from core.stores.catalog import ListingCommit
from core.stores.database import Database
from core.stores.migrate import migrate
from core.stores.postgres import PostgresStore, connected_database
from core.stores.sql_store import SQLStore
from core.usage import Counted
from core.windows import Window
from tests.fault_proxy import Bandwidth, CutAt, FaultProxy, Latency, Timeout, is_commit
from tests.services import run_script, run_sql

NOW = 1_750_000_000
SECRET = "not-the-password"
CUT = pytest.mark.parametrize("is_forwarded", [True, False], ids=["done", "undone"])
TABLES = ("spot_ohlcv", "coverage", "gap", "quarantine", "restatement", "unsettled", "failed_fetch", "series")


class Rig:
    """A store behind a proxy, and what it says of its waits."""

    def __init__(self, proxy: FaultProxy, url: str, store: PostgresStore) -> None:
        self.proxy = proxy
        self.url = url
        self.store = store
        self.said: asyncio.Queue[str] = asyncio.Queue()
        store.patience.say = self.said.put_nowait

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Past the proxy."""
        return [tuple(row) for row in run_sql(self.url, f"SELECT * FROM ({sql}) AS q")]

    def of(self, key: SeriesKey) -> dict[str, list[tuple[Any, ...]]]:
        """Everything stored about a series, but its number and name."""
        found = {}
        where = f"(SELECT id FROM tapewatch.series WHERE instrument = '{key.instrument}')"
        for table in TABLES:
            column = "id" if table == "series" else "series_id"
            rows = run_sql(self.url, f"SELECT * FROM tapewatch.{table} WHERE {column} = {where}")
            left_out = {"id", "series_id", "instrument", "row_id"}
            found[table] = sorted(str({k: v for k, v in row.items() if k not in left_out}) for row in rows)
        return found


@asynccontextmanager
async def opened(url: str, proxy: FaultProxy, connections: int = 1) -> AsyncIterator[Rig]:
    """Closed whatever happens: the store's threads would keep the process alive."""
    store = await PostgresStore.open(proxy.url(url), lambda: float(NOW), connections=connections)
    try:
        yield Rig(proxy, url, store)
    finally:
        await store.close()


@contextmanager
def in_front_of(url: str) -> Iterator[FaultProxy]:
    parts = urlsplit(url)
    with FaultProxy(parts.port or 5432, parts.hostname or "127.0.0.1") as made:
        yield made


async def until(condition: Callable[[], object]) -> None:
    """The store goes on meanwhile."""
    while not condition():  # noqa: ASYNC110 - what happens in a server sets no event here
        await asyncio.sleep(0)


def made(url: str) -> str:
    """The schema made in an empty database."""
    with connected_database(url) as database:
        migrate(database, 0)
    return url


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "FIRST_SECONDS", 0.01)
    monkeypatch.setattr(patience, "LONGEST_SECONDS", 0.05)


@pytest.fixture
def proxy(postgres_store_url: str) -> Iterator[FaultProxy]:
    with in_front_of(postgres_store_url) as made:
        yield made


@pytest.fixture
async def rig(postgres_store_url: str, proxy: FaultProxy) -> AsyncIterator[Rig]:
    async with opened(postgres_store_url, proxy) as rig:
        yield rig


def named(number: object) -> SeriesKey:
    return KEY._replace(instrument=f"N{number}-USD")


async def commit_eventful(rig: Rig, key: SeriesKey, disturb: Callable[[], object] = lambda: None) -> Written:
    """A window over one that is stored, with something for every table; `disturb` comes right before it."""
    state = await series(rig.store, key)
    await rig.store.commit(answer(state, bars=1))
    disturb()
    constants = {"exchange_symbol": f"X{key.instrument}", "type": "954"}
    commit = eventful(state)
    return await rig.store.commit(commit.__class__(**{**as_dict(commit), "constants": constants}))


def as_dict(commit: Any) -> dict[str, Any]:
    return {name: getattr(commit, name) for name in commit.__dataclass_fields__}


def like(found: dict[str, list[tuple[Any, ...]]], key: SeriesKey, other: SeriesKey) -> dict[str, list[str]]:
    return {t: [str(row).replace(key.instrument, other.instrument) for row in rows] for t, rows in found.items()}


# --- connections that end


@pytest.mark.slow
@CUT
async def test_a_window_is_there_once_wherever_its_connection_is_cut(
    postgres_store_url: str, proxy: FaultProxy, is_forwarded: bool
) -> None:
    cut = proxy.add(CutAt(lambda _: True, is_forwarded=is_forwarded, times=0), "up")
    async with opened(postgres_store_url, proxy) as rig:
        whole = await commit_eventful(rig, named("whole"))
        reference = like(rig.of(named("whole")), named("whole"), KEY)
        for number in range(100):
            cuts = cut.cuts
            written = await commit_eventful(rig, named(number), lambda at=number: cut.arm(skip=at))  # type: ignore[misc]
            cut.arm(times=0)
            assert (counts(written), written.quarantined) == (counts(whole), whole.quarantined), number
            assert like(rig.of(named(number)), named(number), KEY) == reference, number
            if cut.cuts == cuts:
                break
    assert 10 < number < 100


@pytest.mark.slow
async def test_a_window_is_there_once_wherever_its_backend_is_terminated(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = await commit_eventful(rig, named("whole"))
    reference = like(rig.of(named("whole")), named("whole"), KEY)
    wait, left = postgres_connection.PostgresDatabase._wait, [-1]

    def wait_or_die(database: Any, asked: Awaitable[Any]) -> Any:
        left[0] -= 1
        if left[0] == -1:
            run_sql(rig.url, f"SELECT pg_terminate_backend({database._connection.get_server_pid()}, 5000)")
        return wait(database, asked)

    monkeypatch.setattr(postgres_connection.PostgresDatabase, "_wait", wait_or_die)
    for number in range(100):
        written = await commit_eventful(rig, named(number), lambda at=number: left.__setitem__(0, at))  # type: ignore[misc]
        assert (counts(written), written.quarantined) == (counts(whole), whole.quarantined), number
        assert like(rig.of(named(number)), named(number), KEY) == reference, number
        if left[0] >= 0:
            break
        left[0] = -1
    assert 10 < number < 100


# --- COMMIT without an answer: every kind of work that a store does

Work = Callable[[SQLStore], Awaitable[Any]]
OTHER = KEY._replace(instrument="ETH-USD")


async def create_universe(store: SQLStore) -> Any:
    return await store.create_universe(SOURCE, "u", [KEY, OTHER])


async def add_to_universe(store: SQLStore) -> Any:
    return await store.add_to_universe(SOURCE, "known", [KEY, OTHER])


async def drop_from_universe(store: SQLStore) -> Any:
    return await store.drop_from_universe(SOURCE, "known", [OTHER])


async def write_listing(store: SQLStore) -> Any:
    [state] = await store.series(SOURCE, [KRAKEN])
    rejected = [reject(None, "{}", "unit")]
    listing = Listing([pair("BTC-USD", instrument_status="RETIRED"), pair("SOL-USD")], NOW, 2)
    listing.rejected = rejected
    written = await store.write_listing(ListingCommit(state, SOURCE, listing, "r-2"))
    return written.inserted, written.updated, written.unchanged, [r.change.change for r in written.changes]


async def write_journal(store: SQLStore) -> Any:
    alert = AlertChanged(
        time=1.0, alert="a", rule="r", level="ERROR", state="firing", since=1.0, message="m", source="s"
    )
    await store.journal([], [], [Change(alert)], [SENT])


async def make_series(store: SQLStore) -> Any:
    return [state.key for state in await store.series(SOURCE, [OTHER, named(7)])]


async def keep_unreadable(store: SQLStore) -> Any:
    await store.quarantine(await series(store), Window(0, 60), reject(None, "raw", "unreadable"), "r")


async def give_up(store: SQLStore) -> Any:
    await store.failed(await series(store), Window(0, 60), "down", 5, "r")


async def commit(store: SQLStore) -> Any:
    return counts(await store.commit(eventful(await series(store))))


async def settle_start(store: SQLStore) -> Any:
    state = await store.settle_start(await series(store), 60)
    return state is not None


async def prune(store: SQLStore) -> Any:
    return await store.prune("spot_ohlcv", "1m", 120)


async def drop(store: SQLStore) -> Any:
    return await store.drop(KEY)


async def take_leases(store: SQLStore) -> Any:
    return await store.leases.take([(await series(store)).id])


SENT = Counted(0, "a", "spot_ohlcv", "tail", "", 3)
WORKS = (
    *(create_universe, add_to_universe, drop_from_universe, write_listing, write_journal, make_series),
    *(keep_unreadable, give_up, commit, settle_start, prune, drop, take_leases),
)
EVERYTHING = (
    *("universe", "universe_series", "spot_instruments", "metadata_change", "alert", "series", "quarantine"),
    *("failed_fetch", "spot_ohlcv", "coverage", "gap", "restatement", "lease", "usage"),
)
# What differs from one store to the next: numbers that were drawn in vain, the leases' times.
UNLIKE = {"until", "owner", "id", "entity_id"}


async def begin(store: SQLStore) -> None:
    """Something of everything, done before: what is seen again is counted."""
    state = await series(store)
    await store.journal([], [], [], [SENT])
    await store.commit(answer(state, bars=3))
    await store.quarantine(state, Window(0, 60), reject(None, "raw", "unreadable"), "r")
    await store.failed(state, Window(0, 60), "down", 5, "r")
    await store.create_universe(SOURCE, "known", [OTHER])
    [listed] = await store.series(SOURCE, [KRAKEN])
    listing = Listing([pair("BTC-USD"), pair("ETH-USD")], NOW - 10, 2)
    listing.rejected = [reject(None, "{}", "unit")]
    await store.write_listing(ListingCommit(listed, SOURCE, listing, "r-1"))


def everything(url: str) -> dict[str, list[str]]:
    tables = {name: run_sql(url, f"SELECT * FROM tapewatch.{name}") for name in EVERYTHING}
    return {
        name: sorted(str({key: value for key, value in row.items() if key not in UNLIKE}) for row in rows)
        for name, rows in tables.items()
    }


@pytest.mark.parametrize("work", WORKS)
async def test_a_commit_without_an_answer_is_done_once(postgres_store_url: str, proxy: FaultProxy, work: Work) -> None:
    """Undisturbed, then in copies of the same database with either cut."""
    cut = proxy.add(CutAt(is_commit, is_forwarded=True, times=0), "up")
    async with opened(postgres_store_url, proxy) as rig:
        await begin(rig.store)
    with copies(postgres_store_url, 3) as urls:
        results = []
        for url, is_forwarded in zip(urls, (None, True, False), strict=True):
            async with opened(url, proxy) as rig:
                await series(rig.store)  # the connection is there
                cut.is_forwarded = bool(is_forwarded)
                # The last COMMIT of the work is its own; those before are of the series that it is about.
                skip = 0 if work in {create_universe, add_to_universe, drop_from_universe, write_journal} else 1
                skip = 0 if work in {make_series, drop} else skip
                cuts = cut.cuts
                cut.arm(skip=skip, times=0 if is_forwarded is None else 1)
                result = await work(rig.store)
                assert cut.cuts == cuts + (is_forwarded is not None)
                results.append((result, everything(url)))
    assert results[1] == results[0]
    assert results[2] == results[0]


@contextmanager
def copies(url: str, count: int) -> Iterator[list[str]]:
    parts = urlsplit(url)
    name = parts.path[1:]
    names = [f"{name}_{number}" for number in range(count)]
    admin = parts._replace(path="/postgres").geturl()
    # A session whose client has gone lives on for a moment, and keeps its database from being copied.
    run_sql(admin, "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = $1", name)
    for copy in names:
        run_sql(admin, f"CREATE DATABASE {copy} TEMPLATE {name}")
    yield [parts._replace(path=f"/{copy}").geturl() for copy in names]
    for copy in names:
        run_sql(admin, f"DROP DATABASE {copy} WITH (FORCE)")


# --- servers that refuse to write


def connected(url: str) -> set[int]:
    """The backends of our stores."""
    mine = "SELECT pid FROM pg_stat_activity WHERE application_name = 'tapewatch' AND datname = current_database()"
    return {row[0] for row in run_sql(url, mine)}


def disconnect(url: str) -> None:
    for pid in connected(url):
        run_sql(url, f"SELECT pg_terminate_backend({pid}, 5000)")


def database_of(url: str) -> str:
    return urlsplit(url).path[1:]


async def test_a_database_made_read_only_is_waited_for(rig: Rig) -> None:
    state = await series(rig.store)
    run_sql(rig.url, f"ALTER DATABASE {database_of(rig.url)} SET default_transaction_read_only = on")
    disconnect(rig.url)
    late = asyncio.create_task(rig.store.commit(answer(state)))
    assert "read-only" in await rig.said.get()
    first = connected(rig.url)
    # Each try is on a new connection: another server may have taken over.
    await until(lambda: not connected(rig.url) <= first)
    writable = f"{rig.url}?default_transaction_read_only=off"
    run_sql(writable, f"ALTER DATABASE {database_of(rig.url)} RESET default_transaction_read_only")
    assert counts(await late) == (3, 0, 0, 0)
    assert await rig.said.get() == ""


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that the server's account may enter, which pytest's own are not."""
    made = Path(tempfile.mkdtemp(prefix="tapewatch-test-", dir="/tmp"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


def give(path: Path) -> None:
    """To whom the server runs as."""
    if os.geteuid() == 0:
        subprocess.run(["chown", "-R", "nobody", path], check=True)


def standby(server: PostgresServer) -> None:
    """From its next start on it only follows, and nobody tells it anything."""
    (server.data / "standby.signal").touch()
    give(server.data / "standby.signal")


@pytest.mark.slow
async def test_a_failover_is_followed(place: Path) -> None:
    """The old primary comes back as a standby: it answers, and only a new connection finds the new one."""
    with postgres(PostgresOptions(directory=place / "old")) as old:
        await asyncio.to_thread(made, old.url())
        old.stop()
        shutil.copytree(place / "old", place / "new", symlinks=True)
        give(place / "new" / "data")
        old.start()
        with FaultProxy(old.port) as proxy, postgres(PostgresOptions(directory=place / "new")) as new:
            async with opened(old.url(), proxy) as rig:
                state = await series(rig.store)
                run_script(
                    new.url(),
                    "INSERT INTO tapewatch.series (source, data_type, market, instrument, interval, "
                    "created) SELECT source, data_type, market, instrument, interval, created "
                    "FROM (VALUES ('coindesk', 'spot_ohlcv', 'kraken', 'BTC-USD', '1m', 0)) "
                    "AS s (source, data_type, market, instrument, interval, created)",
                )
                old.stop()
                standby(old)
                old.start()
                late = asyncio.create_task(rig.store.commit(answer(state)))
                assert await rig.said.get()
                await until(lambda: "read-only" in old.log.read_text("utf-8"))
                assert not late.done()
                proxy.retarget(new.port)
                assert counts(await late) == (3, 0, 0, 0)
                assert await rig.said.get() == ""
                assert run_sql(new.url(), "SELECT count(*) FROM tapewatch.spot_ohlcv")[0][0] == 3
                assert run_sql(old.url(), "SELECT count(*) FROM tapewatch.spot_ohlcv")[0][0] == 0


async def test_a_commit_is_done_again_where_the_server_that_did_it_is_gone(rig: Rig) -> None:
    """Its number is still to come on the server that took over."""
    number = "SELECT CAST(CAST(pg_current_xact_id() AS text) AS bigint) + 1000000"
    [(future,)] = rig.query(number)
    assert await rig.store._db.run(postgres_store._has_happened, str(future)) is False
    assert await rig.store._db.run(postgres_store._has_happened, None) is False


# --- servers that are crowded, locked, full, slow


@pytest.mark.slow
async def test_deadlocks_are_nobodys_business(rig: Rig) -> None:
    one, other = (state.id for state in await rig.store.series(SOURCE, [KEY, OTHER]))
    update = "UPDATE tapewatch.series SET rows = rows + 1 WHERE id = {}"
    antagonist = await asyncpg.connect(rig.url)
    loop, tries, has_begun = asyncio.get_running_loop(), [0], asyncio.Event()

    def reversed_order(db: Database) -> int:
        tries[0] += 1
        db.execute(update.format(one))
        loop.call_soon_threadsafe(has_begun.set)
        return db.execute(update.format(other)).rowcount

    await antagonist.execute("SET deadlock_timeout = '1h'; BEGIN")
    await antagonist.execute(update.format(other))
    late = asyncio.create_task(rig.store._db.run(reversed_order))
    await has_begun.wait()
    await antagonist.execute(update.format(one))
    await antagonist.execute("COMMIT")
    assert await late == 1
    assert tries == [2]
    assert rig.said.empty()
    await antagonist.close()
    assert rig.query("SELECT rows FROM tapewatch.series ORDER BY id") == [(2,), (2,)]


async def test_a_deadlock_that_never_ends_is_told(rig: Rig) -> None:
    rig.store.patience.is_over = True

    def collide(_db: Database) -> None:
        raise asyncpg.DeadlockDetectedError("deadlock detected")

    with pytest.raises(StoreUnavailable, match="5 times in a row"):
        await rig.store._db.run(collide)


async def test_a_locked_series_is_waited_for(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_connection, "LOCK_SECONDS", 0.05)
    state = await series(rig.store)
    other = await asyncpg.connect(rig.url)
    await other.execute("BEGIN; LOCK TABLE tapewatch.series IN ACCESS EXCLUSIVE MODE")
    late = asyncio.create_task(rig.store.commit(answer(state)))
    assert "lock timeout" in await rig.said.get()
    await other.close()
    assert counts(await late) == (3, 0, 0, 0)
    assert await rig.said.get() == ""


@pytest.mark.slow
async def test_no_connection_free() -> None:
    crowded = PostgresOptions(settings={"max_connections": "4", "superuser_reserved_connections": "0"})
    with postgres(crowded) as server, FaultProxy(server.port) as proxy:
        await asyncio.to_thread(made, server.url())
        async with opened(server.url(), proxy) as rig:
            state = await series(rig.store)
            admin = await asyncpg.connect(server.url())
            others = [await asyncpg.connect(server.url()) for _ in range(2)]
            proxy.cut()
            # Whoever is quickest has the place that we had.
            while len(others) < 3:
                with contextlib.suppress(asyncpg.TooManyConnectionsError):
                    others.append(await asyncpg.connect(server.url()))
            late = asyncio.create_task(rig.store.commit(answer(state)))
            assert "too many clients" in await rig.said.get()
            assert not late.done()
            for other in (*others, admin):
                await other.close()
            assert counts(await late) == (3, 0, 0, 0)
            assert await rig.said.get() == ""


@contextmanager
def small_disk(place: Path, megabytes: int) -> Iterator[Path]:
    """A file system of its own. Skips where we may not make one."""
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", place], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip(f"a file system may not be mounted here: {mounted.stderr.decode().strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small file system")
async def test_a_full_disk_is_waited_for(place: Path) -> None:
    """The tables' disk: where the log of the database is full, it stops, and is away."""
    with postgres() as server, small_disk(place / "disk", 64) as disk:
        shutil.chown(disk, "nobody")
        run_sql(server.url(), f"CREATE TABLESPACE small LOCATION '{disk}'")
        run_sql(server.url("postgres"), "CREATE DATABASE small TABLESPACE small")
        url = await asyncio.to_thread(made, server.url("small"))
        with FaultProxy(server.port) as proxy:
            async with opened(url, proxy) as rig:
                state = await series(rig.store)
                commit = answer(state, bars=20_000, groups=SPOT_OHLCV.groups)
                ballast = disk / "ballast"
                fill(ballast)
                late = asyncio.create_task(rig.store.commit(commit))
                assert "No space left" in await rig.said.get()
                # Small things may still succeed; that is no reason to say that all is well.
                await rig.store.settle_start(state, 0)
                assert rig.said.empty()
                assert rig.query("SELECT count(*) FROM tapewatch.spot_ohlcv") == [(0,)]
                ballast.unlink()
                assert counts(await late) == (20_000, 0, 0, 0)
                assert await rig.said.get() == ""
        # The mount is free only without the server.
        server.stop()


def fill(ballast: Path) -> None:
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(b"." * 65_536)


async def test_a_server_that_is_silent_is_left_for_a_new_connection(
    postgres_store_url: str, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_connection, "ROLLBACK_SECONDS", 0.2)
    monkeypatch.setattr(postgres_address.Address, "connect", quick_connect)
    async with opened(postgres_store_url, proxy) as rig:
        state = await series(rig.store)
        silence = proxy.add(Timeout())
        late = asyncio.create_task(rig.store.commit(answer(state)))
        assert "cannot be used for now" in await rig.said.get()
        proxy.remove(silence)
        assert (await late).state.rows == 3
        assert await rig.said.get() == ""
        assert rig.query("SELECT count(*), max(rows) FROM tapewatch.spot_ohlcv, tapewatch.series") == [(3, 3)]


def quick_connect(address: postgres_address.Address) -> Any:
    return postgres_address.connect(address.dsn, has_pooler=False, timeout=0.5, patience=0.2)


@pytest.mark.parametrize("toxic", [Latency(0.02), Bandwidth(200_000)], ids=["latency", "bandwidth"])
async def test_a_slow_server_is_only_slow(rig: Rig, toxic: Latency | Bandwidth) -> None:
    state = await series(rig.store)
    rig.proxy.add(toxic)
    rig.proxy.add(toxic, "up")
    commits = [answer(state, start=start * 6_000, bars=100) for start in range(4)]
    written = await asyncio.gather(*map(rig.store.commit, commits))
    assert [counts(each) for each in written] == [(100, 0, 0, 0)] * 4
    assert rig.said.empty()


# --- what no waiting makes better


@pytest.mark.parametrize(
    "spoiled",
    [
        pytest.param({"bar": {"total_trades": 2**63}, "groups": SPOT_OHLCV.groups}, id="too large"),
        pytest.param({"run_id": "\ud800", "rejected": [reject()]}, id="half a character"),
        pytest.param({"bar": {"open": float("nan")}}, id="no number"),
    ],
)
async def test_a_value_that_no_column_holds(rig: Rig, spoiled: dict[str, Any]) -> None:
    state = await series(rig.store)
    with pytest.raises(StoreError) as raised:
        await rig.store.commit(answer(state, **spoiled))
    assert not isinstance(raised.value, StoreUnavailable)
    assert rig.said.empty()
    assert counts(await rig.store.commit(answer(state))) == (3, 0, 0, 0)


@pytest.fixture(scope="module")
def guarded() -> Iterator[PostgresServer]:
    """A server that asks for a password."""
    with (
        tempfile.TemporaryDirectory() as folder,
        postgres(PostgresOptions(user="keeper", passfile=Path(folder) / "passfile")) as server,
    ):
        made(server.url())
        yield server


async def refused(url: str) -> TapewatchError:
    with pytest.raises(TapewatchError) as raised:
        await PostgresStore.open(url)
    assert raised.value.exit_code == 2
    assert SECRET not in str(raised.value)
    return raised.value


@pytest.mark.slow
async def test_who_is_not_let_in(guarded: PostgresServer) -> None:
    bare = f"127.0.0.1:{guarded.port}"
    said = str(await refused(f"postgresql://keeper:{SECRET}@{bare}/tapewatch"))
    assert "password authentication failed" in said
    assert "password" in str(await refused(f"postgresql://nobody:{SECRET}@{bare}/tapewatch"))
    assert "does not exist" in str(await refused(guarded.url("nowhere")))
    assert "rejected SSL upgrade" in str(await refused(f"{guarded.url()}&sslmode=require"))


async def test_who_is_not_let_in_any_more_fails_at_once(guarded: PostgresServer) -> None:
    """Nobody knocks again and again: accounts are locked for that."""
    with FaultProxy(guarded.port) as proxy:
        url = f"postgresql://keeper:{SECRET}@127.0.0.1:{proxy.port}/tapewatch"
        run_sql(guarded.url(), f"ALTER ROLE keeper PASSWORD '{SECRET}'")
        password = guarded.options.passfile.read_text().strip().rpartition(":")[2] if guarded.options.passfile else ""
        async with opened(url, proxy) as rig:
            state = await series(rig.store)
            run_sql(url, f"ALTER ROLE keeper PASSWORD '{password}'")
            proxy.cut()
            with pytest.raises(StoreRefused, match="password authentication failed") as raised:
                await rig.store.commit(answer(state))
            assert SECRET not in str(raised.value)
            assert rig.said.empty()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (f"postgresql://u:{SECRET}@127.0.0.1:port/db", "cannot be read"),
        (f"postgresql://u:pa/{SECRET}@127.0.0.1/db", "cannot be read"),
        ("postgresql://u@127.0.0.1/db?sslmode=perhaps", "sslmode"),
        ("postgresql://u@127.0.0.1/db?sslmode=verify-full&sslrootcert=/nowhere", "No such file"),
        ("postgresql://u@127.0.0.1/db?target_session_attrs=best", "target_session_attrs"),
        ("postgresql://u@[127.0.0.1/db", "cannot be read"),
    ],
)
async def test_an_address_that_is_none(url: str, words: str) -> None:
    error = await refused(url)
    assert isinstance(error, ConfigError)
    assert words in str(error)


async def test_a_home_that_cannot_be_read_is_no_reason_to_wait(
    guarded: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(path: Path, **_: object) -> bool:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "exists", unreadable)
    error = await refused(guarded.url())
    assert isinstance(error, ConfigError)
    assert "postgresql.key" in str(error)


async def test_nobody_there_is_said_at_once() -> None:
    with pytest.raises(StoreUnavailable, match="cannot be used for now"):
        await PostgresStore.open(f"postgresql://u@127.0.0.1:{free_port()}/db")


async def test_a_statement_of_ours_that_is_wrong_is_not_waited_for(rig: Rig) -> None:
    with pytest.raises(StoreError, match="statement of ours"):
        await rig.store._db.run(lambda db: db._wait(db._connection.execute("SELECT $1", 1, 2)))  # type: ignore[attr-defined]
    assert rig.said.empty()
