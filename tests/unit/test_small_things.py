"""The error tree, the failpoints and the sampler: small modules that others rely on."""

import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import core
from core import errors, failpoints
from core.errors import TapewatchError
from core.monitoring.health import Sampler
from tests.fakes import ManualClock


def classes() -> list[type[TapewatchError]]:
    return [found for _, found in inspect.getmembers(errors, inspect.isclass) if issubclass(found, TapewatchError)]


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    lines = (re.match(r"    ([│ ├└─]*)(\w+)", line) for line in (errors.__doc__ or "").splitlines())
    drawn = [(len(line[1]) // 4, line[2]) for line in lines if line]
    parents: dict[str, str] = {}
    path: list[str] = []
    for depth, name in drawn:
        path[depth:] = [name]
        parents[name] = path[depth - 1] if depth else "Exception"
    assert parents == {found.__name__: found.__base__.__name__ for found in classes() if found.__base__}


def test_every_error_says_who_acts_and_has_an_exit_code() -> None:
    for found in classes():
        assert found.__doc__
        assert found.exit_code in {2, 3, 75}
    assert errors.StoreBusy.exit_code == errors.QuotaExhausted.exit_code == 75
    assert errors.ConfigError.exit_code == errors.StoreRefused.exit_code == errors.BudgetRefused.exit_code == 2


def test_every_failpoint_in_the_code_is_a_name_that_exists() -> None:
    used = set()
    for path in Path(core.__file__).parent.rglob("*.py"):
        used |= set(re.findall(r"failpoint\(\"(\w+)\"\)", path.read_text()))
    assert used
    assert used <= failpoints.NAMES


@pytest.mark.parametrize(
    ("armed", "reached"), [("", 3), ("ack", 0), ("ack:1", 0), ("ack:3", 2), ("ack:4", 3), ("before_commit", 3)]
)
def test_a_failpoint_ends_the_process_when_its_turn_has_come(armed: str, reached: int) -> None:
    program = "from core.failpoints import failpoint\nfor n in range(3):\n  failpoint('ack')\n  print(n, flush=True)"
    environment = {**os.environ, "TAPEWATCH_FAILPOINT": armed}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert len(done.stdout.splitlines()) == reached
    assert done.returncode == (0 if reached == 3 else 137)


def test_a_sampler_tells_rates_since_the_sample_before() -> None:
    clock, totals = ManualClock(), {"requests": 10, "rows": 1_000}
    sampler = Sampler(clock, lambda: totals["requests"], lambda: totals["rows"], lambda: 3, lambda: 2, lambda: -60.04)
    clock.pass_(2)
    totals.update(requests=30, rows=5_000)
    first = sampler(0.0123)
    assert (first.requests_per_second, first.rows_per_second) == (10, 2_000)
    assert (first.loop_lag_ms, first.uptime_seconds, first.in_flight, first.clients) == (12.3, 2, 3, 2)
    assert first.vendor_ahead == -60.0
    assert first.memory_bytes > 10**6
    assert first.open_files > 0
    clock.pass_(1)
    assert (sampler(0).requests_per_second, sampler(0).uptime_seconds) == (0, 3)
