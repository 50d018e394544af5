"""Batch files: their forms, everything wrong with them at once, and what has to end before what."""

import json
from pathlib import Path
from typing import Any

import pytest

from core.batch import prerequisites, read_batch
from core.errors import ConfigError
from core.operations import make_operation

SPOT = {"data_type": "spot_ohlcv"}


def write(path: Path, content: object) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def problems(path: Path) -> list[str]:
    """What is said about the file, without its name."""
    with pytest.raises(ConfigError) as caught:
        read_batch(path)
    assert str(caught.value).replace("\n", "").isprintable()
    lines = str(caught.value).splitlines()
    assert all(line.startswith(f"{path}: ") for line in lines)
    return [line.removeprefix(f"{path}: ") for line in lines]


@pytest.mark.parametrize("wrap", [lambda ops: ops, lambda ops: {"description": "nightly", "operations": ops}])
def test_both_forms_of_a_batch_file(tmp_path: Path, wrap: Any) -> None:
    entries = [SPOT, {"data_type": "indices_ohlcv", "asset_limit": 5}]
    batch = read_batch(write(tmp_path / "batch.json", wrap(entries)))
    assert [operation.data_type for operation in batch.operations] == ["spot_ohlcv", "indices_ohlcv"]
    assert batch.operations[1].count == 5
    assert (batch.continue_on_error, batch.max_requests) == (False, None)


def test_a_batch_in_toml(tmp_path: Path) -> None:
    text = """
        description = "nightly"
        continue-on-error = true
        max_requests = 500
        [[operations]]
        data_type = "spot_ohlcv"
        start = 2024-01-01
        end = 2024-01-02T12:30:00Z
        market = ["kraken", "coinbase"]
        [[operations]]
        data_type = "asset_metadata"
    """
    batch = read_batch(write(tmp_path / "batch.toml", text))
    spot, assets = batch.operations
    assert spot.span(0) == (1_704_067_200, 1_704_198_600)
    assert spot.market == ("kraken", "coinbase")
    assert assets.is_metadata
    assert (batch.continue_on_error, batch.max_requests) == (True, 500)
    assert problems(write(tmp_path / "broken.toml", "[[operations"))[0].startswith("cannot be read as TOML")


def test_flags_add_to_a_file_or_speak_over_it(tmp_path: Path) -> None:
    batch = read_batch(write(tmp_path / "b.json", {"max_requests": 5, "operations": [SPOT]}))
    same = batch.with_flags(continue_on_error=False, max_requests=None, enable_monitoring=False)
    assert same == batch
    other = batch.with_flags(continue_on_error=True, max_requests=7, enable_monitoring=True)
    assert (other.continue_on_error, other.max_requests, other.operations[0].enable_monitoring) == (True, 7, True)
    with pytest.raises(ConfigError, match="--max_requests: 0"):
        batch.with_flags(continue_on_error=False, max_requests=0, enable_monitoring=False)


def test_several_data_types_of_one_operation_become_one_each(tmp_path: Path) -> None:
    types = ["futures_ohlcv", "futures_funding_rate", "futures_ohlcv"]
    entry = {"data-type": types, "interval": "1h", "label": "all"}
    batch = read_batch(write(tmp_path / "batch.json", [entry, SPOT]))
    assert [operation.title for operation in batch.operations] == [
        "futures_ohlcv 1h",
        "futures_funding_rate 1h",
        "spot_ohlcv 1d",
    ]
    groups = [operation.dataset.parse_groups(operation.groups) for operation in batch.operations[:2]]
    assert groups == [("ID", "MAPPING", "OHLC", "TRADE", "VOLUME"), ("ID", "MAPPING", "VALUE", "OHLC", "MESSAGE")]
    wrong = [{"data_type": ["futures_ohlcv", "futures_oi"], "interval": "2h"}]
    interval, unknown = problems(write(tmp_path / "wrong.json", wrong))
    assert interval == "operation 1: [0].interval: '2h': choose 1d, 1h, 1m"
    assert unknown.startswith("operation 1: [0].data_type: 'futures_oi' is not one of spot_ohlcv")
    assert "[0].data_type" in problems(write(tmp_path / "none.json", [{"data_type": []}]))[0]


def test_series_may_come_from_a_file_beside_the_batch(tmp_path: Path) -> None:
    (tmp_path / "pairs.txt").write_text(
        "# mine\nbinance/BTC-USDT-VANILLA-PERPETUAL  # the one\n\n"
        "futures_ohlcv/okex/ETH-USDT-VANILLA-PERPETUAL/1h\nfutures_funding_rate/okex/SOL-USDT-VANILLA-PERPETUAL/1h\n"
    )
    entry = {"data_type": ["futures_ohlcv", "futures_funding_rate"], "interval": "1h", "series": "@pairs.txt"}
    candles, funding = read_batch(write(tmp_path / "batch.json", [entry])).operations
    assert candles.series == ("binance/BTC-USDT-VANILLA-PERPETUAL", "futures_ohlcv/okex/ETH-USDT-VANILLA-PERPETUAL/1h")
    assert funding.series[1] == "futures_funding_rate/okex/SOL-USDT-VANILLA-PERPETUAL/1h"
    [missing] = problems(write(tmp_path / "batch.json", [{**SPOT, "series": ["@none.txt", "kraken/BTC-USD"]}]))
    assert missing.startswith("operation 1: [0].series: ")
    assert "none.txt" in missing


def test_everything_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    content = {
        "descripton": "nightly",
        "max_requests": "5",
        "operations": [
            {**SPOT, "intervall": "1h", "pair_limit": "x"},
            {"data_type": "asset_metadata", "interval": "1d"},
            SPOT,
            7,
            {"data_type": "spot_olhcv"},
            {**SPOT, "start": "2024-02-01", "end": "2024-01-01", "groups": "PRICE"},
        ],
    }
    said = problems(write(tmp_path / "batch.json", content))
    assert said[:2] == [
        "descripton: there is no such key; did you mean 'description'?",
        "max_requests: Expected `int`, got `str`",
    ]
    places = [line.split(": ")[:2] for line in said[2:]]
    assert places == [
        ["operation 1", "operations[0].intervall"],
        ["operation 1", "operations[0].pair_limit"],
        ["operation 2", "operations[1].interval"],
        ["operation 4", "operations[3]"],
        ["operation 5", "operations[4].data_type"],
        ["operation 6", "operations[5].groups"],
        ["operation 6", "operations[5].start"],
    ]
    assert said[2].endswith("there is no such option; did you mean 'interval'?")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "cannot be read as JSON"),
        ("{", "cannot be read as JSON"),
        ("\ufeff[]", "write a list of operations"),
        ("[" * 100_000, "cannot be read as JSON"),
        ('[{"data_type": "spot_ohlcv", "interval": "1d", "interval": "1h"}]', "'interval' is given twice"),
        ("[]", "write a list of operations"),
        ("{}", "write a list of operations"),
        ('{"operations": {}}', "write a list of operations"),
        ("5", "write a list of operations"),
        ("[1]", "operation 1: [0]: write an object with a data_type"),
        ([SPOT, {}], "operation 2: [1].data_type: None is not one of"),
        ([{**SPOT, "start": "soon"}], "operation 1: [0].start: 'soon'"),
    ],
)
def test_a_wrong_batch_file_is_named_with_its_operation(tmp_path: Path, content: object, words: str) -> None:
    assert words in problems(write(tmp_path / "batch.json", content))[0]


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    large = tmp_path / "large.json"
    large.write_bytes(b" " * (1024 * 1024 + 1))
    (tmp_path / "latin.json").write_bytes(b'["\xe9"]')
    for path in (tmp_path, tmp_path / "none.json", large, tmp_path / "latin.json", Path("/dev/zero")):
        with pytest.raises(ConfigError, match=path.name):
            read_batch(path)


def edges(*entries: str | dict[str, Any]) -> list[tuple[int, ...]]:
    given = [entry if isinstance(entry, dict) else {"data_type": entry} for entry in entries]
    return prerequisites([make_operation(entry) for entry in given])


def test_metadata_goes_before_what_chooses_by_it() -> None:
    assert edges("spot_ohlcv", "spot_instruments") == [(1,), ()]
    assert edges("spot_instruments", "futures_instruments", "futures_open_interest") == [(), (), (1,)]
    assert edges("futures_instruments", "indices_ohlcv") == [(), ()]
    assert edges("asset_metadata", "indices_ohlcv", {**SPOT, "instrument": "BTC-USD"}) == [(), (0,), ()]
    assert edges("exchange_metadata", SPOT, {**SPOT, "min_grade": "BB"}) == [(), (), (0,)]
    assert edges("spot_ohlcv", "spot_ohlcv") == [(), ()]
