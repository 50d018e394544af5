"""A scripted engine: what it knows is seeded, what it says is said by the test, what it is asked is kept."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from acting_fakes import schedules
from archive_fakes_series import SeriesFakes
from archive_fakes_watch import WatchFakes, silences
from msgspec.structs import asdict

from core.bus import Bus
from core.errors import TapewatchError
from core.events import (
    PROTOCOL,
    AlertChanged,
    AnyEvent,
    CacheSample,
    EngineSample,
    GapFound,
    Hello,
    JobChanged,
    LogLine,
    Message,
    MonthUsage,
    QuotaSample,
    QuotaWindow,
    RetryScheduled,
    SeriesChanged,
    WindowFailed,
)
from tui.app import Dashboard, DashboardOptions
from tui.archive.series import StoredSeries
from tui.client import Connect, EngineLink, Listener
from tui.desk import Clock
from tui.state import OtherJob

NOON = 1_795_435_200.0  # 2026-11-23 12:00:00 UTC
DAY = 86_400


class FakeTime:
    """Clocks that move when told to."""

    def __init__(self) -> None:
        self.elapsed = 1_000.0

    def clock(self) -> Clock:
        return Clock(wall=lambda: NOON + self.elapsed - 1_000.0, monotonic=lambda: self.elapsed)

    def advance(self, seconds: float) -> None:
        self.elapsed += seconds


def hello(protocol: int = PROTOCOL, read_only: bool = False, pid: int = 42) -> Hello:
    return Hello(
        protocol=protocol, engine="e-1", pid=pid, version="0.1.0", store="sqlite:///tapewatch.db",
        source="coindesk", kind="serve", read_only=read_only,
    )  # fmt: skip


class FakeConnection:
    """One connection to a fake engine; `say` hands it messages, `end` is the engine going away."""

    def __init__(self, engine: "FakeEngine") -> None:
        self.hello = engine.hello
        self.closed = False
        self._engine = engine
        self._queue: asyncio.Queue[Message | None] = asyncio.Queue()

    async def messages(self) -> AsyncIterator[Message]:
        while True:
            message = await self._queue.get()
            if message is None:
                return
            yield message

    async def command(self, name: str, **args: object) -> object:
        self._engine.commands.append((name, args))
        if self._engine.gone is not None:
            raise self._engine.gone
        if self._engine.refusal:
            raise TapewatchError(self._engine.refusal)
        if self._engine.held is not None:
            await self._engine.held.wait()
        reply = self._engine.replies.get(name)
        if isinstance(reply, Exception):
            raise reply
        return reply

    async def close(self) -> None:
        self.closed = True

    def say(self, *messages: Message) -> None:
        for message in messages:
            self._queue.put_nowait(message)

    def end(self) -> None:
        self._queue.put_nowait(None)


class FakeEngine:
    """Accepts connections while `trouble` is None; each begins with a snapshot of the bus."""

    def __init__(self, time: FakeTime | None = None) -> None:
        self.time = time or FakeTime()
        self.bus = Bus(self.time.clock().wall)
        self.hello = hello()
        self.trouble: Exception | None = None
        self.refusal = ""
        self.gone: Exception | None = None
        self.replies: dict[str, object] = {}
        self.held: asyncio.Event | None = None
        self.commands: list[tuple[str, dict[str, object]]] = []
        self.connections: list[FakeConnection] = []
        self.bus.listen(self._tell)

    async def connect(self) -> FakeConnection:
        if self.trouble is not None:
            raise self.trouble
        connection = FakeConnection(self)
        connection.say(self.bus.snapshot())
        self.connections.append(connection)
        return connection

    def publish(self, *events: AnyEvent) -> None:
        for event in events:
            self.bus.publish(event)

    def _tell(self, event: AnyEvent) -> None:
        for connection in self.connections:
            connection.say(event)


@dataclass
class Bench:
    """A dashboard with its fake engine, both on a clock of the test's own."""

    app: Dashboard
    engine: FakeEngine
    time: FakeTime
    retry: asyncio.Event


class FakeArchive(SeriesFakes, WatchFakes):
    """A store of a few series; `trouble` is why it cannot be asked."""

    def __init__(self) -> None:
        self.kept_silences = silences()
        self.journal = {}
        self.stored = dict(stored_series())
        self.trouble: Exception | None = None
        self.asked: list[str] = []

    def series(self) -> dict[str, StoredSeries]:
        self._ask("series")
        return self.stored

    def _ask(self, what: str) -> None:
        self.asked.append(what)
        if self.trouble is not None:
            raise self.trouble


def stored_series(count: int = 30) -> list[tuple[str, StoredSeries]]:
    grains = {"1d": DAY, "1h": 3_600, "1m": 60}
    pairs = ("BTC-USD", "ETH-USD", "SOL-USDT", "ADA-EUR", "XRP-USD")
    found = []
    for at in range(count):
        types = ("spot_ohlcv", "futures_ohlcv", "futures_funding_rate", "indices_ohlcv", "futures_open_interest")
        data_type, interval = types[at % 5], tuple(grains)[at // 10 % 3]
        market, seconds = ("coinbase", "binance", "kraken")[at % 3], grains[interval]
        last = (int(NOON) // seconds - 1 - at % 7) * seconds
        stored = StoredSeries(
            data_type=data_type, market=market, instrument=pairs[at % 5], interval=interval, seconds=seconds,
            rows=1_000 * (at + 1), first_bar=last - 1_000 * (at + 1) * seconds, last_bar=last, gaps=at % 4,
        )  # fmt: skip
        found.append((f"{data_type}/{market}/{pairs[at % 5]}-{at}/{interval}", stored))
    return found


def bench(engine: FakeEngine | None = None, archive: Any = None, **options: Any) -> Bench:
    engine = engine or FakeEngine()
    retry = asyncio.Event()

    async def wait_for_test(_seconds: float) -> None:
        await retry.wait()
        retry.clear()

    def link(connect: Connect, listener: Listener, now: Callable[[], float]) -> EngineLink:
        return EngineLink(connect, listener, now, wait_for_test)

    app = Dashboard(
        engine.connect,
        DashboardOptions(**options),
        engine.time.clock(),
        archive=archive or FakeArchive(),
        by_hand=True,
        link=link,
    )
    return Bench(app, engine, engine.time, retry)


def job(number: int, state: str = "running", **changes: object) -> JobChanged:
    """A plausible job, different for each number."""
    total = 400 + 37 * number
    done = {"queued": 0, "complete": total, "complete_with_gaps": total}.get(state, (number * 53) % total)
    final = state in {"complete", "complete_with_gaps", "failed", "cancelled", "waiting_quota"}
    types = ("spot_ohlcv", "futures_ohlcv", "futures_funding_rate", "indices_ohlcv", "futures_open_interest")
    values: dict[str, object] = {
        "job": f"j-{number:04d}", "run_id": f"r-{number:04d}", "data_type": types[number % 5],
        "interval": ("1d", "1h", "1m")[number % 3], "label": ("nightly", "", "backfill")[number % 3],
        "state": state, "created": NOON - 600 + number, "started": None if state == "queued" else NOON - 590,
        "finished": NOON - 10 if final else None, "series_total": 50, "series_done": min(50, done * 50 // total),
        "windows_total": total, "windows_done": done, "requests_planned": total, "requests": done,
        "metadata_requests": 3, "retries": number % 4, "rows_fetched": done * 1_950, "rows_inserted": done * 1_900,
        "rows_unchanged": done * 50, "rows_per_second": 0.0 if final or state == "queued" else 310.0 * (number % 9 + 1),
        "eta_seconds": None if final or state == "queued" else 252.0 + 60 * number, "last_bar": int(NOON) - DAY,
    }  # fmt: skip
    return JobChanged(**(values | changes))  # type: ignore[arg-type]


# What the journal does not tell.
UNKNOWN = {"series_done": 0, "rows_per_second": 0.0, "eta_seconds": None, "last_bar": None}


def others() -> list[OtherJob]:
    """Runs in the journal: our engine's, one under way elsewhere, one whose engine was killed, one that ended."""
    seen = (
        ("r-own", "e-1", "here", 42, True, job(1)),
        ("r-live", "b2b2b2", "worker-2", 77, True, job(1, data_type="spot_ohlcv", created=NOON - 700)),
        ("r-lost", "d4d4d4", "worker-9", 99, False, job(0xF1, "interrupted", job="j-00f1")),
        ("r-done", "c3c3c3", "", 0, False, job(0xD0, "complete", job="j-00d0")),
    )
    return [
        OtherJob(**{**asdict(each), "run_id": run, **UNKNOWN}, engine=engine, host=host, pid=pid, is_at_work=is_at_work)
        for run, engine, host, pid, is_at_work, each in seen
    ]


def series_of(job_id: str, count: int = 12) -> list[SeriesChanged]:
    states = ("running", "done", "waiting", "gaps", "failed")
    names = ("BTC-USD", "ETH-USD", "SOL-USDT", "ADA-EUR", "XRP-USD", "DOGE-USDT")
    return [
        SeriesChanged(
            job=job_id, series=f"spot_ohlcv/{('coinbase', 'binance', 'kraken')[at % 3]}/{names[at % 6]}/1d",
            state=states[at % 5], windows_total=40 + at, windows_done=(40 + at) * (at % 5 != 2) // (1 + at % 2),
            rows=1_950 * (at + 1), retries=at % 3, last_bar=int(NOON) - DAY * (at + 1), reason="backfill",
            error="HTTP 500: internal error, after 5 attempts" if at % 5 == 4 else "",
        )
        for at in range(count)
    ]  # fmt: skip


def alerts() -> list[AlertChanged]:
    return [
        AlertChanged(alert="a-1", rule="late_series", level="WARNING", state="firing", since=NOON - 300,
                     message="3 series are later than 2 bars", source="spot_ohlcv/kraken/ADA-EUR/1d", count=3),
        AlertChanged(alert="a-2", rule="store_errors", level="CRITICAL", state="firing", since=NOON - 95,
                     message="2 commits failed in 5 minutes: disk is full", source="store"),
        AlertChanged(alert="a-3", rule="quota_month", level="WARNING", state="resolved", since=NOON - 7200,
                     message="month quota above 80 %", source="quota"),
    ]  # fmt: skip


def engine_sample(number: int = 0) -> EngineSample:
    return EngineSample(
        cpu_percent=20.0 + number * 7 % 60, memory_bytes=(180 + number) << 20, host_cpu_percent=35.0 + number * 5 % 40,
        host_memory_percent=61.0, loop_lag_ms=2.0 + number % 5, open_files=31, uptime_seconds=4_210.0 + number,
        requests_per_second=3.5 + number % 3, rows_per_second=5_200.0 + 900 * (number * 3 % 7), in_flight=4, clients=1,
    )  # fmt: skip


def quota() -> QuotaSample:
    windows = (("second", 20, 17, 1), ("minute", 300, 214, 31), ("hour", 3_000, 1_640, 2_400),
               ("day", 7_500, 1_210, 43_200), ("month", 11_000, 430, 7 * DAY))  # fmt: skip
    month = MonthUsage(9_204, 12_300, 12_000, budget_at=NOON + 6 * DAY, limit_at=NOON + 2 * DAY)
    shown = tuple(QuotaWindow(name, limit, left, NOON + s) for name, limit, left, s in windows)
    return QuotaSample(windows=shown, account="5e1f0c77 at vendor", month=month)


LISTS = {
    "spot_instruments": {"hits": 310, "misses": 22, "joined": 4, "stale_hits": 2},
    "futures_instruments": {"hits": 120, "misses": 41, "refused": 1},
    "assets": {"hits": 3, "misses": 1},
}


def caches(number: int = 1) -> list[CacheSample]:
    return [
        CacheSample(
            tier="memory",
            hits=610 * number,
            misses=390 * number,
            entries=812,
            bytes=34 << 20,
            evictions=17,
            latency_p50=0.00002,
            latency_p99=0.0004,
            kinds=LISTS,
        ),
        CacheSample(
            tier="disk",
            hits=300 * number,
            misses=90 * number,
            entries=20_412,
            bytes=4_300 << 20,
            evictions=0,
            errors=3,
            is_away=True,
            latency_p50=0.0011,
            latency_p99=0.021,
        ),
    ]


STATES = ("running", "running", "waiting", "failed", "running", "held", "queued", "complete", "planning",
          "complete_with_gaps", "waiting_quota", "cancelled", "queued", "cancelling",
          "running", "complete")  # fmt: skip


def make_busy(engine: FakeEngine) -> FakeEngine:
    """An engine in the middle of its work. What it said before a client came is in its snapshot only."""
    work_a_while(engine)
    return engine


def work_a_while(engine: FakeEngine) -> None:
    for second in range(40):
        engine.publish(engine_sample(second), *caches(second + 1))
        engine.publish(job(1, rows_per_second=400.0 + 60 * (second * 5 % 11)))
        engine.time.advance(1.0)
    for number, state in enumerate(STATES, 1):
        words = {
            "waiting": "the minute quota resets in 29 s",
            "waiting_quota": "the month quota resets on 1 Dec",
        }
        errors = {"failed": "2 series failed: HTTP 401, the key lacks the role index"}
        engine.publish(job(number, state, waiting=words.get(state, ""), error=errors.get(state, "")))
    series = series_of("j-0001")
    engine.publish(*series, *alerts(), quota())
    for at in range(30):
        engine.publish(
            LogLine(level="info", text=f"window {at} of series {at % 7} committed, 2000 rows", source="ingest")
        )
    engine.publish(
        RetryScheduled(job="j-0001", series=series[4].series, start=int(NOON), attempt=2, wait=20.0, error="HTTP 503"),
        WindowFailed(job="j-0001", series=series[4].series, start=int(NOON) - DAY, end=int(NOON), attempts=5,
                     error="HTTP 500: internal error"),
        GapFound(job="j-0003", series=series[3].series, start=int(NOON) - 3 * DAY, end=int(NOON) - 2 * DAY,
                 cause="absent from the vendor's answer"),
        LogLine(level="warning", text="clock skew of 1.2 s to the server", source="engine"),
    )  # fmt: skip
    engine.publish(*schedules())
