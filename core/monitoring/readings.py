"""Readings for rules: figures of this engine, and figures of the store that all engines share. Pure but for the memory.

Freshness is what is *overdue*: a bar is due when it has ended, has settled and a poll has had its time. In health it is
zero, whatever the interval.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import psutil

from core.alerting import Reading
from core.datasets import SETTLE_SECONDS
from core.events import QuotaSample
from core.monitoring.rates import Rate, Rates
from core.stores.vitals import HOUR, Newest, Ran, Vitals
from core.telemetry import API, DATABASE
from core.windows import GRAINS, iso

Followed = Mapping[tuple[str, str], float]
"""Data types and intervals that are polled, with the seconds between polls."""
STORED = (
    *("consecutive_failures", "data_freshness", "delivery_failures", "ingestion_latency", "quarantine_rate"),
    *("quota_forecast", "restatement_rate"),
)
"""The names of what is read from the store, for all of its engines."""
POLL_SECONDS = 30.0
"""How long a poll may take."""
FAILED, DONE = "failed", frozenset({"complete", "complete_with_gaps"})
CONTAINER = Path("/sys/fs/cgroup")


def own_readings(rates: Rates, host: str, memory: float | None, now: float) -> list[Reading]:
    """Of this engine; `memory` is percent in use."""
    return [
        _rate("api_error_rate", host, rates.of(API), now),
        _rate("database_error_rate", host, rates.of(DATABASE), now),
        Reading("memory", host, memory, now),
    ]


def stored_readings(
    vitals: Vitals, followed: Followed, quota: QuotaSample, now: float, vendor_now: float
) -> list[Reading]:
    """Of the store. `vendor_now` is the vendor's time, which bars go by."""
    return [
        *_freshness(vitals.newest, followed, now, vendor_now),
        *failures(vitals.runs, now),
        *row_rates(vitals, now),
        *_forecast(quota, now),
        *(Reading("delivery_failures", channel, count, now) for channel, count in vitals.undelivered),
    ]


def overdue(newest: Newest, cadence: float, vendor_now: float) -> float | None:
    """Seconds since the next bar should have been there, 0 when it need not be yet; None before the first bar."""
    if newest.last_bar is None:
        return None
    grain = GRAINS[newest.interval]
    due = newest.last_bar + 2 * grain.seconds + SETTLE_SECONDS[grain] + cadence + POLL_SECONDS
    return max(0.0, vendor_now - due)


def memory_percent(container: Path = CONTAINER) -> float:
    """Of the host's memory in use, or of the container's limit when that is nearer."""
    return max(psutil.virtual_memory().percent, _of_container(container))


def _of_container(container: Path) -> float:
    try:
        limit, used = ((container / f"memory.{name}").read_text("ascii").strip() for name in ("max", "current"))
        stat = dict(line.split() for line in (container / "memory.stat").read_text("ascii").splitlines())
        # What was read from files and not used lately is given back when somebody needs it.
        return 100.0 * (int(used) - int(stat.get("inactive_file", 0))) / int(limit)
    except (OSError, ValueError, ZeroDivisionError):
        return 0.0  # no container, no limit, or not for us to read


def _rate(name: str, source: str, rate: Rate, now: float) -> Reading:
    return Reading(name, source, rate.percent, now, rate.total, f"{rate.failed:,} of {rate.total:,}: {rate.about}")


def _freshness(newest: Iterable[Newest], followed: Followed, now: float, vendor_now: float) -> list[Reading]:
    found = []
    for each in newest:
        cadence = followed.get((each.data_type, each.interval), 0.0)
        late = overdue(each, cadence, vendor_now)
        source = f"{each.data_type}/{each.market}/{each.interval}"
        last = "" if each.last_bar is None else f"; it began {iso(each.last_bar)}"
        intervals = None if late is None else late / GRAINS[each.interval].seconds
        minutes = None if late is None else late / 60
        found.append(Reading("data_freshness", source, intervals, now, about=last))
        found.append(Reading("ingestion_latency", source, minutes, now, about=last))
    return found


def failures(runs: Sequence[Ran], now: float) -> list[Reading]:
    """Failed runs since the last one that did not fail, by data type and interval."""
    counts: dict[str, int] = {}
    ended: set[str] = set()
    for run in runs:
        source = _place(run.data_type, run.interval)
        counts.setdefault(source, 0)
        ended |= {source} if run.state in DONE else set()
        counts[source] += run.state == FAILED and source not in ended
    return [Reading("consecutive_failures", source, count, now) for source, count in sorted(counts.items())]


def row_rates(vitals: Vitals, now: float) -> list[Reading]:
    """Of the rows that runs of the last hour fetched, how many were no good, and how many changed closed bars."""
    rows: dict[str, int] = {}
    quarantined: dict[str, int] = {}
    for run in vitals.runs:
        if run.finished is None or run.finished > now - HOUR:
            source = _place(run.data_type, run.interval)
            rows[source] = rows.get(source, 0) + run.rows
            quarantined[source] = quarantined.get(source, 0) + run.quarantined
    restated = {_place(data_type, interval): count for data_type, interval, count in vitals.restated}
    parts = (("quarantine_rate", quarantined), ("restatement_rate", restated))
    return [
        _share(name, source, counts.get(source, 0), total, now)
        for name, counts in parts
        for source, total in sorted(rows.items())
    ]


def _share(name: str, source: str, part: int, total: int, now: float) -> Reading:
    whole = max(total, part)
    return Reading(name, source, 100.0 * part / whole if whole else None, now, whole, f"{part:,} of {whole:,}")


def _forecast(quota: QuotaSample, now: float) -> list[Reading]:
    """Of the vendor's month, as far as its limit is known: what has gone, and what goes by its end at this pace."""
    whole = next((window for window in quota.windows if window.name == "month" and window.resets_at > now), None)
    if whole is None or quota.month is None or whole.limit <= 0:
        return [Reading("quota_forecast", quota.account, None, now)]
    expected = whole.limit - whole.remaining + quota.month.forecast - quota.month.calls
    at = "" if quota.month.limit_at is None else f"; it ends about {iso(quota.month.limit_at)}"
    return [Reading("quota_forecast", quota.account, 100.0 * expected / whole.limit, now, about=at)]


def _place(data_type: str, interval: str) -> str:
    return f"{data_type}/{interval}".rstrip("/")
