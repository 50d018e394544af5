"""`make bench`: what a shared cache that fails costs a run, in CPU-seconds per million rows beside a healthy one.

Every round runs the program once with each Valkey, behind a proxy; another one begins each round. The faults come
while the run goes on, and its result must be what it is without them.
"""

import argparse
import statistics
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import redis

from core.valkey import ValkeyServer, valkey
from tests.bench.databases import SQLiteFile
from tests.bench.harness import PAIRS, Run, canned_sandbox, environment, measured, workplace
from tests.fault_proxy import FaultProxy, Latency

ROUNDS, PAGES, PAGE, BOUND = 7, 100, 2_000, 1.10
END, MINUTE = 1_746_057_600, 60
BEFORE_SECONDS, FAULT_SECONDS, SLOW_SECONDS = 0.8, 1.0, 1.0
Misbehave = Callable[["Laboratory"], None]


class Laboratory:
    """One Valkey behind a proxy, a sandbox, a place for files; `is_over` ends what a fault waits for."""

    def __init__(self, server: ValkeyServer, proxy: FaultProxy, base_url: str, place: Path) -> None:
        self.server = server
        self.proxy = proxy
        self.is_over = threading.Event()
        self._base_url = base_url
        self._place = place
        self._database = SQLiteFile(place)

    def run(self, misbehave: Misbehave, pages: int) -> float:
        """CPU-seconds per million rows of a run beside which the cache misbehaves."""
        self._renew()
        fault = threading.Thread(target=misbehave, args=(self,))
        fault.start()
        try:
            run = measured(self._command(pages), self._environment())
        finally:
            self.is_over.set()
            fault.join()
        return run.cpu_seconds / checked(run, pages) * 1e6

    def wait(self, seconds: float) -> None:
        self.is_over.wait(seconds)

    def _renew(self) -> None:
        self.server.kill()
        self.server.start()
        self.is_over.clear()
        self._database.renew()
        self._database.settle()

    def _command(self, pages: int) -> list[str]:
        start, end = (time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at)) for at in (END - pages * PAGE * MINUTE, END))
        command = [sys.executable, "-m", "core.cli", "spot_ohlcv", "--interval", "1m", "--market", "kraken"]
        command += ["--pair_limit", str(len(PAIRS)), "--start", start, "--end", end, "--max_requests", "1000000"]
        command += ["--base_url", self._base_url, "--db", self._database.url, "--output", "json"]
        return [*command, "--config_file", str(self._place / "bench.toml")]

    def _environment(self) -> dict[str, str]:
        return environment(self._place) | {"TAPEWATCH_CACHE": self.proxy.url(self.server.url)}


def checked(run: Run, pages: int) -> int:
    """The rows of a run that no error has reached."""
    said = run.printed
    if (said["status"], said["errors"], said["retries"]) != ("complete", [], 0):
        raise SystemExit(f"an error reached the run: {said}")
    if said["rows_inserted"] != len(PAIRS) * pages * PAGE:
        raise SystemExit(f"rows are missing: {said}")
    return int(said["rows_inserted"])


def healthy(_: Laboratory) -> None:
    """Nothing happens."""


def killed(laboratory: Laboratory) -> None:
    """Killed, and back a second later."""
    laboratory.wait(BEFORE_SECONDS)
    laboratory.server.kill()
    laboratory.wait(FAULT_SECONDS)
    laboratory.server.start()


def away(laboratory: Laboratory) -> None:
    """Killed, and not back."""
    laboratory.wait(BEFORE_SECONDS)
    laboratory.server.kill()


def slow(laboratory: Laboratory) -> None:
    """Every answer comes a second late, from before the run on."""
    latency = laboratory.proxy.add(Latency(SLOW_SECONDS))
    laboratory.is_over.wait()
    laboratory.proxy.remove(latency)


def read_only(laboratory: Laboratory) -> None:
    """It refuses to write, from before the run on, as a replica does whose master is gone."""
    with redis.Redis.from_url(laboratory.server.url) as client:
        client.replicaof("127.0.0.1", "1")


def flapping(laboratory: Laboratory) -> None:
    """Killed and started again, for as long as the run takes."""
    while not laboratory.is_over.is_set():
        killed(laboratory)


CACHES: dict[str, Misbehave] = {
    "healthy": healthy,
    "healthy again": healthy,
    "killed, restarted": killed,
    "killed": away,
    "flapping": flapping,
    "slow": slow,
    "read-only": read_only,
}


def measure(laboratory: Laboratory, rounds: int, pages: int) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {name: [] for name in CACHES}
    names = list(CACHES)
    for number in range(rounds):
        at = number % len(names)
        for name in names[at:] + names[:at]:
            found[name].append(laboratory.run(CACHES[name], pages))
        print(f"  round {number + 1} of {rounds}", file=sys.stderr, flush=True)
    return found


def table(found: dict[str, list[float]]) -> str:
    """Ratios to the healthy cache of the same round."""
    base = found["healthy"]
    lines = [
        "| Valkey | CPU-s per million rows | it / healthy: min | median | max |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for name, figures in found.items():
        ratios = [one / other for one, other in zip(figures, base, strict=True)]
        middle = f"{min(ratios):.3f} | {statistics.median(ratios):.3f} | {max(ratios):.3f}"
        lines.append(f"| {name} | {statistics.median(figures):.2f} | {middle} |")
    return "\n".join(lines)


def worst(found: dict[str, list[float]]) -> float:
    """The largest median ratio of those that misbehave."""
    base = found["healthy"]
    others = [figures for name, figures in found.items() if not name.startswith("healthy")]
    return max(statistics.median([a / b for a, b in zip(each, base, strict=True)]) for each in others)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.cache_faults", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--pages", type=int, default=PAGES, help=f"of {PAGE:,} rows, of each of {len(PAIRS)} pairs")
    given = parser.parse_args(arguments)
    with canned_sandbox() as base_url, workplace() as place, valkey() as server, FaultProxy(server.port) as proxy:
        found = measure(Laboratory(server, proxy, base_url, place), given.rounds, given.pages)
    print(table(found))
    is_met = worst(found) <= BOUND
    print(f"At most {BOUND - 1:.0%} more CPU per million rows: {'met' if is_met else '**not met**'}")
    return int(not is_met)


if __name__ == "__main__":
    with suppress(BrokenPipeError):
        sys.exit(main(sys.argv[1:]))
