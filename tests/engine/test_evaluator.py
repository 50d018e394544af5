"""The evaluator beside the jobs: every 15 s and no more, with or without a store, and what people order it to leave."""

import asyncio
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from engine_kit import Kit, ask
from plant_kit import HOST, Plant

from core.alerting import Reading
from core.alerting.book import SLICE
from core.alerting.rule_files import default_rules
from core.alerting.rules import Rules
from core.engine.commands import Commands
from core.errors import ConfigError, StoreError, Unauthorized
from core.events import AlertChanged, LogLine
from core.monitoring.readings import STORED
from tests.fakes import SimulatedLoop

pytestmark = pytest.mark.simulated
ANOMALY = default_rules().rules["anomaly"]


async def test_rules_are_evaluated_every_fifteen_seconds(kit: Kit) -> None:
    async with Plant(kit).running() as plant:
        await kit.clock.sleep(600)
    assert plant.asked in {39, 40}
    assert kit.said(AlertChanged) == []


async def test_what_comes_late_is_told_and_not_made_up_for(kit: Kit) -> None:
    async with Plant(kit).running() as plant:
        await kit.clock.sleep(16)
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SimulatedLoop)
        loop._jumping.skipped += 300  # the machine slept
        await kit.clock.sleep(1)
        before = plant.asked
        await kit.clock.sleep(5)
        assert plant.asked == before, "no burst"
    [line] = [line for line in kit.said(LogLine) if line.source == "alerts"]
    assert "the rules of alerts are evaluated 28" in line.text


@pytest.mark.slow
async def test_ten_thousand_alerts_at_once_leave_the_loop_to_others(kit: Kit) -> None:
    plant, turns, said = Plant(kit), 0, Counter[int]()

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    many = [Reading("anomaly", f"spot_ohlcv/m{number}", 90.0, kit.clock.wall()) for number in range(2_000)]
    kit.tools.alerts.rules = Rules({f"r{each}": replace(ANOMALY, name=f"r{each}") for each in range(5)})
    plant.evaluator._sources = replace(plant.evaluator._sources, own=lambda _now: many)
    kit.bus.listen(lambda event: said.update([turns] if isinstance(event, AlertChanged) else ()))
    beside = asyncio.create_task(other())
    await plant.evaluator.evaluate(plant.engine)
    beside.cancel()
    assert len(kit.tools.alerts.open_alerts()) == 10_000
    assert said.total() == 10_000
    assert max(said.values()) <= SLICE


def refusing(error: Exception) -> Any:
    async def vitals(*_: object) -> Any:
        raise error

    return vitals


async def test_a_store_that_cannot_be_asked_is_told_after_three_times_and_resolves_nothing(kit: Kit) -> None:
    plant = Plant(kit)
    await plant.late_by(10 * 86_400)
    await plant.pass_(60)
    assert plant.open["data_freshness"] == "CRITICAL"
    answering = kit.store.vitals
    kit.store.vitals = refusing(StoreError("no such table"))  # type: ignore[method-assign]
    await plant.pass_(30)
    assert set(plant.open) == {"data_freshness", "ingestion_latency"}
    await plant.pass_(15)
    failing = {alert.rule: alert.state for alert in kit.tools.alerts.open_alerts() if alert.source == "*"}
    assert failing == dict.fromkeys(STORED, "error")
    assert kit.tools.alerts.level("data_freshness", "spot_ohlcv/kraken/1d") == "CRITICAL"
    kit.store.vitals = answering  # type: ignore[method-assign]
    await plant.late_by(0.0)
    await plant.pass_(120)
    assert plant.open == {}


async def test_while_the_store_is_known_to_be_away_one_alert_says_so(kit: Kit) -> None:
    plant = Plant(kit)
    kit.store.vitals = refusing(StoreError("away"))  # type: ignore[method-assign]
    kit.tools.alerts.fire("store_unavailable", "CRITICAL", "sqlite", "away", kit.clock.wall())
    plant.memory = 99.0
    await plant.pass_(300)
    assert plant.open == {"store_unavailable": "CRITICAL", "memory": "CRITICAL"}


async def test_a_store_that_never_answers_holds_nobody_up(kit: Kit) -> None:
    async def silent(*_: object) -> Any:
        await asyncio.Event().wait()

    plant = Plant(kit)
    kit.store.vitals = silent  # type: ignore[method-assign]
    plant.memory = 99.0
    async with plant.running():
        await kit.clock.sleep(150)
        assert plant.open["memory"] == "CRITICAL"
        assert plant.open["data_freshness"] == "WARNING"
    [reason] = {alert.message for alert in kit.said(AlertChanged) if alert.rule == "quota_forecast" and alert.is_open}
    assert reason == "quota_forecast cannot be evaluated: the store does not answer within 10 s"


async def test_what_fires_is_in_the_journal_within_a_second(kit: Kit) -> None:
    plant = Plant(kit)
    plant.memory = 99.0
    async with plant.running():
        await kit.clock.sleep(80)
        rows = await kit.query("SELECT alert, level, state FROM alert")
        changes = await kit.query("SELECT state, sequence FROM alert_change ORDER BY id")
    assert rows == [(f"memory:{HOST}", "CRITICAL", "firing")]
    assert changes == [("pending", 1), ("firing", 1)]


async def test_people_acknowledge_and_silence_over_the_socket(kit: Kit) -> None:
    plant = Plant(kit)
    plant.memory = 99.0
    await plant.pass_(90)
    await plant.engine.flush()
    acked = await Commands(plant.engine).handle("ack", {"alert": f"memory:{HOST}", "by": "ann", "seconds": 600})
    assert isinstance(acked, dict)
    assert acked["alert"] == f"memory:{HOST}"
    [alert] = kit.tools.alerts.open_alerts()
    assert (alert.acked_by, alert.acked_until) == ("ann", kit.clock.wall() + 600)
    made = await Commands(plant.engine).handle(
        "silence", {"rule": "mem*", "seconds": 3_600, "author": "ann", "comment": "new machine comes"}
    )
    assert isinstance(made, dict)
    [alert] = kit.tools.alerts.open_alerts()
    assert alert.silenced_until == made["until"]
    await Commands(plant.engine).handle("unsilence", {"silence": made["silence"]})
    [alert] = kit.tools.alerts.open_alerts()
    assert (alert.silenced_until, alert.acked_by) == (None, "ann")


@pytest.mark.parametrize(
    ("command", "args", "said"),
    [
        ("ack", {"alert": "x:y", "by": "ann"}, "no open alert is called 'x:y'"),
        ("ack", {"alert": "x:y"}, "missing required field `by`"),
        ("ack", {"alert": "x:y", "by": ""}, "--by: say who"),
        ("ack", {"alert": "x:y", "by": "a", "seconds": 1e9}, "--for: an acknowledgement ends"),
        ("silence", {"seconds": 0, "author": "a", "comment": "c"}, "--for: a silence ends"),
        ("silence", {"seconds": 60, "author": "a", "comment": "c", "rul": "x"}, "unknown field `rul`"),
        ("unsilence", {"silence": "nope"}, "no silence in force has the id 'nope'"),
    ],
)
async def test_orders_that_cannot_be_followed_say_why(kit: Kit, command: str, args: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        await Commands(Plant(kit).engine).handle(command, args)


async def test_a_key_that_is_refused_is_one_message_with_its_cause(kit: Kit) -> None:
    kit.source.script = lambda _call: Unauthorized("HTTP 401: this key is not valid")
    async with Plant(kit).running() as plant:
        await plant.engine.wait(plant.engine.submit(ask()))
        assert plant.open == {"key_refused": "CRITICAL", "run_failed": "ERROR"}
        await kit.clock.sleep(20)
        [failed] = [alert for alert in kit.tools.alerts.open_alerts() if alert.rule == "run_failed"]
        assert failed.inhibited_by == "key_refused:coindesk"
        kit.source.script = lambda _call: None
        await plant.engine.wait(plant.engine.submit(ask()))
        assert plant.open == {}


async def test_alerts_survive_a_restart_of_the_engine(kit: Kit) -> None:
    from core.alerting.book import Alerts
    from core.alerting.rule_files import default_rules

    plant = Plant(kit)
    plant.memory = 99.0
    await plant.pass_(90)
    await plant.engine.flush()
    [before] = kit.tools.alerts.open_alerts()
    again = Plant(kit)
    object.__setattr__(kit.tools, "alerts", Alerts(kit.bus, await kit.store.kept_alerts(0.0), default_rules()))
    again.memory = 99.0
    await again.pass_(30)
    [after] = kit.tools.alerts.open_alerts()
    assert (after.incident, after.since, after.sequence) == (before.incident, before.since, before.sequence)
    again.memory = 10.0
    await again.pass_(90)
    assert again.open == {}


async def test_what_fires_goes_on_firing_while_it_is_looked_at(kit: Kit) -> None:
    """Figures of markets are not those of hosts that have gone."""
    plant = Plant(kit)
    plant.memory, plant.unusual = 99.0, 100.0
    await plant.pass_(600)
    states = [(alert.rule, alert.state) for alert in kit.said(AlertChanged)]
    assert sorted(states) == [("anomaly", "firing"), ("memory", "firing"), ("memory", "pending")]


async def test_what_was_told_of_another_host_is_over(kit: Kit) -> None:
    """As of a container that has another name each time it is started."""
    plant = Plant(kit)
    for at in (0.0, 60.0):
        now = kit.clock.wall() + at
        kit.tools.alerts.observe([Reading("memory", "old", 99.0, now)], now)
    assert plant.open == {"memory": "CRITICAL"}
    await plant.pass_(150)
    assert plant.open == {}
