"""What the vendor lists, for one job: from the cache, else from the store while it is fresh, else asked for.

What was asked for goes into the store with every change, whichever command wanted it, so that renames,
delistings and reused tickers are noticed by all. Only a job that plans without running keeps nothing.
"""

import asyncio
from collections.abc import Callable, Collection, Coroutine
from typing import Any, TypeVar

import msgspec

from core.cache.read_through import Beside, Kind, Load, Loaded
from core.coverage import SeriesState
from core.datasets import SeriesKey
from core.engine.alerts import judge_retired
from core.engine.job import Job
from core.engine.metadata import MeteredListings, count_calls, metered_listings
from core.engine.selection import UNLISTED
from core.engine.tools import Tools
from core.errors import ConfigError, Malformed, Rejected, TapewatchError, Transient, Unauthorized
from core.events import CATALOG, LogLine
from core.failpoints import failpoint
from core.references import ASSET_METADATA, EXCHANGE_METADATA, INSTRUMENT_LISTS, TOP_LIST
from core.sources import AssetPage, Exchange, Instrument, Listing, RejectedRow, Row
from core.sources.listing import asset_page, exchange_of, instrument_of
from core.stores.catalog import ListingCommit, ListingWritten, StoredList, page_of
from core.text import clean

T = TypeVar("T")
TICKER_REUSE = "ticker_reuse"
# A vendor that is away: an old list is better than none. One that answers nonsense is not believed.
AWAY = (Transient,)


class Catalog:
    """Implements `core.engine.selection.Listings`. `hits` are questions answered without a call, `misses` others.

    `answered` are the lists that the vendor was asked for; the calls are counted in the job's counters as they are
    sent. `say` hears what is being waited for.
    """

    def __init__(self, job: Job, tools: Tools, say: Callable[[str], None]) -> None:
        self.hits = 0
        self.misses = 0
        self.answered: set[SeriesKey] = set()
        self._job = job
        self._tools = tools
        self._say = say

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
        cached = self._tools.options.listings(key.data_type)
        calls = self.misses

        async def load() -> Loaded[T]:
            return await self._load(key, view)

        if not self._job.operation.enable_caching:
            return (await load()).value
        try:
            held = await self._tools.cache.get(cached, place_of(key), kind, load, AWAY, self._beside(key, view))
        except AWAY as error:
            if (old := await self._stored(key, cached.ttl + cached.stale_for)) is None:
                raise
            self._tell_old(key, self._tools.clock.wall() - old.refreshed, error)
            return view(old.rows, old.total)
        if held.is_refreshed:
            text = f"{key}: the list of {held.age / 3_600:.1f} h ago is used while it is asked for anew"
            tell(self._job, self._tools, text)
        elif held.is_stale:
            self._tell_old(key, held.age, None)
        self.hits += self.misses == calls
        failpoint("cache_set")
        return held.value

    async def _load(self, key: SeriesKey, view: Callable[[list[Row], int], T]) -> Loaded[T]:
        """From the store while it is fresh there, else from the vendor."""
        kind = self._tools.options.listings(key.data_type)
        if self._job.operation.enable_caching and (stored := await self._stored(key, kind.ttl)) is not None:
            # It also tells what time it is at the vendor's.
            age = self._tools.clock.wall() - stored.refreshed
            self._tools.source.assume(stored.answered + age)
            return Loaded(view(stored.rows, stored.total), kind.ttl - age)
        await self._check_refused(key)
        self.misses += 1
        try:
            listing = await self._ask(key)
        except Rejected as error:
            await self._remember_refused(key, error)
            raise
        self.answered.add(key)
        return Loaded(view(listing.rows, listing.total))

    def _beside(self, key: SeriesKey, view: Callable[[list[Row], int], T]) -> Beside[T] | None:
        """How a list is refreshed beside the job, which ends after it. None when it has to be fresh."""
        operation = self._job.operation
        if operation.is_metadata or operation.full_refresh or not self._tools.keeps:
            return None

        def start(refresh: Callable[[Load[T]], Coroutine[Any, Any, None]]) -> None:
            # What is asked for beside is no question of this plan.
            own = Catalog(self._job, self._tools, self._say)

            async def run() -> None:
                try:
                    await refresh(lambda: own._load(key, view))
                except TapewatchError as error:
                    tell(self._job, self._tools, f"{key} could not be refreshed: {error}", "warning")

            self._job.refreshes.append(asyncio.create_task(run()))

        return start

    async def _check_refused(self, key: SeriesKey) -> None:
        """Raises Rejected, as the vendor did for any job a short while ago."""
        refusals = self._refusals(key)
        if refusals is None or (held := await self._tools.cache.refused(refusals, place_of(key))) is None:
            return
        self.hits += 1
        raise Rejected(f"{held.value} (so the vendor said {held.age:.0f} s ago)")

    async def _remember_refused(self, key: SeriesKey, error: Rejected) -> None:
        refusals = self._refusals(key)
        if refusals is not None and not isinstance(error, Unauthorized):
            await self._tools.cache.refuse(refusals, place_of(key), clean(str(error), 500))

    def _refusals(self, key: SeriesKey) -> Kind | None:
        """How refusals are remembered, None when they are not."""
        refusals = self._tools.options.refusals(key.data_type)
        return refusals if refusals.ttl and self._job.operation.enable_caching else None

    async def _stored(self, key: SeriesKey, seconds: float) -> StoredList | None:
        """The stored list if it is not older than that."""
        stored = await self._tools.store.listing(self._tools.source.name, key)
        return stored if stored and 0 <= self._tools.clock.wall() - stored.refreshed < seconds else None

    def _tell_old(self, key: SeriesKey, age: float, error: Exception | None) -> None:
        why = f" ({error})" if error else ""
        text = f"{key}: the vendor does not answer{why}; the list of {age / 3_600:.1f} h ago is used"
        tell(self._job, self._tools, text, "warning")

    async def _ask(self, key: SeriesKey) -> Listing:
        asker = metered_listings(self._tools, self._say, self._job.operation.label)
        try:
            return await self._ask_and_keep(key, asker)
        finally:
            count_calls(self._job, asker)

    async def _ask_and_keep(self, key: SeriesKey, asker: MeteredListings) -> Listing:
        if not self._tools.keeps:
            return await asker.listing(key)
        [state] = await self._tools.store.series(self._tools.source.name, [key])

        async def keep(listing: Listing) -> None:
            written = await take_in(self._job, self._tools, state, listing)
            if self._job.operation.is_metadata:
                self._count(listing, written)

        try:
            return await asker.listing(key, keep)
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


def place_of(key: SeriesKey) -> str:
    """What tells a list from the others of its data type."""
    return "/".join(part for part in (key.market, key.instrument) if part)


def is_fresh(key: SeriesKey, refreshed: int | None, tools: Tools) -> bool:
    """Whether a list that was stored then, by our clock, need not be asked for again."""
    ttl = tools.options.listings(key.data_type).ttl
    return refreshed is not None and 0 <= tools.clock.wall() - refreshed < ttl


async def take_in(job: Job, tools: Tools, state: SeriesState, listing: Listing) -> ListingWritten:
    """Write an answered list with what changed, and say so. Raises Malformed and StoreError and writes nothing then."""
    await tools.ingest.confirm_origin()
    operation = job.operation
    is_trusted = operation.is_metadata and operation.full_refresh
    commit = ListingCommit(state, tools.source.name, listing, job.run_id, is_trusted=is_trusted)
    written = await tools.store.write_listing(commit)
    await tools.cache.forget(state.key.data_type, place_of(state.key))
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
    judge_retired(tools.alerts, str(state.key), written.retired, tools.clock.wall())
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
