"""`make bench`: what metrics cost an engine, as a share of its CPU: calls x measured cost of a call, and scrapes.

The engine runs in this process over a sandbox that serves ready-made pages. What it was told is told again, many times,
to the same hooks in an engine that does nothing else; CPU is counted, not time, so that others may use the machine.
"""

import asyncio
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.app import open_app
from core.config import load
from core.engine.figures import EngineFigures
from core.history import Recorder
from core.monitoring.metrics import Metrics
from core.operations import make_operation
from core.telemetry import Done, Telemetry
from core.windows import iso
from tests.bench.harness import PAIRS, canned_sandbox

PAGES, ROWS_A_PAGE = 200, 2_000
END = 1_748_736_000
REPEATED = 50_000
SCRAPES = 20
SCRAPE_SECONDS = 15.0
MOST = 0.03


@dataclass(frozen=True, slots=True)
class Cost:
    """What one run told and took, and what telling and showing it costs; CPU-seconds."""

    calls: int
    pages: int
    cpu_seconds: float
    seconds: float
    of_a_call: float
    of_a_scrape: float

    @property
    def of_calls(self) -> float:
        """As a share of the engine's CPU."""
        return self.calls * self.of_a_call / self.cpu_seconds

    @property
    def of_scrapes(self) -> float:
        """One is begun every 15 s."""
        return max(1.0, self.seconds / SCRAPE_SECONDS) * self.of_a_scrape / self.cpu_seconds

    @property
    def share(self) -> float:
        return self.of_calls + self.of_scrapes


async def measure(base_url: str, place: Path, pages: int = PAGES) -> Cost:
    told: list[Done] = []
    flags = {"db": f"sqlite:///{place / 'store.db'}", "base_url": base_url, "state": str(place)}
    loaded = load({**flags, "source": {"compress": False}, "quota": {"ledger": "own"}}, {})
    minutes = pages * ROWS_A_PAGE // len(PAIRS)
    operation = make_operation(
        {
            "data_type": "spot_ohlcv",
            "market": "kraken",
            "instrument": list(PAIRS),
            "interval": "1m",
            "start": iso(END - minutes * 60),
            "end": iso(END),
            "max_requests": 2 * pages,
        }
    )
    async with open_app(loaded, "command") as app:
        metrics = app.measures.metrics
        app.engine.tools.telemetry.add(told.append)
        cpu, started = time.process_time(), time.monotonic()
        job = app.engine.submit(operation)
        await app.engine.wait(job)
        cpu, seconds = time.process_time() - cpu, time.monotonic() - started
        if job.state != "complete":
            raise RuntimeError(f"{job.state}: {job.errors}")
        of_a_scrape = _each(lambda: metrics.page("application/openmetrics-text"), SCRAPES)
    return Cost(len(told), job.windows_done, cpu, seconds, of_a_call(told), of_a_scrape)


def of_a_call(told: Sequence[Done]) -> float:
    """CPU-seconds that one call takes, of the hooks that an engine with metrics has."""
    telemetry = Telemetry()
    telemetry.add(Recorder().hear)
    telemetry.add(Metrics(EngineFigures()).hear)

    def tell() -> None:
        for done in told:
            telemetry.done(done.operation, done.kind, done.outcome, done.seconds, done.amount)

    return _each(tell, max(1, REPEATED // len(told))) / len(told)


def _each(work: Callable[[], object], times: int) -> float:
    started = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - started) / times


def table(cost: Cost) -> str:
    return "\n".join(
        [
            "| metrics of an engine | |",
            "| --- | ---: |",
            f"| calls a page | {cost.calls / cost.pages:.1f} |",
            f"| CPU of a call | {cost.of_a_call * 1e6:.2f} us |",
            f"| CPU of a scrape | {cost.of_a_scrape * 1e3:.2f} ms |",
            f"| engine's CPU a page | {cost.cpu_seconds / cost.pages * 1e3:.2f} ms |",
            f"| calls, of the engine's CPU | {100 * cost.of_calls:.3f} % |",
            f"| with a scrape every {SCRAPE_SECONDS:.0f} s | {100 * cost.share:.3f} % |",
            f"| {100 * MOST:.0f} % at most | {'met' if cost.share < MOST else '**not met**'} |",
        ]
    )


def main() -> int:
    with tempfile.TemporaryDirectory() as place, canned_sandbox() as base_url:
        cost = asyncio.run(measure(base_url, Path(place)))
    print(table(cost))
    return int(cost.share >= MOST)


if __name__ == "__main__":
    sys.exit(main())
