"""Migrating the store at a URL, and telling beforehand what that takes."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from core.errors import StoreError, StoreRefused
from core.stores import sqlite_path
from core.stores.migrate import Step, Upgraded, pending, statements
from core.stores.opening import is_postgres
from core.stores.sqlite import bring_up_to_date, check_place
from core.stores.sqlite_connection import connect, read_only

# A writer of a file in WAL mode keeps other writers out, and no reader.
WHOLE_FILE = (("WRITE", "the whole file"),)

Say = Callable[[str], None]


def upgrade(url: str, now: int, say: Say) -> Upgraded:
    """Make the store at `url` or bring it to the newest schema, all of it or nothing.

    The caller holds the lock of a file. Raises StoreRefused for what is not ours or newer, StoreBusy while
    engines or other sessions are in the way, StoreError when it cannot be used.
    """
    if is_postgres(url):
        from core.stores.postgres_migrate import migrate_database  # noqa: PLC0415

        return migrate_database(url, now, say)
    path = sqlite_path(url)
    check_place(path)
    with _in_our_words(path), closing(connect(path)) as db:
        return bring_up_to_date(db, now)


def rehearse(url: str) -> list[Step]:
    """The statements that `upgrade` would run and the locks that they would take; nothing is changed.

    Raises as `upgrade`, but minds no engines.
    """
    if is_postgres(url):
        from core.stores import postgres_migrate  # noqa: PLC0415

        return postgres_migrate.rehearse(url)
    path = sqlite_path(url)
    check_place(path)
    with _in_our_words(path):
        return _rehearse_file(path)


def _rehearse_file(path: str) -> list[Step]:
    """The file is only read, and not made."""
    is_there = Path(path).is_file()
    with closing(connect(read_only(path), uri=True) if is_there else connect(":memory:")) as db:
        todo = pending(db)
    locks = WHOLE_FILE if is_there else ()
    return [Step(migration.name, statement, locks) for migration in todo for statement in statements(migration.sql)]


@contextmanager
def _in_our_words(path: str) -> Iterator[None]:
    try:
        yield
    except StoreRefused as error:
        raise StoreRefused(f"{path}: {error}") from error
    except sqlite3.Error as error:
        if "not a database" in str(error):
            raise StoreRefused(f"{path} is not an SQLite database; choose another file") from error
        raise StoreError(f"{path} cannot be migrated: {error}") from error
