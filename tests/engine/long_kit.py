"""All of `serve` but its HTTP over a store file, for weeks of virtual time; vendor and disk have faults."""

import asyncio
import gc
import os
import sqlite3
import sys
import tomllib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import pytest
from delivery_kit import Receiver
from engine_kit import NOW, Kit

from core.alerting.book import Alerts
from core.alerting.routes import Route, Routes
from core.alerting.rule_files import default_rules
from core.config import load
from core.engine import engine as engine_module
from core.engine import figures, history, journal, ledger, scheduler
from core.engine.baselines import Baselines
from core.engine.engine import Engine
from core.engine.history import History
from core.engine.scheduler import Scheduler
from core.errors import Malformed, RateLimited, Transient
from core.history import Recorder
from core.lookout import anomaly_watch, open_evaluator
from core.notify import delivery
from core.notify.delivery import Delivery, Outlets
from core.schedule_files import make_schedules
from core.stores.sqlite import SQLiteStore
from core.stores.tick_sql import read_ticks
from core.stores.ticks import DONE, FAILED, SKIPPED
from tests.fakes import Call, Rows, VirtualClock, VirtualTimeLoop

MINUTE, HOUR, DAY = 60, 3_600, 86_400
NAMES = ["BTC-USD", "ETH-USD", "SOL-USD"]
TABLES = ("run", "run_series", "alert", "alert_change", "outbox", "sample", "usage", "schedule_tick", "baseline")
SCHEDULES = """
[schedules.minutes]
cron = "5 * * * *"
jitter = 30
operation = {data_type = "spot_ohlcv", market = "kraken", instrument = NAMES, interval = "1m", SPAN}

[schedules.hours]
cron = "10 * * * *"
overlap = "queue"
operation = {data_type = "futures_ohlcv", market = "kraken", instrument = NAMES, interval = "1h", SPAN}

[schedules.lists]
cron = "20 */6 * * *"
operation = {data_type = "exchange_metadata"}

[schedules.daily]
cron = "30 2 * * *"
operations = [
    {data_type = "asset_metadata"},
    {data_type = "spot_ohlcv", market = "kraken", instrument = NAMES, interval = "1d", SPAN},
    {data_type = "indices_ohlcv", market = "cadli", instrument = NAMES, interval = "1d", SPAN},
]
"""
# What an engine does all the time it does less often here: a month of quarters of seconds takes too long.
LESS_OFTEN: list[tuple[Any, str, float]] = [
    (engine_module, "TICK_SECONDS", 60.0),
    (engine_module, "SAMPLE_SECONDS", 60.0),
    (figures, "CENSUS_SECONDS", 900.0),
    (history, "MINUTE", 900),
    (history, "LOOK_SECONDS", 300.0),
    (journal, "QUIET_SECONDS", 600.0),
    (ledger, "KEEP_SECONDS", 60.0),
    (scheduler, "LOOK_SECONDS", 300.0),
    (delivery, "LOOK_SECONDS", 60.0),
    (delivery, "REST_SECONDS", 300.0),
]


class Footprint(NamedTuple):
    """What a process holds: resident bytes, blocks that Python has allocated, descriptors and tasks by name."""

    resident: int
    blocks: int
    descriptors: int
    tasks: Counter[str]


def footprint() -> Footprint:
    gc.collect()
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    tasks = Counter(getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks())
    return Footprint(resident, sys.getallocatedblocks(), len(os.listdir("/proc/self/fd")), tasks)


class Weather:
    """What is wrong when, drawn at random; never from 10:00 to 14:00, when everything is at rest."""

    def __init__(self, chance: Random, clock: VirtualClock) -> None:
        self.met: Counter[str] = Counter()
        self._chance = chance
        self._clock = clock
        self._outage = (0.0, 0.0)

    def plan_day(self, midnight: float) -> None:
        """Every third day the vendor is away for hours."""
        begins = midnight + self._chance.uniform(14.5, 18) * HOUR
        away = self._chance.uniform(1, 5) * HOUR if self._chance.random() < 1 / 3 else 0.0
        self._outage = (begins, begins + away)

    def vendor(self, call: Call) -> Exception | Callable[[Rows], Rows] | None:
        start, end = self._outage
        if start <= self._clock.wall() < end:
            return self._meet("outage", Transient("the vendor is away", "timeout"))
        return self._fault(call, self._chance.random())

    def _fault(self, call: Call, drawn: float) -> Exception | Callable[[Rows], Rows] | None:
        if drawn < 0.03:
            return self._meet("timeout", Transient("no answer in time", "timeout"))
        if drawn < 0.06:
            return self._meet("5xx", Transient("status 503", "5xx"))
        if drawn < 0.08:
            return self._meet("429", RateLimited("too many", self._chance.uniform(1, 90)))
        if drawn < 0.10 and call.key is not None:
            return self._meet("malformed", Malformed("no JSON", "json", b"<html>"))
        if drawn < 0.12:
            self.met["short"] += 1
            return lambda rows: rows[: len(rows) // 2]
        return None

    def _meet(self, name: str, error: Exception) -> Exception:
        self.met[name] += 1
        return error

    async def disk(self, path: Path) -> None:
        """Now and then somebody else holds the file for some minutes."""
        while True:
            await self._clock.sleep(self._chance.expovariate(1 / (8 * HOUR)))
            if not 9 * HOUR <= self._clock.wall() % DAY < 14 * HOUR:
                with closing(sqlite3.connect(path, isolation_level=None)) as other:
                    other.execute("BEGIN IMMEDIATE")
                    self.met["locked"] += 1
                    await self._clock.sleep(self._chance.uniform(5, 180))

    async def receiver(self, receiver: Receiver) -> None:
        while True:
            await self._clock.sleep(self._chance.expovariate(1 / (20 * HOUR)))
            receiver.down()
            self.met["receiver"] += 1
            await self._clock.sleep(self._chance.uniform(MINUTE, 5 * HOUR))
            receiver.fault = None


@dataclass
class Life:
    """An engine with its services, on virtual time."""

    kit: Kit
    engine: Engine
    receiver: Receiver
    weather: Weather

    async def at(self, moment: float) -> None:
        await self.kit.clock.sleep(moment - self.kit.clock.wall())

    def forget_tests_own(self) -> None:
        """What the fakes remember is not the engine's."""
        self.kit.events.clear()
        self.kit.source.log.clear()
        self.kit.source._asked.clear()
        self.receiver.received.clear()
        self.receiver.kept.clear()

    async def accounted_for(self) -> None:
        """Each tick that was due is written down with its end, and its runs with theirs."""
        ticks = await self.kit.store._db.run(lambda db: read_ticks(db, 100_000))
        runs = dict(await self.kit.query("SELECT run_id, state FROM run"))
        assert {tick.state for tick in ticks} <= {DONE, FAILED, SKIPPED}
        ended = {"complete", "complete_with_gaps", "failed", "cancelled"}
        assert {runs.get(run) for tick in ticks for run in tick.runs} <= ended
        assert sorted(run for tick in ticks for run in tick.runs) == sorted(runs)
        hourly = sorted(tick.tick for tick in ticks if tick.schedule == "minutes")
        written = len(hourly) + sum(
            int(tick.note.split(" tick")[0].split()[-1])
            for tick in ticks
            if tick.schedule == "minutes" and "missed" in tick.note
        )
        assert written == (hourly[-1] - hourly[0]) // HOUR + 1

    async def rows(self) -> dict[str, int]:
        return {table: (await self.kit.query(f"SELECT count(*) FROM {table}"))[0][0] for table in TABLES}


def seen_by_attempt(store: SQLiteStore) -> SQLiteStore:
    """Virtual time stands still while the thread works, and passes while one waits for another try."""
    once: Callable[..., Awaitable[Any]] = store._db._once  # type: ignore[attr-defined]

    async def seen(work: Any) -> Any:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualTimeLoop)
        with loop.thread_at_work():
            return await once(work)

    store._db._once = seen  # type: ignore[attr-defined]
    return store


@asynccontextmanager
async def living(folder: Path, chance: Random, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Life]:
    for module, name, seconds in LESS_OFTEN:
        monkeypatch.setattr(module, name, seconds)
    clock, path = VirtualClock(NOW), folder / "s.db"
    store = seen_by_attempt(await SQLiteStore.open(f"sqlite:///{path}", clock.wall))
    for pragma in ("busy_timeout = 1", "synchronous = OFF"):
        await store._db.run(lambda db, pragma=pragma: db.execute(f"PRAGMA {pragma}").fetchall())
    kit = Kit(store, clock)
    receiver, weather = Receiver(kit), Weather(chance, clock)
    kit.source.script = weather.vendor
    kit.source.latency = lambda: chance.uniform(0.02, 2.0)
    routes = Routes([Route(receiver.name)])
    kit.tools = replace(
        kit.tools,
        chance=chance.random,
        alerts=Alerts(kit.bus, (), default_rules(), routes.channels),
        watch=anomaly_watch(kit.bus),
    )
    loaded = load({"db": store.url}, {"HOME": str(folder)})
    loaded.settings.alerts.__dict__["every"] = 600.0
    text = SCHEDULES.replace("NAMES", str(NAMES)).replace("SPAN", 'start = "2025-06-15", end = "2026-01-01"')
    planned = Scheduler(make_schedules(tomllib.loads(text), Path("s.toml")), "host")
    recorder, own = Recorder(), figures.EngineFigures()
    kit.tools.telemetry.add(recorder.hear)
    evaluator = open_evaluator(loaded, kit.tools, lambda: planned.followed(clock.wall()), kit.tools.watch)  # type: ignore[arg-type]
    told = Delivery(Outlets([receiver], routes), kit.tools)
    learned = Baselines(kit.tools.watch)  # type: ignore[arg-type]
    services = [own, History(recorder, own), evaluator, told, planned, learned]
    async with Engine("e", kit.tools, services=services) as engine:
        faults = [asyncio.create_task(work) for work in (weather.disk(path), weather.receiver(receiver))]
        yield Life(kit, engine, receiver, weather)
        for task in faults:
            task.cancel()
        await asyncio.gather(*faults, return_exceptions=True)
    await store.close()
