"""An operator at the dashboard: a pseudo-terminal for eyes, and a number of keys that may be pressed."""

import base64
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pyte
from e2e_program import DEFECTS, PATIENCE, Program

KEYS = {
    "enter": "\r",
    "escape": "\x1b",
    "tab": "\t",
    "backspace": "\x7f",
    "up": "\x1b[A",
    "down": "\x1b[B",
    "right": "\x1b[C",
    "left": "\x1b[D",
}
"""What a terminal sends for keys that are no letter."""
CLIPBOARD = re.compile(rb"\x1b\]52;c;([^\x07\x1b]*)")


class Seat:
    """A terminal with a program in it."""

    def __init__(self, process: subprocess.Popen[bytes], terminal: int, screen: pyte.Screen, keys: int) -> None:
        self.process = process
        self._terminal = terminal
        self._keys_left = keys
        self._screen = screen
        self._stream = pyte.ByteStream(self._screen)
        self._output = b""

    @property
    def shown(self) -> str:
        """What is on the screen, a line a row."""
        return "\n".join(line.rstrip() for line in self._screen.display)

    @property
    def clipboard(self) -> str:
        """What was last sent to the terminal's clipboard."""
        sent = CLIPBOARD.findall(self._output)
        return base64.b64decode(sent[-1]).decode() if sent else ""

    def press(self, *keys: str) -> None:
        """Single keys, by their names or as they are."""
        self._keys_left -= len(keys)
        assert self._keys_left >= 0, f"{-self._keys_left} keys too many at {keys}:\n{self.shown}"
        for key in keys:
            os.write(self._terminal, KEYS.get(key, key).encode())

    def filter(self, words: str) -> None:
        """Filter the table that has the focus, and leave the line where that is typed."""
        self.press("/", *words)
        self.sees(rf"filter: {re.escape(words)}\b")
        self.sees(rf"^ {re.escape(words)}$")
        self.press("enter")
        self.sees_no_more(rf"^ {re.escape(words)}$")

    def sees(self, pattern: str, seconds: float = PATIENCE) -> re.Match[str]:
        """Waits until something on the screen matches `pattern`; `^` and `$` are ends of lines."""
        deadline = time.monotonic() + seconds
        while not (found := re.search(pattern, self.shown, re.MULTILINE)):
            assert time.monotonic() < deadline, f"{pattern!r} was not seen within {seconds:g} s:\n{self.shown}"
            assert self._read(0.5) or self.process.poll() is None, f"ended before {pattern!r} was seen:\n{self.shown}"
        return found

    def sees_no_more(self, pattern: str, seconds: float = PATIENCE) -> None:
        """Waits until nothing on the screen matches `pattern`."""
        deadline = time.monotonic() + seconds
        while re.search(pattern, self.shown, re.MULTILINE):
            assert time.monotonic() < deadline, f"{pattern!r} was still seen after {seconds:g} s:\n{self.shown}"
            self._read(0.5)

    def has_copied(self, text: str, seconds: float = PATIENCE) -> None:
        """Waits until `text` is what was last sent to the terminal's clipboard."""
        deadline = time.monotonic() + seconds
        while self.clipboard != text:
            assert time.monotonic() < deadline, f"{self.clipboard!r} was copied, not {text!r}:\n{self.shown}"
            self._read(0.5)

    def kill(self) -> None:
        """As the kernel does when memory is short: nothing of it runs any more."""
        self.process.kill()
        self.process.wait(PATIENCE)

    def leave(self) -> None:
        """Quit, whatever is on the screen: the terminal is given back, and nothing was said that is a defect."""
        os.write(self._terminal, b"\x03")
        self._read_to_end()
        assert self.process.wait(PATIENCE) == 0, self.shown
        assert b"\x1b[?1049l" in self._output
        for defect in DEFECTS:
            assert defect.encode() not in self._output, self.shown

    def _read(self, seconds: float) -> bool:
        """Whether something came within `seconds`."""
        if not select.select([self._terminal], [], [], seconds)[0]:
            return False
        chunk = b""
        # Linux says so when the last program on a terminal has ended.
        with suppress(OSError):
            chunk = os.read(self._terminal, 65_536)
        self._output += chunk
        self._stream.feed(chunk)
        return bool(chunk)

    def _read_to_end(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while (self._read(0.05) or self.process.poll() is None) and time.monotonic() < deadline:
            pass


@contextmanager
def seated(program: Program, *, keys: int, columns: int = 80, rows: int = 24) -> Iterator[Seat]:
    """The dashboard in a terminal, connected; `keys` are all that may be pressed."""
    terminal, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    surroundings = program.environment(TERM="xterm-256color", COLUMNS=str(columns), LINES=str(rows))
    process = subprocess.Popen(
        [sys.executable, "-m", "core.cli", "dash"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=surroundings,
        cwd=program.processes.folder,
        start_new_session=True,
    )
    os.close(theirs)
    seat = Seat(process, terminal, pyte.Screen(columns, rows), keys)
    try:
        seat.sees("LIVE")
        yield seat
        if process.poll() is None:
            seat.leave()
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(PATIENCE)
        os.close(terminal)
