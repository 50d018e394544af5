"""Funding rates and open interest against the contract, in memory: fields, sums, ends of history."""

from itertools import pairwise
from typing import Any

import pytest
from wire_kit import FUNDING, FUTURES, INTEREST, NOW, OPTIONS, UNITS, data, error, get

from core.datasets import DATASETS
from core.sandbox.gate import Gate
from core.sandbox.options import moment

LISTED = "/futures/v1/markets/instruments"
PERPETUAL = {"market": "binance", "instrument": "BTC-USDT-VANILLA-PERPETUAL"}
INVERSE = {"market": "bybit", "instrument": "ETH-USD-INVERSE-PERPETUAL"}
QUANTO = {"market": "hyperliquid", "instrument": "BTC"}
DATED = {"market": "okex", "instrument": "BTC-USD-INVERSE-20250627"}
TOTALS = {FUNDING: "TOTAL_FUNDING_RATE_UPDATES", INTEREST: "TOTAL_OPEN_INTEREST_UPDATES"}
NAMES = {FUNDING: "futures_funding_rate", INTEREST: "futures_open_interest"}
TYPES = {FUNDING: "934", INTEREST: "944"}


@pytest.fixture(scope="module")
def gate() -> Gate:
    return Gate(OPTIONS)


def entry(gate: Gate, market: str, mapped: str) -> Any:
    answer = get(gate, LISTED, market=market, instruments=mapped, instrument_status="ACTIVE,RETIRED,EXPIRED")
    return data(answer)[market]["instruments"][mapped]


@pytest.mark.parametrize("path", [FUNDING, INTEREST])
@pytest.mark.parametrize("unit", list(UNITS))
@pytest.mark.parametrize("query", [PERPETUAL, INVERSE, QUANTO])
def test_rows_have_every_field_of_the_contract(gate: Gate, path: str, unit: str, query: dict[str, str]) -> None:
    rows = data(get(gate, f"{path}/{unit}", **query))
    assert len(rows) == 30
    dataset = DATASETS[NAMES[path]]
    fields = {column.field for column in (*dataset.columns, *dataset.constants)}
    fields |= {"UNIT", "TIMESTAMP", "MARKET", "INSTRUMENT", "MAPPED_INSTRUMENT"}
    full = next(row for row in rows if row[TOTALS[path]])
    assert set(full) == fields
    assert full["TYPE"] == TYPES[path]
    assert rows[-1]["TIMESTAMP"] == NOW - NOW % UNITS[unit]
    for earlier, later in pairwise(rows):
        assert later["TIMESTAMP"] - earlier["TIMESTAMP"] == UNITS[unit]
        opening = {name.removeprefix("OPEN"): value for name, value in later.items() if name.startswith("OPEN")}
        assert opening == {name: earlier["CLOSE" + name] for name in opening}


@pytest.mark.parametrize("path", [FUNDING, INTEREST])
def test_bars_without_updates_have_no_message_keys(gate: Gate, path: str) -> None:
    quiet = {"market": "bybit", "instrument": "GALA-USDT-VANILLA-PERPETUAL"}
    filled = data(get(gate, f"{path}/minutes", limit=2_000, **quiet))
    idle = [row for row in filled if not row[TOTALS[path]]]
    assert 0 < len(idle) < len(filled) == 2_000
    for row in idle:
        assert not [name for name in row if "MESSAGE" in name]
        for name in row:
            if name.startswith("OPEN"):
                part = name.removeprefix("OPEN")
                assert row[name] == row["HIGH" + part] == row["LOW" + part] == row["CLOSE" + part]
    told = data(get(gate, f"{path}/minutes", limit=2_000, fill="false", **quiet))
    assert told == [row for row in filled if row[TOTALS[path]]]


@pytest.mark.parametrize("query", [PERPETUAL, INVERSE, QUANTO])
def test_funding_rates(gate: Gate, query: dict[str, str]) -> None:
    rows = data(get(gate, f"{FUNDING}/hours", limit=2_000, **query))
    assert {row["INTERVAL_MS"] for row in rows} == {3_600_000 if query is QUANTO else 28_800_000}
    for row in rows:
        assert abs(row["OPEN"]) < 0.01
        assert row["LOW"] <= min(row["OPEN"], row["CLOSE"]) <= max(row["OPEN"], row["CLOSE"]) <= row["HIGH"]
        if row["TOTAL_FUNDING_RATE_UPDATES"]:
            assert row["HIGH"] == max(row["OPEN"], row["HIGH_MESSAGE_VALUE"])
            assert row["LOW"] == min(row["OPEN"], row["LOW_MESSAGE_VALUE"])
            assert row["CLOSE"] == row["LAST_MESSAGE_VALUE"]


@pytest.mark.parametrize("query", [PERPETUAL, INVERSE, QUANTO, DATED])
def test_open_interest(gate: Gate, query: dict[str, str]) -> None:
    for row in data(get(gate, f"{INTEREST}/hours", limit=500, **query)):
        for edge in ("OPEN", "CLOSE"):
            size, price, worth = (row[f"{edge}_{part}"] for part in ("SETTLEMENT", "MARK_PRICE", "QUOTE"))
            assert worth == pytest.approx(size * price, rel=1e-13)
            assert row["LOW_SETTLEMENT"] <= size <= row["HIGH_SETTLEMENT"]
            assert row["LOW_MARK_PRICE"] <= price <= row["HIGH_MARK_PRICE"]
            assert row["LOW_QUOTE"] <= worth <= row["HIGH_QUOTE"]
            if row["DENOMINATION_TYPE"] == "INVERSE":
                assert isinstance(worth, int)
        for edge in ("HIGH", "LOW") if row["TOTAL_OPEN_INTEREST_UPDATES"] else ():
            best = max if edge == "HIGH" else min
            for part in ("SETTLEMENT", "MARK_PRICE", "QUOTE"):
                assert row[f"{edge}_{part}"] == best(row[f"OPEN_{part}"], row[f"{edge}_MESSAGE_{part}"])


def test_mark_prices_follow_the_trades(gate: Gate) -> None:
    marks = data(get(gate, f"{INTEREST}/days", limit=100, **PERPETUAL))
    trades = data(get(gate, f"{FUTURES}/days", limit=100, **PERPETUAL))
    assert [row["CLOSE_MARK_PRICE"] for row in marks[:-1]] == [row["CLOSE"] for row in trades[:-1]]


@pytest.mark.parametrize("path", [FUNDING, INTEREST])
def test_histories_start_where_the_listing_says(gate: Gate, path: str) -> None:
    what = "FUNDING_RATE" if path == FUNDING else "OPEN_INTEREST"
    listed = entry(gate, "bybit", INVERSE["instrument"])
    first = listed[f"FIRST_{what}_UPDATE_TIMESTAMP"]
    assert listed[f"HAS_{what}_UPDATES"] is True
    assert first != listed["FIRST_TRADE_FUTURES_TIMESTAMP"]
    for unit, seconds in UNITS.items():
        rows = data(get(gate, f"{path}/{unit}", to_ts=first + 2 * seconds, limit=100, **INVERSE))
        assert len(rows) == 3
        assert rows[0]["FIRST_MESSAGE_TIMESTAMP"] == first
        problem = error(get(gate, f"{path}/{unit}", to_ts=rows[0]["TIMESTAMP"] - 1, **INVERSE), 404)
        assert problem["message"].startswith("No ")
        assert problem["other_info"]["first"] == rows[0]["TIMESTAMP"]


@pytest.mark.parametrize("path", [FUNDING, INTEREST])
def test_the_listings_totals_are_about_right(gate: Gate, path: str) -> None:
    for query in (PERPETUAL, INVERSE):
        total = entry(gate, query["market"], query["instrument"])[TOTALS[path]]
        rows = data(get(gate, f"{path}/days", limit=5_000, **query))
        assert sum(row[TOTALS[path]] for row in rows) == pytest.approx(total, rel=0.05)


def test_what_is_not_published_is_404(gate: Gate) -> None:
    dated = entry(gate, "okex", DATED["instrument"])
    assert dated["HAS_FUNDING_RATE_UPDATES"] is False
    assert "FIRST_FUNDING_RATE_UPDATE_TIMESTAMP" not in dated
    assert dated["HAS_OPEN_INTEREST_UPDATES"] is True
    problem = error(get(gate, f"{FUNDING}/days", **DATED), 404)
    assert problem["other_info"]["param"] == "instrument"
    assert "funding rate" in problem["message"]
    listed = data(get(gate, LISTED, market="bybit"))["bybit"]["instruments"]
    silent = [name for name, item in listed.items() if not item["HAS_OPEN_INTEREST_UPDATES"]]
    assert silent
    error(get(gate, f"{INTEREST}/hours", market="bybit", instrument=silent[0]), 404)
    assert data(get(gate, f"{FUTURES}/hours", market="bybit", instrument=silent[0]))
    error(get(gate, f"{FUNDING}/days", market="kraken", instrument="BTC-USD"), 404)
    error(get(gate, f"{FUNDING}/days", **PERPETUAL, groups="TRADE"), 400)
    error(get(gate, f"{INTEREST}/days", **PERPETUAL, groups="VALUE"), 400)
    error(get(gate, f"{INTEREST}/hours", **PERPETUAL, limit=2_001), 400)


def test_groups_select_and_order(gate: Gate) -> None:
    [row] = data(get(gate, f"{FUNDING}/days", limit=1, groups="MESSAGE,VALUE", **PERPETUAL))
    assert list(row) == ["UNIT", "TIMESTAMP", "TOTAL_FUNDING_RATE_UPDATES", "INTERVAL_MS"]
    [row] = data(get(gate, f"{INTEREST}/days", limit=1, groups="MESSAGE,OHLC", **PERPETUAL))
    assert list(row)[2:6] == [
        "TOTAL_OPEN_INTEREST_UPDATES", "OPEN_SETTLEMENT", "OPEN_MARK_PRICE", "OPEN_QUOTE",
    ]  # fmt: skip
    assert list(row)[-3:] == ["CLOSE_SETTLEMENT", "CLOSE_MARK_PRICE", "CLOSE_QUOTE"]


def test_an_expired_contract_ends(gate: Gate) -> None:
    query = {"market": "okex", "instrument": "BTC-USD-INVERSE-20240329"}
    rows = data(get(gate, f"{INTEREST}/days", to_ts=NOW, **query))
    listed = entry(gate, market="okex", mapped=query["instrument"])
    assert rows[-1]["TIMESTAMP"] == moment("2024-03-29")
    assert rows[-1]["LAST_MESSAGE_TIMESTAMP"] == listed["LAST_OPEN_INTEREST_UPDATE_TIMESTAMP"]
