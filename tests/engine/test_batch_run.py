"""Batches in the engine: side by side, under one budget, planned before anything is bought, stopped by a failure."""

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from engine_kit import Kit, ask

from core.batch import Batch
from core.engine.batch import quote_batch
from core.engine.commands import Commands
from core.engine.engine import Engine
from core.engine.job import Job
from core.errors import BudgetRefused, Rejected, RoomRefused
from core.operations import Operation
from core.sources import Instrument, Recorded
from core.windows import iso, parse_time

WEEK = {"start": "2025-06-01", "end": "2025-06-08"}
DAYS = {"interval": "1d", "start": "2025-01-01", "end": "2025-02-01"}


@asynccontextmanager
async def engine(kit: Kit) -> AsyncIterator[Engine]:
    async with Engine("e", kit.tools) as running:
        yield running


async def run(kit: Kit, operations: Sequence[Operation], **settings: object) -> list[Job]:
    """The jobs of a batch, ended."""
    batch = Batch(operations=tuple(operations), **settings)  # type: ignore[arg-type]
    async with engine(kit) as running:
        jobs = running.submit_batch(batch)
        for job in jobs:
            await running.wait(job)
        return jobs


def states(jobs: Sequence[Job]) -> list[str]:
    return [job.state for job in jobs]


def refusing(instrument: str, kit: Kit) -> None:
    """The vendor does not know `instrument`."""
    kit.source.script = lambda call: (
        Rejected("not found") if call.key is not None and call.key.instrument == instrument else None
    )


async def test_operations_run_side_by_side(kit: Kit) -> None:
    await run(kit, [ask(instrument="ETH-USD")])  # until the first answer one call goes ahead
    kit.source.latency = lambda: 5.0
    jobs = await run(kit, [ask(), ask(**DAYS), ask(interval="1h", **WEEK)])
    assert states(jobs) == ["complete"] * 3
    assert kit.source.most_in_flight == 3


async def test_what_two_operations_want_is_bought_once(kit: Kit) -> None:
    jobs = await run(kit, [ask(**WEEK), ask(start="2025-06-03", end="2025-06-10"), ask(**WEEK)])
    assert [job.counters.requests for job in jobs] == [6, 2, 0]
    assert len({(call.key, call.window) for call in kit.source.history_calls()}) == 8


async def test_a_failure_stops_what_has_not_started(kit: Kit) -> None:
    refusing("NO-SUCH", kit)
    bad, good = ask(instrument="NO-SUCH"), ask()
    jobs = await run(kit, [bad, good, ask(**DAYS)])
    # The third is of another interval: it ran beside the first.
    assert states(jobs) == ["failed", "cancelled", "complete"]
    assert jobs[1].errors == [f"not started: spot_ohlcv 1m ({jobs[0].id}) failed; go on with --continue_on_error"]
    assert jobs[1].counters.requests == 0
    assert states(await run(kit, [bad, good], continue_on_error=True)) == ["failed", "complete"]


async def test_a_batch_beyond_its_budget_buys_nothing(kit: Kit) -> None:
    jobs = await run(kit, [ask(**WEEK), ask(**DAYS)], max_requests=6)
    assert states(jobs) == ["failed", "cancelled"]
    assert isinstance(jobs[0].failure, BudgetRefused)
    assert jobs[0].errors == [
        "the plan needs 7 requests, --max_requests allows 6; "
        "see the plan with --dry_run, go ahead with --max_requests 7"
    ]
    assert jobs[1].errors == ["not started: the batch was refused"]
    assert kit.source.log == []
    assert states(await run(kit, [ask(**WEEK), ask(**DAYS)], max_requests=7)) == ["complete", "complete"]


async def test_a_refusal_is_not_an_error_to_continue_on(kit: Kit) -> None:
    jobs = await run(kit, [ask(**WEEK), ask(**DAYS)], max_requests=6, continue_on_error=True)
    assert states(jobs) == ["failed", "cancelled"]
    assert kit.source.log == []


async def test_the_default_share_counts_the_whole_batch(kit: Kit) -> None:
    kit.source.limits = {86_400: 61}
    await run(kit, [ask()])
    # Of the 60 that are left 6 may be spent unasked.
    jobs = await run(kit, [ask(**WEEK, instrument="ETH-USD"), ask(**DAYS)])
    assert "the plan needs 7 requests, the default share of what is left of the day allows 6" in jobs[0].errors[0]
    allowed = [ask(**WEEK, instrument="ETH-USD", max_requests=6), ask(**DAYS)]
    assert states(await run(kit, allowed)) == ["complete", "complete"]


async def test_an_operation_may_have_a_bound_of_its_own(kit: Kit) -> None:
    jobs = await run(kit, [ask(**WEEK, max_requests=5), ask(**DAYS)], max_requests=100)
    assert "--max_requests allows 5" in jobs[0].errors[0]
    assert kit.source.log == []


async def test_a_plan_that_would_fill_the_disk_is_refused(kit: Kit) -> None:
    kit.tools = replace(kit.tools, free_bytes=lambda: 1_000_000)
    for operations in ([ask(**WEEK)], [ask(**WEEK), ask(**DAYS)]):
        jobs = await run(kit, operations)
        assert isinstance(jobs[0].failure, RoomRefused)
        assert "1.0 MB free" in jobs[0].errors[0]
        assert "--db" in jobs[0].errors[0]
    assert kit.source.log == []
    assert states(await run(kit, [ask(), ask(**DAYS)])) == ["complete", "complete"]


async def test_what_cannot_be_planned_fails_alone(kit: Kit) -> None:
    listed = {"instrument": "NO-SUCH", "start": None, "end": None}
    jobs = await run(kit, [ask(**listed), ask(**DAYS)], continue_on_error=True)
    assert states(jobs) == ["failed", "complete"]
    assert "no such spot instrument" in jobs[0].errors[0]
    listings = [call for call in kit.source.log if call.what == "spot_instruments"]
    assert len(listings) == 1


async def test_listings_are_asked_for_once_by_all_jobs(kit: Kit) -> None:
    kit.source.latency = lambda: 3.0
    bitcoin = Instrument("kraken", "BTC-USD", "XXBTZUSD", "ACTIVE", "BTC", "USD", {"trades": Recorded()})
    kit.source.listed = {"kraken": [bitcoin]}
    ranked = {"instrument": None, "pair_limit": 1}
    jobs = await run(kit, [ask(**ranked, interval=interval) for interval in ("1d", "1h", "1m")])
    assert states(jobs) == ["complete"] * 3
    assert [call.what for call in kit.source.log if call.what != "history"] == ["spot_instruments", "asset_metadata"]
    assert [job.counters.metadata_requests for job in jobs] == [2, 0, 0]


def drawn(chance: random.Random) -> Operation:
    """An hour-bar operation over one of two instruments, of any span, breadth and treatment of what is stored."""
    first = parse_time("2025-01-01") + chance.randrange(150) * 86_400
    last = first + chance.randrange(1, 160) * 86_400
    return ask(
        interval="1h",
        instrument=chance.choice(["BTC-USD", "ETH-USD", "BTC-USD,ETH-USD"]),
        start=iso(first),
        end=iso(last) if chance.random() < 0.5 else "2025-12-31",
        groups=chance.choice([None, "OHLC", "ALL"]),
        recheck=chance.choice([0, 3, 200]),
        full_refresh=chance.random() < 0.2,
    )


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12))
async def test_the_quote_of_a_batch_is_its_bill_whatever_overlaps(kit: Kit, seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(3):
        batch = Batch(operations=tuple(drawn(chance) for _ in range(chance.randint(2, 5))))
        quote = await quote_batch(batch, kit.tools)
        sent = len(kit.source.history_calls())
        jobs = await run(kit, batch.operations)
        assert states(jobs) == ["complete"] * len(jobs)
        quoted = [need.plan.requests for need in quote.needs]
        assert [job.counters.requests for job in jobs] == quoted, f"seed {seed}"
        assert len(kit.source.history_calls()) - sent == sum(quoted), f"seed {seed}"
        assert [job.counters.rows_fetched for job in jobs] == [need.plan.rows for need in quote.needs], f"seed {seed}"
        await kit.clock.sleep(chance.choice([60, 4_000, 90_000]))


@pytest.mark.parametrize("when", ["planning", "running"])
async def test_a_batch_can_be_cancelled_whenever(kit: Kit, when: str) -> None:
    kit.source.latency = lambda: 10.0
    ranked = {"instrument": None, "start": None, "end": None}
    first = ask(**(ranked if when == "planning" else WEEK))
    async with engine(kit) as running:
        jobs = running.submit_batch(Batch(operations=(first, ask(**DAYS))))
        await kit.clock.sleep(5)
        await running.cancel_all()
        assert states(jobs) == ["cancelled"] * 2
    assert bool(kit.source.history_calls()) == (when == "running")


async def test_a_batch_over_the_socket_is_the_same_batch(kit: Kit) -> None:
    batch = Batch(operations=(ask(**WEEK), ask(**DAYS)), max_requests=6)
    async with engine(kit) as running:
        reply = await Commands(running).handle("submit_batch", batch.given())
        assert isinstance(reply, dict)
        jobs = [running.jobs[name] for name in reply["jobs"]]
        for job in jobs:
            await running.wait(job)
    assert [job.operation for job in jobs] == list(batch.operations)
    assert states(jobs) == ["failed", "cancelled"]
