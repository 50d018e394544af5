"""Jobs that were asked for together: what waits for what, what a failure stops, and their one budget."""

from collections.abc import Awaitable, Callable, Sequence

from core.batch import Batch, prerequisites
from core.engine.budget import Budget, Need
from core.engine.job import Job
from core.engine.planning import Known, make_plan
from core.engine.tools import Tools
from core.errors import TapewatchError

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

    def before(self, job: Job) -> list[Job]:
        """The jobs that must have ended before `job` starts."""
        return self._before[job.id]

    def is_planned_first(self, job: Job) -> bool:
        """Whether `job` waits for `admit`: a job that is alone holds its plan against the budget by itself."""
        return len(self._series) > 1 and job in self._series

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
                return f"not started: it needs {other.operation.title} ({other.id}), which was {other.state}"
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
            try:
                plan = await make_plan(job, tools, _saying(say, job), create=False, known=known)
            except TapewatchError as error:
                self._faults[job.id] = error
            else:
                needs.append(Need(job, plan))
        return needs


def _saying(say: Callable[[Job, str], None], job: Job) -> Callable[[str], None]:
    return lambda waiting: say(job, waiting)
