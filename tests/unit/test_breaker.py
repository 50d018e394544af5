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


def test_probes_come_ever_more_slowly_up_to_a_bound() -> None:
    breaker = Breaker(failures=1, wait=1, longest=5)
    breaker.failed(0.0)
    waits, now = [], 0.0
    for _ in range(5):
        waits.append(breaker.held(now))
        now += waits[-1]
        assert breaker.allows(now)
        breaker.failed(now)
    assert waits == [1, 2, 4, 5, 5]
    assert breaker.opened_at == 0
    breaker.succeeded()
    breaker.failed(now)
    assert (breaker.held(now), breaker.opened_at) == (1, now)
    breaker.succeeded()
    assert breaker.held(now) == 0


def test_what_fails_late_puts_no_probe_off() -> None:
    breaker = Breaker(failures=2, wait=1, longest=30)
    for _ in range(16):
        breaker.failed(10.0)
    breaker.failed(10.5)
    assert breaker.held(10.5) == 0.5
