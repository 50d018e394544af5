"""Engines side by side on one PostgreSQL database: one of them looks at what is the store's, all know how it is."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from core.alerting import Reading
from core.alerting.book import Alerts
from core.alerting.rules import Level, Rule, Rules
from core.bus import Bus
from core.engine.evaluator import Evaluator, Sources
from core.heartbeats import Heartbeats
from core.stores.lock import Holder
from core.stores.opening import open_store
from tests.fakes import ManualClock

NOW = 1_750_000_000.0
LEVELS = (Level("WARNING", 5, 5),)
RULES = Rules({name: Rule(name, "{value}", "b", LEVELS, reading=name) for name in ("own", "shared")})


class Side:
    """An engine as the evaluator sees it, with figures that are set by hand."""

    def __init__(self, name: str, store: Any, clock: ManualClock, host: str) -> None:
        self.name = name
        self.host = host
        self.figures = {"own": 0.0, "shared": 0.0}
        self.looked = 0
        bus = Bus(clock)
        alerts = Alerts(bus, (), RULES)
        times = SimpleNamespace(wall=clock, monotonic=clock)
        self.tools = SimpleNamespace(alerts=alerts, bus=bus, clock=times, store=store, heartbeats=Heartbeats(clock))
        self.evaluator = Evaluator(Sources(host, self._own, self._stored, ["shared"]))

    async def evaluate(self) -> None:
        await self.evaluator.evaluate(self)  # type: ignore[arg-type]
        changes = self.tools.alerts.unrecorded()
        await self.tools.store.journal([], [], changes)
        self.tools.alerts.recorded(changes)

    @property
    def open(self) -> list[str]:
        return sorted(alert.alert for alert in self.tools.alerts.open_alerts())

    def _own(self, now: float) -> list[Reading]:
        return [Reading("own", self.host, self.figures["own"], now)]

    def _stored(self, _vitals: object, now: float) -> list[Reading]:
        self.looked += 1
        return [Reading("shared", "s", self.figures["shared"], now)]


@asynccontextmanager
async def engine(url: str, clock: ManualClock, name: str, host: str) -> AsyncIterator[Side]:
    store = await open_store(url, clock, name)
    await store.enter(
        Holder(pid=os.getpid(), kind="serve", socket="", protocol=1, since=4e9, name=name, host=host), "1.0"
    )
    yield Side(name, store, clock, host)
    await store.close()


@pytest.fixture
async def sides(postgres_store_url: str) -> AsyncIterator[tuple[Side, Side, ManualClock]]:
    clock = ManualClock(NOW)
    async with (
        engine(postgres_store_url, clock, "a", "x") as first,
        engine(postgres_store_url, clock, "b", "y") as second,
    ):
        yield first, second, clock


async def test_one_engine_looks_and_the_other_knows(sides: tuple[Side, Side, ManualClock]) -> None:
    first, second, clock = sides
    first.figures |= {"shared": 9.0}
    second.figures |= {"own": 9.0, "shared": 9.0}
    for _ in range(3):
        for side in (first, second):
            clock.pass_(1)
            await side.evaluate()
    assert (first.looked, second.looked) == (3, 0)
    assert first.open == second.open == ["own:y", "shared:s"]
    first.figures["shared"] = 0.0
    for side in (first, second, second):
        clock.pass_(1)
        await side.evaluate()
    assert second.open == ["own:y"]


async def test_an_acknowledgement_of_somebody_else_is_noticed(sides: tuple[Side, Side, ManualClock]) -> None:
    first, second, clock = sides
    first.figures["shared"] = 9.0
    await first.evaluate()
    clock.pass_(1)
    await second.tools.store.acknowledge("shared:s", "ann", NOW + 600)
    clock.pass_(1)
    await first.evaluate()
    assert [alert.acked_by for alert in first.tools.alerts.open_alerts()] == ["ann"]


async def test_who_takes_over_goes_on_with_the_same_incident(sides: tuple[Side, Side, ManualClock]) -> None:
    first, second, clock = sides
    for side in sides[:2]:
        side.figures["shared"] = 9.0
    await first.evaluate()
    await second.evaluate()
    [incident] = {alert.incident for alert in first.tools.alerts.open_alerts()}
    await first.tools.store.take_duty("alerts", "a", 0.0)  # it is gone, and its time is over
    clock.pass_(1)
    second.figures["shared"] = 0.0
    await second.evaluate()
    assert second.looked == 1
    assert second.open == []
    [kept] = [each for each in await second.tools.store.kept_alerts(0.0) if each.alert.rule == "shared"]
    assert (kept.alert.state, kept.alert.incident) == ("resolved", incident)


async def test_of_two_engines_on_a_host_one_tells_of_it(postgres_store_url: str) -> None:
    clock = ManualClock(NOW)
    async with (
        engine(postgres_store_url, clock, "a", "x") as first,
        engine(postgres_store_url, clock, "b", "x") as second,
    ):
        first.figures["own"] = 9.0
        for side in (first, second, first, second):
            clock.pass_(1)
            await side.evaluate()
        assert first.open == second.open == ["own:x"]


async def test_what_was_told_of_a_host_that_has_no_engine_any_more_is_over(postgres_store_url: str) -> None:
    clock = ManualClock(NOW)
    async with engine(postgres_store_url, clock, "a", "x") as first:
        async with engine(postgres_store_url, clock, "b", "y") as second:
            second.figures["own"] = 9.0
            for side in (first, second, second, first):
                clock.pass_(1)
                await side.evaluate()
            assert first.open == ["own:y"]
        clock.pass_(1)
        await first.evaluate()
        assert first.open == []
