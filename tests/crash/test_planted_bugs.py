"""Each bug that is planted is found by the kit that is meant to find its kind, on both databases."""

from collections.abc import Iterator

import pytest
from _pytest.mark import ParameterSet

from tests.crash.proving import complaints
from tests.crash.sabotage import PLANTED
from tests.crash.trial import Bench


def cases() -> Iterator[ParameterSet]:
    """What does not depend on transactions is the same code for both databases."""
    for name, planted in PLANTED.items():
        yield pytest.param("sqlite", name, id=f"sqlite-{name}")
        marks = [pytest.mark.slow] if planted.kit == "undisturbed" else []
        yield pytest.param("postgres", name, id=f"postgres-{name}", marks=marks)


@pytest.mark.parametrize(("places", "name"), list(cases()), indirect=["places"])
def test_a_planted_bug_is_found(bench: Bench, name: str) -> None:
    assert complaints(bench, name)


def test_there_are_enough_of_them() -> None:
    assert len(PLANTED) >= 20
