"""What a dashboard is told of figures: calls added up, and figures over time."""

import pytest

from core.cli.archive.figures import past, spent
from core.history import HOUR, Sample
from core.usage import DAY, Counted
from core.windows import Window
from tui.archive.figures import Share

NOON = 1_795_435_200  # 2026-11-23 12:00:00 UTC
MONTH = 1_793_491_200  # 2026-11-01


def test_calls_are_added_up_by_what_they_were_for() -> None:
    rows = [
        Counted(MONTH, "a", "spot_ohlcv", "backfill", "nightly", 100),
        Counted(MONTH + DAY, "a", "spot_ohlcv", "tail", "", 20),
        Counted(NOON - HOUR, "b", "futures_ohlcv", "tail", "nightly", 3),
    ]
    found = spent(rows, NOON)
    assert (found.today, found.month) == (3, 123)
    assert list(found.shares["reason"]) == [Share("backfill", 0, 100), Share("tail", 3, 23)]
    assert list(found.shares["label"]) == [Share("nightly", 3, 103), Share("", 0, 20)]
    assert len(found.days) == 23
    assert (found.days[0], found.days[1], found.days[22]) == (100, 20, 3)


def test_no_calls_are_nothing() -> None:
    found = spent([], NOON)
    assert (found.today, found.month, sum(found.days)) == (0, 0, 0)
    assert all(not shares for shares in found.shares.values())


def sample(name: str, at: int, total: float, times: int = 1, labels: str = "{}", **classes: int) -> Sample:
    counts = {int(key[1:]): count for key, count in classes.items()}
    return Sample(60, name, labels, at, times, total, total, total, total, counts)


def test_figures_over_time_are_in_the_units_of_people() -> None:
    span = Window(NOON, NOON + 180)
    found = past(
        [
            sample("tapewatch_cpu_ratio", NOON, 0.5),
            sample("tapewatch_event_loop_lag_seconds", NOON + 120, 0.004),
            sample("process_open_fds", NOON, 62.0, 2),
            sample("tapewatch_cache_hits_total", NOON, 3.0, labels='{"tier":"memory"}'),
            sample("tapewatch_cache_misses_total", NOON, 1.0, labels='{"tier":"memory"}'),
            sample("rows", NOON + 60, 120.0, labels='{"kind":"spot_ohlcv","outcome":"inserted"}'),
            sample("rows", NOON + 60, 60.0, labels='{"kind":"spot_ohlcv","outcome":"restated"}'),
            sample("api", NOON, 0.3, 6, '{"kind":"history","outcome":"ok"}', c0=6),
        ],
        span,
        60,
    )
    assert found.curves["cpu"] == (50.0, None, None)
    assert found.curves["lag"] == (None, None, pytest.approx(4.0))
    assert found.curves["files"] == (31.0, None, None)
    assert found.curves["hits/memory"] == (75.0, None, None)
    assert found.curves["rows"] == (None, 2.0, None)
    assert found.curves["calls"] == (0.1, None, None)
    assert found.curves["database"] == (None, None, None)
    assert [(each.operation, each.kind, each.times) for each in found.timings] == [("api", "history", 6)]
