"""The month's budget: plans beyond it are refused, calls beyond it are not sent, and who watches is told in time."""

import pytest
from engine_kit import NOW, Kit, ask

from core.alerting.book import Alerts
from core.batch import Batch
from core.bus import Bus
from core.engine.alerts import judge_month
from core.engine.batch import quote_batch
from core.engine.engine import Engine
from core.errors import BudgetRefused, QuotaExhausted, Transient
from core.events import AlertChanged, MonthUsage
from core.usage import Purpose, Usage, month_of

WEEK = {"start": "2025-06-01", "end": "2025-06-08"}


def budgeted(kit: Kit, budget: int, taken: int = 0) -> Usage:
    usage = kit.tools.permits.usage
    usage.budget = budget
    usage.learn({month_of(NOW).start: taken})
    return usage


async def test_a_plan_beyond_the_months_budget_is_refused(kit: Kit) -> None:
    budgeted(kit, 100, taken=95)
    job = await kit.run(ask(**WEEK, max_requests=1_000))
    assert (job.state, job.exit_code, kit.source.calls) == ("failed", 2, 0)
    assert isinstance(job.failure, BudgetRefused)
    assert job.errors == [
        "the plan needs 6 calls, quota.month_budget leaves 5 of 100: this month has taken 95. Ask for less, wait for "
        "2025-07-01T00:00:00Z, or change the setting; --max_requests does not"
    ]


async def test_a_plan_within_it_runs(kit: Kit) -> None:
    usage = budgeted(kit, 100, taken=94)
    assert (await kit.run(ask(**WEEK))).state == "complete"
    assert usage.left(NOW) == 0


async def test_calls_beyond_it_are_not_sent(kit: Kit) -> None:
    budgeted(kit, 10)
    kit.source.script = lambda call: Transient("lost") if call.nth == 1 else None
    job = await kit.run(ask(**WEEK))
    assert isinstance(job.failure, QuotaExhausted)
    assert (job.state, job.exit_code, kit.source.calls) == ("waiting_quota", 75, 10)
    assert "quota.month_budget is used up: 10 calls this month" in job.errors[0]


@pytest.mark.slow
async def test_jobs_side_by_side_share_it(kit: Kit) -> None:
    usage = budgeted(kit, 10)
    kit.source.latency = lambda: 5.0
    async with Engine("e", kit.tools) as engine:
        jobs = [
            engine.submit(ask(**WEEK, data_type=name, parallel_workers=1)) for name in ("spot_ohlcv", "futures_ohlcv")
        ]
        for job in jobs:
            await engine.wait(job)
    assert kit.source.calls == usage.in_month(NOW) == 10
    assert {job.state for job in jobs} <= {"complete", "waiting_quota"}


async def test_a_quote_says_that_a_run_would_be_refused(kit: Kit) -> None:
    budgeted(kit, 100, taken=94)
    quote = await quote_batch(Batch(operations=(ask(**WEEK),)), kit.tools)
    assert quote.month_left == 6


async def test_the_alert_is_recorded_and_goes_with_the_month(kit: Kit) -> None:
    usage = budgeted(kit, 100, taken=99)
    async with Engine("e", kit.tools) as engine:
        usage.spend(Purpose(), NOW)
        await engine.flush()
        assert await kit.query("SELECT level, state FROM alert") == [("CRITICAL", "firing")]
        kit.clock.set_wall(month_of(NOW).end + 1)
        await engine.flush()
        assert await kit.query("SELECT level, state FROM alert") == [("CRITICAL", "resolved")]


@pytest.mark.parametrize(
    ("month", "level"),
    [
        (MonthUsage(79, 90, 100), ""),
        (MonthUsage(80, 90, 100), "WARNING"),
        (MonthUsage(5, 100, 100, budget_at=NOW), "WARNING"),
        (MonthUsage(100, 100, 100, budget_at=NOW), "CRITICAL"),
        (MonthUsage(10**6, 10**6), ""),
    ],
)
def test_how_bad_it_is(month: MonthUsage, level: str) -> None:
    alerts = Alerts(Bus(lambda: NOW))
    judge_month(alerts, "me", month, NOW)
    assert alerts.level("month_budget", "me") == level


def test_each_level_is_said_once_and_what_is_over_is_over() -> None:
    bus, heard = Bus(lambda: NOW), list[AlertChanged]()
    bus.listen(lambda event: heard.append(event) if isinstance(event, AlertChanged) else None)
    alerts = Alerts(bus)
    for calls in (10, 85, 90, 100, 101, 10, 11):
        judge_month(alerts, "me", MonthUsage(calls, calls, 100), NOW)
    assert [(alert.level, alert.state) for alert in heard] == [
        ("WARNING", "firing"),
        ("CRITICAL", "firing"),
        ("CRITICAL", "resolved"),
    ]
    assert "85 of 100 calls of quota.month_budget are used" in heard[0].message
