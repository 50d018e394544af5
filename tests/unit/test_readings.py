"""Readings: zero in health, and as much as is wrong otherwise."""

from pathlib import Path
from typing import Any

import pytest

from core.alerting import Reading
from core.datasets import SETTLE_SECONDS
from core.events import MonthUsage, QuotaSample, QuotaWindow
from core.monitoring.rates import Rates
from core.monitoring.readings import POLL_SECONDS, STORED, memory_percent, overdue, own_readings, stored_readings
from core.stores.vitals import HOUR, Newest, Ran, Vitals
from core.telemetry import API, DATABASE, OK, Done
from core.windows import GRAINS
from tests.fakes import ManualClock

NOW = 1_750_010_400.0
NO_QUOTA = QuotaSample(windows=(), account="me")
PLACE = ("spot_ohlcv", "1h")


NOTHING = Vitals()


def read(vitals: Vitals = NOTHING, quota: QuotaSample = NO_QUOTA, **followed: float) -> dict[tuple[str, str], Reading]:
    places = {tuple(name.rsplit("_", 1)): cadence for name, cadence in followed.items()}
    found = stored_readings(vitals, places, quota, NOW, NOW)  # type: ignore[arg-type]
    assert {reading.name for reading in found} <= set(STORED)
    return {(reading.name, reading.source): reading for reading in found}


@pytest.mark.parametrize("interval", ["1m", "1h", "1d"])
@pytest.mark.parametrize("cadence", [0.0, 60.0, 86_400.0])
def test_what_is_polled_in_time_is_never_overdue(interval: str, cadence: float) -> None:
    """Through a whole day, with a poll every so often that takes its time."""
    grain, start = GRAINS[interval], int(NOW) // 86_400 * 86_400
    last_poll = float(start)
    for second in range(start, start + 2 * 86_400, 37):
        if second - last_poll >= max(cadence, 60):
            last_poll = float(second)
        known = int(last_poll - POLL_SECONDS)
        last_bar = grain.floor(known - SETTLE_SECONDS[grain]) - grain.seconds
        assert overdue(Newest("spot_ohlcv", "kraken", interval, last_bar), max(cadence, 60), second) == 0


def test_what_is_late_is_told_in_intervals_and_minutes() -> None:
    grain = GRAINS["1h"]
    due = NOW - 2.5 * grain.seconds
    last_bar = int(due - 2 * grain.seconds - SETTLE_SECONDS[grain] - POLL_SECONDS - 600)
    found = read(Vitals(newest=(Newest("spot_ohlcv", "kraken", "1h", last_bar),)), spot_ohlcv_1h=600.0)
    fresh, late = found["data_freshness", "spot_ohlcv/kraken/1h"], found["ingestion_latency", "spot_ohlcv/kraken/1h"]
    assert (fresh.value, late.value) == (2.5, 150.0)
    assert fresh.about.startswith("; it began 2025-06-15T")


def test_a_market_without_a_bar_is_nothing_to_go_by() -> None:
    found = read(Vitals(newest=(Newest("spot_ohlcv", "kraken", "1h", None),)), spot_ohlcv_1h=600.0)
    assert found["data_freshness", "spot_ohlcv/kraken/1h"].value is None


def ran(state: str = "complete", age: float = 60.0, **counts: int) -> Ran:
    finished = None if state == "running" else NOW - age
    return Ran(*PLACE, state, finished, counts.get("rows", 0), counts.get("quarantined", 0))


@pytest.mark.parametrize(
    ("states", "failures"),
    [
        ("complete", 0),
        ("failed", 1),
        ("failed failed complete failed", 2),
        ("running failed cancelled failed waiting_quota failed", 3),
        ("complete_with_gaps failed", 0),
        ("cancelled", 0),
    ],
)
def test_failures_are_counted_since_the_last_run_that_did_not_fail(states: str, failures: int) -> None:
    found = read(Vitals(runs=tuple(map(ran, states.split()))))
    assert found["consecutive_failures", "spot_ohlcv/1h"].value == failures


def test_rates_of_rows_are_those_of_the_last_hour() -> None:
    runs = (ran("running", rows=60, quarantined=3), ran(rows=40, quarantined=1), ran(age=HOUR + 1, rows=10**6))
    found = read(Vitals(runs=runs, restated=((*PLACE, 25),)))
    bad, changed = found["quarantine_rate", "spot_ohlcv/1h"], found["restatement_rate", "spot_ohlcv/1h"]
    assert (bad.value, bad.samples, bad.about) == (4.0, 100, "4 of 100")
    assert (changed.value, changed.samples) == (25.0, 100)


def test_rates_without_rows_are_nothing_to_go_by() -> None:
    found = read(Vitals(runs=(ran(),)))
    assert (found["quarantine_rate", "spot_ohlcv/1h"].value, found["quarantine_rate", "spot_ohlcv/1h"].samples) == (
        None,
        0,
    )


def quota(remaining: int, forecast: int, **fields: Any) -> QuotaSample:
    month = MonthUsage(calls=fields.get("calls", 100), forecast=forecast, limit_at=fields.get("limit_at"))
    window = QuotaWindow("month", 1_000, remaining, NOW + fields.get("left", 86_400.0))
    return QuotaSample(windows=(window,), account="me", month=month)


@pytest.mark.parametrize(
    ("sample", "value"),
    [
        (NO_QUOTA, None),
        (quota(900, 100), 10.0),
        (quota(600, 600), 90.0),  # others took 300 of the account
        (quota(0, 300), 120.0),
        (quota(600, 600, left=-1.0), None),
    ],
)
def test_the_forecast_is_of_the_vendors_month(sample: QuotaSample, value: float | None) -> None:
    assert read(quota=sample)["quota_forecast", "me"].value == value


def test_what_could_not_be_delivered_is_by_channel() -> None:
    assert read(Vitals(undelivered=(("webhook", 12),)))["delivery_failures", "webhook"].value == 12


def test_the_figures_of_an_engine() -> None:
    rates = Rates(ManualClock())
    for outcome in (OK, "5xx"):
        rates(Done(API, "history", outcome, 0.1))
    api, database, memory = own_readings(rates, "host", 81.5, NOW)
    assert (api.value, api.samples, api.about) == (50.0, 2, "1 of 2: 1 5xx")
    assert (database.name, database.value, database.samples) == ("database_error_rate", None, 0)
    assert (memory.value, memory.source) == (81.5, "host")
    assert rates.of(DATABASE).total == 0


@pytest.mark.parametrize(
    ("files", "share"),
    [
        ({"memory.max": "1000", "memory.current": "990", "memory.stat": "anon 5\ninactive_file 0"}, 99.0),
        ({"memory.max": "max", "memory.current": "990", "memory.stat": ""}, 0.0),
        ({"memory.max": "0", "memory.current": "990", "memory.stat": ""}, 0.0),
        ({}, 0.0),
    ],
)
def test_the_limit_of_a_container_counts(files: dict[str, str], share: float, tmp_path: Path) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text, "ascii")
    percent = memory_percent(tmp_path)
    assert percent == share or (percent > share and share < 99)
