"""Every call that an engine sends is in the table `usage`, once, under what it was for."""

import asyncio
from typing import Any

from engine_kit import NOW, Kit, ask
from test_engine import with_failing

from core.engine.engine import Engine
from core.engine.metadata import metered_listings
from core.errors import StoreError, Transient

HOUR = NOW // 3_600 * 3_600
BY_REASON = "SELECT data_type, reason, label, sum(calls) FROM usage GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"


async def written(kit: Kit) -> list[tuple[Any, ...]]:
    return await kit.query(BY_REASON)


async def test_calls_of_a_run_are_written_by_reason_and_label(kit: Kit) -> None:
    async with Engine("e", kit.tools) as engine:
        await engine.wait(engine.submit(ask(label="nightly")))
        await engine.wait(engine.submit(ask(instrument=None, pair_limit=1, interval="1d", end=None)))
    found = await written(kit)
    assert ("spot_ohlcv", "backfill", "nightly", 1) in found
    assert {row[1] for row in found if row[0] == "spot_instruments"} == {"listing"}
    assert sum(row[3] for row in found) == kit.source.calls
    assert await kit.query("SELECT DISTINCT hour, account FROM usage") == [(HOUR, "")]


async def test_calls_that_fail_and_their_retries_count(kit: Kit) -> None:
    kit.source.script = lambda call: Transient("lost") if call.nth < 3 else None
    async with Engine("e", kit.tools) as engine:
        job = engine.submit(ask())
        await engine.wait(job)
    assert (job.counters.requests, job.counters.retries) == (1, 2)
    assert await written(kit) == [("spot_ohlcv", "backfill", "", 3)]


async def test_what_the_vendor_is_asked_beside_series(kit: Kit) -> None:
    await metered_listings(kit.tools, lambda _waiting: None, "x").rate_limit()
    async with Engine("e", kit.tools) as engine:
        await engine.flush()
    assert await written(kit) == [("", "limits", "x", 1)]


async def test_a_journal_that_fails_for_a_while_loses_no_call(kit: Kit) -> None:
    failing = with_failing(kit, "journal")
    failing.broken = False
    async with Engine("e", kit.tools) as engine:
        kit.source.latency = lambda: 10.0
        job = engine.submit(ask())
        await kit.clock.sleep(5)
        failing.broken = True
        await engine.wait(job)
        for _ in range(3):
            try:
                await engine.flush()
            except StoreError:
                continue
        failing.broken = False
    assert await written(kit) == [("spot_ohlcv", "backfill", "", 1)]
    assert kit.tools.permits.usage.in_month(NOW) == 1


async def test_a_flush_that_nobody_waits_for_any_more_counts_once(kit: Kit) -> None:
    async with Engine("e", kit.tools) as engine:
        await metered_listings(kit.tools, lambda _waiting: None).rate_limit()
        flush = asyncio.create_task(engine.flush())
        await asyncio.sleep(0)
        flush.cancel()
        await asyncio.gather(flush, return_exceptions=True)
        assert flush.cancelled()
    assert await written(kit) == [("", "limits", "", 1)]


async def test_an_engine_hears_of_the_calls_of_others(kit: Kit) -> None:
    async with Engine("one", kit.tools) as engine:
        other = Engine("other", kit.make_tools())
        await metered_listings(other.tools, lambda _waiting: None).rate_limit()
        await other.flush()
        await kit.clock.sleep(61)
        assert engine.tools.permits.usage.in_month(NOW) == 1
