"""Moving a store between databases: B becomes like A, whatever it has of it already.

Each series is compared by the digests of its days and brought over where they differ, so a copy that was stopped
goes on, and a later one brings what has changed. Of a series everything comes from one moment of A: its bars in
portions first, each a transaction, then in one transaction what is known about it. What was written is read again
by digest before the next series begins.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from core.datasets import DATASETS
from core.errors import StoreError, StoreRefused
from core.stores.database import Database, Row
from core.stores.difference import title
from core.stores.digest_sql import Bars, Digest, digests, rows_of
from core.stores.journal_sql import read_origin
from core.stores.sides import Side
from core.stores.small_tables import SERIES_NAMES
from core.stores.target import (
    Table,
    begin,
    drop_series,
    identity,
    put,
    put_series,
    remove,
    series_table,
    set_sequences,
    tables,
    write_bars,
    writing,
)
from core.text import shown_url
from core.windows import Window

# A transaction's worth of bars.
BARS_AT_ONCE = 12_000
ROWS_AT_ONCE = 1_000

Progress = Callable[["Copied", str], None]
"""Hears what has been done, and which series or table is."""


@dataclass(slots=True)
class Copied:
    """What a copy did. `rows` are bars that were looked at, `rows_written` those that B did not have like that."""

    series: int = 0
    series_total: int = 0
    series_changed: int = 0
    series_dropped: int = 0
    rows: int = 0
    rows_written: int = 0
    records: dict[str, int] = field(default_factory=dict)
    """Rows of other tables that were written or deleted."""

    def count(self, table: str, changed: int) -> None:
        if changed:
            self.records[table] = self.records.get(table, 0) + changed

    @property
    def is_same(self) -> bool:
        """Whether B had it all."""
        return not (self.series_changed or self.series_dropped or self.records)


class Changes(NamedTuple):
    """What makes one table's rows like another's."""

    removed: list[Row]
    put: list[Row]

    def __len__(self) -> int:
        return len({*self.removed}) + len(self.put)


class Transfer:
    """One copy from A, which is only read, to B."""

    def __init__(self, a: Side, b: Side, progress: Progress) -> None:
        self._a = a
        self._b = b
        self._progress = progress
        self.copied = Copied()

    def run(self) -> None:
        """Raises StoreRefused when B is not empty and no copy of A, StoreBusy while engines write to it."""
        listed = self._prepare()
        for number, row in listed.items():
            with self._a.snapshot():
                self._series(number, title(row))
            self.copied.series += 1
        with self._a.snapshot(), self._b.within(writing):
            self._rest()

    def _prepare(self) -> dict[int, Row]:
        """The names of the series of A by their ids; B has them then, and no others."""
        with self._b.snapshot():
            self._table = self._b.call(series_table)
            self._tables = self._b.call(tables)
        with self._a.snapshot():
            self._take_common_columns()
            origin, source = self._a.call(read_origin), self._a.call(identity)
            runs, rows = self._a.call(_runs), self._a.call(_all, self._table)
        try:
            self._b.call(begin, source, origin, shown_url(self._a.url))
            with self._b.snapshot():
                known = self._b.call(_check_copy, self._table, rows, runs)
        except StoreRefused as error:
            raise StoreRefused(f"{shown_url(self._b.url)}: {error}") from error
        listed = {row[0]: row[1:] for row in self._picked(rows, ("id", *SERIES_NAMES))}
        gone = [number for number in known if number not in listed]
        self._b.call(drop_series, gone)
        self._b.call(put_series, self._table, rows, bare=True)
        self.copied.series_total, self.copied.series_dropped = len(listed), len(gone)
        return listed

    def _take_common_columns(self) -> None:
        """A may be of another dialect, whose schema goes its own way."""
        there = self._a.call(lambda db: {name: set(db.columns(name)) for name in db.relations()})
        common = [table for table in self._tables if table.name in there]
        self._tables = [_within(table, there[table.name]) for table in common]
        self._table = _within(self._table, there["series"])

    def _picked(self, rows: Sequence[Row], names: Sequence[str]) -> Iterator[Row]:
        at = [self._table.columns.index(name) for name in names]
        return (tuple(row[place] for place in at) for row in rows)

    def _series(self, number: int, name: str) -> None:
        found = self._a.call(_rows_where, self._table, "id", number)
        if not found:
            return
        written = self.copied.rows_written
        [(data_type, interval)] = self._picked(found, ("data_type", "interval"))
        if data_type in DATASETS:
            self._bars(Bars(DATASETS[data_type], interval, number), name)
        about = [(table, self._a.call(_rows_where, table, "series_id", number)) for table in self._of_series]
        changed = self._b.call(_put_about, [(self._table, found), *about], number)
        for table, count in changed.items():
            self.copied.count(table, count)
        self.copied.series_changed += bool(changed) or self.copied.rows_written > written

    @property
    def _of_series(self) -> list[Table]:
        return [table for table in self._tables if table.is_of_series]

    def _bars(self, bars: Bars, name: str) -> None:
        wanted, there = self._a.submit(digests, bars), self._digests_there(bars)
        differing = list(_differing(wanted.result(), there, bars.bucket_seconds))
        self.copied.rows += sum(digest.rows for digest in wanted.result().values())
        self._progress(self.copied, name)
        pending: Future[None] | None = None
        for window in differing:
            rows = self._a.call(rows_of, bars.within(window))
            if pending:
                pending.result()
            pending = self._b.submit(write_bars, bars.dataset, bars.series_id, window, rows)
            self.copied.rows_written += len(rows)
            self._progress(self.copied, name)
        if pending:
            pending.result()
        self._verify(bars, differing, wanted.result(), name)

    def _digests_there(self, bars: Bars) -> dict[int, Digest]:
        with self._b.snapshot():
            return self._b.call(digests, bars)

    def _verify(self, bars: Bars, written: Sequence[Window], wanted: dict[int, Digest], name: str) -> None:
        for window in written:
            there = self._digests_there(bars.within(window))
            here = {start: digest for start, digest in wanted.items() if window.start <= start < window.end}
            if there != here:
                raise StoreError(f"{name}: the bars from {window.start} to {window.end} did not arrive as they are")

    def _rest(self) -> None:
        """What belongs to no series, as one transaction; series that came meanwhile are named and come next time."""
        rows = self._a.call(_all, self._table)
        self._b.call(put_series, self._table, rows, bare=True)
        removed: list[tuple[Table, list[Row]]] = []
        for table in self._tables:
            if not table.is_of_series:
                self._progress(self.copied, table.name)
                removed.append((table, self._whole(table)))
        for table, keys in reversed(removed):
            self._b.call(remove, table, keys)
        self._b.call(set_sequences)

    def _whole(self, table: Table) -> list[Row]:
        """Bring a table over, some rows at a time; the keys that are to be deleted, once all tables are here."""
        last: Row | None = None
        removed: list[Row] = []
        while True:
            rows = self._a.call(_page, table, last)
            until = table.key_of(rows[-1]) if len(rows) == ROWS_AT_ONCE else None
            changes = _changes(table, rows, self._b.call(_between, table, last, until))
            self._b.call(put, table, changes.put)
            self.copied.count(table.name, len(changes))
            removed += changes.removed
            if until is None:
                return removed
            last = until


def _within(table: Table, columns: set[str]) -> Table:
    return table._replace(columns=tuple(name for name in table.columns if name in columns))


def _runs(db: Database) -> set[str]:
    return {run for (run,) in db.execute("SELECT run_id FROM run")}


def _check_copy(db: Database, table: Table, rows: Sequence[Row], runs: set[str]) -> list[int]:
    """The ids of the series of an earlier copy. Raises StoreRefused when it has been used since, or is none."""
    if own := sorted(_runs(db) - runs):
        raise StoreRefused(f"it has been written to since it was copied (run {own[0]}); copy to an empty database")
    at = [table.columns.index(name) for name in ("id", "data_type", "created")]
    there = {row[at[0]]: (row[at[1]], row[at[2]]) for row in rows}
    known = db.execute("SELECT id, data_type, created FROM series ORDER BY id").fetchall()
    for number, *facts in known:
        if number in there and there[number] != tuple(facts):
            raise StoreRefused("it is a copy of another store; copy to an empty database")
    return [row[0] for row in known]


def _all(db: Database, table: Table) -> list[Row]:
    return db.execute(f"SELECT {table.names} FROM {table.name} ORDER BY 1").fetchall()


def _rows_where(db: Database, table: Table, column: str, value: int) -> list[Row]:
    return db.execute(f"SELECT {table.names} FROM {table.name} WHERE {column} = ?", (value,)).fetchall()


def _put_about(db: Database, about: Sequence[tuple[Table, list[Row]]], number: int) -> dict[str, int]:
    """Make the row of a series and all that is known about it like `about`; the rows that changed by table."""
    done: dict[str, int] = {}
    with writing(db):
        for table, rows in about:
            column = "id" if table.name == "series" else "series_id"
            changes = _changes(table, rows, _rows_where(db, table, column, number))
            if not changes:
                continue
            remove(db, table, changes.removed)
            if table.name == "series":
                put_series(db, table, changes.put, bare=False)
            else:
                put(db, table, changes.put)
            done[table.name] = len(changes)
            if _changes(table, rows, _rows_where(db, table, column, number)):
                raise StoreError(f"{table.name} of series {number} did not arrive as it is")
    return done


def _changes(table: Table, wanted: Sequence[Row], there: Sequence[Row]) -> Changes:
    here = {table.key_of(row): row for row in there}
    new = {table.key_of(row): row for row in wanted}
    removed = [key for key in here if key not in new]
    return Changes(removed, [row for key, row in new.items() if here.get(key) != row])


def _page(db: Database, table: Table, after: Row | None) -> list[Row]:
    return _ordered(db, table, after, None, f"LIMIT {ROWS_AT_ONCE}")


def _between(db: Database, table: Table, after: Row | None, until: Row | None) -> list[Row]:
    return _ordered(db, table, after, until, "")


def _ordered(db: Database, table: Table, after: Row | None, until: Row | None, limit: str) -> list[Row]:
    """The rows whose keys come after the one and not after the other."""
    key = ", ".join(f'"{name}"' for name in table.key)
    bounds = [(operator, values) for operator, values in ((">", after), ("<=", until)) if values is not None]
    where = " AND ".join(f"({key}) {operator} ({', '.join('?' * len(values))})" for operator, values in bounds)
    values: list[Any] = [value for _, bound in bounds for value in bound]
    query = f"SELECT {table.names} FROM {table.name} {'WHERE ' + where if where else ''} ORDER BY {key} {limit}"
    return db.execute(query, values).fetchall()


def _differing(wanted: dict[int, Digest], there: dict[int, Digest], seconds: int) -> Iterator[Window]:
    """Spans of buckets that differ, some bars long, and with none in between that do not."""
    span: Window | None = None
    rows = 0
    for start in sorted(wanted.keys() | there.keys()):
        if wanted.get(start) == there.get(start):
            if span:
                yield span
            span, rows = None, 0
            continue
        count = wanted[start].rows if start in wanted else 0
        if span and rows + count > BARS_AT_ONCE:
            yield span
            span, rows = None, 0
        span = Window(span.start if span else start, start + seconds)
        rows += count
    if span:
        yield span
