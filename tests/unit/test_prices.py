"""What schedules cost: calls by hour, day and month, and what cannot keep up with which limit."""

from pathlib import Path

import pytest

from core.engine.prices import Price, Run, price
from core.limits import Limit
from core.schedule import Schedule
from core.schedule_files import make_schedules
from core.windows import parse_time

NOW = parse_time("2025-06-15T18:00:30")
DAY, MONTH = 86_400, 2_678_400
LIMITS = [Limit(1, 50, 50, 0), Limit(60, 500, 500, 0), Limit(3_600, 20_000, 0, 0), Limit(MONTH, 1_000_000, 0, 0)]


def schedule(name: str, cron: str, **more: object) -> Schedule:
    work = {"data_type": "asset_metadata"}
    [made] = make_schedules({"schedules": {name: {"cron": cron, "operation": work, **more}}}, Path("s.toml"))
    return made


def of(cron: str, calls: int, *lists: float) -> Price:
    [found] = price([(schedule("one", cron), Run(calls, calls, lists))], [], None, NOW).schedules
    return found


@pytest.mark.parametrize(
    ("cron", "calls", "hour", "day", "month"),
    [
        ("* * * * *", 10, 600, 14_400, 446_400),
        ("5 * * * *", 30, 30, 720, 22_320),
        ("0 0 * * *", 100, 100, 100, 3_100),
        ("*/20 9-10 * * mon", 2, 6, 12, 60),
        ("0 0 1 1 *", 5, 0, 0, 0),
    ],
)
def test_calls_are_those_of_the_busiest_hour_and_day_and_of_a_month(
    cron: str, calls: int, hour: int, day: int, month: int
) -> None:
    found = of(cron, calls)
    assert (found.hour, found.day, found.month) == (hour, day, month)


def test_a_list_costs_its_call_when_it_is_due_again() -> None:
    assert of("* * * * *", 0, 3_600.0, 3_600.0).month == 2 * 24 * 31
    assert of("0 0 * * *", 0, 3_600.0).month == 31  # no more often than there are runs


def test_a_schedule_that_is_off_costs_nothing() -> None:
    off = schedule("off", "* * * * *", enabled=False)
    found = price([(off, Run(750, 750))], LIMITS, None, NOW)
    assert (found.total.month, found.faults) == (0, [])


def test_what_keeps_up_is_let_be() -> None:
    minutes, daily = schedule("minutes", "* * * * *"), schedule("daily", "0 0 * * *")
    found = price([(minutes, Run(20, 20)), (daily, Run(400, 400))], LIMITS, 1_000_000, NOW)
    assert found.faults == []
    assert found.total.day == 20 * 1_440 + 400


def test_750_series_every_minute_are_too_many_and_named() -> None:
    minutes, daily = schedule("minutes", "* * * * *"), schedule("daily", "0 0 * * *")
    found = price([(minutes, Run(750, 750)), (daily, Run(100, 100))], LIMITS, None, NOW)
    assert {fault.split(":")[0] for fault in found.faults} == {"minutes"}
    assert found.faults[0] == (
        "minutes: 750 calls a run do not go into the 60 s until the next one: the minute limit allows 500"
    )
    assert "minutes: 45,000 calls an hour are more than the hour limit allows: 20,000" in found.faults
    assert any("a month are more than the month limit allows: 1,000,000" in fault for fault in found.faults)


def test_what_is_too_much_only_together_is_said_of_all() -> None:
    pair = [(schedule(name, "* * * * *"), Run(200, 200)) for name in ("one", "two")]
    found = price(pair, LIMITS[2:3], None, NOW)
    assert found.faults == ["all: 24,000 calls an hour are more than the hour limit allows: 20,000"]


def test_schedules_at_different_hours_are_not_added_up_for_an_hour() -> None:
    pair = [(schedule(name, cron), Run(15_000, 15_000)) for name, cron in (("one", "0 3 * * *"), ("two", "0 9 * * *"))]
    assert price(pair, LIMITS[2:3], None, NOW).total.hour == 15_000
    assert price(pair, LIMITS[2:3], None, NOW).faults == []


def test_the_budget_of_a_month_counts_too() -> None:
    found = price([(schedule("hourly", "0 * * * *"), Run(30, 30))], [], 8_000, NOW)
    assert found.faults == ["hourly: 22,320 calls a month are more than quota.month_budget allows: 8,000"]
