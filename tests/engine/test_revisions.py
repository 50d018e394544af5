"""A vendor that revises bars up to 90 minutes late: nothing is missed, all is told, the past stays what it was."""

import io
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from engine_kit import NOW, ask
from sandbox_kit import SandboxKit, dataset_of, pages_of

from core.datasets import SeriesKey, closed_until
from core.exports.files import OutputFile
from core.exports.request import Request
from core.exports.run import Export
from core.records import in_groups
from core.sandbox.options import SandboxOptions
from core.stores.sqlite import SQLiteStore
from core.windows import GRAINS, Window, iso
from tests.accounts import assert_accounted
from tests.fakes import VirtualClock, waited_for

BEGIN = NOW - 6 * 3_600
MINUTES = SeriesKey("spot_ohlcv", "kraken", "BTC-USD", "1m")
HOURS = SeriesKey("futures_ohlcv", "binance", "BTC-USDT-VANILLA-PERPETUAL", "1h")
INDEX = SeriesKey("indices_ohlcv", "cadli", "BTC-USD", "1m")
RUN_EVERY = 1_800
OUTAGE = range(NOW + 9 * 3_600, NOW + 14 * 3_600)
# Once a day a whole page is read again, which would hide what the ordinary runs miss.
DAY_END = NOW + 20 * 3_600


@pytest.fixture
async def kit() -> AsyncIterator[SandboxKit]:
    clock = VirtualClock(NOW)
    store = await SQLiteStore.open("sqlite:///:memory:", clock.wall)
    yield SandboxKit(waited_for(store), clock, SandboxOptions(revisions=0.4))
    await store.close()


async def read(kit: SandboxKit, key: SeriesKey, begin: int = BEGIN, **fields: Any) -> None:
    names = {"data_type": key.data_type, "market": key.market, "instrument": key.instrument, "interval": key.interval}
    job = await kit.run(ask(**names, start=iso(begin), end=iso(DAY_END + 86_400), **fields))
    assert job.state == "complete", job


async def exported(kit: SandboxKit, key: SeriesKey, **asked: Any) -> bytes:
    """The CSV of an export of one data type and interval."""
    raw = io.BytesIO()

    def write(db: Any) -> None:
        request = Request(dataset_of(key), interval=key.interval, **asked)
        Export(db, request, "csv", lambda *_: None).write(lambda _path: OutputFile(raw, lasting=False), "")

    await kit.store._db.run(write)
    return raw.getvalue()


async def a_day(kit: SandboxKit, key: SeriesKey) -> dict[int, bytes]:
    """A run every half an hour, none during the outage; copies taken after every fifth run, by time."""
    copies: dict[int, bytes] = {}
    runs = 0
    while kit.clock.wall() < DAY_END:
        if int(kit.clock.wall()) not in OUTAGE:
            await read(kit, key)
            runs += 1
            if runs % 5 == 0:
                copies[int(kit.clock.wall())] = await exported(kit, key)
        await kit.clock.sleep(RUN_EVERY)
    # All revisions are over by then, and bars that were read too early are read again.
    await kit.clock.sleep(3 * 3_600)
    await read(kit, key)
    return copies


async def vendor_says(kit: SandboxKit, key: SeriesKey, window: Window, now: int) -> dict[int, tuple[Any, ...]]:
    dataset = dataset_of(key)
    columns = in_groups(dataset.columns, dataset.default_groups)
    found: dict[int, tuple[Any, ...]] = {}
    for page in pages_of(key, window):
        rows = (await kit.answer(key, page, dataset.default_groups, now)).rows
        found |= {row.timestamp: tuple(getattr(row, column.name) for column in columns) for row in rows}
    return found


@pytest.mark.parametrize("key", [MINUTES, HOURS, INDEX], ids=str)
@pytest.mark.slow
async def test_no_revision_is_missed_and_every_one_is_told(kit: SandboxKit, key: SeriesKey) -> None:
    await a_day(kit, key)
    dataset, grain = dataset_of(key), GRAINS[key.interval]
    names = [column.name for column in in_groups(dataset.columns, dataset.default_groups)]
    query = f"SELECT ts, known_at, {', '.join(names)} FROM {dataset.name} WHERE closed ORDER BY ts"
    stored = {ts: (known_at, tuple(values)) for ts, known_at, *values in await kit.query(query)}
    now = int(kit.clock.wall())
    last = closed_until(now, grain)
    final_before = last - 2 * 3_600
    assert set(stored) == set(range(grain.floor(BEGIN), last, grain.seconds))

    window = Window(grain.floor(BEGIN), last)
    final = await vendor_says(kit, key, window, now + 86_400)
    for ts in range(window.start, final_before, grain.seconds):
        assert stored[ts][1] == final[ts], f"{iso(ts)} was revised, and nobody noticed"

    told: dict[int, list[tuple[dict[str, Any], dict[str, Any], int]]] = {}
    for ts, old, new, seen_at in await kit.query("SELECT ts, old, new, seen_at FROM restatement ORDER BY id"):
        told.setdefault(ts, []).append((json.loads(old), json.loads(new), seen_at))
    revised = 0
    for ts in range(window.start, final_before, grain.seconds):
        known_at, values = stored[ts]
        before = (await at(kit, key, ts, known_at))[ts]
        assert (ts in told) == (before != values), f"{iso(ts)}, first known at {iso(known_at)}"
        revised += ts in told
        replayed = dict(zip(names, before, strict=True))
        for old, new, seen_at in told.get(ts, []):
            assert {name: replayed[name] for name in old} == old
            assert seen_at > known_at
            replayed |= new
        assert tuple(replayed.values()) == values
    assert revised > (100 if grain.seconds == 60 else 3), "the sandbox has to revise bars for this to say anything"
    await kit.store._db.run(assert_accounted)


_known: dict[tuple[SeriesKey, int], dict[int, tuple[Any, ...]]] = {}


async def at(kit: SandboxKit, key: SeriesKey, ts: int, known_at: int) -> dict[int, tuple[Any, ...]]:
    """What the vendor said at a time, asked once for all bars that became known then."""
    if (key, known_at) not in _known:
        step = GRAINS[key.interval].seconds
        window = Window(max(known_at - known_at % step - 700 * step, BEGIN - BEGIN % step), known_at - known_at % step)
        _known[key, known_at] = await vendor_says(kit, key, window, known_at)
    return _known[key, known_at]


@pytest.mark.slow
@pytest.mark.parametrize("key", [MINUTES, HOURS], ids=str)
async def test_as_of_equals_a_copy_taken_then_byte_for_byte(kit: SandboxKit, key: SeriesKey) -> None:
    """Also after later revisions, a backfill of older history, and a widening to all groups."""
    copies = await a_day(kit, key)
    assert len(copies) >= 6
    assert len(set(copies.values())) == len(copies)
    for at_time, copy in copies.items():
        assert await exported(kit, key, as_of=at_time) == copy
    now = await exported(kit, key)
    after = int(kit.clock.wall())
    await kit.clock.sleep(60)
    await read(kit, key, BEGIN - 3 * 86_400)
    await read(kit, key, BEGIN - 2 * 86_400, groups="ALL")
    await kit.clock.sleep(7_200)
    await read(kit, key, groups="OHLC")
    assert await exported(kit, key) != now
    for at_time, copy in {**copies, after: now}.items():
        assert await exported(kit, key, as_of=at_time) == copy, iso(at_time)
