"""Migrating an SQLite file: a copy of what is in it is kept first."""

from contextlib import closing
from pathlib import Path

from core.stores.copies import keep_before_migrating
from core.stores.database import Database
from core.stores.migrate import Step, Upgraded, check, migrate, pending, statements
from core.stores.sqlite_connection import connect, read_only

# A writer of a file in WAL mode keeps other writers out, and no reader.
WHOLE_FILE = (("WRITE", "the whole file"),)


def bring_up_to_date(db: Database, now: int) -> Upgraded:
    """Migrate a file that nobody else writes to. Raises StoreRefused and StoreError, nothing changed then."""
    before, todo = check(db), pending(db)
    copy = keep_before_migrating(db, todo[-1].version) if todo else None
    return Upgraded(before, migrate(db, now), copy)


def rehearse(path: str) -> list[Step]:
    """What migrating would do; the file is only read, and not made. Raises StoreRefused as `migrate`."""
    is_there = Path(path).is_file()
    with closing(connect(read_only(path), uri=True) if is_there else connect(":memory:")) as db:
        todo = pending(db)
    locks = WHOLE_FILE if is_there else ()
    return [Step(migration.name, statement, locks) for migration in todo for statement in statements(migration.sql)]
