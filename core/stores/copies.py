"""Copies of a database file: each appears whole, checked and on the disk, or not at all."""

import fcntl
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from filecmp import cmp
from itertools import count
from pathlib import Path

from core.errors import ConfigError, OutputError, StoreBusy, StoreError
from core.stores.database import Database
from core.stores.sqlite_connection import SQLiteDatabase, connect, read_only

# SQLite 3.40 looks at the wrong column of a table WITHOUT ROWID whose key leaves one out, in each of its rows.
FALSE_ALARM = "NULL value in widened.end"
PAGES_AT_ONCE = 1_024
# What SQLite keeps beside a database; a new file between them would be taken for the old one.
BESIDE = ("-wal", "-journal", "-shm")
DURABLE_ELSEWHERE = ("PRAGMA journal_mode = OFF", "PRAGMA synchronous = OFF")

Progress = Callable[[int, int], None]
"""Hears how much is done, and of how much, in whatever unit."""


def check_target(path: Path, *, force: bool) -> None:
    """Raises ConfigError when a copy must not be put at `path`."""
    if not path.parent.is_dir():
        raise ConfigError(f"the directory {path.parent} does not exist; create it first")
    if path.exists() and not path.is_file():
        raise ConfigError(f"{path} is not a regular file")
    for name in BESIDE:
        if (beside := path.with_name(path.name + name)).exists():
            raise ConfigError(f"{beside} is there: {path} is a database in use, or was; choose another name")
    if path.exists() and not force:
        raise ConfigError(f"{path} exists; --force replaces it")


@contextmanager
def appearing(path: Path) -> Iterator[Path]:
    """A hidden file to write to, that only we can read, and that is moved to `path` at the end.

    Whatever goes wrong, it is gone then. Raises OutputError for what the system refuses, StoreBusy when another
    process is at it.
    """
    hidden = path.with_name(f".{path.name}.part")
    try:
        with _only_ours(hidden):
            yield hidden
            _sync(hidden)
            hidden.replace(path)
            _sync(path.parent)
    except OSError as error:
        raise OutputError(f"cannot write to {path}: {error.strerror or error}") from error


@contextmanager
def _only_ours(hidden: Path) -> Iterator[None]:
    """An empty file under a lock; what a killed process left there is taken over."""
    file = os.open(hidden, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StoreBusy(f"another process writes {hidden}") from error
        if not hidden.exists() or not os.path.samestat(os.fstat(file), hidden.stat()):
            raise StoreBusy(f"another process has just finished {hidden}")
        os.ftruncate(file, 0)
        try:
            yield
        finally:
            hidden.unlink(missing_ok=True)
    finally:
        os.close(file)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def copy_file(source: str, target: Path, progress: Progress) -> None:
    """Copy the database at `source`, as it is at one moment, whoever writes to it meanwhile.

    Raises StoreError when it cannot be read or the copy is damaged, OutputError when it cannot be written.
    """
    with closing(connect(read_only(source), uri=True)) as db, appearing(target) as hidden:
        copy_database(db, hidden, progress)
        shutil.copymode(source, hidden)


def copy_database(db: SQLiteDatabase, empty: Path, progress: Progress) -> None:
    """Copy all pages of `db` into an empty file, and check them there. Raises StoreError and OSError."""
    try:
        # One reading transaction over all steps: else every commit of others would start them anew.
        with db.snapshot():
            db.execute("SELECT count(*) FROM sqlite_master").fetchone()
            with closing(sqlite3.connect(empty, isolation_level=None)) as copy:
                for pragma in DURABLE_ELSEWHERE:
                    copy.execute(pragma).fetchall()
                db.backup(copy, pages=PAGES_AT_ONCE, progress=lambda _, left, all_: progress(all_ - left, all_))
        _check(empty)
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
            raise StoreError(f"there is no room for a copy in {empty.parent}") from error
        raise StoreError(f"the database cannot be copied: {error}") from error


def _check(path: Path) -> None:
    """Raises StoreError for a damaged copy. Nobody writes to it, so nothing is made beside it to read it."""
    with closing(sqlite3.connect(f"{read_only(str(path))}&immutable=1", uri=True)) as copy:
        found = [fault for (fault,) in copy.execute("PRAGMA quick_check(1000000)") if fault not in {"ok", FALSE_ALARM}]
    if found:
        raise StoreError(f"the database is damaged, and so is its copy, which is not kept: {found[0]}")


def keep_before_migrating(db: Database, version: int) -> Path | None:
    """Copy a database with rows beside itself before it becomes `version`; where to, None when there is no need.

    A copy that is there already stays; the new one gets another name, unless they are the same. Raises StoreError
    when there can be none.
    """
    assert isinstance(db, SQLiteDatabase)  # noqa: S101 - PostgreSQL has backups of its own
    [path] = [path for _, name, path in db.execute("PRAGMA database_list") if name == "main"]
    if not path or not _has_rows(db):
        return None
    before, target = _names(Path(path), version)
    try:
        with suppress(_SameAsBefore):
            _keep(db, Path(path), before, target)
            return target
    except OutputError as error:
        raise StoreError(f"no copy can be kept, so the database is not migrated: {error}") from error
    return before


def _keep(db: SQLiteDatabase, path: Path, before: Path | None, target: Path) -> None:
    with appearing(target) as hidden:
        copy_database(db, hidden, lambda _done, _all: None)
        shutil.copymode(path, hidden)
        if before is not None and cmp(hidden, before, shallow=False):
            raise _SameAsBefore


class _SameAsBefore(Exception):
    """There is such a copy: the migration that it was made for did not happen."""


def _has_rows(db: SQLiteDatabase) -> bool:
    tables = db.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT IN ('migration')")
    return any(db.execute(f'SELECT 1 FROM "{name}" LIMIT 1').fetchone() for (name,) in tables.fetchall())


def _names(path: Path, version: int) -> tuple[Path | None, Path]:
    """The newest copy that is there, if there is one, and where another one can be put."""
    first = path.with_name(f"{path.name}.before-schema-{version}")
    before, target = None, first
    for number in count(2):
        if not os.path.lexists(target):
            break
        before, target = target, first.with_name(f"{first.name}.{number}")
    return before, target
