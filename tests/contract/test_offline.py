"""A look through a store part by part: the same as in one go, whatever the parts."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from core.datasets import DATASETS, SPOT_OHLCV, SeriesKey
from core.findings import Bars, Finding
from core.monitoring import offline
from core.monitoring.checks import installed_checks
from core.monitoring.offline import Looked, Suspicion, look_through
from core.records import in_groups
from core.sandbox.api import Api, synthetic
from core.sandbox.options import SandboxOptions
from core.stores import Commit, bars_sql
from core.stores.database import Database
from core.stores.opening import open_store
from core.stores.selection import EVERYTHING, Selection
from core.stores.sql_store import SQLStore
from core.windows import GRAINS, Window
from tests.sandbox_bars import sandbox_bars

KEY = SeriesKey("spot_ohlcv", "kraken", "BTC-USD", "1h")
END = 1_748_736_000
DAYS = 6
START = END - DAYS * 86_400
ALWAYS = Window(-(2**62), 2**62)
NAMES = tuple(column.name for column in in_groups(SPOT_OHLCV.columns, SPOT_OHLCV.default_groups))


@pytest.fixture(scope="module")
def healthy() -> dict[str, Bars]:
    api = Api(synthetic(SandboxOptions(seed=7)))
    return {name: sandbox_bars(api, KEY._replace(interval=name), END, DAYS) for name in GRAINS}


@pytest.fixture
async def store(store_url: str, healthy: dict[str, Bars]) -> AsyncIterator[SQLStore]:
    """Six days of one instrument at all three intervals."""
    opened = await open_store(store_url, lambda: END)
    for bars in healthy.values():
        await put(opened, bars)
    yield opened
    await opened.close()


async def put(store: SQLStore, bars: Bars, until: int = END) -> None:
    """Store `bars`; the vendor was asked for them up to `until`."""
    [state] = await store.series("coindesk", [bars.key])
    window = Window(bars.ts[0], until)
    rows = list(zip(bars.ts, *(bars.values(name) for name in NAMES), strict=True))
    dataset = DATASETS[bars.key.data_type]
    answered = Commit(state, dataset, dataset.default_groups, NAMES, window, rows, until, until, 1, window)
    await store.commit(answered)


async def spoil(store: SQLStore, change: str, interval: str, *places: int) -> None:
    """Change bars of an interval by place."""
    step = GRAINS[interval].seconds
    where = f"ts = ? AND series_id = (SELECT id FROM series WHERE interval = '{interval}')"
    stamps = [(START + place * step,) for place in places]
    await store._db.run(lambda db: db.executemany(f"UPDATE spot_ohlcv SET {change} WHERE {where}", stamps))


async def look(store: SQLStore, selection: Selection = EVERYTHING, span: Window = ALWAYS) -> Looked:
    return await look_through(store, selection, span, installed_checks())


@pytest.mark.slow
async def test_a_healthy_store_has_nothing_to_say(store: SQLStore) -> None:
    looked = await look(store)
    assert (looked.series, looked.bars) == (3, DAYS * (1 + 24 + 1_440))
    assert (looked.findings, looked.guilty, looked.defects) == ([], [], {})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("checked", "reconciled"),
    [(100, 86_400), (1_000, 4 * 86_400), (10**6, 28 * 86_400)],
    ids=["small", "middle", "whole"],
)
async def test_parts_make_no_difference(
    store: SQLStore, monkeypatch: pytest.MonkeyPatch, checked: int, reconciled: int
) -> None:
    monkeypatch.setattr(offline, "CHECKED_BARS", checked)
    monkeypatch.setattr(offline, "RECONCILED_SECONDS", reconciled)
    await spoil(store, "volume = volume + 1", "1m", 59, 60, 1_439, 1_440, 4_000, 8_639)
    await spoil(store, "total_trades = 1, volume = 0", "1m", *range(990, 1_010))
    looked = await look(store)
    assert looked.bars == DAYS * (1 + 24 + 1_440)
    found = [(each.key.interval, each.finding.check, each.finding.window) for each in looked.findings]
    assert ("1m", "contradiction", Window(START + 990 * 60, START + 1_010 * 60)) in found
    assert {check for _, check, _ in found} == {"contradiction"}
    hours = [0, 1, 16, 23, 24, 66, 143]
    assert [(each.window.start - START) // 3_600 for each in looked.guilty] == hours
    assert {each.suspect for each in looked.guilty} == {"1m"}


async def test_bars_come_by_time_wherever_the_database_keeps_them(store: SQLStore) -> None:
    """PostgreSQL moves a row that is changed, and need not read by the index."""
    await spoil(store, "volume = volume + 1", "1h", 0, 1, 50)
    [series] = await store.stored(Selection(intervals=("1h",)))

    def read_as_it_lies(db: Database) -> Bars:
        if not store.url.startswith("sqlite"):
            for way in ("indexscan", "indexonlyscan", "bitmapscan"):
                db.execute(f"SET enable_{way} TO off")
        return bars_sql.read_bars(db, series.id, series.key, series.span, ("volume",))

    bars = await store._db.run(read_as_it_lies)
    assert list(bars.ts) == list(range(START, END, 3_600))


async def test_a_span_bounds_what_is_looked_at(store: SQLStore) -> None:
    await spoil(store, "volume = volume + 1", "1m", 30, 3_000, 5_000)
    looked = await look(store, span=Window(START + 2 * 86_400, START + 3 * 86_400))
    assert looked.bars == 1 + 24 + 1_440
    assert [(each.window.start - START) // 3_600 for each in looked.guilty] == [50]


async def test_one_interval_is_held_against_the_others_of_its_instrument(store: SQLStore) -> None:
    await spoil(store, "volume = volume + 1", "1m", 30)
    looked = await look(store, Selection(intervals=("1h",)))
    assert (looked.series, looked.bars, len(looked.guilty)) == (1, 24 * DAYS, 1)


@pytest.mark.slow
async def test_what_the_vendor_had_no_more_of_is_said_once_at_the_end(
    store: SQLStore, healthy: dict[str, Bars], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(offline, "CHECKED_BARS", 500)
    hours = healthy["1h"]
    fewer = {name: hours.values(name)[:-10] for name in NAMES}
    await put(store, Bars(hours.key._replace(instrument="ETH-USD"), hours.ts[:-10], fewer))
    looked = await look(store)
    assert [(each.key.instrument, each.finding) for each in looked.findings] == [
        ("ETH-USD", Finding("stale", Window(END - 36_000, END), "warning", "no bar for 10 intervals"))
    ]
    middle = await look(store, span=Window(START, END - 72_000))
    assert middle.findings == []


async def test_a_defective_check_is_named(store: SQLStore) -> None:
    def broken(_bars: Bars) -> list[Finding]:
        raise RuntimeError

    def single(bars: Bars) -> list[Finding]:
        return [Finding("single", bars.span(0, 0), "info", "")]

    checks: Any = {"broken": broken, "single": single}
    looked = await look_through(store, Selection(intervals=("1d",)), ALWAYS, checks)
    assert list(looked.defects) == ["broken"]
    assert looked.findings == [
        Suspicion(KEY._replace(interval="1d"), Finding("single", Window(START, START + 86_400), "info", ""))
    ]
