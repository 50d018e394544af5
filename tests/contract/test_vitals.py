"""What rules look at, from every kind of store: as it was put there, without a look at bars, and old news left out."""

import json
from collections.abc import AsyncIterator

import pytest

from core.datasets import SeriesKey
from core.stores import RunRecord
from core.stores.opening import open_store
from core.stores.sql_store import SQLStore
from core.stores.vitals import HOUR, Newest, Ran, Vitals
from tests.stores import KINDS, url_of

NOW = 1_750_000_000.0
PLACE = ("spot_ohlcv", "1h")


@pytest.fixture(params=KINDS)
def store_url(request: pytest.FixtureRequest) -> str:
    return url_of(request.param, request)


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[SQLStore]:
    opened = await open_store(store_url, lambda: NOW)
    yield opened
    await opened.close()


async def execute(store: SQLStore, sql: str, *values: object) -> None:
    await store._db.run(lambda db: db.execute(sql, values))


async def seen(store: SQLStore, followed: tuple[tuple[str, str], ...] = (PLACE,)) -> Vitals:
    return await store.vitals(followed, NOW)


async def test_an_empty_store_has_nothing_to_tell(store: SQLStore) -> None:
    assert await seen(store) == Vitals()


async def test_the_newest_bar_is_that_of_a_market_and_interval_that_is_followed(store: SQLStore) -> None:
    names = ("kraken/BTC-USD/1h", "kraken/ETH-USD/1h", "binance/BTC-USD/1h", "kraken/BTC-USD/1d", "okex/OLD-USD/1h")
    states = await store.series("coindesk", [SeriesKey.parse(f"spot_ohlcv/{name}") for name in names])
    for state, last in zip(states, (7_200, 3_600, None, 86_400, 9), strict=True):
        await execute(store, "UPDATE series SET last_bar = ? WHERE id = ?", last, state.id)
    await execute(store, "UPDATE series SET blocked = 'another asset' WHERE id = ?", states[-1].id)
    assert (await seen(store)).newest == (
        Newest("spot_ohlcv", "binance", "1h", None),
        Newest("spot_ohlcv", "kraken", "1h", 7_200),
    )
    assert (await seen(store, ())).newest == ()


def run(name: str, state: str, created: float, finished: float | None, **summary: object) -> RunRecord:
    return RunRecord(name, "e", *PLACE, "", state, created, created, finished, summary)


async def test_runs_are_those_that_ended_or_began_within_the_hour_newest_first(store: SQLStore) -> None:
    runs = [
        run("a", "failed", NOW - 9 * HOUR, NOW - 8 * HOUR, rows_fetched=10, rows_quarantined=2, other=[1]),
        run("b", "running", NOW - 10, None, rows_fetched=5),
        run("c", "running", NOW - 2 * HOUR, None),
        run("d", "complete", NOW - 20, NOW - 5),
    ]
    await store.journal(runs, [], [])
    assert (await seen(store)).runs == (
        Ran(*PLACE, "running", None, 5, 0),
        Ran(*PLACE, "complete", NOW - 5, 0, 0),
        Ran(*PLACE, "failed", NOW - 8 * HOUR, 10, 2),
    )


async def test_restatements_are_those_of_the_hour(store: SQLStore) -> None:
    [state] = await store.series("coindesk", [SeriesKey.parse("spot_ohlcv/kraken/BTC-USD/1h")])
    for ts, age in enumerate((10, 20, 2 * HOUR)):
        await execute(
            store,
            "INSERT INTO restatement (series_id, ts, old, new, seen_at, run_id) VALUES (?, ?, '{}', '{}', ?, 'r')",
            *(state.id, ts, int(NOW - age)),
        )
    assert (await seen(store)).restated == ((*PLACE, 2),)


async def test_notifications_are_those_that_wait_or_were_given_up_lately(store: SQLStore) -> None:
    rows = [
        ("mail", "waiting", 3, NOW - 400, None),
        ("mail", "dead", 9, NOW - 9 * HOUR, NOW - 60),
        ("mail", "dead", 9, NOW - 9 * HOUR, NOW - 2 * HOUR),
        ("mail", "sent", 1, NOW - 400, NOW - 390),
        ("bell", "waiting", 0, NOW - 400, None),
        ("bell", "waiting", 1, NOW - 20, None),
    ]
    for number, (channel, state, attempts, not_before, ended) in enumerate(rows):
        await execute(
            store,
            "INSERT INTO outbox (channel, grouping, incident, sequence, kind, body, created, not_before, state, "
            "attempts, ended) VALUES (?, 'g', 'i', ?, 'fired', '{}', ?, ?, ?, ?, ?)",
            *(channel, number, not_before, not_before, state, attempts, ended),
        )
    assert (await seen(store)).undelivered == (("mail", 2),)


async def test_a_summary_of_whatever_form_does_not_hurt(store: SQLStore) -> None:
    await store.journal([run("a", "complete", NOW - 20, NOW - 5)], [], [])
    for summary in ({}, {"rows_fetched": 3, "x": None}):
        await execute(store, "UPDATE run SET summary = ?", json.dumps(summary))
        assert len((await seen(store)).runs) == 1
