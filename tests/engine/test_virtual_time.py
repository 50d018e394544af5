"""The clock that these tests stand on."""

import asyncio
import time

from engine_kit import NOW, Kit

from tests.fakes import VirtualClock


async def test_an_hour_takes_a_moment() -> None:
    loop, started = asyncio.get_running_loop(), time.monotonic()
    before = loop.time()
    await asyncio.sleep(3_600)
    assert 3_600 <= loop.time() - before < 3_700
    assert time.monotonic() - started < 60


async def test_threads_are_waited_for_and_not_timed_out(kit: Kit) -> None:
    async with asyncio.timeout(5):
        for _ in range(50):
            assert await kit.query("SELECT 1") == [(1,)]


async def test_time_stands_still_while_a_thread_works(kit: Kit) -> None:
    loop = asyncio.get_running_loop()
    before = loop.time()
    slow = kit.store._db.run(lambda _db: time.sleep(0.1))
    impatient = asyncio.ensure_future(asyncio.sleep(3_600))
    await slow
    assert loop.time() - before < 60
    await impatient


async def test_wall_time_passes_with_the_loop() -> None:
    clock = VirtualClock(NOW)
    await clock.sleep(90)
    assert 90 <= clock.wall() - NOW < 100
    clock.set_wall(0)
    assert clock.wall() < 10
