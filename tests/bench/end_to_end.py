"""End to end into SQLite beside the hand-written floor: same server, columns, pragmas; interleaved runs."""

import statistics
import sys
from datetime import datetime
from pathlib import Path

from tests.bench.harness import PAIRS, canned_sandbox, ingest_command, measured, remove, spread, workplace

ROUNDS = 5
PAIR_COUNT = 4
START, END = "2024-06-01T00:00:00Z", "2025-05-01T00:00:00Z"


def rate_of_ours(base_url: str, place: Path) -> tuple[float, float]:
    """Rows per second and CPU-seconds per million rows."""
    remove(place, "ours.db")
    run = measured(ingest_command(base_url, place, "ours.db", PAIRS[:PAIR_COUNT], START, END), place)
    rows = run.printed["rows_inserted"]
    return rows / run.printed["duration_seconds"], run.cpu_seconds / rows * 1e6


def rate_of_floor(base_url: str, place: Path, mode: str) -> tuple[float, float]:
    remove(place, "floor.db")
    start, end = (str(int(datetime.fromisoformat(text).timestamp())) for text in (START, END))
    series = ",".join(f"kraken:{pair}" for pair in PAIRS[:PAIR_COUNT])
    command = [sys.executable, "-m", "tests.bench.floor", "--base_url", base_url, "--path", str(place / "floor.db")]
    command += ["--mode", mode, "--series", series, "--start", start, "--end", end]
    run = measured(command, place)
    return run.printed["rows"] / run.printed["seconds"], run.cpu_seconds / run.printed["rows"] * 1e6


def main() -> None:
    rounds: dict[str, list[tuple[float, float]]] = {"ours": [], "values": [], "executemany": []}
    with canned_sandbox() as base_url, workplace() as place:
        for _ in range(ROUNDS):
            rounds["ours"].append(rate_of_ours(base_url, place))
            for mode in ("values", "executemany"):
                rounds[mode].append(rate_of_floor(base_url, place, mode))
    print(f"end to end into SQLite, 1m candles of {PAIR_COUNT} pairs, {ROUNDS} interleaved rounds")
    for name, measurements in rounds.items():
        rates, cpus = zip(*measurements, strict=True)
        print(f"  {name:12} {statistics.median(rates):>10,.0f} rows/s   CPU-s/Mrow {spread(cpus)}")
    best = max(("values", "executemany"), key=lambda mode: statistics.median(rate for rate, _ in rounds[mode]))
    ratios = [ours[0] / floor[0] for ours, floor in zip(rounds["ours"], rounds[best], strict=True)]
    print(f"  ours / floor ({best}): {spread(ratios)}   goal: at least 0.70")


if __name__ == "__main__":
    main()
