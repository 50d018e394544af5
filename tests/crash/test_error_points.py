"""A system call fails, once or from then on: that is said, nothing else is claimed, and a rerun completes."""

import pytest

from tests.crash.trial import GETS_OVER_IT, SAYS_SO, Bench, Tally, some

pytestmark = pytest.mark.slow

SLOW = (pytest.mark.slow, pytest.mark.timeout(900))


@pytest.mark.usefixtures("_calls_fail")
@pytest.mark.parametrize("persist", [False, True], ids=["once", "for-ever"])
@pytest.mark.parametrize("count", [pytest.param(4, id="few"), pytest.param(20, id="many", marks=SLOW)])
def test_a_system_call_fails_and_that_is_said(bench: Bench, count: int, persist: bool) -> None:
    tally = Tally()
    bench.fail_at(some(bench.errors(persist=persist), count, bench.chance), tally, *SAYS_SO)
    print(tally)
    assert tally.complaints == []
    assert tally.hit


@pytest.mark.usefixtures("_calls_fail")
@pytest.mark.parametrize("count", [pytest.param(4, id="few"), pytest.param(20, id="many", marks=SLOW)])
def test_a_system_call_fails_once_and_the_child_gets_over_it(bench: Bench, count: int) -> None:
    tally = Tally()
    bench.fail_at(some(bench.errors(persist=False), count, bench.chance), tally, *GETS_OVER_IT)
    print(tally)
    assert tally.complaints == []
    assert tally.hit


@pytest.mark.parametrize("count", [pytest.param(4, id="few"), pytest.param(20, id="many", marks=SLOW)])
def test_a_transaction_fails_in_the_middle(bench: Bench, count: int) -> None:
    """The connection goes on with the next one as if it had never begun."""
    tally = Tally()
    bench.fail_at(some(bench.failures(), count, bench.chance), tally, *GETS_OVER_IT)
    assert tally.complaints == []
    assert tally.hit >= count * 0.8
