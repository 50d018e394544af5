"""Looking at a store without touching it, whoever works on it meanwhile."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from core.alerting import Change
from core.alerting.silences import Silence
from core.causes import Listed
from core.census import Census
from core.coverage import SeriesState
from core.datasets import SeriesKey
from core.events import AlertChanged
from core.history import Sample
from core.limits import Limit
from core.schedule import Pause
from core.stores import RunRecord, RunSeries, alert_sql, outbox_sql
from core.stores.alerts import Logged
from core.stores.catalog import ListedChange
from core.stores.catalog_sql import read_changes, read_vendor_time
from core.stores.census_sql import read_census
from core.stores.database import Database, Row
from core.stores.explain_sql import ExplainedGap, FailedWindow, Place, explained_gaps, failed_windows, listed
from core.stores.house_sql import Prunable, contents, prunable
from core.stores.journal_sql import read_origin
from core.stores.lock import Holder
from core.stores.look_sql import Flagged, Spans, read_findings, read_inactive, read_newest, read_spans
from core.stores.outbox import Depth, Sent
from core.stores.pause_sql import read_pauses
from core.stores.quarantine_sql import ALL, Quarantined, quarantined
from core.stores.restatement_sql import Restated, restated
from core.stores.sample_sql import read_samples
from core.stores.selection import EVERYTHING, Selection, find_series
from core.stores.series_sql import SERIES_FIELDS, load_series
from core.stores.tick_sql import last_ticks, read_ticks
from core.stores.ticks import Tick
from core.stores.universe_sql import Member, UniverseRow, read_members, read_universes
from core.stores.usage_sql import read_days, read_usage
from core.stores.vitals import Ran, read_changed, read_ended
from core.usage import Counted
from core.windows import Window, iso

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
        """The newest alerts that have been told, newest first."""
        return alert_sql.read(self._db, only_open=only_open)

    def kept_alerts(self, changed_since: float | None = None) -> list[Change]:
        """Every alert that is not over, and those that were over by then (UTC epoch seconds), with their memories."""
        return alert_sql.read_kept(self._db, changed_since)

    def last_alert_change(self) -> int:
        """The id of the newest change of an alert, 0 before the first."""
        return alert_sql.last_change(self._db)

    def alert_changes(self, after: int, limit: int = 1_000) -> list[Logged]:
        """What happened to alerts since the change of that id, oldest first."""
        return alert_sql.read_changes(self._db, after, limit)

    def alert_past(self, alert: str, limit: int = 100) -> tuple[list[Logged], list[Sent]]:
        """What happened to one alert, and what of it was told to whom or is to be; the newest of both, newest first."""
        return alert_sql.read_changes_of(self._db, alert, limit), outbox_sql.read_entries_of(self._db, alert, limit)

    def past(self, since: float) -> tuple[list[Ran], list[tuple[str, str, int, int]]]:
        """The runs that ended since then, in order; how many closed bars changed, by data type, interval and minute."""
        return read_ended(self._db, since), read_changed(self._db, int(since))

    def silences(self, now: float | None = None) -> list[Silence]:
        """Silences in force at `now`, all that are kept without it; what ends first comes first."""
        return alert_sql.read_silences(self._db, now)

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

    def bars(self, key: SeriesKey, columns: Sequence[str], window: Window, limit: int) -> list[Row]:
        """The newest `limit` bars of a series in `window`, as (ts, closed, *columns), ascending. Raises StoreError."""
        return read_newest(self._db, key, columns, window, limit)

    def spans(self, selection: Selection = EVERYTHING) -> list[Spans]:
        """What of each selected series was asked for, and where answers had no bar."""
        return read_spans(self._db, selection)

    def inactive(self) -> list[SeriesKey]:
        """The series whose instruments are not active any more, as far as the stored metadata tell."""
        return read_inactive(self._db)

    def findings(self, selection: Selection = EVERYTHING) -> list[Flagged]:
        """What quality checks flagged in the selected series, by series and time."""
        return read_findings(self._db, selection)

    def gaps(self, selection: Selection = EVERYTHING, newest: int | None = None) -> list[ExplainedGap]:
        """Gaps of the selected series, by series and time, each with its cause as of now; the newest so many."""
        return explained_gaps(self._db, selection, newest)

    def failed(self, selection: Selection = EVERYTHING) -> list[FailedWindow]:
        """Windows of the selected series that were given up and not answered since."""
        return failed_windows(self._db, selection)

    def quarantined(
        self,
        selection: Selection = ALL,
        ids: Sequence[int] = (),
        reason: str | None = None,
        newest: int | None = None,
    ) -> list[Quarantined]:
        """What could not be used of the selected series, all or those of `ids` or `reason`; the newest so many."""
        return quarantined(self._db, selection, ids, reason, newest)

    def restated(self, selection: Selection, since: int, newest: int | None = None) -> list[Restated]:
        """Columns of closed bars of the selected series that changed since then (UTC epoch seconds)."""
        return restated(self._db, selection, since, newest)

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

    def calls_by_day(self, account: str, since: int) -> dict[int, int]:
        """Calls of an account since then, by the day's start (UTC epoch seconds)."""
        return read_days(self._db, account, since)

    def limits(self, account: str) -> Sequence[Limit]:
        """What is left of the limits of an account, where a database keeps that: resets are seconds from now."""
        if self._db.dialect != "postgres":
            return ()
        from core.stores.quota_sql import read_left  # noqa: PLC0415

        return read_left(self._db, account)

    def usage(self, span: Window) -> list[Counted]:
        """The calls of every account that were sent in the hours of `span`."""
        return read_usage(self._db, span)

    def census(self) -> Census:
        """What is stored and what is to be delivered, counted."""
        return read_census(self._db)

    def ticks(self, limit: int = 20, schedule: str | None = None) -> list[Tick]:
        """The newest times at which schedules, or one of them, were due, and what became of them, newest first."""
        return read_ticks(self._db, limit, schedule)

    def pauses(self) -> dict[str, Pause]:
        """The newest pause of each schedule that ever had one; it may be over."""
        return read_pauses(self._db)

    def last_ticks(self, schedules: Sequence[str], now: float) -> dict[str, Tick]:
        """Of each schedule the newest tick that is written down and not after `now`."""
        return last_ticks(self._db, schedules, now)

    def samples(self, seconds: int, span: Window) -> list[Sample]:
        """The history of figures in minutes (60 seconds) or hours, by name, labels and time."""
        return read_samples(self._db, seconds, span)

    def outbox(self) -> dict[str, Depth]:
        """Of each channel that has anything waiting or dead, how much."""
        return outbox_sql.read_depth(self._db)

    def notifications(self, channel: str | None = None, limit: int = 100) -> list[Sent]:
        """What was told to whom or is to be, newest first."""
        return outbox_sql.read_entries(self._db, channel, limit)

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
