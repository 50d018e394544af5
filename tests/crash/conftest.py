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


@pytest.fixture
def bench(nursery: Nursery, places: Places, seed: int) -> Bench:
    """One worker or several, as the seed wants it."""
    return Bench(nursery, places, seed, workers=1 + seed % 3)


@pytest.fixture(scope="session")
def _tracing() -> str:
    return can_trace()


@pytest.fixture
def tracing(_tracing: str) -> None:
    """For tests that count system calls; where that is not allowed, those of the failpoints do what they can."""
    if _tracing:
        pytest.skip(_tracing)
