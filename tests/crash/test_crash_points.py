"""Killed at any system call and at any failpoint: nothing acknowledged is lost, nothing half done is there."""

from dataclasses import replace

import pytest

from tests.crash.killing import Point
from tests.crash.trial import Bench, Tally, some

pytestmark = pytest.mark.slow

FEW = 9
MANY = 100


def sizes(few: int, many: int) -> pytest.MarkDecorator:
    slow = pytest.param(many, id="many", marks=[pytest.mark.slow, pytest.mark.timeout(1_200)])
    return pytest.mark.parametrize("count", [pytest.param(few, id="few"), slow])


def kill(bench: Bench, points: list[Point], count: int, tally: Tally) -> None:
    """At `count` of the points. How many calls a run makes depends on which windows are written together: some are
    never reached, and others stand in for them."""
    for point in some(points, 2 * count, bench.chance):
        if tally.hit < count:
            bench.kill_at([point], tally)


@sizes(FEW, MANY)
def test_killed_at_any_system_call(bench: Bench, count: int) -> None:
    tally = Tally()
    kill(bench, bench.points(), count, tally)
    print(tally)
    assert tally.complaints == []
    assert tally.hit >= count * 0.9


@sizes(2, 20)
def test_killed_while_the_schema_is_made(bench: Bench, count: int) -> None:
    bare, tally = replace(bench, is_bare=True), Tally()
    bare.kill_at(some(bare.points(), count, bench.chance), tally)
    assert tally.complaints == []


@sizes(9, 40)
def test_killed_at_any_failpoint(bench: Bench, count: int) -> None:
    bare, tally = replace(bench, is_bare=True), Tally()
    kill(bench, bench.failpoints(), count - 1, tally)
    bare.kill_at(some(bare.failpoints(), 1, bench.chance), tally)
    print(tally)
    assert tally.complaints == []
    assert tally.hit >= count * 0.9
