"""Rates over five minutes: what failed of what was done, in bounded memory, by a clock that only goes on."""

import pytest

from core.monitoring.rates import MOST_OUTCOMES, WINDOW_SECONDS, Rate, Rates
from core.telemetry import API, DATABASE, OK, Done, Telemetry
from tests.fakes import ManualClock


def done(outcome: str = OK, operation: str = API) -> Done:
    return Done(operation, "history", outcome, 0.1)


def test_it_counts_by_operation_and_names_the_commonest_failures() -> None:
    rates = Rates(ManualClock())
    for outcome in (OK, OK, "5xx", "timeout", "5xx", OK, "cancelled"):
        rates(done(outcome))
    rates(done("full", DATABASE))
    assert rates.of(API) == Rate(7, 3, "2 5xx, 1 timeout")
    assert rates.of(DATABASE) == Rate(1, 1, "1 full")
    assert rates.of("job") == Rate(0, 0, "none failed")
    assert rates.of("job").percent is None
    assert rates.of(API).percent == pytest.approx(100 * 3 / 7)


def test_what_was_done_five_minutes_ago_is_forgotten() -> None:
    clock = ManualClock(1_000.0)
    rates = Rates(clock)
    rates(done("5xx"))
    clock.pass_(WINDOW_SECONDS - 10)
    rates(done())
    assert rates.of(API).failed == 1
    clock.pass_(10)
    assert rates.of(API) == Rate(1, 0, "none failed")
    clock.pass_(10 * WINDOW_SECONDS)
    assert rates.of(API).total == 0


def test_memory_is_bounded_whatever_outcomes_are_called() -> None:
    clock = ManualClock()
    rates = Rates(clock)
    for number in range(10_000):
        rates(done(f"odd {number}"))
        clock.pass_(1.0)
    assert len(rates._slots) <= WINDOW_SECONDS / 10
    for number in range(1_000):
        rates(done(f"odd {number}"))
    assert all(len(counts) <= MOST_OUTCOMES + 1 for _, counts in rates._slots)
    assert rates.of(API).total >= 1_000


def test_it_is_a_hook() -> None:
    telemetry, rates = Telemetry(), Rates(ManualClock())
    telemetry.add(rates)
    telemetry.done(API, "history", "429", 0.2)
    assert rates.of(API) == Rate(1, 1, "1 429")
