"""Engine tests run on virtual time: an hour of waiting takes a moment, and times can be asserted exactly."""

from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial

import pytest
from engine_kit import NOW, Kit

from core.stores.sqlite import SQLiteStore
from tests.fakes import VirtualClock, VirtualTimeLoop, waited_for


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], VirtualTimeLoop]]:
    return {"virtual": partial(VirtualTimeLoop, 0.002)}


@pytest.fixture
async def kit() -> AsyncIterator[Kit]:
    clock = VirtualClock(NOW)
    store = await SQLiteStore.open("sqlite:///:memory:", clock.wall)
    yield Kit(waited_for(store), clock)
    await store.close()
