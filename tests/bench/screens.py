"""The dashboard on much: 200 jobs of 50 series, 10,000 stored series, in a pty of 120x40.

Wall-clock and CPU of one process beside whatever else the machine does: figures to look at, no test.
"""

import statistics
import sys
import time
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parents[1] / "tui"))

from terminals import Terminal

ENTER, ESCAPE, PALETTE = "\r", "\x1b", "\x10"
PROGRAM = """
import asyncio, signal, sys
from dashboard_fakes import FakeArchive, FakeEngine, alerts, caches, engine_sample, job, quota, series_of, stored_series
from tui.app import DashboardOptions, run_dashboard

JOBS, SERIES, STORED = 200, 50, 10_000
engine = FakeEngine()
engine.publish(engine_sample(), *caches(), quota(), *alerts())
for number in range(JOBS):
    engine.publish(job(number), *series_of(f"j-{number:04d}", SERIES))
archive = FakeArchive()
archive.stored = dict(stored_series(STORED))
goes_on = True

def pause(*_):
    global goes_on
    goes_on = False

signal.signal(signal.SIGUSR1, pause)

async def work():
    turn = 0
    while goes_on:
        await asyncio.sleep(0.25)
        turn += 1
        engine.time.advance(0.25)
        for number in range(turn % 5, JOBS, 5):
            engine.publish(job(number, rows_fetched=turn * 997 + number, rows_per_second=turn * 37.0 % 900))
        if turn % 4 == 0:
            engine.publish(engine_sample(turn), *caches(turn))

async def connect():
    connection = await engine.connect()
    connection.work = asyncio.create_task(work())
    return connection

sys.exit(run_dashboard(connect, DashboardOptions(mouse=False), archive=archive))
"""
TABS = {"jobs": "2", "data": "3", "alerts": "4", "cache": "5", "schedules": "6", "system": "7", "overview": "1"}
OPENED = {
    "job": ("2", ENTER),
    "series of a job": ("2", ENTER, ENTER),
    "stored series": ("3", ENTER),
    "two days": ("3", ENTER, "c"),
    "months": ("3", "m"),
    "alert": ("4", ENTER),
    "job form": ("1", "n"),
    "sort": ("3", "s"),
    "palette": ("1", PALETTE),
    "command line": ("1", ":"),
    "help": ("1", "?"),
}
"""What is opened within a screen: the keys to it, the last of which is measured."""
ROUNDS, KEYS, SECONDS = 5, 60, 8.0
SILENCE = 20.0  # until everything that ages looks old


def opening(terminal: Terminal) -> dict[str, list[float]]:
    """Milliseconds from the last key to a screen until it is there, by its name."""
    found: dict[str, list[float]] = {name: [] for name in (*TABS, *OPENED)}
    for _ in range(ROUNDS):
        for name, key in TABS.items():
            terminal.read_for(0.6)
            found[name].append(painted_after(terminal, key.encode()))
        for name, (*way, last) in OPENED.items():
            for key in way:
                terminal.type(key.encode())
                terminal.read_for(1.0)
            found[name].append(painted_after(terminal, last.encode()))
            for _ in range(3):
                terminal.type(ESCAPE.encode())
                terminal.read_for(0.4)
    return found


def painted_after(terminal: Terminal, key: bytes) -> float:
    """Milliseconds from a key until what comes at once has come: nothing more for 40 ms."""
    began = last = time.perf_counter()
    terminal.type(key)
    size = len(terminal.output)
    while time.perf_counter() - last < 0.04 or len(terminal.output) == size:
        if terminal.read(0.005):
            last = time.perf_counter()
    return (last - began) * 1000


def keys(terminal: Terminal) -> list[float]:
    """Milliseconds from a character of the filter to its echo."""
    for key in (b"2", b"/"):
        terminal.type(key)
        terminal.read_for(2.0)
    times = []
    for _ in range(KEYS):
        began = time.perf_counter()
        terminal.type(b"@")
        terminal.read_until(b"@")
        times.append((time.perf_counter() - began) * 1000)
        terminal.type(b"\x7f")
        terminal.read_for(0.31)
    terminal.type(b"\x1b")
    terminal.read_for(1.0)  # what follows an escape at once is a key with Alt
    return sorted(times)


def cpu(terminal: Terminal, seconds: float) -> float:
    """Per cent of one core, all threads together."""
    before = used(terminal.process.pid)
    terminal.read_for(seconds)
    return 100 * (used(terminal.process.pid) - before) / seconds


def used(pid: int) -> float:
    """Seconds of CPU. Linux counts them by the nanosecond for each thread, and by the hundredth for a process."""
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9


def measure() -> list[str]:
    with Terminal(PROGRAM, columns=120, rows=40) as terminal:
        terminal.read_until(b"j-01", 60.0)
        terminal.read_for(3.0)
        process = psutil.Process(terminal.process.pid)
        screens = opening(terminal)
        echoes = keys(terminal)
        at_work = {}
        for key in ("1", "2"):
            terminal.type(key.encode())
            terminal.read_for(1.0)
            at_work[key] = cpu(terminal, SECONDS)
        terminal.process.send_signal(10)
        terminal.read_for(SILENCE)
        idle = {}
        for name, key in TABS.items():
            terminal.type(key.encode())
            terminal.read_for(2.0)
            idle[name] = cpu(terminal, SECONDS)
        memory = process.memory_info().rss / 2**20
        terminal.type(b"Q")
        terminal.end()
    shown = ", ".join(f"{name} {statistics.median(times):.0f} ({max(times):.0f})" for name, times in screens.items())
    return [
        f"Opening a screen, ms, median of {ROUNDS} and the worst: {shown} (goal: under 150).",
        f"Key to paint, 40 jobs a quarter second: median {statistics.median(echoes):.0f} ms, 95th percentile "
        f"{echoes[int(len(echoes) * 0.95)]:.0f} ms (goal: under 100).",
        f"CPU at 4 Hz: overview {at_work['1']:.1f} %, jobs {at_work['2']:.1f} % of one core, events of the fake "
        "engine included (goal: under 10); when nothing changes "
        f"{', '.join(f'{name} {share:.2f}' for name, share in idle.items())} % (goal: 1).",
        f"Memory: {memory:.0f} MB, the fake engine included (goal: under 120).",
    ]


if __name__ == "__main__":
    print(*measure(), sep="\n")
