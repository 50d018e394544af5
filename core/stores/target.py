"""What a copy does to the store that it fills: open it for one writer, refuse what is no copy, write rows by key.

Every write is a transaction that may be done again. Coverage follows its bars, so that a copy that was stopped
claims nothing that is not there.
"""

import json
import os
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import chain
from typing import NamedTuple

from core.datasets import DATASETS, Dataset
from core.errors import StoreBusy, StoreRefused
from core.stores import sqlite_path
from core.stores.database import Database, Row, places, value_rows
from core.stores.digest_sql import EVERYTHING
from core.stores.house_sql import OF_SERIES
from core.stores.journal_sql import claim_origin, read_origin
from core.stores.lock import EngineLock, Holder
from core.stores.migrate import check_current, migrate
from core.stores.opening import is_postgres
from core.stores.small_tables import SERIES_NAMES
from core.stores.sqlite import PRAGMAS, check_place
from core.stores.sqlite_connection import SQLiteDatabase, connect
from core.windows import Window

COPY_OF = "copy_of"
# Tables of the place and its engines, and the ones that are copied in their own ways.
NOT_COPIED = {"meta", "migration", "lease", "duty", "engine", "quota", "baseline", "series", *DATASETS}
PARENTS = ("run", "universe")
# What a series says of what is stored of it.
STORED = {"history_start", "first_bar", "last_bar", "pruned_before", "page_checked", "audit_from", "audited_at"}
VALUES_AT_ONCE = 2_000
FEW = 100


class Table(NamedTuple):
    """A table that both stores have: its columns, its primary key, and which columns PostgreSQL holds as flags."""

    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...]
    flags: frozenset[str] = frozenset()

    @property
    def is_of_series(self) -> bool:
        return self.name in OF_SERIES

    @property
    def names(self) -> str:
        return ", ".join(f'"{name}"' for name in self.columns)

    def key_of(self, row: Row) -> Row:
        return tuple(row[self.columns.index(name)] for name in self.key)

    def native(self, row: Row) -> Row:
        """`row` with flags as PostgreSQL takes them."""
        pairs = zip(self.columns, row, strict=True)
        return tuple(bool(value) if name in self.flags and value is not None else value for name, value in pairs)


@contextmanager
def opened_to_write(url: str) -> Iterator[Database]:
    """The store at `url`, its schema made where there is nothing yet; a file under its engine lock.

    Raises StoreBusy while an engine works on it, StoreRefused for what is not ours or has another schema.
    """
    if is_postgres(url):
        from core.stores.postgres import connected_database  # noqa: PLC0415

        with connected_database(url) as db:
            _prepare(db)
            yield db
        return
    path = sqlite_path(url)
    check_place(path)
    lock = EngineLock(path)
    lock.acquire(Holder(os.getpid(), "copy", "", 0, time.time()))
    try:
        with closing(connect(path)) as db:
            _prepare(db)
            for pragma in PRAGMAS:
                db.execute(pragma).fetchall()
            yield db
    finally:
        lock.release()


def _prepare(db: Database) -> None:
    with db.snapshot():
        version = check_current(db)
    if version == 0:
        migrate(db, int(time.time()))


def identity(db: Database) -> str:
    """What tells a store from others: when its first table was made, by its own clock. Its place may change."""
    return str(db.execute("SELECT min(applied_at) FROM migration").fetchone()[0])


def begin(db: Database, source: str, origin: str, place: str) -> None:
    """Make the store one that is copied to, from the store with the identity `source`, which lies at `place`.

    Raises StoreRefused when it has data that are of another origin or no earlier copy of that.
    """
    with writing(db):
        copy = db.execute("SELECT value FROM meta WHERE name = ?", (COPY_OF,)).fetchone()
        here = read_origin(db)
        if here and origin and here != origin:
            raise StoreRefused(f"it holds data of {here}, and the other store of {origin}")
        if copy is None and not _is_empty(db):
            raise StoreRefused("it has data already, and is no copy; copy to an empty database")
        if copy is not None and json.loads(copy[0])["identity"] != source:
            raise StoreRefused(f"it is a copy of another store ({json.loads(copy[0])['place']})")
        if origin:
            claim_origin(db, origin)
        value = json.dumps({"identity": source, "place": place})
        db.execute(
            "INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (COPY_OF, value),
        )


def _is_empty(db: Database) -> bool:
    query = "SELECT EXISTS (SELECT 1 FROM series) OR EXISTS (SELECT 1 FROM run) OR EXISTS (SELECT 1 FROM universe)"
    return not db.execute(query).fetchone()[0]


@contextmanager
def writing(db: Database) -> Iterator[None]:
    """A transaction, which is refused while engines write here: they would work on half a copy."""
    with db.transaction():
        if db.dialect == "postgres":
            now = "date_part('epoch', clock_timestamp())"
            found = db.execute(f"SELECT DISTINCT owner FROM lease WHERE until > {now} ORDER BY owner").fetchall()
            if found:
                raise StoreBusy(f"engines write to it: {', '.join(name for (name,) in found)}; stop them first")
        yield


def tables(db: Database) -> list[Table]:
    """What is copied beside series and their bars; tables that others refer to come first."""
    found = [_table(db, name) for name in _table_names(db) if name not in NOT_COPIED]
    return sorted(found, key=lambda table: (table.name not in PARENTS, table.name))


def series_table(db: Database) -> Table:
    return _table(db, "series")


def _table_names(db: Database) -> list[str]:
    views = {name for name in db.relations() if not _key(db, name)}
    return [name for name in db.relations() if name not in views]


def _table(db: Database, name: str) -> Table:
    return Table(name, tuple(db.columns(name)), _key(db, name), _flags(db, name))


def _key(db: Database, name: str) -> tuple[str, ...]:
    """The columns of the primary key in order; a view has none."""
    if db.dialect == "sqlite":
        query = f"SELECT name FROM pragma_table_info('{name}') WHERE pk > 0 ORDER BY pk"
        return tuple(column for (column,) in db.execute(query))
    query = (
        "SELECT CAST(k.column_name AS text) FROM information_schema.table_constraints AS c "
        "JOIN information_schema.key_column_usage AS k USING (constraint_schema, constraint_name, table_name) "
        "WHERE c.constraint_type = 'PRIMARY KEY' AND c.constraint_schema = current_schema() AND c.table_name = ? "
        "ORDER BY k.ordinal_position"
    )
    return tuple(column for (column,) in db.execute(query, (name,)))


def _flags(db: Database, name: str) -> frozenset[str]:
    if db.dialect == "sqlite":
        return frozenset()
    query = (
        "SELECT CAST(column_name AS text) FROM information_schema.columns "
        "WHERE table_schema = current_schema() AND table_name = ? AND data_type = 'boolean'"
    )
    return frozenset(column for (column,) in db.execute(query, (name,)))


def write_bars(db: Database, dataset: Dataset, series_id: int, window: Window, rows: Sequence[Row]) -> None:
    """Make `rows` (ts, *EVERYTHING, *values) what is stored of a series in `window`."""
    with writing(db):
        where = (series_id, *window)
        db.execute(f"DELETE FROM {dataset.name} WHERE series_id = ? AND ts >= ? AND ts < ?", where)
        if not rows:
            return
        columns = tuple(column.name for column in dataset.columns)
        if isinstance(db, SQLiteDatabase):
            names = ("series_id", "ts", *EVERYTHING, *columns)
            _insert(db, dataset.name, names, [(series_id, *row) for row in rows])
            return
        # (ts, closed, known_at, sent_at, ...) in the order of COPY.
        records = [(series_id, bool(row[1]), row[2], row[3], row[0], *row[4:]) for row in rows]
        db.copy_rows(dataset.name, columns, records)  # type: ignore[attr-defined]


def _insert(db: SQLiteDatabase, table: str, names: Sequence[str], rows: Sequence[Row]) -> None:
    step = min(VALUES_AT_ONCE, 32_000 // len(names))
    for at in range(0, len(rows), step):
        part = rows[at : at + step]
        values = value_rows(len(names), len(part))
        db.execute(f"INSERT INTO {table} ({', '.join(names)}) VALUES {values}", tuple(chain.from_iterable(part)))


def put(db: Database, table: Table, rows: Iterable[Row]) -> None:
    """Insert rows, or make those with their keys like them."""
    others = [name for name in table.columns if name not in table.key]
    sets = ", ".join(f'"{name}" = excluded."{name}"' for name in others)
    key = ", ".join(f'"{name}"' for name in table.key)
    conflict = f"ON CONFLICT ({key}) DO UPDATE SET {sets}" if others else "ON CONFLICT DO NOTHING"
    query = f"INSERT INTO {table.name} ({table.names}) VALUES ({places(table.columns)}) {conflict}"
    db.executemany(query, [table.native(row) for row in rows])


def remove(db: Database, table: Table, keys: Iterable[Row]) -> None:
    where = " AND ".join(f'"{name}" = ?' for name in table.key)
    db.executemany(f"DELETE FROM {table.name} WHERE {where}", list(keys))


def put_series(db: Database, table: Table, rows: Sequence[Row], *, bare: bool) -> None:
    """Series as rows of their table; `bare` ones say nothing yet of what is stored, and old ones stay as they are.

    Names may have wandered from one series to another: those that change give their own up first.
    """
    at = [table.columns.index(name) for name in ("id", *SERIES_NAMES)]
    named = {row[at[0]]: tuple(row[place] for place in at[1:]) for row in rows}
    with writing(db):
        known = _names(db, named)
        moved = [number for number, names in named.items() if known.get(number, names) != names]
        db.executemany("UPDATE series SET instrument = ? WHERE id = ?", [(f"~{number}", number) for number in moved])
        if not bare:
            put(db, table, rows)
            return
        put(db, table, [_blank(table, row) for row in rows if row[at[0]] not in known])
        sets = ", ".join(f"{name} = ?" for name in SERIES_NAMES)
        db.executemany(f"UPDATE series SET {sets} WHERE id = ?", [(*named[number], number) for number in moved])


def _names(db: Database, wanted: Collection[int]) -> dict[int, Row]:
    """The names of series by their ids."""
    where = f"WHERE id IN ({places(wanted)})" if len(wanted) <= FEW else ""
    query = f"SELECT id, {', '.join(SERIES_NAMES)} FROM series {where}"
    return {row[0]: row[1:] for row in db.execute(query, tuple(wanted) if where else ())}


def _blank(table: Table, row: Row) -> Row:
    pairs = zip(table.columns, row, strict=True)
    return tuple(0 if name == "rows" else None if name in STORED else value for name, value in pairs)


def drop_series(db: Database, series_ids: Sequence[int]) -> None:
    """Delete series that the other store has dropped, each with everything about it."""
    for series_id in series_ids:
        with writing(db):
            query = "DELETE FROM {} WHERE series_id = ?"
            [data_type] = db.execute("SELECT data_type FROM series WHERE id = ?", (series_id,)).fetchone()
            for name in (*OF_SERIES, *([data_type] if data_type in DATASETS else [])):
                db.execute(query.format(name), (series_id,))
            db.execute("DELETE FROM series WHERE id = ?", (series_id,))


def set_sequences(db: Database) -> None:
    """Numbers that PostgreSQL gives out go on after the ones that were copied."""
    if db.dialect == "sqlite":
        return
    query = (
        "SELECT CAST(table_name AS text), CAST(column_name AS text) FROM information_schema.columns "
        "WHERE table_schema = current_schema() AND is_identity = 'YES'"
    )
    for table, column in db.execute(query).fetchall():
        sequence = f"pg_get_serial_sequence('{table}', '{column}')"
        db.execute(f"SELECT setval({sequence}, (SELECT coalesce(max({column}), 0) + 1 FROM {table}), false)")
