"""The dashboard on a busy engine: key to paint in a real terminal (a pty), and what watching costs the engine."""

import asyncio
import fcntl
import json
import os
import pty
import random
import select
import signal
import statistics
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from core.control import Connection
from core.events import JobChanged, Snapshot
from core.stores.lock import lock_path, read_holder
from tests.bench.harness import PAIRS, canned_sandbox, environment, spread, workplace

KEYS = 80
ROUNDS = 7
MARK = "@"  # a character that no screen shows until it is typed into the filter
SPAN = ("2025-04-01T00:00:00Z", "2025-05-01T00:00:00Z")
JOB = {
    "data_type": "spot_ohlcv",
    "interval": "1m",
    "market": "kraken",
    "instrument": list(PAIRS),
    "max_requests": 10**6,
}
JOB |= {"start": SPAN[0], "end": SPAN[1], "full_refresh": True}


@contextmanager
def engine(base_url: str, place: Path) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """An engine on an empty store, and the socket it listens on."""
    database = str(place / "dash.db")
    command = [sys.executable, "-m", "core.cli", "engine", "--linger", "600", "--db", f"sqlite:///{database}"]
    command += ["--base_url", base_url, "--config_file", str(place / "bench.toml")]
    with (place / "engine.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment(place))
    try:
        while (holder := read_holder(lock_path(database))) is None or not Path(holder.socket).exists():
            time.sleep(0.05)
        yield process, Path(holder.socket)
    finally:
        process.terminate()
        process.wait(20)


class Terminal:
    """`tapewatch dash` in a pty of 120x40; all its output is read as it comes."""

    def __init__(self, base_url: str, place: Path) -> None:
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            command = [sys.executable, "-m", "core.cli", "dash", "--db", f"sqlite:///{place / 'dash.db'}"]
            command += ["--base_url", base_url]
            os.execve(sys.executable, command, {**environment(place), "TERM": "xterm-256color"})
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))

    def read(self, seconds: float) -> bytes:
        """What arrives within `seconds`, b"" when nothing does."""
        ready, _, _ = select.select([self.fd], [], [], seconds)
        try:
            return os.read(self.fd, 65_536) if ready else b""
        except OSError:  # the dashboard has closed its end
            return b""

    def wait_for(self, mark: bytes, seconds: float) -> float | None:
        """Seconds until `mark` was painted."""
        began, seen = time.perf_counter(), b""
        while (left := seconds - (time.perf_counter() - began)) > 0:
            seen = seen[-64:] + self.read(left)
            if mark in seen:
                return time.perf_counter() - began
        return None

    def drain(self, seconds: float) -> None:
        until = time.perf_counter() + seconds
        while (left := until - time.perf_counter()) > 0:
            self.read(left)

    def close(self) -> None:
        os.kill(self.pid, signal.SIGTERM)
        self.drain(1.0)
        os.waitpid(self.pid, 0)
        os.close(self.fd)


async def _run_jobs(socket: Path, count: int) -> int:
    """Run `count` jobs one after another on the engine; the rows they fetched."""
    connection = await Connection.open(socket)
    rows: dict[str, int] = {}
    ended: set[str] = set()
    changed = asyncio.Event()

    async def read() -> None:
        async for message in connection.messages():
            for event in message.events if isinstance(message, Snapshot) else (message,):
                if isinstance(event, JobChanged):
                    rows[event.job] = event.rows_fetched
                    ended.update({event.job} if event.is_final else ())
            changed.set()

    reading = asyncio.create_task(read())
    jobs = [(await connection.command("submit", **JOB))["job"] for _ in range(count)]
    while not ended.issuperset(jobs):
        await changed.wait()
        changed.clear()
    reading.cancel()
    await connection.close()
    return sum(rows[job] for job in jobs)


def key_to_paint(base_url: str, place: Path, socket: Path, seed: int) -> list[float]:
    """Milliseconds from a key written to the pty until what it does is painted, the engine saturated."""
    chance = random.Random(seed)
    busy = subprocess.Popen([sys.executable, "-m", "tests.bench.dashboard", "--jobs", "40", str(socket)])
    terminal = Terminal(base_url, place)
    times = []
    try:
        terminal.drain(4.0)
        os.write(terminal.fd, b"/")
        terminal.drain(1.0)
        for _ in range(KEYS):
            terminal.drain(0.2 + chance.random() / 4)
            os.write(terminal.fd, MARK.encode())
            seconds = terminal.wait_for(MARK.encode(), 5.0)
            times.append(5_000.0 if seconds is None else seconds * 1000)
            os.write(terminal.fd, b"\x7f")
    finally:
        terminal.close()
        busy.kill()
        busy.wait()
    return times


def cpu_per_million(process: subprocess.Popen[bytes], socket: Path) -> float:
    """The engine's CPU-seconds per million rows over three jobs."""
    engine_process = psutil.Process(process.pid)
    before = sum(engine_process.cpu_times()[:2])
    rows = asyncio.run(_run_jobs(socket, 3))
    return (sum(engine_process.cpu_times()[:2]) - before) / rows * 1e6


def watching_cost(base_url: str, place: Path, process: subprocess.Popen[bytes], socket: Path) -> list[float]:
    """Engine CPU per row with a dashboard attached over without, in interleaved pairs."""
    ratios = []
    for _ in range(ROUNDS):
        alone = cpu_per_million(process, socket)
        terminal = Terminal(base_url, place)
        terminal.drain(3.0)
        pid = os.fork()
        if pid == 0:
            while True:
                terminal.read(1.0)
        watched = cpu_per_million(process, socket)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        terminal.close()
        ratios.append(watched / alone)
    return ratios


def measure() -> list[str]:
    """What both measurements gave, a line each."""
    seed = int(os.environ.get("BENCH_SEED", time.time()))
    with canned_sandbox() as base_url, workplace() as place, engine(base_url, place) as (process, socket):
        asyncio.run(_run_jobs(socket, 1))
        times = sorted(key_to_paint(base_url, place, socket, seed))
    with canned_sandbox() as base_url, workplace() as place, engine(base_url, place) as (process, socket):
        asyncio.run(_run_jobs(socket, 1))
        ratios = watching_cost(base_url, place, process, socket)
    return [painting(times, seed), watching(ratios)]


def painting(times: list[float], seed: int) -> str:
    worst = times[int(len(times) * 0.95)]
    return (
        f"Key to paint on a saturated engine, {KEYS} keys in a pty of 120x40, seed {seed}: median "
        f"{statistics.median(times):.0f} ms, 95th percentile {worst:.0f} ms (goal: under 100, {_met(worst < 100)})."
    )


def watching(ratios: list[float]) -> str:
    is_met = statistics.median(ratios) <= 1.10
    return (
        f"CPU-seconds of the engine per row, watched / alone, {ROUNDS} interleaved pairs: {spread(ratios)} "
        f"(goal: at most 1.10, {_met(is_met)})."
    )


def _met(is_met: bool) -> str:
    return "met" if is_met else "not met"


if __name__ == "__main__":
    if sys.argv[1:2] == ["--jobs"]:
        print(json.dumps({"rows": asyncio.run(_run_jobs(Path(sys.argv[3]), int(sys.argv[2])))}))
    else:
        print(*measure(), sep="\n")
