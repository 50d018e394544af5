"""Whatever the order, overlap and repetition of pages, whoever runs beside, whenever it is killed: the same tables."""

import asyncio
import random
from typing import Any

import pytest
from engine_kit import NOW, Kit, ask

from core.errors import Transient
from core.operations import Operation
from core.windows import iso, parse_time
from tests.accounts import assert_accounted
from tests.fakes import Call, Rows

DAY_START = parse_time("2025-06-15T00:00")
HISTORY = DAY_START + 3_600
MINUTES = range(DAY_START, NOW, 60)
GROUPS = ("OHLC", "OHLC,VOLUME", "OHLC,VOLUME,TRADE")
TABLES = {
    "rows": "SELECT ts, closed, open, high, low, close, volume, total_trades FROM spot_ohlcv WHERE closed ORDER BY ts",
    "gaps": 'SELECT start, "end", cause FROM gap ORDER BY start',
    "coverage": 'SELECT groups, start, "end" FROM coverage ORDER BY groups, start',
    "restatements": "SELECT count(*) FROM restatement",
    "start": "SELECT history_start FROM series",
}


def some(chance: random.Random, groups: tuple[str, ...] = GROUPS) -> Operation:
    """An operation over any part of the day."""
    start, end = sorted(chance.sample(range(DAY_START, NOW - 600, 60), 2))
    return ask(
        start=iso(start),
        end=iso(end),
        order=chance.choice(["newest", "oldest"]),
        parallel_workers=chance.choice([1, 2, 8]),
        groups=chance.choice(groups),
    )


def whole() -> Operation:
    return ask(start=iso(HISTORY), end=iso(NOW - 600), groups=GROUPS[-1])


def spoil(kit: Kit, chance: random.Random) -> None:
    """Holes of the vendor's own, calls that fail, rows doubled and turned around, answers in any order."""
    kit.source.first = HISTORY
    kit.source.holes = set(chance.sample(MINUTES, 40))
    kit.source.latency = lambda: chance.choice([0.0, 0.01, 0.4])

    def script(_call: Call) -> Any:
        fate = chance.random()
        if fate < 0.15:
            return Transient("down")
        return None if fate < 0.7 else lambda rows: repeated(rows, chance)

    kit.source.script = script


def repeated(rows: Rows, chance: random.Random) -> Rows:
    again = [*rows, *chance.sample(rows, min(5, len(rows)))]
    chance.shuffle(again)
    return again


async def tables(kit: Kit) -> dict[str, list[tuple[Any, ...]]]:
    return {name: await kit.query(query) for name, query in TABLES.items()}


async def accounted(kit: Kit) -> None:
    await kit.store._db.run(assert_accounted)


async def killed_somewhere(kit: Kit, operation: Operation, chance: random.Random) -> None:
    """A run that ends at any await, without a word to anyone."""
    run = asyncio.ensure_future(kit.run(operation))
    for _ in range(chance.randrange(1, 400)):
        await asyncio.sleep(0)
        if run.done():
            break
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)


@pytest.mark.parametrize("case", range(40))
async def test_any_history_of_runs_ends_in_the_same_tables(kit: Kit, clean: Kit, case: int, seed: int) -> None:
    chance = random.Random(f"{seed}/{case}")
    spoil(kit, chance)
    for _ in range(chance.randrange(1, 6)):
        match chance.randrange(3):
            case 0:
                await kit.run(some(chance))
            case 1:
                await asyncio.gather(kit.run(some(chance)), kit.run(some(chance)))
            case _:
                await killed_somewhere(kit, some(chance), chance)
        await accounted(kit)
    kit.source.script = lambda _call: None
    await kit.run(whole())
    await accounted(kit)
    clean.source.first, clean.source.holes = kit.source.first, kit.source.holes
    await clean.run(whole())
    found, wanted = await tables(kit), await tables(clean)
    for name in ("rows", "restatements"):
        assert found[name] == wanted[name], name
    assert gap_slots(found) == gap_slots(wanted)


def gap_slots(found: dict[str, list[tuple[Any, ...]]]) -> set[int]:
    """A gap may have grown out of several sightings, so it is what they make up that counts."""
    slots = {ts for start, end, _cause in found["gaps"] for ts in range(start, end, 60)}
    return {ts for ts in slots if HISTORY <= ts < NOW - 600}


async def test_two_runs_side_by_side_lose_nothing_to_one_another(kit: Kit, seed: int) -> None:
    """The later question wins, however late the earlier one is answered."""
    chance = random.Random(seed)
    for _ in range(20):
        kit.source.latency = lambda: chance.choice([0.0, 0.05, 2.0])
        kit.source.versions = {ts: chance.randrange(3) for ts in chance.sample(MINUTES, 300)}
        runs = [ask(start=iso(NOW - 7_200), end=iso(NOW - 600), full_refresh=True) for _ in range(2)]
        await asyncio.gather(*(kit.run(run) for run in runs))
        await accounted(kit)
        stored = await kit.query("SELECT ts, total_trades FROM spot_ohlcv")
        assert stored == [(ts, 3 + kit.source.versions.get(ts, 0)) for ts, _ in stored]
