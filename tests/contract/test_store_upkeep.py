"""What a Store tells about what it keeps, on every implementation: causes of gaps, restatements; and letting go."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from test_store import KEY, NARROW, NOW, SOURCE, WIDE, Bench, answer, opened, series

from core.causes import Listed
from core.coverage import Absence, Covered, SeriesState
from core.datasets import DATASETS, Dataset, SeriesKey
from core.errors import StoreError
from core.references import INSTRUMENT_LISTS
from core.sources import RejectedRow
from core.stores import Store, house_sql
from core.stores.database import Database
from core.stores.explain_sql import LAST_RECORDS, Place, listed
from core.stores.reading import Reader
from core.stores.restatement_sql import restated
from core.stores.selection import Selection, find_series
from core.windows import Window
from tests.accounts import assert_accounted


@pytest.fixture
async def bench(store_url: str) -> AsyncIterator[Bench]:
    made = Bench(store_url)
    async with opened(made):
        yield made


# --- what explains a gap


def seen(**fields: Any) -> str:
    """The evidence of a backfill page of ten bars from 0, all but those that `fields` say."""
    return json.dumps(
        {"window": [0, 600], "reason": "backfill", "rows": 8, "first": 0, "last": 540, "rejected": {}, **fields}
    )


async def hole(store: Store, name: str, *absences: Absence, bars: int = 20, **fields: Any) -> SeriesState:
    """A series of bars from 0 without those that are absent."""
    state = await series(store, KEY._replace(instrument=name))
    missing = {ts for absence in absences for ts in range(*absence.window, 60)}
    commit = answer(state, bars=bars, absences=absences, **fields)
    await store.commit(replace(commit, rows=[row for row in commit.rows if row[0] not in missing]))
    return state


async def causes(bench: Bench) -> list[tuple[Any, ...]]:
    names = 'instrument, start, "end", cause'
    return await bench.query(f"SELECT {names} FROM gap JOIN series ON series.id = gap.series_id ORDER BY 1, 2")


async def test_gaps_are_explained_by_what_is_stored_around_them(bench: Bench) -> None:
    store = bench.store
    shared = Absence(Window(480, 540), "absent", seen())
    states = [
        await hole(store, "A-USD", Absence(Window(60, 120), "absent", seen()), shared),
        await hole(store, "B-USD", Absence(Window(240, 300), "rejected", seen(rejected={"volume": 1})), shared),
        await hole(store, "C-USD", Absence(Window(300, 360), "absent"), shared),
    ]
    await store.explain(states)
    assert await causes(bench) == [
        ("A-USD", 60, 120, "instrument_silent"),
        ("A-USD", 480, 540, "market_silent"),
        ("B-USD", 240, 300, "rejected_rows"),
        ("B-USD", 480, 540, "market_silent"),
        ("C-USD", 300, 360, "instrument_silent"),
        ("C-USD", 480, 540, "market_silent"),
    ]


async def test_a_series_that_was_not_asked_or_lives_elsewhere_is_no_witness(bench: Bench) -> None:
    store = bench.store
    state = await hole(store, "A-USD", Absence(Window(60, 120), "absent", seen()))
    await hole(store, "B-USD")
    late = await series(store, KEY._replace(instrument="C-USD"))
    await store.commit(answer(late, start=600))
    elsewhere = await series(store, KEY._replace(market="binance", instrument="D-USD"))
    await store.commit(answer(elsewhere, bars=20))
    ended = await series(store, KEY._replace(instrument="E-USD"))
    await store.commit(answer(ended, start=-200_040, bars=1, covered=Window(-200_040, 1_200)))
    await store.explain([state])
    assert await causes(bench) == [("A-USD", 60, 120, "unknown")]
    await hole(store, "C-USD")
    await store.explain([state])
    assert await causes(bench) == [("A-USD", 60, 120, "instrument_silent")]


async def test_a_cause_is_told_anew_once_a_gap_was_seen_again(bench: Bench) -> None:
    store = bench.store
    ended = seen(last=300)
    state = await hole(store, "A-USD", Absence(Window(360, 600), "absent", ended))
    await store.explain([state])
    assert await causes(bench) == [("A-USD", 360, 600, "vendor_short_page")]
    await store.commit(answer(state, start=360, bars=4, rows=[], absences=[Absence(Window(360, 600), "absent", ended)]))
    assert await causes(bench) == [("A-USD", 360, 600, "absent")]


async def test_metadata_explains_what_comes_after_the_last_record(bench: Bench) -> None:
    store = bench.store
    state = await hole(store, "A-USD", Absence(Window(360, 1_200), "absent", seen(last=300)))

    def retire(db: Database) -> None:
        names = "source, list_id, list_rank, market, instrument, is_listed, first_seen, last_seen, changed"
        db.execute(
            f"INSERT INTO spot_instruments ({names}, instrument_status, last_trade_spot_timestamp) "
            f"VALUES ('coindesk', {state.id}, 1, 'kraken', 'A-USD', true, 0, 0, 0, 'RETIRED', 345)"
        )

    await bench.store._db.run(retire)
    await store.explain([state])
    assert await causes(bench) == [("A-USD", 360, 1_200, "delisted")]


async def test_what_is_damaged_are_series_with_gaps_or_failed_windows(bench: Bench) -> None:
    store = bench.store
    gapped = await hole(store, "A-USD", Absence(Window(60, 120), "absent", seen()))
    await hole(store, "B-USD")
    failed = await series(store, KEY._replace(instrument="C-USD"))
    await store.failed(failed, Window(0, 600), "down", 9, "r")
    everything = await store.damaged(SOURCE, Selection())
    assert [(entry.state.id, entry.failed) for entry in everything] == [
        (gapped.id, ()),
        (failed.id, (Window(0, 600),)),
    ]
    assert [gap.window for gap in everything[0].state.gaps] == [Window(60, 120)]
    chosen = await store.damaged(SOURCE, Selection(("spot_ohlcv",), ("kraken",), ("C-USD", "X"), ("1m",)))
    assert [entry.state.id for entry in chosen] == [failed.id]
    for nothing in (Selection(intervals=("1d",)), Selection(markets=("binance",)), Selection(instruments=("B-USD",))):
        assert await store.damaged(SOURCE, nothing) == []
    assert await store.damaged("another", Selection()) == []


async def test_a_failed_window_is_forgotten_by_what_answers_it_or_settles_that_nothing_is_there(
    bench: Bench,
) -> None:
    store = bench.store
    state = await series(store)
    await store.failed(state, Window(0, 1_200), "down", 9, "r")
    await store.commit(answer(state, start=600, bars=10, closed_before=900, covered=Window(600, 900)))
    assert (await store.damaged(SOURCE, Selection()))[0].failed == (Window(0, 600),)
    await store.settle_start(state, 600)
    assert await store.damaged(SOURCE, Selection()) == []


async def test_what_is_left_of_failed_windows_that_overlapped_is_kept_once(bench: Bench) -> None:
    store = bench.store
    state = await series(store)
    await store.failed(state, Window(0, 1_200), "down", 9, "r")
    await store.failed(state, Window(300, 1_800), "down", 9, "r")
    await store.commit(answer(state, start=0, bars=10))
    assert (await store.damaged(SOURCE, Selection()))[0].failed == (Window(600, 1_800),)


async def test_what_failed_before_what_is_kept_is_no_matter_any_more(bench: Bench) -> None:
    store = bench.store
    state = await series(store)
    await store.commit(answer(state, start=0, bars=10))
    await store.failed(state, Window(-600, 1_200), "down", 9, "r")
    assert await store.prune("spot_ohlcv", "1m", 300) == 5
    assert (await store.damaged(SOURCE, Selection()))[0].failed == (Window(300, 1_200),)


# --- keeping house


async def crowded(store: Store, name: str = "A-USD") -> SeriesState:
    """Twenty bars but one, with something in every table that belongs to a series."""
    state = await hole(store, name, Absence(Window(60, 120), "absent"), Absence(Window(480, 660), "absent"))
    bad = [RejectedRow("volume", "no", "{}", ts=60), RejectedRow("volume", "no", "{}", ts=1_140)]
    await store.commit(answer(state, bars=3, rows=[], absences=[Absence(Window(60, 120), "rejected")], rejected=bad))
    await store.commit(answer(state, start=180, bars=1, sent_at=2_000, bar={"open": 2.0}))
    await store.commit(answer(state, bars=20, groups=WIDE, sent_at=3_000, settled_before=900, bar={"open": 2.0}))
    await store.failed(state, Window(-600, 0), "down", 9, "r")
    await store.failed(state, Window(1_200, 1_800), "down", 9, "r")
    return state


async def rows_of(bench: Bench, series_id: int) -> dict[str, int]:
    def count(db: Database) -> dict[str, int]:
        """Of every table that tells of series; views show what those have."""
        columns = {name: db.columns(name) for name in db.relations()}
        tables = [name for name, found in columns.items() if "series_id" in found and "time" not in found]
        query = f"SELECT count(*) FROM {{}} WHERE series_id = {series_id}"
        return {table: db.execute(query.format(table)).fetchone()[0] for table in tables}

    return await bench.store._db.run(count)


async def test_a_dropped_series_leaves_nothing_and_takes_nothing_else(bench: Bench) -> None:
    gone, kept = await crowded(bench.store), await crowded(bench.store, "B-USD")
    before = await rows_of(bench, kept.id)
    assert await rows_of(bench, gone.id) == before
    there = {name: count for name, count in before.items() if count}
    assert set(there) >= {"spot_ohlcv", "coverage", "quarantine", "restatement", "unsettled", "widened", "failed_fetch"}
    dropped = await bench.store.drop(gone.key)
    assert {name: count for name, count in dropped.items() if count} == there
    assert set((await rows_of(bench, gone.id)).values()) == {0}
    assert await rows_of(bench, kept.id) == before
    assert await bench.query("SELECT instrument FROM series") == [("B-USD",)]
    with pytest.raises(StoreError, match="series list"):
        await bench.store.drop(gone.key)


async def test_pruning_leaves_coverage_and_a_mark_and_what_is_younger(bench: Bench) -> None:
    store = bench.store
    state = await hole(store, "A-USD", Absence(Window(60, 120), "absent"), Absence(Window(480, 660), "absent"))
    young = await series(store, KEY._replace(instrument="Y-USD"))
    await store.commit(answer(young, start=540, bars=3))
    assert await store.prune("spot_ohlcv", "1m", 540) == 7
    assert await bench.query(f"SELECT ts FROM spot_ohlcv WHERE series_id = {state.id} ORDER BY ts") == [
        (ts,) for ts in range(660, 1_200, 60)
    ]
    assert await bench.query('SELECT series_id, start, "end" FROM gap') == [(state.id, 540, 660)]
    [after, untouched] = await store.series(SOURCE, [state.key, young.key])
    assert (after.pruned_before, after.rows, after.last_bar) == (540, 9, 1_140)
    assert after.covered == (Covered(frozenset(NARROW), Window(0, 1_200)),)
    assert (untouched.pruned_before, untouched.rows) == (None, 3)
    assert await bench.query(f"SELECT first_bar FROM series WHERE id = {state.id}") == [(660,)]
    assert await store.prune("spot_ohlcv", "1m", 540) == 0
    assert await store.prune("spot_ohlcv", "1m", 300) == 0
    assert await store.prune("spot_ohlcv", "1h", 9_999) == await store.prune("indices_ohlcv", "1m", 9_999) == 0
    await bench.store._db.run(assert_accounted)


async def test_a_series_may_be_pruned_whole_and_in_pieces(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(house_sql, "BARS_AT_ONCE", 2)
    state = await crowded(bench.store)
    await bench.store.prune("spot_ohlcv", "1m", 1_200)
    [after] = await bench.store.series(SOURCE, [state.key])
    assert (after.pruned_before, after.rows, after.gaps, after.unsettled) == (1_200, 0, (), ())
    left = await rows_of(bench, state.id)
    assert (left["spot_ohlcv"], left["widened"], left["failed_fetch"]) == (0, 0, 1)
    assert (left["quarantine"], left["restatement"]) == (2, 16), "the record of what was wrong stays"
    assert after.covered


async def test_old_names_find_a_series_and_present_ones_come_first(bench: Bench) -> None:
    state = await hole(bench.store, "NEW-USD", Absence(Window(60, 120), "absent"))
    other = await hole(bench.store, "OLD-USD", Absence(Window(180, 240), "absent"))
    await bench.query(f"INSERT INTO series_name VALUES ({state.id}, 'OLDER-USD', 5), ({state.id}, 'OLD-USD', 6)")
    find = find_series
    for name, expected in (("NEW-USD", state.id), ("OLDER-USD", state.id), ("OLD-USD", other.id)):
        key = KEY._replace(instrument=name)
        assert await bench.store._db.run(find, key) == expected
        [found] = [entry.state.id for entry in await bench.store.damaged(SOURCE, Selection.one(key))][:1]
        assert found == expected
    with pytest.raises(StoreError, match="not stored"):
        await bench.store._db.run(find, KEY._replace(instrument="NO-USD"))


@pytest.mark.parametrize(
    ("like", "expected"),
    [
        ("%/KRAKEN/%", ["A-USD", "B_USD"]),
        ("%/b_usd/%", ["B_USD"]),
        ("%/a_usd/%", ["A-USD"]),
        ("%\\", []),
        ("%b\\_%", []),
    ],
)
async def test_names_are_found_by_patterns(bench: Bench, like: str, expected: list[str]) -> None:
    for name in ("B_USD", "A-USD"):
        await series(bench.store, KEY._replace(instrument=name))
    found = await bench.store._db.run(lambda db: Reader(db).series(like=like))
    assert [each.series.split("/")[2] for each in found] == expected


async def test_restatements_are_listed_a_column_a_row(bench: Bench) -> None:
    state = await series(bench.store)
    await bench.store.commit(answer(state, bars=2, known_at=NOW - 9_999))
    await bench.store.commit(
        answer(state, bars=1, sent_at=2_000, bar={"high": 9.0, "close": 5.0}, known_at=NOW, run_id="x")
    )
    found = await bench.store._db.run(restated, Selection.one(KEY), NOW)
    assert [(each.seen_at, str(each.key), each.ts, each.column, each.old, each.new, each.run_id) for each in found] == [
        (NOW, "spot_ohlcv/kraken/BTC-USD/1m", 0, "high", 1.0, 9.0, "x"),
        (NOW, "spot_ohlcv/kraken/BTC-USD/1m", 0, "close", 1.0, 5.0, "x"),
    ]
    assert await bench.store._db.run(restated, Selection.one(KEY), NOW + 1) == []
    assert await bench.store._db.run(restated, Selection(markets=("binance",)), 0) == []


@pytest.mark.parametrize("dataset", DATASETS.values(), ids=DATASETS)
async def test_the_metadata_tells_the_end_of_every_data_type(bench: Bench, dataset: Dataset) -> None:
    key = SeriesKey(dataset.name, "somewhere", "A-B", "1d")
    place = Place(0, SOURCE, key)
    assert await bench.store._db.run(listed, place) is None
    table = INSTRUMENT_LISTS[dataset.kind].name
    last = LAST_RECORDS[dataset.kind, dataset.feature]

    def put(db: Database, status: str, is_listed: bool, changed: int) -> None:
        db.execute(
            "INSERT INTO series (id, source, data_type, market, instrument, interval, created) "
            f"VALUES (1, 'coindesk', '{table}', 'somewhere', '', '', 0) ON CONFLICT (id) DO NOTHING"
        )
        names = "source, list_id, list_rank, market, instrument, is_listed, first_seen, last_seen, changed"
        db.execute(
            f"INSERT INTO {table} ({names}, instrument_status, {last}) "
            f"VALUES ('coindesk', 1, 1, 'somewhere', 'A-B', {is_listed}, 0, 0, {changed}, '{status}', {changed})"
        )

    await bench.store._db.run(put, "ACTIVE", False, 300)
    assert await bench.store._db.run(listed, place) == Listed("NOT LISTED", is_active=False, ends=300)
    # The name is another instrument's by now.
    await bench.store._db.run(put, "RETIRED", True, 500)
    assert await bench.store._db.run(listed, place) == Listed("RETIRED", is_active=False, ends=500)
