"""Processes under measurement: a canned sandbox, and programs with their CPU time and peak memory."""

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NOW = "2025-06-01T12:00:00Z"
PAIRS = (
    "BTC-USD",
    "ETH-USD",
    "SOL-USD",
    "XRP-USD",
    "ADA-USD",
    "DOGE-USD",
    "LTC-USD",
    "LINK-USD",
    "DOT-USD",
    "AVAX-USD",
)
CONNECTIONS = 24  # as many as a program may have; jobs ask for 16 pages at once where nothing else is said
# On loopback gzip only costs time, for the floor as for us.
TUNED = f"[source]\ncompress = false\nconnections = {CONNECTIONS}\n"
PATIENCE_SECONDS = 600


class ProgramFailed(Exception):
    """A program under measurement ended badly; its last words."""


@dataclass(frozen=True)
class Run:
    """One finished program: what it printed, its CPU-seconds and its peak memory in MB."""

    printed: dict[str, Any]
    cpu_seconds: float
    peak_mb: float


def canned_sandbox(latency_ms: int = 0) -> AbstractContextManager[str]:
    """The sandbox serving ready-made pages, so that it is not what is measured; its address."""
    return sandbox("--canned", "--latency", str(latency_ms))


@contextmanager
def sandbox(*options: str) -> Iterator[str]:
    """The sandbox without limits, at a fixed time; its address."""
    command = [sys.executable, "-m", "core.cli", "sandbox", "--port", "0", "--limits", "none", "--now", NOW, *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield next(word for word in process.stdout.readline().split() if word.startswith("http"))
    finally:
        process.terminate()
        process.wait(10)


@contextmanager
def workplace() -> Iterator[Path]:
    """An empty directory with a settings file; everything a program writes goes there."""
    with tempfile.TemporaryDirectory(prefix="tw-bench-", dir="/tmp") as name:
        (Path(name) / "bench.toml").write_text(TUNED)
        yield Path(name)


def environment(place: Path) -> dict[str, str]:
    return {**os.environ, "XDG_RUNTIME_DIR": str(place), "XDG_STATE_HOME": str(place), "XDG_DATA_HOME": str(place)}


def measured(command: Sequence[str], env: dict[str, str]) -> Run:
    """Run `command` to its end; its last line of stdout must be a JSON object. Raises ProgramFailed."""
    printed, usage = run_program(command, env)
    return Run(json.loads(printed.strip().splitlines()[-1]), usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def run_program(command: Sequence[str], env: dict[str, str]) -> tuple[str, resource.struct_rusage]:
    """What `command` printed and used. Raises ProgramFailed, also when it takes too long."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as words:
        process = subprocess.Popen(command, stdout=out, stderr=words, env=env)
        timer = threading.Timer(PATIENCE_SECONDS, process.kill)
        timer.start()
        _, status, usage = os.wait4(process.pid, 0)
        timer.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        words.seek(0)
        if process.returncode:
            raise ProgramFailed(f"ended with {process.returncode}: {words.read().strip()[-1_000:]}")
        out.seek(0)
        return out.read(), usage


def spread(values: Sequence[float]) -> str:
    """`median (min-max)`."""
    return f"{statistics.median(values):.2f} ({min(values):.2f}-{max(values):.2f})"
