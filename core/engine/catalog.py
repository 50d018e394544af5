"""What the vendor lists, for one job: from the cache, else from the store while it is fresh, else asked for.

What was asked for goes into the store with every change, whichever command wanted it, so that renames,
delistings and reused tickers are noticed by all. Only a job that plans without running keeps nothing.
"""

from collections.abc import Callable, Collection
from contextlib import suppress
from typing import TypeVar

import msgspec

from core.cache import NoCache
from core.coverage import SeriesState
from core.datasets import SeriesKey
from core.engine.job import Job
from core.engine.metadata import MeteredListings
from core.engine.selection import UNLISTED
from core.engine.tools import Tools
from core.errors import ConfigError, Malformed, Rejected, Unauthorized
from core.events import CATALOG, LogLine
from core.failpoints import failpoint
from core.references import ASSET_METADATA, EXCHANGE_METADATA, INSTRUMENT_LISTS, TOP_LIST
from core.sources import AssetPage, Exchange, Instrument, Listing, RejectedRow, Row
from core.sources.listing import asset_page, exchange_of, instrument_of
from core.stores.catalog import ListingCommit, ListingWritten, StoredList, page_of
from core.text import clean

T = TypeVar("T")
TICKER_REUSE = "ticker_reuse"


class Catalog:
    """Implements `core.engine.selection.Listings`. `hits` are questions answered without a call, `misses` others.

    `answered` are the lists that the vendor was asked for.
    """

    def __init__(self, job: Job, tools: Tools, asker: MeteredListings) -> None:
        self.hits = 0
        self.misses = 0
        self.answered: set[SeriesKey] = set()
        self._job = job
        self._tools = tools
        self._asker = asker
        self._cache = tools.cache if job.operation.enable_caching else NoCache()

    async def instruments(self, kind: str, market: str) -> list[Instrument]:
        name = INSTRUMENT_LISTS[kind].name

        def view(rows: list[Row], _total: int) -> list[Instrument]:
            return [instrument_of(name, market, row) for row in rows]

        try:
            return await self._view(SeriesKey(name, market), list[Instrument], view)
        except Unauthorized:
            raise
        except Rejected as error:
            raise ConfigError(f"--market {error}") from error

    async def exchanges(self, kind: str) -> list[Exchange]:
        def view(rows: list[Row], _total: int) -> list[Exchange]:
            return [exchange_of(row) for row in rows]

        return await self._view(SeriesKey(EXCHANGE_METADATA.name, kind), list[Exchange], view)

    async def top_assets(self, page: int) -> AssetPage:
        key = SeriesKey(ASSET_METADATA.name, TOP_LIST, str(page))
        return await self._view(key, AssetPage, lambda rows, total: asset_page(page, rows, total))

    async def remembered(self, kind: str, market: str, names: Collection[str]) -> list[Instrument]:
        name = INSTRUMENT_LISTS[kind].name
        found = await self._tools.store.entities(self._tools.source.name, SeriesKey(name, market), list(names))
        known = [(entity.is_listed, instrument_of(name, market, entity.row)) for entity in found]
        return [entry if is_listed else msgspec.structs.replace(entry, status=UNLISTED) for is_listed, entry in known]

    async def _view(self, key: SeriesKey, kind: type[T], view: Callable[[list[Row], int], T]) -> T:
        """A list in the form that selections use, which is also what the cache keeps of it."""
        name = cache_name(self._tools, key)
        if (cached := await self._cache.get(name)) is not None:
            # What another version, or nobody of ours, has put there is a miss.
            with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                found = msgspec.json.decode(cached, type=kind)
                self.hits += 1
                return found
        fresh_for = self._tools.options.listing_ttl
        if (stored := await self._fresh(key)) is not None:
            self.hits += 1
            fresh_for -= self._tools.clock.wall() - stored.refreshed
            found = view(stored.rows, stored.total)
        else:
            self.misses += 1
            listing = await self._ask(key)
            self.answered.add(key)
            found = view(listing.rows, listing.total)
        await self._cache.set(name, msgspec.json.encode(found), fresh_for)
        failpoint("cache_set")
        return found

    async def _fresh(self, key: SeriesKey) -> StoredList | None:
        """The stored list while it need not be asked for again. It also tells what time it is at the vendor's."""
        if not self._job.operation.enable_caching:
            return None
        stored = await self._tools.store.listing(self._tools.source.name, key)
        if stored is None or not is_fresh(stored.refreshed, self._tools):
            return None
        self._tools.source.assume(stored.answered + self._tools.clock.wall() - stored.refreshed)
        return stored

    async def _ask(self, key: SeriesKey) -> Listing:
        if not self._tools.keeps:
            return await self._asker.listing(key)
        [state] = await self._tools.store.series(self._tools.source.name, [key])

        async def keep(listing: Listing) -> None:
            written = await take_in(self._job, self._tools, state, listing)
            if self._job.operation.is_metadata:
                self._count(listing, written)

        try:
            return await self._asker.listing(key, keep)
        except Malformed as error:
            record = RejectedRow(error.reason, clean(str(error)), error.raw.decode("utf-8", "replace"))
            await self._tools.store.quarantine(state, page_of(key), record, self._job.run_id)
            raise

    def _count(self, listing: Listing, written: ListingWritten) -> None:
        counters = self._job.counters
        counters.rows_fetched += len(listing.rows) + len(listing.rejected)
        counters.rows_inserted += written.inserted
        counters.rows_updated += written.updated
        counters.rows_unchanged += written.unchanged
        counters.rows_quarantined += written.quarantined


def cache_name(tools: Tools, key: SeriesKey) -> str:
    return f"{tools.source.name}:{key}"


def is_fresh(refreshed: int | None, tools: Tools) -> bool:
    """Whether a list that was stored then, by our clock, need not be asked for again."""
    return refreshed is not None and 0 <= tools.clock.wall() - refreshed < tools.options.listing_ttl


async def take_in(job: Job, tools: Tools, state: SeriesState, listing: Listing) -> ListingWritten:
    """Write an answered list with what changed, and say so. Raises Malformed and StoreError and writes nothing then."""
    await tools.ingest.confirm_origin()
    operation = job.operation
    is_trusted = operation.is_metadata and operation.full_refresh
    commit = ListingCommit(state, tools.source.name, listing, job.run_id, is_trusted=is_trusted)
    written = await tools.store.write_listing(commit)
    await tools.cache.delete(cache_name(tools, state.key))
    if words := _summary(written):
        tell(job, tools, f"{state.key}: {words}; see: tapewatch changes")
    for text in written.kept:
        tell(job, tools, f"{state.key}: {text}", "warning")
    for reuse in written.reused:
        level = "CRITICAL" if reuse.blocked else "WARNING"
        blocked = "the stored series of that name are blocked" if reuse.blocked else "no series of that name is stored"
        text = f"{reuse.words}; {blocked}"
        tools.alerts.fire(TICKER_REUSE, level, f"{state.key.market}/{reuse.name}", text, tools.clock.wall())
        tell(job, tools, text, "error")
    return written


def _summary(written: ListingWritten) -> str:
    """`2 listed, 1 renamed`."""
    counts: dict[str, int] = {}
    for recorded in written.changes:
        counts[recorded.change.change] = counts.get(recorded.change.change, 0) + 1
    return ", ".join(f"{number} {word}" for word, number in counts.items())


def tell(job: Job, tools: Tools, text: str, level: str = "info") -> None:
    tools.bus.publish(LogLine(level=level, text=clean(text, 500), source=CATALOG, job=job.id))


async def resolve_reuse(tools: Tools) -> None:
    """A reused ticker is dealt with once no series of that name is blocked."""
    if sources := tools.alerts.firing(TICKER_REUSE):
        blocked = await tools.store.blocked_names(tools.source.name)
        for source in sources:
            if source not in blocked:
                tools.alerts.resolve(TICKER_REUSE, source)
