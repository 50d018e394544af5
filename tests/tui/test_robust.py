"""Whatever happens to the terminal or is typed, nothing breaks: random keys and sizes, suspension, panes that fail."""

import gc
import os
import random
import signal
import termios
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from dashboard_fakes import FakeEngine, job, make_busy
from terminals import Terminal
from test_behaviour import Driver, driving
from textual import events
from textual.geometry import Size
from textual.strip import Strip

from tui import actions
from tui.screens.live import LiveScreen
from tui.widgets.pane import Pane

pytestmark = pytest.mark.slow

KEYS, SIZES = int(os.environ.get("ROBUST_KEYS", "20000")), 10_000
# What ends the dashboard or stops the process is left out; everything else an operator can hit is in.
ENDS = {"q", "Q", "ctrl+c", "ctrl+z"}
TYPED = [key for action in actions.ACTIONS for key in action.keys.split(",") if key not in ENDS]
TYPED += [
    *"abcdefghijklmnoprstuvwxyz0123456789:/!>< ",
    "backspace",
    "delete",
    "left",
    "right",
    "enter",
    "escape",
    "tab",
]
PROGRAM = """
import sys
from dashboard_fakes import FakeEngine, make_busy
from tui.app import DashboardOptions, run_dashboard
engine = make_busy(FakeEngine())
sys.exit(run_dashboard(engine.connect, DashboardOptions()))
"""


@asynccontextmanager
async def unbreakable() -> AsyncIterator[Driver]:
    """A dashboard on a busy engine; at the end neither it nor a pane has failed."""
    engine = make_busy(FakeEngine())
    async with driving(engine, size=(100, 30)) as at:
        # Who types everything also leaves, by the palette: here nobody does.
        at.app.exit = lambda *_, **__: None  # type: ignore[method-assign]
        yield at
        assert at.app.failure == ""
        assert at.app.is_running
        await at.settle()
        assert not [pane for pane in panes(at) if "this pane failed" in "".join(pane.text_lines())]


def panes(at: Driver) -> list[Pane]:
    live = [screen for screen in at.app.screen_stack if isinstance(screen, LiveScreen)]
    return [pane for screen in live for pane in screen.panes.values()]


@pytest.mark.timeout(3600)
async def test_random_keys(seed: int) -> None:
    chance = random.Random(seed)
    async with unbreakable() as at:
        for number in range(KEYS):
            at.app.post_message(events.Key(key := chance.choice(TYPED), key if len(key) == 1 else None))
            if number % 100 == 0:
                at.engine.publish(job(chance.randrange(1, 30), chance.choice(("running", "failed", "complete"))))
                at.time.advance(0.3)
                await at.settle()


@pytest.mark.timeout(3600)
async def test_random_sizes(seed: int) -> None:
    chance = random.Random(seed)
    async with unbreakable() as at:
        for number in range(SIZES):
            size = Size(chance.choice((1, 2, 10, 40, 80, 120, 240)), chance.choice((1, 2, 3, 10, 14, 24, 40, 70)))
            at.app.post_message(events.Resize(size, size))
            if number % 100 == 0:
                await at.pilot.press(chance.choice("12345e/?") if chance.random() < 0.5 else "escape")
                await at.settle()
        at.app.post_message(events.Resize(Size(120, 40), Size(120, 40)))
        await at.settle()


def test_real_resizes_of_a_terminal() -> None:
    with opened() as terminal:
        for columns, rows in ((1, 1), (2, 2), (200, 60), (40, 10), (1, 50), (300, 1), (80, 24), (100, 30)) * 5:
            terminal.resize(columns, rows)
            terminal.process.send_signal(signal.SIGWINCH)
            terminal.read(0.02)
        terminal.read_for(0.5)
        terminal.output = b""
        terminal.resize(132, 40)
        terminal.process.send_signal(signal.SIGWINCH)
        terminal.read_until(b"Jobs 16")
        leave(terminal)


def opened() -> Terminal:
    terminal = Terminal(PROGRAM)
    terminal.read_until(b"j-0004")
    return terminal


def leave(terminal: Terminal) -> None:
    terminal.type(b"Q")
    assert terminal.end() == 0


def is_given_back(terminal: Terminal) -> bool:
    """Modes off, and line settings as they were."""
    modes = (b"?1049l", b"?25h", b"?1000l", b"?2004l")
    return all(b"\x1b[" + mode in terminal.output for mode in modes) and (
        termios.tcgetattr(terminal.slave) == terminal.settings
    )


def test_suspended_and_continued() -> None:
    with opened() as terminal:
        terminal.output = b""
        terminal.type(b"\x1a")
        stopped = wait_for_stop(terminal)
        assert os.WIFSTOPPED(stopped)
        terminal.read_for(0.2)
        assert is_given_back(terminal)
        terminal.output = b""
        terminal.process.send_signal(signal.SIGCONT)
        terminal.read_until(b"\x1b[?1049h")
        terminal.read_until(b"Jobs 16")
        leave(terminal)
        assert is_given_back(terminal)


def wait_for_stop(terminal: Terminal) -> int:
    """Its status as its parent, a shell, gets to see it."""
    for _ in range(500):
        pid, status = os.waitpid(terminal.process.pid, os.WUNTRACED | os.WNOHANG)
        if pid:
            return status
        terminal.read(0.02)
    raise AssertionError("it did not stop")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_told_to_end_while_suspended(number: signal.Signals) -> None:
    with opened() as terminal:
        terminal.process.send_signal(signal.SIGTSTP)
        assert os.WIFSTOPPED(wait_for_stop(terminal))
        terminal.process.send_signal(number)
        terminal.process.send_signal(signal.SIGCONT)
        assert terminal.end() == {signal.SIGTERM: 143, signal.SIGHUP: 129}[number]
        assert is_given_back(terminal)


async def test_what_a_screen_drew_is_gone_with_it() -> None:
    """All day long means thousands of screens opened and left."""

    async def look_round() -> int:
        for kind in (actions.JOBS, actions.CACHE, actions.SYSTEM, actions.OVERVIEW):
            await at.app.run_action(f"go('{kind}')")
            await at.settle()
        gc.collect()
        return sum(isinstance(each, Strip) for each in gc.get_objects())

    async with driving(make_busy(FakeEngine()), size=(100, 30)) as at:
        await look_round()
        before = await look_round()
        for _ in range(5):
            after = await look_round()
        assert after < before * 1.2


async def test_what_comes_when_all_screens_are_gone_is_for_nobody() -> None:
    """A redraw that was due, an answer of the store that was on its way."""
    async with driving() as at:
        app = at.app
    assert app.live is None
    app.flush()


def broken(*_: object) -> None:
    raise ZeroDivisionError("[/red] boom\x1b[2J")


@pytest.mark.parametrize("kind", [kind for kind in actions.TABS if kind != actions.OVERVIEW])
async def test_a_pane_that_breaks_says_so_and_there_is_a_way_on(kind: str) -> None:
    async with driving() as at:
        await at.press(actions.TABS[kind][0])
        for pane in at.screen.panes.values():
            pane.build = broken  # type: ignore[assignment]
        await at.settle()
        shown = "".join(line for pane in at.screen.panes.values() for line in pane.text_lines())
        assert "this pane failed: ZeroDivisionError: [/red] boom" in shown
        assert "\x1b" not in shown
        for key in ("enter", "y", "s", "j", "G", "e", "e", "tab"):
            await at.press(key)
        await at.press("escape", "1")
        assert at.screen.kind == actions.OVERVIEW
        assert at.app.failure == ""
