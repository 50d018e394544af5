"""All that an engine can say of itself at a moment, as families of figures."""

import asyncio
import platform
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cache
from importlib.metadata import version

from core.engine.engine import Engine
from core.engine.samples import cache_samples, quota_sample
from core.events import LEVELS, AlertChanged, AnyEvent, EngineSample, RunSummary
from core.figures import Family, counter, gauge, gauges

CENSUS_SECONDS = 60.0
SHORTEST_SECONDS = 1.0


class EngineFigures:
    """Reads an engine when it is called; what costs a query is counted once a minute, and when a job has ended.

    Also a service of the engine: it keeps the count.
    """

    name = "census"

    def __init__(self) -> None:
        self._engine: Engine | None = None
        self._sample: EngineSample | None = None
        self._alerts: dict[str, str] = {}
        self._ended = asyncio.Event()

    async def run(self, engine: Engine) -> None:
        self.of(engine)
        while True:
            await self.count(engine)
            with suppress(TimeoutError):
                async with asyncio.timeout(CENSUS_SECONDS):
                    await self._ended.wait()
            await engine.tools.clock.sleep(SHORTEST_SECONDS)  # many jobs may end at once

    async def count(self, engine: Engine) -> None:
        """Ask the store what it holds. Raises StoreError."""
        self._ended.clear()
        engine.census = await engine.tools.store.census()

    def of(self, engine: Engine) -> None:
        """From now on these are the figures of that engine."""
        if self._engine is None:
            self._engine = engine
            for event in engine.tools.bus.snapshot().events:
                self._hear(event)
            engine.tools.bus.listen(self._hear)

    def __call__(self) -> Iterator[Family]:
        engine = self._engine
        if engine is None:
            return
        yield from _of_build()
        yield from _of_process(self._sample)
        yield from _of_quota(engine)
        yield from _of_cache(engine)
        yield from _of_jobs(engine)
        yield from _of_store(engine)
        yield from _of_alerts(self._alerts)
        yield from _of_parts(engine)

    def _hear(self, event: AnyEvent) -> None:
        if isinstance(event, EngineSample):
            self._sample = event
        elif isinstance(event, AlertChanged) and event.is_open:
            self._alerts[event.alert] = event.level
        elif isinstance(event, RunSummary):
            self._ended.set()
        elif isinstance(event, AlertChanged):
            self._alerts.pop(event.alert, None)


@cache  # reading what is installed takes longer than all other figures
def _build() -> tuple[str, str]:
    return version("tapewatch"), platform.python_version()


def _of_build() -> Iterator[Family]:
    yield gauges("tapewatch_build_info", "What runs; always 1", "version python", [(_build(), 1)])


def _of_process(sample: EngineSample | None) -> Iterator[Family]:
    cpu = [((), time.process_time())]
    yield counter("process_cpu_seconds_total", "Seconds of CPU that the engine has taken", "", cpu)
    if sample is None:
        return
    yield gauge("process_resident_memory_bytes", "Memory of the engine", sample.memory_bytes)
    yield gauge("process_open_fds", "File descriptors of the engine", sample.open_files)
    yield gauge("tapewatch_uptime_seconds", "Since the engine started", sample.uptime_seconds)
    yield gauge("tapewatch_event_loop_lag_seconds", "How late the engine's loop was last", sample.loop_lag_ms / 1_000)
    yield gauge("tapewatch_cpu_ratio", "CPU of the engine as a share of one", sample.cpu_percent / 100)
    yield gauge("tapewatch_host_cpu_ratio", "CPU of the host in use", sample.host_cpu_percent / 100)
    yield gauge("tapewatch_host_memory_ratio", "Memory of the host in use", sample.host_memory_percent / 100)
    yield gauge("tapewatch_clients", "Dashboards and others on the control socket", sample.clients)


def _of_quota(engine: Engine) -> Iterator[Family]:
    permits, sample = engine.tools.permits, quota_sample(engine.tools)
    windows = sample.windows
    limits = [((each.name,), each.limit) for each in windows]
    yield gauges("tapewatch_quota_limit_calls", "Calls that the vendor allows in each of its limits", "limit", limits)
    left = [((each.name,), each.remaining) for each in windows]
    yield gauges("tapewatch_quota_remaining_calls", "Calls that are left of each limit", "limit", left)
    resets = [((each.name,), each.resets_at) for each in windows]
    yield gauges("tapewatch_quota_reset_timestamp_seconds", "When each limit resets, UTC", "limit", resets)
    held = [((name,), seconds) for name, seconds in permits.held_back.items()]
    yield counter(
        "tapewatch_rate_limit_wait_seconds_total", "Seconds in which a limit kept calls from being sent", "limit", held
    )
    yield gauge("tapewatch_calls_waiting", "Calls that wait for their permit", permits.waiting)
    yield gauge("tapewatch_calls_in_flight", "Calls that are not answered yet", permits.quota.in_flight)
    yield gauge("tapewatch_vendor_away", "1 while the vendor does not answer", permits.is_vendor_away)
    if sample.month is not None:
        yield gauge("tapewatch_month_calls", "Our calls this calendar month", sample.month.calls)
        yield gauge("tapewatch_month_forecast_calls", "About how many it will be by its end", sample.month.forecast)


def _of_cache(engine: Engine) -> Iterator[Family]:
    tiers = cache_samples(engine.tools)
    counted = {
        "hits": "Values that were found",
        "misses": "Values that were not there",
        "evictions": "Values that made room for others",
        "errors": "Operations that failed",
    }
    for name, words in counted.items():
        values = [((tier.tier,), float(getattr(tier, name))) for tier in tiers]
        yield counter(f"tapewatch_cache_{name}_total", words, "tier", values)
    yield gauges("tapewatch_cache_entries", "Values", "tier", [((tier.tier,), tier.entries) for tier in tiers])
    yield gauges("tapewatch_cache_bytes", "Bytes of values", "tier", [((tier.tier,), tier.bytes) for tier in tiers])
    away = [((tier.tier,), float(tier.is_away)) for tier in tiers]
    yield gauges("tapewatch_cache_away", "1 while a tier is left alone until it answers again", "tier", away)
    lists = [
        ((data_type, outcome), float(count))
        for tier in tiers
        for data_type, counts in tier.kinds.items()
        for outcome, count in counts.items()
    ]
    yield counter("tapewatch_cache_lists_total", "How lists were got", "data_type outcome", lists)


def _of_jobs(engine: Engine) -> Iterator[Family]:
    active = engine.active
    states = Counter(job.state for job in active)
    yield gauges("tapewatch_active_jobs", "Jobs that have not ended", "state", [((s,), n) for s, n in states.items()])
    left: Counter[str] = Counter()
    for job in active:
        left[job.operation.data_type] += job.windows_total - job.windows_done - job.windows_failed
    waiting = [((data_type,), max(0, count)) for data_type, count in left.items()]
    yield gauges("tapewatch_windows_waiting", "Windows of these jobs that are not done", "data_type", waiting)


def _of_store(engine: Engine) -> Iterator[Family]:
    parts, now = engine.census.parts, engine.tools.source.now()
    series = [((part.data_type, part.interval, part.market), part.series) for part in parts]
    yield gauges("tapewatch_series", "Stored series", "data_type interval market", series)
    gaps = [((part.data_type, part.interval, part.market), part.gaps) for part in parts]
    yield gauges("tapewatch_gaps", "Spans that were asked for and are absent", "data_type interval market", gaps)
    ages = [((part.data_type, part.interval, part.market), age) for part in parts if (age := part.age(now)) is not None]
    yield Family(
        "tapewatch_freshness_seconds",
        "Since the end of the newest closed bar",
        ("data_type", "interval", "market"),
        ages,
        together=max,
    )
    outbox = [((channel, state), count) for channel, state, count in engine.census.outbox]
    yield gauges("tapewatch_outbox_messages", "Messages that are not delivered", "channel state", outbox)


def _of_alerts(alerts: Mapping[str, str]) -> Iterator[Family]:
    levels = Counter(alerts.values())
    values = [((level,), float(levels[level])) for level in LEVELS]
    yield gauges("tapewatch_open_alerts", "Alerts that are not over", "level", values)


def _of_parts(engine: Engine) -> Iterator[Family]:
    restarts = [((task,), count) for task, count in engine.supervisor.restarts.items()]
    yield counter("tapewatch_task_restarts_total", "Parts of the engine that were started again", "task", restarts)
    late = engine.tools.heartbeats.late()
    beats = [((name,), float(name not in late)) for name in engine.tools.heartbeats.names]
    yield gauges("tapewatch_alive", "0 when a part of the engine was not heard of in time", "task", beats)
