"""The `Store` over any `Database`: each method is one piece of work on a connection."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import partial

from core.alerting import Change
from core.alerting.silences import Silence
from core.census import Census
from core.coverage import SeriesState
from core.datasets import SeriesKey
from core.errors import StoreRefused
from core.events import AlertChanged
from core.findings import Bars, Finding, Learned
from core.history import Sample
from core.ledger import Book
from core.schedule import Pause
from core.sources import RejectedRow
from core.stores import (
    Commit,
    Damaged,
    RunRecord,
    RunSeries,
    Written,
    alert_sql,
    bars_sql,
    baseline_sql,
    catalog_sql,
    census_sql,
    explain_sql,
    house_sql,
    journal_sql,
    outbox,
    outbox_sql,
    pause_sql,
    quarantine_sql,
    sample_sql,
    series_sql,
    tick_sql,
    universe_sql,
    usage_sql,
    window_sql,
)
from core.stores.alerts import KEPT_SECONDS
from core.stores.bars import StoredSeries
from core.stores.baselines import KEPT_SECONDS as BASELINES_KEPT
from core.stores.catalog import ListingCommit, ListingWritten, StoredList
from core.stores.changes import Entity
from core.stores.database import Runs
from core.stores.groups import Groups
from core.stores.leases import Leases, Unshared
from core.stores.lock import Holder
from core.stores.outbox import Depth, Due
from core.stores.patience import Patience
from core.stores.quarantine_sql import ALL, Quarantined
from core.stores.selection import Selection
from core.stores.ticks import KEPT_SECONDS as TICKS_KEPT
from core.stores.ticks import Stranded, Tick
from core.stores.vitals import Vitals, read_vitals
from core.text import shown_url
from core.usage import Counted
from core.windows import Window


class _Lists:
    """Implements `core.stores.catalog.Lists`."""

    _db: Runs
    _wall: Callable[[], float]

    async def write_listing(self, commit: ListingCommit) -> ListingWritten:
        return await self._db.run(catalog_sql.write_listing, commit, int(self._wall()))

    async def listing(self, source: str, key: SeriesKey) -> StoredList | None:
        return await self._db.run(catalog_sql.read_listing, source, key)

    async def entities(self, source: str, key: SeriesKey, names: Sequence[str]) -> list[Entity]:
        return await self._db.run(catalog_sql.read_named, source, key, names)

    async def stored_series(self, source: str, data_type: str, interval: str) -> set[tuple[str, str]]:
        return await self._db.run(catalog_sql.read_stored_series, source, data_type, interval)

    async def blocked_names(self, source: str) -> set[str]:
        return await self._db.run(catalog_sql.read_blocked, source)

    async def universe(self, source: str, name: str) -> list[SeriesKey]:
        return await self._db.run(universe_sql.read_universe, source, name)

    async def create_universe(self, source: str, name: str, keys: Sequence[SeriesKey]) -> int:
        """How many series it lists. Raises ConfigError when there is one of that name."""
        return await self._db.run(universe_sql.create, source, name, keys, int(self._wall()))

    async def add_to_universe(self, source: str, name: str, keys: Sequence[SeriesKey]) -> int:
        """How many of `keys` were not listed yet."""
        return await self._db.run(universe_sql.add, source, name, keys, int(self._wall()))

    async def drop_from_universe(self, source: str, name: str, keys: Sequence[SeriesKey]) -> int:
        """How many of `keys` were listed. Raises ConfigError for one that is not; nothing is dropped then."""
        return await self._db.run(universe_sql.drop, source, name, keys, int(self._wall()))


class _Bars:
    """Implements `core.stores.bars.BarStore`."""

    _db: Runs
    _wall: Callable[[], float]

    async def stored(self, selection: Selection) -> list[StoredSeries]:
        return await self._db.run(bars_sql.stored_series, selection)

    async def bars(self, series: StoredSeries, window: Window, columns: Sequence[str] | None = None) -> Bars:
        return await self._db.run(bars_sql.read_bars, series.id, series.key, window, columns)

    async def newest_bars(self, series: SeriesState, count: int) -> Bars:
        return await self._db.run(bars_sql.newest_bars, series.id, series.key, count)

    async def flag(self, series: SeriesState, findings: Sequence[Finding]) -> int:
        return await self._db.run(bars_sql.flag, series.id, findings, int(self._wall()))


class _Alerts:
    """Implements `core.stores.alerts.AlertStore`."""

    _db: Runs
    _wall: Callable[[], float]

    async def kept_alerts(self, changed_since: float | None = None) -> list[Change]:
        return await self._db.run(alert_sql.read_kept, changed_since)

    async def acknowledge(self, alert: str, by: str, until: float) -> AlertChanged:
        return await self._db.run(alert_sql.acknowledge, alert, by, until, self._wall())

    async def unacknowledge(self, alert: str, by: str) -> AlertChanged:
        return await self._db.run(alert_sql.unacknowledge, alert, by, self._wall())

    async def silences(self) -> list[Silence]:
        return await self._db.run(alert_sql.read_silences, self._wall())

    async def silence(self, silence: Silence) -> None:
        await self._db.run(alert_sql.silence, silence)

    async def unsilence(self, silence: str) -> Silence:
        return await self._db.run(alert_sql.unsilence, silence, self._wall())

    async def take_duty(self, duty: str, engine: str, seconds: float) -> bool:
        return await self._db.run(alert_sql.take_duty, duty, engine, seconds, self._wall())

    async def vitals(self, followed: Sequence[tuple[str, str]], now: float) -> Vitals:
        return await self._db.run(read_vitals, followed, now)

    async def forget_alerts(self) -> None:
        await self._db.run(alert_sql.forget, self._wall() - KEPT_SECONDS)


class _Outbox:
    """Implements `core.stores.outbox.Outbox`."""

    _db: Runs
    _wall: Callable[[], float]

    async def due_entries(self, channel: str, now: float) -> Due:
        return await self._db.run(outbox_sql.due, channel, now)

    async def assign_message(self, ids: Sequence[int], message: str) -> None:
        await self._db.run(outbox_sql.assign, ids, message)

    async def hold_entries(self, ids: Sequence[int], until: float, why: str) -> None:
        await self._db.run(outbox_sql.hold, ids, until, why)

    async def tried_entries(self, ids: Sequence[int], error: str) -> None:
        await self._db.run(outbox_sql.tried, ids, error)

    async def end_entries(self, ids: Sequence[int], state: str, error: str = "", fallback: str = "") -> None:
        await self._db.run(outbox_sql.end, ids, state, error, fallback, self._wall())

    async def outbox_depth(self) -> dict[str, Depth]:
        return await self._db.run(outbox_sql.read_depth)

    async def forget_entries(self, channels: Collection[str], given_up: float) -> None:
        now = self._wall()
        await self._db.run(outbox_sql.forget, channels, given_up, now - outbox.KEPT_SECONDS, now)


class _Figures:
    """Implements `core.stores.figures.FigureStore`."""

    _db: Runs
    _wall: Callable[[], float]

    async def census(self) -> Census:
        return await self._db.run(census_sql.read_census)

    async def record(self, samples: Sequence[Sample]) -> None:
        await self._db.run(sample_sql.write_samples, samples, self._wall())

    async def probe(self) -> None:
        await self._db.run(sample_sql.write_probe, self._wall())


class _Ticks:
    """Implements `core.stores.ticks.TickStore`."""

    _db: Runs
    _wall: Callable[[], float]

    async def last_ticks(self, schedules: Sequence[str], now: float) -> dict[str, Tick]:
        return await self._db.run(tick_sql.last_ticks, schedules, now)

    async def claim_tick(self, tick: Tick) -> bool:
        return await self._db.run(tick_sql.claim, tick)

    async def take_over_tick(self, left: Tick, engine: str, host: str) -> bool:
        return await self._db.run(tick_sql.take_over, left, engine, host, self._wall())

    async def begin_tick(self, schedule: str, tick: int, engine: str, runs: Sequence[str]) -> bool:
        return await self._db.run(tick_sql.begin, schedule, tick, engine, runs)

    async def end_tick(self, tick: Tick, state: str, note: str = "") -> bool:
        return await self._db.run(tick_sql.end, tick, state, note, self._wall())

    async def open_ticks(self, schedule: str) -> list[Tick]:
        return await self._db.run(tick_sql.read_open, schedule)

    async def stranded_ticks(self, engine: str) -> list[Stranded]:
        return await self._db.run(tick_sql.read_stranded, engine)

    async def forget_ticks(self) -> None:
        await self._db.run(tick_sql.forget, self._wall() - TICKS_KEPT)


class _Baselines:
    """Implements `core.stores.baselines.BaselineStore`."""

    _db: Runs
    _wall: Callable[[], float]

    async def baselines(self, market: str, series: str) -> list[Learned]:
        return await self._db.run(baseline_sql.read, market, series)

    async def baselines_of_markets(self) -> list[Learned]:
        return await self._db.run(baseline_sql.read_markets)

    async def keep_baselines(self, learned: Sequence[Learned]) -> None:
        await self._db.run(baseline_sql.keep, learned, self._wall())

    async def forget_baselines(self) -> None:
        await self._db.run(baseline_sql.forget, self._wall() - BASELINES_KEPT)


class _Pauses:
    """Implements `core.stores.pauses.PauseStore`."""

    _db: Runs
    _wall: Callable[[], float]

    async def pauses(self) -> dict[str, Pause]:
        return await self._db.run(pause_sql.read_pauses)

    async def pause_schedule(self, pause: Pause) -> None:
        await self._db.run(pause_sql.pause, pause)

    async def resume_schedule(self, schedule: str) -> Pause:
        return await self._db.run(pause_sql.resume, schedule, self._wall())


class SQLStore(_Lists, _Bars, _Alerts, _Outbox, _Figures, _Ticks, _Pauses, _Baselines):
    """Implements `core.stores.Store` over `db`; `wall` is the clock for stamps."""

    def __init__(self, url: str, db: Runs, wall: Callable[[], float], *, is_read_only: bool = False) -> None:
        self.url = url
        self.leases: Leases = Unshared()
        self._db = db
        self._groups = Groups(db)
        self._wall = wall
        self._is_read_only = is_read_only

    @property
    def patience(self) -> Patience:
        return self._db.patience

    async def enter(self, holder: Holder, version: str) -> None:
        """One engine a file: its lock says who."""

    def book(self, account: str) -> Book | None:
        """One engine a file counts its calls by itself."""
        return None

    async def claim_origin(self, origin: str) -> None:
        ask = journal_sql.read_origin if self._is_read_only else partial(journal_sql.claim_origin, origin=origin)
        before = await self._db.run(ask)
        if before not in {origin, ""}:
            raise StoreRefused(
                f"the store {shown_url(self.url)} holds data of {before}; it refuses {origin}. Choose another --db"
            )

    async def series(self, source: str, keys: Sequence[SeriesKey], *, create: bool = True) -> list[SeriesState]:
        return await self._db.run(series_sql.read_or_create, source, keys, int(self._wall()) if create else None)

    async def commit(self, commit: Commit) -> Written:
        return await self._groups.commit(commit)

    async def quarantine(self, series: SeriesState, window: Window, rejected: RejectedRow, run_id: str) -> None:
        await self._db.run(window_sql.write_rejected, series.id, window, rejected, run_id, int(self._wall()))

    async def failed(self, series: SeriesState, window: Window, error: str, attempts: int, run_id: str) -> None:
        await self._db.run(window_sql.write_failed, series.id, window, error, attempts, run_id, int(self._wall()))

    async def settle_start(self, series: SeriesState, first: int) -> SeriesState | None:
        is_settled = await self._db.run(series_sql.settle, series.id, first)
        return replace(series, history_start=first) if is_settled else None

    async def audited(self, series: SeriesState, until: int, at: int) -> None:
        await self._db.run(series_sql.write_audited, series.id, until, at)

    async def explain(self, series: Sequence[SeriesState]) -> None:
        await self._db.run(explain_sql.write_causes, [state.id for state in series])

    async def damaged(self, source: str, selection: Selection) -> list[Damaged]:
        return await self._db.run(series_sql.damaged, source, selection)

    async def unexplained_gaps(self, data_type: str, interval: str) -> int:
        return await self._db.run(series_sql.count_unexplained, data_type, interval)

    async def journal(
        self,
        runs: Sequence[RunRecord],
        series: Sequence[RunSeries],
        alerts: Sequence[Change],
        counted: Sequence[Counted] = (),
    ) -> None:
        if runs or series or alerts or counted:
            await self._db.run(journal_sql.write_journal, runs, series, alerts, counted)

    async def forget_runs(self) -> None:
        await self._db.run(journal_sql.forget_runs, self._wall())

    async def calls_by_day(self, account: str, since: int) -> dict[int, int]:
        return await self._db.run(usage_sql.read_days, account, since)

    async def quarantined(self, ids: Sequence[int] = (), reason: str | None = None) -> list[Quarantined]:
        """What could not be used: all of it, or the records of `ids` or `reason`."""
        return await self._db.run(quarantine_sql.quarantined, ALL, ids, reason)

    async def prune(self, data_type: str, interval: str, before: int) -> int:
        steps = await self._db.run(house_sql.prune_steps, data_type, interval, before)
        return sum([await self._db.run(house_sql.prune, data_type, *step) for step in steps])

    async def drop(self, key: SeriesKey) -> dict[str, int]:
        """Delete a series with everything about it; the rows that went by table."""
        return await self._db.run(house_sql.drop, key)

    async def close(self) -> None:
        await self._groups.close()
        await self._db.close()
