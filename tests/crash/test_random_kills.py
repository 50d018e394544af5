"""kill -9 at any time, again and again on the same store."""

import pytest

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
