"""Stored closed bars as columns, and what the quality checks flagged in them."""

from collections.abc import Sequence
from typing import Any

from core.datasets import DATASETS, SeriesKey
from core.findings import Bars, Finding, joined
from core.stores.bars import StoredSeries
from core.stores.database import Database
from core.stores.selection import Selection
from core.windows import GRAINS, Window


def stored_series(db: Database, selection: Selection) -> list[StoredSeries]:
    """The selected series that hold closed bars, by name."""
    found = db.execute(
        "SELECT id, data_type, market, instrument, interval, first_bar, last_bar FROM series "
        f"WHERE first_bar IS NOT NULL AND last_bar IS NOT NULL AND {selection.where} "
        "ORDER BY data_type, market, instrument, interval",
        selection.values,
    )
    rows = [(row[0], SeriesKey(*row[1:5]), *row[5:]) for row in found]
    return [
        StoredSeries(series_id, key, Window(first, last + GRAINS[key.interval].seconds))
        for series_id, key, first, last in rows
    ]


def read_bars(db: Database, series_id: int, key: SeriesKey, window: Window, names: Sequence[str] | None = None) -> Bars:
    """The closed bars that begin in `window`, with the columns `names` or all of them."""
    chosen = _names(key) if names is None else tuple(names)
    where = "series_id = ? AND closed AND ts >= ? AND ts < ? ORDER BY ts"
    query = f"SELECT ts, {', '.join(chosen)} FROM {key.data_type} WHERE {where}"
    return _bars(db, series_id, key, chosen, db.execute(query, (series_id, *window)).fetchall())


def newest_bars(db: Database, series_id: int, key: SeriesKey, count: int) -> Bars:
    """The newest `count` closed bars."""
    names = _names(key)
    query = (
        f"SELECT ts, {', '.join(names)} FROM {key.data_type} WHERE series_id = ? AND closed ORDER BY ts DESC LIMIT ?"
    )
    return _bars(db, series_id, key, names, db.execute(query, (series_id, count)).fetchall()[::-1])


def _names(key: SeriesKey) -> tuple[str, ...]:
    return tuple(column.name for column in DATASETS[key.data_type].columns)


def _bars(db: Database, series_id: int, key: SeriesKey, names: tuple[str, ...], rows: list[tuple[Any, ...]]) -> Bars:
    ts, *columns = zip(*rows, strict=True) if rows else [()] * (1 + len(names))
    [(until,)] = db.execute('SELECT max("end") FROM coverage WHERE series_id = ?', (series_id,))
    others = "source = (SELECT source FROM series WHERE id = ?) AND data_type = ? AND market = ? AND interval = ?"
    [(newest,)] = db.execute(
        f"SELECT max(last_bar) FROM series WHERE {others} AND id <> ?",
        (series_id, key.data_type, key.market, key.interval, series_id),
    )
    return Bars(key, ts, dict(zip(names, columns, strict=True)), until, newest)


def flag(db: Database, series_id: int, findings: Sequence[Finding], now: int) -> int:
    """Write findings down; how many are new. One that overlaps a known one of its check is a further sighting."""
    fresh = 0
    with db.transaction():
        for found in joined(findings):
            fresh += _flag(db, series_id, found, now)
    return fresh


def _flag(db: Database, series_id: int, found: Finding, now: int) -> bool:
    where = 'series_id = ? AND check_name = ? AND start <= ? AND "end" >= ?'
    query = f'SELECT min(start), max("end"), max(sightings), min(first_seen) FROM finding WHERE {where}'
    place = (series_id, found.check, found.window.end, found.window.start)
    [(start, end, sightings, first_seen)] = db.execute(query, place)
    window, is_new = found.window, start is None
    if not is_new:
        window = Window(min(start, window.start), max(end, window.end))
        db.execute(f"DELETE FROM finding WHERE {where}", place)
    db.execute(
        'INSERT INTO finding (series_id, check_name, start, "end", level, detail, sightings, first_seen, last_seen) '
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (series_id, found.check, *window, found.level, found.detail, (sightings or 0) + 1, first_seen or now, now),
    )
    return is_new
