"""Nurseries and places, made once for each file of tests."""

from collections.abc import Iterator

import pytest

from tests.crash.killing import Nursery, can_trace
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


@pytest.fixture(scope="session")
def tracing() -> str:
    """Why system calls cannot be counted here, or nothing."""
    return can_trace()


@pytest.fixture
def bench(nursery: Nursery, places: Places, seed: int, tracing: str) -> Bench:
    """One worker or several, as the seed wants it."""
    return Bench(nursery, places, seed, workers=(1, 4, 8)[seed % 3], is_traced=not tracing)


@pytest.fixture
def _calls_fail(tracing: str) -> None:
    """For tests that make system calls fail."""
    if tracing:
        pytest.skip(tracing)
