"""The ledger of an account in PostgreSQL: claims are atomic, whoever else claims at the same time."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from core.ledger import Report, Told
from core.limits import Figures
from core.stores.postgres import PostgresStore
from tests.services import run_sql

ACCOUNT = "no key at 127.0.0.1:1"


def left(calls: int) -> list[Told]:
    return [Told({3_600: Figures(100, calls, 600)}, 0.0)]


@pytest.fixture
async def stores(postgres_store_url: str) -> AsyncIterator[list[PostgresStore]]:
    made = [await PostgresStore.open(postgres_store_url, name=name) for name in ("one", "two", "three")]
    yield made
    for store in made:
        await store.close()


async def test_calls_are_claimed_once_however_many_claim(stores: list[PostgresStore]) -> None:
    books = [book for store in stores if (book := store.book(ACCOUNT)) is not None]
    await books[0].exchange(Report(0, told=left(40)), 0)

    async def claim_all(at: int) -> int:
        mine = 0
        for _ in range(60):
            mine += (await books[at].exchange(Report(mine), 1)).calls
        return mine

    claimed = await asyncio.gather(*(claim_all(at) for at in range(3)))
    assert sum(claimed) == 40
    refused = await books[0].exchange(Report(claimed[0]), 1)
    assert refused[:1] == (0,)
    has_some = next(at for at in range(3) if claimed[at])
    await books[has_some].exchange(Report(claimed[has_some] - 1), 0)
    assert (await books[has_some].exchange(Report(claimed[has_some] - 1), 1)).calls == 1


async def test_accounts_do_not_know_of_each_other(stores: list[PostgresStore]) -> None:
    one, other = stores[0].book(ACCOUNT), stores[0].book("0123456789abcdef at data-api.example")
    assert one is not None
    assert other is not None
    await one.exchange(Report(0, told=left(0)), 0)
    assert (await one.exchange(Report(0), 1)).window == "hour"
    assert (await other.exchange(Report(0), 1)).calls == 1


async def test_what_another_version_has_written_is_learned_anew(
    stores: list[PostgresStore], postgres_store_url: str
) -> None:
    book = stores[0].book(ACCOUNT)
    assert book is not None
    await book.exchange(Report(0, told=left(0)), 0)
    run_sql(postgres_store_url, """UPDATE tapewatch.quota SET state = '{"limits": 5}'""")
    assert (await book.exchange(Report(0), 5)).calls == 1


async def test_who_may_only_read_counts_by_itself(postgres_store_url: str) -> None:
    store = await PostgresStore.open_to_plan(postgres_store_url)
    assert store.book(ACCOUNT) is None
    await store.close()
