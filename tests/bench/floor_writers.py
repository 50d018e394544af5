"""How the floor writes: SQLite by VALUES statements or row by row, PostgreSQL by COPY straight into the table."""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import cache, partial
from itertools import chain
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple, Protocol

import asyncpg

from core.datasets import SPOT_OHLCV
from core.records import Column
from core.stores.schema import create_native_rows_table, create_rows_table
from core.stores.sqlite import PRAGMAS

ONCE = ("series_id", "closed", "known_at", "sent_at")  # what all rows of a page have in common
CONNECTIONS = 4
EPOCH = 946_684_800  # of PostgreSQL, in ours


class Page(NamedTuple):
    """Decoded rows of the series with this number."""

    series: int
    rows: list[Any]

    @property
    def once(self) -> tuple[Any, ...]:
        """The values of ONCE."""
        now = int(time.time())
        return self.series, True, now, now


class Writer(Protocol):
    async def write(self, pages: Sequence[Page]) -> None:
        """Commit the pages in one transaction."""
        ...


def connect(path: str) -> sqlite3.Connection:
    """A database with the table in it, with the pragmas of the engine."""
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    for pragma in PRAGMAS:
        db.execute(pragma)
    db.execute("CREATE TABLE series (id INTEGER PRIMARY KEY) STRICT")
    db.execute(create_rows_table(SPOT_OHLCV))
    return db


class SQLiteWriter:
    """One connection on a thread of its own."""

    def __init__(self, path: str, columns: Sequence[Column]) -> None:
        self.db = connect(path)
        self.thread = ThreadPoolExecutor(1)
        self.names = [column.name for column in columns]
        self.values = attrgetter("timestamp", *self.names)

    async def write(self, pages: Sequence[Page]) -> None:
        await asyncio.get_running_loop().run_in_executor(self.thread, self._write, pages)

    def _write(self, pages: Sequence[Page]) -> None:
        self.db.execute("BEGIN IMMEDIATE")
        for page in pages:
            self.put(page)
        self.db.execute("COMMIT")

    def put(self, page: Page) -> None:
        raise NotImplementedError

    @cache  # noqa: B019
    def upsert(self, rows: int) -> str:
        """Takes ONCE, then (ts, *columns) of each row."""
        values = ",".join([f"({','.join('?' * (1 + len(self.names)))})"] * rows)
        sets = ",".join(f"{name}=excluded.{name}" for name in (*ONCE[1:], *self.names))
        return (
            f"INSERT INTO spot_ohlcv ({','.join((*ONCE, 'ts', *self.names))}) "
            f"SELECT {','.join('?' * len(ONCE))}, * FROM (VALUES {values}) WHERE true "
            f"ON CONFLICT (series_id, ts) DO UPDATE SET {sets}"
        )


class ByValues(SQLiteWriter):
    """As many rows a statement as it may have parameters, a page as a rule."""

    def put(self, page: Page) -> None:
        at_once = self.db.getlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER) // (1 + len(self.names)) - len(ONCE)
        for first in range(0, len(page.rows), at_once):
            some = page.rows[first : first + at_once]
            flat = [value for row in some for value in self.values(row)]
            self.db.execute(self.upsert(len(some)), [*page.once, *flat])


class RowByRow(SQLiteWriter):
    """`executemany`."""

    def put(self, page: Page) -> None:
        once = page.once
        self.db.executemany(self.upsert(1), [(*once, *self.values(row)) for row in page.rows])


class ByCopy:
    """COPY straight into the table, over several connections."""

    def __init__(self, pool: asyncpg.Pool, columns: Sequence[Column]) -> None:
        self.pool = pool
        self.names = [*ONCE, "ts", *(column.name for column in columns)]
        self.values = attrgetter("timestamp", *(column.name for column in columns))

    def records(self, page: Page) -> Iterator[tuple[Any, ...]]:
        once = page.once
        return ((*once, *self.values(row)) for row in page.rows)

    async def write(self, pages: Sequence[Page]) -> None:
        records = chain.from_iterable(map(self.records, pages))
        async with self.pool.acquire() as connection:
            await connection.copy_records_to_table("spot_ohlcv", columns=self.names, records=records)


@asynccontextmanager
async def sqlite_writer(
    kind: Callable[..., SQLiteWriter], url: str, columns: Sequence[Column]
) -> AsyncIterator[Writer]:
    writer = kind(url.removeprefix("sqlite:///"), columns)
    yield writer
    writer.thread.shutdown()
    writer.db.close()


@asynccontextmanager
async def copy_writer(url: str, columns: Sequence[Column]) -> AsyncIterator[Writer]:
    async with asyncpg.create_pool(url, min_size=CONNECTIONS, max_size=CONNECTIONS, init=take_seconds) as pool:
        await pool.execute(create_native_rows_table(SPOT_OHLCV))
        # What a value may be is checked by the engine's table, not by the floor's.
        await pool.execute("ALTER TABLE spot_ohlcv DROP CONSTRAINT spot_ohlcv_finite")
        yield ByCopy(pool, columns)


async def take_seconds(connection: asyncpg.Connection) -> None:
    """Times are given as UTC epoch seconds: no datetime is made of each."""
    await connection.set_type_codec(
        "timestamptz", schema="pg_catalog", encoder=microseconds, decoder=itemgetter(0), format="tuple"
    )


def microseconds(ts: int) -> tuple[int]:
    """As PostgreSQL counts: since 2000."""
    return ((ts - EPOCH) * 1_000_000,)


WRITERS: dict[str, Callable[[str, Sequence[Column]], AbstractAsyncContextManager[Writer]]] = {
    "values": partial(sqlite_writer, ByValues),
    "rows": partial(sqlite_writer, RowByRow),
    "copy": copy_writer,
}
