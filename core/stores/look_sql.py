"""What a look at stored series reads: bars of one, what checks flagged in it, and which spans of many are there.

Bars are found by the key of their table, whatever else it holds. Spans come from what is written down about
answers, never from counting bars.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

from core.coverage import DELISTED
from core.datasets import DATASETS, SeriesKey
from core.findings import Finding
from core.references import INSTRUMENT_LISTS
from core.stores.database import Database, places
from core.stores.selection import Selection, find_series
from core.windows import Window, merge

_NAMED = "series.data_type, series.market, series.instrument, series.interval"


class Spans(NamedTuple):
    """What of one series was asked for and answered, and where the answers had no bar. Lists are normal.

    `start` is the first slot of its history that is known, None when none is; what was stored before
    `pruned_before` has been removed. `explained` are gaps that need no further look.
    """

    key: SeriesKey
    start: int | None
    pruned_before: int | None
    asked: list[Window]
    gaps: list[Window]
    explained: list[Window]


class Flagged(NamedTuple):
    """A finding as it is kept. Times in UTC epoch seconds."""

    key: SeriesKey
    finding: Finding
    sightings: int
    first_seen: int
    last_seen: int


def read_newest(
    db: Database, key: SeriesKey, columns: Sequence[str], window: Window, limit: int
) -> list[tuple[Any, ...]]:
    """The newest `limit` bars that begin in `window`, running ones too, as (ts, closed, *columns), ascending.

    Raises StoreError when the series is not stored.
    """
    names = ", ".join(("ts", "CAST(closed AS INTEGER)", *columns))
    query = (
        f"SELECT {names} FROM {key.data_type} WHERE series_id = ? AND ts >= ? AND ts < ? ORDER BY ts DESC LIMIT {limit}"
    )
    return db.execute(query, (find_series(db, key), *window)).fetchall()[::-1]


def read_findings(db: Database, selection: Selection) -> list[Flagged]:
    """What quality checks flagged in the selected series, by series and time."""
    query = (
        f'SELECT {_NAMED}, check_name, f.start, f."end", level, detail, sightings, first_seen, last_seen '
        f"FROM finding AS f JOIN series ON series.id = f.series_id WHERE {selection.where} ORDER BY {_NAMED}, f.start"
    )
    found = db.execute(query, selection.values)
    return [Flagged(SeriesKey(*row[:4]), Finding(row[4], Window(*row[5:7]), *row[7:9]), *row[9:]) for row in found]


def read_inactive(db: Database) -> list[SeriesKey]:
    """The series whose instruments the stored metadata know, and call active in no entry."""
    found: list[SeriesKey] = []
    for kind, reference in INSTRUMENT_LISTS.items():
        names = [dataset.name for dataset in DATASETS.values() if dataset.kind == kind]
        query = (
            f"SELECT {_NAMED} FROM series JOIN {reference.name} AS listed ON listed.source = series.source "
            "AND listed.market = series.market AND listed.instrument = series.instrument "
            f"WHERE series.data_type IN ({places(names)}) AND series.interval <> '' GROUP BY series.id, {_NAMED} "
            "HAVING max(CASE WHEN is_listed AND instrument_status = 'ACTIVE' THEN 1 ELSE 0 END) = 0"
        )
        found += [SeriesKey(*row) for row in db.execute(query, names)]
    return found


def read_spans(db: Database, selection: Selection) -> list[Spans]:
    """The spans of the selected series, by name."""
    query = (
        f"SELECT series.id, {_NAMED}, coalesce(history_start, first_bar), pruned_before FROM series "
        f"WHERE {selection.where} ORDER BY {_NAMED}"
    )
    series = db.execute(query, selection.values).fetchall()
    asked = dict(_windows(db, "coverage", "true", selection))
    explained = f"(part.sightings > 1 OR part.cause = '{DELISTED}')"
    known = dict(_windows(db, "gap", explained, selection))
    new = dict(_windows(db, "gap", f"NOT {explained}", selection))
    return [
        Spans(SeriesKey(*names), start, pruned, asked.get(at, []), new.get(at, []), known.get(at, []))
        for at, *names, start, pruned in series
    ]


def _windows(db: Database, table: str, where: str, selection: Selection) -> Iterator[tuple[int, list[Window]]]:
    query = (
        f'SELECT part.series_id, part.start, part."end" FROM {table} AS part '
        f"JOIN series ON series.id = part.series_id WHERE {where} AND {selection.where} ORDER BY part.series_id"
    )
    found = db.execute(query, selection.values).fetchall()
    for series_id, rows in groupby(found, itemgetter(0)):
        yield series_id, merge(Window(start, end) for _, start, end in rows)
