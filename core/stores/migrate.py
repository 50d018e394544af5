"""Numbered SQL files to a database's present schema, checksummed, in one transaction."""

import hashlib
import sqlite3
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from core.errors import StoreRefused
from core.failpoints import failpoint
from core.stores.database import Database

LEDGERS = {
    "sqlite": "CREATE TABLE IF NOT EXISTS migration (version INTEGER PRIMARY KEY, name TEXT NOT NULL, "
    "sha256 TEXT NOT NULL, applied_at INTEGER NOT NULL) STRICT",
    "postgres": "CREATE TABLE IF NOT EXISTS migration (version bigint PRIMARY KEY, name text NOT NULL, "
    "sha256 text NOT NULL, applied_at bigint NOT NULL)",
}


class Migration(NamedTuple):
    version: int
    name: str
    sql: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


class Step(NamedTuple):
    """A statement of a migration, with the locks that it takes on what is there already: (level, table)."""

    migration: str
    statement: str
    locks: tuple[tuple[str, str], ...]


class Upgraded(NamedTuple):
    """What migrating did. `before` is the version that the database had, 0 without one; `copy` is of that."""

    before: int
    applied: list[Migration]
    copy: Path | None = None


def migrations(dialect: str = "sqlite") -> list[Migration]:
    """The migrations this program carries for a kind of database, oldest first."""
    folder = files("core.stores") / "migrations" / dialect
    found = [
        Migration(int(entry.name[:4]), entry.name, entry.read_text("utf-8"))
        for entry in folder.iterdir()
        if entry.name.endswith(".sql")
    ]
    return sorted(found)


def migrate(db: Database, now: int) -> list[Migration]:
    """Bring `db` to the newest schema, all of it or nothing; what was applied.

    Raises StoreRefused, having written nothing, for a newer version, a changed migration or a database
    that is not ours, and StoreBusy while engines write to one that would have to be changed.
    """
    with db.snapshot():
        if not pending(db):
            return []
    with db.transaction():
        db.prepare_to_migrate()
        # Somebody else may have done it while we waited for our turn.
        todo = pending(db)
        for migration in todo:
            _apply(db, migration, now)
    return todo


def pending(db: Database) -> list[Migration]:
    """What `db` needs to have the newest schema. Raises StoreRefused as `migrate` does."""
    version = check(db)
    return [migration for migration in migrations(db.dialect) if migration.version > version]


def check(db: Database) -> int:
    """The version of `db`, 0 for an empty one. Raises StoreRefused as `migrate` does."""
    names = db.relations()
    if not names:
        return 0
    if "migration" not in names:
        raise StoreRefused(f"the database has tables of another program ({names[0]}, ...); choose {db.elsewhere}")
    by_version = {migration.version: migration for migration in migrations(db.dialect)}
    newest = 0
    for version, name, sha256 in db.execute("SELECT version, name, sha256 FROM migration ORDER BY version").fetchall():
        if version not in by_version:
            raise StoreRefused(f"the database was written by a newer Tapewatch (schema {version}); upgrade to use it")
        if by_version[version].sha256 != sha256:
            raise StoreRefused(
                f"migration {name} differs from the one that made this database; it was changed after release"
            )
        newest = version
    return newest


def check_current(db: Database) -> int:
    """As `check`, for who must not change the schema: also raises StoreRefused for an older one, saying what mends it.

    0 for an empty database.
    """
    version, newest = check(db), migrations(db.dialect)[-1].version
    if 0 < version < newest:
        raise StoreRefused(
            f"the database has schema {version}, this Tapewatch reads {newest}; "
            "`tapewatch db migrate` brings it up to date (to only look, use the older Tapewatch)"
        )
    return version


def _apply(db: Database, migration: Migration, now: int) -> None:
    db.execute(LEDGERS[db.dialect])
    for statement in statements(migration.sql):
        db.execute(statement)
        failpoint("migrate_step")
    db.execute("INSERT INTO migration VALUES (?, ?, ?, ?)", (migration.version, migration.name, migration.sha256, now))


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
