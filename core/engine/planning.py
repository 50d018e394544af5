"""From a job's operation to its plan: listings, and what the store knows."""

from collections.abc import Callable, Sequence

from core.cache import NoCache
from core.coverage import SeriesState
from core.datasets import SeriesKey
from core.engine.job import Job
from core.engine.metadata import MeteredListings
from core.engine.quote import afterwards
from core.engine.repair import plan_repairs
from core.engine.selection import select
from core.engine.tools import Tools
from core.planner import Plan, Policy, Wanted, plan_series
from core.sources import CachedListings

Known = dict[SeriesKey, SeriesState]


async def make_plan(
    job: Job, tools: Tools, say: Callable[[str], None], *, create: bool = True, known: Known | None = None
) -> Plan:
    """What `job` will ask for; its counters know what making the plan took.

    `say` hears what is being waited for. Without `create` the store is only read. `known` are states of
    series that the store does not have yet; the job's own after its plan are added. The series are chosen
    once a job, however often it is planned. Raises ConfigError for names that do not exist, SourceError
    and StoreError.
    """
    if job.operation.repair is not None:
        return await plan_repairs(job.operation, tools)
    metered = metered_listings(tools, say)
    cache = tools.cache if job.operation.enable_caching else NoCache()
    listings = CachedListings(metered, cache, tools.options.listing_ttl)
    try:
        if job.wanted is None:
            # One job asks at a time, so that the others find its answers in the cache.
            async with tools.choosing:
                job.wanted = await select(job.operation, listings, tools.source.now)
        await tools.ingest.confirm_origin()
        return await _plan_series(job, job.wanted, tools, create=create, known=known)
    finally:
        count_calls(job, metered)
        job.counters.cache_hits += listings.hits
        job.counters.cache_misses += listings.misses


def metered_listings(tools: Tools, say: Callable[[str], None]) -> MeteredListings:
    options = tools.options
    return MeteredListings(
        tools.source,
        tools.permits,
        tools.clock,
        options.backoff,
        tools.chance,
        max_wait=options.max_wait,
        say=say,
    )


def count_calls(job: Job, metered: MeteredListings) -> None:
    job.counters.metadata_requests += metered.calls - metered.retries
    job.counters.retries += metered.retries


async def _plan_series(job: Job, wanted: Sequence[Wanted], tools: Tools, *, create: bool, known: Known | None) -> Plan:
    operation = job.operation
    policy = Policy(
        groups=operation.dataset.parse_groups(operation.groups),
        recheck=operation.recheck,
        newest_first=operation.order == "newest",
        full_refresh=operation.full_refresh,
        audit_days=tools.options.audit_days,
    )
    keys = [entry.key for entry in wanted]
    stored = await tools.store.series(tools.source.name, keys, create=create)
    states = [(known or {}).get(state.key, state) for state in stored]
    now = int(tools.source.now())
    # Two names may mean one series (its mapped id and the exchange's own): it is asked for once.
    parts = {state.key: plan_series(entry, state, policy, now) for entry, state in zip(wanted, states, strict=True)}
    if known is not None:
        known.update((key, afterwards(part, policy.groups, now)) for key, part in parts.items())
    return Plan(tuple(parts.values()))
