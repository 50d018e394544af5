"""Runs one job: plan, workers that pull windows, retries by error class, an honest end.

The runner switches on the class of an error, never on its text. A retry is a re-queued window with a
not-before and a new permit. Stopping has three steps: hand out nothing more, let what is in flight
finish for a moment, then cancel it; a commit already handed to the store completes either way.
"""

import asyncio
from collections.abc import Sequence, Set
from contextlib import suppress

from core.clock import Stopwatch
from core.engine.budget import Budget
from core.engine.ingest import Outcome
from core.engine.inspection import inspect
from core.engine.job import Job, SeriesProgress, WorkQueue
from core.engine.planning import make_plan
from core.engine.shares import Shares
from core.engine.tools import Tools
from core.engine.work import work_of
from core.errors import (
    LeaseLost,
    Malformed,
    QuotaExhausted,
    RateLimited,
    Rejected,
    StoreUnavailable,
    TapewatchError,
    Transient,
    Unauthorized,
    VendorAway,
)
from core.events import LogLine, RetryScheduled, RowsQuarantined, WindowFailed
from core.failpoints import failpoint
from core.meter import METER
from core.planner import Fetch, ListPlan, Plan
from core.sources import RejectedRow
from core.telemetry import OK, RETRIED, ROWS, WINDOW
from core.text import clean, counted
from core.usage import Purpose
from core.windows import Window

DRAIN_SECONDS = 3.0
GIVE_UP_AFTER = 16
RETRYING = "retrying:"


class Runner:
    """Takes one job from queued to its final state."""

    def __init__(self, job: Job, tools: Tools, budget: Budget | None = None) -> None:
        self.job = job
        self._tools = tools
        self._budget = budget or Budget()
        self._family = work_of(job, tools)
        self._failures_in_a_row = 0
        self._workers: list[asyncio.Task[None]] = []
        self._unexplained = 0
        self._is_held = False
        self._unreadable: set[tuple[int, Window]] = set()
        self._lost: set[int] = set()

    async def run(self, fault: TapewatchError | None = None) -> None:
        """Never raises for what upstream or the store do; the job says how it ended.

        A `fault` is what planning it with others ran into: it ends as if it had met it now.
        """
        job = self.job
        job.started = self._tools.clock.wall()
        METER.set(job.meter)
        job.meter.start()
        self._tools.claims.begin(job.id)
        try:
            self._enter("planning")
            plan = await self._make_plan(fault)
            job.plan = plan
            job.expect(plan)
            self._log(_words(plan))
            if not plan.parts and not job.operation.repair:
                self._log("the selection chooses no series: there is nothing to ask for", "warning")
            shares = Shares(job, self._tools, plan, self._say_others)
            while not job.is_stopping and (share := await shares.take()) is not None:
                try:
                    self._begin(share, shares.mine)
                    await self._work_through()
                finally:
                    await shares.release(self._lost)
                    self._lost.clear()
                job.queue = None if shares.are_left else job.queue
            await inspect(job, self._tools)
        except TapewatchError as error:
            self._fail(error)
        except asyncio.CancelledError:
            job.is_stopping = True
            raise
        except Exception as defect:
            job.failure = defect
            raise
        finally:
            self._tools.claims.end(job.id)
            await job.settle()
            with suppress(TapewatchError):
                await self._judge()
            job.finished = self._tools.clock.wall()
            job.fresh_until = self._fresh_until()
            job.meter.stop()
            job.waiting = ""
            self._enter(self._final_state())
            self._log(
                f"{job.state}: {counted(job.windows_done, 'window')}, {counted(job.counters.rows_inserted, 'new row')}"
            )

    async def hold(self, held: bool) -> None:
        """Hand out no windows until told otherwise; a job still planning is held once it has its plan."""
        self._is_held = held
        if self.job.queue is not None:
            await self.job.queue.hold(held)
            self._enter("held" if held else "running")

    async def cancel(self) -> None:
        """Stop handing out windows; what is in flight has DRAIN_SECONDS to finish."""
        self.job.is_stopping = True
        for refresh in self.job.refreshes:
            refresh.cancel()
        self._enter("cancelling")
        await self._drain()

    async def _drain(self) -> None:
        failpoint("shutdown_drain")
        if self.job.queue is None:
            return
        await self.job.queue.close()
        if self._workers:
            _, late = await asyncio.wait(self._workers, timeout=DRAIN_SECONDS)
            for worker in late:
                worker.cancel()

    async def _make_plan(self, fault: TapewatchError | None) -> Plan:
        if fault is not None:
            raise fault
        plan = await make_plan(self.job, self._tools, self._say)
        self.job.note_planned(plan)
        await self._budget.take(self.job, plan, self._tools, self._say)
        return plan

    def _begin(self, plan: Plan, series: Set[int]) -> None:
        job = self.job
        if plan is not job.plan:
            job.expect(plan, series)
        job.queue = WorkQueue(plan.fetches())
        job.queue.is_held = self._is_held
        self._enter("held" if self._is_held else "running")

    def _fresh_until(self) -> float | None:
        """When the first of a metadata job's lists is due again, by our clock; None when one was not read."""
        lists = [entry for entry in self.job.progress.values() if isinstance(entry.plan, ListPlan)]
        if not lists or any(entry.windows_done < entry.windows_total for entry in lists):
            return None
        read = [entry.state.refreshed for entry in lists if not entry.windows_total and entry.state.refreshed]
        ttl = self._tools.options.listings(self.job.operation.data_type).ttl
        return min([*read, self._tools.clock.wall()]) + ttl

    async def _work_through(self) -> None:
        count = min(self.job.operation.parallel_workers, max(1, self.job.windows_total))
        self._workers = [asyncio.create_task(self._work()) for _ in range(count)]
        try:
            # After a fatal error answers that are already paid for still get their moment to be committed.
            await asyncio.wait(self._workers, return_when=asyncio.FIRST_EXCEPTION)
            await self._drain()
            ended = await asyncio.gather(*self._workers, return_exceptions=True)
        finally:
            for worker in self._workers:
                worker.cancel()
        for error in ended:
            if isinstance(error, Exception):
                raise error

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
        if entry.state.id in self._lost:
            return
        if not self._tools.store.leases.holds(entry.state.id):
            self._lose(entry, f"the lease of {entry.state.key} went to another engine meanwhile")
            return
        if entry.is_refused:
            self._count_failed(entry)
            return
        async with self._tools.claims.claim(self.job.id, self._family.wish(entry, fetch)) as is_ours:
            if (state := self._tools.claims.news(self.job.id, entry.state.id)) is not None:
                entry.state = entry.state.joined(state)
            if not is_ours or self._family.is_pointless(entry, fetch):
                self._count_done(entry)
                return
            try:
                await self._try(entry, fetch)
            except LeaseLost as error:
                self._lose(entry, str(error))

    def _lose(self, entry: SeriesProgress, why: str) -> None:
        """Another engine goes on with this series; what is not done then comes again."""
        if entry.state.id not in self._lost:
            self._lost.add(entry.state.id)
            self._log(f"{why}; its work is left to that one", "warning")

    async def _try(self, entry: SeriesProgress, fetch: Fetch) -> None:
        watch = Stopwatch(self._tools.clock)
        try:
            outcome = await self._ask(entry, fetch, watch)
        except RateLimited as error:
            self._tools.permits.refused(error.wait, self._tools.options.max_wait)
            self._again(entry, fetch._replace(sends=fetch.sends + 1), 0.0, error)
            return
        except VendorAway:
            raise
        except (Malformed, Transient, Rejected) as error:
            tried = fetch._replace(sends=fetch.sends + 1, tried=fetch.tried + watch.seconds)
            await self._failed(entry, tried, error)
            return
        self._failures_in_a_row = 0
        self._measure(entry, outcome, watch.seconds)
        if self.job.waiting.startswith(RETRYING):
            self.job.waiting = ""
        self._count(entry, fetch, outcome)

    def _measure(self, entry: SeriesProgress, outcome: Outcome, seconds: float) -> None:
        """One window is one operation, and one more for each thing that became of its rows."""
        kind, written = entry.state.key.data_type, outcome.written
        self._tools.telemetry.done(WINDOW, kind, OK, seconds, outcome.fetched)
        became = {"quarantined": len(outcome.rejected)}
        if written is not None:
            became |= {name: getattr(written, name) for name in ("inserted", "updated", "unchanged", "restated")}
        for name, rows in became.items():
            if rows:
                self._tools.telemetry.done(ROWS, kind, name, 0.0, rows)

    async def _failed(self, entry: SeriesProgress, fetch: Fetch, error: TapewatchError) -> None:
        """Try again, or give up: the window, the series (a name that does not exist), the job (the key)."""
        if isinstance(error, Unauthorized):
            raise error
        if isinstance(error, Malformed):
            await self._keep_malformed(entry, fetch, error)
        if isinstance(error, Rejected):
            entry.is_refused = True
            await self._give_up(entry, fetch, error)
            return
        backoff = self._tools.options.backoff
        if self.job.is_stopping or backoff.is_spent(fetch.attempt, fetch.tried):
            await self._give_up(entry, fetch, error)
            self._stop_if_hopeless(error)
            return
        turn = self._tools.permits.retries.take(self._tools.clock.monotonic())
        wait = max(turn, backoff.wait(fetch.attempt, self._tools.chance()))
        self._again(entry, fetch._replace(attempt=fetch.attempt + 1), wait, error)

    def _stop_if_hopeless(self, error: TapewatchError) -> None:
        self._failures_in_a_row += 1
        if self._failures_in_a_row >= GIVE_UP_AFTER:
            text = clean(str(error), 300)
            raise Transient(f"{GIVE_UP_AFTER} windows failed one after another; the last: {text}")

    async def _ask(self, entry: SeriesProgress, fetch: Fetch, watch: Stopwatch) -> Outcome:
        tools, counters = self._tools, self.job.counters
        purpose = Purpose(entry.state.key.data_type, fetch.reason, self.job.operation.label)
        async with tools.permits.one(tools.options.max_wait, self._say, self._family.due(fetch), purpose):
            # Waiting for a permit was not trying.
            watch.start()
            counter = self._family.calls if fetch.sends == 0 else "retries"
            setattr(counters, counter, getattr(counters, counter) + 1)
            return await self._family.perform(entry, fetch)

    def _count(self, entry: SeriesProgress, fetch: Fetch, outcome: Outcome) -> None:
        entry.state = entry.state.joined(outcome.state)
        self._tools.claims.answered(self.job.id, self._family.wish(entry, fetch), entry.state)
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

    def _count_failed(self, entry: SeriesProgress) -> None:
        entry.windows_failed += 1
        entry.is_dirty = True
        self.job.windows_failed += 1
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
            self._tools.telemetry.done(ROWS, entry.state.key.data_type, "quarantined", 0.0, 1)
            self.job.counters.rows_fetched += 1
            self._count_quarantined(entry, [record])

    def _again(self, entry: SeriesProgress, fetch: Fetch, wait: float, error: Exception) -> None:
        assert self.job.queue is not None  # noqa: S101 - a window was taken from it
        self.job.queue.put_back(fetch, wait)
        self._tools.telemetry.done(WINDOW, entry.state.key.data_type, RETRIED, fetch.tried)
        entry.retries += 1
        entry.error = clean(str(error))
        entry.retry_at = round(self._tools.clock.wall() + wait, 3)
        entry.is_dirty = self.job.is_dirty = True
        self.job.waiting = f"{RETRYING} {entry.error}"
        self._tools.bus.publish(
            RetryScheduled(
                job=self.job.id,
                series=str(entry.state.key),
                start=self._family.span(fetch).start,
                attempt=fetch.attempt,
                wait=round(wait, 3),
                error=entry.error,
            )
        )

    async def _give_up(self, entry: SeriesProgress, fetch: Fetch, error: Exception) -> None:
        text = clean(str(error), 300)
        entry.error = text
        await self._tools.store.failed(entry.state, fetch.window, text, fetch.attempt, self.job.run_id)
        self._count_failed(entry)
        self._tools.telemetry.done(WINDOW, entry.state.key.data_type, "failed", fetch.tried)
        self.job.add_error(f"{self._family.name(entry, fetch)}: {text}")
        span = self._family.span(fetch)
        self._tools.bus.publish(
            WindowFailed(
                job=self.job.id,
                series=str(entry.state.key),
                start=span.start,
                end=span.end,
                attempts=fetch.attempt,
                error=text,
            )
        )
        source = str(entry.state.key)
        self._tools.alerts.fire("retries_exhausted", "ERROR", source, text, self._tools.clock.wall())

    async def _judge(self) -> None:
        """What is missing when nothing more will come."""
        self._unexplained = await self._family.judge()
        for entry in self.job.progress.values():
            if not entry.windows_failed:
                self._tools.alerts.resolve("retries_exhausted", str(entry.state.key))

    def _final_state(self) -> str:
        job = self.job
        if isinstance(job.failure, QuotaExhausted):
            return "waiting_quota"
        if job.is_stopping and isinstance(job.failure, StoreUnavailable):
            return "cancelled"  # who is told to stop no longer waits for the store
        if job.failure is not None:
            return "failed"
        if job.is_stopping:
            return "cancelled"
        if job.windows_failed:
            everything = all(entry.windows_failed and not entry.rows for entry in job.progress.values())
            return "failed" if everything else "complete_with_gaps"
        return "complete_with_gaps" if self._unexplained or job.left_out else "complete"

    def _fail(self, error: TapewatchError) -> None:
        self.job.failure = error
        self.job.add_error(clean(str(error), 500))
        level = "warning" if isinstance(error, QuotaExhausted) else "error"
        self._log(clean(str(error), 500), level)

    def _log(self, text: str, level: str = "info") -> None:
        source = self.job.operation.title
        self._tools.bus.publish(LogLine(level=level, text=text, source=source, job=self.job.id))

    def _say(self, waiting: str) -> None:
        """Shown with the next progress: it may change with each call."""
        self.job.waiting, self.job.is_dirty = waiting, True
        if self.job.state in {"running", "waiting"} and not self.job.is_stopping:
            self.job.state = "waiting" if waiting else "running"

    def _say_others(self, waiting: str) -> None:
        """Other engines are waited for before there is a part to run."""
        self.job.waiting = waiting
        self._enter("waiting" if waiting else "running")

    def _enter(self, state: str) -> None:
        if self.job.is_stopping and state in {"running", "waiting", "held"}:
            return
        self.job.state = state
        self.job.is_dirty = True
        self._tools.bus.publish(self.job.view())


def _words(plan: Plan) -> str:
    if plan.lists:
        return f"plan: {counted(len(plan.lists), 'list')}, {counted(plan.metadata_requests, 'metadata request')}"
    return f"plan: {len(plan.series):,} series, {counted(plan.requests, 'request')}, {counted(plan.rows, 'row')}"
