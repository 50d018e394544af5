"""Calls in every kind of store: added, never replaced, whoever else adds to the same hour; old ones go."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from core.stores.database import Database
from core.stores.opening import open_store
from core.stores.sql_store import SQLStore
from core.stores.usage_sql import read_usage
from core.usage import DAY, HOUR, KEPT_SECONDS, Counted
from core.windows import Window
from tests.stores import KINDS, url_of

NOW = 1_749_999_600
EVER = Window(0, 2**40)


@pytest.fixture(params=KINDS)
def store_url(request: pytest.FixtureRequest) -> str:
    return url_of(request.param, request)


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[SQLStore]:
    opened = await open_store(store_url, lambda: float(NOW))
    yield opened
    await opened.close()


def sent(calls: int, hour: int = NOW, **fields: str) -> Counted:
    given = {"account": "me", "data_type": "spot_ohlcv", "reason": "tail", "label": "", **fields}
    return Counted(hour, *given.values(), calls)  # type: ignore[arg-type]


async def stored(store: SQLStore, span: Window = EVER) -> list[Counted]:
    def read(db: Database) -> list[Counted]:
        return read_usage(db, span)

    return await store._db.run(read)


async def test_calls_are_added_to_what_is_there(store: SQLStore) -> None:
    await store.journal([], [], [], [sent(2), sent(1, reason="gap"), sent(1, label="nightly")])
    await store.journal([], [], [], [sent(3), sent(1, account="other"), sent(7, NOW + HOUR)])
    assert await stored(store) == [
        sent(1, reason="gap"),
        sent(5),
        sent(1, label="nightly"),
        sent(1, account="other"),
        sent(7, NOW + HOUR),
    ]
    assert await stored(store, Window(NOW + 1, NOW + HOUR + 1)) == [sent(7, NOW + HOUR)]


async def test_many_add_to_one_hour_at_once(store: SQLStore) -> None:
    rows = [sent(1, reason=f"r{number}") for number in range(5)]
    await asyncio.gather(*(store.journal([], [], [], rows) for _ in range(10)))
    assert await stored(store) == [row._replace(calls=10) for row in rows]


async def test_days_are_summed_for_one_account(store: SQLStore) -> None:
    day = NOW // DAY * DAY
    await store.journal([], [], [], [sent(1, day), sent(2, day + 23 * HOUR), sent(4, day + DAY), sent(8, day - HOUR)])
    await store.journal([], [], [], [sent(16, day, account="other")])
    assert await store.calls_by_day("me", day) == {day: 3, day + DAY: 4}
    assert await store.calls_by_day("nobody", 0) == {}


async def test_what_is_older_than_is_kept_goes(store: SQLStore) -> None:
    old = NOW - KEPT_SECONDS
    await store.journal([], [], [], [sent(1, old - HOUR)])
    await store.journal([], [], [], [sent(1, old)])
    await store.journal([], [], [], [sent(1)])
    assert await stored(store) == [sent(1, old), sent(1)]
