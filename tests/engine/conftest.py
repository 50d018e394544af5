"""Engine tests run on virtual time: an hour of waiting takes a moment, and times can be asserted exactly."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial

import pytest
from engine_kit import NOW, Kit

from core.stores.sqlite import SQLiteStore
from tests.fakes import SimulatedLoop, VirtualClock, VirtualTimeLoop, waited_for


def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, Callable[[], VirtualTimeLoop]]:
    if item.get_closest_marker("simulated"):
        return {"simulated": SimulatedLoop}
    return {"virtual": partial(VirtualTimeLoop, 0.002)}


@asynccontextmanager
async def fresh() -> AsyncIterator[Kit]:
    clock = VirtualClock(NOW)
    store = await SQLiteStore.open("sqlite:///:memory:", clock.wall)
    yield Kit(waited_for(store), clock)
    await store.close()


@pytest.fixture
async def kit() -> AsyncIterator[Kit]:
    async with fresh() as made:
        yield made


@pytest.fixture
async def clean() -> AsyncIterator[Kit]:
    """A second one, to compare with."""
    async with fresh() as made:
        yield made
