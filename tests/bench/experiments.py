"""What `make bench` measures, and the goals: a list of values."""

from dataclasses import replace

from core.datasets import SPOT_OHLCV
from tests.bench.contenders import (
    AGAIN,
    CURSORS,
    DLT,
    DLT_TUNED,
    FLOORS,
    LONGER,
    OURS,
    PANDAS,
    ROW_BY_ROW,
    SCRIPT_TUNED,
    TEN_TIMES,
    WIDE,
    WIDE_FLOORS,
)
from tests.bench.rounds import Experiment, Goal

WIDTHS = {"OHLC": ("ID", "MAPPING", "OHLC"), "narrow": SPOT_OHLCV.default_groups, "full": SPOT_OHLCV.groups}
STORES = ("SQLite", "PostgreSQL")
TIMES_DLT = {"SQLite": 15, "PostgreSQL": 10}
SECTIONS = ("sqlite", "postgres", "peers", "latency", "memory")


def beside_the_floor(store: str, width: str) -> Experiment:
    return Experiment(
        section={"SQLite": "sqlite", "PostgreSQL": "postgres"}[store],
        title=f"{store} beside the floor, {width} columns",
        store=store,
        contenders=(OURS, AGAIN, *FLOORS[store]),
        goals=(
            Goal("floor", 0.85),
            Goal("ours", 1.0, subject="again"),
            Goal("ours", 1.02, subject="again", figure="size", is_ceiling=True),
        ),
        groups=WIDTHS[width],
        pairs=10,
        pages=72,
    )


def beside_others(store: str, width: str) -> Experiment:
    return Experiment(
        section="peers",
        title=f"{store} beside what people use, {width} columns",
        store=store,
        contenders=(LONGER, ROW_BY_ROW, PANDAS, DLT[store], SCRIPT_TUNED, DLT_TUNED[store]),
        goals=(Goal("dlt", TIMES_DLT[store]), Goal("dlt, tuned", TIMES_DLT[store]), Goal("pandas", 8)),
        groups=WIDTHS[width],
        pairs=10,
        pages={"narrow": 8, "full": 5}[width],
        is_charted=width == "narrow",
    )


def with_latency(store: str, latency_ms: int) -> Experiment:
    return Experiment(
        section="latency",
        title=f"{store} with {latency_ms:,} ms latency",
        store=store,
        contenders=(OURS, FLOORS[store][0], ROW_BY_ROW, PANDAS, DLT[store]),
        goals=(),
        groups=WIDTHS["narrow"],
        pairs=2,
        pages={80: 24, 1_000: 16}[latency_ms],
        latency_ms=latency_ms,
        rounds={80: 3, 1_000: 1}[latency_ms],
        is_charted=True,
    )


def beside_one_after_the_other(store: str, width: str) -> Experiment:
    """A script waits for answers, and little else: how many times as fast a program is depends on what a row costs."""
    return replace(
        with_latency(store, 80),
        title=f"{store} with 80 ms latency, one request after the other, {width} columns",
        contenders=(WIDE, WIDE_FLOORS[store], ROW_BY_ROW, SCRIPT_TUNED),
        goals=(Goal("row by row", 12), Goal("row by row, tuned", 12)),
        groups=WIDTHS[width],
        pairs=10,
        pages=8,
        rounds=5,
        is_charted=False,
    )


def one_series(store: str, latency_ms: int) -> Experiment:
    return replace(
        with_latency(store, latency_ms),
        title=f"one series into {store} with {latency_ms:,} ms latency",
        contenders=(OURS, CURSORS[store]),
        goals=(Goal("cursor", 4),) if latency_ms == 80 else (),
        pairs=1,
        is_charted=False,
        pages={80: 128, 1_000: 32}[latency_ms],
        rounds={80: 5, 1_000: 1}[latency_ms],
    )


def memory(store: str) -> Experiment:
    return Experiment(
        section="memory",
        title=f"memory while 1 and 10 million rows go into {store}",
        store=store,
        contenders=(OURS, TEN_TIMES),
        goals=(Goal("ours", 1.2, subject="ten times", figure="peak_mb", is_ceiling=True),),
        groups=WIDTHS["narrow"],
        pairs=10,
        pages=50,
        rounds=1,
    )


EXPERIMENTS = (
    *(beside_the_floor(store, width) for store in STORES for width in ("narrow", "full")),
    *(beside_others(store, width) for width in ("narrow", "full") for store in STORES),
    *(beside_one_after_the_other(store, width) for store in STORES for width in ("OHLC", "narrow")),
    *(make(store, latency) for make in (one_series, with_latency) for latency in (80, 1_000) for store in STORES),
    *(memory(store) for store in STORES),
)


def quick(experiment: Experiment) -> Experiment:
    """The same with next to no rows: does every contender work?"""
    return replace(experiment, pairs=min(experiment.pairs, 2), pages=min(experiment.pages, 2), rounds=1)
