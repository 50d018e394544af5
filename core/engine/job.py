"""One job as it runs: its windows still to do, its counters, and what it shows to the world."""

import asyncio
import heapq
from collections.abc import Iterator, Set
from dataclasses import asdict, dataclass, field
from typing import Any

from core.coverage import SeriesState
from core.datasets import SeriesKey
from core.errors import TapewatchError
from core.events import JobChanged, SeriesChanged
from core.meter import Meter
from core.operations import Operation
from core.planner import Fetch, ListPlan, Plan, SeriesPlan, Wanted
from core.windows import iso

RATE_SMOOTHING = 0.3


@dataclass(slots=True)
class SeriesProgress:
    """One series or list within a job. `state` of the series itself moves on as answers arrive."""

    plan: SeriesPlan | ListPlan
    state: SeriesState
    windows_total: int = 0
    windows_done: int = 0
    windows_failed: int = 0
    rows: int = 0
    retries: int = 0
    reason: str = ""
    error: str = ""
    retry_at: float | None = None
    is_refused: bool = False
    is_dirty: bool = True

    @property
    def is_up_to_date(self) -> bool:
        """Whether nothing was missing: at most bars that are running or young were read again."""
        if isinstance(self.plan, ListPlan):
            return not self.plan.windows
        return not (self.plan.backfill or self.plan.gaps)

    @property
    def word(self) -> str:
        if self.windows_failed:
            return "failed"
        if self.windows_done >= self.windows_total:
            return "done"
        return "running" if self.windows_done or self.retries else "waiting"


@dataclass(slots=True)
class Counters:
    """What the summary counts. `requests` are history calls without retries."""

    requests: int = 0
    metadata_requests: int = 0
    retries: int = 0
    rows_fetched: int = 0
    rows_inserted: int = 0
    rows_updated: int = 0
    rows_unchanged: int = 0
    rows_quarantined: int = 0
    gaps_open: int = 0
    cache_hits: int = 0
    cache_misses: int = 0

    def shown(self) -> dict[str, int]:
        """The figures that a job's view and its summary have in common."""
        return {name: value for name, value in asdict(self).items() if not name.startswith("cache")}


class Rate:
    """The change per second of a running total, smoothed."""

    def __init__(self) -> None:
        self.per_second = 0.0
        self._before: tuple[float, int] | None = None

    def update(self, total: int, now: float) -> None:
        """`now` is monotonic seconds."""
        if self._before is not None and now > self._before[0]:
            rate = (total - self._before[1]) / (now - self._before[0])
            self.per_second += RATE_SMOOTHING * (rate - self.per_second)
        self._before = (now, total)


class WorkQueue:
    """Hands out a plan's windows one by one, retries when their time has come, nothing while held."""

    def __init__(self, fetches: Iterator[Fetch]) -> None:
        self._fetches = fetches
        self._later: list[tuple[float, int, Fetch]] = []
        self._serial = 0
        self._out = 0
        self._planned_left = True
        self._is_closed = False
        self._changed = asyncio.Condition()
        self.is_held = False

    async def take(self) -> Fetch | None:
        """The next window, or None when there will never be another."""
        async with self._changed:
            while True:
                if self._is_closed:
                    return None
                fetch, wait = (None, None) if self.is_held else self._next()
                if fetch is not None:
                    self._out += 1
                    return fetch
                if self._is_exhausted:
                    self._changed.notify_all()
                    return None
                await self._wait_for_change(wait)

    async def done(self) -> None:
        """A window that was taken has ended (or was put back for later)."""
        async with self._changed:
            self._out -= 1
            self._changed.notify_all()

    def put_back(self, fetch: Fetch, wait: float) -> None:
        """Hand `fetch` out again after `wait` seconds; call before `done`."""
        self._serial += 1
        due = asyncio.get_running_loop().time() + wait
        heapq.heappush(self._later, (due, self._serial, fetch))

    async def hold(self, held: bool) -> None:
        async with self._changed:
            self.is_held = held
            self._changed.notify_all()

    async def close(self) -> None:
        """Hand out nothing more."""
        async with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    @property
    def _is_exhausted(self) -> bool:
        return not (self._planned_left or self._later or self._out or self.is_held)

    def _next(self) -> tuple[Fetch | None, float | None]:
        now = asyncio.get_running_loop().time()
        if self._later and self._later[0][0] <= now:
            return heapq.heappop(self._later)[2], None
        if self._planned_left:
            if (fetch := next(self._fetches, None)) is not None:
                return fetch, None
            self._planned_left = False
        return None, (self._later[0][0] - now) if self._later else None

    async def _wait_for_change(self, wait: float | None) -> None:
        try:
            async with asyncio.timeout(wait):
                await self._changed.wait()
        except TimeoutError:
            pass


@dataclass(slots=True)
class Job:
    """A submitted operation. `state` takes the values that `JobChanged` documents.

    `left_out` counts series that were meant and must not be asked for, `answered` are the lists that were
    asked for to choose them, `refreshes` of lists run beside it and end before it does; `planned` is what
    the plan meant to ask for, what making it took included, and `fresh_until` when the lists of a metadata
    job are due again.
    """

    id: str
    run_id: str
    operation: Operation
    created: float
    state: str = "queued"
    waiting: str = ""
    started: float | None = None
    finished: float | None = None
    wanted: list[Wanted] | None = None
    plan: Plan | None = None
    queue: WorkQueue | None = None
    progress: dict[int, SeriesProgress] = field(default_factory=dict)
    counters: Counters = field(default_factory=Counters)
    windows_total: int = 0
    windows_done: int = 0
    windows_failed: int = 0
    errors: list[str] = field(default_factory=list)
    failure: BaseException | None = None
    left_out: int = 0
    planned: dict[str, int] = field(default_factory=lambda: {"requests": 0, "metadata_requests": 0, "rows": 0})
    answered: set[SeriesKey] = field(default_factory=set)
    fresh_until: float | None = None
    refreshes: list[asyncio.Task[None]] = field(default_factory=list)
    meter: Meter = field(default_factory=Meter)
    is_stopping: bool = False
    is_dirty: bool = True
    rows_rate: Rate = field(default_factory=Rate)
    windows_rate: Rate = field(default_factory=Rate)

    @property
    def exit_code(self) -> int | None:
        """What the class of the error that ended the job promises, None when nothing did."""
        return self.failure.exit_code if isinstance(self.failure, TapewatchError) else None

    async def settle(self) -> None:
        """Wait for the refreshes; a job that is stopping or has failed ends them."""
        if self.is_stopping or self.failure is not None:
            for task in self.refreshes:
                task.cancel()
        await asyncio.gather(*self.refreshes, return_exceptions=True)

    def add_error(self, text: str) -> None:
        if len(self.errors) < 100 and text not in self.errors:
            self.errors.append(text)

    def expect(self, plan: Plan, series: Set[int] = frozenset()) -> None:
        """Register the series of `plan`, which may be ones that were planned before, as they are meant now.

        Of those of `series` that it has no part of others have done everything.
        """
        for series_id in series & self.progress.keys():
            self.progress[series_id].windows_total = self.progress[series_id].windows_done
        for part in plan.parts:
            reason = next((fetch.reason for fetch in part.fetches()), "")
            done = part.windows - part.requests
            entry = SeriesProgress(part, part.series, windows_total=part.windows, windows_done=done, reason=reason)
            self.progress[part.series.id] = entry
        self.windows_total = sum(entry.windows_total for entry in self.progress.values())
        self.windows_done = sum(entry.windows_done for entry in self.progress.values())

    def note_planned(self, plan: Plan) -> None:
        """Remember what `plan` means to ask for, beside what will be; making it has taken its calls already."""
        self.planned = {
            "requests": plan.requests,
            "metadata_requests": plan.metadata_requests + self.counters.metadata_requests,
            "rows": plan.rows,
        }

    def tick(self, now: float) -> None:
        """Update the smoothed rates; `now` is monotonic seconds."""
        self.rows_rate.update(self.counters.rows_fetched, now)
        self.windows_rate.update(self.windows_done, now)

    def view(self) -> JobChanged:
        done = [entry for entry in self.progress.values() if entry.windows_done >= entry.windows_total]
        return JobChanged(
            job=self.id,
            run_id=self.run_id,
            data_type=self.operation.data_type,
            interval=self.operation.interval,
            label=self.operation.label,
            state=self.state,
            waiting=self.waiting,
            created=self.created,
            started=self.started,
            finished=self.finished,
            series_total=len(self.progress),
            series_done=len(done),
            series_failed=sum(1 for entry in self.progress.values() if entry.windows_failed),
            windows_total=self.windows_total,
            windows_done=self.windows_done,
            windows_failed=self.windows_failed,
            requests_planned=self.planned["requests"],
            **self.counters.shown(),
            rows_per_second=0.0 if self.finished else round(self.rows_rate.per_second, 1),
            eta_seconds=self._eta(),
            last_bar=max((p.state.last_bar for p in self.progress.values() if p.state.last_bar), default=None),
            error=self.errors[0] if self.errors else "",
        )

    def _eta(self) -> float | None:
        left = self.windows_total - self.windows_done - self.windows_failed
        if self.state != "running" or self.windows_done < 3 or self.windows_rate.per_second <= 0:
            return None
        return round(left / self.windows_rate.per_second, 1)

    def series_view(self, entry: SeriesProgress) -> SeriesChanged:
        return SeriesChanged(
            job=self.id,
            series=str(entry.state.key),
            state=entry.word,
            windows_total=entry.windows_total,
            windows_done=entry.windows_done,
            windows_failed=entry.windows_failed,
            rows=entry.rows,
            retries=entry.retries,
            last_bar=entry.state.last_bar,
            reason=entry.reason,
            error=entry.error,
            retry_at=entry.retry_at,
        )

    def summary(self) -> dict[str, Any]:
        """The object of `--output json`."""
        counters = self.counters
        return {
            "run_id": self.run_id,
            "data_type": self.operation.data_type,
            "status": self.state,
            "series": len(self.progress),
            "windows": self.windows_done,
            **self.counters.shown(),
            "cache": {"hits": counters.cache_hits, "misses": counters.cache_misses},
            "duration_seconds": round((self.finished or self.created) - self.created, 3),
            "errors": list(self.errors),
            "interval": self.operation.interval,
            "label": self.operation.label,
            "planned": dict(self.planned),
            "up_to_date": sum(1 for entry in self.progress.values() if entry.is_up_to_date),
            "fresh_until": None if self.fresh_until is None else iso(self.fresh_until),
            **({"statistics": self.statistics()} if self.operation.enable_monitoring else {}),
        }

    def statistics(self) -> dict[str, Any]:
        """What `--enable_monitoring` prints: of this job's calls, and of the process while it ran."""
        counters, meter = self.counters, self.meter
        seconds = max((self.finished or self.created) - (self.started or self.created), 1e-3)
        return {
            "requests": counters.requests + counters.metadata_requests,
            "retries": counters.retries,
            "latency_p50_seconds": round(meter.latency(0.50), 4),
            "latency_p95_seconds": round(meter.latency(0.95), 4),
            "rows_per_second": round(counters.rows_fetched / seconds, 1),
            "cache_hits": counters.cache_hits,
            "cache_misses": counters.cache_misses,
            "bytes": meter.bytes,
            "cpu_seconds": round(meter.cpu_seconds, 3),
            "peak_memory_bytes": meter.peak_memory_bytes,
        }
