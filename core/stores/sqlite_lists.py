"""The SQLite store's half for lists of reference data and universes: each method is one hop to its thread."""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from core.datasets import SeriesKey
from core.stores import catalog_sql, universe_sql
from core.stores.catalog import ListingCommit, ListingWritten, StoredList
from core.stores.changes import Entity

T = TypeVar("T")


class Runs(Protocol):
    """A connection on a thread of its own."""

    async def run(self, work: Callable[..., T], *args: object) -> T: ...


class SQLiteLists:
    """Implements `core.stores.catalog.Lists`; `_wall` is the clock for stamps."""

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
