"""The SQLite store's half for stored bars as columns and findings: each method is one hop to its thread."""

from collections.abc import Callable, Sequence

from core.coverage import SeriesState
from core.findings import Bars, Finding
from core.stores import bars_sql
from core.stores.bars import StoredSeries
from core.stores.selection import Selection
from core.stores.sqlite_lists import Runs
from core.windows import Window


class SQLiteBars:
    """Implements `core.stores.bars.BarStore`; `_wall` is the clock for stamps."""

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
