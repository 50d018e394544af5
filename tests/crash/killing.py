"""The kits: how a child is run and ended at a chosen place, in one vocabulary for all of them."""

import json
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

KILLED = -9
TOO_LONG = 30.0
FAILED_POINT = 137  # os._exit of a failpoint
ROOT = Path(__file__).parents[2]
# `strace -f` writes the thread, then the call; one that is interrupted by another thread's is told in two lines.
CALLED = re.compile(r"^(\d+)\s+(\w+)\(")


class Point(NamedTuple):
    """Where a process is hit: at the nth system call of a name by one of its threads, or at a failpoint.

    `error` is what the call fails with instead, once or from then on (`persists`).
    """

    name: str
    nth: int
    is_call: bool = True
    error: str = ""
    persists: bool = False

    @property
    def injection(self) -> str:
        fault = f"error={self.error}" if self.error else "signal=SIGKILL"
        return f"inject={self.name}:{fault}:when={self.nth}{'+' if self.persists else ''}"

    def __str__(self) -> str:
        return f"{self.name}:{self.nth}{self.error and f'={self.error}'}{'+' if self.persists else ''}"


@dataclass(frozen=True)
class Ended:
    """How a run ended: `status` is an exit code or a signal as a negative number, `errors` what it wrote to stderr.

    `had_fault` says that a system call failed because we wanted it to.
    """

    status: int
    said: list[str]
    errors: str
    seconds: float
    had_fault: bool = False

    @property
    def was_killed(self) -> bool:
        return self.status in (KILLED, FAILED_POINT)


class Nursery:
    """Starts children; what they say is kept in files in `folder`, which survive them."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-m", "tests.crash.nursery"]
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._folder = folder
        self._log = folder / "calls"

    def run(self, *arguments: str, seconds: float = TOO_LONG, at: Point | None = None) -> Ended:
        """A child, until it ends: by itself, killed after `seconds`, or hit `at` a point. None hangs for ever."""
        failpoint = str(at) if at and not at.is_call else ""
        tracing = ["-e", f"trace={at.name}", "-e", at.injection] if at and at.is_call else []
        return self._run(arguments, tracing, failpoint=failpoint, seconds=seconds)

    def calls(self, names: Sequence[str], *arguments: str) -> dict[str, int]:
        """How many calls of each name the busiest thread of an undisturbed child makes."""
        ended = self._run(arguments, ["-e", f"trace={','.join(names)}"])
        assert ended.status == 0, ended
        found = Counter(match.groups() for match in map(CALLED.match, self._log.read_text().splitlines()) if match)
        return {name: max((count for (_, call), count in found.items() if call == name), default=0) for name in names}

    def why_untraced(self) -> str:
        """Why system calls cannot be counted here, or nothing."""
        if shutil.which("strace") is None:
            return "there is no strace"
        try:
            self._run(["--help"], ["-e", "trace=none"])
        except TracingRefused as refused:
            return str(refused)
        return ""

    def close(self) -> None:
        self._process.communicate()
        assert self._process.returncode == 0

    def _run(self, arguments: Sequence[str], tracing: Sequence[str], **order: Any) -> Ended:
        out, errors = self._folder / "out", self._folder / "errors"
        for file in (out, errors, self._log):
            file.write_bytes(b"")
        given = {"arguments": arguments, "out": str(out), "errors": str(errors), "waits": bool(tracing)}
        status, seconds = self._follow({"seconds": TOO_LONG, **given, **order}, tracing)
        had_fault = "INJECTED" in self._log.read_text()
        return Ended(status, out.read_text().splitlines(), errors.read_text(), seconds, had_fault)

    def _follow(self, order: dict[str, Any], tracing: Sequence[str]) -> tuple[int, float]:
        """How a child ended, and when."""
        self._tell(order)
        pid, start = self._hear()["pid"], time.monotonic()
        with traced(pid, ["-o", str(self._log), *tracing]) if tracing else nullcontext():
            if tracing:
                self._tell("go")
            status = self._hear()["status"]
        return status, time.monotonic() - start

    def _tell(self, order: Any) -> None:
        assert self._process.stdin
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()

    def _hear(self) -> Any:
        assert self._process.stdout
        return json.loads(self._process.stdout.readline())


class TracingRefused(Exception):
    """strace may not attach; its own words."""


@contextmanager
def traced(pid: int, options: Sequence[str]) -> Iterator[None]:
    """strace is attached to a process that waits to be let go, until that ends. Raises TracingRefused after that."""
    command = ["strace", "-f", *options, "-p", str(pid)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as strace:
        assert strace.stderr
        told = strace.stderr.readline()
        yield
        strace.stderr.read()
    if "attached" not in told:
        raise TracingRefused(told.strip())
