"""What the journal keeps of jobs, and the journal of an engine: written when something changed."""

import asyncio
import math
from collections.abc import Mapping

from core.engine.alerts import judge_month
from core.engine.job import Job
from core.engine.samples import quota_sample
from core.engine.tools import Tools
from core.stores import RunRecord, RunSeries
from core.usage import since

LEARN_SECONDS = 5.0
QUIET_SECONDS = 60.0


class Journal:
    """Runs, alerts and calls of the engine of that name, and what has been written of them."""

    def __init__(self, engine: str, tools: Tools, jobs: Mapping[str, Job]) -> None:
        self._engine = engine
        self._tools = tools
        self._jobs = jobs
        self._written: dict[str, tuple[str, int]] = {}
        self._writing = asyncio.Lock()
        self._learned_at = -math.inf

    async def flush(self) -> None:
        """Write what changed. Raises StoreError; what was not written is tried again.

        It goes on when nobody waits for it any more: calls are added to those that are stored, never twice.
        """
        writing = asyncio.ensure_future(self._write())
        writing.add_done_callback(_be_heard)
        await asyncio.shield(writing)

    def forget(self, job: str) -> None:
        self._written.pop(job, None)

    async def _write(self) -> None:
        async with self._writing:
            is_busy = await self._write_changes()
            await self._learn_usage(LEARN_SECONDS if is_busy else QUIET_SECONDS)

    async def _write_changes(self) -> bool:
        """Whether calls were sent since the last time."""
        marks = {job.id: journal_mark(job) for job in self._jobs.values()}
        changed = {name: mark for name, mark in marks.items() if self._written.get(name) != mark}
        jobs = [self._jobs[name] for name in changed]
        ended = [record for job in jobs if job.finished is not None for record in series_records(job)]
        self._judge_month()
        alerts = self._tools.alerts.unrecorded()
        usage = self._tools.permits.usage
        counted = usage.take()
        runs = [run_record(job, self._engine) for job in jobs]
        try:
            await self._tools.store.journal(runs, ended, alerts, counted)
        except BaseException:
            usage.put_back()
            raise
        usage.written()
        self._written.update(changed)
        self._tools.alerts.recorded(alerts)
        return bool(counted)

    def _judge_month(self) -> None:
        sample = quota_sample(self._tools)
        if sample.month is not None:
            judge_month(self._tools.alerts, sample.account, sample.month, self._tools.clock.wall())

    async def _learn_usage(self, every: float) -> None:
        """What all engines on the store have sent, once in so many seconds."""
        usage, clock = self._tools.permits.usage, self._tools.clock
        if clock.monotonic() - self._learned_at >= every:
            usage.learn(await self._tools.store.calls_by_day(usage.account, since(clock.wall())))
            self._learned_at = clock.monotonic()


def _be_heard(writing: asyncio.Future[None]) -> None:
    """How it ended may be nobody's business any more."""
    if not writing.cancelled():
        writing.exception()


def journal_mark(job: Job) -> tuple[str, int]:
    """Changes when there is something new to write down about `job`."""
    return job.state, job.windows_done + job.windows_failed + job.counters.retries


def run_record(job: Job, engine: str) -> RunRecord:
    return RunRecord(
        run_id=job.run_id,
        engine=engine,
        data_type=job.operation.data_type,
        interval=job.operation.interval,
        label=job.operation.label,
        state=job.state,
        created=job.created,
        started=job.started,
        finished=job.finished,
        summary={**job.summary(), "windows_total": job.windows_total},
    )


def series_records(job: Job) -> list[RunSeries]:
    """One for each series or list of the job."""
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
