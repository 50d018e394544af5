"""The states of series, with what of them is covered and missing."""

from collections.abc import Sequence
from typing import Any

from core.coverage import DELISTED, Covered, SeriesState
from core.datasets import SeriesKey
from core.stores import Damaged
from core.stores.catalog_sql import describe_series
from core.stores.database import Database
from core.stores.gap_sql import read_gaps, settle_start
from core.stores.selection import Selection
from core.stores.window_sql import read_unsettled
from core.windows import Window

FOREVER = Window(-(2**62), 2**62)

SERIES_FIELDS = (
    "id, data_type, market, instrument, interval, exchange_symbol, history_start, last_bar, rows, type IS NOT NULL, "
    "pruned_before, page_checked, audit_from, audited_at, blocked, refreshed"
)


def read_or_create(db: Database, source: str, keys: Sequence[SeriesKey], created: int | None) -> list[SeriesState]:
    """`created` is the stamp of series that are new, None to only read."""
    if created is None:
        return [_series(db, source, key, None) for key in keys]
    with db.transaction():
        # In one order, so that engines which make the same ones do not wait for each other in a circle.
        made = {key: _series(db, source, key, created) for key in sorted(keys)}
    return [made[key] for key in keys]


def _series(db: Database, source: str, key: SeriesKey, created: int | None) -> SeriesState:
    where = "source = ? AND data_type = ? AND market = ? AND {} AND interval = ?"
    once = "id = (SELECT series_id FROM series_name WHERE series_id = series.id AND name = ?)"
    for name in ("instrument = ?", "exchange_symbol = ?", once):
        query = f"SELECT {SERIES_FIELDS} FROM series WHERE {where.format(name)}"
        if found := db.execute(query, (source, *key)).fetchone():
            return load_series(db, found)
    if created is None:
        return SeriesState(0, key)
    # Another engine may have made it a moment ago; what it wrote is there once ours has waited for it.
    db.execute(
        "INSERT INTO series (source, data_type, market, instrument, interval, created) VALUES (?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (source, data_type, market, instrument, interval) DO NOTHING",
        (source, *key, created),
    )
    where = "source = ? AND data_type = ? AND market = ? AND instrument = ? AND interval = ?"
    [series_id] = db.execute(f"SELECT id FROM series WHERE {where}", (source, *key)).fetchone()
    describe_series(db, series_id, source, key)
    made = db.execute(f"SELECT {SERIES_FIELDS} FROM series WHERE id = ?", (series_id,)).fetchone()
    return load_series(db, made)


def load_series(db: Database, row: tuple[Any, ...]) -> SeriesState:
    """The state of a series from its SERIES_FIELDS row, with its coverage and gaps."""
    covered = db.execute('SELECT groups, start, "end" FROM coverage WHERE series_id = ?', (row[0],))
    return SeriesState(
        id=row[0],
        key=SeriesKey(*row[1:5]),
        exchange_symbol=row[5],
        history_start=row[6],
        last_bar=row[7],
        rows=row[8],
        has_constants=bool(row[9]),
        covered=tuple(Covered(frozenset(groups.split(",")), Window(start, end)) for groups, start, end in covered),
        gaps=tuple(read_gaps(db, row[0], FOREVER)),
        unsettled=read_unsettled(db, row[0]),
        pruned_before=row[10],
        page_checked=row[11],
        audit_from=row[12],
        audited_at=row[13],
        blocked=row[14],
        refreshed=row[15],
        refusals=_refusals(db, row[0]),
    )


def _refusals(db: Database, series_id: int) -> int:
    """What was refused is not tried again within its run, unlike what failed in other ways."""
    query = "SELECT coalesce(max(sightings), 0) FROM failed_fetch WHERE series_id = ? AND attempts = 1"
    return int(db.execute(query, (series_id,)).fetchone()[0])


def damaged(db: Database, source: str, selection: Selection) -> list[Damaged]:
    has = "EXISTS (SELECT 1 FROM {} WHERE series_id = series.id)"
    query = (
        f"SELECT {SERIES_FIELDS} FROM series WHERE {selection.where} AND source = ? "
        f"AND ({has.format('gap')} OR {has.format('failed_fetch')}) ORDER BY data_type, market, instrument, interval"
    )
    failed = 'SELECT start, "end" FROM failed_fetch WHERE series_id = ? ORDER BY start'
    return [
        Damaged(load_series(db, row), tuple(Window(*window) for window in db.execute(failed, (row[0],))))
        for row in db.execute(query, (*selection.values, source)).fetchall()
    ]


def settle(db: Database, series_id: int, first: int) -> bool:
    """As `settle_start`, in a transaction of its own."""
    with db.transaction():
        db.lock_series(series_id)
        return settle_start(db, series_id, first)


def write_audited(db: Database, series_id: int, until: int, at: int) -> None:
    db.execute("UPDATE series SET audit_from = ?, audited_at = ? WHERE id = ?", (until, at, series_id))


def count_unexplained(db: Database, data_type: str, interval: str) -> int:
    """How many gaps of this data type and interval have been seen only once."""
    query = (
        "SELECT count(*) FROM gap JOIN series ON series.id = gap.series_id "
        "WHERE data_type = ? AND interval = ? AND sightings = 1 AND cause <> ?"
    )
    return int(db.execute(query, (data_type, interval, DELISTED)).fetchone()[0])
