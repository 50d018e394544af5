"""Lists of reference data from bytes to rows: one bad entry costs itself, a bad answer is none at all."""

import json
import random
from typing import Any

import pytest

from core.datasets import SeriesKey
from core.errors import Malformed, SourceError, Transient
from core.references import LISTS
from core.sources import Exchange, Listing, Recorded
from core.sources.listing import asset_page, decode_listing, exchange_of, instrument_of
from tests.fakes import mutated

KRAKEN = SeriesKey("spot_instruments", "kraken")
BINANCE = SeriesKey("futures_instruments", "binance")
SPOT = SeriesKey("exchange_metadata", "spot")
TOP = SeriesKey("asset_metadata", "top", "1")
CADLI = SeriesKey("index_instruments", "cadli")
NOW = 1_750_000_000

BTC: dict[str, Any] = {
    "TYPE": "612",
    "INSTRUMENT_STATUS": "ACTIVE",
    "INSTRUMENT": "BTC.USD",
    "HISTO_SHARD": "A",
    "MAPPED_INSTRUMENT": "BTC-USD",
    "INSTRUMENT_MAPPING": {
        "MAPPED_INSTRUMENT": "BTC-USD", "BASE": "BTC", "BASE_ID": 1, "QUOTE": "USD", "QUOTE_ID": 5,
        "TRANSFORM_FUNCTION": "", "CREATED_ON": 9,
    },
    "HAS_TRADES_SPOT": True,
    "FIRST_TRADE_SPOT_TIMESTAMP": 100,
    "LAST_TRADE_SPOT_TIMESTAMP": 200,
    "TOTAL_TRADES_SPOT": 7,
    "SOMETHING_NEW": {"deep": [1]},
}  # fmt: skip


def instruments(key: SeriesKey = KRAKEN, **entries: Any) -> bytes:
    named = {name.replace("_", "-"): entry for name, entry in entries.items()}
    return body({key.market: {"TYPE": "602", "instruments": named}})


def body(data: Any, err: Any = None) -> bytes:
    return json.dumps({"Data": data, "Err": err or {}}).encode()


def top(*assets: Any, total: int = 250) -> bytes:
    return body({"STATS": {"PAGE": 1, "PAGE_SIZE": 100, "TOTAL_ASSETS": total}, "LIST": list(assets)})


def decoded(key: SeriesKey, content: bytes) -> Listing:
    return decode_listing(key, content, NOW)


def test_an_instrument_has_every_column_under_our_names() -> None:
    listing = decoded(KRAKEN, instruments(BTC_USD=BTC))
    [row] = listing.rows
    assert set(row) == set(LISTS[KRAKEN.data_type].names)
    assert {name: value for name, value in row.items() if value is not None} == {
        "instrument": "BTC-USD", "type": "612", "instrument_status": "ACTIVE", "exchange_symbol": "BTC.USD",
        "histo_shard": "A", "base": "BTC", "base_id": 1, "quote": "USD", "quote_id": 5, "transform_function": "",
        "mapping_created_on": 9, "has_trades_spot": True, "first_trade_spot_timestamp": 100,
        "last_trade_spot_timestamp": 200, "total_trades_spot": 7,
    }  # fmt: skip
    assert (listing.server_time, listing.total, listing.rejected, listing.notes) == (NOW, 1, [], [])


def test_what_selections_see_of_an_instrument() -> None:
    [row] = decoded(KRAKEN, instruments(BTC_USD=BTC)).rows
    seen = instrument_of(KRAKEN.data_type, "kraken", row)
    assert (seen.name, seen.exchange_symbol, seen.base, seen.base_id, seen.is_active) == (
        "BTC-USD",
        "BTC.USD",
        "BTC",
        1,
        True,
    )
    assert seen.history == {"trades": Recorded(100, 200)}
    bare = decoded(KRAKEN, instruments(BTC_USD={"INSTRUMENT_MAPPING": None}))
    assert instrument_of(KRAKEN.data_type, "kraken", bare.rows[0]).history == {"trades": Recorded()}
    future = {
        "INSTRUMENT": "BTCUSDT", "INSTRUMENT_MAPPING": {"INDEX_UNDERLYING": "BTC", "INDEX_UNDERLYING_ID": 1},
        "HAS_FUNDING_RATE_UPDATES": True, "FIRST_FUNDING_RATE_UPDATE_TIMESTAMP": 3, "CONTRACT_EXPIRATION_TS": None,
    }  # fmt: skip
    [row] = decoded(BINANCE, instruments(BINANCE, BTC_USDT_VANILLA_PERPETUAL=future)).rows
    seen = instrument_of(BINANCE.data_type, "binance", row)
    assert (seen.perpetual, seen.base_id, seen.expires) == (True, 1, None)
    assert seen.history == {"trades": Recorded(), "funding_rate": Recorded(3, None)}
    [row] = decoded(CADLI, instruments(CADLI, BTC_USD={"COMPONENTS": [{"A": 1}], "TOTAL_INDEX_UPDATES": 4})).rows
    assert row["components"] == '[{"A":1}]'
    seen = instrument_of(CADLI.data_type, "cadli", row)
    assert (seen.base, seen.quote, seen.trades, list(seen.history)) == ("BTC", "USD", 4, ["index"])


WRONG = {
    "INSTRUMENT_STATUS": 5,
    "HAS_TRADES_SPOT": "yes",
    "FIRST_TRADE_SPOT_TIMESTAMP": "100",
    "TOTAL_TRADES_SPOT": 1.5,
    "INSTRUMENT_MAPPING": [],
    "INSTRUMENT": {"a": 1},
}


@pytest.mark.parametrize("field", WRONG)
def test_an_entry_that_does_not_fit_is_rejected_alone(field: str) -> None:
    listing = decoded(KRAKEN, instruments(BTC_USD=BTC, ETH_USD={**BTC, field: WRONG[field]}))
    assert [row["instrument"] for row in listing.rows] == ["BTC-USD"]
    [rejected] = listing.rejected
    assert (rejected.reason, listing.unreadable) == ("type", frozenset({"ETH-USD"}))
    assert rejected.detail.startswith("ETH-USD: Expected")
    assert json.loads(rejected.raw)[field] == WRONG[field]


@pytest.mark.parametrize("name", ["\x1b[2J", "'; DROP TABLE series", "", "ö"])
def test_a_name_that_cannot_be_one_is_rejected(name: str) -> None:
    entries = {"BTC-USD": BTC, name: {**BTC, "INSTRUMENT": "evil"}}
    listing = decoded(KRAKEN, body({"kraken": {"instruments": entries}}))
    assert len(listing.rows) == 1
    assert [row.reason for row in listing.rejected] == ["name"]
    assert "\x1b" not in listing.rejected[0].detail


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("TOTAL_TRADES_SPOT", 2**63),
        ("TOTAL_TRADES_SPOT", -1),
        ("FIRST_TRADE_SPOT_TIMESTAMP", 1_677_283_205_000),
        ("LAST_TRADE_SPOT_TIMESTAMP", -5),
    ],
)
def test_numbers_that_cannot_be_are_left_empty_and_noted(field: str, value: int) -> None:
    listing = decoded(
        KRAKEN, instruments(BTC_USD={**BTC, field: value}, ETH_USD={**BTC, "TOTAL_TRADES_SPOT": 2**63 - 1})
    )
    first, second = listing.rows
    assert (first[field.lower()], second["total_trades_spot"]) == (None, 2**63 - 1)
    [note] = listing.notes
    assert (note.reason, note.raw, listing.rejected) == ("range", str(value), [])
    assert f"BTC-USD: {field.lower()}" in note.detail


def test_minus_one_is_the_vendors_word_for_never() -> None:
    listing = decoded(BINANCE, instruments(BINANCE, BTC_USDT_VANILLA_PERPETUAL={"CONTRACT_EXPIRATION_TS": -1}))
    assert (listing.rows[0]["contract_expiration_ts"], listing.notes) == (None, [])


def test_texts_are_clean_and_lists_are_json() -> None:
    kraken = {
        "ID": 3, "NAME": "Kra\x1bken\u202e", "INSTRUMENT_STATUS": {"ACTIVE": 2, "undefined": 1},
        "CONTROLLED_ADDRESSES": [{"A": "x"}], "CCDATA_LATEST_SPOT_BENCHMARK_GRADE": "aa", "BLOG_URL": None,
        "TOTAL_TRADES_SPOT": 6_890_172_247_264_350_000,
    }  # fmt: skip
    [row] = decoded(SPOT, body({"kraken": kraken})).rows
    assert (row["market"], row["name"], row["total_trades_spot"]) == ("kraken", "Kra ken", 6_890_172_247_264_350_000)
    assert (row["instrument_status"], row["controlled_addresses"]) == ('{"ACTIVE":2,"undefined":1}', '[{"A":"x"}]')
    assert exchange_of(row) == Exchange("kraken", "ACTIVE", "AA")


def test_assets_are_told_by_symbol_and_need_an_id() -> None:
    rank = {"ID": 1, "SYMBOL": "BTC", "PRICE_USD": 5, "TOPLIST_BASE_RANK": {"A": 1}}
    listing = decoded(TOP, top(rank, {"ID": 2, "SYMBOL": "ETH"}, {"SYMBOL": "X"}, {"ID": 4, "SYMBOL": "BTC"}))
    assert [(row["symbol"], row["id"], row["price_usd"]) for row in listing.rows] == [("BTC", 1, 5.0), ("ETH", 2, None)]
    assert [(row.reason, row.detail) for row in listing.rejected] == [
        ("type", "X: it has no id"), ("duplicate", "BTC: it is listed twice"),
    ]  # fmt: skip
    assert listing.total == 250
    first = asset_page(1, listing.rows, listing.total)
    assert ([asset.id for asset in first.assets], first.is_last, first.pages) == ([1, 2], False, 3)
    assert asset_page(3, [], 250).is_last
    assert asset_page(1, [], 0).is_last


def test_mostly_unreadable_is_unreadable() -> None:
    entries = {f"C{at}_USD": {**BTC, "INSTRUMENT": at} for at in range(3)}
    with pytest.raises(Malformed, match="3 of 5 entries cannot be read; the first: C0-USD: Expected `str") as caught:
        decoded(KRAKEN, instruments(BTC_USD=BTC, ETH_USD=BTC, **entries))
    assert caught.value.reason == "drift"


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", Malformed),
        (b"<html>", Malformed),
        (b"null", Malformed),
        (b'{"Data":[]}', Malformed),
        (b'{"Data":{},"Err":{}}', Malformed),
        (b'{"Data":{"kraken":{}},"Err":{}}', Malformed),
        (b'{"Data":{"kraken":{"instruments":[]}},"Err":{}}', Malformed),
        (body({"kraken": {"instruments": {}}}, {"message": "quota\x1b"}), Transient),
    ],
)
def test_what_is_no_list_is_not_an_empty_one(content: bytes, kind: type[SourceError]) -> None:
    with pytest.raises(kind) as caught:
        decoded(KRAKEN, content)
    assert str(caught.value).isprintable()


@pytest.mark.slow
def test_wounded_answers_never_crash_and_rows_are_always_right(seed: int) -> None:
    chance = random.Random(seed)
    whole = {
        KRAKEN: instruments(**{f"C{at}_USD": BTC for at in range(20)}),
        SPOT: body(
            {f"m{at}": {"ID": at, "NAME": "x", "CONTROLLED_ADDRESSES": [1], "IS_PUBLIC": True} for at in range(20)}
        ),
        TOP: top(*({"ID": at, "SYMBOL": f"A{at}", "PRICE_USD": 1.5} for at in range(20))),
    }
    kinds: dict[Any, tuple[type, ...]] = {float: (float,), int: (int,), str: (str,), bool: (bool,), list: (str,)}
    read = 0
    for _ in range(3_000):
        key = chance.choice(list(whole))
        try:
            listing = decoded(key, mutated(whole[key], chance))
        except (Malformed, Transient):
            continue
        read += 1
        for row in listing.rows:
            for column in LISTS[key.data_type].columns:
                assert row[column.name] is None or type(row[column.name]) in kinds[column.kind]
    assert read > 300
