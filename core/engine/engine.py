"""The engine: jobs side by side over one source, one store and one quota, and what the world sees of it."""

import asyncio
import secrets
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from core.batch import Batch, make_batch
from core.engine.alerts import judge_clock
from core.engine.batch import BatchRun
from core.engine.job import Job
from core.engine.runner import Runner
from core.engine.tools import Tools
from core.errors import ConfigError, StoreUnavailable, TapewatchError
from core.events import (
    STORE,
    CacheSample,
    EngineSample,
    LogLine,
    QuotaSample,
    QuotaWindow,
    RunSummary,
)
from core.failpoints import failpoint
from core.operations import Operation, make_operation
from core.stores import RunRecord, RunSeries, job_id
from core.stores.leases import RENEWALS
from core.text import clean, counted, shown_url

TICK_SECONDS = 0.25
SAMPLE_SECONDS = 1.0
FINISHED_JOBS = 200

Sampler = Callable[[float], EngineSample]


def _journal_mark(job: Job) -> tuple[str, int]:
    """Changes when there is something new to write down about `job`."""
    return job.state, job.windows_done + job.windows_failed + job.counters.retries


def new_run_id(now: float) -> str:
    """Sorts by time, unique enough for a fleet: `20260131T120000-1a2b3c4d`."""
    return f"{datetime.fromtimestamp(now, UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"


class Engine:
    """Runs jobs until it is stopped. `concurrent_jobs` run at once, the others wait in order."""

    def __init__(self, name: str, tools: Tools, concurrent_jobs: int = 4) -> None:
        self.name = name
        self.tools = tools
        self.sampler: Sampler | None = None
        self.jobs: dict[str, Job] = {}
        self.stopped = asyncio.Event()
        self._runners: dict[str, Runner] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._places = asyncio.Semaphore(concurrent_jobs)
        self._turns: dict[tuple[str, str], asyncio.Lock] = {}
        self._finished: deque[str] = deque()
        self._background: set[asyncio.Task[None]] = set()
        self._journaled: dict[str, tuple[str, int]] = {}

    async def __aenter__(self) -> "Engine":
        patience = self.tools.store.patience
        patience.say, patience.is_over = self._hear_store, False
        self._in_background(self._tick())
        self._in_background(self._watch())
        self._in_background(self.tools.permits.ledger.keep())
        self._in_background(self.tools.cache.cache.keep())
        if self.tools.store.leases.are_shared:
            self._in_background(self._keep_leases())
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
        """Queue a job; it starts as soon as there is a place."""
        return self.submit_batch(Batch(operations=(operation,)))[0]

    def submit_batch(self, batch: Batch) -> list[Job]:
        """Queue a job an operation; each starts as soon as there is a place and what it needs has ended."""
        jobs = [self._queue(operation) for operation in batch.operations]
        run = BatchRun(batch, jobs)
        admitted = self._in_background(run.admit(self.tools, self.wait, self._say_waiting))
        for job in jobs:
            self._runners[job.id] = Runner(job, self.tools, run.budget)
            self.tools.bus.publish(job.view())
            self._tasks[job.id] = asyncio.create_task(self._run(job, run, admitted))
        return jobs

    def _in_background(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task

    def _queue(self, operation: Operation) -> Job:
        now = self.tools.clock.wall()
        run_id = new_run_id(now)
        while job_id(run_id) in self.jobs:
            run_id = new_run_id(now)
        job = Job(id=job_id(run_id), run_id=run_id, operation=operation, created=now)
        self.jobs[job.id] = job
        return job

    async def wait(self, job: Job) -> None:
        """Until `job` has ended; cancelling the wait leaves the job alone."""
        if (task := self._tasks.get(job.id)) is not None:
            await asyncio.wait({task})

    async def cancel_all(self) -> None:
        self.tools.store.patience.end()  # who leaves does not wait for a database that is away
        await asyncio.gather(*(self._cancel(job) for job in self.active))
        if self._tasks:
            await asyncio.wait(self._tasks.values())

    async def handle(self, command: str, args: Mapping[str, Any]) -> object:
        """One command of the control socket. Raises TapewatchError with words for the user."""
        if command == "submit":
            return {"job": self.submit(make_operation(args)).id}
        if command == "submit_batch":
            return {"jobs": [job.id for job in self.submit_batch(make_batch(args))]}
        if command == "stop":
            self.stopped.set()
            return {}
        if command == "clear_cache":
            return {"forgot": sum([await self.tools.cache.drop(pattern) for pattern in _patterns(args)])}
        if command not in {"cancel", "hold", "resume", "retry"}:
            raise ConfigError(f"unknown command {clean(command)!r}")
        job = self._find(args.get("job"))
        if command == "retry":
            if job.finished is None:
                raise ConfigError(f"job {job.id} is still at it: {job.state}")
            return {"job": self.submit(job.operation).id}
        if job.finished is not None:
            raise ConfigError(f"job {job.id} has ended: {job.state}")
        if command == "cancel":
            self._in_background(self._cancel(job))
        else:
            await self._runners[job.id].hold(command == "hold")
        return {"job": job.id}

    async def flush(self) -> None:
        """Write what changed to the journal. Raises StoreError; what was not written is tried again."""
        changed = {
            job.id: mark for job in self.jobs.values() if self._journaled.get(job.id) != (mark := _journal_mark(job))
        }
        jobs = [self.jobs[name] for name in changed]
        ended = [record for job in jobs if job.finished is not None for record in self._series_records(job)]
        alerts = self.tools.alerts.unrecorded()
        await self.tools.store.journal([self._record(job) for job in jobs], ended, alerts)
        self._journaled.update(changed)
        self.tools.alerts.recorded(alerts)

    def _find(self, given: object) -> Job:
        job = self.jobs.get(str(given))
        if job is None:
            raise ConfigError(f"there is no job {clean(str(given))!r} in this engine")
        return job

    async def _cancel(self, job: Job) -> None:
        task = self._tasks.get(job.id)
        await self._runners[job.id].cancel()
        is_waiting_or_planning = job.started is None or job.queue is None
        if task is not None and is_waiting_or_planning:
            task.cancel()

    async def _run(self, job: Job, run: BatchRun, admitted: asyncio.Task[None]) -> None:
        try:
            await self.flush()  # a run that is killed has been in the journal from its start
            await self._prerequisites(job, run, admitted)
            async with self._turn(job), self._place(job):
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

    def _turn(self, job: Job) -> asyncio.Lock:
        """Jobs of one data type and interval run one after another: two could buy the same window twice."""
        key = (job.operation.data_type, job.operation.interval)
        turn = self._turns.setdefault(key, asyncio.Lock())
        if turn.locked():
            self._say_waiting(job, "for another job of this data type and interval")
        return turn

    def _place(self, job: Job) -> asyncio.Semaphore:
        """So many jobs run at once; a job waits for its turn first, so that it keeps no place from others."""
        if self._places.locked():
            self._say_waiting(job, "for a free place")
        return self._places

    async def _conclude(self, job: Job) -> None:
        self._publish_progress(job)
        await self._alert(job)
        self.tools.bus.publish(job.view())
        await self._flush_or_say()  # who hears of the end finds it in the journal
        self.tools.bus.publish(RunSummary(job=job.id, exit_code=job.exit_code, **job.summary()))
        failpoint("ack")
        job.queue = None
        self._finished.append(job.id)
        while len(self._finished) > FINISHED_JOBS:
            forgotten = self._finished.popleft()
            for table in (self.jobs, self._runners, self._tasks, self._journaled):
                table.pop(forgotten, None)

    async def _alert(self, job: Job) -> None:
        alerts, now = self.tools.alerts, self.tools.clock.wall()
        source = f"{job.operation.data_type}/{job.operation.interval}".rstrip("/")
        if job.state == "failed":
            alerts.fire("run_failed", "ERROR", source, job.errors[0] if job.errors else "failed", now)
        elif job.state in {"complete", "complete_with_gaps"}:
            alerts.resolve("run_failed", source)
        if self.tools.source.calls:
            judge_clock(alerts, self.tools.source.name, self.tools.source.now() - now, now)
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

    async def _watch(self) -> None:
        """Samples and the journal, once a second while something happens."""
        flush: asyncio.Task[None] | None = None
        said: dict[str, CacheSample | QuotaSample] = {}
        while True:
            before = self.tools.clock.monotonic()
            await self.tools.clock.sleep(SAMPLE_SECONDS)
            lag = self.tools.clock.monotonic() - before - SAMPLE_SECONDS
            if self.sampler is not None:
                self.tools.bus.publish(self.sampler(max(0.0, lag)))
            for sample in self._slow_samples():
                if said.get(sample.key()) != sample:
                    said[sample.key()] = sample
                    self.tools.bus.publish(sample)
            # The journal may have to wait for the database; samples do not.
            if flush is None or flush.done():
                flush = self._in_background(self._flush_or_say())

    async def _flush_or_say(self) -> None:
        try:
            await self.flush()
        except TapewatchError as error:
            self.tools.bus.publish(LogLine(level="error", text=clean(str(error)), source="journal"))

    def _slow_samples(self) -> list[CacheSample | QuotaSample]:
        return [*self._cache_samples(), self._quota_sample()]

    def _cache_samples(self) -> list[CacheSample]:
        kinds = {name: counts.figures() for name, counts in self.tools.cache.kinds.items()}
        return [
            CacheSample(
                kinds=kinds if at == 0 else {},
                tier=stats.tier,
                hits=stats.hits,
                misses=stats.misses,
                entries=stats.entries,
                bytes=stats.bytes,
                evictions=stats.evictions,
                errors=stats.errors,
                is_away=stats.is_away,
            )
            for at, stats in enumerate(self.tools.cache.stats())
        ]

    def _quota_sample(self) -> QuotaSample:
        limits = sorted(self.tools.permits.quota.limits.values(), key=lambda limit: limit.seconds)
        return QuotaSample(
            windows=tuple(
                QuotaWindow(limit.name, limit.limit, limit.remaining, round(limit.resets_at)) for limit in limits
            )
        )

    def _record(self, job: Job) -> RunRecord:
        return RunRecord(
            run_id=job.run_id,
            engine=self.name,
            data_type=job.operation.data_type,
            interval=job.operation.interval,
            label=job.operation.label,
            state=job.state,
            created=job.created,
            started=job.started,
            finished=job.finished,
            summary={**job.summary(), "windows_total": job.windows_total},
        )

    def _series_records(self, job: Job) -> list[RunSeries]:
        return [
            RunSeries(
                run_id=job.run_id,
                series=str(entry.state.key),
                state=entry.word,
                windows_done=entry.windows_done,
                windows_total=entry.windows_total,
                rows=entry.rows,
                error=entry.error,
            )
            for entry in job.progress.values()
        ]


def _patterns(args: Mapping[str, Any]) -> list[str]:
    """Which cached values a command means. Raises ConfigError for what is no list of texts."""
    given = args.get("patterns", ["*"])
    if not (isinstance(given, list) and all(isinstance(each, str) and len(each) <= 500 for each in given)):
        raise ConfigError("patterns: write a list of texts")
    return given
