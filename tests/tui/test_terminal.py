"""On a real pseudo-terminal: signals give the terminal back, a crash says one line and no secrets."""

import os
import pty
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tui import terminal
from tui.app import describe_failure

ROOT = Path(__file__).parents[2]
CTRL_C = b"\x03"
PROGRAM = """
import asyncio, os, signal, sys
from dashboard_fakes import FakeEngine, make_busy
from tui import app as dashboard
if "crash" in sys.argv:
    def broken(self):
        secret = "hunter2"
        raise KeyError("no such thing")
    dashboard.Dashboard.flush = broken
engine = make_busy(FakeEngine())
code = dashboard.run_dashboard(engine.connect, dashboard.DashboardOptions())
async def go_on():
    os.kill(os.getpid(), signal.SIGCONT)
    await asyncio.sleep(0)
if "goes on" in sys.argv:
    asyncio.run(go_on())
sys.exit(code)
"""


class Terminal:
    """The dashboard in a pseudo-terminal of 100x30."""

    def __init__(self, *arguments: str) -> None:
        self.master, slave = pty.openpty()
        surroundings = os.environ | {
            "TERM": "xterm-256color",
            "LANG": "C.UTF-8",
            "COLUMNS": "100",
            "LINES": "30",
            "PYTHONPATH": f"{ROOT}:{Path(__file__).parent}",
        }
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *arguments], stdin=slave, stdout=slave, stderr=slave, env=surroundings
        )
        os.close(slave)
        self.output = b""

    def read_until(self, marker: bytes, seconds: float = 20.0) -> None:
        deadline = time.monotonic() + seconds
        while marker not in self.output and time.monotonic() < deadline:
            if not self._read(deadline - time.monotonic()):
                break
        assert marker in self.output, self.output[-400:]

    def _read(self, seconds: float) -> bool:
        if not select.select([self.master], [], [], max(0.0, seconds))[0]:
            return False
        try:
            chunk = os.read(self.master, 65_536)
        except OSError:
            return False
        self.output += chunk
        return bool(chunk)

    def end(self) -> int:
        """Exit code; what is left to read is read meanwhile."""
        deadline = time.monotonic() + 10
        while self.process.poll() is None and time.monotonic() < deadline:
            self._read(0.05)
        while self._read(0.05):
            pass
        if self.process.poll() is None:
            self.process.kill()
        code = self.process.wait(5)
        os.close(self.master)
        return code


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_gives_the_terminal_back(number: signal.Signals, code: int) -> None:
    seat = Terminal()
    seat.read_until(b"j-0004")
    seat.process.send_signal(number)
    assert seat.end() == code
    for mode in (b"?1049l", b"?25h", b"?1000l", b"?2004l"):
        assert b"\x1b[" + mode in seat.output


def test_who_goes_on_after_the_dashboard_is_not_held_by_it() -> None:
    """A shell that hangs up continues its processes first: Textual took that as the end of a Ctrl-Z, and read on."""
    seat = Terminal("goes on")
    seat.read_until(b"j-0004")
    os.write(seat.master, CTRL_C)
    assert seat.end() == 0


def test_a_terminal_that_stops_reading_does_not_keep_the_process() -> None:
    seat = Terminal()
    seat.read_until(b"j-0004")
    os.close(seat.master)
    started = time.monotonic()
    seat.process.send_signal(signal.SIGHUP)
    assert seat.process.wait(8) in {129, -signal.SIGHUP}
    assert time.monotonic() - started < 5.5


@pytest.mark.slow
def test_a_terminal_that_is_gone_without_a_word_is_left() -> None:
    """No hang-up comes: the dashboard's terminal is not the one that its session was started on."""
    seat = Terminal()
    seat.read_until(b"j-0004")
    os.close(seat.master)
    assert seat.process.wait(10) == 129


def test_a_crash_is_one_line_without_locals() -> None:
    seat = Terminal("crash")
    seat.read_until(b"the dashboard failed")
    assert seat.end() == 3
    assert b"KeyError" in seat.output
    assert b"hunter2" not in seat.output
    assert b"Traceback" not in seat.output


def test_the_failure_line_says_what_and_is_one_line() -> None:
    words = describe_failure(AttributeError("[/red]\nsecond line"))
    assert "AttributeError: [/red] second line" in words
    assert "\n" not in words


@pytest.mark.parametrize(("encoding", "fits"), [("UTF-8", True), ("utf8", True), ("ANSI_X3.4-1968", False)])
def test_which_locales_draw_our_glyphs(monkeypatch: pytest.MonkeyPatch, encoding: str, fits: bool) -> None:
    monkeypatch.setattr("locale.getpreferredencoding", lambda _set_locale: encoding)
    assert terminal.speaks_unicode() == fits
