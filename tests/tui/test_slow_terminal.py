"""In a terminal that takes 10 kB a second: counted in bytes, because the time of a test is the machine's."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from terminals import Terminal

RATE = 10_000
PROGRAM = """
import asyncio, sys
from dashboard_fakes import FakeEngine, caches, engine_sample, job, make_busy
from core.events import LogLine
from tui.app import DashboardOptions, run_dashboard

engine = make_busy(FakeEngine())
AT_WORK = range(1, 17) if "storm" in sys.argv else (1, 2, 5, 15)

async def work():
    for number in range(10**9):
        for at in AT_WORK:
            engine.publish(job(at, rows_fetched=number * 1234 + at, rows_per_second=300.0 + number * 37 % 500,
                               eta_seconds=9000.0 - number, windows_done=number % 400))
        if number % 4 == 0:
            engine.publish(engine_sample(number), *caches(number))
        if "storm" in sys.argv:
            engine.publish(*(LogLine(level="info", text=f"line {number} {at} " * 5) for at in range(20)))
        engine.time.advance(0.25)
        await asyncio.sleep(0.25)

async def connect():
    connection = await engine.connect()
    connection.work = asyncio.create_task(work())
    return connection

sys.exit(run_dashboard(connect, DashboardOptions(lean="lean" in sys.argv, mouse=False)))
"""
pytestmark = pytest.mark.slow


@contextmanager
def at_work(*arguments: str, rate: int = RATE) -> Iterator[Terminal]:
    """Opened, and what it drew at first has been read."""
    with Terminal(PROGRAM, *arguments, columns=120, rows=40, rate=rate) as terminal:
        # What is shown already is not sent again, so that a name may come in pieces; this one cannot.
        terminal.read_until(b"1 Overview")
        terminal.read_for(8.0)
        yield terminal
        terminal.type(b"Q")
        assert terminal.end() == 0


def test_lean_is_less_than_2_kb_a_second() -> None:
    with at_work("lean") as terminal:
        assert 0 < terminal.read_for(5.0) < 5 * 2_000


@pytest.mark.parametrize("load", ["work", "storm"])
def test_keys_do_not_wait_behind_frames(load: str) -> None:
    """What came between a key and what it does fits into the second that the terminal takes for it."""
    with at_work(load) as terminal:
        terminal.type(b"/")
        terminal.read_for(1.0)
        for _ in range(5):
            terminal.type(b"@")
            assert terminal.read_until(b"@") < RATE
            terminal.type(b"\x7f")
            terminal.read_for(0.7)
        terminal.type(b"\x1b")
        terminal.read_for(3.0)
        terminal.type(b"2")
        assert terminal.read_until(b" 2 Jobs") < RATE


def test_a_storm_makes_it_lean_by_itself() -> None:
    with at_work("storm", rate=RATE // 5) as terminal:
        if b"slow terminal" not in terminal.output:
            terminal.read_until(b"slow terminal", 90.0)
