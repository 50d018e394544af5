"""What a database holds, read with plain SQL that is the same for both, as facts about slots."""

import asyncio
import json
import shutil
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from core.datasets import DATASETS, SeriesKey
from core.windows import Window
from tests.crash.reference import Facts, Gap, Restated, Row
from tests.crash.scenario import KEYS, SOURCE, slots

Table = list[tuple[Any, ...]]
SERIES = "id, data_type, market, instrument, interval, exchange_symbol, type, history_start, first_bar, last_bar, rows"
QUERIES = {
    "series": f"SELECT {SERIES} FROM series WHERE source = '{SOURCE}'",
    "coverage": 'SELECT series_id, start, "end", groups FROM coverage',
    "gap": 'SELECT series_id, start, "end", cause, sightings, first_seen, last_seen, next_check FROM gap',
    "unsettled": 'SELECT series_id, start, "end" FROM unsettled',
    "widened": 'SELECT series_id, start, "end", groups, at FROM widened',
    "restatement": "SELECT series_id, ts, old, new, seen_at FROM restatement ORDER BY ts, seen_at",
    "quarantine": 'SELECT series_id, start, "end", reason, raw, sightings FROM quarantine',
    "failed_fetch": 'SELECT series_id, start, "end", sightings FROM failed_fetch',
}

# SQLite 3.40 looks at the wrong column of a table WITHOUT ROWID whose key leaves one out.
FALSE_ALARM = "NULL value in widened.end"


def value_names(key: SeriesKey) -> list[str]:
    return [column.name for column in DATASETS[key.data_type].columns]


for _key in KEYS:
    _names = ", ".join(("series_id", "ts", "closed", "known_at", "sent_at", *value_names(_key)))
    QUERIES[_key.data_type] = f"SELECT {_names} FROM {_key.data_type}"


class Figures(NamedTuple):
    """What the table `series` says."""

    exchange_symbol: str | None
    type: str | None
    history_start: int | None
    first_bar: int | None
    last_bar: int | None
    rows: int


@dataclass
class Found:
    """Everything in one database at one moment; nothing of it when it has no tables yet."""

    figures: dict[SeriesKey, Figures] = field(default_factory=dict)
    facts: dict[SeriesKey, Facts] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)


def read(url: str) -> Found:
    """What the database at `url` holds. Files are copied first: who is started next finds them as they were left."""
    if url.startswith("sqlite"):
        return _read_sqlite(Path(url.removeprefix("sqlite:///")))
    return asyncio.run(_read_postgres(url))


def _read_sqlite(path: Path) -> Found:
    with TemporaryDirectory() as folder:
        for file in path.parent.glob(f"{path.name}*"):
            if not file.name.endswith("-shm"):
                shutil.copy(file, folder)
        db = sqlite3.connect(Path(folder) / path.name)
        try:
            return _of_sqlite(db)
        except sqlite3.DatabaseError as error:
            return Found(faults=[f"the database cannot be read: {error}"])
        finally:
            db.close()


def _of_sqlite(db: sqlite3.Connection) -> Found:
    faults = [text for (text,) in db.execute("PRAGMA integrity_check") if text not in ("ok", FALSE_ALARM)]
    there = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    found = found_in({name: db.execute(query).fetchall() for name, query in QUERIES.items() if name in there})
    found.faults += faults
    return found


async def _read_postgres(url: str) -> Found:
    import asyncpg

    db = await asyncpg.connect(url, server_settings={"search_path": "tapewatch"})
    try:
        async with db.transaction(isolation="repeatable_read", readonly=True):
            tables = await db.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'tapewatch'")
            there = {name for (name,) in tables}
            queries = {name: query for name, query in QUERIES.items() if name in there}
            return found_in({name: list(map(tuple, await db.fetch(query))) for name, query in queries.items()})
    finally:
        await db.close()


def found_in(tables: dict[str, Table]) -> Found:
    found = Found()
    by_id: dict[int, Facts] = {}
    for series_id, *names in tables.get("series", ()):
        key = SeriesKey(*names[:4])
        if key in found.facts or key not in KEYS:
            found.faults.append(f"{key} should not be there, or not twice")
        found.figures[key] = Figures(*names[4:])
        found.facts[key] = by_id[series_id] = Facts()
    for name, table in tables.items():
        if name != "series":
            _sort(found, by_id, name, table)
    return found


def _sort(found: Found, by_id: dict[int, Facts], name: str, table: Table) -> None:
    """Each record to its series, each slot once."""
    for series_id, *record in table:
        if series_id not in by_id:
            found.faults.append(f"{name} has a record of no series: {record}")
        elif name in DATASETS:
            _row(by_id[series_id], value_names(_key_of(name)), record)
        else:
            found.faults += [f"{name} says twice what {ts} is" for ts in READERS[name](by_id[series_id], *record)]


def _key_of(data_type: str) -> SeriesKey:
    return next(key for key in KEYS if key.data_type == data_type)


def _row(facts: Facts, names: list[str], record: list[Any]) -> None:
    ts, closed, known_at, sent_at, *values = record
    if isinstance(ts, datetime):
        ts = int(ts.timestamp())
    kept = {name: value for name, value in zip(names, values, strict=True) if value is not None}
    facts.rows[ts] = Row(bool(closed), known_at, sent_at, kept)


def _coverage(facts: Facts, start: int, end: int, groups: str) -> Iterable[int]:
    found = {(ts, groups) for ts in slots(Window(start, end))}
    twice = facts.covered & found
    facts.covered |= found
    return [ts for ts, _ in twice]


def _gap(facts: Facts, start: int, end: int, *told: Any) -> Iterable[int]:
    twice = [ts for ts in slots(Window(start, end)) if ts in facts.gaps]
    facts.gaps.update(dict.fromkeys(slots(Window(start, end)), Gap(*told)))
    return twice


def _unsettled(facts: Facts, start: int, end: int) -> Iterable[int]:
    found = set(slots(Window(start, end)))
    twice = facts.unsettled & found
    facts.unsettled |= found
    return twice


def _widened(facts: Facts, start: int, end: int, group: str, at: int) -> Iterable[int]:
    facts.widened |= {(ts, group, at) for ts in slots(Window(start, end))}
    return ()


def _restatement(facts: Facts, ts: int, old: str, new: str, seen_at: int) -> Iterable[int]:
    facts.restated.append(Restated(ts, json.loads(old), json.loads(new), seen_at))
    return ()


def _quarantine(facts: Facts, start: int, end: int, reason: str, raw: str, sightings: int) -> Iterable[int]:
    if end == start + 1:
        facts.rejected[start, raw] = sightings
    else:
        facts.kept[Window(start, end), reason, raw] = sightings
    return ()


def _failed(facts: Facts, start: int, end: int, sightings: int) -> Iterable[int]:
    facts.failed[Window(start, end)] = sightings
    return ()


READERS: dict[str, Any] = {
    "coverage": _coverage,
    "gap": _gap,
    "unsettled": _unsettled,
    "widened": _widened,
    "restatement": _restatement,
    "quarantine": _quarantine,
    "failed_fetch": _failed,
}
