"""Runs one job: plan, workers that pull windows, retries by error class, an honest end.

The runner switches on the class of an error, never on its text. A retry is a re-queued window with a
not-before and a new permit. Stopping has three steps: hand out nothing more, let what is in flight
finish for a moment, then cancel it; a commit already handed to the store completes either way.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from core.coverage import SeriesState
from core.engine.ingest import Outcome, Request
from core.engine.job import Job, SeriesProgress, WorkQueue
from core.engine.planning import check_budget, make_plan
from core.engine.tools import Tools
from core.errors import Malformed, QuotaExhausted, RateLimited, Rejected, TapewatchError, Transient, Unauthorized
from core.events import GapFound, LogLine, RetryScheduled, RowsQuarantined, WindowFailed
from core.planner import Fetch, Plan
from core.sources import RejectedRow
from core.text import clean
from core.windows import Window, intersect, iso

DRAIN_SECONDS = 3.0
GIVE_UP_AFTER = 16
RETRYING = "retrying:"


class Runner:
    """Takes one job from queued to its final state."""

    def __init__(self, job: Job, tools: Tools) -> None:
        self.job = job
        self._tools = tools
        self._failures_in_a_row = 0
        self._workers: list[asyncio.Task[None]] = []
        self._unexplained = 0
        self._is_held = False
        self._unreadable: set[tuple[int, Window]] = set()

    async def run(self) -> None:
        """Never raises for what upstream or the store do; the job says how it ended."""
        job = self.job
        job.started = self._tools.clock.wall()
        try:
            self._enter("planning")
            plan = await make_plan(job, self._tools, self._say)
            await check_budget(job, plan, self._tools, self._say)
            self._begin(plan)
            self._log(f"plan: {len(plan.series)} series, {plan.requests} requests, {plan.rows:,} rows")
            self._enter("held" if job.queue and job.queue.is_held else "running")
            await self._work_through()
            await self._judge()
        except TapewatchError as error:
            self._fail(error)
        except asyncio.CancelledError:
            job.is_stopping = True
            raise
        finally:
            job.finished = self._tools.clock.wall()
            job.waiting = ""
            self._enter(self._final_state())
            self._log(f"{job.state}: {job.windows_done} windows, {job.counters.rows_inserted:,} new rows")

    async def hold(self, held: bool) -> None:
        """Hand out no windows until told otherwise; a job still planning is held once it has its plan."""
        self._is_held = held
        if self.job.queue is not None:
            await self.job.queue.hold(held)
            self._enter("held" if held else "running")

    async def cancel(self) -> None:
        """Stop handing out windows; what is in flight has DRAIN_SECONDS to finish."""
        self.job.is_stopping = True
        self._enter("cancelling")
        if self.job.queue is None:
            return
        await self.job.queue.close()
        if self._workers:
            _, late = await asyncio.wait(self._workers, timeout=DRAIN_SECONDS)
            for worker in late:
                worker.cancel()

    def _begin(self, plan: Plan) -> None:
        job = self.job
        job.plan = plan
        job.windows_total = plan.requests
        job.queue = WorkQueue(plan.fetches())
        job.queue.is_held = self._is_held
        for part in plan.series:
            reason = next((fetch.reason for fetch in part.fetches()), "")
            entry = SeriesProgress(part, part.series, windows_total=part.requests, reason=reason)
            job.progress[part.series.id] = entry

    async def _work_through(self) -> None:
        count = min(self.job.operation.parallel_workers, max(1, self.job.windows_total))
        self._workers = [asyncio.create_task(self._work()) for _ in range(count)]
        try:
            await asyncio.gather(*self._workers)
        except asyncio.CancelledError:
            if not self.job.is_stopping:
                raise
        finally:
            for worker in self._workers:
                worker.cancel()
            await asyncio.gather(*self._workers, return_exceptions=True)

    async def _work(self) -> None:
        queue = self.job.queue
        assert queue is not None  # noqa: S101 - set by _begin before the workers start
        while (fetch := await queue.take()) is not None:
            try:
                await self._attempt(fetch)
            finally:
                await queue.done()

    async def _attempt(self, fetch: Fetch) -> None:
        entry = self.job.progress[fetch.series.id]
        if self._is_pointless(entry, fetch):
            self._count_done(entry)
            return
        fetch = fetch if fetch.since else fetch._replace(since=self._tools.clock.monotonic())
        try:
            outcome = await self._ask(entry, fetch)
        except RateLimited as error:
            self._tools.permits.pause(error.wait)
            self._again(entry, fetch, 0.0, error)
        except Malformed as error:
            await self._keep_malformed(entry, fetch, error)
            self._again_or_give_up(entry, fetch, error)
        except Transient as error:
            self._again_or_give_up(entry, fetch, error)
        except Unauthorized:
            raise
        except Rejected as error:
            self._give_up(entry, fetch, error)
        else:
            self._failures_in_a_row = 0
            if self.job.waiting.startswith(RETRYING):
                self.job.waiting = ""
            self._count(entry, fetch, outcome)

    async def _ask(self, entry: SeriesProgress, fetch: Fetch) -> Outcome:
        tools = self._tools
        request = Request(
            fetch=fetch,
            dataset=self.job.operation.dataset,
            groups=self.job.operation.dataset.parse_groups(self.job.operation.groups),
            state=entry.state,
            plan=entry.plan,
            run_id=self.job.run_id,
        )
        async with tools.permits.one(tools.options.max_wait, self._say):
            if fetch.attempt == 1:
                self.job.counters.requests += 1
            return await tools.ingest.window(request)

    def _is_pointless(self, entry: SeriesProgress, fetch: Fetch) -> bool:
        """The history turned out to start after this window."""
        start = entry.state.history_start
        return start is not None and fetch.window.end <= start

    def _count(self, entry: SeriesProgress, fetch: Fetch, outcome: Outcome) -> None:
        entry.state = _newer(entry.state, outcome.state)
        counters, written = self.job.counters, outcome.written
        if written is not None:
            counters.rows_fetched += outcome.fetched
            counters.rows_inserted += written.inserted
            counters.rows_updated += written.updated
            counters.rows_unchanged += written.unchanged
            entry.rows += written.inserted + written.updated + written.unchanged
        self._count_quarantined(entry, outcome.rejected)
        if outcome.probe is not None and self.job.queue is not None:
            self.job.windows_total += 1
            entry.windows_total += 1
            self.job.queue.put_back(outcome.probe, 0.0)
        self._count_done(entry)

    def _count_done(self, entry: SeriesProgress) -> None:
        entry.windows_done += 1
        entry.is_dirty = True
        self.job.windows_done += 1
        self.job.is_dirty = True

    def _count_quarantined(self, entry: SeriesProgress, rejected: Sequence[RejectedRow]) -> None:
        self.job.counters.rows_quarantined += len(rejected)
        reasons: dict[str, int] = {}
        for row in rejected:
            reasons[row.reason] = reasons.get(row.reason, 0) + 1
        for reason, rows in reasons.items():
            series = str(entry.state.key)
            self._tools.bus.publish(RowsQuarantined(job=self.job.id, series=series, reason=reason, rows=rows))

    async def _keep_malformed(self, entry: SeriesProgress, fetch: Fetch, error: Malformed) -> None:
        raw = error.raw.decode("utf-8", "replace")
        record = RejectedRow(error.reason, clean(str(error)), raw)
        await self._tools.store.quarantine(entry.state, fetch.window, record, self.job.run_id)
        # The same window may be unreadable on every try: it is one record, and counted once.
        if (entry.state.id, fetch.window) not in self._unreadable:
            self._unreadable.add((entry.state.id, fetch.window))
            self._count_quarantined(entry, [record])

    def _again_or_give_up(self, entry: SeriesProgress, fetch: Fetch, error: Exception) -> None:
        backoff = self._tools.options.backoff
        tried_for = self._tools.clock.monotonic() - fetch.since
        if self.job.is_stopping or backoff.is_spent(fetch.attempt, tried_for):
            self._give_up(entry, fetch, error)
            return
        self._again(entry, fetch, backoff.wait(fetch.attempt, self._tools.chance()), error)

    def _again(self, entry: SeriesProgress, fetch: Fetch, wait: float, error: Exception) -> None:
        assert self.job.queue is not None  # noqa: S101 - a window was taken from it
        self.job.queue.put_back(fetch._replace(attempt=fetch.attempt + 1), wait)
        self.job.counters.retries += 1
        entry.retries += 1
        entry.error = clean(str(error))
        entry.is_dirty = self.job.is_dirty = True
        self.job.waiting = f"{RETRYING} {entry.error}"
        self._tools.bus.publish(
            RetryScheduled(
                job=self.job.id,
                series=str(entry.state.key),
                start=fetch.window.start,
                attempt=fetch.attempt + 1,
                wait=round(wait, 3),
                error=entry.error,
            )
        )

    def _give_up(self, entry: SeriesProgress, fetch: Fetch, error: Exception) -> None:
        text = clean(str(error), 300)
        entry.windows_failed += 1
        entry.error = text
        entry.is_dirty = self.job.is_dirty = True
        self.job.windows_failed += 1
        self.job.add_error(f"{entry.state.key} {iso(fetch.window.start)}..{iso(fetch.window.end)}: {text}")
        self._tools.bus.publish(
            WindowFailed(
                job=self.job.id,
                series=str(entry.state.key),
                start=fetch.window.start,
                end=fetch.window.end,
                attempts=fetch.attempt,
                error=text,
            )
        )
        source = str(entry.state.key)
        self._tools.alerts.fire("retries_exhausted", "ERROR", source, text, self._tools.clock.wall())
        self._failures_in_a_row += 1
        if self._failures_in_a_row >= GIVE_UP_AFTER:
            raise Transient(f"{GIVE_UP_AFTER} windows failed one after another; the last: {text}")

    async def _judge(self) -> None:
        """Count the holes that are left; GapFound is said now, when no later answer can explain them."""
        states = [entry.state for entry in self.job.progress.values()]
        fresh = await self._tools.store.series(self._tools.source.name, [state.key for state in states])
        unexplained = 0
        for entry, state in zip(self.job.progress.values(), fresh, strict=True):
            for gap in state.gaps:
                if not intersect([gap.window], [entry.plan.span]):
                    continue
                self.job.counters.gaps_open += 1
                unexplained += not gap.is_confirmed
                self._tools.bus.publish(
                    GapFound(
                        job=self.job.id,
                        series=str(state.key),
                        start=gap.window.start,
                        end=gap.window.end,
                        cause=gap.cause,
                    )
                )
            if not entry.windows_failed:
                self._tools.alerts.resolve("retries_exhausted", str(state.key))
        self._unexplained = unexplained

    def _final_state(self) -> str:
        job = self.job
        if isinstance(job.failure, QuotaExhausted):
            return "waiting_quota"
        if job.failure is not None:
            return "failed"
        if job.is_stopping:
            return "cancelled"
        if job.windows_failed:
            everything = all(entry.windows_failed and not entry.rows for entry in job.progress.values())
            return "failed" if everything else "complete_with_gaps"
        return "complete_with_gaps" if self._unexplained else "complete"

    def _fail(self, error: TapewatchError) -> None:
        self.job.failure = error
        self.job.add_error(clean(str(error), 500))
        level = "warning" if isinstance(error, QuotaExhausted) else "error"
        self._log(clean(str(error), 500), level)

    def _log(self, text: str, level: str = "info") -> None:
        operation = self.job.operation
        source = f"{operation.data_type} {operation.interval}"
        self._tools.bus.publish(LogLine(level=level, text=text, source=source, job=self.job.id))

    def _say(self, waiting: str) -> None:
        self.job.waiting = waiting
        if self.job.state in {"running", "waiting"}:
            self._enter("waiting" if waiting else "running")

    def _enter(self, state: str) -> None:
        if self.job.is_stopping and state in {"running", "waiting", "held"}:
            return
        self.job.state = state
        self.job.is_dirty = True
        self._tools.bus.publish(self.job.view())


def _newer(known: SeriesState, answered: SeriesState) -> SeriesState:
    """Windows of one series run side by side, so an answer may carry an older view of its series."""
    bars = [bar for bar in (known.last_bar, answered.last_bar) if bar is not None]
    start = answered.history_start if answered.history_start is not None else known.history_start
    return replace(
        answered,
        history_start=start,
        last_bar=max(bars, default=None),
        rows=max(known.rows, answered.rows),
        has_constants=known.has_constants or answered.has_constants,
    )
