"""PostgreSQL as a `Database`: an asyncpg connection on a loop and a thread of its own.

Everything happens inside of transactions, and what a session would remember is set for each of them, so that it
works behind a pooler that hands out connections by transaction.
"""

import asyncio
import re
import struct
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from itertools import chain
from typing import Any, NamedTuple, TypeVar

import asyncpg

from core.datasets import Dataset
from core.errors import LeaseLost, StoreBusy, StoreError
from core.failpoints import failpoint
from core.stores import Commit
from core.stores.database import Row, Values, places
from core.stores.leases import LEASE_SECONDS
from core.stores.postgres_address import LOST
from core.stores.postgres_binary import BEGIN, END, Bars, pack_columns
from core.stores.schema import BOOKKEEPING, select_same, upsert_one, upsert_staged

T = TypeVar("T")
STREAMED_ROWS = 2_000
# Fewer rows than this are written one by one: a staging table costs more.
STAGED_FROM = 64
IDLE_SECONDS = 30
LOCK_SECONDS = 30
ROLLBACK_SECONDS = 10
MIGRATION_LOCK_SECONDS = 5
MIGRATION_TURN_SECONDS = 600
# Everybody locks series in the order of their numbers: no two transactions wait for each other.
LOCK = "SELECT CAST(pg_current_xact_id() AS text), id FROM series WHERE id IN ({}) ORDER BY id FOR NO KEY UPDATE"
LOCK_LEASED = (
    "SELECT CAST(pg_current_xact_id() AS text), s.id, l.owner, l.epoch FROM series AS s "
    "JOIN lease AS l ON l.series_id = s.id WHERE s.id IN ({}) "
    "ORDER BY s.id FOR NO KEY UPDATE OF s FOR SHARE OF l"
)
_PLACE = re.compile(r"'(?:[^']|'')*'|\"[^\"]*\"|\?(\d*)|:([a-z_][a-z0-9_]*)")
_TYPES = {"double precision": "REAL", "bigint": "INTEGER", "integer": "INTEGER", "boolean": "INTEGER"}


class CommitUnknown(Exception):
    """The connection was lost while it committed. `result` is what the work gave; `xid` names the transaction."""

    def __init__(self, xid: str | None) -> None:
        super().__init__("the connection was lost during COMMIT")
        self.xid = xid
        self.result: Any = None


class Statement(NamedTuple):
    """SQL for PostgreSQL. `order` says which value each of its places takes: positions, or names."""

    sql: str
    order: tuple[int | str, ...]
    gives_rows: bool
    only_reads: bool

    def arguments(self, values: Values) -> list[Any]:
        return [values[name] for name in self.order]  # type: ignore[index]


@lru_cache(maxsize=512)
def translated(sql: str) -> Statement:
    """Places `?`, `?1` and `:name` as `$1`."""
    order: list[int | str] = []
    count = 0

    def place(found: re.Match[str]) -> str:
        nonlocal count
        number, name = found.group(1), found.group(2)
        if number is None and name is None:
            return found.group()
        wanted: int | str = name or (int(number) - 1 if number else count)
        count += number == ""
        if number == "" or wanted not in order:
            order.append(wanted)
            return f"${len(order)}"
        return f"${order.index(wanted) + 1}"

    text = _PLACE.sub(place, sql)
    only_reads = text.lstrip().upper().startswith(("SELECT", "WITH", "SHOW", "EXPLAIN"))
    return Statement(text, tuple(order), only_reads or " RETURNING " in text, only_reads)


class _Rows:
    """Implements `core.stores.database.Result`."""

    def __init__(self, records: Sequence[asyncpg.Record], status: str = "") -> None:
        self._records = records
        self._rows = iter([tuple(record) for record in records])
        self._status = status

    @property
    def rowcount(self) -> int:
        return _affected(self._status)

    @property
    def description(self) -> Sequence[Sequence[Any]]:
        return [(name,) for name in self._records[0].keys()] if self._records else []  # noqa: SIM118 - a Record

    def fetchone(self) -> Any:
        return next(self._rows, None)

    def fetchall(self) -> list[Any]:
        return list(self._rows)

    def __iter__(self) -> Iterator[Any]:
        return self._rows


class PostgresDatabase:
    """Implements `core.stores.database.Database`. `epochs` are the leases that our engine holds, by series."""

    dialect = "postgres"
    elsewhere = "another schema (postgresql://.../database?schema=NAME) or database"
    bar_start = "time"
    iso_time = "to_char(time AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        connection: asyncpg.Connection,
        schema: str,
        owner: str = "",
        epochs: Mapping[int, int] | None = None,
    ) -> None:
        self._loop = loop
        self._connection = connection
        self._owner = owner
        self._epochs = {} if epochs is None else epochs
        self._xid: str | None = None
        self._locked: set[int] = set()
        self._new: dict[tuple[str, tuple[str, ...]], list[Bars]] = {}
        self._has_written = False
        self.schema = schema
        settings = f'search_path TO "{schema}"', f"lock_timeout TO '{LOCK_SECONDS}s'", "client_min_messages TO warning"
        self._settings = "".join(f"; SET LOCAL {setting}" for setting in settings)

    @property
    def is_in_transaction(self) -> bool:
        return bool(self._connection.is_in_transaction())

    def execute(self, sql: str, values: Values = (), /) -> _Rows:
        statement = translated(sql)
        arguments = statement.arguments(values)
        self._has_written |= not statement.only_reads
        if statement.gives_rows:
            return _Rows(self._wait(self._connection.fetch(statement.sql, *arguments)))
        return _Rows((), self._wait(self._connection.execute(statement.sql, *arguments)))

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]], /) -> None:
        statement = translated(sql)
        if arguments := [statement.arguments(row) for row in rows]:
            self._has_written = True
            self._wait(self._connection.executemany(statement.sql, arguments))

    def stream(self, sql: str, values: Values) -> Iterator[Row]:
        statement = translated(sql)
        rows = aiter(self._connection.cursor(statement.sql, *statement.arguments(values), prefetch=STREAMED_ROWS))
        while portion := self._wait(_some(rows)):
            yield from portion

    @contextmanager
    def transaction(self) -> Iterator[None]:
        if self.is_in_transaction:
            yield
            return
        # Not READ WRITE: an operator who makes a database or a role read-only means us.
        self._begin("ISOLATION LEVEL READ COMMITTED", idle=f"{IDLE_SECONDS}s")
        try:
            yield
            self._learn_xid()
            failpoint("before_commit")
            self._commit()
        except BaseException:
            self._roll_back()
            raise
        failpoint("after_commit")

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        if self.is_in_transaction:
            yield
            return
        # Who reads may be as slow as whoever is shown it.
        self._begin("ISOLATION LEVEL REPEATABLE READ, READ ONLY", idle="0")
        try:
            yield
        finally:
            self._roll_back()

    def lock_series(self, *series: int) -> None:
        """Also learns the transaction's number: it tells whether a COMMIT without an answer happened.

        Leases are locked too: who has waited here for another engine to take one reads it as it is then, and not as
        it was when the statement began.
        """
        wanted = sorted(set(series) - self._locked)
        held = {series_id: self._epochs[series_id] for series_id in wanted if series_id in self._epochs}
        if free := [series_id for series_id in wanted if series_id not in held]:
            self._lock(LOCK, free)
        if held:
            owned = {series_id: of for series_id, *of in self._lock(LOCK_LEASED, list(held))}
            for series_id, epoch in held.items():
                self._confirm(series_id, epoch, *owned.get(series_id, ()))

    def _lock(self, query: str, series: list[int]) -> list[Row]:
        """What there is of them, by number."""
        found = self.execute(query.format(places(series)), series).fetchall()
        self._locked.update(row[1] for row in found)
        if found:
            self._xid = found[0][0]
        return [row[1:] for row in found]

    def _confirm(self, series_id: int, held: int, owner: str = "", epoch: int = 0) -> None:
        """Raises LeaseLost when the lease is not the one that we took."""
        if not owner:
            raise LeaseLost(f"series {series_id} was dropped meanwhile")
        if (owner, epoch) != (self._owner, held):
            raise LeaseLost(f"the lease of series {series_id} went to engine {owner} while this one was not heard of")

    def write_bars(self, commit: Commit, rows: Sequence[Row], *, is_new: bool) -> None:
        if not rows:
            return
        if is_new:
            self._new.setdefault((commit.dataset.name, commit.columns), []).append(Bars(commit, rows))
            return
        self.flush_bars()
        records = Bars(commit, rows).records()
        if len(records) < STAGED_FROM:
            self.executemany(upsert_one(commit.dataset, commit.columns), records)
        else:
            self._stage(commit, records)

    def flush_bars(self) -> None:
        """One COPY for all new bars of one kind, in the order of their key: pages ascend, and windows lie apart."""
        while self._new:
            (table, columns), pages = self._new.popitem()
            pages.sort(key=lambda page: page.key)
            try:
                packed = [part for page in pages for part in page.packed()]
            except struct.error:
                self.copy_rows(table, columns, [record for page in pages for record in page.records()])
            else:
                self._copy_packed(table, columns, packed, sum(len(page.rows) for page in pages))

    def has_bars(self, commits: Sequence[Commit]) -> list[bool]:
        """One statement for all of a kind: on a network each takes its time, and each waits for Python's lock."""
        kinds: defaultdict[tuple[Dataset, tuple[str, ...]], list[Row]] = defaultdict(list)
        for at, commit in enumerate(commits):
            with suppress(struct.error):
                columns = commit.packed_columns or pack_columns(commit)
                kinds[commit.dataset, commit.columns].append((at, commit.series.id, *commit.window, *columns))
        answers = (self.execute(select_same(*kind, len(rows)), list(chain(*rows))) for kind, rows in kinds.items())
        same = {at for (at,) in chain(*answers)}
        return [at in same for at in range(len(commits))]

    def prepare_to_migrate(self) -> None:
        # Another migration may take its time; whoever else is in the way is not waited for as long.
        self.execute(f"SET LOCAL lock_timeout TO '{MIGRATION_TURN_SECONDS}s'")
        self.execute("SELECT pg_advisory_xact_lock(hashtextextended(?, 0))", (f"tapewatch {self.schema}",))
        self.execute(f"SET LOCAL lock_timeout TO '{MIGRATION_LOCK_SECONDS}s'")
        if self.execute("SELECT 1 FROM pg_namespace WHERE nspname = ?", (self.schema,)).fetchone() is None:
            self.execute(f'CREATE SCHEMA "{self.schema}"')
        if {"engine", "lease"} <= set(self.relations()):
            self._refuse_engines()

    def _refuse_engines(self) -> None:
        """Also keeps new ones out until the transaction ends: their first act is to write that they are there."""
        self.execute("LOCK TABLE engine, lease IN SHARE ROW EXCLUSIVE MODE")
        now = "date_part('epoch', clock_timestamp())"
        found = self.execute(
            f"SELECT name || ' (' || host || ', pid ' || pid || ')' FROM engine WHERE seen > {now} - ? UNION "
            f"SELECT owner FROM lease WHERE until > {now} AND owner NOT IN (SELECT name FROM engine) ORDER BY 1",
            (LEASE_SECONDS,),
        )
        if names := [name for (name,) in found]:
            raise StoreBusy(f"engines work on it: {', '.join(names)}; stop them first")

    def relations(self) -> list[str]:
        found = self.execute(
            "SELECT c.relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace "
            "WHERE n.nspname = ? AND c.relkind IN ('r', 'p', 'v', 'm', 'f') ORDER BY c.relname",
            (self.schema,),
        )
        return [name for (name,) in found]

    def columns(self, relation: str) -> dict[str, str]:
        found = self.execute(
            "SELECT CAST(column_name AS text), CAST(data_type AS text) FROM information_schema.columns "
            "WHERE table_schema = ? AND table_name = ? ORDER BY ordinal_position",
            (self.schema, relation),
        )
        return {name: _TYPES.get(kind, "TEXT") for name, kind in found}

    def copy_rows(self, table: str, columns: Sequence[str], records: Sequence[Row], schema: str | None = None) -> None:
        names = (*BOOKKEEPING, "ts", *columns)
        copy = self._connection.copy_records_to_table(
            table, schema_name=schema or self.schema, records=records, columns=names
        )
        try:
            copied = self._wait(copy)
        except (TypeError, ValueError, OverflowError) as error:
            raise StoreError(f"the database holds no such value: {error}") from error
        self._check(copied, len(records))

    def _copy_packed(self, table: str, columns: Sequence[str], packed: Iterable[bytes | bytearray], count: int) -> None:
        copy = self._connection.copy_to_table(
            table,
            schema_name=self.schema,
            columns=(*BOOKKEEPING, "ts", *columns),
            source=_stream((BEGIN, *packed, END)),
            format="binary",
        )
        self._check(self._wait(copy), count)

    def _stage(self, commit: Commit, records: Sequence[Row]) -> None:
        """COPY beside, then one upsert. What the database holds decides again, though the caller has looked."""
        staging = f"tapewatch_staging_{commit.dataset.name}_{len(commit.dataset.columns)}"
        self.execute(f"CREATE TEMP TABLE IF NOT EXISTS {staging} (LIKE {commit.dataset.name}) ON COMMIT DELETE ROWS")
        self.copy_rows(staging, commit.columns, records, "pg_temp")
        written = self._wait(
            self._connection.execute(upsert_staged(commit.dataset, commit.columns, f"pg_temp.{staging}"))
        )
        self._check(written, len(records))

    @staticmethod
    def _check(status: str, count: int) -> None:
        if _affected(status) != count:
            raise StoreError(f"the database wrote {_affected(status)} of {count} bars; the window is undone")

    def _begin(self, mode: str, *, idle: str) -> None:
        self._xid, self._has_written, self._locked = None, False, set()
        self._new.clear()
        settings = f"{self._settings}; SET LOCAL idle_in_transaction_session_timeout TO '{idle}'"
        self._wait(self._connection.execute(f"BEGIN {mode}{settings}"))

    def _learn_xid(self) -> None:
        """Without it nobody can tell whether a COMMIT happened; with it what happened is not done twice."""
        if self._has_written and self._xid is None:
            [self._xid] = self.execute("SELECT CAST(pg_current_xact_id_if_assigned() AS text)").fetchone()

    def _commit(self) -> None:
        self.flush_bars()
        try:
            self._wait(self._connection.execute("COMMIT"))
        except (*LOST, asyncpg.OperatorInterventionError) as error:
            self._connection.terminate()
            raise CommitUnknown(self._xid) from error

    def _roll_back(self) -> None:
        """Where the connection is gone nothing is left to undo, and what went wrong before is worth telling."""
        if self._connection.is_closed() or not self.is_in_transaction:
            return
        try:
            self._wait(self._connection.execute("ROLLBACK", timeout=ROLLBACK_SECONDS))
        except (*LOST, asyncpg.PostgresError):
            self._connection.terminate()

    def _wait(self, answer: Awaitable[T]) -> T:
        task = self._loop.create_task(_awaited(answer))
        try:
            return self._loop.run_until_complete(task)
        finally:
            # Ctrl-C came between: the server is told to stop, and the connection is good for a ROLLBACK.
            if not task.done():
                task.cancel()
                self._loop.run_until_complete(asyncio.wait([task]))


async def _some(rows: AsyncIterator[asyncpg.Record]) -> list[Row]:
    """The next rows, none after the last one."""
    found: list[Row] = []
    async for record in rows:
        found.append(tuple(record))
        if len(found) == STREAMED_ROWS:
            break
    return found


async def _stream(parts: Iterable[bytes | bytearray]) -> AsyncIterator[bytes | bytearray]:
    for part in parts:
        yield part


async def _awaited(answer: Awaitable[T]) -> T:
    return await answer


def _affected(status: str) -> int:
    """The number at the end of `INSERT 0 5`, `UPDATE 5`, `COPY 5`; 0 without one."""
    last = status.rpartition(" ")[2]
    return int(last) if last.isdigit() else 0
