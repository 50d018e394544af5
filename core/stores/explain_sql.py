"""Gaps with what is stored around them, for their causes; and windows that were given up. Synchronous."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from core.causes import UNEXPLAINED, Explanation, Listed, Others, Surroundings, explain
from core.coverage import Gap
from core.datasets import DATASETS, Dataset, SeriesKey
from core.references import INSTRUMENT_LISTS
from core.stores.selection import Selection
from core.stores.window_sql import transaction
from core.windows import GRAINS, Window

MOST_OTHERS = 25
LONGEST_SILENCE = 86_400
LAST_RECORDS = {
    ("spot", "trades"): "last_trade_spot_timestamp",
    ("futures", "trades"): "last_trade_futures_timestamp",
    ("futures", "funding_rate"): "last_funding_rate_update_timestamp",
    ("futures", "open_interest"): "last_open_interest_update_timestamp",
    ("index", "index"): "last_index_update_timestamp",
}
_SERIES = "series.id, series.source, series.data_type, series.market, series.instrument, series.interval"
_GAP = 'gap.start, gap."end", gap.cause, gap.sightings, gap.first_seen, gap.last_seen, gap.next_check, gap.evidence'


class Place(NamedTuple):
    """A series as the questions here need it."""

    id: int
    source: str
    key: SeriesKey

    @property
    def dataset(self) -> Dataset:
        return DATASETS[self.key.data_type]


class ExplainedGap(NamedTuple):
    series_id: int
    key: SeriesKey
    gap: Gap
    explanation: Explanation


class FailedWindow(NamedTuple):
    """A window that was given up and not answered since. Times in UTC epoch seconds."""

    series_id: int
    key: SeriesKey
    window: Window
    error: str
    attempts: int
    run_id: str
    sightings: int
    first_seen: int
    last_seen: int


def explained_gaps(db: sqlite3.Connection, selection: Selection) -> list[ExplainedGap]:
    """The gaps of the selected series, by series and time, each with its cause as of now."""
    query = (
        f"SELECT {_SERIES}, {_GAP} FROM gap JOIN series ON series.id = gap.series_id WHERE {selection.where} "
        "ORDER BY series.data_type, series.market, series.instrument, series.interval, gap.start"
    )
    return list(_explained(db, db.execute(query, selection.values).fetchall()))


def failed_windows(db: sqlite3.Connection, selection: Selection) -> list[FailedWindow]:
    """The windows of the selected series that were given up, by series and time."""
    query = (
        f'SELECT {_SERIES}, f.start, f."end", error, attempts, run_id, sightings, first_seen, last_seen '
        f"FROM failed_fetch AS f JOIN series ON series.id = f.series_id WHERE {selection.where} "
        "ORDER BY series.data_type, series.market, series.instrument, series.interval, f.start"
    )
    found = db.execute(query, selection.values)
    return [FailedWindow(row[0], SeriesKey(*row[2:6]), Window(*row[6:8]), *row[8:]) for row in found]


def write_causes(db: sqlite3.Connection, series_ids: Sequence[int]) -> None:
    """Explain the gaps of these series that have no explanation yet, in one transaction."""
    words = sorted(UNEXPLAINED)
    query = (
        f"SELECT {_SERIES}, {_GAP} FROM gap JOIN series ON series.id = gap.series_id "
        f"WHERE series.id = ? AND gap.cause IN ({', '.join('?' * len(words))})"
    )
    causes = [
        (each.explanation.cause, each.series_id, each.gap.window.start)
        for series_id in series_ids
        for each in _explained(db, db.execute(query, (series_id, *words)).fetchall())
        if each.explanation.cause != each.gap.cause
    ]
    if causes:
        with transaction(db):
            db.executemany("UPDATE gap SET cause = ? WHERE series_id = ? AND start = ?", causes)


def _explained(db: sqlite3.Connection, rows: Iterable[tuple[Any, ...]]) -> Iterator[ExplainedGap]:
    for row in rows:
        place, gap = Place(row[0], row[1], SeriesKey(*row[2:6])), Gap(Window(*row[6:8]), *row[8:])
        grain = GRAINS[place.key.interval]
        told = explain(gap, grain, surroundings(db, place, gap.window), place.key.market)
        yield ExplainedGap(place.id, place.key, gap, told)


def surroundings(db: sqlite3.Connection, place: Place, window: Window) -> Surroundings:
    step = GRAINS[place.key.interval].seconds
    return Surroundings(
        others=_others(db, place, window),
        before=_has_bar(db, place, Window(window.start - step, window.start)),
        after=_has_bar(db, place, Window(window.end, window.end + step)),
        later=_has_bar(db, place, Window(window.end, 2**62)),
        listed=listed(db, place),
    )


def _has_bar(db: sqlite3.Connection, place: Place, window: Window) -> bool:
    query = f"SELECT EXISTS (SELECT 1 FROM {place.key.data_type} WHERE series_id = ? AND ts >= ? AND ts < ?)"
    return bool(db.execute(query, (place.id, *window)).fetchone()[0])


def _others(db: sqlite3.Connection, place: Place, window: Window) -> Others:
    """What other series did that were asked for all of `window`, had begun by then and had not ended long before."""
    query = (
        "SELECT count(*), coalesce(sum(NOT EXISTS "
        f"(SELECT 1 FROM {place.key.data_type} AS r WHERE r.series_id = s.id AND r.ts >= ?1 AND r.ts < ?2)), 0) "
        "FROM (SELECT id FROM series WHERE source = ?3 AND data_type = ?4 AND market = ?5 AND interval = ?6 "
        "AND id <> ?7 AND coalesce(history_start, first_bar) <= ?1 AND coalesce(pruned_before, ?1) <= ?1 "
        "AND last_bar >= ?8 AND EXISTS (SELECT 1 FROM coverage WHERE series_id = series.id "
        'AND start <= ?1 AND "end" >= ?2) ORDER BY rows DESC, id LIMIT ?9) AS s'
    )
    step = GRAINS[place.key.interval].seconds
    alive = window.start - max(LONGEST_SILENCE, 2 * step)
    names = (place.source, place.key.data_type, place.key.market, place.key.interval)
    return Others(*db.execute(query, (*window, *names, place.id, alive, MOST_OTHERS)).fetchone())


def listed(db: sqlite3.Connection, place: Place) -> Listed | None:
    """What the stored metadata says of the instrument now; None when it says nothing."""
    kind = place.dataset.kind
    last = LAST_RECORDS[kind, place.dataset.feature]
    expiry = "contract_expiration_ts" if kind == "futures" else "NULL"
    query = (
        f"SELECT instrument_status, is_listed, {last}, {expiry} FROM {INSTRUMENT_LISTS[kind].name} "
        "WHERE source = ? AND market = ? AND instrument = ? ORDER BY is_listed DESC, changed DESC"
    )
    found = db.execute(query, (place.source, place.key.market, place.key.instrument)).fetchone()
    if found is None:
        return None
    status, is_listed, *ends = found
    is_active = bool(is_listed) and status == "ACTIVE"
    known = [end for end in ends if end]
    return Listed(status or "UNKNOWN" if is_listed else "NOT LISTED", is_active, min(known, default=None))
