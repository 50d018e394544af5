"""An engine's tools over a fake vendor and a real store; jobs to run on them."""

from collections.abc import Mapping
from typing import Any

from core.alerting.book import Alerts
from core.bus import Bus
from core.cache.memory import MemoryCache
from core.cache.read_through import ReadThrough
from core.engine.ingest import Ingest
from core.engine.job import Job
from core.engine.permits import Permits
from core.engine.runner import Runner
from core.engine.tools import RunnerOptions, Tools
from core.events import AnyEvent
from core.heartbeats import Heartbeats
from core.limits import Quota
from core.monitoring.quality import check_page
from core.operations import Operation, make_operation
from core.sources.measured import MeasuredSource
from core.stores.sqlite import SQLiteStore
from core.telemetry import Telemetry
from tests.fakes import FakeSource, VirtualClock

# 2025-06-15 18:00:00 UTC
NOW = 1_750_010_400


class Kit:
    """An engine's tools over a fake vendor and a real store, and everything that was published."""

    def __init__(self, store: SQLiteStore, clock: VirtualClock) -> None:
        self.clock = clock
        self.store = store
        self.quota = Quota()
        self.source = FakeSource(clock, self.observe)
        self.bus = Bus(clock.wall)
        self.events: list[AnyEvent] = []
        self.bus.listen(self.events.append)
        self.tools = self.make_tools()

    def observe(self, headers: Mapping[str, str], *, served: bool = True) -> None:
        self.tools.permits.observe(headers, served=served)

    def empty_cache(self) -> ReadThrough:
        return ReadThrough(MemoryCache(clock=self.clock.monotonic), self.clock, lambda: 0.0)

    def make_tools(self, connections: int = 16, chance: float = 0.5, **options: Any) -> Tools:
        telemetry = Telemetry()
        measured = MeasuredSource(self.source, telemetry, self.clock)
        self.tools = Tools(
            source=measured,
            cache=self.empty_cache(),
            store=self.store,
            permits=Permits(self.quota, connections, self.clock, self.clock.wall),
            ingest=Ingest(measured, self.store, check_page, self.clock),
            bus=self.bus,
            alerts=Alerts(self.bus),
            clock=self.clock,
            chance=lambda: chance,
            options=RunnerOptions(**options),
            telemetry=telemetry,
            heartbeats=Heartbeats(self.clock.monotonic),
        )
        return self.tools

    def runner(self, operation: Operation) -> Runner:
        job = Job(id="j-1", run_id="r-1", operation=operation, created=self.clock.wall())
        return Runner(job, self.tools)

    async def run(self, operation: Operation) -> Job:
        """The job, ended."""
        runner = self.runner(operation)
        await runner.run()
        return runner.job

    async def query(self, sql: str) -> list[tuple[Any, ...]]:
        return await self.store._db.run(lambda db: db.execute(sql).fetchall())

    def said(self, kind: type[AnyEvent]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


def ask(**fields: Any) -> Operation:
    """One hour of minutes of one instrument, named in full so that no listing is needed."""
    given = {
        "data_type": "spot_ohlcv",
        "market": "kraken",
        "instrument": "BTC-USD",
        "interval": "1m",
        "start": "2025-06-15T10:00",
        "end": "2025-06-15T11:00",
    }
    return make_operation({name: value for name, value in {**given, **fields}.items() if value is not None})
