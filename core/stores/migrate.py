"""Numbered SQL files to a database's present schema, checksummed, each in its own transaction."""

import hashlib
import sqlite3
from importlib.resources import files
from typing import NamedTuple

from core.errors import StoreRefused
from core.failpoints import failpoint

LEDGER = (
    "CREATE TABLE IF NOT EXISTS migration (version INTEGER PRIMARY KEY, name TEXT NOT NULL, "
    "sha256 TEXT NOT NULL, applied_at INTEGER NOT NULL) STRICT"
)


class Migration(NamedTuple):
    version: int
    name: str
    sql: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


def migrations(dialect: str = "sqlite") -> list[Migration]:
    """The migrations this program carries, oldest first."""
    folder = files("core.stores") / "migrations" / dialect
    found = [
        Migration(int(entry.name[:4]), entry.name, entry.read_text("utf-8"))
        for entry in folder.iterdir()
        if entry.name.endswith(".sql")
    ]
    return sorted(found)


def migrate(db: sqlite3.Connection, now: int) -> list[Migration]:
    """Bring `db` (in autocommit mode) to the newest schema; what was applied.

    Raises StoreRefused, having written nothing, for a newer version, a changed migration or a database
    that is not ours.
    """
    known = migrations()
    applied = check(db, known)
    pending = [migration for migration in known if migration.version > applied]
    for migration in pending:
        _apply(db, migration, now)
    return pending


def check(db: sqlite3.Connection, known: list[Migration]) -> int:
    """The version of `db`, 0 for an empty one. Raises StoreRefused as `migrate` does."""
    tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not tables:
        return 0
    if "migration" not in tables:
        raise StoreRefused(f"the database has tables of another program ({min(tables)}, ...); choose another file")
    by_version = {migration.version: migration for migration in known}
    newest = 0
    for version, name, sha256 in db.execute("SELECT version, name, sha256 FROM migration ORDER BY version"):
        if version not in by_version:
            raise StoreRefused(f"the database was written by a newer Tapewatch (schema {version}); upgrade to use it")
        if by_version[version].sha256 != sha256:
            raise StoreRefused(
                f"migration {name} differs from the one that made this database; it was changed after release"
            )
        newest = version
    return newest


def check_current(db: sqlite3.Connection, known: list[Migration]) -> int:
    """As `check`, for who only reads: also raises StoreRefused for an older schema, saying what mends it."""
    version = check(db, known)
    if 0 < version < known[-1].version:
        raise StoreRefused(
            f"the database has schema {version}, this Tapewatch reads {known[-1].version}; "
            "any run that ingests brings it up to date (to only look, use the older Tapewatch)"
        )
    return version


def _apply(db: sqlite3.Connection, migration: Migration, now: int) -> None:
    db.execute("BEGIN IMMEDIATE")
    try:
        db.execute(LEDGER)
        for statement in statements(migration.sql):
            db.execute(statement)
            failpoint("migrate_step")
        db.execute(
            "INSERT INTO migration VALUES (?, ?, ?, ?)",
            (migration.version, migration.name, migration.sha256, now),
        )
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def statements(sql: str) -> list[str]:
    """The single statements of a script (executescript would commit in between)."""
    found: list[str] = []
    rest = ""
    for line in sql.splitlines(keepends=True):
        rest += line
        if sqlite3.complete_statement(rest):
            found.append(rest)
            rest = ""
    return [*found, rest] if rest.strip() else found
