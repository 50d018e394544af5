"""Looking at a store without touching it, whoever works on it meanwhile."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from core.causes import Listed
from core.coverage import SeriesState
from core.datasets import SeriesKey
from core.events import AlertChanged
from core.stores import RunRecord, RunSeries
from core.stores.catalog import ListedChange
from core.stores.catalog_sql import read_changes, read_vendor_time
from core.stores.database import Database, Row
from core.stores.explain_sql import ExplainedGap, FailedWindow, Place, explained_gaps, failed_windows, listed
from core.stores.house_sql import Prunable, contents, prunable
from core.stores.journal_sql import read_alerts, read_origin
from core.stores.lock import Holder
from core.stores.quarantine_sql import ALL, Quarantined, quarantined
from core.stores.restatement_sql import Restated, restated
from core.stores.selection import EVERYTHING, Selection, find_series
from core.stores.series_sql import SERIES_FIELDS, load_series
from core.stores.universe_sql import Member, UniverseRow, read_members, read_universes
from core.windows import iso

_NAME = "data_type || '/' || market || '/' || instrument || '/' || interval"
FLEET_RUNS = 200
FLEET_SCANNED = 5_000
STAMPS = {"history_start", "first_bar", "last_bar", "created", "pruned_before", "page_checked", "audited_at"}


@dataclass(frozen=True, slots=True)
class SeriesRow:
    """One stored series: how much of it there is. Times are UTC epoch seconds, bar starts."""

    series: str
    series_id: int
    rows: int
    first_bar: int | None
    last_bar: int | None
    history_start: int | None
    gaps: int


def _run(row: Row) -> RunRecord:
    return RunRecord(*(*row[:-1], json.loads(row[-1])))


class Reader:
    """Questions that `status`, `jobs` and `series` ask of a store."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def origin(self) -> str:
        """Who the rows come from; empty before the first one."""
        return read_origin(self._db)

    def runs(self, limit: int = 20) -> list[RunRecord]:
        """The newest runs, newest first."""
        found = self._db.execute("SELECT * FROM run ORDER BY created DESC LIMIT ?", (limit,))
        return [_run(row) for row in found]

    def fleet(self, since: float) -> tuple[list[Holder], list[RunRecord]]:
        """The engines that a PostgreSQL database knows of; runs since then (UTC epoch seconds), or not ended.

        Only the newest few thousand runs are looked at, so that asking often costs little however long the journal is.
        """
        from core.stores.lease_sql import read_engines  # noqa: PLC0415

        found = self._db.execute(
            f"SELECT * FROM (SELECT * FROM run ORDER BY created DESC LIMIT {FLEET_SCANNED}) AS newest "
            "WHERE created >= ? OR finished IS NULL AND engine IN (SELECT name FROM engine) "
            f"ORDER BY finished IS NOT NULL, created DESC LIMIT {FLEET_RUNS}",
            (since,),
        )
        return read_engines(self._db), [_run(row) for row in found]

    def run_series(self, run_id: str) -> list[RunSeries]:
        found = self._db.execute("SELECT * FROM run_series WHERE run_id = ? ORDER BY series", (run_id,))
        return [RunSeries(*row) for row in found]

    def leased(self, key: SeriesKey) -> tuple[Holder | None, str]:
        """The engine that may write a stored series now, as far as it is known, and who that is in words.

        "" where nobody may, and where a lock on the whole store says who.
        """
        if self._db.dialect != "postgres":
            return None, ""
        from core.stores.lease_sql import owner_of  # noqa: PLC0415

        return owner_of(self._db, find_series(self._db, key))

    def alerts(self, *, only_open: bool = True) -> list[AlertChanged]:
        return read_alerts(self._db, only_open=only_open)

    def data_types(self) -> list[dict[str, Any]]:
        """Series, rows, newest closed bar and gaps of every data type and interval that has any."""
        found = self._db.execute(
            "SELECT data_type, interval, count(*), CAST(sum(rows) AS BIGINT), max(last_bar), "
            "CAST(sum((SELECT count(*) FROM gap WHERE series_id = series.id)) AS BIGINT) "
            "FROM series WHERE interval <> '' GROUP BY data_type, interval ORDER BY data_type, interval"
        )
        names = ("data_type", "interval", "series", "rows", "last_bar", "gaps")
        return [dict(zip(names, row, strict=True)) for row in found]

    def lists(self) -> list[dict[str, Any]]:
        """Lists of reference data: how many entities each has had, and when it was last stored, by our clock."""
        found = self._db.execute(
            "SELECT rtrim(data_type || '/' || market || '/' || instrument, '/') AS name, rows, refreshed "
            "FROM series WHERE interval = '' ORDER BY name"
        )
        return [dict(zip(("list", "entities", "refreshed"), row, strict=True)) for row in found]

    def series(self, selection: Selection = EVERYTHING, like: str = "%") -> list[SeriesRow]:
        """The selected series whose name (`type/market/instrument/interval`) matches the SQL pattern `like`."""
        found = self._db.execute(
            f"SELECT {_NAME}, id, rows, first_bar, last_bar, history_start, "
            "(SELECT count(*) FROM gap WHERE series_id = series.id) "
            # A backslash is one in both databases.
            f"FROM series WHERE lower({_NAME}) LIKE lower(?) ESCAPE '\x01' AND {selection.where} ORDER BY 1",
            (like, *selection.values),
        )
        return [SeriesRow(*row) for row in found]

    def gaps(self, selection: Selection = EVERYTHING) -> list[ExplainedGap]:
        """Gaps of the selected series, by series and time, each with its cause as of now."""
        return explained_gaps(self._db, selection)

    def failed(self, selection: Selection = EVERYTHING) -> list[FailedWindow]:
        """Windows of the selected series that were given up and not answered since."""
        return failed_windows(self._db, selection)

    def quarantined(
        self, selection: Selection = ALL, ids: Sequence[int] = (), reason: str | None = None
    ) -> list[Quarantined]:
        """What could not be used of the selected series, all or those of `ids` or `reason`."""
        return quarantined(self._db, selection, ids, reason)

    def restated(self, selection: Selection, since: int) -> list[Restated]:
        """Columns of closed bars of the selected series that changed since then (UTC epoch seconds)."""
        return restated(self._db, selection, since)

    def changes(self, since: int, data_types: Sequence[str] = ()) -> list[ListedChange]:
        """What changed in reference data at or after `since` by the vendor's clock, oldest first."""
        return read_changes(self._db, since, data_types)

    def vendor_time(self, now: float) -> float:
        """The vendor's time when our clock shows `now`, as the newest list of reference data tells."""
        return read_vendor_time(self._db, now)

    def universes(self) -> list[UniverseRow]:
        return read_universes(self._db)

    def universe(self, source: str, name: str) -> list[Member]:
        """Everything that a universe lists or listed. Raises ConfigError when there is none of that name."""
        return read_members(self._db, source, name)

    def find(self, key: SeriesKey) -> SeriesKey:
        """The stored series that `key` means: by its present name, its exchange's own or an old one."""
        query = "SELECT data_type, market, instrument, interval FROM series WHERE id = ?"
        return SeriesKey(*self._db.execute(query, (find_series(self._db, key),)).fetchone())

    def series_detail(self, key: SeriesKey) -> dict[str, Any]:
        """All that is known of one series but its gaps, with times in ISO. Raises StoreError when it is not stored."""
        series_id = find_series(self._db, key)
        [detail] = self._records("SELECT * FROM series WHERE id = ?", series_id)
        detail = {name: value for name, value in detail.items() if value is not None}
        for name in detail.keys() & STAMPS:
            detail[name] = iso(detail[name])
        of_series = "FROM {} WHERE series_id = ? ORDER BY start"
        detail["coverage"] = self._records('SELECT groups, start, "end" ' + of_series.format("coverage"), series_id)
        detail["unsettled"] = self._records('SELECT start, "end" ' + of_series.format("unsettled"), series_id)
        names = "SELECT name, until FROM series_name WHERE series_id = ? ORDER BY until"
        detail["names"] = self._records(names, series_id)
        for row in (*detail["coverage"], *detail["unsettled"], *detail["names"]):
            row.update({name: iso(row[name]) for name in ("start", "end", "until") if name in row})
        return detail

    def state(self, key: SeriesKey) -> SeriesState:
        """What is known of one series. Raises StoreError when it is not stored."""
        query = f"SELECT {SERIES_FIELDS} FROM series WHERE id = ?"
        return load_series(self._db, self._db.execute(query, (find_series(self._db, key),)).fetchone())

    def listed(self, key: SeriesKey) -> Listed | None:
        """What the stored metadata says of the instrument now; None when it says nothing."""
        sources = self._db.execute("SELECT DISTINCT source FROM series").fetchall()
        found = [listed(self._db, Place(0, source, key)) for (source,) in sources]
        return next((each for each in found if each is not None), None)

    def last_asked(self, key: SeriesKey) -> tuple[RunRecord, RunSeries] | None:
        """The newest run that the series was in, by its present name, and how it went for it."""
        query = (
            "SELECT s.run_id FROM run_series AS s JOIN run ON run.run_id = s.run_id WHERE s.series = ? "
            "ORDER BY run.created DESC LIMIT 1"
        )
        found = self._db.execute(query, (str(key),)).fetchone()
        if found is None:
            return None
        run = self._db.execute("SELECT * FROM run WHERE run_id = ?", found).fetchone()
        query = "SELECT * FROM run_series WHERE run_id = ? AND series = ?"
        part = self._db.execute(query, (*found, str(key))).fetchone()
        return RunRecord(*(*run[:-1], json.loads(run[-1]))), RunSeries(*part)

    def contents(self, key: SeriesKey) -> dict[str, int]:
        """How many rows of each table belong to a series. Raises StoreError when it is not stored."""
        return contents(self._db, key)

    def prunable(self, data_type: str, interval: str, before: int) -> list[Prunable]:
        """The series with bars that begin before that time (UTC epoch seconds)."""
        return prunable(self._db, data_type, interval, before)

    @contextmanager
    def snapshot(self) -> Iterator[Database]:
        """The database at one moment: what is read belongs together, whoever writes meanwhile."""
        with self._db.snapshot():
            yield self._db

    def _records(self, query: str, *values: object) -> list[dict[str, Any]]:
        found = self._db.execute(query, values)
        names = [column[0] for column in found.description]
        return [dict(zip(names, row, strict=True)) for row in found]
