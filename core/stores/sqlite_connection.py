"""SQLite as a `Database`: a connection of the standard library with what the modules of SQL need beside."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import chain
from typing import Any
from urllib.parse import quote

from core.failpoints import failpoint
from core.stores import Commit
from core.stores.database import Row, Values
from core.stores.schema import BOOKKEEPING, count_same, upsert

ROWS_PER_STATEMENT = 2_000


class SQLiteDatabase(sqlite3.Connection):
    """Implements `core.stores.database.Database`."""

    dialect = "sqlite"
    elsewhere = "another file"
    bar_start = "ts"
    iso_time = "time"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.create_function("greatest", 2, partial(_extreme, max), deterministic=True)
        self.create_function("least", 2, partial(_extreme, min), deterministic=True)

    def stream(self, sql: str, values: Values) -> Iterator[Row]:
        return iter(self.execute(sql, values))

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """BEGIN IMMEDIATE ... COMMIT. SQLite undoes a transaction by itself when the disk is full."""
        if self.in_transaction:
            yield
            return
        self.execute("BEGIN IMMEDIATE")
        try:
            yield
            failpoint("before_commit")
            self.execute("COMMIT")
        except BaseException:
            if self.in_transaction:
                self.execute("ROLLBACK")
            raise
        failpoint("after_commit")

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        self.execute("BEGIN")
        try:
            yield
        finally:
            self.execute("ROLLBACK")

    def lock_series(self, *series: int) -> None:
        """One engine a file: nobody else writes."""

    def write_bars(self, commit: Commit, rows: Sequence[Row], *, is_new: bool) -> None:
        """The closed ones, then the running ones, a page as one statement."""
        closed, running = commit.halves(rows)
        self._upsert(commit, closed, (1, commit.known_at))
        self._upsert(commit, running, (0, None))

    def flush_bars(self) -> None:
        """Nothing waits."""

    def has_bars(self, commits: Sequence[Commit]) -> list[bool]:
        return [self._has_all(commit) for commit in commits]

    def _has_all(self, commit: Commit) -> bool:
        return all(
            self.execute(
                count_same(commit.dataset.name, commit.columns, len(part)),
                (*chain.from_iterable(part), commit.series.id),
            ).fetchone()
            == (len(part),)
            for part in self._parts(commit, commit.rows)
        )

    def _upsert(self, commit: Commit, rows: Sequence[Row], closed: tuple[int, int | None]) -> None:
        for part in self._parts(commit, rows):
            values = (commit.series.id, *closed, commit.sent_at, *chain.from_iterable(part))
            self.execute(upsert(commit.dataset, commit.columns, len(part)), values)

    def _parts(self, commit: Commit, rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
        """As many rows at a time as a statement takes values."""
        room = self.getlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER) - len(BOOKKEEPING)
        step = min(ROWS_PER_STATEMENT, room // (1 + len(commit.columns)))
        return (rows[at : at + step] for at in range(0, len(rows), step))

    def prepare_to_migrate(self) -> None:
        """The transaction is the lock, and the engine's lock beside the file keeps others away."""

    def relations(self) -> list[str]:
        found = self.execute(
            "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite_%' ORDER BY name"
        )
        return [name for (name,) in found]

    def columns(self, relation: str) -> dict[str, str]:
        return dict(self.execute(f"SELECT name, type FROM pragma_table_info('{relation}')").fetchall())


def read_only(path: str) -> str:
    """The URI that opens the file at `path` without the right to write to it."""
    return f"file:{quote(path)}?mode=ro"


def connect(path: str, *, uri: bool = False) -> SQLiteDatabase:
    """Open a file or `:memory:` in autocommit mode."""
    return sqlite3.connect(path, isolation_level=None, cached_statements=32, factory=SQLiteDatabase, uri=uri)


def _extreme(choose: Callable[..., Any], one: Any, other: Any) -> Any:
    """PostgreSQL's greatest and least: NULL is no number. SQLite's own max(a, b) would be NULL then."""
    return choose((value for value in (one, other) if value is not None), default=None)
