"""The tables beside the bars, as two stores can be compared by them: matched by names, never by ids."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from core.references import LISTS
from core.stores.database import Database, Row
from core.stores.selection import Selection
from core.windows import Window

SERIES_NAMES = ("source", "data_type", "market", "instrument", "interval")
Pair = tuple[Row | None, Row | None]


@dataclass(frozen=True, slots=True)
class SmallTable:
    """`key` says which rows are the same; without one all columns do. `ids` are ours alone and not compared.

    `of_series` tables belong to series, which are named before the key. `facts` are the columns that remain when
    only what the vendor said is compared; a table without any is not compared then. `when` is the column that a
    span of time is chosen by, and `until` the end of what a row is about.
    """

    name: str
    key: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    of_series: bool = True
    facts: tuple[str, ...] = ()
    when: str = ""
    until: str = ""

    def columns(self, db: Database, *, only_facts: bool) -> tuple[str, ...]:
        """What is compared, the key first."""
        names = [name for name in db.columns(self.name) if name not in {*self.ids, "series_id"}]
        if only_facts:
            names = [name for name in names if name in {*self.key, *self.facts}]
        key = self.key or tuple(names)
        return (*key, *(name for name in names if name not in key))

    def width(self, columns: tuple[str, ...]) -> int:
        """How many of the values that are read say which row it is."""
        return len(self.key or columns) + (len(SERIES_NAMES) if self.of_series else 0)


def _of_series(name: str, key: str = "", facts: str = "", when: str = "start", until: str = "end") -> SmallTable:
    ids = ("id",)
    return SmallTable(name, tuple(key.split()), ids, facts=tuple(facts.split()), when=when, until=until)


def _of_store(name: str, key: str = "", ids: str = "") -> SmallTable:
    return SmallTable(name, tuple(key.split()), tuple(ids.split()), of_series=False)


COVERAGE = _of_series("coverage", "groups start", "end")
TABLES = (
    COVERAGE,
    _of_series("gap", "start", "end cause"),
    _of_series("quarantine", "start reason raw"),
    _of_series("restatement", when="ts", until=""),
    _of_series("series_name", "name", when="", until=""),
    _of_series("unsettled", "start"),
    _of_series("widened"),
    _of_series("failed_fetch", "start"),
    _of_series("finding", "check_name start"),
    _of_store("metadata_change", ids="id entity_id"),
    _of_store("universe", "name"),
    _of_store("universe_series", "universe data_type market instrument interval added"),
    _of_store("run", "run_id"),
    _of_store("run_series", "run_id series"),
    _of_store("alert", "alert"),
    _of_store("alert_change", ids="id"),
    _of_store("outbox", "channel incident sequence", "id"),
    _of_store("silence", "silence"),
    _of_store("schedule_tick", "schedule tick"),
    _of_store("schedule_pause", "schedule"),
    _of_store("sample", "seconds name labels at"),
    _of_store("usage", "hour account data_type reason label"),
    *(
        _of_store(
            reference.name,
            " ".join(dict.fromkeys(("source", reference.place, reference.entity, "is_listed", "first_seen"))),
            "entity_id list_id",
        )
        for reference in LISTS.values()
    ),
)


def read_rows(
    db: Database, table: SmallTable, columns: tuple[str, ...], selection: Selection, window: Window
) -> Iterator[Row]:
    """The rows in the order of their key (bytes, NULL first), the names of the series first."""
    names = [f't."{name}"' for name in columns]
    source, where, values = f"{table.name} AS t", ["true"], list[Any]()
    if table.of_series:
        source += " JOIN series ON series.id = t.series_id"
        names = [*(f"series.{name}" for name in SERIES_NAMES), *names]
        where, values = [selection.where], [*selection.values]
    if table.when and window.seconds < 2**62:
        where += [f"t.{table.when} < ?", f't."{table.until}" > ?' if table.until else f"t.{table.when} >= ?"]
        values += [window.end, window.start]
    order = _in_order(db, table, columns, names)
    return db.stream(f"SELECT {', '.join(names)} FROM {source} WHERE {' AND '.join(where)} ORDER BY {order}", values)


def read_series(db: Database, columns: tuple[str, ...], selection: Selection) -> list[Row]:
    """(*SERIES_NAMES, *columns, id) of the selected series, in the order of their names."""
    names = [f"series.{name}" for name in (*SERIES_NAMES, *columns, "id")]
    order = ", ".join(names[: len(SERIES_NAMES)])
    query = f"SELECT {', '.join(names)} FROM series WHERE {selection.where} ORDER BY {order}"
    return db.execute(query, selection.values).fetchall()


def _in_order(db: Database, table: SmallTable, columns: tuple[str, ...], names: list[str]) -> str:
    kinds = db.columns(table.name)
    own = len(names) - len(columns)
    parts = names[:own]
    for name, column in zip(names[own : table.width(columns)], columns, strict=False):
        bytewise = ' COLLATE "C"' if db.dialect == "postgres" and kinds[column] == "TEXT" else ""
        parts.append(f"{name}{bytewise} NULLS FIRST")
    return ", ".join(parts)


def paired(first: Iterable[Row], second: Iterable[Row], width: int) -> Iterator[Pair]:
    """Rows of both with the same first `width` values, or alone; both are in the order of these."""
    ones, others = iter(first), iter(second)
    one, other = next(ones, None), next(others, None)
    while one is not None or other is not None:
        here = None if one is None else [_sortable(value) for value in one[:width]]
        there = None if other is None else [_sortable(value) for value in other[:width]]
        is_first = there is None or (here is not None and here <= there)
        is_second = here is None or (there is not None and there <= here)
        yield one if is_first else None, other if is_second else None
        one = next(ones, None) if is_first else one
        other = next(others, None) if is_second else other


def _sortable(value: Any) -> tuple[bool, Any]:
    return (value is not None, value)
