"""The sandbox against the vendor's contract, in memory: envelopes, rows, errors, limits, headers."""

import json
from dataclasses import replace
from email.utils import parsedate_to_datetime
from itertools import pairwise
from typing import Any

import pytest
from wire_kit import FUTURES, INDEX, NOW, OPTIONS, SPOT, data, error, get

from core import records
from core.datasets import DATASETS
from core.sandbox.gate import Gate
from core.sandbox.options import moment
from core.sandbox.quota import parse_limits
from core.sandbox.wire import Request

BTC = {"market": "kraken", "instrument": "BTC-USD"}
PERPETUAL = {"market": "binance", "instrument": "BTC-USDT-VANILLA-PERPETUAL"}
INVERSE = {"market": "binance", "instrument": "BTCUSD_PERP"}
CADLI = {"market": "cadli", "instrument": "ETH-USD"}


@pytest.fixture(scope="module")
def gate() -> Gate:
    return Gate(OPTIONS)


@pytest.mark.parametrize(
    ("path", "query", "name"),
    [(SPOT, BTC, "spot_ohlcv"), (FUTURES, PERPETUAL, "futures_ohlcv"), (INDEX, CADLI, "indices_ohlcv")],
)
@pytest.mark.parametrize("unit", ["days", "hours", "minutes"])
def test_rows_have_every_field_of_the_contract(
    gate: Gate, path: str, query: dict[str, str], name: str, unit: str
) -> None:
    rows = data(get(gate, f"{path}/{unit}", **query))
    assert len(rows) == 30
    dataset = DATASETS[name]
    fields = {column.field for column in (*dataset.columns, *dataset.constants)}
    fields |= {"UNIT", "TIMESTAMP", "MARKET", "INSTRUMENT"}
    if name != "indices_ohlcv":
        fields.add("MAPPED_INSTRUMENT")
    assert set(rows[0]) == fields
    seconds = {"days": 86_400, "hours": 3_600, "minutes": 60}[unit]
    assert rows[-1]["TIMESTAMP"] == NOW - NOW % seconds
    for earlier, later in pairwise(rows):
        assert later["TIMESTAMP"] - earlier["TIMESTAMP"] == seconds
        assert later["OPEN"] == earlier["CLOSE"]


@pytest.mark.parametrize(("path", "query"), [(SPOT, BTC), (FUTURES, PERPETUAL), (FUTURES, INVERSE), (INDEX, CADLI)])
def test_identities_of_a_row(gate: Gate, path: str, query: dict[str, str]) -> None:
    what, value = ("MESSAGE", "VALUE") if path == INDEX else ("TRADE", "PRICE")
    for row in data(get(gate, f"{path}/hours", limit=500, **query)):
        if f"FIRST_{what}_TIMESTAMP" not in row:
            assert row["OPEN"] == row["HIGH"] == row["LOW"] == row["CLOSE"]
            assert row["VOLUME"] == row["QUOTE_VOLUME"] == 0
            continue
        assert row["HIGH"] == max(row["OPEN"], row[f"HIGH_{what}_{value}"])
        assert row["LOW"] == min(row["OPEN"], row[f"LOW_{what}_{value}"])
        assert row["CLOSE"] == row[f"LAST_{what}_{value}"]
        average = row["QUOTE_VOLUME"] / row["VOLUME"]
        assert row[f"LOW_{what}_{value}"] * (1 - 1e-9) <= average <= row[f"HIGH_{what}_{value}"] * (1 + 1e-9)
        if path == INDEX:
            assert row["VOLUME"] >= row["VOLUME_TOP_TIER"] >= row["VOLUME_TOP_TIER_DIRECT"]
            continue
        for name in ("VOLUME", "QUOTE_VOLUME", "TOTAL_TRADES"):
            sides = sum(row[f"{name}_{side}"] for side in ("BUY", "SELL", "UNKNOWN"))
            assert row[name] == pytest.approx(sides, rel=1e-14)


def test_printed_hours_add_up_to_the_printed_day(gate: Gate) -> None:
    for query in (BTC, {"market": "bitstamp", "instrument": "ethusd"}):
        [day] = data(get(gate, f"{SPOT}/days", to_ts=NOW - 86_400, limit=1, **query))
        hours = data(get(gate, f"{SPOT}/hours", to_ts=day["TIMESTAMP"] + 86_399, limit=24, **query))
        for name in ("VOLUME", "QUOTE_VOLUME", "VOLUME_UNKNOWN", "TOTAL_TRADES_BUY"):
            assert sum(row[name] for row in hours) == pytest.approx(day[name], rel=1e-14)


def test_inverse_contracts_count_in_quote_currency(gate: Gate) -> None:
    for row in data(get(gate, f"{FUTURES}/days", limit=50, **INVERSE)):
        assert row["DENOMINATION_TYPE"] == "INVERSE"
        assert row["QUOTE_VOLUME"] == row["NUMBER_OF_CONTRACTS"] * 100
        assert row["SETTLEMENT_CURRENCY"] == "BTC"


def test_ccix_has_plain_volumes_only(gate: Gate) -> None:
    [row] = data(get(gate, f"{INDEX}/days", market="ccix", instrument="BTC-USD", limit=1))
    assert row["TYPE"] == "227"
    assert {name for name in row if "VOLUME" in name} == {"VOLUME", "QUOTE_VOLUME"}


def test_numbers_are_printed_as_javascript_does(gate: Gate) -> None:
    body = get(gate, f"{SPOT}/hours", limit=500, **BTC).body.decode()
    assert ".0," not in body
    assert "e-" not in body
    opens = [row["OPEN"] for row in json.loads(body)["Data"]]
    assert {type(value) for value in opens} == {int, float}


def test_groups_select_and_order(gate: Gate) -> None:
    [row] = data(get(gate, f"{SPOT}/days", limit=1, groups="TRADE,OHLC", **BTC))
    assert list(row)[:3] == ["UNIT", "TIMESTAMP", "TOTAL_TRADES"]
    assert list(row)[-4:] == ["OPEN", "HIGH", "LOW", "CLOSE"]
    wanted = records.in_groups(records.SPOT_OHLCV, ["TRADE", "OHLC"])
    assert set(row) == {"UNIT", "TIMESTAMP", *(column.field for column in wanted)}


def test_either_id_and_any_case_of_the_market(gate: Gate) -> None:
    mapped = data(get(gate, f"{SPOT}/days", market="KRAKEN", instrument="BTC-USD"))
    own = data(get(gate, f"{SPOT}/days", market="kraken", instrument="XXBTZUSD"))
    assert mapped == own
    assert mapped[0]["MARKET"] == "kraken"


def test_to_ts_is_inclusive_and_may_be_anywhere(gate: Gate) -> None:
    hours = f"{SPOT}/hours"
    inside = data(get(gate, hours, to_ts=NOW - 7_200, limit=2, **BTC))
    start = data(get(gate, hours, to_ts=inside[-1]["TIMESTAMP"], limit=2, **BTC))
    assert inside == start
    assert inside[-1]["TIMESTAMP"] == NOW - 7_200 - NOW % 3_600
    future = data(get(gate, hours, to_ts=NOW + 10**6, **BTC))
    assert future == data(get(gate, hours, **BTC))


def test_fill_false_leaves_idle_bars_out(gate: Gate) -> None:
    minutes = f"{SPOT}/minutes"
    quiet = {"market": "kraken", "instrument": "SHIB-BTC"}
    filled = data(get(gate, minutes, limit=600, **quiet))
    traded = data(get(gate, minutes, limit=600, fill="false", **quiet))
    assert 0 < len(traded) < len(filled) == 600
    assert traded == [row for row in filled if row["TOTAL_TRADES"]]


def test_a_page_at_the_start_of_history_is_short_and_before_it_404(gate: Gate) -> None:
    [entry] = data(get(gate, "/spot/v1/markets/instruments", market="kraken", instruments="BTC-USD"))["kraken"][
        "instruments"
    ].values()
    first = entry["FIRST_TRADE_SPOT_TIMESTAMP"]
    rows = data(get(gate, f"{SPOT}/hours", to_ts=first + 7_200, limit=100, **BTC))
    assert len(rows) == 3
    assert rows[0]["FIRST_TRADE_TIMESTAMP"] == first
    assert rows[0]["OPEN"] == rows[0]["FIRST_TRADE_PRICE"]
    problem = error(get(gate, f"{SPOT}/hours", to_ts=rows[0]["TIMESTAMP"] - 1, **BTC), 404)
    assert problem["message"].startswith("No HOUR entries available on or before")
    info = problem["other_info"]
    assert info["first"] == info["first_bucket"] == rows[0]["TIMESTAMP"]
    assert info["last"] == NOW - NOW % 3_600
    assert info["instrument_status"] == "ACTIVE"


def test_an_expired_contract_ends(gate: Gate) -> None:
    query = {"market": "okex", "instruments": "BTC-USD-INVERSE-20240329"}
    listed = "/futures/v1/markets/instruments"
    assert data(get(gate, listed, **query))["okex"]["instruments"] == {}
    entry = data(get(gate, listed, instrument_status="EXPIRED,RETIRED", **query))["okex"]["instruments"][
        "BTC-USD-INVERSE-20240329"
    ]
    assert entry["CONTRACT_EXPIRATION_TS"] == moment("2024-03-29T08:00:00")
    rows = data(get(gate, f"{FUTURES}/days", market="okex", instrument="BTC-USD-INVERSE-20240329", to_ts=NOW))
    assert rows[-1]["LAST_TRADE_TIMESTAMP"] == entry["LAST_TRADE_FUTURES_TIMESTAMP"]
    assert rows[-1]["TIMESTAMP"] == moment("2024-03-29")


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"market": "kraken"}, "instrument"),
        ({"instrument": "BTC-USD"}, "market"),
        ({**BTC, "limit": 5_001}, "limit"),
        ({**BTC, "limit": 0}, "limit"),
        ({**BTC, "limit": "many"}, "limit"),
        ({**BTC, "to_ts": "now"}, "to_ts"),
        ({**BTC, "groups": "OHLC,PRICE"}, "groups"),
        ({**BTC, "fill": "perhaps"}, "fill"),
        ({**BTC, "aggregate": 31}, "aggregate"),
        ({**BTC, "market": "k"}, "market"),
    ],
)
def test_malformed_parameters_are_400(gate: Gate, query: dict[str, Any], param: str) -> None:
    assert error(get(gate, f"{SPOT}/days", **query), 400)["other_info"]["param"] == param


def test_what_does_not_exist_is_404(gate: Gate) -> None:
    unknown = error(get(gate, f"{SPOT}/days", market="nowhere", instrument="BTC-USD"), 404)
    assert unknown["type"] == 1
    assert unknown["other_info"] == {"param": "market", "values": ["nowhere"]}
    assert error(get(gate, f"{SPOT}/days", **{**BTC, "instrument": "X-Y"}), 404)["other_info"]["param"] == "instrument"
    assert "Path does not exist" in error(get(gate, "/spot/v9/nothing"), 404)["message"]
    error(get(gate, "/spot/v2/markets", markets="kraken,nowhere"), 404)
    error(gate.answer(Request(f"{SPOT}/days", BTC, method="POST")), 405)


def test_keys() -> None:
    gate = Gate(replace(OPTIONS, require_key="secret"))
    for headers in (
        {"authorization": "Apikey secret"},
        {"authorization": "Bearer secret"},
        {"x-api-key": "secret"},
    ):
        assert gate.answer(Request("/info/v1/version", headers=headers)).status == 200
    assert get(gate, "/info/v1/version", api_key="secret").status == 200
    error(get(gate, "/info/v1/version"), 401)
    error(get(gate, f"{SPOT}/days", api_key="wrong", **BTC), 401)
    anyone = Gate(OPTIONS)
    error(get(anyone, "/admin/v2/rate/limit"), 401)
    assert get(anyone, f"{SPOT}/days", api_key="whatever", **BTC).status == 200


def test_limits_and_their_headers() -> None:
    times = [1_749_988_830.0]
    gate = Gate(replace(OPTIONS, limits=parse_limits("minute=3,month=100")), clock=lambda: times[0])
    answers = [get(gate, "/info/v1/version") for _ in range(4)]
    assert [answer.status for answer in answers] == [200, 200, 200, 429]
    assert [answer.headers["X-RateLimit-Remaining"] for answer in answers] == ["99", "98", "97", "97"]
    assert "0;window=60" in answers[3].headers["X-RateLimit-Remaining-All"]
    assert "30;window=60" in answers[3].headers["X-RateLimit-Reset-All"]
    times[0] += 30
    account = data(get(gate, "/admin/v2/rate/limit", api_key="k"))["API_KEY"]
    assert account["USED"]["MINUTE"] == 1
    assert account["USED"]["MONTH"] == 4
    assert account["REMAINING"]["MONTH"] == 96
    assert account["MAX"]["MINUTE"] == 3


def test_every_answer_has_the_headers(gate: Gate) -> None:
    for path in ("/info/v1/version", "/nothing", f"{SPOT}/days"):
        headers = get(gate, path).headers
        assert {name for name in headers if name.startswith("X-RateLimit-")} == {
            f"X-RateLimit-{part}" for part in ("Limit", "Remaining", "Remaining-All", "Reset", "Reset-All")
        }
        assert headers["X-Tapewatch-Sandbox"] == "seed=7"
        assert headers["Date"] == "Sun, 15 Jun 2025 12:34:56 GMT"


def test_answers_are_served_again_while_they_are_fresh() -> None:
    times = [float(NOW)]
    gate = Gate(replace(OPTIONS, now=None), clock=lambda: times[0])
    first = get(gate, f"{SPOT}/minutes", limit=2, **BTC).body
    times[0] += 59
    assert get(gate, f"{SPOT}/minutes", limit=2, **BTC).body == first
    assert get(gate, f"{SPOT}/minutes", limit=3, **BTC).body != first
    times[0] += 1
    again = data(get(gate, f"{SPOT}/minutes", limit=2, **BTC))
    assert again[-1]["TIMESTAMP"] == json.loads(first)["Data"][-1]["TIMESTAMP"] + 60


@pytest.mark.parametrize("skew", [90, -90.5, 86_400])
def test_a_skewed_clock_is_the_vendors_in_all_it_says(skew: float) -> None:
    options = replace(OPTIONS, now=None, limits=parse_limits("minute=5"), skew=skew)
    gate = Gate(options, clock=lambda: float(NOW))
    answer = get(gate, f"{SPOT}/minutes", limit=1, **BTC)
    theirs = NOW + skew
    assert parsedate_to_datetime(answer.headers["Date"]).timestamp() == int(theirs)
    [row] = data(answer)
    assert row["TIMESTAMP"] == int(theirs) // 60 * 60
    assert f"{60 - int(theirs) % 60};window=60" in answer.headers["X-RateLimit-Reset-All"]
    frozen = get(Gate(replace(OPTIONS, skew=skew)), f"{SPOT}/minutes", limit=1, **BTC)
    assert data(frozen) == [row]


def test_markets(gate: Gate) -> None:
    spot = data(get(gate, "/spot/v2/markets"))
    assert set(spot) >= {"binance", "coinbase", "kraken", "bybit", "okex", "bitstamp", "gateio", "bitfinex"}
    assert spot["kraken"]["TYPE"] == "602"
    only = data(get(gate, "/futures/v2/markets", markets="BINANCE", groups="INSTRUMENT_SUMMARY"))["binance"]
    assert set(only["INSTRUMENT_STATUS"]) == {"ACTIVE", "IGNORED", "RETIRED", "EXPIRED", "RETIRED_UNMAPPED"}
    assert sum(only["INSTRUMENT_STATUS"].values()) == only["MAPPED_INSTRUMENTS_TOTAL"]
    assert "NAME" not in only


def test_instruments(gate: Gate) -> None:
    everything = data(get(gate, "/futures/v1/markets/instruments"))
    assert set(everything) == {"binance", "okex", "bybit", "deribit", "hyperliquid"}
    perpetual = everything["binance"]["instruments"]["BTC-USDT-VANILLA-PERPETUAL"]
    assert perpetual["TYPE"] == "614"
    assert perpetual["INSTRUMENT"] == "BTCUSDT"
    assert perpetual["CONTRACT_EXPIRATION_TS"] is None
    assert perpetual["INSTRUMENT_MAPPING"]["SETTLEMENT_CURRENCY_ID"] == 7
    assert perpetual["LAST_TRADE_FUTURES_TIMESTAMP"] < NOW
    statuses = {item["INSTRUMENT_STATUS"] for market in everything.values() for item in market["instruments"].values()}
    assert statuses == {"ACTIVE"}
    error(get(gate, "/spot/v1/markets/instruments", market="nowhere"), 404)
    error(get(gate, "/spot/v1/markets/instruments", instrument_status="DEAD"), 400)
    error(get(gate, "/spot/v1/markets/instruments", instruments=",".join(f"A{n}-USD" for n in range(26))), 400)


def test_top_list_pages_and_orders(gate: Gate) -> None:
    seen: list[str] = []
    for page in range(1, 10):
        answer = data(
            get(gate, "/asset/v1/top/list", page=page, page_size=20, sort_by="SPOT_MOVING_30_DAY_QUOTE_VOLUME_USD")
        )
        assert answer["STATS"]["PAGE"] == page
        seen += [asset["SYMBOL"] for asset in answer["LIST"]]
        if page * 20 >= answer["STATS"]["TOTAL_ASSETS"]:
            break
    assert len(seen) == len(set(seen)) >= 60
    assert seen[0] == "BTC"
    [*_, last] = data(get(gate, "/asset/v1/top/list", page_size=10, sort_direction="ASC"))["LIST"]
    assert last["ID_PARENT_ASSET"] is None
    assert data(get(gate, "/asset/v1/top/list", page=500))["LIST"] == []
    error(get(gate, "/asset/v1/top/list", page_size=101), 400)
    error(get(gate, "/asset/v1/top/list", sort_by="BEAUTY"), 400)


def test_the_log_has_one_line_a_request() -> None:
    lines: list[str] = []
    gate = Gate(OPTIONS, lines.append)
    get(gate, f"{SPOT}/days", limit=1, **BTC)
    get(gate, "/nothing")
    parsed = [json.loads(line) for line in lines]
    assert [entry["n"] for entry in parsed] == [1, 2]
    assert [entry["status"] for entry in parsed] == [200, 404]
    assert parsed[0]["path"] == f"{SPOT}/days?limit=1&market=kraken&instrument=BTC-USD"
    assert set(parsed[0]) == {"time", "n", "method", "path", "status"}


def test_canned_pages_look_like_real_ones() -> None:
    gate = Gate(replace(OPTIONS, canned=True))
    for groups in ("OHLC,ID,VOLUME", "ID,MAPPING,OHLC,TRADE,VOLUME"):
        rows = data(
            get(gate, f"{SPOT}/minutes", market="coinbase", instrument="ETH-EUR", limit=2_000, groups=groups, to_ts=NOW)
        )
        assert [row["TIMESTAMP"] for row in rows] == list(range(NOW - NOW % 60 - 1_999 * 60, NOW, 60))
        assert all(later["OPEN"] == earlier["CLOSE"] for earlier, later in pairwise(rows))
        assert rows[0]["OPEN"] == rows[-1]["CLOSE"]
        assert {row["INSTRUMENT"] for row in rows} == {"ETH-EUR"}
        assert {row["MARKET"] for row in rows} == {"coinbase"}
    error(get(gate, f"{SPOT}/minutes", to_ts=5, **BTC), 404)
