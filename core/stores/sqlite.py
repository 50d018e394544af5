"""The SQLite store: one connection that writes and checkpoints, through aiosqlite, on one thread.

WAL with synchronous FULL: what was acknowledged survives a power cut. Only this connection writes or
checkpoints (SQLite before 3.51.3 can corrupt a WAL when two do); everyone else opens the file read-only.
"""

import json
import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import aiosqlite

from core.coverage import DELISTED, Covered, SeriesState
from core.datasets import SeriesKey
from core.errors import StoreError, StoreRefused
from core.events import AlertChanged
from core.sources import RejectedRow
from core.stores import Commit, Damaged, RunRecord, RunSeries, Written, sqlite_path
from core.stores.catalog_sql import describe_series
from core.stores.explain_sql import write_causes
from core.stores.gap_sql import read_gaps, settle_start
from core.stores.house_sql import drop, prune
from core.stores.migrate import check, check_current, migrate, migrations
from core.stores.quarantine_sql import ALL, Quarantined, quarantined
from core.stores.selection import Selection
from core.stores.sqlite_bars import SQLiteBars
from core.stores.sqlite_lists import SQLiteLists
from core.stores.window_sql import (
    QUARANTINE,
    read_unsettled,
    transaction,
    write_failed,
    write_window,
)
from core.windows import Window

T = TypeVar("T")
Wall = Callable[[], float]
FOREVER = Window(-(2**62), 2**62)
PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA busy_timeout = 5000",
    "PRAGMA wal_autocheckpoint = 8000",
    "PRAGMA journal_size_limit = 67108864",
    "PRAGMA trusted_schema = OFF",
    "PRAGMA temp_store = MEMORY",
)


class _Connection(aiosqlite.Connection):
    """aiosqlite, plus whole transactions as one hop to its thread."""

    async def run(self, work: Callable[..., T], *args: object) -> T:
        """`work(sqlite3 connection, *args)` on the thread. Raises StoreError for what SQLite raises.

        A value that it cannot bind (an integer too large, half a surrogate) is not one of its own errors.
        """
        try:
            return await self._execute(work, self._conn, *args)  # type: ignore[no-untyped-call, no-any-return]
        except (sqlite3.Error, OverflowError, UnicodeEncodeError) as error:
            raise StoreError(f"the database failed: {error}") from error


class SQLiteStore(SQLiteLists, SQLiteBars):
    """Implements `core.stores.Store` for one file (or `:memory:` in tests); `wall` is the clock for stamps."""

    def __init__(self, url: str, connection: _Connection, wall: Wall, *, is_read_only: bool = False) -> None:
        self.url = url
        self._db: _Connection = connection
        self._wall = wall
        self._is_read_only = is_read_only

    @classmethod
    async def open(cls, url: str, wall: Wall = time.time) -> "SQLiteStore":
        """Open or create the file and bring it to the present schema.

        Raises StoreRefused for a file that is not ours or is newer, StoreError when it cannot be used.
        """
        path = sqlite_path(url)
        check_place(path)
        return await cls._connect(url, path, _prepare, wall)

    @classmethod
    async def open_to_plan(cls, url: str, wall: Wall = time.time) -> "SQLiteStore":
        """Open the file read-only, or an empty store in memory when there is none yet."""
        path = sqlite_path(url)
        check_place(path)
        if not Path(path).exists():
            return await cls._connect(url, ":memory:", _prepare, wall)
        uri = f"file:{quote(path)}?mode=ro"
        return await cls._connect(url, uri, _check_only, wall, is_read_only=True)

    @classmethod
    async def _connect(
        cls,
        url: str,
        path: str,
        prepare: Callable[[sqlite3.Connection, int], None],
        wall: Wall,
        *,
        is_read_only: bool = False,
    ) -> "SQLiteStore":
        connect = partial(sqlite3.connect, path, isolation_level=None, cached_statements=32, uri=is_read_only)
        connection = _Connection(connect, 64)
        try:
            await connection
            await connection.run(prepare, int(wall()))
        except (sqlite3.DatabaseError, StoreError) as error:
            await connection.close()
            if "not a database" in str(error):
                raise StoreRefused(f"{path} is not an SQLite database; choose another file") from error
            if isinstance(error, StoreError):
                raise
            raise StoreError(f"{path} cannot be opened: {error}") from error
        return cls(url, connection, wall, is_read_only=is_read_only)

    async def claim_origin(self, origin: str) -> None:
        before = await self._db.run(_claim, origin, self._is_read_only)
        if before != origin:
            raise StoreRefused(f"the store {self.url} holds data of {before}; it refuses {origin}. Choose another --db")

    async def series(self, source: str, keys: Sequence[SeriesKey], *, create: bool = True) -> list[SeriesState]:
        return await self._db.run(_read_or_create, source, keys, int(self._wall()) if create else None)

    async def commit(self, commit: Commit) -> Written:
        return await self._db.run(write_window, commit)

    async def quarantine(self, series: SeriesState, window: Window, rejected: RejectedRow, run_id: str) -> None:
        await self._db.run(_quarantine, series, window, rejected, run_id, int(self._wall()))

    async def failed(self, series: SeriesState, window: Window, error: str, attempts: int, run_id: str) -> None:
        await self._db.run(write_failed, series.id, window, error, attempts, run_id, int(self._wall()))

    async def settle_start(self, series: SeriesState, first: int) -> SeriesState | None:
        is_settled = await self._db.run(_settle_start, series.id, first)
        return replace(series, history_start=first) if is_settled else None

    async def audited(self, series: SeriesState, until: int, at: int) -> None:
        await self._db.run(_audited, series.id, until, at)

    async def explain(self, series: Sequence[SeriesState]) -> None:
        await self._db.run(write_causes, [state.id for state in series])

    async def damaged(self, source: str, selection: Selection) -> list[Damaged]:
        return await self._db.run(_damaged, source, selection)

    async def unexplained_gaps(self, data_type: str, interval: str) -> int:
        return await self._db.run(_unexplained_gaps, data_type, interval)

    async def journal(
        self, runs: Sequence[RunRecord], series: Sequence[RunSeries], alerts: Sequence[AlertChanged]
    ) -> None:
        if runs or series or alerts:
            await self._db.run(_journal, runs, series, alerts)

    async def quarantined(self, ids: Sequence[int] = (), reason: str | None = None) -> list[Quarantined]:
        """What could not be used: all of it, or the records of `ids` or `reason`."""
        return await self._db.run(quarantined, ALL, ids, reason)

    async def prune(self, data_type: str, interval: str, before: int) -> int:
        return await self._db.run(prune, data_type, interval, before)

    async def drop(self, key: SeriesKey) -> dict[str, int]:
        """Delete a series with everything about it; the rows that went by table."""
        return await self._db.run(drop, key)

    async def close(self) -> None:
        await self._db.close()


def check_place(path: str) -> None:
    """Raises StoreError when no regular file can be at `path`, saying why."""
    place = Path(path)
    if path == ":memory:":
        return
    if not place.parent.is_dir():
        raise StoreError(f"--db: the directory {place.parent} does not exist; create it first")
    if place.exists() and not place.is_file():
        raise StoreError(f"--db: {place} is not a regular file")


def _prepare(db: sqlite3.Connection, now: int) -> None:
    # The journal mode is written into the file, so that of others is left alone.
    check(db, migrations())
    for pragma in PRAGMAS:
        db.execute(pragma).fetchall()
    migrate(db, now)


def _check_only(db: sqlite3.Connection, _now: int) -> None:
    check_current(db, migrations())


def _claim(db: sqlite3.Connection, origin: str, is_read_only: bool) -> str:
    found = db.execute("SELECT value FROM meta WHERE name = 'origin'").fetchone()
    if found is None and not is_read_only:
        db.execute("INSERT INTO meta (name, value) VALUES ('origin', ?)", (origin,))
    return origin if found is None else str(found[0])


SERIES_FIELDS = (
    "id, data_type, market, instrument, interval, exchange_symbol, history_start, last_bar, rows, type IS NOT NULL, "
    "pruned_before, page_checked, audit_from, audited_at, blocked, refreshed"
)


def _read_or_create(
    db: sqlite3.Connection, source: str, keys: Sequence[SeriesKey], created: int | None
) -> list[SeriesState]:
    """`created` is the stamp of series that are new, None to only read."""
    if created is None:
        return [_series(db, source, key, None) for key in keys]
    with transaction(db):
        return [_series(db, source, key, created) for key in keys]


def _series(db: sqlite3.Connection, source: str, key: SeriesKey, created: int | None) -> SeriesState:
    where = "source = ? AND data_type = ? AND market = ? AND {} AND interval = ?"
    once = "id = (SELECT series_id FROM series_name WHERE series_id = series.id AND name = ?)"
    for name in ("instrument = ?", "exchange_symbol = ?", once):
        query = f"SELECT {SERIES_FIELDS} FROM series WHERE {where.format(name)}"
        if found := db.execute(query, (source, *key)).fetchone():
            return load_series(db, found)
    if created is None:
        return SeriesState(0, key)
    cursor = db.execute(
        "INSERT INTO series (source, data_type, market, instrument, interval, created) VALUES (?, ?, ?, ?, ?, ?)",
        (source, *key, created),
    )
    describe_series(db, cursor.lastrowid or 0, source, key)
    made = db.execute(f"SELECT {SERIES_FIELDS} FROM series WHERE id = ?", (cursor.lastrowid,)).fetchone()
    return load_series(db, made)


def load_series(db: sqlite3.Connection, row: tuple[Any, ...]) -> SeriesState:
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


def _refusals(db: sqlite3.Connection, series_id: int) -> int:
    """What was refused is not tried again within its run, unlike what failed in other ways."""
    query = "SELECT coalesce(max(sightings), 0) FROM failed_fetch WHERE series_id = ? AND attempts = 1"
    return int(db.execute(query, (series_id,)).fetchone()[0])


def _damaged(db: sqlite3.Connection, source: str, selection: Selection) -> list[Damaged]:
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


def _quarantine(
    db: sqlite3.Connection, series: SeriesState, window: Window, rejected: RejectedRow, run_id: str, now: int
) -> None:
    with transaction(db):
        db.execute(
            QUARANTINE,
            (series.id, *window, rejected.reason, rejected.detail, rejected.raw, run_id, now, now),
        )


def _settle_start(db: sqlite3.Connection, series_id: int, first: int) -> bool:
    with transaction(db):
        return settle_start(db, series_id, first)


def _audited(db: sqlite3.Connection, series_id: int, until: int, at: int) -> None:
    db.execute("UPDATE series SET audit_from = ?, audited_at = ? WHERE id = ?", (until, at, series_id))


def _unexplained_gaps(db: sqlite3.Connection, data_type: str, interval: str) -> int:
    query = (
        "SELECT count(*) FROM gap JOIN series ON series.id = gap.series_id "
        "WHERE data_type = ? AND interval = ? AND sightings = 1 AND cause <> ?"
    )
    return int(db.execute(query, (data_type, interval, DELISTED)).fetchone()[0])


def _journal(
    db: sqlite3.Connection,
    runs: Sequence[RunRecord],
    series: Sequence[RunSeries],
    alerts: Sequence[AlertChanged],
) -> None:
    with transaction(db):
        db.executemany(
            "INSERT OR REPLACE INTO run VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    *(r.run_id, r.engine, r.data_type, r.interval, r.label, r.state),
                    *(r.created, r.started, r.finished, json.dumps(r.summary)),
                )
                for r in runs
            ],
        )
        db.executemany(
            "INSERT OR REPLACE INTO run_series VALUES (?, ?, ?, ?, ?, ?, ?)",
            [(s.run_id, s.series, s.state, s.windows_done, s.windows_total, s.rows, s.error) for s in series],
        )
        db.executemany(
            "INSERT OR REPLACE INTO alert VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [(a.alert, a.rule, a.level, a.state, a.since, a.time, a.message, a.source, a.count) for a in alerts],
        )
