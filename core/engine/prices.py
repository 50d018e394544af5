"""What schedules cost for as long as they run: calls an hour, a day and a month, against what there is to spend.

The price of a run is that of a plan, made on what a store knows once the plan before it has run: backfills are over,
each run asks for what is new since the last one. Lists are asked for when they are due again.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile

from core.engine.batch import quote_batch
from core.engine.budget import Need, learn_limits
from core.engine.planning import policy_of
from core.engine.quote import afterwards
from core.engine.tools import Tools
from core.limits import Limit
from core.planner import Wanted, plan_series
from core.schedule import Schedule, gaps
from core.text import counted
from core.usage import MONTH_BUDGET

HOUR, DAY, MONTH = 3_600, 86_400, 31 * 86_400


@dataclass(frozen=True, slots=True)
class Run:
    """What one run of a schedule takes: `calls` for bars of `series`, and `lists`, each with the seconds that it is
    fresh."""

    series: int = 0
    calls: int = 0
    lists: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Price:
    """Calls of a schedule, or of all: of a run, and of the busiest hour, the busiest day and the 31 days that come.

    `faults` say what it cannot keep up with.
    """

    name: str
    series: int
    run: float
    hour: int
    day: int
    month: int
    faults: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Prices:
    """Each schedule by itself, and `total`. `limits` are the vendor's, as far as anybody knows them."""

    schedules: tuple[Price, ...]
    total: Price
    limits: tuple[Limit, ...]
    month_budget: int | None

    @property
    def faults(self) -> list[str]:
        """What cannot keep up, the schedules first: all of them together only where each by itself could."""
        alone = [fault for price in self.schedules for fault in price.faults]
        return alone or list(self.total.faults)


def price(
    schedules: Sequence[tuple[Schedule, Run]], limits: Sequence[Limit], month_budget: int | None, now: float
) -> Prices:
    """What those that are enabled cost from the hour after `now` on (UTC epoch seconds)."""
    start, total = (int(now) // HOUR + 1) * HOUR, Counter[int]()
    prices = []
    for schedule, run in schedules:
        calls, each = _calls_by_hour(schedule, run, start)
        total.update(calls)
        found = _price(schedule.name, run.series, each, calls)
        slow = _cannot_end(found, min(gaps(schedule.cron, now)), limits) if schedule.enabled else []
        prices.append(_with_faults(found, [*slow, *_too_many(found, limits, month_budget)]))
    together = _price("all", sum(run.series for _, run in schedules), sum(each.run for each in prices), total)
    return Prices(
        tuple(prices), _with_faults(together, _too_many(together, limits, month_budget)), tuple(limits), month_budget
    )


def _calls_by_hour(schedule: Schedule, run: Run, start: int) -> tuple[Counter[int], float]:
    """The calls of the hours of a month, and those of a run: of a list the share that it is due by then."""
    ticks = takewhile(lambda tick: tick < start + MONTH, schedule.cron.after(start - 1) if schedule.enabled else ())
    times = Counter((tick - start) // HOUR for tick in ticks)
    between = MONTH / max(times.total(), 1)
    each = run.calls + sum(min(1.0, between / fresh) for fresh in run.lists)
    return Counter({hour: count * each for hour, count in times.items()}), each


def _price(name: str, series: int, run: float, by_hour: Counter[int]) -> Price:
    days = Counter[int]()
    for hour, calls in by_hour.items():
        days[hour // 24] += calls
    hour, day, month = (math.ceil(max(found, default=0)) for found in (by_hour.values(), days.values(), [days.total()]))
    return Price(name, series, round(run, 2), hour, day, month)


def _with_faults(found: Price, faults: Iterable[str]) -> Price:
    return Price(found.name, found.series, found.run, found.hour, found.day, found.month, tuple(faults))


def _cannot_end(found: Price, gap: int, limits: Iterable[Limit]) -> list[str]:
    """A run has to end before the next one begins."""
    return [
        f"{found.name}: {counted(math.ceil(found.run), 'call')} a run do not go into the {gap} s until the next one: "
        f"the {limit.name} limit allows {limit.limit:,}"
        for limit in limits
        if limit.seconds <= gap and found.run > limit.limit * gap / limit.seconds
    ]


def _too_many(found: Price, limits: Iterable[Limit], month_budget: int | None) -> list[str]:
    faults = []
    for limit in limits:
        what, calls, seconds = next(each for each in _spans(found) if each[2] >= min(limit.seconds, MONTH))
        allowed = math.floor(limit.limit * max(seconds / limit.seconds, 1.0))
        if calls > allowed:
            text = f"{counted(calls, 'call')} {what} are more than the {limit.name} limit allows: {allowed:,}"
            faults.append(f"{found.name}: {text}")
    if month_budget is not None and found.month > month_budget:
        text = f"{counted(found.month, 'call')} a month are more than {MONTH_BUDGET} allows: {month_budget:,}"
        faults.append(f"{found.name}: {text}")
    return faults


def _spans(found: Price) -> tuple[tuple[str, int, int], ...]:
    return ("an hour", found.hour, HOUR), ("a day", found.day, DAY), ("a month", found.month, MONTH)


async def price_schedules(schedules: Sequence[Schedule], tools: Tools) -> Prices:
    """Prices against the limits that anybody knows of; the store is only read. Raises as planning does."""
    runs = []
    for schedule in schedules:
        quote = await quote_batch(schedule.batch, tools)
        runs.append((schedule, await _steady(schedule, quote.needs, tools)))
        await learn_limits(quote.needs[0].job, tools, lambda _waiting: None, asks=True)
    limits = sorted(tools.permits.quota.ours(), key=lambda limit: limit.seconds)
    return price(runs, limits, tools.permits.usage.budget, tools.clock.wall())


async def _steady(schedule: Schedule, needs: Sequence[Need], tools: Tools) -> Run:
    cadence = schedule.cadence(tools.clock.wall())
    series, calls, lists = 0, 0, list[float]()
    for job, plan in needs:
        ttl = tools.options.listings(job.operation.data_type).ttl
        if job.operation.is_metadata:
            is_forced = job.operation.full_refresh or not job.operation.enable_caching
            lists += [1.0 if is_forced else ttl] * len(plan.lists)
            continue
        lists += [tools.options.listing_ttl] * (job.counters.cache_hits + job.counters.cache_misses)
        wanted = {entry.key: entry for entry in job.wanted or ()}
        policy, now = policy_of(job.operation, tools), int(tools.source.now())
        series += len(plan.series)
        for part in plan.series:
            state = afterwards(part, policy.groups, now)
            meant = wanted.get(part.series.key, Wanted(part.series.key, part.span.start))
            calls += plan_series(meant, state, policy, now + cadence).requests
    return Run(series, calls, tuple(lists))
