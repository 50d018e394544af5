"""Every default threshold fires and clears at its level, on virtual time; in a clean day none does."""

from collections.abc import Awaitable, Callable

import pytest
from engine_kit import Kit, ask
from plant_kit import Plant

from core.alerting.rule_files import default_rules
from core.alerting.rules import Level, Rule
from core.errors import Transient
from core.events import AlertChanged
from core.telemetry import API, DATABASE

pytestmark = pytest.mark.simulated
DAY = 86_400.0


async def _api(plant: Plant, value: float) -> None:
    plant.failing[API] = value


async def _database(plant: Plant, value: float) -> None:
    plant.failing[DATABASE] = value


async def _memory(plant: Plant, value: float) -> None:
    plant.memory = value


async def _unusual(plant: Plant, value: float) -> None:
    plant.unusual = value


async def _quota(plant: Plant, value: float) -> None:
    plant.spend(value)


async def _fresh(plant: Plant, value: float) -> None:
    await plant.late_by(value * DAY)


async def _latency(plant: Plant, value: float) -> None:
    await plant.late_by(value * 60)


async def _quarantine(plant: Plant, value: float) -> None:
    await plant.ran(10_000, round(100 * value))


async def _restatement(plant: Plant, value: float) -> None:
    await plant.ran(200, 0)
    await plant.restated(round(2 * value))


async def _delivery(plant: Plant, value: float) -> None:
    await plant.undelivered(int(value))


FAULTS: dict[str, Callable[[Plant, float], Awaitable[None]]] = {
    "anomaly": _unusual,
    "api_error_rate": _api,
    "database_error_rate": _database,
    "data_freshness": _fresh,
    "delivery_failures": _delivery,
    "ingestion_latency": _latency,
    "memory": _memory,
    "quarantine_rate": _quarantine,
    "quota_forecast": _quota,
    "restatement_rate": _restatement,
}
RULES = default_rules().rules
# The smallest step by which each fault is set.
STEPS = {
    "api_error_rate": 0.5,
    "database_error_rate": 0.5,
    "delivery_failures": 1.0,
    "ingestion_latency": 1.0,
    "restatement_rate": 0.5,
}
# A bar that is late by days is late by minutes too.
BESIDE = {"data_freshness": {"ingestion_latency"}}
# Rates are over five minutes; whatever else is wrong is seen at the next evaluation.
SETTLED = {"api_error_rate": 330.0, "database_error_rate": 330.0}


def cases() -> list[tuple[str, Level]]:
    return [(name, level) for name in sorted(FAULTS) for level in RULES[name].levels]


def below(rule: Rule, value: float) -> float:
    return max(0.0, value - STEPS.get(rule.name, 0.1))


async def settle(plant: Plant, rule: Rule, value: float, seconds: float) -> None:
    """The fault is there for so long; what grows with time is set anew, so that it stays."""
    for _ in range(round(seconds / 15)):
        await FAULTS[rule.name](plant, value)
        await plant.pass_(15)


@pytest.mark.parametrize(("name", "level"), cases(), ids=lambda each: getattr(each, "name", each))
async def test_a_threshold_fires_and_clears_at_its_level(kit: Kit, name: str, level: Level) -> None:
    rule, milder = RULES[name], [other for other in RULES[name].levels if other.threshold < level.threshold]
    settled, plant = SETTLED.get(name, 30.0), Plant(kit)
    wait, keep = rule.for_seconds + settled, rule.keep_seconds + settled
    await settle(plant, rule, below(rule, level.threshold), wait)
    assert plant.open.get(name, "") == (milder[-1].name if milder else ""), "just below"
    await settle(plant, rule, level.threshold, wait)
    assert plant.open[name] == level.name
    assert plant.fired <= {name} | BESIDE.get(name, set())
    if below(rule, level.threshold) >= level.clear:
        await settle(plant, rule, level.clear, keep)
        assert plant.open[name] == level.name, "not over yet"
    await settle(plant, rule, below(rule, level.clear), keep)
    assert plant.open.get(name, "") == (milder[-1].name if milder else "")
    await settle(plant, rule, 0.0, keep)
    assert plant.open == {}
    [*_, last] = [alert for alert in kit.said(AlertChanged) if alert.rule == name]
    assert last.state == "resolved"


async def test_runs_that_fail_one_after_the_other(kit: Kit) -> None:
    levels = {3: "WARNING", 5: "ERROR", 10: "CRITICAL"}
    kit.source.script = lambda _call: Transient("down")
    async with Plant(kit).running() as plant:
        for number in range(1, 11):
            await plant.engine.wait(plant.engine.submit(ask()))
            await kit.clock.sleep(30)
            reached = [level for count, level in levels.items() if number >= count]
            assert plant.open.get("consecutive_failures", "") == (reached[-1] if reached else "")
        kit.source.script = lambda _call: None
        await plant.engine.wait(plant.engine.submit(ask()))
        await kit.clock.sleep(30)
        assert "consecutive_failures" not in plant.open


@pytest.mark.parametrize("name", ["api_error_rate", "database_error_rate"])
async def test_rates_of_too_few_samples_say_nothing(kit: Kit, name: str) -> None:
    operation, plant = API if name == "api_error_rate" else DATABASE, Plant(kit)

    async def fail(seconds: float) -> None:
        """Twenty operations, one every so many seconds, and nothing else."""
        for _ in range(20):
            kit.tools.telemetry.done(operation, "some", "5xx", 0.1)
            await kit.clock.sleep(seconds)
            await plant.evaluator.evaluate(plant.engine)

    await fail(16)
    assert plant.fired == set(), "19 within five minutes"
    await fail(10)
    assert plant.open == {name: "CRITICAL"}
    for _ in range(30):
        await kit.clock.sleep(15)
        await plant.evaluator.evaluate(plant.engine)
    assert plant.open == {}


async def test_a_memory_that_cannot_be_read_is_no_good_news(kit: Kit) -> None:
    plant = Plant(kit)
    plant.memory = float("nan")
    await plant.pass_(240)
    assert plant.open == {}
    await plant.pass_(120)
    assert plant.open == {"memory": "WARNING"}
    assert kit.tools.alerts.open_alerts()[0].state == "no_data"


def test_every_rule_with_figures_is_tried() -> None:
    figures = {name for name, rule in RULES.items() if not rule.is_condition}
    assert figures == {*FAULTS, "consecutive_failures"}


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_in_a_clean_day_nothing_fires(kit: Kit) -> None:
    """Minutes, hours and days are polled each at its cadence, while memory and the quota are as they should be."""
    plant = Plant(kit)
    plant.spend(60.0)
    plant.followed = {("spot_ohlcv", "1m"): 60.0, ("spot_ohlcv", "1h"): 600.0, ("spot_ohlcv", "1d"): 3_600.0}
    starts = {"1m": "2025-06-15T17:00", "1h": "2025-06-14", "1d": "2025-05-01"}
    for minute in range(24 * 60):
        due = [interval for (_, interval), cadence in plant.followed.items() if minute * 60 % cadence == 0]
        jobs = [plant.engine.submit(ask(interval=each, start=starts[each], end="2030-01-01")) for each in due]
        for job in jobs:
            await plant.engine.wait(job)
            assert job.state == "complete", job.errors
        await plant.pass_(60)
    assert kit.said(AlertChanged) == []
    assert plant.asked == 24 * 60 * 4
    assert await kit.query("SELECT count(*) FROM run") == [(24 * 60 + 24 * 6 + 24,)]
