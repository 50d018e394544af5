"""What a fake engine has of schedules, and what it says an order would cost."""

from typing import Any

from core.events import ScheduleChanged

NOON = 1_795_435_200.0  # 2026-11-23 12:00:00 UTC
HOUR = 3_600


def schedules() -> list[ScheduleChanged]:
    """One that is well, one that failed, one that runs, one that is paused, one that is off."""
    return [
        ScheduleChanged(schedule="hourly", cron="2 * * * *", what="spot_ohlcv 1h, futures_ohlcv 1h",
                        next_run=NOON + 160, last_tick=int(NOON) - 3_480, last_state="done",
                        last_finished=NOON - 3_420.0),
        ScheduleChanged(schedule="nightly", cron="10 0 * * *", what="spot_ohlcv 1d", next_run=NOON + 12 * HOUR,
                        last_tick=int(NOON) - 11 * HOUR, last_state="failed", last_finished=NOON - 11 * HOUR + 60,
                        last_note="spot_ohlcv 1d: failed: HTTP 401, the key lacks the role spot"),
        ScheduleChanged(schedule="funding", cron="*/15 * * * *", what="futures_funding_rate 1h",
                        next_run=NOON + 900, last_tick=int(NOON), last_state="running"),
        ScheduleChanged(schedule="minutes", cron="* * * * *", what="spot_ohlcv 1m", next_run=NOON + HOUR,
                        last_tick=int(NOON) - 20, last_state="skipped", last_note="ann paused it: moving house",
                        paused_since=NOON - 600, paused_until=NOON + HOUR, paused_by="ann", comment="moving house"),
        ScheduleChanged(schedule="lists", cron="30 3 * * 1", is_enabled=False,
                        what="spot_instruments, futures_instruments, exchange_metadata and 1 more"),
    ]  # fmt: skip


def quote(requests: int = 12, *, allowed: int = 121, series: int = 40) -> dict[str, Any]:
    """The answer to `quote`: of one operation over `series` series, of which three are listed."""
    names = ("BTC-USD", "ETH-USD", "A-VERY-LONG-INSTRUMENT-NAME-PERPETUAL-USD")
    figures = {"requests": requests, "metadata_requests": 3, "windows": requests, "rows": 23_400, "bytes": 2_503_800,
               "bytes_on_disk": 3_650_400, "minutes": 0.02}  # fmt: skip
    return {
        "data_type": "batch", **figures,
        "operations": [{"data_type": "spot_ohlcv", "interval": "1d", "label": "", **figures,
                        "reasons": {"backfill": requests}}],
        "series": [{"series": f"spot_ohlcv/kraken/{name}/1d", "requests": 1, "rows": 1_950, "bytes": 208_650,
                    "bytes_on_disk": 304_200, "minutes": 0.0, "start": "2021-07-22T00:00:00Z",
                    "end": "2026-11-23T00:00:00Z", "reasons": ["backfill"]} for name in names],
        "series_total": series,
        "errors": ["no such spot instrument: kraken NO-SUCH"],
        "quota": [{"window": "day", "limit": 7_500, "remaining": 1_210, "share": 0.0124},
                  {"window": "month", "limit": 11_000, "remaining": 430, "share": 0.0349}],
        "budget": {"requests": allowed, "by": "10 % of what is left of the day", "is_enough": requests <= allowed},
        "month": {"left": None, "is_enough": True},
        "disk": {"free_bytes": 41_000_000_000, "share": 0.0001, "is_enough": True},
    }  # fmt: skip
