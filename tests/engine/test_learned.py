"""What detectors have learned outlives the engine: the next one goes on where it ended."""

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from engine_kit import Kit, ask

from core.engine import baselines
from core.engine.baselines import Baselines
from core.engine.engine import Engine
from core.errors import StoreError
from core.findings import Learned
from core.monitoring.anomalies import Anomaly, Detector, Observation
from core.monitoring.anomalies.runs import Runs
from core.monitoring.anomalies.seasonal import Seasonal
from core.monitoring.anomalies.silence import Silence
from core.monitoring.anomalies.watch import Watch
from core.stores.sql_store import SQLStore
from core.windows import parse_time

BEGIN, MOMENT, END = "2025-06-15T05:00", "2025-06-15T10:57", "2025-06-15T11:00"
FOUND = "SELECT check_name, start, \"end\" FROM finding WHERE check_name LIKE 'anomaly_%'"
SERIES = ("spot_ohlcv/kraken", "BTC-USD/1m")


class Counting(Runs):
    """How many observations it was told."""

    def __init__(self) -> None:
        super().__init__()
        self.told = 0

    def observe(self, batch: Sequence[Observation]) -> list[Anomaly]:
        self.told += len(batch)
        return super().observe(batch)


def noisy(kit: Kit) -> None:
    """Volumes that differ, and in the last three minutes are hundreds of times as large."""
    dice, moment = random.Random(5), parse_time(MOMENT)
    minutes = range(parse_time(BEGIN), parse_time(END), 60)
    kit.source.versions = {ts: dice.randrange(1, 9) if ts < moment else 3_000 for ts in minutes}


@asynccontextmanager
async def engine_of(kit: Kit, name: str = "runs") -> AsyncIterator[tuple[Engine, Counting]]:
    counting = Counting()
    detectors: dict[str, Detector] = {"seasonal": Seasonal(), "silence": Silence(), name: counting}
    watch = Watch(detectors, lambda which, defect: pytest.fail(f"{which}: {defect}"))
    kit.tools = replace(kit.make_tools(), watch=watch)
    async with Engine("e", kit.tools, services=[Baselines(watch)]) as engine:
        yield engine, counting


async def ingest(engine: Engine, start: str, end: str) -> None:
    await engine.wait(engine.submit(ask(start=start, end=end)))


async def test_after_a_restart_is_found_what_would_have_been_found_without(kit: Kit, clean: Kit) -> None:
    for each in (kit, clean):
        noisy(each)
    async with engine_of(clean) as (engine, _):
        await ingest(engine, BEGIN, MOMENT)
        await ingest(engine, MOMENT, END)
    async with engine_of(kit) as (engine, _):
        await ingest(engine, BEGIN, MOMENT)
    async with engine_of(kit) as (engine, counting):
        await ingest(engine, MOMENT, END)
        assert counting.told == 3, "what lies back is known"
    found = await kit.query(FOUND)
    assert found == await clean.query(FOUND)
    assert [check for check, *_ in found] == ["anomaly_spike"]


@pytest.mark.parametrize(
    ("change", "name"),
    [("UPDATE baseline SET state = '{\"version\": 1}'", "runs"), ("SELECT 1", "one that was installed since")],
)
async def test_what_the_next_engine_does_not_understand_is_learned_anew(kit: Kit, change: str, name: str) -> None:
    noisy(kit)
    async with engine_of(kit) as (engine, _):
        await ingest(engine, BEGIN, MOMENT)
    await kit.query(change)
    async with engine_of(kit, name) as (engine, counting):
        await ingest(engine, MOMENT, END)
        assert counting.told == 336
    assert [check for check, *_ in await kit.query(FOUND)] == ["anomaly_spike"]


@pytest.mark.slow
async def test_it_is_written_now_and_then_and_only_of_what_came(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[list[str]] = []
    keep = SQLStore.keep_baselines

    async def counted(store: SQLStore, learned: Sequence[Learned]) -> None:
        kept.append(sorted({each.series for each in learned}))
        await keep(store, learned)

    monkeypatch.setattr(SQLStore, "keep_baselines", counted)
    monkeypatch.setattr(baselines, "EVERY_SECONDS", 60.0)
    async with engine_of(kit) as (engine, _):
        await ingest(engine, BEGIN, MOMENT)
        await kit.clock.sleep(200)
        assert kept == [["", SERIES[1]]]
        await ingest(engine, MOMENT, END)
    assert kept == [["", SERIES[1]]] * 2
    assert {learned.newest for learned in await kit.store.baselines(*SERIES)} == {parse_time(END) - 60}


@pytest.mark.parametrize("fault", [StoreError("full"), None])
async def test_an_engine_ends_whether_or_not_it_can_be_written(
    kit: Kit, monkeypatch: pytest.MonkeyPatch, fault: StoreError | None
) -> None:
    async def refused(_store: SQLStore, _learned: Sequence[Learned]) -> None:
        if fault is not None:
            raise fault
        await kit.clock.sleep(10**6)

    monkeypatch.setattr(SQLStore, "keep_baselines", refused)
    async with engine_of(kit) as (engine, _):
        await ingest(engine, BEGIN, MOMENT)
        ended = kit.clock.monotonic()
    assert kit.clock.monotonic() - ended < baselines.LAST_SECONDS + 5
    assert await kit.query("SELECT count(*) FROM baseline") == [(0,)]
