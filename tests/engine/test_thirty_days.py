"""Thirty days of `serve` under random faults, on virtual time: nothing grows, and every run is accounted for."""

import time
from pathlib import Path
from random import Random

import pytest
from engine_kit import NOW
from long_kit import DAY, HOUR, TABLES, Footprint, Life, footprint, living

pytestmark = [pytest.mark.simulated, pytest.mark.slow, pytest.mark.timeout(900)]
EARLY, HALF, LATE = 3, 16, 30
FORTNIGHT = LATE - HALF


async def noon(life: Life, day: int) -> tuple[Footprint, dict[str, int]]:
    """Live on to 13:00 of that day."""
    midnight = NOW // DAY * DAY + day * DAY
    life.weather.plan_day(midnight - DAY)
    await life.at(midnight + 13 * HOUR)
    life.forget_tests_own()
    return footprint(), await life.rows()


async def test_nothing_grows(tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = {}
    async with living(tmp_path, Random(seed), monkeypatch) as life:
        for day in range(1, LATE + 1):
            began = time.monotonic()
            seen[day] = await noon(life, day)
            print(day, f"{time.monotonic() - began:.1f} s", *seen[day], dict(life.weather.met))
        await life.accounted_for()
        faults = life.weather.met.total()
    (early, _), (late, after) = seen[EARLY], seen[LATE]
    assert late.resident <= 1.1 * early.resident
    assert late.blocks <= 1.1 * early.blocks
    assert late.descriptors <= 1.1 * early.descriptors
    assert late.tasks.total() <= early.tasks.total() + 2, "one flush and one question to the store may be under way"
    before, between = seen[HALF - FORTNIGHT][1], seen[HALF][1]
    for table in TABLES:
        # Some days have no fault and some have dozens: a fortnight is long enough to be like another.
        first, second = between[table] - before[table], after[table] - between[table]
        assert second <= 1.1 * first + 200, f"{table}: more rows in the second fortnight than in the first"
    assert after["alert_change"] <= faults, "an alert is for what went wrong"
