"""What the sandbox's faults and revisions leave of a page is wrong or unfinished, but each row is valid."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from wire_kit import FUNDING, FUTURES, INDEX, INTEREST, NOW, OPTIONS, SPOT, UNITS, get

from core.datasets import DATASETS, SeriesKey
from core.monitoring.quality import check_page
from core.sandbox.fault_rows import DAMAGES
from core.sandbox.gate import Gate
from core.sources import Page
from core.sources.decode import decode_page
from core.windows import GRAINS, Window

PERPETUAL = "BTC-USDT-VANILLA-PERPETUAL"
SERIES = [
    ("spot_ohlcv", SPOT, "kraken", "BTC-USD"),
    ("futures_ohlcv", FUTURES, "binance", PERPETUAL),
    ("futures_ohlcv", FUTURES, "bybit", "ETH-USD-INVERSE-PERPETUAL"),
    ("indices_ohlcv", INDEX, "cadli", "ETH-USD"),
    ("futures_funding_rate", FUNDING, "binance", PERPETUAL),
    ("futures_open_interest", INTEREST, "binance", PERPETUAL),
]


def rejected(gate: Gate, name: str, path: str, market: str, instrument: str, unit: str) -> list[Any]:
    """What our own checks say of a page of 200 bars."""
    dataset = DATASETS[name]
    grain = next(grain for grain in GRAINS.values() if grain.path == unit)
    end = NOW - NOW % grain.seconds + grain.seconds
    answer = get(gate, f"{path}/{unit}", market=market, instrument=instrument, limit=200)
    assert answer.status == 200, answer.body
    found = decode_page(dataset, dataset.groups, answer.body, grain.unit, market, instrument)
    key = SeriesKey(name, market, instrument, grain.name)
    window = Window(end - 200 * grain.seconds, end)
    symbol = json.loads(answer.body)["Data"][0]["INSTRUMENT"]
    page = Page(found.rows, NOW, found.rejected, is_bounded=found.is_bounded, is_meant=found.is_meant)
    checked = check_page(dataset, key, dataset.groups, window, page, symbol)
    assert len(checked.rows) + len(checked.rejected) == 200
    return checked.rejected


@pytest.mark.parametrize(("name", "path", "market", "instrument"), SERIES)
@pytest.mark.parametrize("unit", list(UNITS))
def test_plain_and_revised_pages_are_valid(name: str, path: str, market: str, instrument: str, unit: str) -> None:
    for share in (0.0, 0.5):
        assert rejected(Gate(replace(OPTIONS, revisions=share)), name, path, market, instrument, unit) == []


@pytest.mark.parametrize(("name", "path", "market", "instrument"), SERIES)
@pytest.mark.parametrize("field", list(DAMAGES))
@pytest.mark.parametrize("factor", [1.5, 0.7])
def test_damaged_pages_are_valid(
    tmp_path: Path, name: str, path: str, market: str, instrument: str, field: str, factor: float
) -> None:
    rules = tmp_path / "faults.json"
    damage = {"span": [NOW - 6_000, NOW - 3_000], "field": field, "factor": factor}
    rules.write_text(json.dumps([{"path": "*/minutes", "damage": damage}]))
    gate, plain = Gate(replace(OPTIONS, faults=rules)), Gate(OPTIONS)
    assert rejected(gate, name, path, market, instrument, "minutes") == []
    pages = [get(g, f"{path}/minutes", market=market, instrument=instrument, limit=200) for g in (gate, plain)]
    found, whole = (json.loads(page.body)["Data"] for page in pages)
    wrong = [row["TIMESTAMP"] for row, was in zip(found, whole, strict=True) if row != was]
    assert all(NOW - 6_000 <= ts < NOW - 3_000 for ts in wrong)
    # The streams have updates for trades, and open interest has no plain extremes.
    assert bool(wrong) is (field == "TOTAL_TRADES" or field in whole[0])
