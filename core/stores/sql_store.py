"""The `Store` over any `Database`: each method is one piece of work on a connection."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from core.coverage import SeriesState
from core.datasets import SeriesKey
from core.errors import StoreRefused
from core.events import AlertChanged
from core.findings import Bars, Finding
from core.ledger import Book
from core.sources import RejectedRow
from core.stores import (
    Commit,
    Damaged,
    RunRecord,
    RunSeries,
    Written,
    bars_sql,
    catalog_sql,
    explain_sql,
    house_sql,
    journal_sql,
    quarantine_sql,
    series_sql,
    universe_sql,
    window_sql,
)
from core.stores.bars import StoredSeries
from core.stores.catalog import ListingCommit, ListingWritten, StoredList
from core.stores.changes import Entity
from core.stores.database import Runs
from core.stores.groups import Groups
from core.stores.leases import Leases, Unshared
from core.stores.lock import Holder
from core.stores.patience import Patience
from core.stores.quarantine_sql import ALL, Quarantined
from core.stores.selection import Selection
from core.text import shown_url
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


class SQLStore(_Lists, _Bars):
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
        self, runs: Sequence[RunRecord], series: Sequence[RunSeries], alerts: Sequence[AlertChanged]
    ) -> None:
        if runs or series or alerts:
            await self._db.run(journal_sql.write_journal, runs, series, alerts)

    async def open_alerts(self) -> list[AlertChanged]:
        return await self._db.run(journal_sql.read_alerts)

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
