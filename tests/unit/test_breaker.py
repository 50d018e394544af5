"""The circuit breaker: when it opens, that one probe a time goes through, when it closes."""

from core.breaker import Breaker


def test_failures_in_a_row_open_it() -> None:
    breaker = Breaker(failures=3, wait=5)
    assert [breaker.failed(0), breaker.failed(0)] == [False, False]
    assert not breaker.succeeded()
    assert [breaker.failed(1), breaker.failed(1), breaker.failed(1)] == [False, False, True]
    assert breaker.is_open


def test_one_probe_at_a_time_is_let_through() -> None:
    breaker = Breaker(failures=1, wait=5)
    assert breaker.failed(10)
    assert [breaker.allows(now) for now in (10, 14.9, 15, 15, 19.9, 20)] == [False, False, True, False, False, True]
    assert not breaker.failed(21), "it was open already"
    assert [breaker.allows(now) for now in (25.9, 26)] == [False, True]
    assert breaker.succeeded()
    assert breaker.allows(26)
    assert breaker.allows(26)
