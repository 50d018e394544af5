"""What a store would answer about alerts, runs and figures."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import structs

from core.alerting.silences import Silence
from core.events import AlertChanged, SeriesChanged
from tui.archive.alerts import AlertChange, AlertPast, Notice
from tui.archive.figures import Component, Past, Share, Spent, StoredType, Timing
from tui.state import PastJob

NOON = 1_795_435_200.0  # 2026-11-23 12:00:00 UTC
DAY = 86_400


class WatchFakes:
    """Alerts with a past, two silences of which one matches nothing, figures that rise and fall."""

    kept_silences: list[Silence]
    kept_alerts: Sequence[AlertChanged] = ()
    journal: dict[str, PastJob]

    def open_alerts(self) -> Sequence[AlertChanged]:
        self._ask("open_alerts")
        return self.kept_alerts

    def silences(self) -> Sequence[Silence]:
        self._ask("silences")
        return self.kept_silences

    def alert_past(self, alert: str) -> AlertPast:
        self._ask(f"alert_past {alert}")
        return alert_past()

    def runs(self) -> Mapping[str, PastJob]:
        self._ask("runs")
        return self.journal

    def run_series(self, run_id: str) -> Mapping[str, SeriesChanged]:
        self._ask(f"run_series {run_id}")
        return {each.series: each for each in run_series(run_id)} if run_id in self.journal else {}

    def data_types(self) -> Sequence[StoredType]:
        self._ask("data_types")
        return stored_types()

    def spent(self) -> Spent:
        self._ask("spent")
        return spent()

    def past(self, seconds: int) -> Past:
        self._ask(f"past {seconds}")
        return past(seconds)

    def components(self) -> Sequence[Component]:
        self._ask("components")
        return components()

    def _ask(self, what: str) -> None:
        raise NotImplementedError


def silences(**changes: Any) -> list[Silence]:
    given = {"author": "ada", "comment": "the vendor knows", **changes}
    return [
        Silence("3f2a10", "late_series", "spot_ohlcv/kraken/*", "*", NOON - 900, NOON + 640, **given),
        Silence("77c0de", "quota_*", "*", "WARNING", NOON - 86_000, NOON + 90_000, **given),
    ]


def watched_alerts() -> list[AlertChanged]:
    """One of every standing: what explains another, acknowledged, silenced, recovering, unreadable, pending, over."""

    def alert(rule: str, source: str, level: str = "WARNING", state: str = "firing", **changes: Any) -> AlertChanged:
        given = {"message": f"{rule} does not hold for {source}", "since": NOON - 600, "fired": NOON - 560, **changes}
        name = f"{rule}:{source}"
        return AlertChanged(alert=name, rule=rule, source=source, level=level, state=state, incident=name, **given)

    down = alert(
        "vendor_unavailable", "vendor", "CRITICAL", since=NOON - 95, message="no answer for 90 s: connection refused",
        doing="asks again every 30 s; jobs wait", command="tapewatch explain vendor", value=90.0,
    )  # fmt: skip
    return [
        down,
        alert("data_freshness", "spot_ohlcv/kraken", "ERROR", count=3, inhibited_by="run_failed:j-0004"),
        alert("run_failed", "j-0004", "ERROR", inhibited_by=down.alert),
        alert("host_memory", "host", acked_by="ada (more is ordered)", acked_until=NOON + 9_000),
        alert("late_series", "spot_ohlcv/kraken/ADA-EUR/1d", silenced_until=NOON + 640),
        alert("loop_lag", "engine", state="recovering"),
        alert("quota_month", "quota", state="no_data"),
        alert("disk_space", "host", "INFO", state="pending", fired=None),
        alert("clock_skew", "vendor", state="resolved", since=NOON - 7_200, resolved=NOON - 3_600),
    ]


def alert_past(text: str = "") -> AlertPast:
    steps = (("firing", 95.0), ("pending", 40.0), ("resolved", 8_000.0), ("firing", 9_000.0))
    changes = [
        AlertChange(NOON - ago, "WARNING", text or state, 3.0, text or f"{state}: 3 series are later than 2 bars")
        for state, ago in steps
    ]
    told = (
        ("pager", "sent", 94.0, ""),
        ("mail", "waiting", 90.0, "451 try again later"),
        ("chat", "dead", 8_900.0, "gone"),
    )
    notices = [
        Notice(text or channel, text or "fired", "WARNING", text or state, at, NOON - ago,
               None if state == "waiting" else NOON - ago + 2, text or error)
        for at, (channel, state, ago, error) in enumerate(told)
    ]  # fmt: skip
    return AlertPast(changes, notices)


def run_series(run_id: str, text: str = "") -> list[SeriesChanged]:
    return [
        SeriesChanged(job=run_id, series=text or f"spot_ohlcv/kraken/{name}/1d", state=state, windows_total=12,
                      windows_done=12 if state == "done" else 3, rows=4_380, error=error)
        for name, state, error in (("BTC-USD", "done", ""), ("ETH-USD", "failed", text or "HTTP 500, after 5 attempts"),
                                   ("LTC-USD", "running", ""))
    ]  # fmt: skip


def stored_types(text: str = "") -> list[StoredType]:
    return [
        StoredType(text or "futures_ohlcv", "1h", 3_600, 120, 1_204_331, int(NOON) - 7_200, 3),
        StoredType(text or "spot_ohlcv", "1d", DAY, 750, 2_004_331, int(NOON) // DAY * DAY - DAY, 2),
        StoredType(text or "spot_ohlcv", "1m", 60, 40, 9_204_331, int(NOON) - 900, 0),
        StoredType("futures_funding_rate", "1h", 3_600, 80, 0, None, 0),
    ]


def spent(text: str = "") -> Spent:
    shares = {
        "reason": [Share("backfill", 210, 6_100), Share("tail", 340, 2_480), Share("retry", 12, 424),
                   Share("limits", 20, 200)],
        "data_type": [Share(text or "spot_ohlcv", 402, 5_204), Share("futures_ohlcv", 180, 4_000)],
        "label": [Share(text or "nightly", 480, 7_000), Share("", 102, 2_204)],
    }  # fmt: skip
    return Spent(582, 9_204, shares, [400 + 37 * (day * 5 % 11) for day in range(23)])


def past(seconds: int) -> Past:
    points = 60 if seconds == 60 else 48
    end = int(NOON) // seconds * seconds + seconds

    def wave(middle: float, height: float, length: float) -> tuple[float | None, ...]:
        hole = range(points // 3, points // 3 + 4)
        return tuple(
            None if at in hole else middle + height * math.sin(2 * math.pi * at / length) for at in range(points)
        )

    curves = {
        "cpu": wave(35, 20, 19), "memory": wave(2e8, 2e7, 31), "host_memory": wave(61, 5, 50), "lag": wave(4, 3, 9),
        "files": wave(31, 4, 40), "database": wave(12, 9, 13), "calls": wave(3, 2, 17), "rows": wave(5_000, 3_000, 23),
        "hits/memory": wave(60, 30, 21), "hits/disk": wave(77, 12, 27),
    }  # fmt: skip
    timings = [
        Timing("api", "history", 9_204, 0.994, 0.21, 0.9), Timing("database", "commit", 4_100, 1.0, 0.006, 0.031),
        Timing("database", "read", 900, 1.0, 0.001, 0.004), Timing("notification", "pager", 3, 1.0, 0.2, 0.4),
    ]  # fmt: skip
    return Past(end - points * seconds, end, curves, timings)


def components(text: str = "") -> list[Component]:
    return [
        Component("engine", "ok", text or "serve engine, pid 42, user ada, here"),
        Component("store", "ok", text),
        Component("source", text or "failing", text or "HTTP 401, the key lacks the role index"),
        Component("alerts", "degraded", "1 CRITICAL, 1 WARNING; see: tapewatch alerts"),
    ]


def journal(**changes: Any) -> dict[str, PastJob]:
    """Runs of before: one that ended well, one that failed, one whose engine was killed."""
    runs = [
        PastJob(
            engine="e-0", job=f"j-p{at}", run_id=f"r-p{at}", data_type="spot_ohlcv", interval="1d", label="nightly",
            state=state, created=NOON - (at + 1) * DAY, started=NOON - (at + 1) * DAY + 2,
            finished=None if state == "interrupted" else NOON - (at + 1) * DAY + 900, series_total=2, windows_total=24,
            windows_done=24 if state == "complete" else 15, rows_fetched=4_380, rows_inserted=4_380,
            error="HTTP 500, after 5 attempts" if state == "failed" else "",
        )
        for at, state in enumerate(("complete", "failed", "interrupted"))
    ]  # fmt: skip
    return {run.run_id: structs.replace(run, **changes) for run in runs}
