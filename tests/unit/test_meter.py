"""Latencies in classes: right within 2 %, in a memory that does not grow."""

import random

import pytest

from core.meter import Meter


@pytest.mark.parametrize("seed", range(5))
def test_quantiles_are_right_within_two_percent(seed: int) -> None:
    chance = random.Random(seed)
    times = [chance.lognormvariate(-3, 1.5) for _ in range(2_001)]
    meter = Meter()
    for seconds in times:
        meter.add(seconds, 100)
    times.sort()
    assert meter.latency(0.5) == pytest.approx(times[1_000], rel=0.021), f"seed {seed}"
    assert meter.latency(0.95) == pytest.approx(times[1_900], rel=0.021), f"seed {seed}"
    assert (meter.calls, meter.bytes) == (2_001, 200_100)


def test_odd_latencies() -> None:
    meter = Meter()
    assert meter.latency(0.95) == 0.0
    meter.add(0.0, 0)
    assert meter.latency(0.5) < 1e-5
    for _ in range(99):
        meter.add(3_600.0, 0)
    assert meter.latency(0.5) == pytest.approx(3_600, rel=0.02)


def test_what_the_process_took_is_noted() -> None:
    meter = Meter()
    meter.start()
    assert sum(number * number for number in range(300_000)) > 0
    meter.stop()
    assert meter.cpu_seconds > 0
    assert meter.peak_memory_bytes > 10_000_000
