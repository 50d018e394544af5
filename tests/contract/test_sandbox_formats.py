"""`aggregate` and `response_format` of all fifteen history endpoints."""

import csv
import io
from itertools import pairwise

import pytest
from wire_kit import FUNDING, FUTURES, INDEX, INTEREST, NOW, OPTIONS, SPOT, UNITS, data, error, get

from core.sandbox.gate import Gate

BTC = {"market": "kraken", "instrument": "BTC-USD"}
PERPETUAL = {"market": "binance", "instrument": "BTC-USDT-VANILLA-PERPETUAL"}
SERIES = [
    (SPOT, BTC), (FUTURES, PERPETUAL), (INDEX, {"market": "cadli", "instrument": "ETH-USD"}),
    (FUNDING, PERPETUAL), (INTEREST, PERPETUAL),
]  # fmt: skip


@pytest.fixture(scope="module")
def gate() -> Gate:
    return Gate(OPTIONS)


@pytest.mark.parametrize(("path", "query"), SERIES)
@pytest.mark.parametrize("unit", list(UNITS))
@pytest.mark.parametrize("count", [2, 7, 30])
def test_buckets_add_up_their_bars(gate: Gate, path: str, query: dict[str, str], unit: str, count: int) -> None:
    size = count * UNITS[unit]
    buckets = data(get(gate, f"{path}/{unit}", aggregate=count, limit=4, **query))
    assert [row["TIMESTAMP"] for row in buckets] == [NOW - NOW % size - i * size for i in (3, 2, 1, 0)]
    assert {row["UNIT"] for row in buckets} == {unit.upper()[:-1]}
    bars = data(get(gate, f"{path}/{unit}", limit=4 * count, **query))
    for bucket in buckets:
        parts = [bar for bar in bars if bar["TIMESTAMP"] // size * size == bucket["TIMESTAMP"]]
        if bucket["TIMESTAMP"] < bars[0]["TIMESTAMP"]:
            continue
        for name, value in bucket.items():
            if name.startswith(("OPEN", "INTERVAL")):
                assert value == parts[0][name]
            elif name.startswith("CLOSE"):
                assert value == parts[-1][name]
            elif name in {"HIGH", "HIGH_SETTLEMENT", "HIGH_MARK_PRICE", "HIGH_QUOTE"}:
                assert value == max(part[name] for part in parts)
            elif name in {"LOW", "LOW_SETTLEMENT", "LOW_MARK_PRICE", "LOW_QUOTE"}:
                assert value == min(part[name] for part in parts)
            elif name.startswith("TOTAL_") or "VOLUME" in name or name == "NUMBER_OF_CONTRACTS":
                assert value == pytest.approx(sum(part[name] for part in parts), rel=1e-13)


def test_the_cap_counts_bars_not_buckets(gate: Gate) -> None:
    rows = data(get(gate, f"{SPOT}/minutes", aggregate=5, limit=2_000, **BTC))
    assert len(rows) == 400
    rows = data(get(gate, f"{SPOT}/days", aggregate=30, limit=5_000, **BTC))
    assert len(rows) <= 166
    assert all(later["OPEN"] == earlier["CLOSE"] for earlier, later in pairwise(rows))
    rows = data(get(gate, f"{INTEREST}/hours", aggregate=30, limit=70, **PERPETUAL))
    assert len(rows) == 66


def test_to_ts_means_the_bucket_that_contains_it(gate: Gate) -> None:
    [row] = data(get(gate, f"{SPOT}/hours", aggregate=5, limit=1, to_ts=NOW - 90_000, **BTC))
    [same] = data(get(gate, f"{SPOT}/hours", aggregate=5, limit=1, to_ts=row["TIMESTAMP"], **BTC))
    assert row == same
    assert row["TIMESTAMP"] % 18_000 == 0
    assert row["TIMESTAMP"] <= NOW - 90_000 < row["TIMESTAMP"] + 18_000


def test_the_first_bucket_holds_what_there_is(gate: Gate) -> None:
    [first, *_] = data(get(gate, f"{SPOT}/days", limit=5_000, **BTC))
    [bucket] = data(get(gate, f"{SPOT}/days", aggregate=30, limit=9, to_ts=first["TIMESTAMP"], **BTC))
    assert bucket["TIMESTAMP"] <= first["TIMESTAMP"]
    assert bucket["OPEN"] == first["OPEN"]
    assert bucket["FIRST_TRADE_TIMESTAMP"] == first["FIRST_TRADE_TIMESTAMP"]
    error(get(gate, f"{SPOT}/days", aggregate=30, to_ts=bucket["TIMESTAMP"] - 1, **BTC), 404)


@pytest.mark.parametrize(("path", "query"), SERIES)
@pytest.mark.parametrize("unit", list(UNITS))
@pytest.mark.parametrize("groups", ["", "OHLC", "MESSAGE_OR_TRADE,ID"])
def test_csv_says_what_json_says(gate: Gate, path: str, query: dict[str, str], unit: str, groups: str) -> None:
    groups = groups.replace("MESSAGE_OR_TRADE", "TRADE" if path in {SPOT, FUTURES} else "MESSAGE")
    asked = {**query, "limit": "60", "groups": groups}
    rows = data(get(gate, f"{path}/{unit}", **asked))
    answer = get(gate, f"{path}/{unit}", response_format="CSV", **asked)
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/csv")
    text = answer.body.decode()
    assert text.endswith("\n")
    [header, *lines] = csv.reader(io.StringIO(text))
    assert header == list(max(rows, key=len))
    for row, line in zip(rows, lines, strict=True):
        numbers = {name: value for name, value in row.items() if not isinstance(value, str)}
        cells = dict(zip(header, line, strict=True))
        assert {name: float(cells[name]) for name in numbers} == numbers
        assert [cells[name] for name in header if name not in numbers] == [
            row.get(name, "") for name in header if name not in numbers
        ]


def test_csv_has_every_column_though_no_bar_fills_them(gate: Gate) -> None:
    quiet = {"market": "bybit", "instrument": "GALA-USDT-VANILLA-PERPETUAL"}
    rows = data(get(gate, f"{FUNDING}/minutes", limit=2_000, **quiet))
    idle = next(row["TIMESTAMP"] for row in rows if not row["TOTAL_FUNDING_RATE_UPDATES"])
    answer = get(gate, f"{FUNDING}/minutes", limit=1, to_ts=idle, response_format="CSV", **quiet)
    [header, line] = csv.reader(io.StringIO(answer.body.decode()))
    cells = dict(zip(header, line, strict=True))
    assert cells["FIRST_MESSAGE_TIMESTAMP"] == cells["LOW_MESSAGE_VALUE"] == ""
    assert cells["TOTAL_FUNDING_RATE_UPDATES"] == "0"
    bare = get(gate, f"{FUNDING}/minutes", limit=1, to_ts=idle, response_format="CSV", fill="false", **quiet)
    assert bare.body.decode().splitlines() == [",".join(header)]


def test_errors_are_json_whatever_the_format(gate: Gate) -> None:
    error(get(gate, f"{SPOT}/days", response_format="CSV", limit=9_999, **BTC), 400)
    error(get(gate, f"{SPOT}/days", response_format="csv", **BTC), 400)
    error(get(gate, f"{SPOT}/days", response_format="CSV", to_ts=5, **BTC), 404)
    for wrong in ("0", "31", "x"):
        assert error(get(gate, f"{SPOT}/days", aggregate=wrong, **BTC), 400)["other_info"]["param"] == "aggregate"
