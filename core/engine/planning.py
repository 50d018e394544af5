"""From a job's operation to its plan: listings, what the store knows, and whether it may cost that much."""

from collections.abc import Callable, Sequence
from contextlib import suppress

from core.cache import NoCache
from core.engine.job import Job
from core.engine.metadata import MeteredListings
from core.engine.selection import select
from core.engine.tools import Tools
from core.errors import BudgetRefused, Rejected
from core.limits import allowance
from core.operations import Operation
from core.planner import Plan, Policy, Wanted, plan_series
from core.sources import CachedListings

ASK_LIMITS_FROM = 100


async def make_plan(job: Job, tools: Tools, say: Callable[[str], None], *, create: bool = True) -> Plan:
    """What `job` will ask for; its counters know what making the plan took.

    `say` hears what is being waited for. Without `create` the store is only read. Raises ConfigError for
    names that do not exist, SourceError and StoreError.
    """
    metered = _metered(tools, say)
    cache = tools.cache if job.operation.enable_caching else NoCache()
    listings = CachedListings(metered, cache, tools.options.listing_ttl)
    try:
        wanted = await select(job.operation, listings, tools.source.now)
        await tools.ingest.confirm_origin()
        return await _plan_series(job.operation, wanted, tools, create=create)
    finally:
        _count(job, metered)
        job.counters.cache_hits += listings.hits
        job.counters.cache_misses += listings.misses


async def check_budget(job: Job, plan: Plan, tools: Tools, say: Callable[[str], None]) -> None:
    """Raises BudgetRefused when `plan` costs more than the job may spend."""
    allowed = job.operation.max_requests
    by = "--max_requests"
    quota = tools.permits.quota
    if allowed is None:
        if not quota.limits and plan.requests >= ASK_LIMITS_FROM:
            await _ask_limits(job, tools, say)
        if (found := allowance(quota.limits.values(), tools.options.budget_share)) is None:
            return
        allowed, window = found
        by = f"the default share of what is left of the {window}"
    if plan.requests > allowed:
        raise BudgetRefused(
            f"the plan needs {plan.requests} requests, {by} allows {allowed}; "
            f"see the plan with --dry_run, go ahead with --max_requests {plan.requests}"
        )


async def _ask_limits(job: Job, tools: Tools, say: Callable[[str], None]) -> None:
    metered = _metered(tools, say)
    try:
        # Without a key the vendor does not say; the first answer's headers will.
        with suppress(Rejected):
            await metered.rate_limit()
    finally:
        _count(job, metered)


def _metered(tools: Tools, say: Callable[[str], None]) -> MeteredListings:
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


def _count(job: Job, metered: MeteredListings) -> None:
    job.counters.metadata_requests += metered.calls - metered.retries
    job.counters.retries += metered.retries


async def _plan_series(operation: Operation, wanted: Sequence[Wanted], tools: Tools, *, create: bool) -> Plan:
    policy = Policy(
        groups=operation.dataset.parse_groups(operation.groups),
        recheck=operation.recheck,
        newest_first=operation.order == "newest",
        full_refresh=operation.full_refresh,
        audit_days=tools.options.audit_days,
    )
    keys = [entry.key for entry in wanted]
    states = await tools.store.series(tools.source.name, keys, create=create)
    now = int(tools.source.now())
    # Two names may mean one series (its mapped id and the exchange's own): it is asked for once.
    parts = {state.key: plan_series(entry, state, policy, now) for entry, state in zip(wanted, states, strict=True)}
    return Plan(tuple(parts.values()))
