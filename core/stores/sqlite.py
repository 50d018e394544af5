"""The SQLite store: one connection that writes and checkpoints, through aiosqlite, on one thread.

WAL with synchronous FULL: what was acknowledged survives a power cut. Only this connection writes or
checkpoints (SQLite before 3.51.3 can corrupt a WAL when two do); everyone else opens the file read-only.
"""

import asyncio
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

import aiosqlite

from core.errors import StoreError, StoreRefused, StoreUnavailable
from core.stores import sqlite_path
from core.stores.copies import keep_before_migrating
from core.stores.database import Database, Together, kind_of
from core.stores.migrate import Upgraded, check, check_current, migrate, pending
from core.stores.patience import Patience
from core.stores.sql_store import SQLStore
from core.stores.sqlite_connection import SQLiteDatabase, connect, read_only

T = TypeVar("T")
P = ParamSpec("P")
Wall = Callable[[], float]
PASSING = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
# After these a connection is taken for dead: what it knows of the file may be wrong.
BROKEN = {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY}
PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA busy_timeout = 5000",
    "PRAGMA wal_autocheckpoint = 8000",
    "PRAGMA journal_size_limit = 67108864",
    "PRAGMA trusted_schema = OFF",
    "PRAGMA temp_store = MEMORY",
)


class _Connection(aiosqlite.Connection):
    """aiosqlite, plus whole transactions as one hop to its thread, and again when the disk is well again."""

    def __init__(self, path: str, *, uri: bool) -> None:
        super().__init__(partial(connect, path, uri=uri), 64)
        self.patience = Patience()
        # One group is being written, the next one waits on the thread already and not for a turn of the loop.
        self.together = Together(windows=4, groups=2)
        self._file: _File | None = None
        self._is_broken = False

    async def close(self) -> None:
        """The thread has ended then, also where there was never a connection: it speaks to the loop to the last."""
        await super().close()
        if self._thread.is_alive():
            await asyncio.to_thread(self._thread.join)

    def watch(self, path: str) -> None:
        """From now on the file has to stay where it is, and faults of its disk pass."""
        self._file = _File(path)

    async def run(self, work: Callable[Concatenate[Database, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """`work(connection, *args)` on the thread. Raises StoreError for what SQLite raises.

        A value that it cannot bind (an integer too large, half a surrogate) is not one of its own errors.
        """

        def piece() -> T:
            return work(self._sound(), *args, **kwargs)

        return await self.patience.wait_out(partial(self._once, piece), kind_of(work))

    async def _once(self, work: Callable[[], T]) -> T:
        try:
            return await self._execute(work)  # type: ignore[no-untyped-call, no-any-return]
        except (sqlite3.Error, OverflowError, UnicodeEncodeError) as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            self._is_broken |= self._file is not None and code in BROKEN
            if code in PASSING or (self._file and code in BROKEN):
                raise StoreUnavailable(f"the database cannot be written for now: {error}") from error
            raise StoreError(f"the database failed: {error}") from error

    def _sound(self) -> SQLiteDatabase:
        """The connection, or a new one where that is broken. Raises StoreError when the file is another by now."""
        if self._file is not None:
            self._file.check()
            if self._is_broken or self._file.has_lost_log:
                self._reopen()
        return self._conn  # type: ignore[return-value]

    def _reopen(self) -> None:
        """Closing writes the log into the file if it can; what is left of it is written now, or all waits on."""
        self._is_broken = True
        with suppress(sqlite3.Error):
            self._conn.close()
        fresh = self._connector()
        try:
            for pragma in (*PRAGMAS, "PRAGMA wal_checkpoint(TRUNCATE)"):
                fresh.execute(pragma).fetchall()
            check_current(fresh)  # type: ignore[arg-type]
        except BaseException:
            fresh.close()
            raise
        self._connection, self._is_broken = fresh, False
        self._file = _File(self._file.path) if self._file else None


class _File:
    """A database file as it was when it was opened, with its log: an unlinked one swallows all that is written."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._log = f"{path}-wal"
        self._was = _identity(path)
        self._log_was = _identity(self._log)

    def check(self) -> None:
        """Raises StoreError when the file is not the one that was opened."""
        if _identity(self.path) != self._was:
            raise StoreError(f"{self.path} was deleted, moved or replaced while it was in use; nothing more is written")

    @property
    def has_lost_log(self) -> bool:
        return self._log_was is not None and _identity(self._log) != self._log_was


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


class SQLiteStore(SQLStore):
    """The store in one file (or `:memory:` in tests)."""

    @classmethod
    async def open(cls, url: str, wall: Wall = time.time) -> "SQLiteStore":
        """Open or create the file and bring it to the present schema.

        Raises StoreRefused for a file that is not ours or is newer, StoreError when it cannot be used.
        """
        path = sqlite_path(url)
        check_place(path)
        return await cls._connect(url, path, _prepare, wall)

    @classmethod
    async def open_to_plan(cls, url: str, wall: Wall = time.time) -> "SQLiteStore":
        """Open the file read-only, or an empty store in memory when there is none yet."""
        path = sqlite_path(url)
        check_place(path)
        if not Path(path).exists():
            return await cls._connect(url, ":memory:", _prepare, wall)
        return await cls._connect(url, read_only(path), _check_only, wall, is_read_only=True)

    @classmethod
    async def _connect(
        cls, url: str, path: str, prepare: Callable[[Database, int], None], wall: Wall, *, is_read_only: bool = False
    ) -> "SQLiteStore":
        connection = _Connection(path, uri=is_read_only)
        connection.patience.is_over = True
        try:
            await connection
            await connection.run(prepare, int(wall()))
        except (sqlite3.DatabaseError, StoreError) as error:
            await connection.close()
            if "not a database" in str(error):
                raise StoreRefused(f"{path} is not an SQLite database; choose another file") from error
            if isinstance(error, StoreError):
                raise
            raise StoreError(f"{path} cannot be opened: {error}") from error
        connection.patience.is_over = False
        if not is_read_only and path != ":memory:":
            connection.watch(path)
        return cls(url, connection, wall, is_read_only=is_read_only)


def check_place(path: str) -> None:
    """Raises StoreError when no regular file can be at `path`, saying why."""
    place = Path(path)
    if path == ":memory:":
        return
    if not place.parent.is_dir():
        raise StoreError(f"--db: the directory {place.parent} does not exist; create it first")
    if place.exists() and not place.is_file():
        raise StoreError(f"--db: {place} is not a regular file")


@contextmanager
def reading_file(path: str) -> Iterator[Database]:
    """A connection that only looks. Raises StoreError when there is no store, StoreRefused when it is not ours."""
    if not Path(path).is_file():
        raise StoreError(f"there is no store at {path} yet; `tapewatch demo` makes one to try")
    try:
        db = connect(read_only(path), uri=True)
    except sqlite3.Error as error:
        raise StoreError(f"{path} cannot be opened: {error}") from error
    try:
        if check_current(db) == 0:
            raise StoreError(f"the store at {path} is empty")
        yield db
    except StoreRefused as error:
        raise StoreRefused(f"{path}: {error}") from error
    except sqlite3.Error as error:
        if "not a database" in str(error):
            raise StoreRefused(f"{path} is not an SQLite database; choose another file") from error
        raise StoreError(f"{path} cannot be read: {error}") from error
    finally:
        db.close()


def bring_up_to_date(db: Database, now: int) -> Upgraded:
    """Migrate a file that nobody else writes to, a copy kept of one with rows.

    Raises StoreRefused and StoreError, nothing changed then.
    """
    before, todo = check(db), pending(db)
    copy = keep_before_migrating(db, todo[-1].version) if todo else None
    return Upgraded(before, migrate(db, now), copy)


def _prepare(db: Database, now: int) -> None:
    # The journal mode is written into the file, so that of others is left alone.
    check(db)
    for pragma in PRAGMAS:
        db.execute(pragma).fetchall()
    bring_up_to_date(db, now)


def _check_only(db: Database, _now: int) -> None:
    check_current(db)
