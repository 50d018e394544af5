"""Conditions that the engine states by itself: the vendor, its key, the clock, the month's budget."""

from collections.abc import Collection

from core.alerting.book import Alerts
from core.bus import Bus
from core.engine.job import Job
from core.errors import Unauthorized
from core.events import LogLine, MonthUsage
from core.text import counted
from core.usage import MONTH_BUDGET
from core.windows import iso

SKEW_SECONDS = 30.0
STOPPED_SECONDS = 86_400.0
BUDGET_SHARE_TOLD = 0.8
VENDOR_AWAY, KEY_REFUSED, RETIRED = "vendor_unavailable", "key_refused", "instrument_retired"


def judge_vendor(alerts: Alerts, bus: Bus, source: str, fault: str, now: float) -> None:
    """The vendor stopped answering, or is back when there is no `fault`; everybody hears of it once."""
    if fault:
        text = f"the vendor does not answer: {fault}"
        alerts.fire(VENDOR_AWAY, "CRITICAL", source, text, now)
        bus.publish(LogLine(level="error", text=f"{text}; one call at a time looks whether it is back", source=source))
    else:
        alerts.resolve(VENDOR_AWAY, source)
        bus.publish(LogLine(level="info", text="the vendor answers again", source=source))


def judge_key(alerts: Alerts, source: str, job: Job, now: float) -> None:
    """Say when a job ended because the vendor refuses the key; an answer to another one is the end of that."""
    if isinstance(job.failure, Unauthorized):
        alerts.fire(KEY_REFUSED, "CRITICAL", source, f"the vendor refuses the API key: {job.failure}", now)
    elif job.windows_done:
        alerts.resolve(KEY_REFUSED, source)


def judge_clock(alerts: Alerts, source: str, skew: float, now: float) -> None:
    """Say when this machine's clock is `skew` seconds behind the vendor's; what is closed goes by the vendor's.

    Beyond a day it is no clock that runs, but a sandbox's that was stopped.
    """
    if SKEW_SECONDS < abs(skew) < STOPPED_SECONDS:
        side = "behind" if skew > 0 else "ahead of"
        alerts.fire(
            "clock_skew", "WARNING", source, f"this machine's clock is {abs(skew):.0f} s {side} the vendor's", now
        )
    else:
        alerts.resolve("clock_skew", source)


def judge_month(alerts: Alerts, account: str, month: MonthUsage, now: float) -> None:
    """Say when the month's budget is used up, nearly is, or will be as things go; each of that once."""
    level, text = _of_budget(month)
    if level == alerts.level("month_budget", account):
        return
    if level:
        alerts.fire("month_budget", level, account, text, now)
    else:
        alerts.resolve("month_budget", account)


def _of_budget(month: MonthUsage) -> tuple[str, str]:
    if month.budget is None:
        return "", ""
    used = f"{month.calls:,} of {counted(month.budget, 'call')} of {MONTH_BUDGET}"
    if month.calls >= month.budget:
        return "CRITICAL", f"{used} are used up; no more are sent this month"
    if month.budget_at is not None:
        return "WARNING", f"{used} are used; as things go it is used up about {iso(month.budget_at)}"
    if month.calls >= BUDGET_SHARE_TOLD * month.budget:
        return "WARNING", f"{used} are used"
    return "", ""


def judge_retired(alerts: Alerts, place: str, names: Collection[str], now: float) -> None:
    """Say which instruments of a list have ended, until the next answer of that list."""
    for source in alerts.firing(RETIRED):
        if source.startswith(f"{place}/") and source.removeprefix(f"{place}/") not in names:
            alerts.resolve(RETIRED, source)
    for name in names:
        text = f"{name} is no longer active; its history is kept, and nothing more is asked for after its last bars"
        alerts.fire(RETIRED, "INFO", f"{place}/{name}", text, now)
