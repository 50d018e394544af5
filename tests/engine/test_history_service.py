"""The history that an engine writes of itself: once a minute and at the end, and it goes on after a restart."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from engine_kit import NOW, Kit, ask

from core.engine.engine import Engine
from core.engine.figures import EngineFigures
from core.engine.history import History
from core.errors import StoreError
from core.history import HOUR, MINUTE, Recorder, Sample, performance
from core.stores.sample_sql import read_samples
from core.windows import Window

SPAN = Window(NOW - HOUR, NOW + 48 * HOUR)


@asynccontextmanager
async def remembered(kit: Kit) -> AsyncIterator[Engine]:
    figures, recorder = EngineFigures(), Recorder()
    kit.make_tools()
    kit.tools.telemetry.add(recorder.hear)
    async with Engine("e", kit.tools, services=[figures, History(recorder, figures)]) as engine:
        yield engine


async def samples(kit: Kit, seconds: int) -> list[Sample]:
    return await kit.store._db.run(read_samples, seconds, SPAN)


async def test_a_short_run_is_remembered(kit: Kit) -> None:
    async with remembered(kit) as engine:
        await engine.wait(engine.submit(ask()))
    for seconds in (MINUTE, HOUR):
        found = {(entry.operation, entry.kind): entry for entry in performance(await samples(kit, seconds), 60)}
        assert found["api", "history"].count == len(kit.source.history_calls()) == 1
        assert found["job", "spot_ohlcv"].success == 1.0


async def test_runs_add_up_over_restarts(kit: Kit) -> None:
    for day in range(1, 4):
        async with remembered(kit) as engine:
            await engine.wait(engine.submit(ask(start=f"2025-06-0{day}T00:00", end=f"2025-06-0{day}T10:00")))
    [api] = [entry for entry in performance(await samples(kit, HOUR), 60) if entry.operation == "api"]
    assert api.count == len(kit.source.history_calls()) == 3


@pytest.mark.slow
async def test_every_minute_has_its_figures(kit: Kit) -> None:
    async with remembered(kit) as engine:
        await engine.wait(engine.submit(ask()))
        await asyncio.sleep(10 * MINUTE)
    minutes = [found.at for found in await samples(kit, MINUTE) if found.name == "tapewatch_freshness_seconds"]
    assert len(minutes) in {9, 10, 11}
    assert minutes == list(range(minutes[0], minutes[-1] + MINUTE, MINUTE)), "none is left out, none comes twice"
    cpu = [found for found in await samples(kit, HOUR) if found.name == "process_cpu_seconds_total"]
    assert sum(found.total for found in cpu) > 0
    ages = [found for found in await samples(kit, MINUTE) if found.name == "tapewatch_freshness_seconds"]
    assert ages[-1].newest > ages[0].newest >= 7 * HOUR


@pytest.mark.slow
async def test_what_cannot_be_written_now_is_written_later(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    record, refusals = kit.store.record, iter([True, True])

    async def refusing(found: list[Sample]) -> None:
        if next(refusals, False):
            raise StoreError("no")
        await record(found)

    monkeypatch.setattr(kit.store, "record", refusing)
    async with remembered(kit) as engine:
        await engine.wait(engine.submit(ask()))
        await asyncio.sleep(6 * MINUTE)
        assert engine.supervisor.restarts == {"history": 2}
    [api] = [entry for entry in performance(await samples(kit, HOUR), 60) if entry.operation == "api"]
    assert api.count == 1, "not lost, and not twice"


@pytest.mark.slow
async def test_waits_for_a_limit_are_counted(kit: Kit) -> None:
    kit.source.limits = {60: 3}
    figures = EngineFigures()
    async with Engine("e", kit.tools, services=[figures]) as engine:
        started = kit.clock.monotonic()
        await engine.wait(engine.submit(ask(start="2025-06-05T00:00", end="2025-06-15T00:00")))
        took = kit.clock.monotonic() - started
        families = {family.name: family for family in figures()}
    [(labels, waited)] = families["tapewatch_rate_limit_wait_seconds_total"].values
    assert labels == ("minute",)
    assert 0.5 * took < waited <= took
    assert dict(families["tapewatch_quota_limit_calls"].values)["minute",] == 3
