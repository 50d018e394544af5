"""Keeping house: series that go whole, and old bars that are not kept.

A pruned span stays covered and the series says where it begins, so that nothing of it is bought again.
"""

from typing import NamedTuple

from core.datasets import SeriesKey
from core.stores.database import Database
from core.stores.gap_sql import EARLIEST
from core.stores.selection import find_series
from core.stores.window_sql import forget_failed
from core.windows import GRAINS, Window

BARS_AT_ONCE = 100_000
OF_SERIES = (
    *("coverage", "gap", "quarantine", "restatement", "unsettled", "widened", "failed_fetch", "finding"),
    "series_name",
)
# What makes work or tells of bars that are kept; restatements and quarantined rows stay as a record.
PRUNED_WITH_BARS = ("gap", "unsettled", "widened", "finding")
CUT = ("gap", "unsettled")


class Prunable(NamedTuple):
    """A series with bars that begin before `before` (UTC epoch seconds), and how many."""

    series_id: int
    key: SeriesKey
    before: int
    rows: int


def contents(db: Database, key: SeriesKey) -> dict[str, int]:
    """How many rows of each table belong to a series, its bars first. Raises StoreError when it is not stored."""
    series_id = find_series(db, key)
    tables = (key.data_type, *OF_SERIES)
    query = "SELECT count(*) FROM {} WHERE series_id = ?"
    return {table: db.execute(query.format(table), (series_id,)).fetchone()[0] for table in tables}


def drop(db: Database, key: SeriesKey) -> dict[str, int]:
    """Delete a series with everything about it, in one transaction; the rows that went by table.

    Raises StoreError when it is not stored.
    """
    with db.transaction():
        series_id = find_series(db, key)
        query = "DELETE FROM {} WHERE series_id = ?"
        gone = {table: db.execute(query.format(table), (series_id,)).rowcount for table in (key.data_type, *OF_SERIES)}
        db.execute("DELETE FROM series WHERE id = ?", (series_id,))
    return gone


def prunable(db: Database, data_type: str, interval: str, before: int) -> list[Prunable]:
    """The series of this data type and interval with bars before that time, by name."""
    query = (
        "SELECT id, data_type, market, instrument, interval, "
        f"(SELECT count(*) FROM {data_type} WHERE series_id = series.id AND ts < ?) "
        "FROM series WHERE data_type = ? AND interval = ? AND first_bar < ? ORDER BY market, instrument"
    )
    found = db.execute(query, (before, data_type, interval, before))
    return [Prunable(row[0], SeriesKey(*row[1:5]), before, row[5]) for row in found]


def prune_steps(db: Database, data_type: str, interval: str, before: int) -> list[tuple[int, int]]:
    """The series with bars before that time, each with the edges up to which to prune, some bars at once."""
    query = "SELECT id, first_bar FROM series WHERE data_type = ? AND interval = ? AND first_bar < ?"
    step = BARS_AT_ONCE * GRAINS[interval].seconds
    return [
        (series_id, edge)
        for series_id, first in db.execute(query, (data_type, interval, before)).fetchall()
        for edge in (*range(first + step, before, step), before)
    ]


def prune(db: Database, data_type: str, series_id: int, edge: int) -> int:
    """Delete the bars of a series before that time; how many went."""
    with db.transaction():
        db.lock_series(series_id)
        return _prune(db, data_type, series_id, edge)


def _prune(db: Database, table: str, series_id: int, edge: int) -> int:
    gone = db.execute(f"DELETE FROM {table} WHERE series_id = ? AND ts < ?", (series_id, edge)).rowcount
    for name in PRUNED_WITH_BARS:
        db.execute(f'DELETE FROM {name} WHERE series_id = ? AND "end" <= ?', (series_id, edge))
    for name in CUT:
        db.execute(f"UPDATE {name} SET start = ?2 WHERE series_id = ?1 AND start < ?2", (series_id, edge))
    forget_failed(db, series_id, Window(EARLIEST, edge))
    [oldest] = db.execute(f"SELECT min(ts) FROM {table} WHERE series_id = ? AND closed", (series_id,)).fetchone()
    db.execute(
        "UPDATE series SET rows = rows - ?, first_bar = ?, pruned_before = greatest(pruned_before, ?) WHERE id = ?",
        (gone, oldest, edge, series_id),
    )
    return gone
