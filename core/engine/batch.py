"""Jobs that were asked for together: what waits for what, what a failure stops, and their one budget."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from core.batch import Batch, prerequisites
from core.datasets import SeriesKey
from core.engine.budget import Budget, Need
from core.engine.job import Job
from core.engine.planning import Known, make_plan
from core.engine.quote import without
from core.engine.tools import Tools
from core.errors import TapewatchError
from core.limits import Limit, allowance
from core.meter import METER
from core.operations import Operation
from core.planner import Plan

STOPPED = {"failed", "cancelled"}


class BatchRun:
    """The jobs of one batch, in its order; a single operation is a batch of one.

    Metadata jobs go first. Before the first history job starts all of them are planned, each on what the
    ones before it will have fetched, and their sum is held against the budget: a batch that costs too much
    is refused before it has bought anything but metadata.
    """

    def __init__(self, batch: Batch, jobs: Sequence[Job]) -> None:
        self.jobs = list(jobs)
        self.budget = Budget(batch.max_requests)
        self._continues = batch.continue_on_error
        needed = prerequisites(batch.operations)
        self._before = {job.id: [self.jobs[at] for at in places] for job, places in zip(jobs, needed, strict=True)}
        self._series = [job for job in self.jobs if not job.operation.is_metadata]
        self._faults: dict[str, TapewatchError] = {}
        self._refused: Job | None = None
        self._turns: dict[tuple[str, str], asyncio.Lock] = {}

    def turn(self, job: Job) -> asyncio.Lock:
        """Jobs of one data type and interval run one after another: each was planned on what those before it do."""
        return self._turns.setdefault((job.operation.data_type, job.operation.interval), asyncio.Lock())

    def before(self, job: Job) -> list[Job]:
        """The jobs that must have ended before `job` starts."""
        return self._before[job.id]

    def is_planned_first(self, job: Job) -> bool:
        """Whether `job` waits for `admit`: a job that is alone holds its plan against the budget by itself."""
        return len(self._series) > 1 and not job.operation.is_metadata

    def fault(self, job: Job) -> TapewatchError | None:
        """What planning `job` with the others ran into."""
        return self._faults.get(job.id)

    def objection(self, job: Job) -> str:
        """Why `job` must not start any more, empty when it may.

        After a failure nothing else starts, unless the batch continues on errors: then only what needed
        the failed metadata does not.
        """
        if self._refused is not None and job is not self._refused:
            return "not started: the batch was refused"
        for other in self.before(job):
            if other.state in STOPPED:
                ended = "failed" if other.state == "failed" else "was cancelled"
                return f"not started: it needs {other.operation.title} ({other.id}), which {ended}"
        failed = next((other for other in self.jobs if other.state == "failed"), None)
        if failed is None or self._continues:
            return ""
        return f"not started: {failed.operation.title} ({failed.id}) failed; go on with --continue_on_error"

    async def admit(
        self, tools: Tools, ended: Callable[[Job], Awaitable[None]], say: Callable[[Job, str], None]
    ) -> None:
        """Plan the history jobs once what they need has `ended`; what goes wrong is said when each starts."""
        if len(self._series) < 2:
            return
        for job in self._series:
            for other in self.before(job):
                await ended(other)
        needs = await self._plan(tools, say)
        if not needs:
            return
        try:
            await self.budget.check(needs, tools, lambda waiting: say(needs[0].job, waiting))
        except TapewatchError as error:
            self._refused = needs[0].job
            self._faults[self._refused.id] = error

    async def _plan(self, tools: Tools, say: Callable[[Job, str], None]) -> list[Need]:
        needs: list[Need] = []
        known: Known = {}
        for job in self._series:
            if job.finished is not None or self.objection(job):
                continue
            METER.set(job.meter)
            try:
                plan = await make_plan(job, tools, _saying(say, job), create=False, known=known)
            except TapewatchError as error:
                self._faults[job.id] = error
            else:
                job.note_planned(plan)
                needs.append(Need(job, plan))
        return needs


class Quote(NamedTuple):
    """What a batch would ask for, a plan an operation, beside what there is to spend.

    `limits` are the vendor's as far as its answers told, `allowed` how many calls a run may send and what
    says so, `free_bytes` the room on the store's disk; None is unknown. `month_left` is what a run finds left of the
    month's budget, None without one.
    """

    needs: list[Need]
    limits: list[Limit]
    allowed: tuple[int, str] | None
    free_bytes: int | None
    month_left: int | None = None


async def quote_batch(batch: Batch, tools: Tools) -> Quote:
    """What a run of `batch` would ask for; the store is only read, of the vendor only what plans are made of."""
    month_left = tools.permits.usage.left(tools.clock.wall())
    needs = await _plan_all(batch, tools)
    limits = sorted(tools.permits.quota.ours(), key=lambda limit: limit.seconds)
    bounds = [operation.max_requests for operation in batch.operations]
    given = batch.max_requests if len(bounds) > 1 else bounds[0]
    allowed = None if given is None else (given, "--max_requests")
    if allowed is None and (share := allowance(limits, tools.options.budget_share)) is not None:
        allowed = share[0], f"{tools.options.budget_share * 100:g} % of what is left of the {share[1]}"
    return Quote(needs, limits, allowed, tools.free_bytes(), month_left)


async def _plan_all(batch: Batch, tools: Tools) -> list[Need]:
    """The plans of a batch in its order.

    Each is made on what those before it will have done, metadata first, so that what two of them need
    is quoted once.
    """
    now = tools.clock.wall()
    jobs = [Job(id=f"plan-{at}", run_id="", operation=one, created=now) for at, one in enumerate(batch.operations)]
    plans: dict[str, Plan] = {}
    known: Known = {}
    listed: set[SeriesKey] = set()
    for job in sorted(jobs, key=lambda job: not job.operation.is_metadata):
        plan = await make_plan(job, tools, lambda _waiting: None, create=False, known=known)
        plans[job.id] = plan if _asks_again(job.operation) else without(plan, listed)
        job.counters.metadata_requests -= len(job.answered & {part.series.key for part in plan.lists})
        if job.operation.enable_caching:
            job.counters.metadata_requests -= len(job.answered & listed)
        listed |= {part.series.key for part in plan.lists if part.is_due}
    return [Need(job, plans[job.id]) for job in jobs]


def _asks_again(operation: Operation) -> bool:
    return operation.full_refresh or not operation.enable_caching


def _saying(say: Callable[[Job, str], None], job: Job) -> Callable[[str], None]:
    return lambda waiting: say(job, waiting)
