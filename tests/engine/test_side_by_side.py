"""Jobs of one data type and interval side by side: none waits for another's history, and no window is bought twice."""

import random

import pytest
from engine_kit import NOW, Kit, ask

from core.engine.commands import Commands
from core.engine.engine import Engine
from core.errors import Transient
from core.events import JobChanged
from core.operations import Operation
from core.windows import iso
from tests.fakes import Call

pytestmark = pytest.mark.simulated

MINUTE, HOUR, DAY = 60, 3_600, 86_400
NAMES = ("BTC-USD", "ETH-USD", "SOL-USD")


def minutes(start: float, end: float, names: tuple[str, ...] = NAMES, **more: object) -> Operation:
    named = {"instrument": ",".join(names), "pair_limit": len(names)}
    return ask(**named, start=iso(start), end=iso(end), max_requests=100_000, **more)


def asked_for(kit: Kit) -> list[tuple[object, object]]:
    return [(call.key, call.window) for call in kit.source.history_calls()]


async def table(kit: Kit) -> list[tuple[object, ...]]:
    query = "SELECT instrument, ts, open, close, volume, closed FROM spot_ohlcv_1m ORDER BY instrument, ts"
    return await kit.query(query)


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_a_tail_ends_while_a_long_history_goes_on(kit: Kit) -> None:
    past = tuple(f"PAST{at}-USD" for at in range(10_000))
    kit.source.limits = {60: 300}
    async with Engine("e", kit.tools) as running:
        for name in NAMES:  # so that they are followed
            await running.wait(running.submit(minutes(NOW - 6 * HOUR, NOW - HOUR, (name,))))
        history = running.submit(minutes(NOW - 3 * DAY, NOW - 2 * DAY, past))
        await kit.clock.sleep(120)
        assert history.state in {"running", "waiting"}
        tail = running.submit(minutes(NOW - 6 * HOUR, NOW + DAY))
        await running.wait(tail)
        assert tail.state == "complete"
        assert history.finished is None
        assert history.windows_done < 2_000
        assert history.windows_total == 10_000
    assert len(asked_for(kit)) == len(set(asked_for(kit)))


async def test_two_that_want_the_same_share_the_calls(kit: Kit, clean: Kit) -> None:
    kit.source.latency = lambda: 5.0
    wanted = minutes(NOW - 2 * DAY, NOW - DAY)
    async with Engine("e", kit.tools) as running:
        first, second = running.submit(wanted), running.submit(wanted)
        await running.wait(first)
        await running.wait(second)
    await clean.run(wanted)
    assert await table(kit) == await table(clean)
    assert sorted(asked_for(kit)) == sorted(asked_for(clean))
    assert (first.state, second.state) == ("complete", "complete")
    assert first.counters.requests + second.counters.requests == len(asked_for(kit))
    assert first.windows_done == second.windows_done == first.windows_total
    rows = first.counters.rows_inserted + second.counters.rows_inserted
    assert rows == len(await table(kit))


async def test_who_waited_asks_when_the_other_one_fails(kit: Kit) -> None:
    kit.source.latency = lambda: 5.0
    wanted = minutes(NOW - 2 * HOUR, NOW - HOUR, NAMES[:1])
    async with Engine("e", kit.tools) as running:
        first = running.submit(wanted)
        await kit.clock.sleep(2)
        second = running.submit(wanted)
        await kit.clock.sleep(1)
        await Commands(running).handle("cancel", {"job": first.id})
        await running.wait(second)
        await running.wait(first)
    assert second.state == "complete"
    assert len(await table(kit)) == 60


async def test_jobs_do_not_wait_for_a_turn(kit: Kit) -> None:
    kit.source.latency = lambda: 5.0
    async with Engine("e", kit.tools) as running:
        jobs = [running.submit(minutes(NOW - at * DAY, NOW - (at - 1) * DAY)) for at in (3, 2)]
        for job in jobs:
            await running.wait(job)
    assert not any("for another job" in event.waiting for event in kit.said(JobChanged))


@pytest.mark.slow
@pytest.mark.parametrize("case", range(12))
async def test_whatever_jobs_overlap_the_table_is_the_same_and_no_window_is_answered_twice(
    kit: Kit, clean: Kit, case: int, seed: int
) -> None:
    """Random spans, groups, moments, latencies and faults; then one job alone over everything."""
    chance = random.Random(seed + case)
    kit.source.latency = lambda: chance.uniform(0.05, 6.0)
    answered: list[tuple[object, object]] = []

    def script(call: Call) -> Exception | None:
        if call.nth < 3 and chance.random() < 0.1:
            return Transient("lost")
        answered.append((call.key, call.window))
        return None

    kit.source.script = script
    async with Engine("e", kit.tools, concurrent_jobs=6) as running:
        jobs = []
        for _ in range(6):
            start = NOW - chance.randrange(3, 9) * DAY
            span = chance.choice([HOUR, 6 * HOUR, DAY, 2 * DAY])
            names = tuple(chance.sample(NAMES, chance.randint(1, 3)))
            order = chance.choice(["newest", "oldest"])
            jobs.append(running.submit(minutes(start, start + span, names, order=order)))
            await kit.clock.sleep(chance.choice([0.0, 0.5, 5.0, 30.0]))
        for job in jobs:
            await running.wait(job)
    assert {job.state for job in jobs} == {"complete"}, [job.errors for job in jobs]
    assert len(answered) == len(set(answered))
    inserted = sum(job.counters.rows_inserted for job in jobs)
    assert inserted == len(await table(kit))
    for job in jobs:
        assert job.windows_done == job.windows_total
        await clean.run(job.operation)
    assert await table(kit) == await table(clean)
