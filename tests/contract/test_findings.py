"""Bars as checks see them, and findings as a store keeps them: one for each stretch, with its sightings."""

from typing import Any

import pytest

from core.coverage import SeriesState
from core.datasets import SPOT_OHLCV, SeriesKey
from core.findings import Finding
from core.stores import Commit
from core.stores.bars import StoredSeries
from core.stores.selection import EVERYTHING, Selection
from core.stores.sql_store import SQLStore
from core.windows import Window
from tests.stores import Wall

KEY = SeriesKey("spot_ohlcv", "kraken", "BTC-USD", "1m")
START = 1_748_736_000
COLUMNS = ("open", "high", "low", "close", "volume", "total_trades")


@pytest.fixture
def wall() -> Wall:
    return Wall(START + 86_400)


async def fill(store: SQLStore, key: SeriesKey, count: int, closed: int | None = None) -> SeriesState:
    """`count` bars from START, the first `closed` of them closed."""
    [state] = await store.series("coindesk", [key])
    window = Window(START, START + count * 60)
    rows = [(ts, 1.0, 2.0, 0.5, 1.5, float(ts - START), 3) for ts in range(*window, 60)]
    commit = Commit(
        series=state,
        dataset=SPOT_OHLCV,
        groups=SPOT_OHLCV.default_groups,
        columns=COLUMNS,
        window=window,
        rows=rows,
        closed_before=START + (count if closed is None else closed) * 60,
        known_at=START,
        sent_at=1,
        covered=window,
    )
    return (await store.commit(commit)).state


async def kept(store: SQLStore) -> list[tuple[Any, ...]]:
    query = (
        'SELECT check_name, start, "end", level, detail, sightings, first_seen, last_seen FROM finding ORDER BY 1, 2'
    )
    return await store._db.run(lambda db: db.execute(query).fetchall())


async def test_the_newest_closed_bars_come_as_columns(store: SQLStore) -> None:
    state = await fill(store, KEY, 10, closed=8)
    bars = await store.newest_bars(state, 3)
    assert (bars.key, list(bars.ts)) == (KEY, [START + at * 60 for at in (5, 6, 7)])
    assert {name: list(bars.values(name)) for name in ("open", "volume", "volume_buy")} == {
        "open": [1.0] * 3,
        "volume": [300.0, 360.0, 420.0],
        "volume_buy": [None] * 3,
    }
    assert {*bars.columns} == {column.name for column in SPOT_OHLCV.columns}
    assert (bars.asked_until, bars.market_last) == (START + 600, None)
    assert bars.span(1, 2) == Window(START + 360, START + 480)


async def test_bars_know_how_far_the_rest_of_their_market_is(store: SQLStore) -> None:
    state = await fill(store, KEY, 10)
    await fill(store, KEY._replace(instrument="ETH-USD"), 20)
    await fill(store, KEY._replace(instrument="SOL-USD"), 15)
    await fill(store, KEY._replace(market="coinbase"), 99)
    assert (await store.newest_bars(state, 5)).market_last == START + 19 * 60


async def test_a_series_without_bars_has_none(store: SQLStore) -> None:
    [state] = await store.series("coindesk", [KEY])
    bars = await store.newest_bars(state, 5)
    assert (list(bars.ts), list(bars.values("open")), bars.asked_until) == ([], [], None)
    assert await store.stored(EVERYTHING) == []


async def test_bars_of_a_window_with_chosen_columns(store: SQLStore) -> None:
    state = await fill(store, KEY, 10, closed=8)
    window = Window(START + 300, START + 900)
    bars = await store.bars(StoredSeries(state.id, KEY, window), window, ("volume", "close"))
    assert (list(bars.ts), {**bars.columns}) == (
        [START + 300, START + 360, START + 420],
        {"volume": (300.0, 360.0, 420.0), "close": (1.5,) * 3},
    )


async def test_stored_series_are_chosen_as_elsewhere(store: SQLStore) -> None:
    await fill(store, KEY, 10, closed=8)
    await fill(store, KEY._replace(instrument="ETH-USD"), 5)
    found = await store.stored(Selection(instruments=("BTC-USD",)))
    assert [(each.key, each.span) for each in found] == [(KEY, Window(START, START + 480))]
    assert len(await store.stored(EVERYTHING)) == 2


def finding(first: int, last: int, check: str = "frozen", detail: str = "words") -> Finding:
    return Finding(check, Window(START + first * 60, START + last * 60), "warning", detail)


async def test_a_finding_seen_again_is_a_sighting_and_grows(store: SQLStore, wall: Wall) -> None:
    state = await fill(store, KEY, 10)
    first = int(wall())
    assert await store.flag(state, [finding(0, 3), finding(5, 6), finding(0, 3, "idle")]) == 3
    wall.now += 60
    assert await store.flag(state, [finding(2, 5, detail="more words")]) == 0
    wall.now += 60
    assert await store.flag(state, [finding(0, 3, "idle"), finding(8, 9)]) == 1
    assert await kept(store) == [
        ("frozen", START, START + 360, "warning", "more words", 2, first, first + 60),
        ("frozen", START + 480, START + 540, "warning", "words", 1, first + 120, first + 120),
        ("idle", START, START + 180, "warning", "words", 2, first, first + 120),
    ]


async def test_findings_of_two_series_are_apart_and_go_with_their_series(store: SQLStore) -> None:
    one, other = await fill(store, KEY, 10), await fill(store, KEY._replace(instrument="ETH-USD"), 10)
    assert await store.flag(one, [finding(0, 3)]) == await store.flag(other, [finding(0, 3)]) == 1
    await store.drop(KEY)
    assert len(await kept(store)) == 1
