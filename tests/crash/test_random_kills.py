"""kill -9 at any time, again and again on the same store."""

import subprocess
import sys

import pytest

from tests.crash.killing import ROOT
from tests.crash.trial import Bench, Tally


@pytest.mark.parametrize(
    "kills",
    [pytest.param(5, id="few"), pytest.param(50, id="many", marks=[pytest.mark.slow, pytest.mark.timeout(600)])],
)
def test_killed_at_random(bench: Bench, kills: int) -> None:
    tally = Tally()
    bench.kill_in_time(kills, tally)
    print(tally)
    assert tally.complaints == []
    assert tally.hit >= kills


def test_the_child_is_small() -> None:
    """It is started so often because it loads the store, the ingest and nothing heavier."""
    heavy = {"aiohttp", "asyncpg", "pydantic", "rich", "textual", "typer"}
    report = f"import sys, tests.crash.child; print(*{heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", report], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "\n"
