"""The engine: jobs side by side over one source, one store and one quota, and what the world sees of it."""

import asyncio
import secrets
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any, Protocol

from core.batch import Batch
from core.census import Census
from core.engine.alerts import VENDOR_AWAY, judge_clock, judge_key, judge_vendor
from core.engine.batch import BatchRun
from core.engine.job import Job
from core.engine.journal import Journal
from core.engine.runner import Runner
from core.engine.samples import slow_samples
from core.engine.supervisor import Supervisor
from core.engine.tools import Tools
from core.errors import EngineGone, StoreUnavailable, TapewatchError
from core.events import STORE, CacheSample, EngineSample, LogLine, QuotaSample, RunSummary
from core.failpoints import failpoint
from core.operations import Operation
from core.stores import job_id
from core.stores.leases import RENEWALS
from core.telemetry import DATABASE, JOB
from core.text import clean, counted, shown_url

TICK_SECONDS = 0.25
SAMPLE_SECONDS = 1.0
LATE_SECONDS = 15.0
FINISHED_JOBS = 200
LEASES = "leases"

Sampler = Callable[[float], EngineSample]


class Service(Protocol):
    """What an engine does beside its jobs for as long as it is there, such as schedules or notifications."""

    name: str

    async def run(self, engine: "Engine") -> None:
        """Until cancelled. Whatever it raises is told, and it is started again after a while."""
        ...


def new_run_id(now: float) -> str:
    """Sorts by time, unique enough for a fleet: `20260131T120000-1a2b3c4d`."""
    return f"{datetime.fromtimestamp(now, UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"


class Engine:
    """Runs jobs, `concurrent_jobs` at once, the others after them, until it is `stopped`: then it takes no more."""

    def __init__(self, name: str, tools: Tools, concurrent_jobs: int = 4, services: Sequence[Service] = ()) -> None:
        self.name = name
        self.tools = tools
        self.supervisor = Supervisor(tools.bus, tools.alerts, tools.clock, tools.chance)
        self._services = services
        self.sampler: Sampler | None = None
        self.census = Census()
        self.jobs: dict[str, Job] = {}
        self.stopped = asyncio.Event()
        self._reserved: set[str] = set()
        self._runners: dict[str, Runner] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._places = asyncio.Semaphore(concurrent_jobs)
        self._turns: dict[str, asyncio.Lock] = {}
        self._finished: deque[str] = deque()
        self._background: set[asyncio.Task[None]] = set()
        self._journal = Journal(name, tools, self.jobs)
        self._said: dict[str, CacheSample | QuotaSample] = {}

    async def __aenter__(self) -> "Engine":
        patience = self.tools.store.patience
        patience.say, patience.is_over = self._hear_store, False
        patience.heard = partial(self.tools.telemetry.done, DATABASE)
        self.tools.permits.say = self._hear_vendor
        kept: dict[str, Callable[[], Awaitable[None]]] = {
            "progress": self._tick,
            "watch": self._watch,
            "quota": self.tools.permits.ledger.keep,
            "cache": self.tools.cache.cache.keep,
            **{service.name: partial(service.run, self) for service in self._services},
        }
        if self.tools.store.leases.are_shared:
            kept[LEASES] = self._keep_leases
        for name, work in kept.items():
            self.in_background(self.supervisor.keep(name, work))
        return self

    async def __aexit__(self, *_: object) -> None:
        """Cancel what runs, record how it ended."""
        await self.cancel_all()
        background = list(self._background)
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)
        with suppress(TapewatchError):
            await self.flush()

    @property
    def rows_fetched(self) -> int:
        """Rows that the jobs this engine remembers have fetched."""
        return sum(job.counters.rows_fetched for job in self.jobs.values())

    @property
    def active(self) -> list[Job]:
        return [job for job in self.jobs.values() if job.finished is None]

    def submit(self, operation: Operation) -> Job:
        """Queue a job; it starts as soon as there is a place. Raises EngineGone as `submit_batch`."""
        return self.submit_batch(Batch(operations=(operation,)))[0]

    def submit_batch(self, batch: Batch, run_ids: Sequence[str] = ()) -> list[Job]:
        """Queue a job an operation; each starts as soon as there is a place and what it needs has ended.

        `run_ids` are what `new_run_ids` gave for it, for who has to know them before there is a job.
        Raises EngineGone when the engine is stopped: a job that is taken then would only be cancelled.
        """
        if self.stopped.is_set():
            raise EngineGone("the engine is about to end and takes no new jobs")
        run_ids = run_ids or self.new_run_ids(len(batch.operations))
        jobs = [self._queue(operation, run_id) for operation, run_id in zip(batch.operations, run_ids, strict=True)]
        run = BatchRun(batch, jobs)
        admitted = self.in_background(run.admit(self.tools, self.wait, self._say_waiting))
        for job in jobs:
            self._runners[job.id] = Runner(job, self.tools, run.budget)
            self.tools.bus.publish(job.view())
            self._tasks[job.id] = asyncio.create_task(self._run(job, run, admitted))
        return jobs

    def in_background(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Do it beside everything else; it is cancelled with the engine."""
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task

    def new_run_ids(self, count: int) -> list[str]:
        """Run ids whose jobs are called as none of this engine is."""
        now, found = self.tools.clock.wall(), dict[str, str]()
        while len(found) < count:
            run_id = new_run_id(now)
            if job_id(run_id) not in self.jobs and job_id(run_id) not in self._reserved:
                found[job_id(run_id)] = run_id
        self._reserved |= found.keys()
        return list(found.values())

    def _queue(self, operation: Operation, run_id: str) -> Job:
        self._reserved.discard(job_id(run_id))
        job = Job(id=job_id(run_id), run_id=run_id, operation=operation, created=self.tools.clock.wall())
        self.jobs[job.id] = job
        return job

    async def hold(self, job: Job, *, is_held: bool) -> None:
        """Stop handing out its windows, or go on."""
        await self._runners[job.id].hold(is_held)

    async def wait(self, job: Job) -> None:
        """Until `job` has ended; cancelling the wait leaves the job alone."""
        if (task := self._tasks.get(job.id)) is not None:
            await asyncio.wait({task})

    async def cancel_all(self) -> None:
        self.tools.store.patience.end()  # who leaves does not wait for a database that is away
        await asyncio.gather(*(self.cancel(job) for job in self.active))
        if self._tasks:
            await asyncio.wait(self._tasks.values())

    async def flush(self) -> None:
        """Write what changed to the journal. Raises StoreError; what was not written is tried again."""
        await self._journal.flush()

    async def cancel(self, job: Job) -> None:
        """Returns once the job is told: what it does until it has ended may take a while."""
        task = self._tasks.get(job.id)
        await self._runners[job.id].cancel()
        is_waiting_or_planning = job.started is None or job.queue is None
        if task is not None and is_waiting_or_planning:
            task.cancel()

    async def _run(self, job: Job, run: BatchRun, admitted: asyncio.Task[None]) -> None:
        try:
            await self.flush()  # a run that is killed has been in the journal from its start
            await self._prerequisites(job, run, admitted)
            async with self._turn(job, run), self._place(job):
                job.waiting = ""
                if objection := run.objection(job):
                    job.add_error(objection)
                    job.state, job.finished = "cancelled", self.tools.clock.wall()
                else:
                    await self._runners[job.id].run(run.fault(job))
        except asyncio.CancelledError:
            job.state, job.finished = "cancelled", job.finished or self.tools.clock.wall()
        except Exception as error:  # a task boundary: a defect ends one job, in words
            is_given_up = job.is_stopping and isinstance(error, StoreUnavailable)
            job.state = "cancelled" if is_given_up else "failed"
            job.finished, job.failure = job.finished or self.tools.clock.wall(), error
            what = "" if isinstance(error, TapewatchError) else f"defect: {type(error).__name__}: "
            job.add_error(what + clean(str(error), 500))
        await self._conclude(job)

    async def _prerequisites(self, job: Job, run: BatchRun, admitted: asyncio.Task[None]) -> None:
        for other in run.before(job):
            self._say_waiting(job, f"for {other.operation.title} ({other.id})")
            await self.wait(other)
        if run.is_planned_first(job):
            self._say_waiting(job, "for the plan of the batch")
            await asyncio.wait({admitted})
            admitted.result()

    def _say_waiting(self, job: Job, waiting: str) -> None:
        if job.waiting != waiting:
            job.waiting = waiting
            self.tools.bus.publish(job.view())

    def _turn(self, job: Job, run: BatchRun) -> asyncio.Lock:
        """Jobs of one kind of lists run one after another: the second finds the lists of the first fresh.

        Those of bars run side by side with others than their own batch's, and claim what they ask for.
        """
        turn = run.turn(job)
        if job.operation.is_metadata:
            turn = self._turns.setdefault(job.operation.data_type, asyncio.Lock())
        if turn.locked():
            self._say_waiting(job, "for another job of this data type and interval")
        return turn

    def _place(self, job: Job) -> asyncio.Semaphore:
        """So many jobs run at once; a job waits for its turn first, so that it keeps no place from others."""
        if self._places.locked():
            self._say_waiting(job, "for a free place")
        return self._places

    async def _conclude(self, job: Job) -> None:
        await job.settle()
        self._publish_progress(job)
        await self._alert(job)
        took = (job.finished or job.created) - (job.started or job.created)
        self.tools.telemetry.done(JOB, job.operation.data_type, job.state, max(took, 0.0))
        self.tools.bus.publish(job.view())
        await self._flush_or_say()  # who hears of the end finds it in the journal
        self._say_slow_samples()  # and the cache and the quota as the job left them
        self.tools.bus.publish(RunSummary(job=job.id, exit_code=job.exit_code, **job.summary()))
        failpoint("ack")
        job.queue = None
        self._finished.append(job.id)
        while len(self._finished) > FINISHED_JOBS:
            forgotten = self._finished.popleft()
            for table in (self.jobs, self._runners, self._tasks):
                table.pop(forgotten, None)
            self._journal.forget(forgotten)

    async def _alert(self, job: Job) -> None:
        alerts, now = self.tools.alerts, self.tools.clock.wall()
        source = f"{job.operation.data_type}/{job.operation.interval}".rstrip("/")
        judge_key(alerts, self.tools.source.name, job, now)
        if job.state == "failed":
            alerts.fire("run_failed", "ERROR", source, job.errors[0] if job.errors else "failed", now)
        elif job.state in {"complete", "complete_with_gaps"}:
            alerts.resolve("run_failed", source)
        if self.tools.source.calls:
            judge_clock(alerts, self.tools.source.name, self.tools.source.now() - now, now)
            if not self.tools.permits.is_vendor_away:
                alerts.resolve(VENDOR_AWAY, self.tools.source.name)
        try:
            gaps = await self.tools.store.unexplained_gaps(job.operation.data_type, job.operation.interval)
        except TapewatchError:
            return  # the store says so itself, where it is written to
        if gaps:
            alerts.fire(
                "gaps_open", "WARNING", source, f"{counted(gaps, 'gap')} {'is' if gaps == 1 else 'are'} open", now
            )
        else:
            alerts.resolve("gaps_open", source)

    async def _tick(self) -> None:
        """Progress, coalesced: what changed since the last tick, at most four times a second."""
        while True:
            await self.tools.clock.sleep(TICK_SECONDS)
            now = self.tools.clock.monotonic()
            for job in self.active:
                job.tick(now)
                self._publish_progress(job)

    def _publish_progress(self, job: Job) -> None:
        if job.is_dirty:
            job.is_dirty = False
            self.tools.bus.publish(job.view())
        for entry in job.progress.values():
            if entry.is_dirty:
                entry.is_dirty = False
                self.tools.bus.publish(job.series_view(entry))

    async def _keep_leases(self) -> None:
        leases = self.tools.store.leases
        while True:
            await self.tools.clock.sleep(leases.seconds / RENEWALS)
            try:
                await leases.renew()
                self.tools.heartbeats.beat(LEASES, leases.seconds)
            except TapewatchError as error:
                self.tools.bus.publish(LogLine(level="error", text=clean(str(error)), source="leases"))

    def _hear_store(self, reason: str) -> None:
        """The database went away, or came back: jobs wait for it, and everybody hears of it once."""
        now, store = self.tools.clock.wall(), shown_url(self.tools.store.url)
        waiting = f"for the store: {clean(reason, 200)}" if reason else ""
        level, text = ("error", f"{waiting}; jobs go on when it is back") if reason else ("info", "the store is back")
        self.tools.bus.publish(LogLine(level=level, text=text, source=STORE))
        if reason:
            self.tools.alerts.fire("store_unavailable", "CRITICAL", store, clean(reason, 300), now)
        else:
            self.tools.alerts.resolve("store_unavailable", store)
        for job in self.active:
            if reason or job.waiting.startswith("for the store"):
                self._say_waiting(job, waiting)

    def _hear_vendor(self, fault: str) -> None:
        judge_vendor(self.tools.alerts, self.tools.bus, self.tools.source.name, fault, self.tools.clock.wall())

    async def _watch(self) -> None:
        """Samples and the journal, once a second while something happens."""
        flush: asyncio.Task[None] | None = None
        while True:
            before = self.tools.clock.monotonic()
            await self.tools.clock.sleep(SAMPLE_SECONDS)
            lag = self.tools.clock.monotonic() - before - SAMPLE_SECONDS
            self.tools.heartbeats.beat("loop", LATE_SECONDS)
            if self.sampler is not None:
                self.tools.bus.publish(self.sampler(max(0.0, lag)))
            self._say_slow_samples()
            # The journal may have to wait for the database; samples do not.
            if flush is None or flush.done():
                flush = self.in_background(self._flush_or_say())

    def _say_slow_samples(self) -> None:
        for sample in slow_samples(self.tools):
            if self._said.get(sample.key()) != sample:
                self._said[sample.key()] = sample
                self.tools.bus.publish(sample)

    async def _flush_or_say(self) -> None:
        try:
            await self.flush()
        except TapewatchError as error:
            self.tools.bus.publish(LogLine(level="error", text=clean(str(error)), source="journal"))
