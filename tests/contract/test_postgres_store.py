"""What only the PostgreSQL store owes: indexes that are used, bars that are finite, schemas, roles, poolers, COPY."""

import asyncio
import json
import math
import os
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
from test_as_of import History
from test_store import KEY, NOW, SOURCE, Bench, answer, eventful, opened, series

from core.alerting import Change, Entry
from core.alerting.silences import make_silence
from core.datasets import DATASETS, SPOT_OHLCV, Dataset, SeriesKey
from core.errors import ConfigError, StoreError, StoreRefused
from core.events import AlertChanged
from core.exports.request import Request
from core.exports.run import streams_of
from core.findings import Finding
from core.history import Sample
from core.ledger import Report, Told
from core.limits import Figures
from core.references import LISTS
from core.schedule import Pause
from core.sources import Listing
from core.stores import RunRecord, RunSeries, Store, postgres_connection
from core.stores.catalog import ListingCommit
from core.stores.export_sql import columns_of
from core.stores.migrate import migrate
from core.stores.opening import open_store, open_to_plan, reading
from core.stores.postgres import connected_database
from core.stores.postgres_connection import PostgresDatabase
from core.stores.reading import Reader
from core.stores.roles import roles_sql
from core.stores.selection import EVERYTHING, Selection
from core.stores.sql_store import SQLStore
from core.stores.ticks import CLAIMED, Tick
from core.usage import Counted
from core.windows import Window
from tests.fakes import row_of
from tests.services import run_script, run_sql
from tests.stores import pooled

UNTIL = 2**40


@pytest.fixture
def url(postgres_store_url: str) -> str:
    return postgres_store_url


def make(url: str) -> str:
    """A store at `url`; the same URL."""
    with connected_database(url) as db:
        migrate(db, NOW)
    return url


# --- indexes

# Dailies of three years, and minutes of the last days, in one table as they are.
MARKET = """
SET search_path TO tapewatch;
INSERT INTO series (source, data_type, market, instrument, interval, created)
    SELECT 'coindesk', 'spot_ohlcv', 'm' || n % 3, 'I' || n, i, 0
    FROM generate_series(1, 300) AS n, unnest(ARRAY['1d', '1h', '1m']) AS i;
INSERT INTO spot_ohlcv (series_id, closed, ts, known_at, sent_at, open, high, low, close, volume)
    SELECT id, true, ts, 0, 0, 1, 1, 1, 1, 1
    FROM series, generate_series(CAST('2022-06-01Z' AS timestamptz), '2025-06-01Z', '1 day') AS ts
    WHERE interval = '1d';
INSERT INTO spot_ohlcv (series_id, closed, ts, known_at, sent_at, open, high, low, close, volume)
    SELECT id, true, ts, 0, 0, 1, 1, 1, 1, 1
    FROM series, generate_series(CAST('2025-05-31Z' AS timestamptz), '2025-06-01Z', '1 minute') AS ts
    WHERE interval = '1m' AND id % 5 = 0;
ANALYZE;
"""


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from nodes(part)


@pytest.mark.slow
def test_cross_sections_and_ranges_are_found_by_an_index(url: str) -> None:
    run_script(url, MARKET)
    [(wanted,)] = run_sql(url, "SELECT id FROM tapewatch.series WHERE instrument = 'I7' AND interval = '1d'")
    names = "market, instrument, time, open, close"
    view = f"SELECT {names} FROM tapewatch.spot_ohlcv_1d WHERE"
    span = "time >= '2025-01-01' AND time < '2025-03-01'"
    questions = {
        "one time, all series": f"{view} time = '2025-01-01'",
        "the newest, all series": f"{view} time = '2025-06-01'",
        "one series by name": f"{view} market = 'm1' AND instrument = 'I7' AND {span}",
        "one series in order": f"{view} series_id = {wanted} AND {span} ORDER BY time",
        "its last bar": f"{view} series_id = {wanted} ORDER BY time DESC LIMIT 1",
    }
    for question, query in questions.items():
        [(text,)] = run_sql(url, f"EXPLAIN (FORMAT JSON) {query}")
        found = list(nodes(json.loads(text)[0]["Plan"]))
        of_bars = [node for node in found if node.get("Relation Name") == "spot_ohlcv" or "Index Name" in node]
        assert "spot_ohlcv_pkey" in {node.get("Index Name") for node in of_bars}, (question, text)
        assert not [node for node in of_bars if node["Node Type"] == "Seq Scan"], (question, text)
        if "time =" in query or "time >=" in query:
            conditions = [node["Index Cond"] for node in of_bars if node.get("Index Name") == "spot_ohlcv_pkey"]
            assert all("ts " in condition for condition in conditions), (question, text)
        assert "order" not in question or not [node for node in found if node["Node Type"] == "Sort"], text


@pytest.mark.slow
def test_an_export_reads_its_bars_by_the_index(url: str) -> None:
    """As it asks for them, in order and without sorting."""
    run_script(url, MARKET)
    asked: list[tuple[str, Any]] = []
    with connected_database(url) as db, db.snapshot():
        stream = db.stream

        def listening(sql: str, values: Any) -> Any:
            asked.append((sql, values))
            return stream(sql, values)

        db.stream = listening  # type: ignore[method-assign]
        request = Request(SPOT_OHLCV, interval="1d", window=Window(1_735_689_600, 1_740_000_000), instruments=("I7",))
        [bars] = streams_of(db, request, tuple(columns_of(db, request.table)))
        assert len(list(bars.read(request.window))) == 50
        [(sql, values)] = asked
        plan = "\n".join(line for (line,) in db.execute(f"EXPLAIN {sql}", values))
    assert "Index Scan using spot_ohlcv_pkey" in plan, plan
    assert re.search(r"Index Cond: .*series_id = .*ts >= .*ts < ", plan), plan
    assert "Sort" not in plan, plan


# --- values


@pytest.mark.parametrize("dataset", DATASETS.values(), ids=DATASETS)
async def test_no_float_of_a_bar_is_without_bounds(url: str, dataset: Dataset) -> None:
    connection = await asyncpg.connect(url)
    names = [column.name for column in dataset.columns if column.kind is float]
    assert names
    try:
        for name in names:
            sql = (
                f"INSERT INTO tapewatch.{dataset.name} (series_id, closed, ts, sent_at, {name}) "
                "VALUES (1, true, now(), 0, $1)"
            )
            for value in (math.nan, math.inf, -math.inf):
                with pytest.raises(asyncpg.CheckViolationError, match=f"{dataset.name}_finite"):
                    await connection.execute(sql, value)
        await connection.execute(sql, -1.7976931348623157e308)
    finally:
        await connection.close()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("is_known", [False, True], ids=["copied", "upserted"])
async def test_a_window_with_such_a_float_is_refused_whole(url: str, value: float, is_known: bool) -> None:
    bench = Bench(url)
    async with opened(bench):
        state = await series(bench.store)
        if is_known:
            await bench.store.commit(answer(state, bars=3))
        before = await bench.query("SELECT * FROM coverage")
        with pytest.raises(StoreError, match="spot_ohlcv_finite"):
            await bench.store.commit(answer(state, bars=4, sent_at=2_000, bar={"close": value}))
        assert await bench.query("SELECT * FROM coverage") == before
        assert await bench.query("SELECT count(*) FROM spot_ohlcv") == [(3 if is_known else 0,)]


# --- whose database it is


def look(url: str) -> str:
    with reading(url) as reader:
        return reader.origin()


async def assert_refused(url: str, words: str) -> None:
    """By everybody who opens it, and left as it is."""
    before = catalogue(url)
    for opening in (open_store, open_to_plan):
        with pytest.raises(StoreRefused, match=words):
            await opening(url)
    with pytest.raises(StoreRefused, match=words):
        await asyncio.to_thread(look, url)
    assert catalogue(url) == before


def catalogue(url: str) -> list[tuple[Any, ...]]:
    address = url.partition("?")[0]
    names = (
        "SELECT CAST(CAST(relnamespace AS regnamespace) AS text), relname, relkind, CAST(xmin AS text) FROM pg_class"
    )
    rows = [tuple(row) for row in run_sql(address, f"{names} ORDER BY 1, 2")]
    has_ledger = ("tapewatch", "migration") in [row[:2] for row in rows]
    ledger = run_sql(address, "SELECT * FROM tapewatch.migration ORDER BY 1") if has_ledger else []
    return [*rows, *(tuple(row) for row in ledger)]


async def test_who_finds_no_store_is_told_what_makes_one(postgres_url: str) -> None:
    await assert_refused(postgres_url, "no store in this database yet; `tapewatch db migrate` makes it")


async def test_a_schema_of_somebody_else_is_refused_by_name(postgres_url: str) -> None:
    run_script(postgres_url, "CREATE SCHEMA tapewatch; CREATE TABLE tapewatch.albums (title text)")
    await assert_refused(postgres_url, r"tables of another program \(albums, ...\); choose another schema")


async def test_a_newer_version_is_refused(url: str) -> None:
    run_sql(url, "INSERT INTO tapewatch.migration VALUES (999, '0999_future.sql', 'x', 0)")
    await assert_refused(url, r"written by a newer Tapewatch \(schema 999\)")
    before = catalogue(url)
    with pytest.raises(StoreRefused, match="newer Tapewatch"):
        await asyncio.to_thread(make, url)
    assert catalogue(url) == before


async def test_a_migration_that_was_changed_after_release_is_refused(url: str) -> None:
    run_sql(url, "UPDATE tapewatch.migration SET sha256 = 'x' WHERE version = 1")
    await assert_refused(url, "0001_initial.sql differs")


async def test_two_schemas_are_two_stores(url: str) -> None:
    other = await asyncio.to_thread(make, f"{url}?schema=Prices_2")
    run_script(url, "CREATE TABLE public.series (id int); CREATE TABLE public.spot_ohlcv (x int)")
    one, two = Bench(url), Bench(other)
    async with opened(one), opened(two):
        await one.store.claim_origin("sandbox:1")
        await two.store.claim_origin("sandbox:2")
        await one.store.commit(answer(await series(one.store), bars=3))
        await two.store.commit(answer(await series(two.store), bars=5))
        await two.store.commit(answer(await series(two.store), bars=100, sent_at=2_000, bar={"open": 2.0}))
        assert [await bench.query("SELECT count(*) FROM spot_ohlcv_1m") for bench in (one, two)] == [[(3,)], [(100,)]]
    assert [await asyncio.to_thread(look, each) for each in (url, other)] == ["sandbox:1", "sandbox:2"]
    with pytest.raises(ConfigError, match="is no name"):
        await open_store(f"{url}?schema=a-b")


async def test_a_password_is_not_shown_by_what_a_store_refuses(url: str) -> None:
    secret = url.replace("postgres@", "postgres:hunter2@", 1)
    bench = Bench(secret)
    async with opened(bench):
        await bench.store.claim_origin("sandbox:7")
        with pytest.raises(StoreRefused, match="holds data of sandbox:7") as refused:
            await bench.store.claim_origin("coindesk")
    assert "hunter2" not in str(refused.value)


# --- who may only look

LIST = SeriesKey("spot_instruments", "kraken")


async def furnish(store: Store) -> None:
    """Something of everything that can be looked at."""
    assert isinstance(store, SQLStore)
    await store.claim_origin("sandbox:7")
    state = await series(store)
    await store.commit(answer(state, bars=20))
    await store.commit(eventful(state))
    await store.failed(state, Window(9_000, 9_600), "down", 9, "r")
    await store.flag(state, [Finding("frozen", Window(0, 60), "warning", "words")])
    [listed] = await store.series(SOURCE, [LIST])
    rows = [row_of("spot_instruments", instrument="BTC-USD", exchange_symbol="XXBTZUSD", instrument_status="ACTIVE")]
    await store.write_listing(ListingCommit(listed, SOURCE, Listing(rows, NOW, 1), "r"))
    await store.create_universe(SOURCE, "mine", [KEY])
    run = RunRecord("r", "e", "spot_ohlcv", "1m", "", "complete", 1.0, 1.0, 2.0, {})
    calls = [Counted(0, "a key", "spot_ohlcv", "backfill", "", 3)]
    alert = AlertChanged(
        alert="r:s",
        rule="r",
        level="ERROR",
        state="firing",
        since=1.0,
        message="m",
        source="s",
        incident="i",
        sequence=1,
    )
    told = [Change(alert, entries=(Entry("hook", "ERROR:r", "fired", alert, 1.0, 1.0),))]
    await store.journal([run], [RunSeries("r", str(KEY), "done", 1, 1, 3)], told, calls)
    await store.silence(make_silence("s-1", NOW, NOW + 60.0, "me", "words", rule="r"))
    await store.claim_tick(Tick("hourly", 3_600, "e", "host", 3_600.0, CLAIMED))
    await store.pause_schedule(Pause("hourly", 1.0, None, "me", "words"))
    await store.record([Sample(60, "tapewatch_lag_seconds", "{}", NOW // 60 * 60, 1, 0.1, 0.1, 0.1, 0.1, {})])
    if book := store.book("a key"):
        await book.exchange(Report(0, told=[Told({2_678_400: Figures(10_000, 9_000, 90_000)})]), 0)


@pytest.fixture
def readers_url(url: str) -> Iterator[str]:
    """The store of `url` for the role that `db roles` gives to those who look."""
    name = f"looker_{os.getpid()}"
    run_script(url, roles_sql("tapewatch", name, f"{name}_writer"))
    run_sql(url, f"ALTER ROLE {name} PASSWORD 'look'")
    parts = urlsplit(url)
    yield parts._replace(netloc=f"{name}:look@{parts.netloc.rpartition('@')[2]}").geturl()
    for role in (name, f"{name}_writer"):
        run_script(url, f"DROP OWNED BY {role}; DROP ROLE {role}")


def exported(reader: Reader) -> list[Any]:
    """All that an export reads, of bars and of reference data, now and as it was."""
    found: list[Any] = []
    with reader.snapshot() as db:
        for data_type in (SPOT_OHLCV, LISTS["spot_instruments"]):
            for as_of in (None, NOW):
                request = Request(data_type, interval="1m" if data_type is SPOT_OHLCV else None, as_of=as_of)
                for stream in streams_of(db, request, tuple(columns_of(db, request.table))):
                    found += stream.read(Window(0, UNTIL))
    return found


QUESTIONS: dict[str, Callable[[Reader], Any]] = {
    "census": Reader.census,
    "kept_alerts": Reader.kept_alerts,
    "last_ticks": lambda reader: reader.last_ticks(["hourly"], NOW),
    "notifications": Reader.notifications,
    "outbox": Reader.outbox,
    "past": lambda reader: reader.past(0.0),
    "samples": lambda reader: reader.samples(60, Window(0, NOW + 1)),
    "ticks": Reader.ticks,
    "bars": lambda reader: reader.bars(KEY, ("close",), Window(0, UNTIL), 5),
    "inactive": Reader.inactive,
    "findings": Reader.findings,
    "spans": Reader.spans,
    "calls_by_day": lambda reader: reader.calls_by_day("a key", 0),
    "limits": lambda reader: [(limit.name, limit.remaining) for limit in reader.limits("a key")],
    "usage": lambda reader: reader.usage(Window(0, NOW)),
    "alert_changes": lambda reader: reader.alert_changes(0),
    "alert_past": lambda reader: reader.alert_past("r:s"),
    "alerts": lambda reader: reader.alerts(only_open=False),
    "changes": lambda reader: reader.changes(0),
    "contents": lambda reader: reader.contents(KEY),
    "data_types": Reader.data_types,
    "failed": Reader.failed,
    "fleet": lambda reader: reader.fleet(0),
    "find": lambda reader: reader.find(KEY),
    "gaps": Reader.gaps,
    "leased": lambda reader: reader.leased(KEY),
    "last_alert_change": Reader.last_alert_change,
    "last_asked": lambda reader: reader.last_asked(KEY),
    "listed": lambda reader: reader.listed(KEY),
    "lists": Reader.lists,
    "origin": Reader.origin,
    "pauses": Reader.pauses,
    "prunable": lambda reader: reader.prunable("spot_ohlcv", "1m", UNTIL),
    "quarantined": Reader.quarantined,
    "restated": lambda reader: reader.restated(EVERYTHING, 0),
    "run_series": lambda reader: reader.run_series("r"),
    "runs": Reader.runs,
    "series": Reader.series,
    "series_detail": lambda reader: reader.series_detail(KEY),
    "silences": Reader.silences,
    "snapshot": exported,
    "state": lambda reader: reader.state(KEY),
    "universe": lambda reader: reader.universe(SOURCE, "mine"),
    "universes": Reader.universes,
    "vendor_time": lambda reader: reader.vendor_time(NOW),
}


def ask_everything(url: str) -> dict[str, Any]:
    with reading(url) as reader:
        return {name: ask(reader) for name, ask in QUESTIONS.items()}


async def test_who_may_only_look_sees_all_that_there_is_to_see(url: str, readers_url: str) -> None:
    assert QUESTIONS.keys() == {name for name in vars(Reader) if not name.startswith("_")}
    bench = Bench(url)
    async with opened(bench):
        await furnish(bench.store)
    seen = await asyncio.to_thread(ask_everything, readers_url)
    empty = {name for name, value in seen.items() if not value}
    assert empty == {"changes", "inactive"}
    assert seen == await asyncio.to_thread(ask_everything, url)


async def test_who_may_only_look_can_plan_and_cannot_write(url: str, readers_url: str) -> None:
    bench = Bench(url)
    async with opened(bench):
        await furnish(bench.store)
        whole = [await planned(bench.store)]
    store = await open_to_plan(readers_url)
    try:
        await store.claim_origin("sandbox:7")
        with pytest.raises(StoreRefused, match="refuses coindesk"):
            await store.claim_origin("coindesk")
        assert [await planned(store)] == whole
        with pytest.raises(StoreRefused, match="permission denied"):
            await store.settle_start(await series(store, KEY), 60)
        with pytest.raises(StoreRefused, match="permission denied"):
            await store.series(SOURCE, [KEY._replace(instrument="NEW-USD")])
    finally:
        await store.close()


async def planned(store: SQLStore) -> list[Any]:
    """What a plan, a quote and `verify` ask of a store."""
    states = await store.series(SOURCE, [KEY, LIST, KEY._replace(instrument="NO-USD")], create=False)
    [stored] = await store.stored(EVERYTHING)
    bars = [await store.bars(stored, Window(0, 600)), await store.newest_bars(states[0], 5)]
    return [
        states,
        stored,
        [(found.ts, [*found.columns.items()]) for found in bars],
        await store.listing(SOURCE, LIST),
        await store.entities(SOURCE, LIST, ["BTC-USD"]),
        await store.stored_series(SOURCE, "spot_ohlcv", "1m"),
        await store.blocked_names(SOURCE),
        await store.universe(SOURCE, "mine"),
        await store.damaged(SOURCE, Selection()),
        await store.unexplained_gaps("spot_ohlcv", "1m"),
        await store.kept_alerts(),
        await store.quarantined(),
    ]


# --- behind a pooler that hands out connections by transaction

# What PgBouncer itself keeps as each client has it.
POOLERS_OWN = "'application_name', 'client_encoding', 'DateStyle', 'TimeZone', 'standard_conforming_strings'"
LEFT = (
    f"SELECT name FROM pg_settings WHERE source = 'session' AND name NOT IN ({POOLERS_OWN}) "
    "UNION ALL SELECT name FROM pg_prepared_statements UNION ALL SELECT name FROM pg_cursors WHERE name <> '' "
    "UNION ALL SELECT 'a lock' FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid() "
    "UNION ALL SELECT channel FROM pg_listening_channels() AS channel"
)


async def test_nothing_is_left_in_a_session(url: str, pooler_address: str) -> None:
    """Whoever gets the connection next finds it as it was, but for the tables beside that rows are staged in."""
    address = pooled(url, pooler_address)
    bench = Bench(address)
    async with opened(bench):
        await furnish(bench.store)
        await bench.store.commit(answer(await series(bench.store), bars=100, sent_at=9_000, bar={"open": 9.0}))
        next_client = await asyncpg.connect(address.partition("?")[0], statement_cache_size=0)
        try:
            assert await next_client.fetch(LEFT) == []
            assert await next_client.fetchval("SHOW search_path") == '"$user", public'
        finally:
            await next_client.close()


async def test_stores_that_share_connections_do_not_mix(url: str, pooler_address: str) -> None:
    await asyncio.to_thread(make, f"{url}?schema=other")
    one, two = Bench(pooled(url, pooler_address)), Bench(pooled(url, pooler_address) + "&schema=other")
    async with opened(one), opened(two):
        states = [await series(bench.store) for bench in (one, two)]
        for turn in range(1, 6):
            many = {"bars": 70 * turn, "sent_at": turn}
            commits = [
                answer(states[0], bar={"open": 1.0 * turn}, **many),
                answer(states[1], bar={"open": -1.0}, **many),
            ]
            await asyncio.gather(one.store.commit(commits[0]), two.store.commit(commits[1]))
        found = [await bench.query("SELECT count(*), min(open), max(open) FROM spot_ohlcv") for bench in (one, two)]
    assert found == [[(350, 5.0, 5.0)], [(350, -1.0, -1.0)]]


@pytest.mark.slow
def test_what_is_exported_through_a_pooler_is_the_same(url: str, pooler_address: str) -> None:
    run_script(url, MARKET)
    found = []
    for address in (url, pooled(url, pooler_address)):
        with reading(address) as reader, reader.snapshot() as db:
            request = Request(SPOT_OHLCV, interval="1d", markets=("m1",), window=Window(1_735_689_600, UNTIL))
            streams = streams_of(db, request, ("market", "time", "open", "closed"))
            found.append([row for stream in streams for row in stream.read(request.window)])
    assert found[0] == found[1]
    assert len(found[0]) == 100 * 152


# --- the ways that bars are written

TABLES = ("series", "coverage", "gap", "restatement", "widened", "unsettled")


@pytest.mark.slow
@pytest.mark.parametrize("dataset", [SPOT_OHLCV, DATASETS["futures_open_interest"]], ids=lambda dataset: dataset.name)
async def test_every_way_of_writing_bars_gives_the_same_tables(
    url: str, dataset: Dataset, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Random windows, read again, wider, narrower, late: copied as usual, all staged, all one by one, and in SQLite."""
    used: Counter[str] = Counter()
    write, copy, stage = PostgresDatabase.write_bars, PostgresDatabase.copy_rows, PostgresDatabase._stage
    pack = PostgresDatabase._copy_packed

    def write_bars(self: PostgresDatabase, commit: Any, rows: Sequence[Any], *, is_new: bool) -> None:
        limits = {"staged": 0, "single": UNTIL}
        with monkeypatch.context() as patched:
            patched.setattr(postgres_connection, "STAGED_FROM", limits.get(self.schema, 3))
            write(self, commit, rows, is_new=is_new and self.schema not in limits)

    def counted(name: str, method: Callable[..., None]) -> Callable[..., None]:
        def call(self: PostgresDatabase, *args: Any) -> None:
            used[f"{name} {self.schema}"] += 1
            method(self, *args)

        return call

    monkeypatch.setattr(PostgresDatabase, "write_bars", write_bars)
    monkeypatch.setattr(PostgresDatabase, "_copy_packed", counted("packed", pack))
    monkeypatch.setattr(PostgresDatabase, "copy_rows", counted("copy", copy))
    monkeypatch.setattr(PostgresDatabase, "_stage", counted("stage", stage))
    urls = [await asyncio.to_thread(make, f"{url}?schema={name}") for name in ("staged", "single")]
    async with AsyncExitStack() as stack:
        benches = [Bench(each) for each in ("sqlite:///:memory:", url, *urls)]
        for bench in benches:
            await stack.enter_async_context(opened(bench))
        histories = []
        for bench in benches:
            key = SeriesKey(dataset.name, "kraken", "BTC-USD", "1m")
            histories.append(History(bench.store, dataset, await series(bench.store, key), random.Random(seed)))
        for _ in range(40):
            for history in histories:
                history.revise()
                await history.read()
        names = "ts, closed, known_at, sent_at, " + ", ".join(column.name for column in dataset.columns)
        queries = [f"SELECT {names} FROM {dataset.name} ORDER BY ts", *(f"SELECT * FROM {table}" for table in TABLES)]
        for query in queries:
            found = [sorted(await bench.query(query), key=repr) for bench in benches]
            for other in found[1:]:
                assert other == found[0], query
    assert used["stage staged"] > 10
    assert used["copy staged"] == used["stage staged"]
    assert used["packed tapewatch"] + used["copy tapewatch"] > used["stage tapewatch"] > 0
    assert used["copy single"] == used["stage single"] == 0
