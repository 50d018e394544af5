"""A store of every kind, with a clock that a test may set."""

from collections.abc import AsyncIterator

import pytest

from core.stores.opening import open_store
from core.stores.sql_store import SQLStore
from tests.stores import Wall


@pytest.fixture
def wall() -> Wall:
    return Wall()


@pytest.fixture
async def store(store_url: str, wall: Wall) -> AsyncIterator[SQLStore]:
    opened = await open_store(store_url, wall)
    yield opened
    await opened.close()
