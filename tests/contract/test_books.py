"""Where an account is kept, in a file, in PostgreSQL and in Valkey: one suite, whoever else exchanges meanwhile."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.ledger import ASK_SECONDS, CLAIM_SECONDS, Report, Told, read_limits
from core.limits import Figures
from core.stores.postgres import PostgresStore
from tests.contract.shelves import ACCOUNT, Shelf

HOUR, DAY = 3_600, 86_400
ROOT = Path(__file__).parent.parent.parent


def left(calls: int, age: float = 0.0, resets_in: int = 600) -> list[Told]:
    """Of 1,000 calls an hour so many are left."""
    return [Told({HOUR: Figures(1_000, calls, resets_in)}, age)]


@pytest.fixture(params=["file", "postgres", "valkey"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "file":
        return str(tmp_path / "state" / "quota.db")
    return str(request.getfixturevalue("redis_url" if request.param == "valkey" else "postgres_store_url"))


@pytest.fixture
async def shelf(address: str) -> AsyncIterator[Shelf]:
    made = Shelf(address)
    yield made
    await made.close()


def race(address: str) -> list[int]:
    """How many calls each of four processes claims that start to at the same time."""
    command = [sys.executable, "-m", "tests.contract.shelves", address]
    racers = [
        subprocess.Popen([*command, f"e{at}"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for at in range(4)
    ]
    try:
        assert [racer.stdout.readline() for racer in racers if racer.stdout] == ["ready\n"] * 4
        for racer in racers:
            assert racer.stdin
            racer.stdin.write("go\n")
            racer.stdin.flush()
        return [int(racer.communicate()[0]) for racer in racers]
    finally:
        for racer in racers:
            racer.kill()
            racer.communicate()


@pytest.mark.slow
async def test_calls_are_claimed_once_however_many_processes_claim(shelf: Shelf) -> None:
    first = await shelf.book("first")
    await first.exchange(Report(0, told=left(400)), 0)
    counts = await asyncio.to_thread(race, shelf.address)
    assert sum(counts) == 400
    assert (await first.exchange(Report(0), 1)).calls == 0


async def test_in_one_process_too(shelf: Shelf) -> None:
    books = [await shelf.book(name) for name in ("one", "two", "three")]
    await books[0].exchange(Report(0, told=left(40)), 0)

    async def claim_all(at: int) -> int:
        mine = 0
        for _ in range(30):
            mine += (await books[at].exchange(Report(mine), 1)).calls
        return mine

    claimed = await asyncio.gather(*(claim_all(at) for at in range(3)))
    assert sum(claimed) == 40
    has_some = next(at for at in range(3) if claimed[at])
    await books[has_some].exchange(Report(claimed[has_some] - 1), 0)
    assert (await books[has_some].exchange(Report(claimed[has_some] - 1), 1)).calls == 1


async def test_accounts_do_not_know_of_each_other(shelf: Shelf) -> None:
    one, other = await shelf.book("one"), await shelf.book("one", "0123456789abcdef at data-api.example")
    await one.exchange(Report(0, told=left(0)), 0)
    assert (await one.exchange(Report(0), 1)).window == "hour"
    assert (await other.exchange(Report(0), 1)).calls == 1


async def test_while_nothing_is_known_one_call_goes_ahead_for_all(shelf: Shelf) -> None:
    one, two = await shelf.book("one"), await shelf.book("two")
    assert (await one.exchange(Report(0), 32)).calls == 1
    assert (await two.exchange(Report(0), 32)).calls == 0
    await one.exchange(Report(0, told=left(500)), 0)
    assert (await two.exchange(Report(0), 32)).calls == 32


async def test_claims_of_dead_engines_end(shelf: Shelf) -> None:
    dead, alive = await shelf.book("dead"), await shelf.book("alive")
    await dead.exchange(Report(8, told=left(10)), 0)
    assert (await alive.exchange(Report(2), 1)).calls == 0
    shelf.pass_(CLAIM_SECONDS + 1)
    # Nobody knows what it had sent of them, before an answer tells.
    assert (await alive.exchange(Report(2), 1)).calls == 0
    assert (await alive.exchange(Report(0, told=left(9)), 32)).calls > 1
    assert (shelf.claims.keys(), shelf.account.lost) == ({"alive"}, [])


async def test_a_pause_is_for_everybody(shelf: Shelf) -> None:
    one, two = await shelf.book("one"), await shelf.book("two")
    await one.exchange(Report(0, told=left(500), pause=30), 0)
    grant = await two.exchange(Report(0), 32)
    assert (grant.calls, grant.window) == (0, "vendor")
    assert 0 < grant.wait <= 30
    shelf.pass_(31)
    assert (await two.exchange(Report(0), 32)).calls == 32


async def test_figures_that_are_told_late(shelf: Shelf) -> None:
    one, two = await shelf.book("one"), await shelf.book("two")
    await one.exchange(Report(0, told=left(50, age=30)), 0)
    [limit] = await read_limits(two)
    assert (limit.remaining, 560 < limit.resets_at <= 570) == (50, True)
    await two.exchange(Report(0, told=left(70)), 0)
    assert [limit.remaining for limit in await read_limits(one)] == [50], "an answer from before"


async def test_who_reads_the_limits_claims_nothing_and_harms_nobody(shelf: Shelf) -> None:
    one, reader = await shelf.book("one"), await shelf.book("reader")
    assert list(await read_limits(reader)) == []
    await one.exchange(Report(3, told=left(50)), 0)
    assert [(limit.name, limit.remaining) for limit in await read_limits(reader)] == [("hour", 47)]
    assert shelf.claims == {"one": 3}


async def test_the_vendor_is_asked_for_limits_once_an_hour_by_all_engines(shelf: Shelf) -> None:
    one, two = await shelf.book("one"), await shelf.book("two")
    asks = Report(0, asks=True)
    assert (await one.exchange(asks, 0)).may_ask
    assert not (await two.exchange(asks, 0)).may_ask
    shelf.pass_(ASK_SECONDS)
    assert (await two.exchange(asks, 0)).may_ask
    await two.exchange(Report(0, told=left(50)), 0)
    shelf.pass_(ASK_SECONDS)
    assert not (await one.exchange(asks, 0)).may_ask


@pytest.mark.parametrize("ahead", [DAY, 30 * 365 * DAY])
async def test_after_the_clock_was_ahead_a_limit_blocks_no_longer_than_it_lasts(shelf: Shelf, ahead: int) -> None:
    one = await shelf.book("one")
    await one.exchange(Report(0, told=left(0)), 0)
    shelf.pass_(-ahead)
    grant = await one.exchange(Report(0), 1)
    assert (grant.calls, grant.window) == (0, "hour")
    assert 0 < grant.wait <= HOUR
    shelf.pass_(HOUR)
    assert (await one.exchange(Report(0), 1)).calls == 1


@pytest.mark.parametrize("state", ['{"limits": 5}', "nonsense", "", "[]"])
async def test_what_another_version_has_written_is_learned_anew(shelf: Shelf, state: str) -> None:
    one = await shelf.book("one")
    await one.exchange(Report(0, told=left(0)), 0)
    shelf.keep(state.encode())
    assert (await one.exchange(Report(0), 5)).calls == 1


async def test_who_may_only_read_a_database_counts_by_itself(postgres_store_url: str) -> None:
    store = await PostgresStore.open_to_plan(postgres_store_url)
    assert store.book(ACCOUNT) is None
    await store.close()
