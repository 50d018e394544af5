"""The dashboard in a real pseudo-terminal, over a fake engine of its own."""

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]


class Terminal:
    """Runs `program` in a terminal of `columns` by `rows`. At most `rate` bytes a second are read of it."""

    def __init__(self, program: str, *arguments: str, columns: int = 100, rows: int = 30, rate: float = 1e9) -> None:
        self.master, slave = pty.openpty()
        self.resize(columns, rows)
        self.settings = termios.tcgetattr(slave)
        surroundings = os.environ | {
            "TERM": "xterm-256color",
            "COLORTERM": "truecolor",
            "LANG": "C.UTF-8",
            "PYTHONPATH": f"{ROOT}:{Path(__file__).parent}",
        }
        for name in ("COLUMNS", "LINES", "NO_COLOR", "SSH_CONNECTION"):
            surroundings.pop(name, None)
        command = [sys.executable, "-c", program, *arguments]
        self.process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=surroundings)
        self.slave = slave
        self.output = b""
        self._rate, self._burst = rate, min(65_536.0, rate / 20)
        self._allowed, self._looked_at = 0.0, time.monotonic()

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait(5)
        os.close(self.master)
        os.close(self.slave)

    def resize(self, columns: int, rows: int) -> None:
        """As a terminal emulator does; the kernel sends SIGWINCH to who is in the foreground of the session."""
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, keys: bytes) -> None:
        os.write(self.master, keys)

    def read_until(self, marker: bytes, seconds: float = 30.0) -> int:
        """How many bytes came until the marker was among those that came after this was called."""
        start = len(self.output)
        deadline = time.monotonic() + seconds
        while (at := self.output.find(marker, start)) < 0:
            assert time.monotonic() < deadline, (marker, self.output[-400:])
            self.read(0.02)
        return at - start

    def read_for(self, seconds: float) -> int:
        """How many bytes came."""
        start, deadline = len(self.output), time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.read(0.02)
        return len(self.output) - start

    def read(self, seconds: float) -> bool:
        """Whether anything came within that time, and may come at this rate."""
        now = time.monotonic()
        self._allowed = min(self._burst, self._allowed + (now - self._looked_at) * self._rate)
        self._looked_at = now
        if not select.select([self.master], [], [], seconds)[0]:
            return False
        if self._allowed < 1:
            time.sleep(seconds)
            return False
        try:
            chunk = os.read(self.master, int(self._allowed))
        except OSError:
            return False
        self._allowed -= len(chunk)
        self.output += chunk
        return bool(chunk)

    def end(self) -> int:
        """Exit code; what is left to read is read meanwhile."""
        self._rate = self._burst = 65_536.0
        deadline = time.monotonic() + 10
        while self.process.poll() is None and time.monotonic() < deadline:
            self.read(0.05)
        while self.read(0.05):
            pass
        return self.process.wait(5)
