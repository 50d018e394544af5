"""`plan --schedules`: what schedules cost for as long as they run, and when they run next."""

import asyncio
import json
import time
from typing import Any

from core.app import price
from core.cli.context import data, settings
from core.cli.daemon import schedules_path
from core.cli.options import Output
from core.cli.report import say_log
from core.cli.stored import print_table
from core.engine.prices import Price, Prices
from core.errors import ConfigError
from core.schedule import Schedule
from core.schedule_files import read_schedules
from core.text import counted
from core.windows import iso


def show_prices(given: str, output: Output) -> None:
    """Of the schedules of the file `given`, or of the settings. Raises ConfigError for what cannot keep up."""
    loaded = settings(announce=False)
    if (path := schedules_path(loaded, given)) is None:
        raise ConfigError("name a file of schedules: tapewatch plan --schedules FILE, or set serve.schedules")
    schedules = read_schedules(path)
    prices = asyncio.run(price(loaded, schedules, say_log))
    found = prices_object(schedules, prices, time.time())
    if output is Output.text:
        _print(found)
    else:
        data(json.dumps(found))
    if prices.faults:
        raise ConfigError("\n".join(f"{path}: {fault}" for fault in prices.faults))


def prices_object(schedules: tuple[Schedule, ...], prices: Prices, now: float) -> dict[str, Any]:
    """The object of `plan --schedules --output json`."""
    known = {schedule.name: schedule for schedule in schedules}
    limits = [{"window": limit.name, "limit": limit.limit, "remaining": limit.remaining} for limit in prices.limits]
    return {
        "schedules": [_entry(each, known[each.name], now) for each in prices.schedules],
        "total": _figures(prices.total),
        "limits": limits,
        "month_budget": prices.month_budget,
        "keeps_up": not prices.faults,
        "faults": prices.faults,
    }


def _entry(found: Price, schedule: Schedule, now: float) -> dict[str, Any]:
    return {
        "schedule": found.name,
        "cron": schedule.cron.line,
        "enabled": schedule.enabled,
        "next_run": iso(schedule.next_run(now)) if schedule.enabled else None,
        **_figures(found),
    }


def _figures(found: Price) -> dict[str, Any]:
    return {
        "series": found.series,
        "calls_a_run": found.run,
        "calls_an_hour": found.hour,
        "calls_a_day": found.day,
        "calls_a_month": found.month,
    }


def _print(found: dict[str, Any]) -> None:
    if not found["schedules"]:
        data("the file has no schedules")
        return
    total = {"schedule": "all", "cron": None, "next_run": None, **found["total"]}
    rows = [{name: row[name] for name in total} for row in (*found["schedules"], total)]
    print_table(rows)
    for limit in found["limits"]:
        data(f"{limit['window']} limit: {counted(limit['limit'], 'call')}")
    if not found["limits"]:
        data("the vendor's limits are not known yet: each answer tells them")
    if found["month_budget"] is not None:
        data(f"month: quota.month_budget allows {counted(found['month_budget'], 'call')}")
    if found["keeps_up"]:
        data("all of them keep up" if found["limits"] else "nothing that is known keeps them from running")
