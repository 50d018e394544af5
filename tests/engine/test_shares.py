"""Engines side by side on one PostgreSQL: each window is bought once, and what others have is waited for."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from engine_kit import NOW, Kit, ask

from core.datasets import SeriesKey
from core.engine.commands import Commands
from core.engine.engine import Engine
from core.engine.job import Job
from core.events import JobChanged
from core.stores import lease_sql
from core.stores.lock import Holder
from core.stores.postgres import PostgresStore
from core.windows import Window
from tests.fakes import Call, VirtualClock, waited_for
from tests.services import run_sql

PAIRS = ("BTC-USD", "ETH-USD", "SOL-USD", "XRP-USD")
WAITS = "for 1 series of {} (elsewhere, pid 7)"
DAY = {"start": "2025-06-14", "end": "2025-06-15"}


class Side:
    """One engine of several, over a vendor of its own that tells what was asked here."""

    def __init__(self, name: str, kit: Kit) -> None:
        self.name = name
        self.kit = kit
        self.engine = Engine(name, kit.tools)

    @property
    def source(self) -> Any:
        return self.kit.source

    async def run(self, **fields: Any) -> Job:
        job = self.engine.submit(ask(**fields))
        await self.engine.wait(job)
        return job

    def waited(self) -> list[str]:
        return [event.waiting for event in self.kit.said(JobChanged) if event.waiting]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Until something that the engine publishes makes it true."""
        heard = asyncio.Event()
        self.kit.bus.listen(lambda _event: heard.set())
        async with asyncio.timeout(600):
            while not condition():
                heard.clear()
                await heard.wait()


class Sides:
    def __init__(self, url: str) -> None:
        self.url = url
        self.clock = VirtualClock(NOW)
        self._open: list[Side] = []

    async def engine(self, name: str) -> Side:
        store = await PostgresStore.open(self.url, self.clock.wall, name=name)
        await store.enter(Holder(7, "command", "", 1, 4e9, name=name, host="elsewhere"), "1.0")
        run_sql(self.url, "UPDATE tapewatch.engine SET machine = 'elsewhere'")
        side = Side(name, Kit(waited_for(store), self.clock))
        self._open.append(side)
        await side.engine.__aenter__()
        return side

    def end_leases(self, owner: str) -> None:
        run_sql(self.url, "UPDATE tapewatch.lease SET until = 1 WHERE owner = $1", owner)

    def bars(self) -> int:
        return int(run_sql(self.url, "SELECT count(*) FROM tapewatch.spot_ohlcv")[0][0])

    async def close(self) -> None:
        for side in self._open:
            await side.engine.__aexit__()
            await side.kit.store.close()


@pytest.fixture
async def sides(postgres_store_url: str) -> AsyncIterator[Sides]:
    made = Sides(postgres_store_url)
    yield made
    await made.close()


def asked(*sides: Side) -> list[tuple[SeriesKey | None, Window | None]]:
    return [(call.key, call.window) for side in sides for call in side.source.history_calls()]


async def test_jobs_that_overlap_buy_each_window_once(sides: Sides) -> None:
    one, two = await sides.engine("one"), await sides.engine("two")
    jobs = await asyncio.gather(
        one.run(instrument=",".join(PAIRS[:3]), **DAY), two.run(instrument=",".join(PAIRS[1:]), **DAY)
    )
    assert [job.state for job in jobs] == ["complete", "complete"]
    assert len(asked(one, two)) == len(set(asked(one, two))) == 4
    assert sides.bars() == 4 * 1_440
    assert sum(job.counters.rows_inserted for job in jobs) == 4 * 1_440
    assert [job.windows_done for job in jobs] == [job.windows_total for job in jobs]
    assert all(entry.word == "done" for job in jobs for entry in job.progress.values())


async def test_who_waits_says_for_whom_and_plans_anew(sides: Sides) -> None:
    """It finds the work done, and is complete without a call."""
    one, two = await sides.engine("one"), await sides.engine("two")
    one.source.latency = lambda: 10.0
    first = asyncio.create_task(one.run())
    await one.until(lambda: bool(asked(one)))
    second = await two.run()
    assert WAITS.format("one") in two.waited()
    assert "" not in two.waited()
    assert (await first).counters.requests == 1
    assert (second.state, second.counters.requests, second.waiting) == ("complete", 0, "")
    assert second.windows_done == second.windows_total == 0


@pytest.mark.slow
async def test_what_is_free_comes_first(sides: Sides) -> None:
    one, two = await sides.engine("one"), await sides.engine("two")
    one.source.latency = lambda: 30.0
    first = asyncio.create_task(one.run(instrument="BTC-USD"))
    await one.until(lambda: bool(asked(one)))
    second = asyncio.create_task(two.run(instrument="BTC-USD,ETH-USD"))
    await two.until(lambda: WAITS.format("one") in two.waited())
    assert [key.instrument for key, _ in asked(two) if key] == ["ETH-USD"]
    assert [(await first).state, (await second).state] == ["complete", "complete"]
    assert len(asked(one, two)) == 2


@pytest.mark.slow
async def test_a_lease_lost_in_the_middle_leads_to_another_share(sides: Sides) -> None:
    """Another engine takes the series over while one is paused; what it bought is refused, and nothing is lost."""
    one, two = await sides.engine("one"), await sides.engine("two")
    thief = await PostgresStore.open(sides.url, name="thief")

    def steal(call: Call) -> None:
        if call.number == 1:
            sides.end_leases("one")
            run_sql(sides.url, "UPDATE tapewatch.lease SET owner = 'thief', epoch = epoch + 1, until = 1e12")

    one.source.script = steal
    job = one.engine.submit(ask(**DAY))
    await one.until(lambda: "for 1 series of thief" in one.waited())
    assert sides.bars() == 0
    sides.end_leases("thief")
    await one.engine.wait(job)
    assert (job.state, job.counters.requests, job.counters.rows_inserted) == ("complete", 2, 1_440)
    assert (job.windows_done, job.windows_failed, job.errors) == (1, 0, [])
    assert sides.bars() == 1_440
    assert (await two.run(**DAY)).counters.requests == 0
    await thief.close()


async def test_what_was_lost_is_not_asked_for_any_more(sides: Sides) -> None:
    """A renewal tells that the lease is gone: the windows that are left cost nothing."""
    one = await sides.engine("one")
    one.source.latency = lambda: 20.0
    job = one.engine.submit(ask(start="2025-06-01", end="2025-06-15", parallel_workers=1))
    await one.until(lambda: len(asked(one)) == 1)
    run_sql(sides.url, "UPDATE tapewatch.lease SET owner = 'thief', epoch = epoch + 1, until = 1e12")
    await one.until(lambda: "for 1 series of thief" in one.waited())
    assert len(asked(one)) == 1
    await Commands(one.engine).handle("cancel", {"job": job.id})
    await one.engine.wait(job)
    assert job.state == "cancelled"
    assert sides.bars() == 0


@pytest.mark.slow
async def test_a_job_that_waits_for_others_can_be_cancelled(sides: Sides) -> None:
    one, two = await sides.engine("one"), await sides.engine("two")
    one.source.latency = lambda: 60.0
    first = asyncio.create_task(one.run())
    await one.until(lambda: bool(asked(one)))
    second = two.engine.submit(ask())
    await two.until(lambda: WAITS.format("one") in two.waited())
    await Commands(two.engine).handle("cancel", {"job": second.id})
    await two.engine.wait(second)
    assert (second.state, second.waiting, asked(two)) == ("cancelled", "", [])
    assert (await first).state == "complete"
    owners = run_sql(sides.url, f"SELECT owner FROM tapewatch.lease WHERE until > {lease_sql.NOW}")
    assert owners == []


@pytest.mark.slow
async def test_a_job_that_waits_for_others_can_be_held_and_resumed(sides: Sides) -> None:
    one, two = await sides.engine("one"), await sides.engine("two")
    one.source.script = lambda call: RuntimeError("ends without having asked") if call.number == 1 else None
    one.source.latency = lambda: 60.0
    first = asyncio.create_task(one.run())
    await one.until(lambda: bool(asked(one)))
    second = two.engine.submit(ask())
    await two.until(lambda: WAITS.format("one") in two.waited())
    await Commands(two.engine).handle("hold", {"job": second.id})
    assert (await first).state == "failed"
    await two.until(lambda: second.state == "held")
    assert asked(two) == []
    await Commands(two.engine).handle("resume", {"job": second.id})
    await two.engine.wait(second)
    assert (second.state, second.counters.requests) == ("complete", 1)


async def test_a_series_that_is_dropped_while_it_is_waited_for_is_waited_for_no_more(sides: Sides) -> None:
    two = await sides.engine("two")
    [state] = await two.kit.store.series("coindesk", [SeriesKey("spot_ohlcv", "kraken", "BTC-USD", "1m")])
    run_sql(sides.url, "INSERT INTO tapewatch.lease VALUES ($1, 'thief', 1, 1e12)", state.id)
    job = two.engine.submit(ask())
    await two.until(lambda: "for 1 series of thief" in two.waited())
    run_sql(sides.url, "DELETE FROM tapewatch.series")
    await two.engine.wait(job)
    assert (job.state, job.counters.requests, job.windows_done, job.windows_total) == ("complete", 0, 0, 0)


async def test_a_list_that_another_engine_reads_is_not_read_again(sides: Sides) -> None:
    one, two = await sides.engine("one"), await sides.engine("two")
    lists = {"data_type": "exchange_metadata", "market": None, "instrument": None, "interval": None}
    lists |= {"start": None, "end": None, "exchange_type": "spot"}
    one.source.latency = lambda: 10.0
    first = asyncio.create_task(one.run(**lists))
    await one.until(lambda: bool(one.source.log))
    second = await two.run(**lists)
    assert WAITS.format("one") in two.waited()
    assert ((await first).state, second.state) == ("complete", "complete")
    assert len(one.source.log) == 1
    assert two.source.log == []
    assert (second.windows_done, second.windows_total) == (0, 0)
    forced = await two.run(**lists, full_refresh=True)
    assert (forced.state, len(two.source.log)) == ("complete", 1)
