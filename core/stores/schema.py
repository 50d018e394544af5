"""Tables, views and upserts, derived from the data types. The only module that writes row SQL.

One table a data type is keyed by (series_id, ts); what users query are the views `<data type>_<interval>`
that join it with `series`. The migrations are literal SQL; a test holds them against what this module
derives, so that a new column cannot be forgotten in either.
"""

from collections.abc import Iterable
from functools import cache, lru_cache

from core.datasets import DATASETS, Dataset
from core.records import Column
from core.references import LISTS, Reference
from core.windows import GRAINS, Grain

BOOKKEEPING = ("series_id", "closed", "known_at", "sent_at")
SQLITE_TYPES = {float: "REAL", int: "INTEGER", str: "TEXT", bool: "INTEGER", list: "TEXT"}


def constant_columns(datasets: Iterable[Dataset] = DATASETS.values()) -> tuple[Column, ...]:
    """The columns of `series` that hold what is constant within one, each name once."""
    by_name = {column.name: column for dataset in datasets for column in dataset.constants}
    return tuple(by_name.values())


@cache
def group_names(dataset: Dataset) -> dict[str, str]:
    """The vendor's group of each column."""
    return {column.name: column.group for column in dataset.columns}


def create_rows_table(dataset: Dataset) -> str:
    """DDL of a data type's table in SQLite. STRICT: what is no number is refused, not kept as text."""
    values = ",\n    ".join(f"{column.name} {SQLITE_TYPES[column.kind]}" for column in dataset.columns)
    return (
        f"CREATE TABLE {dataset.name} (\n"
        "    series_id INTEGER NOT NULL REFERENCES series (id),\n"
        "    ts INTEGER NOT NULL,\n"
        "    closed INTEGER NOT NULL CHECK (closed IN (0, 1)),\n"
        "    known_at INTEGER,\n"
        "    sent_at INTEGER NOT NULL,\n"
        f"    {values},\n"
        "    PRIMARY KEY (series_id, ts)\n"
        ") STRICT, WITHOUT ROWID;"
    )


def create_view(dataset: Dataset, grain: Grain) -> str:
    """DDL of the view that users query for one interval."""
    constants = "".join(f", s.{column.name}" for column in dataset.constants)
    derived = [f"r.{column} AS {name}" for name, column in dataset.derived]
    values = ", ".join([*derived, *(f"r.{column.name}" for column in dataset.columns)])
    return (
        f"CREATE VIEW {dataset.name}_{grain.name} AS\n"
        "SELECT s.market, s.instrument, s.exchange_symbol, r.series_id, r.ts,\n"
        "    strftime('%Y-%m-%dT%H:%M:%SZ', r.ts, 'unixepoch') AS time,\n"
        f"    r.closed, r.known_at{constants},\n"
        f"    {values}\n"
        f"FROM series AS s JOIN {dataset.name} AS r ON r.series_id = s.id\n"
        f"WHERE s.data_type = '{dataset.name}' AND s.interval = '{grain.name}';"
    )


def create_reference_table(reference: Reference) -> str:
    """DDL of a metadata data type's table in SQLite: an entity a row, dead ones included.

    `entity_id` is ours and stays when an entity is renamed; `list_id` is the list (a row of `series`) that
    it was last seen in, `list_rank` its place there.
    """
    named = {column.name for column in reference.columns} | {"source"}
    names = [name for name in (reference.place, reference.entity) if name not in named]
    own = "".join(f"    {name} TEXT NOT NULL,\n" for name in names)
    values = ",\n    ".join(f"{column.name} {SQLITE_TYPES[column.kind]}" for column in reference.columns)
    return (
        f"CREATE TABLE {reference.name} (\n"
        "    entity_id INTEGER PRIMARY KEY,\n"
        "    source TEXT NOT NULL,\n"
        "    list_id INTEGER NOT NULL REFERENCES series (id),\n"
        "    list_rank INTEGER NOT NULL,\n"
        f"{own}"
        "    is_listed INTEGER NOT NULL CHECK (is_listed IN (0, 1)),\n"
        "    first_seen INTEGER NOT NULL,\n"
        "    last_seen INTEGER NOT NULL,\n"
        "    changed INTEGER NOT NULL,\n"
        f"    {values}\n"
        ") STRICT;"
    )


def create_reference_index(reference: Reference) -> str:
    """DDL of the index by name; an entity that is gone may have the name of one that is listed."""
    columns = ", ".join(dict.fromkeys(("source", reference.place, reference.entity)))
    return f"CREATE INDEX {reference.name}_by_name ON {reference.name} ({columns});"


def create_everything() -> str:
    """DDL of every data type's table and views."""
    parts = []
    for dataset in DATASETS.values():
        parts.append(create_rows_table(dataset))
        parts += [create_view(dataset, grain) for grain in GRAINS.values()]
    for reference in LISTS.values():
        parts += [create_reference_table(reference), create_reference_index(reference)]
    return "\n\n".join(parts) + "\n"


@lru_cache(maxsize=32)
def upsert(dataset: Dataset, columns: tuple[str, ...], rows: int) -> str:
    """One statement that writes `rows` rows: BOOKKEEPING once for all of them, then (ts, *columns) of each.

    A stored row yields only to one from an answer that is as closed and was asked for no earlier, and
    only when something differs. Columns that are not named stay as they are in a closed bar; in a running
    one they are emptied, because they told of an earlier moment of it.
    """
    others = [column.name for column in dataset.columns if column.name not in columns]
    one = f"({', '.join('?' * (1 + len(columns)))})"
    names = ", ".join((*BOOKKEEPING, "ts", *columns))
    same = ", ".join("?" * len(BOOKKEEPING))
    sets = ", ".join(
        [f"{name} = excluded.{name}" for name in (*columns, "closed", "sent_at")]
        + [f"{name} = CASE WHEN closed THEN {name} END" for name in others]
    )
    differs = " OR ".join(f"{name} IS NOT excluded.{name}" for name in (*columns, "closed"))
    return (
        # "WHERE true" keeps the parser from reading ON as part of a join.
        f"INSERT INTO {dataset.name} ({names}) SELECT {same}, * FROM (VALUES {', '.join([one] * rows)}) WHERE true "
        f"ON CONFLICT (series_id, ts) DO UPDATE SET {sets}, known_at = coalesce(known_at, excluded.known_at) "
        f"WHERE (excluded.closed, excluded.sent_at) >= (closed, sent_at) AND ({differs})"
    )


@cache
def touch(table: str) -> str:
    """Says that a stored bar was confirmed by an answer asked for at `?`."""
    return f"UPDATE {table} SET sent_at = ?1 WHERE series_id = ?2 AND ts = ?3 AND sent_at < ?1"


@cache
def select_range(table: str, columns: tuple[str, ...]) -> str:
    """Stored bars of one series in `[?, ?)`: ts, closed, sent_at, then `columns`."""
    names = ", ".join(("ts", "closed", "sent_at", *columns))
    return f"SELECT {names} FROM {table} WHERE series_id = ? AND ts >= ? AND ts < ?"
