"""The daily batch run once an hour: what keeping lists spares, in calls as the vendor has logged them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from engine_kit import NOW, Kit
from gate_kit import Asked, Vendor

from core.batch import Batch, read_batch
from core.cache.memory import MemoryCache
from core.cache.read_through import ReadThrough
from core.engine.engine import Engine
from core.engine.job import Counters
from core.windows import iso

BATCH = Path(__file__).parents[2] / "sample_configs" / "batch_daily.json"
HOUR, RUNS, AWAY = 3_600, 24, 503
FAULTS: list[dict[str, Any]] = [
    {"path": "*/instruments", "every": 7, "status": AWAY},
    {"path": "*/historical/days", "every": 50, "status": AWAY},
]


class Figures(NamedTuple):
    """What one run asked for; by the log, a call that was answered with 503 is one that is tried again."""

    requests: int
    metadata_requests: int
    retries: int


def logged(calls: Sequence[Asked]) -> Figures:
    answered = [call for call in calls if call.status != AWAY]
    history = sum(call.is_history for call in answered)
    return Figures(history, len(answered) - history, len(calls) - len(answered))


def summed(counters: Sequence[Counters]) -> Figures:
    return Figures(*(sum(getattr(one, name) for one in counters) for name in Figures._fields))


class Day(NamedTuple):
    """24 runs, as their summaries say and as the sandbox has logged, and all of its calls for lists."""

    said: list[Figures]
    logged: list[Figures]
    lists: int


def hourly(enable_caching: bool, most: int | None) -> Batch:
    """The daily batch over bars of the last month only, of at most so many series an operation."""
    start = iso(NOW - 30 * 86_400)
    batch = read_batch(BATCH)
    smaller = [
        msgspec.structs.replace(
            one,
            enable_caching=enable_caching,
            start=None if one.is_metadata else start,
            pair_limit=one.pair_limit if one.is_metadata or most is None else most,
        )
        for one in batch.operations
    ]
    return msgspec.structs.replace(batch, operations=tuple(smaller))


async def day(kit: Kit, vendor: Vendor, batch: Batch, memory: MemoryCache | None = None) -> Day:
    """The batch by the hour, each time in an engine of its own on one store; with `memory` on one cache too."""
    found = Day([], [], 0)
    for hour in range(RUNS):
        await kit.clock.sleep(NOW + hour * HOUR - kit.clock.wall())
        kit.make_tools()
        if memory is not None:
            kit.tools = replace(kit.tools, cache=ReadThrough(memory, kit.clock, lambda: 0.5))
        mark = len(vendor.calls)
        found.said.append(summed(await run(kit, batch)))
        found.logged.append(logged(vendor.since(mark)))
    return found._replace(lists=sum(not call.is_history for call in vendor.calls))


async def run(kit: Kit, batch: Batch) -> list[Counters]:
    async with Engine("e", kit.tools) as engine:
        jobs = engine.submit_batch(batch)
        for job in jobs:
            await engine.wait(job)
            assert job.state in {"complete", "complete_with_gaps"}, job.errors
    return [job.counters for job in jobs]


async def compare(kit: Kit, clean: Kit, folder: Path, most: int | None, *, keeps_cache: bool) -> None:
    memory = MemoryCache(clock=kit.clock.monotonic) if keeps_cache else None
    cached = await day(kit, Vendor(kit, folder, FAULTS), hourly(True, most), memory)
    asking = await day(clean, Vendor(clean, folder, FAULTS), hourly(False, most))
    figures = f"calls for lists: {cached.lists} with a cache, {asking.lists} without\n{cached}\n{asking}"
    for each in (cached, asking):
        assert each.said == each.logged, figures
        assert sum(run.retries for run in each.said), figures
    assert cached.lists <= 0.1 * asking.lists, figures
    assert [run.requests for run in cached.said] == [run.requests for run in asking.said], figures


@pytest.mark.slow
async def test_a_batch_by_the_hour_asks_for_a_tenth_of_the_lists(kit: Kit, clean: Kit, tmp_path: Path) -> None:
    await compare(kit, clean, tmp_path, 4, keeps_cache=True)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("keeps_cache", [True, False], ids=["one cache", "the store alone"])
async def test_so_does_the_whole_batch(kit: Kit, clean: Kit, tmp_path: Path, keeps_cache: bool) -> None:
    await compare(kit, clean, tmp_path, None, keeps_cache=keeps_cache)
