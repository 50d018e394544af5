"""The state machine of one alert: example by example, then whatever comes in whatever order."""

import math
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.alerting import Reading
from core.alerting.rules import ALERT, KEEP, OK, Level, Rule
from core.alerting.states import Latch, Machine, firing_at, usable

LEVELS = (Level("WARNING", 5, 4), Level("ERROR", 10, 8), Level("CRITICAL", 25, 20))
RULE = Rule("r", "{value}", "book", LEVELS, for_seconds=60, keep_seconds=120, no_data=KEEP)
AT_ONCE = Rule("r", "{value}", "book", LEVELS)
BELOW = Rule("r", "{value}", "book", (Level("WARNING", 5, 6), Level("ERROR", 2, 3)), is_above=False)
Values = list[float | None]


def run(rule: Rule, values: Values, step: float = 30.0) -> str:
    """State and level after each value, by their initials; - is inactive."""
    machine, found = Machine(), []
    for number, value in enumerate(values):
        machine = machine.read(rule, value, number * step)
        found.append("-" if machine.state == "inactive" else machine.state[0] + machine.level(rule)[0])
    return " ".join(found)


E, W = "ERROR", "WARNING"


@pytest.mark.parametrize(
    ("rule", "values", "states"),
    [
        (AT_ONCE, [4.9, 5, 4, 3.9], "- fW fW -"),
        (AT_ONCE, [30, 19, 7.9], "fC fE fW"),
        (BELOW, [6, 5, 2, 3, 3.1, 6, 6.1], "- fW fE fE fW fW -"),
        (RULE, [5, 5, 5], "pW pW fW"),
        (RULE, [5, 1, 5, 5], "pW - pW pW"),
        (RULE, [5, 12, 12, 12], "pW pE fW fE"),
        (RULE, [5, 5, 5, 1, 1, 1, 1, 1], "pW pW fW rW rW rW rW -"),
        (RULE, [5, 5, 5, 1, 1, 1, 4, 1, 1], "pW pW fW rW rW rW fW rW rW"),
    ],
)
def test_levels_come_after_a_while_and_go_after_a_while(rule: Rule, values: Values, states: str) -> None:
    assert run(rule, values) == states


@pytest.mark.parametrize(
    ("policy", "values", "states"),
    [
        (KEEP, [None, None, None], "- - -"),
        (KEEP, [5, None, 5, None], "pW pW fW fW"),
        (KEEP, [5, 5, 5, 1, 1, None, 1, 1], "pW pW fW rW rW fW rW rW"),
        (OK, [5, 5, 5, None, None, None, None, None], "pW pW fW rW rW rW rW -"),
        (OK, [5, None], "pW -"),
        (ALERT, [None, None, None, None], "pW pW nW nW"),
        (ALERT, [None, None, 1, None], "pW pW - pW"),
        (ALERT, [None, None, None, 1, 1, 1, 1, 1], "pW pW nW nW nW nW nW -"),
    ],
)
def test_missing_data_is_what_the_rule_says(policy: str, values: Values, states: str) -> None:
    rule = Rule("r", "", "b", LEVELS, for_seconds=60, keep_seconds=120, no_data=policy, no_data_seconds=60)
    assert run(rule, values) == states


def test_three_failures_are_an_error_and_resolve_nothing() -> None:
    machine = Machine().read(AT_ONCE, 12, 0)
    states = []
    for at in range(1, 5):
        machine = machine.missed(at)
        states.append((machine.state, machine.level(AT_ONCE)))
    assert states == [("firing", E), ("firing", E), ("error", E), ("error", E)]
    assert machine.read(AT_ONCE, 12, 9).state == "firing"
    assert machine.read(AT_ONCE, 1, 9).state == "inactive"


def test_a_failure_begins_the_recovery_anew() -> None:
    machine = firing_at(W, RULE, 0.0).read(RULE, 1, 100)
    assert machine.missed(219).read(RULE, 1, 220).state == "recovering"
    assert machine.read(RULE, 1, 220).state == "inactive"


def test_a_wait_goes_on_where_it_was_after_any_pause() -> None:
    machine = Machine().read(RULE, 7, 1_000.0)
    assert machine.read(RULE, 7, 1_000.0 + 30 * 86_400).state == "firing"


def test_a_clock_that_went_back_makes_no_wait_longer() -> None:
    machine = Machine().read(RULE, 7, 10_000.0).read(RULE, 7, 100.0)
    assert machine.read(RULE, 7, 160.0).state == "firing"


@pytest.mark.parametrize(
    ("reading", "value"),
    [
        (Reading("r", "s", 7, 1_000.0), 7.0),
        (Reading("r", "s", None, 1_000.0), None),
        (Reading("r", "s", math.nan, 1_000.0), None),
        (Reading("r", "s", math.inf, 1_000.0), None),
        (Reading("r", "s", 7, 899.0), None),
        (Reading("r", "s", 7, math.nan), None),
        (Reading("r", "s", 7, 1_000.0, samples=19), None),
        (Reading("r", "s", 7, 1_000.0, samples=20), 7.0),
    ],
)
def test_what_is_no_value(reading: Reading, value: float | None) -> None:
    assert usable(reading, Rule("r", max_age=100.0, min_samples=20), 1_000.0) == value


SPANS = st.sampled_from([0.0, 15.0, 60.0, 300.0])
FIGURES = st.one_of(st.none(), st.sampled_from([0.0, 3.9, 4.0, 5.0, 8.0, 10.0, 20.0, 25.0]), st.floats(-5, 40))
STEPS = st.lists(st.tuples(FIGURES, st.sampled_from([1.0, 15.0, 40.0, 400.0])), min_size=1, max_size=60)


@st.composite
def rules(draw: st.DrawFn, policies: tuple[str, ...] = (KEEP, ALERT, OK)) -> Rule:
    policy = draw(st.sampled_from(policies))
    given = {"for_seconds": draw(SPANS), "keep_seconds": draw(SPANS), "no_data_seconds": draw(SPANS)}
    return Rule("r", "", "b", LEVELS, no_data=policy, **given)


def timed(steps: list[tuple[float | None, float]]) -> list[tuple[float | None, float]]:
    return list(zip([value for value, _ in steps], accumulate(wait for _, wait in steps), strict=True))


@given(rules(), STEPS)
def test_no_level_without_readings_that_were_that_bad_for_so_long(
    rule: Rule, steps: list[tuple[float | None, float]]
) -> None:
    machine = Machine()
    seen: list[tuple[float | None, float]] = []
    for value, now in timed(steps):
        before, machine = machine, machine.read(rule, value, now)
        seen.append((value, now))
        for level in LEVELS:
            was, is_on = (each.latches.get(level.name, Latch()).is_on for each in (before, machine))
            if is_on and not was:
                since = next(at for at, beyond in _runs(seen, level.threshold) if beyond)
                assert now - since >= rule.for_seconds


def _runs(seen: list[tuple[float | None, float]], threshold: float) -> list[tuple[float, bool]]:
    """Where the last run of readings that were not below the threshold began."""
    begun: float | None = None
    for value, at in seen:
        if value is not None and value >= threshold:
            begun = at if begun is None else begun
        elif value is not None:
            begun = None
    return [] if begun is None else [(begun, True)]


@given(rules((KEEP, ALERT)), STEPS, st.integers(1, 30))
def test_nothing_to_go_by_never_clears(rule: Rule, steps: list[tuple[float | None, float]], blind: int) -> None:
    machine, now = Machine(), 0.0
    for value, now in timed(steps):
        machine = machine.read(rule, value, now)
    on = {name for name, latch in machine.latches.items() if latch.is_on}
    for number in range(blind):
        machine = machine.read(rule, None, now + number * 400.0)
        machine = machine.missed(now + number * 400.0) if number % 3 == 2 else machine
        assert {name for name, latch in machine.latches.items() if latch.is_on} == on


@given(rules(), STEPS)
def test_levels_are_nested_and_what_is_well_for_long_enough_is_over(
    rule: Rule, steps: list[tuple[float | None, float]]
) -> None:
    machine, now = Machine(), 0.0
    for value, now in timed(steps):
        machine = machine.read(rule, value, now)
        on = [machine.latches.get(level.name, Latch()).is_on for level in LEVELS]
        assert on == sorted(on, reverse=True), "who is critical is in error too"
    for wait in (1.0, 301.0, 302.0):
        machine = machine.read(rule, 0.0, now + wait)
    assert machine == Machine()
