"""One delivery over a PostgreSQL store, which engines share."""

from collections.abc import AsyncIterator
from typing import cast

import pytest
from delivery_kit import Receiver, Sending
from engine_kit import NOW, Kit

from core.stores.opening import open_store
from core.stores.sqlite import SQLiteStore
from tests.fakes import VirtualClock, waited_for


@pytest.fixture
async def shared(postgres_store_url: str) -> AsyncIterator[Kit]:
    clock = VirtualClock(NOW)
    store = cast("SQLiteStore", await open_store(postgres_store_url, clock.wall, "e"))
    yield Kit(waited_for(store), clock)
    await store.close()


@pytest.mark.slow
async def test_engines_that_share_a_store_tell_everything_once(shared: Kit) -> None:
    first, second = Receiver(shared), Receiver(shared)
    one, other = Sending(shared, first), Sending(shared, second)
    await one.start()
    await other.start()
    other.engine.name = "other"
    for number in range(5):
        one.fire("ill", f"a{number}", "CRITICAL")
        other.fire("mad", f"b{number}", "CRITICAL")
        await one.write()
        await other.write()
        await shared.clock.sleep(130)
    await shared.clock.sleep(300)
    told = [*first.told(), *second.told()]
    assert sorted(told) == sorted([(f"{name}{number}", "fired") for name in "ab" for number in range(5)])
    assert not (first.told() and second.told())
    assert {state for *_, state in await one.states()} == {"sent"}
    await one.stop()
    await other.stop()
