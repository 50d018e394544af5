"""Lists of reference data in a store: who is who, what changed, and which series follow, on a real database."""

import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from core.coverage import SeriesState
from core.datasets import SeriesKey
from core.errors import ConfigError, Malformed
from core.sources import Listing, RejectedRow, Row
from core.stores.catalog import ListingCommit, ListingWritten
from core.stores.opening import open_store
from core.stores.sql_store import SQLStore
from tests.fakes import ManualClock, row_of

SOURCE = "coindesk"
KRAKEN = SeriesKey("spot_instruments", "kraken")
DERIBIT = SeriesKey("futures_instruments", "deribit")
FIRST = 1_750_000_000
HOUR = 3_600


class Book:
    """A store and its clock; every answer comes an hour after the one before."""

    def __init__(self, store: SQLStore, clock: ManualClock) -> None:
        self.store = store
        self.clock = clock

    async def answer(self, *rows: Row, key: SeriesKey = KRAKEN, **how: Any) -> ListingWritten:
        """An answered list of these rows."""
        [state] = await self.store.series(SOURCE, [key])
        listing = Listing(list(rows), int(self.clock.now), how.pop("total", len(rows)))
        for name in ("rejected", "notes", "unreadable"):
            setattr(listing, name, how.pop(name, getattr(listing, name)))
        written = await self.store.write_listing(ListingCommit(state, SOURCE, listing, "r-1", **how))
        self.clock.pass_(HOUR)
        return written

    async def series(self, name: str, market: str = "kraken", interval: str = "1d") -> SeriesState:
        [state] = await self.store.series(SOURCE, [SeriesKey("spot_ohlcv", market, name, interval)])
        return state

    async def query(self, sql: str) -> list[tuple[Any, ...]]:
        return await self.store._db.run(lambda db: db.execute(sql).fetchall())


@pytest.fixture
async def book(store_url: str) -> AsyncIterator[Book]:
    clock = ManualClock(FIRST)
    store = await open_store(store_url, clock)
    yield Book(store, clock)
    await store.close()


IDS = {"BTC": 1, "ETH": 2, "USD": 5, "USDT": 7, "LUNA": 40, "LUNC": 40, "POL": 50, "MATIC": 50}


def pair(name: str, symbol: str | None = None, **values: Any) -> Row:
    """A spot instrument; its ids are those of its symbols."""
    base, quote = name.split("-")
    given = {
        "instrument": name,
        "exchange_symbol": symbol or f"X{base}Z{quote}",
        "instrument_status": "ACTIVE",
        "base": base,
        "quote": quote,
        "base_id": IDS.get(base, sum(map(ord, base))),
        "quote_id": IDS[quote],
        "has_trades_spot": True,
        "total_trades_spot": 10,
    }
    return row_of("spot_instruments", **{**given, **values})


def told(written: ListingWritten) -> list[tuple[str, str, str | None]]:
    return [(recorded.change.change, recorded.entity, recorded.change.field) for recorded in written.changes]


BTC, ETH = pair("BTC-USD"), pair("ETH-USD")


async def test_the_first_answer_fills_the_table_and_changes_nothing(book: Book) -> None:
    written = await book.answer(BTC, ETH)
    assert (written.inserted, written.updated, written.unchanged, written.changes) == (2, 0, 0, ())
    assert await book.query(
        "SELECT source, market, instrument, list_rank, is_listed, first_seen, last_seen, base_id, has_trades_spot "
        "FROM spot_instruments ORDER BY list_rank"
    ) == [
        (SOURCE, "kraken", "BTC-USD", 0, 1, FIRST, FIRST, 1, 1),
        (SOURCE, "kraken", "ETH-USD", 1, 1, FIRST, FIRST, 2, 1),
    ]
    assert await book.query("SELECT rows, total, refreshed, page_checked FROM series") == [(2, 2, FIRST, FIRST)]


async def test_what_comes_back_is_what_was_last_answered(book: Book) -> None:
    assert await book.store.listing(SOURCE, KRAKEN) is None
    await book.answer(ETH, BTC, pair("OLD-USD"))
    await book.answer(BTC, ETH, total=7)
    found = await book.store.listing(SOURCE, KRAKEN)
    assert found is not None
    assert (found.refreshed, found.answered, found.total) == (FIRST + HOUR, FIRST + HOUR, 7)
    assert found.rows == [BTC, ETH]
    assert type(found.rows[0]["has_trades_spot"]) is bool


async def test_what_moves_by_itself_is_refreshed_and_no_change(book: Book) -> None:
    await book.answer(BTC)
    written = await book.answer({**BTC, "total_trades_spot": 99, "last_trade_spot_timestamp": 5})
    assert (written.unchanged, written.changes) == (1, ())
    columns = "total_trades_spot, last_trade_spot_timestamp, last_seen, changed"
    assert await book.query(f"SELECT {columns} FROM spot_instruments") == [(99, 5, FIRST + HOUR, FIRST)]


async def test_every_field_that_changes_is_a_dated_row(book: Book) -> None:
    await book.answer(BTC)
    written = await book.answer({**BTC, "histo_shard": "B", "transform_function": "INVERT", "has_trades_spot": False})
    assert written.updated == 1
    assert await book.query(
        "SELECT data_type, place, entity, entity_id, change, field, old, new, at, run_id FROM metadata_change"
    ) == [
        ("spot_instruments", "kraken", "BTC-USD", 1, change, field, old, new, FIRST + HOUR, "r-1")
        for change, field, old, new in (
            ("attribute", "histo_shard", None, '"B"'),
            ("terms", "transform_function", None, '"INVERT"'),
            ("attribute", "has_trades_spot", "true", "false"),
        )
    ]


def with_status(status: str) -> Row:
    return {**BTC, "instrument_status": status}


LIVES: list[tuple[list[str | None], list[tuple[str, str]]]] = [
    (["ACTIVE", "RETIRED"], [("delisted", "instrument_status")]),
    (["ACTIVE", "EXPIRED", "ACTIVE"], [("delisted", "instrument_status"), ("back", "instrument_status")]),
    (["ACTIVE", None], [("delisted", "is_listed")]),
    (["ACTIVE", None, None], [("delisted", "is_listed")]),
    (["ACTIVE", None, "ACTIVE"], [("delisted", "is_listed"), ("back", "is_listed")]),
    (["ACTIVE", "IGNORED", "ACTIVE"], [("status", "instrument_status")] * 2),
    (["READY_FOR_DECOMMISSIONING", "RETIRED"], [("delisted", "instrument_status")]),
    (["RETIRED", None, "RETIRED"], [("status", "is_listed"), ("status", "is_listed")]),
    (["RETIRED", None, "ACTIVE"], [("status", "is_listed"), ("back", "is_listed"), ("status", "instrument_status")]),
    (["RETIRED", "EXPIRED"], [("status", "instrument_status")]),
]  # fmt: skip


@pytest.mark.parametrize(("statuses", "expected"), LIVES, ids=lambda value: "-".join(map(str, value)))
async def test_the_life_of_an_instrument(
    book: Book, statuses: Sequence[str | None], expected: Sequence[tuple[str, str]]
) -> None:
    for status in statuses:
        await book.answer(*([] if status is None else [with_status(status)]))
    assert await book.query("SELECT change, field FROM metadata_change ORDER BY id") == list(expected)
    is_listed = int(statuses[-1] is not None)
    assert await book.query("SELECT count(*), max(CAST(is_listed AS INTEGER)) FROM spot_instruments") == [
        (1, is_listed)
    ]


async def test_a_new_instrument_is_listed_and_one_that_cannot_be_read_is_not_gone(book: Book) -> None:
    await book.answer(BTC, ETH)
    bad = RejectedRow("type", "ETH-USD: Expected `int`, got `str`", "{...}")
    written = await book.answer(BTC, pair("SOL-USD"), rejected=[bad], unreadable=frozenset({"ETH-USD"}))
    assert told(written) == [("listed", "SOL-USD", None)]
    assert written.quarantined == 1
    await book.answer(BTC, pair("SOL-USD"), rejected=[bad], unreadable=frozenset({"ETH-USD"}))
    assert await book.query('SELECT reason, detail, sightings, start, "end" FROM quarantine') == [
        ("type", bad.detail, 2, 1, 2)
    ]
    assert await book.query("SELECT sum(CAST(is_listed AS INTEGER)) FROM spot_instruments") == [(3,)]


async def test_a_list_that_lost_most_of_itself_is_not_believed(book: Book) -> None:
    many = [pair(f"C{at}-USD") for at in range(30)]
    await book.answer(*many)
    with pytest.raises(Malformed, match="14 entries where 30 were listed") as caught:
        await book.answer(*many[:14])
    assert caught.value.reason == "incomplete"
    assert await book.query("SELECT sum(CAST(is_listed AS INTEGER)) FROM spot_instruments") == [(30,)]
    assert len((await book.answer(*many[:15])).changes) == 15
    assert len((await book.answer(many[0], is_trusted=True)).changes) == 14


async def test_an_empty_list_is_not_believed_where_some_were_listed(book: Book) -> None:
    assert (await book.answer()).changes == ()
    await book.answer(BTC, pair("ETH-USD"))
    with pytest.raises(Malformed, match="0 entries where 2 were listed"):
        await book.answer()
    assert len((await book.answer(is_trusted=True)).changes) == 2
    assert (await book.answer()).changes == ()


# --- names


async def test_a_renamed_instrument_stays_itself_and_so_do_its_series(book: Book) -> None:
    old, new = pair("MATIC-USD", "MATICUSD"), pair("POL-USD", "MATICUSD", mapping_created_on=9)
    await book.answer(BTC, old)
    daily, hourly = await book.series("MATIC-USD"), await book.series("MATIC-USD", interval="1h")
    other = await book.series("MATIC-USD", market="coinbase")
    written = await book.answer(BTC, new)
    assert told(written) == [("renamed", "POL-USD", "instrument")]
    assert await book.query("SELECT old, new FROM metadata_change") == [('"MATIC-USD"', '"POL-USD"')]
    for name in ("POL-USD", "MATIC-USD", "MATICUSD"):
        found = await book.series(name)
        assert (found.id, found.key.instrument) == (daily.id, "POL-USD")
    assert (await book.series("POL-USD", interval="1h")).id == hourly.id
    assert (await book.series("MATIC-USD", market="coinbase")).key == other.key
    assert await book.query(f"SELECT base, quote, base_id, exchange_symbol FROM series WHERE id = {daily.id}") == [
        ("POL", "USD", 50, "MATICUSD")
    ]
    assert await book.query("SELECT name, until FROM series_name") == [("MATIC-USD", FIRST + HOUR)] * 2


async def test_a_new_symbol_and_a_new_name_at_once(book: Book) -> None:
    await book.answer(BTC, pair("MATIC-USD", "MATICUSD"))
    stored = await book.series("MATIC-USD")
    written = await book.answer(BTC, pair("POL-USD", "POLUSD"))
    assert told(written) == [("renamed", "POL-USD", "instrument"), ("symbol", "POL-USD", "exchange_symbol")]
    assert (await book.series("POLUSD")).id == stored.id
    written = await book.answer({**BTC, "exchange_symbol": "BTCUSD"}, pair("POL-USD", "POLUSD"))
    assert told(written) == [("symbol", "BTC-USD", "exchange_symbol")]


async def test_of_instruments_of_the_same_assets_the_symbol_tells_which_is_which(book: Book) -> None:
    same = {"base_id": 1, "quote_id": 5}
    await book.answer(pair("BTC-USD", "A", **same), pair("XBT-USD", "B", **same))
    written = await book.answer(pair("YY-USD", "B", **same), pair("XX-USD", "A", **same))
    assert sorted(told(written)) == [("renamed", "XX-USD", "instrument"), ("renamed", "YY-USD", "instrument")]
    old = await book.query("SELECT old, new FROM metadata_change ORDER BY new")
    assert old == [('"BTC-USD"', '"XX-USD"'), ('"XBT-USD"', '"YY-USD"')]


async def test_what_comes_back_under_a_new_name_is_still_itself(book: Book) -> None:
    await book.answer(BTC, pair("MATIC-USD", "M"))
    stored = await book.series("MATIC-USD")
    await book.answer(BTC)
    assert told(await book.answer(BTC, pair("POL-USD", "M"))) == [
        ("back", "POL-USD", "is_listed"), ("renamed", "POL-USD", "instrument"),
    ]  # fmt: skip
    assert (await book.series("POL-USD")).id == stored.id


async def test_there_and_back_again(book: Book) -> None:
    """A name that an instrument gets back is no old name any more."""
    old, new = pair("MATIC-USD", "M"), pair("POL-USD", "M")
    await book.answer(BTC, old)
    stored = await book.series("MATIC-USD")
    await book.answer(BTC, new)
    await book.answer(BTC, old)
    assert (await book.series("MATIC-USD")).id == (await book.series("POL-USD")).id == stored.id
    assert await book.query("SELECT name FROM series_name") == [("POL-USD",)]


async def test_names_may_be_swapped(book: Book) -> None:
    """LUNA becomes LUNC and LUNA2 becomes LUNA, in one answer."""
    old, young = {"base_id": 40}, {"base_id": 41}
    await book.answer(pair("LUNA-USD", "L1", **old), pair("LUNA2-USD", "L2", **young))
    first, second = await book.series("LUNA-USD"), await book.series("LUNA2-USD")
    written = await book.answer(pair("LUNC-USD", "L1", **old), pair("LUNA-USD", "L2", **young))
    assert sorted(told(written)) == [("renamed", "LUNA-USD", "instrument"), ("renamed", "LUNC-USD", "instrument")]
    assert (written.reused, written.kept) == ((), ())
    assert (await book.series("LUNC-USD")).id == first.id
    assert (await book.series("LUNA-USD")).id == second.id


async def test_a_series_that_was_asked_for_by_its_new_name_first_keeps_both(book: Book) -> None:
    await book.answer(BTC, pair("MATIC-USD", "M"))
    old, new = await book.series("MATIC-USD"), await book.series("POL-USD")
    written = await book.answer(BTC, pair("POL-USD", "M"))
    assert told(written) == [("renamed", "POL-USD", "instrument")]
    assert written.kept == ("MATIC-USD is called POL-USD now, and both are stored as series of their own",)
    assert [(await book.series(name)).id for name in ("MATIC-USD", "POL-USD")] == [old.id, new.id]


async def test_another_asset_under_a_known_ticker_is_never_joined(book: Book) -> None:
    await book.answer(BTC, pair("LUNA-USD", "L", base_id=40))
    stored, other = await book.series("LUNA-USD"), await book.series("BTC-USD")
    written = await book.answer(BTC, pair("LUNA-USD", "L", base_id=41))
    assert told(written) == [("reused", "LUNA-USD", "base_id"), ("listed", "LUNA-USD", None)]
    [reuse] = written.reused
    assert (reuse.name, reuse.blocked) == ("LUNA-USD", 1)
    blocked = await book.series("LUNA-USD")
    assert blocked.id == stored.id
    assert blocked.blocked == reuse.words == "since 2025-06-15T16:06:40Z LUNA-USD is another asset (base_id 40, now 41)"
    assert (await book.series("BTC-USD")) == other
    assert await book.query("SELECT base_id, is_listed FROM spot_instruments WHERE instrument = 'LUNA-USD'") == [
        (40, 0), (41, 1),
    ]  # fmt: skip
    assert await book.store.blocked_names(SOURCE) == {"kraken/LUNA-USD"}
    again = await book.answer(BTC, pair("LUNA-USD", "L", base_id=41))
    assert (again.changes, again.reused) == ((), ())


async def test_a_ticker_is_reused_also_long_after_its_asset_was_delisted(book: Book) -> None:
    await book.answer(BTC, pair("LUNA-USD", base_id=40))
    await book.series("LUNA-USD")
    await book.answer(BTC)
    await book.answer(BTC)
    written = await book.answer(BTC, pair("LUNA-USD", base_id=41))
    assert [reuse.blocked for reuse in written.reused] == [1]
    returned = await book.answer(BTC, pair("LUNA-USD", base_id=40))
    assert told(returned) == [("reused", "LUNA-USD", "base_id"), ("back", "LUNA-USD", "is_listed")]


async def test_an_old_name_that_goes_to_another_asset_leads_to_that_one(book: Book) -> None:
    """Its history would be joined to that of the asset that had the name before."""
    await book.answer(BTC, pair("MATIC-USD", "M"))
    stored = await book.series("MATIC-USD")
    await book.answer(BTC, pair("POL-USD", "M"))
    written = await book.answer(BTC, pair("POL-USD", "M"), pair("MATIC-USD", "N", base_id=99))
    assert told(written) == [("listed", "MATIC-USD", None)]
    fresh = await book.series("MATIC-USD")
    assert fresh.id != stored.id
    assert (await book.series("POL-USD")).id == stored.id


async def test_ids_that_are_not_known_say_nothing(book: Book) -> None:
    await book.answer(pair("BTC-USD", base_id=None))
    assert told(await book.answer(BTC)) == [("terms", "BTC-USD", "base_id")]
    assert told(await book.answer(pair("BTC-USD", base_id=None))) == [("terms", "BTC-USD", "base_id")]
    written = await book.answer(pair("XBT-USD", "XBTCZUSD", base_id=None))
    assert sorted(told(written)) == [("delisted", "BTC-USD", "is_listed"), ("listed", "XBT-USD", None)]


def contract(name: str, symbol: str, expires: int | None = None, **values: Any) -> Row:
    underlying, quote, denomination, _ = name.split("-")
    given = {
        "instrument": name,
        "exchange_symbol": symbol,
        "instrument_status": "ACTIVE",
        "index_underlying": underlying,
        "index_underlying_id": IDS[underlying],
        "quote_currency": quote,
        "quote_currency_id": IDS[quote],
        "settlement_currency_id": IDS[underlying],
        "denomination_type": denomination,
        "contract_expiration_ts": expires,
    }
    return row_of("futures_instruments", **{**given, **values})


async def test_one_symbol_for_every_quarter_is_a_new_contract_each_time(book: Book) -> None:
    await book.answer(contract("BTC-USD-INVERSE-20250627", "BTCUSD_CQ", 1_751_000_000), key=DERIBIT)
    written = await book.answer(contract("BTC-USD-INVERSE-20250926", "BTCUSD_CQ", 1_758_000_000), key=DERIBIT)
    assert sorted(told(written)) == [
        ("delisted", "BTC-USD-INVERSE-20250627", "is_listed"), ("listed", "BTC-USD-INVERSE-20250926", None),
    ]  # fmt: skip


async def test_terms_of_a_contract_are_told_one_by_one(book: Book) -> None:
    before = contract("BTC-USD-INVERSE-PERPETUAL", "BTC", settlement_currency="BTC")
    await book.answer(before, key=DERIBIT)
    after = {**before, "settlement_currency": "USDT", "settlement_currency_id": 7, "contract_expiration_ts": 5}
    assert told(await book.answer(after, key=DERIBIT)) == [
        ("terms", "BTC-USD-INVERSE-PERPETUAL", field)
        for field in ("settlement_currency", "settlement_currency_id", "contract_expiration_ts")
    ]


# --- other lists


def asset(symbol: str, number: int, **values: Any) -> Row:
    return row_of("asset_metadata", symbol=symbol, id=number, **values)


def page(number: int) -> SeriesKey:
    return SeriesKey("asset_metadata", "top", str(number))


async def test_pages_of_the_top_list_come_and_go_without_anything_being_gone(book: Book) -> None:
    await book.answer(asset("BTC", 1), asset("ETH", 2), key=page(1), total=4)
    first = await book.answer(asset("SOL", 3), asset("XRP", 4), key=page(2), total=4)
    assert first.changes == ()
    written = await book.answer(asset("BTC", 1, price_usd=5.0), asset("SOL", 3), key=page(1), total=4)
    assert (written.inserted, written.unchanged, written.changes) == (0, 2, ())
    found = await book.store.listing(SOURCE, page(1))
    assert found is not None
    assert ([row["symbol"] for row in found.rows], found.rows[0]["price_usd"]) == (["BTC", "SOL"], 5.0)
    written = await book.answer(asset("BTC", 1, asset_description_snippet="new"), asset("POL", 9), key=page(1))
    assert told(written) == [("attribute", "BTC", "asset_description_snippet"), ("listed", "POL", None)]
    assert await book.query("SELECT count(*), sum(CAST(is_listed AS INTEGER)) FROM asset_metadata") == [(5, 5)]


async def test_an_asset_keeps_its_id_under_a_new_symbol_and_loses_it_to_another(book: Book) -> None:
    await book.answer(asset("MATIC", 50), asset("LUNA", 40), key=page(1))
    index = SeriesKey("indices_ohlcv", "cadli", "LUNA-USD", "1d")
    [state] = await book.store.series(SOURCE, [index])
    written = await book.answer(asset("POL", 50), asset("LUNA", 41), key=page(1))
    assert sorted(told(written)) == [
        ("listed", "LUNA", None), ("renamed", "POL", "symbol"), ("reused", "LUNA", "id"),
    ]  # fmt: skip
    [after] = await book.store.series(SOURCE, [index])
    assert after.id == state.id
    assert after.blocked is not None
    assert await book.store.blocked_names(SOURCE) == {"cadli/LUNA-USD", "top/LUNA"}


async def test_exchanges_change_without_touching_series(book: Book) -> None:
    def exchange(name: str, number: int, **values: Any) -> Row:
        return row_of("exchange_metadata", market=name, id=number, exchange_status="ACTIVE", **values)

    spot = SeriesKey("exchange_metadata", "spot")
    await book.answer(exchange("kraken", 3), exchange("ftx", 9), key=spot)
    await book.answer(exchange("kraken", 3), key=SeriesKey("exchange_metadata", "futures"))
    stored = await book.series("BTC-USD")
    graded = exchange("kraken", 3, ccdata_latest_spot_benchmark_grade="AA", total_trades_spot=7)
    assert sorted(told(await book.answer(graded, key=spot))) == [
        ("attribute", "kraken", "ccdata_latest_spot_benchmark_grade"), ("delisted", "ftx", "is_listed"),
    ]  # fmt: skip
    assert told(await book.answer({**graded, "id": 4}, key=spot)) == [
        ("reused", "kraken", "id"),
        ("listed", "kraken", None),
    ]
    assert await book.series("BTC-USD") == stored


async def test_lists_are_kept_as_json_and_notes_beside_their_rows(book: Book) -> None:
    spot = SeriesKey("exchange_metadata", "spot")
    note = RejectedRow("counter", "kraken: total_trades_spot does not fit", "9" * 25)
    row = row_of("exchange_metadata", market="kraken", controlled_addresses='[{"A":1}]')
    written = await book.answer(row, key=spot, notes=[note])
    assert (written.inserted, written.quarantined) == (1, 0)
    assert await book.query("SELECT reason, raw FROM quarantine") == [("counter", "9" * 25)]
    await book.answer({**row, "controlled_addresses": '[{"A":2}]'}, key=spot)
    [(old, new)] = await book.query("SELECT old, new FROM metadata_change")
    assert (json.loads(old), json.loads(new)) == ([{"A": 1}], [{"A": 2}])


# --- what series know


async def test_a_new_series_knows_what_the_listing_says(book: Book) -> None:
    await book.answer(BTC)
    state = await book.series("BTC-USD")
    assert (state.exchange_symbol, state.has_constants) == ("XBTCZUSD", False)
    assert await book.query("SELECT base, base_id, quote_id FROM series WHERE interval <> ''") == [("BTC", 1, 5)]
    assert (await book.series("SOL-USD")).exchange_symbol is None


async def test_instruments_are_remembered_by_every_name_they_had(book: Book) -> None:
    await book.answer(BTC, pair("MATIC-USD", "M"), pair("OLD-USD"))
    await book.answer(BTC, pair("POL-USD", "M"))

    async def names(*asked: str) -> list[tuple[str, bool]]:
        found = await book.store.entities(SOURCE, KRAKEN, asked)
        return [(entity.row["instrument"], entity.is_listed) for entity in found]

    assert await names("MATIC-USD") == await names("M") == await names("POL-USD") == [("POL-USD", True)]
    assert await names("OLD-USD", "NOPE") == [("OLD-USD", False)]


async def test_a_universe_is_dated_and_follows_names(book: Book) -> None:
    def key(name: str) -> SeriesKey:
        return SeriesKey("spot_ohlcv", "kraken", name, "1d")

    store = book.store
    await book.answer(BTC, pair("MATIC-USD", "M"))
    assert await store.create_universe(SOURCE, "mine", [key("BTC-USD"), key("MATIC-USD"), key("BTC-USD")]) == 2
    with pytest.raises(ConfigError, match="there is a universe mine already"):
        await store.create_universe(SOURCE, "mine", [])
    await book.answer(BTC, pair("POL-USD", "M"))
    assert await store.universe(SOURCE, "mine") == [key("BTC-USD"), key("POL-USD")]
    assert await store.add_to_universe(SOURCE, "mine", [key("POL-USD"), key("ETH-USD")]) == 1
    with pytest.raises(ConfigError, match="NOPE-USD/1d is not in the universe mine"):
        await store.drop_from_universe(SOURCE, "mine", [key("BTC-USD"), key("NOPE-USD")])
    assert await store.drop_from_universe(SOURCE, "mine", [key("BTC-USD"), key("POL-USD")]) == 2
    assert await store.universe(SOURCE, "mine") == [key("ETH-USD")]
    assert await store.add_to_universe(SOURCE, "mine", [key("BTC-USD")]) == 1
    assert await book.query("SELECT instrument, added, dropped FROM universe_series ORDER BY added, instrument") == [
        ("BTC-USD", FIRST + HOUR, FIRST + 2 * HOUR),
        ("MATIC-USD", FIRST + HOUR, FIRST + 2 * HOUR),
        ("BTC-USD", FIRST + 2 * HOUR, None),
        ("ETH-USD", FIRST + 2 * HOUR, None),
    ]
    with pytest.raises(ConfigError, match="there is no universe yours; stored: mine"):
        await store.universe(SOURCE, "yours")
