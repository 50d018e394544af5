"""Nurseries and places, made once for each file of tests."""

from collections.abc import Iterator

import pytest

from tests.crash.killing import Nursery
from tests.crash.places import PostgresPlaces, SQLitePlaces
from tests.crash.trial import Bench, Places


@pytest.fixture(scope="module")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    made = Nursery(tmp_path_factory.mktemp("nursery"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def sqlite(tmp_path_factory: pytest.TempPathFactory) -> SQLitePlaces:
    return SQLitePlaces(tmp_path_factory.mktemp("sqlite"))


@pytest.fixture(scope="module")
def postgres(request: pytest.FixtureRequest) -> Iterator[PostgresPlaces]:
    made = PostgresPlaces(request.getfixturevalue("postgres_server"))
    yield made
    made.close()


@pytest.fixture(params=["sqlite", "postgres"])
def places(request: pytest.FixtureRequest) -> Places:
    found: Places = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="module")
def untraced(nursery: Nursery) -> str:
    """Why system calls cannot be counted here, or nothing."""
    return nursery.why_untraced()


@pytest.fixture
def bench(nursery: Nursery, places: Places, seed: int, untraced: str) -> Bench:
    """One worker or several, as the seed wants it."""
    return Bench(nursery, places, seed, workers=(1, 4, 8)[seed % 3], is_traced=not untraced)


@pytest.fixture
def _calls_fail(untraced: str) -> None:
    """For tests that make system calls fail."""
    if untraced:
        pytest.skip(untraced)
