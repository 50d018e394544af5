"""Each bug that is planted is found by the kit that is meant to find its kind, on both databases."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from _pytest.mark import ParameterSet

from tests.crash.killing import Point
from tests.crash.sabotage import IN_BETWEEN, PLANTED
from tests.crash.trial import Bench, Tally

TURNS = (9, 18, 28, 2, 5, 13, 23)


def undisturbed(bench: Bench) -> Iterator[list[str]]:
    yield found_by(bench)


def killed(bench: Bench) -> Iterator[list[str]]:
    for turn in TURNS:
        yield found_by(bench, Point("before_commit", turn, is_call=False))


def killed_in_between(bench: Bench) -> Iterator[list[str]]:
    yield found_by(bench, Point(IN_BETWEEN, 1, is_call=False))


def failing(bench: Bench) -> Iterator[list[str]]:
    for turn in TURNS:
        yield found_by(bench, Point("tx_rows", turn, is_call=False, error="StoreError"), "--retries", "1")


KITS = {kit.__name__: kit for kit in (undisturbed, killed, killed_in_between, failing)}


def found_by(bench: Bench, at: Point | None = None, *more: str) -> list[str]:
    """What is complained of after one run, or else after the one that follows it."""
    tally = Tally()
    with bench.trial("planted", tally, is_finished=False) as trial:
        trial.run(*more, at=at)
        if not tally.complaints:
            trial.finish()
    return tally.complaints


def cases() -> Iterator[ParameterSet]:
    """What does not depend on transactions is the same code for both databases."""
    for name, planted in PLANTED.items():
        yield pytest.param("sqlite", name, id=f"sqlite-{name}")
        marks = [pytest.mark.slow] if planted.kit == "undisturbed" else []
        yield pytest.param("postgres", name, id=f"postgres-{name}", marks=marks)


@pytest.mark.parametrize(("places", "name"), list(cases()), indirect=["places"])
def test_a_planted_bug_is_found(bench: Bench, name: str) -> None:
    sabotaged, planted = replace(bench, sabotage=name, workers=1), PLANTED[name]
    said: list[str] = []
    for complaints in KITS[planted.kit](sabotaged):
        said += complaints
        if any(planted.complaint in text for text in complaints):
            return
    pytest.fail(f"{name} was not found: {said[:3]}")
