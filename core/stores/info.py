"""What a database is: its version, schema, size, tables, and who works on it. Read only, whoever wrote it."""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.datasets import DATASETS
from core.errors import StoreError, StoreRefused
from core.stores import sqlite_path
from core.stores.database import Database
from core.stores.journal_sql import read_origin
from core.stores.lock import lock_path, read_holder
from core.stores.migrate import check, migrations
from core.stores.opening import is_postgres, require_store
from core.stores.sqlite_connection import connect, read_only
from core.text import shown_url
from core.windows import iso

OLDEST_SERVER = 140_000
ENGINE = ("engine", "kind", "host", "pid", "user", "since", "seen_seconds_ago")
NOW = "date_part('epoch', clock_timestamp())"
SAYS = {
    "current": "as it should be",
    "older": "`tapewatch db migrate` brings it up to date",
    "none": "there is no store in this database yet; `tapewatch db migrate` makes it",
}
# The sizes of tables in a file are found by reading all of it.
LARGEST_FILE_READ = 256 * 1024 * 1024
NO_SIZES = "the bytes of single tables are not known: the file is large, or this SQLite has no dbstat"
BUG_SINCE, BUG_FIXED = (3, 7, 0), (3, 51, 3)
BUG = (
    "SQLite {0} has the WAL-reset bug (3.7.0 to 3.51.2; fixed in 3.51.3): two connections that write or checkpoint at "
    "the same moment can corrupt a file. Here only one connection does, under the engine's lock, and all others open "
    "the file read-only; let no other program write to it"
)


@dataclass(frozen=True, slots=True)
class Table:
    """`rows_are` says how its rows are known: kept (in `series`), counted, estimated, or unknown (None)."""

    table: str
    rows: int | None
    rows_are: str
    bytes: int | None


@dataclass(frozen=True, slots=True)
class Info:
    """`state` of the schema: current, older, none, or what this program refuses: newer, changed, foreign.

    `bytes` is what the whole of it takes on the disk.
    """

    database: str
    kind: str
    version: str
    schema: str | None
    state: str
    says: str
    schema_version: int | None
    needs: int
    migrations: list[dict[str, Any]]
    bytes: int
    origin: str
    tables: list[Table]
    engines: list[dict[str, Any]]
    leases: list[dict[str, Any]]
    journal_mode: str | None = None
    notes: list[str] = field(default_factory=list)


def read_info(url: str) -> Info:
    """All of it. Raises StoreError when there is nothing to look at or it cannot be read."""
    if is_postgres(url):
        from core.stores.postgres import connected_database  # noqa: PLC0415

        with connected_database(url) as db, db.snapshot():
            return _of_postgres(db, db.schema, shown_url(url))
    require_store(url)
    path = sqlite_path(url)
    with opened_file(path) as file, file.snapshot():
        return _of_file(file, path, shown_url(url))


@contextmanager
def opened_file(path: str) -> Iterator[Database]:
    """A connection that only looks, whatever is in the file. Raises StoreError and StoreRefused."""
    try:
        with closing(connect(read_only(path), uri=True)) as db:
            yield db
    except sqlite3.Error as error:
        if "not a database" in str(error):
            raise StoreRefused(f"{path} is not an SQLite database") from error
        raise StoreError(f"{path} cannot be read: {error}") from error


def _of_file(db: Database, path: str, url: str) -> Info:
    sizes = [Path(path + end).stat().st_size for end in ("", "-wal", "-shm") if Path(path + end).exists()]
    [mode] = db.execute("PRAGMA journal_mode").fetchone()
    schema = _schema(db)
    tables = _tables_of_file(db, sizes[0], is_ours=schema["state"] != "foreign")
    notes = [NO_SIZES] if all(table.bytes is None for table in tables) else []
    if BUG_SINCE <= sqlite3.sqlite_version_info < BUG_FIXED:
        notes.append(BUG.format(sqlite3.sqlite_version))
    return Info(
        database=url,
        kind="SQLite",
        version=sqlite3.sqlite_version,
        schema=None,
        **schema,
        bytes=sum(sizes),
        tables=tables,
        engines=_holder(path),
        leases=[],
        journal_mode=str(mode),
        notes=notes,
    )


def _of_postgres(db: Database, name: str, url: str) -> Info:
    number, version = db.execute(
        "SELECT CAST(current_setting('server_version_num') AS integer), current_setting('server_version')"
    ).fetchone()
    tables = _tables_of_schema(db, name)
    return Info(
        database=url,
        kind="PostgreSQL",
        version=version,
        schema=name,
        **_schema(db),
        bytes=sum(table.bytes or 0 for table in tables),
        tables=tables,
        engines=_engines(db),
        leases=_leases(db),
        notes=[f"PostgreSQL {version} is older than what Tapewatch is made for, 14"] if number < OLDEST_SERVER else [],
    )


def _schema(db: Database) -> dict[str, Any]:
    """What both kinds of database tell of their schema in the same way."""
    newest = migrations(db.dialect)[-1].version
    applied = _applied(db)
    try:
        version = check(db)
        state = "none" if version == 0 else "current" if version == newest else "older"
        says = SAYS[state]
    except StoreRefused as error:
        says = str(error)
        state = "foreign" if not applied else "newer" if max(applied) > newest else "changed"
    return {
        "state": state,
        "says": says,
        "schema_version": max(applied, default=None if state == "foreign" else 0),
        "needs": newest,
        "migrations": [] if state == "foreign" else _migrations(db.dialect, applied),
        "origin": read_origin(db) if applied and _has(db, "meta", "name", "value") else "",
    }


def _applied(db: Database) -> dict[int, tuple[str, str, int]]:
    """(name, sha256, time) by version; nothing where there are no migrations of ours."""
    if not _has(db, "migration", "version", "name", "sha256", "applied_at"):
        return {}
    rows = db.execute("SELECT version, name, sha256, applied_at FROM migration ORDER BY version").fetchall()
    return {version: (name, sha256, at) for version, name, sha256, at in rows}


def _has(db: Database, table: str, *columns: str) -> bool:
    """Whether there is such a table: that of a newer version may be another."""
    return set(columns) <= set(db.columns(table))


def _migrations(dialect: str, applied: Mapping[int, tuple[str, str, int]]) -> list[dict[str, Any]]:
    """Those of the database and those of this program, with what became of each."""
    known = {migration.version: migration for migration in migrations(dialect)}
    found = []
    for version in sorted({*applied, *known}):
        name, sha256, at = applied.get(version) or (known[version].name, known[version].sha256, None)
        is_same = version in known and known[version].sha256 == sha256
        state = "pending" if at is None else "applied" if is_same else "changed" if version in known else "unknown"
        stamp = None if at is None else iso(at)
        found.append({"version": version, "name": name, "state": state, "applied": stamp, "sha256": sha256})
    return found


def _tables_of_file(db: Database, size: int, *, is_ours: bool) -> list[Table]:
    found = db.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name")
    tables = [name for (name,) in found]
    sizes = _sizes_in_file(db) if size <= LARGEST_FILE_READ else {}
    kept = _kept(db)

    def rows_of(name: str) -> tuple[int | None, str]:
        if name in kept:
            return kept[name], "kept"
        return (_count(db, name), "counted") if is_ours else (None, "unknown")

    return [Table(name, *rows_of(name), sizes.get(name)) for name in tables]


def _tables_of_schema(db: Database, schema: str) -> list[Table]:
    """From the statistics of the server."""
    found = db.execute(
        "SELECT c.relname, CAST(c.reltuples AS bigint), pg_stat_get_live_tuples(c.oid), pg_total_relation_size(c.oid) "
        "FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace "
        "WHERE n.nspname = ? AND c.relkind IN ('r', 'p', 'm') ORDER BY c.relname",
        (schema,),
    ).fetchall()
    kept = _kept(db)

    def rows_of(name: str, analyzed: int, live: int) -> tuple[int | None, str]:
        if name in kept:
            return kept[name], "kept"
        return live or max(analyzed, 0), "estimated"

    return [Table(name, *rows_of(name, analyzed, live), size) for name, analyzed, live, size in found]


def _kept(db: Database) -> dict[str, int]:
    """The rows of the tables of bars, as `series` counts them."""
    if not _has(db, "series", "data_type", "rows"):
        return {}
    found = db.execute("SELECT data_type, CAST(sum(rows) AS bigint) FROM series GROUP BY data_type")
    counts = dict(found.fetchall())
    return {name: counts.get(name, 0) for name in DATASETS}


def _count(db: Database, table: str) -> int:
    return int(db.execute(f'SELECT count(*) FROM "{table}"').fetchone()[0])


def _sizes_in_file(db: Database) -> dict[str, int]:
    """Bytes of each table with its indexes; nothing where SQLite was built without that."""
    try:
        found = db.execute(
            "SELECT m.tbl_name, sum(s.pgsize) FROM dbstat AS s JOIN sqlite_master AS m ON m.name = s.name "
            "WHERE s.aggregate GROUP BY m.tbl_name"
        )
        return dict(found.fetchall())
    except sqlite3.OperationalError:
        return {}


def _holder(path: str) -> list[dict[str, Any]]:
    found = read_holder(lock_path(path))
    if found is None:
        return []
    values = (found.name, found.kind, found.host, found.pid, found.user, iso(found.since), 0)
    return [dict(zip(ENGINE, values, strict=True))]


def _engines(db: Database) -> list[dict[str, Any]]:
    """Those that work here, and those that ended without a word within the last day."""
    if not _has(db, "engine", "name", "kind", "host", "pid", "account", "since", "seen"):
        return []
    found = db.execute(
        f"SELECT name, kind, host, pid, account, since, CAST({NOW} - seen AS bigint) FROM engine ORDER BY since, name"
    )
    return [dict(zip(ENGINE, (*row[:5], iso(row[5]), row[6]), strict=True)) for row in found]


def _leases(db: Database) -> list[dict[str, Any]]:
    """How many series each engine may write now, and until when unless it renews that."""
    if not _has(db, "lease", "owner", "until"):
        return []
    found = db.execute(
        f"SELECT owner, count(*), max(until) FROM lease WHERE until > {NOW} GROUP BY owner ORDER BY owner"
    )
    return [{"engine": owner, "series": count, "until": iso(until)} for owner, count, until in found]
