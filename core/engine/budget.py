"""What a command may spend: calls of the vendor's quota, and room on the store's disk."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NamedTuple

from core.clock import Clock
from core.engine.job import Job
from core.engine.metadata import count_calls, metered_listings
from core.engine.quote import plan_cost
from core.engine.tools import Tools
from core.errors import BudgetRefused, Rejected, RoomRefused
from core.limits import allowance
from core.planner import Plan
from core.text import counted
from core.usage import MONTH_BUDGET, Usage, month_of
from core.windows import iso

ASK_LIMITS_FROM = 100
SHARE_OF_FREE_DISK = 0.8

Say = Callable[[str], None]


class Need(NamedTuple):
    """What one job's plan asks for."""

    job: Job
    plan: Plan


class Budget:
    """The history calls that one command may send, over all its jobs, and the disk that they may fill.

    `max_requests` bounds the sum of the calls. Without it the sum may be the default share of what the
    vendor's day and month had left when it was first asked about; jobs with a bound of their own do not
    count then.
    """

    def __init__(self, max_requests: int | None = None) -> None:
        self._allowed = max_requests
        self._by = "--max_requests"
        self._is_given = max_requests is not None
        self._taken = 0

    async def take(self, job: Job, plan: Plan, tools: Tools, say: Say) -> None:
        """Set the calls of `plan` aside. Raises BudgetRefused and RoomRefused as `check` does."""
        need = Need(job, plan)
        await self.check([need], tools, say)
        self._taken += self._counted([need])

    async def check(self, needs: Sequence[Need], tools: Tools, say: Say) -> None:
        """Raises BudgetRefused when `needs` are more calls than are left of what may be spent, RoomRefused
        when they would take more than their share of the free disk. Nothing overrides the month's budget."""
        check_month(sum(plan.requests + plan.metadata_requests for _, plan in needs), tools.permits.usage, tools.clock)
        for job, plan in needs:
            if job.operation.max_requests is not None:
                _compare(plan.requests, job.operation.max_requests, "--max_requests", plan.requests)
        if needed := self._counted(needs):
            if self._allowed is None:
                await self._learn(needs[0].job, needed, tools, say)
            if self._allowed is not None:
                _compare(needed, self._allowed - self._taken, self._by, self._taken + needed)
        check_room(sum(plan_cost(job.operation, plan).disk_bytes for job, plan in needs), tools.free_bytes())

    def _counted(self, needs: Sequence[Need]) -> int:
        return sum(need.plan.requests for need in needs if self._is_given or need.job.operation.max_requests is None)

    async def _learn(self, job: Job, needed: int, tools: Tools, say: Say) -> None:
        await learn_limits(job, tools, say, asks=needed >= ASK_LIMITS_FROM)
        if (found := allowance(tools.permits.quota.ours(), tools.options.budget_share)) is not None:
            self._allowed, window = found
            self._by = f"the default share of what is left of the {window}"


def _compare(needed: int, allowed: int, by: str, enough: int) -> None:
    if needed > allowed:
        raise BudgetRefused(
            f"the plan needs {needed} requests, {by} allows {max(0, allowed)}; "
            f"see the plan with --dry_run, go ahead with --max_requests {enough}"
        )


def check_month(needed: int, usage: Usage, clock: Clock) -> None:
    """Raises BudgetRefused when `needed` calls are more than are left of the month's budget."""
    now = clock.wall()
    left = usage.left(now)
    if left is not None and needed > left:
        raise BudgetRefused(
            f"the plan needs {counted(needed, 'call')}, {MONTH_BUDGET} leaves {left:,} of {usage.budget:,}: this month "
            f"has taken {usage.in_month(now):,}. Ask for less, wait for {iso(month_of(now).end)}, or change the "
            "setting; --max_requests does not"
        )


def is_too_much(needed: int, free: int | None) -> bool:
    """Whether `needed` bytes are more than 80 % of the `free` ones; None is unknown."""
    return free is not None and needed > free * SHARE_OF_FREE_DISK


def check_room(needed: int, free: int | None) -> None:
    """Raises RoomRefused when a run must not take `needed` of the `free` bytes."""
    if free is not None and is_too_much(needed, free):
        raise RoomRefused(
            f"the plan needs about {needed / 1e6:,.1f} MB on the store's disk, which has {free / 1e6:,.1f} MB free, "
            f"and a run may take {SHARE_OF_FREE_DISK * 100:g} % of that; free some, "
            "choose another place with --db, or ask for less (a shorter range, fewer series, fewer --groups)"
        )


async def learn_limits(job: Job, tools: Tools, say: Say, *, asks: bool) -> None:
    """Find out what is left of the vendor's limits; if `asks` by a call where nobody knows."""
    permits = tools.permits
    if not permits.quota.limits and await permits.ledger.learn(tools.options.max_wait, say, asks=asks):
        await _ask_limits(job, tools, say)


async def _ask_limits(job: Job, tools: Tools, say: Say) -> None:
    metered = metered_listings(tools, say, job.operation.label)
    try:
        # Without a key the vendor does not say; the first answer's headers will.
        with suppress(Rejected):
            await metered.rate_limit()
    finally:
        count_calls(job, metered)
