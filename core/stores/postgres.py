"""The PostgreSQL store: a few connections, each on a thread of its own, for engines on any host side by side.

A series is written by one engine at a time: it holds a lease, and every transaction checks it.
"""

import asyncio
import random
import secrets
import time
from collections import Counter
from collections.abc import Callable, Collection, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, Concatenate, ParamSpec, TypeVar

import asyncpg

from core.datasets import SeriesKey
from core.errors import StoreBusy, StoreError, StoreRefused, StoreUnavailable, TapewatchError
from core.ledger import Book, Grant, Report
from core.stores import Commit, Written, house_sql, lease_sql, quota_sql
from core.stores.database import Database, Together, kind_of
from core.stores.leases import LEASE_SECONDS, Leases, Taken
from core.stores.lock import Holder
from core.stores.migrate import check_current
from core.stores.patience import Patience
from core.stores.postgres_address import LOST, STATEMENT_SECONDS, Address, translated_error
from core.stores.postgres_binary import pack
from core.stores.postgres_connection import CommitUnknown, PostgresDatabase
from core.stores.selection import find_series
from core.stores.sql_store import SQLStore
from core.text import clean, shown_url

T = TypeVar("T")
P = ParamSpec("P")
Wall = Callable[[], float]
CONNECTIONS = 4
# Bars go through one connection, where many wait for it: a COPY or a comparison of its own costs more than its share of
# a page, on the server and in threads that take Python's lock from each other.
TOGETHER = Together(windows=8, groups=1)
# No lease has it, so that commits of a series that was lost are refused.
LOST_EPOCH = 0
# Who leaves waits no longer than this for a server that is silent.
LEAVE_SECONDS = 5.0
_FAILED = (*LOST, asyncpg.PostgresError, OverflowError, UnicodeEncodeError)
# What a connection that was kept says of itself: the database may be there for a new one.
_STALE = (
    *(ConnectionError, asyncpg.PostgresConnectionError, asyncpg.InterfaceError),
    *(asyncpg.OperatorInterventionError, asyncpg.ReadOnlySQLTransactionError),
)
# Of two transactions that wait for each other one is undone, and has its turn after the other.
TURNS = 5
TURN_SECONDS = 0.05


class _Again(Exception):
    """A transaction was undone for the sake of another one, or its connection had ended: the database is well."""


class _Line:
    """One thread with a loop and a connection, which is made when it is needed and again when it is lost."""

    def __init__(self, address: Address, owner: str, epochs: dict[int, int]) -> None:
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="tapewatch-postgres")
        self._address = address
        self._owner = owner
        self._epochs = epochs
        self._loop = asyncio.new_event_loop()
        self._connection: asyncpg.Connection | None = None
        self._is_given_up = False

    def perform(self, work: Callable[[Database], T]) -> T:
        """`work` as one transaction. Raises the classes of `core.errors`, and CommitUnknown with the result."""
        for _ in range(TURNS):
            with suppress(_Again):
                return self._transact(work)
            time.sleep(random.uniform(0, TURN_SECONDS))  # noqa: S311 - jitter
        raise StoreUnavailable(f"other transactions got in the way {TURNS} times in a row")

    def _transact(self, work: Callable[[Database], T]) -> T:
        result: Any = None
        was_kept = self._connection is not None
        try:
            database = self._database()
            with database.transaction():
                result = work(database)
        except CommitUnknown as unknown:
            unknown.result = result
            raise
        except TapewatchError:
            raise
        except asyncpg.TransactionRollbackError as error:
            raise _Again from error
        except _FAILED as error:
            told = self._told(error)
            if was_kept and isinstance(error, _STALE) and isinstance(told, StoreUnavailable):
                raise _Again from error
            raise told from error
        return result  # type: ignore[no-any-return]

    def close(self) -> None:
        self._drop()
        self._loop.close()

    def give_up(self) -> None:
        """Ends the connection under whoever works with it, from any thread; there is none after it."""
        self._is_given_up = True
        self._loop.call_soon_threadsafe(self._terminate)

    def _terminate(self) -> None:
        if self._connection is not None:
            self._connection.terminate()

    def _database(self) -> PostgresDatabase:
        if self._connection is not None and self._connection.is_closed():
            self._connection = None
        if self._connection is None and self._is_given_up:
            raise StoreUnavailable("the database is silent, and is not waited for any more")
        if self._connection is None:
            self._connection = self._loop.run_until_complete(self._address.connect())
        return PostgresDatabase(self._loop, self._connection, self._address.schema, self._owner, self._epochs)

    def _told(self, error: Exception) -> StoreError:
        told = translated_error(error, self._address.dsn)
        if isinstance(error, asyncpg.InterfaceError) and self._connection and not self._connection.is_closed():
            told = StoreError(f"a statement of ours is wrong: {clean(str(error), 300)}")
        # A primary that became a replica still answers; only a new connection can find the new one.
        if isinstance(told, StoreUnavailable) or isinstance(error, LOST):
            self._drop()
        return told

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None
            self._loop.run_until_complete(asyncio.sleep(0))


class Pool:
    """Implements `core.stores.database.Runs`: the line used last comes first, so that quiet times need one."""

    def __init__(self, address: Address, owner: str, connections: int) -> None:
        self.owner = owner
        self.patience = Patience()
        self.patience.hurry = self._hurry
        self.together = TOGETHER
        self.epochs: dict[int, int] = {}
        self._lines = [_Line(address, owner, self.epochs) for _ in range(connections)]
        self._idle: asyncio.LifoQueue[_Line] = asyncio.LifoQueue()
        for line in self._lines:
            self._idle.put_nowait(line)

    async def run(self, work: Callable[Concatenate[Database, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """`work` as one transaction, again if need be: all work of ours may be done twice.

        Where the answer to a COMMIT was lost, the database is asked whether it happened.
        """

        def piece(database: Database) -> T:
            return work(database, *args, **kwargs)

        while True:
            try:
                return await self.patience.wait_out(partial(self._once, piece), kind_of(work))
            except CommitUnknown as unknown:
                if await self.patience.wait_out(partial(self._once, partial(_has_happened, xid=unknown.xid))):
                    return unknown.result  # type: ignore[no-any-return]

    def _hurry(self) -> None:
        asyncio.get_running_loop().call_later(LEAVE_SECONDS, self._give_up)

    def _give_up(self) -> None:
        """A server that has said nothing for so long will not in the next moments either."""
        if self._idle.qsize() < len(self._lines):
            for line in self._lines:
                line.give_up()

    async def close(self) -> None:
        loop = asyncio.get_running_loop()
        for line in self._lines:
            await loop.run_in_executor(line.thread, line.close)
            line.thread.shutdown(wait=False)

    async def _once(self, work: Callable[[Database], T]) -> T:
        line = await self._idle.get()
        try:
            return await asyncio.get_running_loop().run_in_executor(line.thread, line.perform, work)
        finally:
            self._idle.put_nowait(line)


class PostgresLeases:
    """Implements `core.stores.leases.Leases`. `epochs` is what every commit of ours is checked against."""

    are_shared = True

    def __init__(self, pool: Pool, name: str, seconds: float) -> None:
        self.seconds = seconds
        self._pool = pool
        self._name = name
        self._epochs = pool.epochs
        self._writing: dict[asyncio.Future[Written], int] = {}
        self._users: Counter[int] = Counter()

    async def take(self, series: Collection[int]) -> Taken:
        epochs, others = await self._pool.run(lease_sql.take, self._name, series, self.seconds)
        self._epochs.update(epochs)
        self._users.update(epochs.keys())
        return Taken(set(epochs), others)

    async def renew(self) -> None:
        held = {series_id: epoch for series_id, epoch in self._epochs.items() if epoch != LOST_EPOCH}
        for series_id in await self._pool.run(lease_sql.renew, self._name, held, self.seconds):
            if self._epochs.get(series_id) == held[series_id]:
                self._epochs[series_id] = LOST_EPOCH

    async def written(self, series_id: int, commit: Coroutine[Any, Any, Written]) -> Written:
        """What `commit` of a series comes to; it goes on when nobody waits for it any more."""
        writing = asyncio.ensure_future(commit)
        self._writing[writing] = series_id
        writing.add_done_callback(self._has_ended)
        return await asyncio.shield(writing)

    def _has_ended(self, writing: asyncio.Future[Written]) -> None:
        del self._writing[writing]
        if not writing.cancelled():
            writing.exception()  # nobody may wait for it any more

    def holds(self, series_id: int) -> bool:
        return self._epochs.get(series_id) != LOST_EPOCH

    async def release(self, series: Collection[int]) -> None:
        """Jobs side by side may have taken one: the last of them gives it back."""
        self._users.subtract(series)
        series = {series_id for series_id in series if self._users[series_id] <= 0}
        for series_id in series:
            del self._users[series_id]
        if late := [writing for writing, series_id in self._writing.items() if series_id in series]:
            await asyncio.wait(late)
        for series_id in series:
            self._epochs.pop(series_id, None)
        await self._pool.run(lease_sql.release, self._name, series)


class PostgresBook:
    """Implements `core.ledger.Book`."""

    def __init__(self, pool: Pool, account: str, name: str) -> None:
        self._pool = pool
        self._account = account
        self._name = name

    async def exchange(self, report: Report, wanted: int) -> Grant:
        return await self._pool.run(quota_sql.exchange, self._account, self._name, report, wanted)


class PostgresStore(SQLStore):
    """The store in one schema of a PostgreSQL database."""

    def __init__(
        self, url: str, pool: Pool, wall: Wall, name: str, lease_seconds: float, *, is_read_only: bool = False
    ) -> None:
        super().__init__(url, pool, wall, is_read_only=is_read_only)
        self._leases = PostgresLeases(pool, name, lease_seconds)
        self.leases: Leases = self._leases
        self._pool = pool
        self._name = name
        self._has_entered = False

    @classmethod
    async def open(
        cls,
        url: str,
        wall: Wall = time.time,
        *,
        name: str = "",
        connections: int = CONNECTIONS,
        lease_seconds: float = LEASE_SECONDS,
    ) -> "PostgresStore":
        """`name` is the engine's, under which it holds leases.

        Raises StoreRefused where the schema has to be made or migrated first, or is not ours, and
        StoreUnavailable when the server cannot be reached now.
        """
        pool = Pool(Address.parse(url), name or secrets.token_hex(3), connections)
        await cls._check(url, pool)
        return cls(url, pool, wall, pool.owner, lease_seconds)

    @classmethod
    async def open_to_plan(cls, url: str, wall: Wall = time.time) -> "PostgresStore":
        """As `open`, for who only reads; a role that may only read is enough."""
        pool = Pool(Address.parse(url), "", 1)
        await cls._check(url, pool)
        return cls(url, pool, wall, "", LEASE_SECONDS, is_read_only=True)

    @staticmethod
    async def _check(url: str, pool: Pool) -> None:
        pool.patience.is_over = True
        try:
            await pool.run(_check_ready)
        except TapewatchError as error:
            await pool.close()
            if isinstance(error, StoreRefused):
                raise StoreRefused(f"{shown_url(url)}: {error}") from error
            raise
        pool.patience.is_over = False

    async def enter(self, holder: Holder, version: str) -> None:
        await self._pool.run(lease_sql.enter, self._name, holder, version)
        self._has_entered = True

    def book(self, account: str) -> Book | None:
        return None if self._is_read_only else PostgresBook(self._pool, account, self._name)

    async def commit(self, commit: Commit) -> Written:
        return await self._leases.written(commit.series.id, super().commit(pack(commit)))

    async def drop(self, key: SeriesKey) -> dict[str, int]:
        """Raises StoreBusy while an engine works on it."""
        return await self._pool.run(_drop_unleased, key)

    async def close(self) -> None:
        """Gives leases back. Where the database is away they end by themselves."""
        self.patience.end()
        await self._groups.close()
        if self._has_entered:
            with suppress(StoreError):
                await self._pool.run(lease_sql.leave, self._name)
        await self._pool.close()


def _drop_unleased(database: Database, key: SeriesKey) -> dict[str, int]:
    if owner := lease_sql.owner_of(database, find_series(database, key))[1]:
        raise StoreBusy(f"engine {owner} works on {key}; wait for it, or cancel its job")
    return house_sql.drop(database, key)


def _check_ready(database: Database) -> None:
    if check_current(database) == 0:
        raise StoreRefused("there is no store in this database yet; `tapewatch db migrate` makes it")


def _has_happened(database: Database, xid: str | None) -> bool:
    """Whether that transaction was committed. One without a number wrote nothing.

    A number that is still to come is of another server, which has taken over without what the old one did last.
    """
    if xid is None:
        return False
    is_given = "CAST(?1 AS xid8) < pg_snapshot_xmax(pg_current_snapshot())"
    [status] = database.execute(
        f"SELECT CASE WHEN {is_given} THEN pg_xact_status(CAST(?1 AS xid8)) END", (int(xid),)
    ).fetchone()
    if status == "in progress":
        raise StoreUnavailable("a COMMIT of ours is not decided yet")
    return bool(status == "committed")


@contextmanager
def reading_database(url: str) -> Iterator[Database]:
    """A connection that only looks, for who has no loop running. Raises as `PostgresStore.open_to_plan`."""
    with connected_database(url) as database, database.snapshot():
        _check_ready(database)
        yield database


@contextmanager
def connected_database(url: str, patience: float | None = STATEMENT_SECONDS) -> Iterator[PostgresDatabase]:
    """A connection for who has no loop running, whatever is in the database. Raises StoreRefused, StoreError.

    A statement may take `patience` seconds, None without end.
    """
    address, loop = Address.parse(url), asyncio.new_event_loop()
    connection: asyncpg.Connection | None = None
    try:
        connection = loop.run_until_complete(address.connect(patience))
        yield PostgresDatabase(loop, connection, address.schema)
    except StoreRefused as error:
        raise StoreRefused(f"{shown_url(url)}: {error}") from error
    except CommitUnknown as error:
        raise StoreUnavailable(f"{shown_url(url)}: {error}; whether it happened is not known") from error
    except (*LOST, asyncpg.PostgresError) as error:
        raise translated_error(error, address.dsn) from error
    finally:
        if connection is not None and not connection.is_closed():
            loop.run_until_complete(connection.close())
        loop.close()
