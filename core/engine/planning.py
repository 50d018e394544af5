"""From a job's operation to its plan: listings, and what the store knows."""

import math
from collections.abc import Callable, Collection, Sequence

from core.coverage import SeriesState
from core.datasets import SeriesKey
from core.engine.catalog import Catalog, is_fresh, resolve_reuse, tell
from core.engine.job import Job
from core.engine.quote import afterwards
from core.engine.repair import plan_repairs
from core.engine.selection import select
from core.engine.tools import Tools
from core.errors import ConfigError
from core.operations import Operation, named_series, regex_of
from core.planner import ListPlan, Plan, Policy, SeriesPlan, Wanted, plan_series
from core.references import ASSET_METADATA, EXCHANGE_METADATA, TOP_LIST, TOP_LIST_PAGE
from core.stores.catalog import page_of

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
    catalog = Catalog(job, tools, say)
    try:
        if job.operation.is_metadata:
            return await _plan_lists(job, tools, catalog, create=create)
        if job.wanted is None:
            await resolve_reuse(tools)
            # One job asks at a time, so that the others find its answers in the cache.
            async with tools.choosing:
                job.wanted = await _choose(job, tools, catalog)
        await tools.ingest.confirm_origin()
        return await _plan_series(job, job.wanted, tools, create=create, known=known)
    finally:
        job.answered |= catalog.answered
        job.counters.cache_hits += catalog.hits
        job.counters.cache_misses += catalog.misses


async def _choose(job: Job, tools: Tools, catalog: Catalog) -> list[Wanted]:
    operation, source = job.operation, tools.source.name
    named = named_series(operation)
    if operation.universe is not None:
        named = await _of_universe(operation, tools)

    async def stored() -> Collection[tuple[str, str]]:
        return await tools.store.stored_series(source, operation.data_type, operation.interval)

    selected = await select(operation, catalog, tools.source.now, named=named, stored=stored)
    for text in selected.said:
        tell(job, tools, text)
    return selected.wanted


async def _of_universe(operation: Operation, tools: Tools) -> list[SeriesKey]:
    """Raises ConfigError when there is no such universe, or nothing of this data type and interval in it."""
    name = operation.universe or ""
    listed = await tools.store.universe(tools.source.name, name)
    named = [key for key in listed if (key.data_type, key.interval) == (operation.data_type, operation.interval)]
    if not named:
        raise ConfigError(f"--universe {name}: it lists no series of {operation.title}")
    return named


async def _plan_lists(job: Job, tools: Tools, catalog: Catalog, *, create: bool) -> Plan:
    """The lists of a metadata operation: those that are not fresh are due, or all of them for a full refresh."""
    operation = job.operation
    states = await tools.store.series(tools.source.name, await _lists(operation, catalog), create=create)
    is_forced = operation.full_refresh or not operation.enable_caching
    parts = []
    for state in states:
        is_answered = state.key in catalog.answered or state.key in job.answered
        is_due = not is_answered and (is_forced or not is_fresh(state.key, state.refreshed, tools))
        parts.append(ListPlan(state, page_of(state.key), is_due=is_due, is_answered=is_answered))
    if fresh := [str(part.series.key) for part in parts if not part.windows]:
        tell(job, tools, f"still fresh: {', '.join(fresh)}; --full_refresh asks again")
    return Plan((), tuple(parts))


async def _lists(operation: Operation, catalog: Catalog) -> list[SeriesKey]:
    name = operation.data_type
    if name == EXCHANGE_METADATA.name:
        kinds = EXCHANGE_METADATA.kinds if operation.exchange_type == "all" else (operation.exchange_type,)
        return [SeriesKey(name, kind) for kind in kinds]
    if name == ASSET_METADATA.name:
        return [SeriesKey(name, TOP_LIST, str(page)) for page in range(1, await _pages(operation, catalog) + 1)]
    markets = dict.fromkeys(market.lower() for market in operation.market) or operation.reference.markets
    return [SeriesKey(name, market) for market in markets]


async def _pages(operation: Operation, catalog: Catalog) -> int:
    """How many pages of the top list are meant: no more than there are, which its first page tells."""
    pages = math.ceil(operation.count / TOP_LIST_PAGE)
    return min(pages, (await catalog.top_assets(1)).pages) if pages > 1 else pages


async def _plan_series(job: Job, wanted: Sequence[Wanted], tools: Tools, *, create: bool, known: Known | None) -> Plan:
    operation, policy = job.operation, policy_of(job.operation, tools)
    keys = [entry.key for entry in wanted]
    stored = await tools.store.series(tools.source.name, keys, create=create)
    now = int(tools.source.now())
    states = [tools.options.kept((known or {}).get(state.key, state), now) for state in stored]
    # Two names may mean one series (its mapped id and the exchange's own): it is asked for once.
    parts = {
        state.key: plan_series(entry, state, policy, now)
        for entry, state in zip(wanted, states, strict=True)
        if state.blocked is None
    }
    if known is not None:
        known.update((key, afterwards(part, policy.groups, now)) for key, part in parts.items())
    _say_blocked(job, states)
    is_named = _is_named(operation)
    return Plan(tuple(part for part in parts.values() if is_named or not _is_swept(part)))


def policy_of(operation: Operation, tools: Tools) -> Policy:
    """How the plans of `operation` treat what is stored."""
    return Policy(
        groups=operation.dataset.parse_groups(operation.groups),
        recheck=operation.recheck,
        newest_first=operation.order == "newest",
        full_refresh=operation.full_refresh,
        audit_days=tools.options.audit_days,
    )


def _is_named(operation: Operation) -> bool:
    """Whether series are named one by one, not found by rank or pattern."""
    exact = [name for name in operation.instrument if regex_of(name) is None]
    return bool(operation.series or operation.universe or exact)


def _is_swept(part: SeriesPlan) -> bool:
    """A dead series of which nothing is left to ask for."""
    return part.is_dead and not part.runs


def _say_blocked(job: Job, states: Sequence[SeriesState]) -> None:
    blocked = {state.key: state.blocked for state in states if state.blocked is not None}
    job.left_out = len(blocked)
    for key, why in blocked.items():
        text = f"{key} is blocked: {why}. Look at: tapewatch changes. To begin anew: tapewatch series drop {key} --yes"
        if text not in job.errors:
            job.add_error(text)
