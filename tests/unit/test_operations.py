"""What users ask for: keys and their aliases, the forms of a batch file, and errors that name what is wrong."""

import json
from pathlib import Path
from typing import Any

import pytest

from core.datasets import DATASETS, FUTURES_OHLCV, INDICES_OHLCV, SPOT_OHLCV, SeriesKey
from core.errors import ConfigError
from core.operations import ALIASES, Operation, make_operation, read_batch

SPOT = {"data_type": "spot_ohlcv"}


def test_the_defaults() -> None:
    operation = make_operation(SPOT)
    assert operation == Operation(data_type="spot_ohlcv")
    assert (operation.interval, operation.recheck, operation.order) == ("1d", 3, "newest")
    assert operation.dataset is SPOT_OHLCV
    assert (operation.count, operation.needs_listing) == (100, True)
    assert make_operation({"data_type": "futures_ohlcv"}).count == 50
    assert make_operation({"data_type": "indices_ohlcv"}).count == 50


@pytest.mark.parametrize(
    ("given", "field", "value"),
    [
        ({"pair_limit": 7}, "pair_limit", 7),
        ({"pair-limit": 7}, "pair_limit", 7),
        ({"asset_limit": 7}, "pair_limit", 7),
        ({"asset-limit": 7}, "pair_limit", 7),
        ({"market": "kraken"}, "market", ("kraken",)),
        ({"market": "kraken, binance"}, "market", ("kraken", "binance")),
        ({"market": ["kraken", "binance,okex"]}, "market", ("kraken", "binance", "okex")),
        ({"market": ("kraken",)}, "market", ("kraken",)),
        ({"exchange": "kraken"}, "market", ("kraken",)),
        ({"exchanges": ["kraken"]}, "market", ("kraken",)),
        ({"specific_market": "kraken"}, "market", ("kraken",)),
        ({"instrument": "BTC-USD"}, "instrument", ("BTC-USD",)),
        ({"instruments": ["BTC-USD", "ETH-USD"]}, "instrument", ("BTC-USD", "ETH-USD")),
        ({"symbol": "BTC-USD"}, "instrument", ("BTC-USD",)),
        ({"specific-instrument": "BTC-USD"}, "instrument", ("BTC-USD",)),
        ({"timeframe": "1h"}, "interval", "1h"),
        ({"granularity": "1m"}, "interval", "1m"),
        ({"groups": ["OHLC", "VOLUME"]}, "groups", "OHLC,VOLUME"),
        ({"groups": "ALL"}, "groups", "ALL"),
        ({"interval": None}, "interval", "1d"),
        ({"label": "nightly \x1b[31mred"}, "label", "nightly  [31mred"),
        ({"enable_monitoring": True, "description": "x", "continue_on_error": False}, "interval", "1d"),
    ],
)
def test_keys_their_aliases_and_forms(given: dict[str, Any], field: str, value: object) -> None:
    assert getattr(make_operation({**SPOT, **given}), field) == value


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"data_type": "asset_metadata"}, "data_type 'asset_metadata' is not one of spot_ohlcv"),
        ({"data_type": ["spot_ohlcv"]}, "data_type"),
        ({"data_type": {}}, "data_type"),
        ({"data_type": None}, "data_type None"),
        ({"intervall": "1d"}, "unknown option 'intervall'; did you mean 'interval'"),
        ({"output": "json"}, "unknown option 'output'"),
        ({"\x1b[2Jx": 1}, "unknown option '[2Jx'"),
        ({5: 1}, "unknown option '5'"),
        ({"interval": "5m"}, "--interval '5m': choose 1d, 1h, 1m"),
        ({"interval": ["1d"]}, "interval"),
        ({"order": "random"}, "--order 'random': choose newest, oldest"),
        ({"contract": "weekly"}, "--contract 'weekly': choose perpetual, expiring"),
        ({"pair_limit": "5"}, "pair_limit"),
        ({"pair_limit": 5.0}, "pair_limit"),
        ({"pair_limit": True}, "pair_limit"),
        ({"pair_limit": 0}, "--pair_limit 0: must be from 1 to 100000"),
        ({"asset_limit": 3, "pair_limit": 4}, "pair_limit is given twice, once as 'pair_limit'"),
        ({"recheck": -1}, "--recheck -1: must be from 0 to 1000"),
        ({"parallel_workers": 65}, "--parallel_workers 65: must be from 1 to 64"),
        ({"max_requests": 0}, "--max_requests 0: must be from 1"),
        ({"max_requests": float("nan")}, "max_requests"),
        ({"full_refresh": "yes"}, "full_refresh"),
        ({"full_refresh": True}, "--full_refresh buys everything again"),
        ({"yes": 1}, "yes"),
        ({"market": 5}, "market: write a text or a list"),
        ({"market": {"a": 1}}, "market: write a text or a list"),
        ({"instrument": [1, None]}, "instrument: write a text or a list"),
        ({"market": [["a"]]}, "market: write a text or a list"),
        ({"groups": [1]}, "groups: write a text or a list"),
        ({"groups": 5}, "groups: write a text or a list"),
        ({"groups": "OHLC,NOPE"}, "--groups: spot_ohlcv has no group NOPE; it has ID"),
        ({"groups": "ID,MAPPING"}, "--groups: 'ID,MAPPING' holds no values of a bar; add one of OHLC"),
        ({"market": "kr aken"}, "'kr aken' cannot be the name"),
        ({"market": "../../etc\x00"}, "cannot be the name"),
        ({"instrument": "a" * 101}, "cannot be the name"),
        ({"instrument": "BTC\u202e-USD"}, "cannot be the name"),
        ({"start": "soon"}, "--start: 'soon' is not a date or time"),
        ({"end": "listing"}, "--end: 'listing' is not a date or time"),
        ({"start": 20240101}, "start"),
        ({"start": "2024-02-01", "end": "2024-01-01"}, "--start 2024-02-01 is not before --end 2024-01-01"),
        ({"start": "2024-01-01", "end": "2024-01-01"}, "is not before"),
    ],
)
def test_errors_name_the_place_and_the_key(given: dict[Any, Any], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make_operation({**SPOT, **given}, "batch.json: operation 3: ")
    assert str(caught.value).startswith("batch.json: operation 3: ")
    assert words in str(caught.value)
    assert str(caught.value).isprintable()


def test_no_alias_is_a_field_of_its_own() -> None:
    assert not set(ALIASES) & set(Operation.__struct_fields__)
    assert set(ALIASES.values()) <= set(Operation.__struct_fields__)


@pytest.mark.parametrize(
    ("given", "needed"),
    [
        ({"market": "kraken", "instrument": "BTC-USD", "start": "2024-01-01", "end": "2024-02-01"}, False),
        ({"market": "kraken", "instrument": "BTC-USD", "start": "listing", "end": "2024-02-01"}, True),
        ({"market": "kraken", "instrument": "BTC-USD", "start": "2024-01-01"}, True),
        ({"instrument": "BTC-USD", "start": "2024-01-01", "end": "2024-02-01"}, True),
        ({"market": "kraken", "start": "2024-01-01", "end": "2024-02-01"}, True),
    ],
)
def test_a_named_instrument_with_a_range_needs_no_metadata(given: dict[str, Any], needed: bool) -> None:
    assert make_operation({**SPOT, **given}).needs_listing is needed


NOW = 1_750_000_000


@pytest.mark.parametrize(
    ("given", "span"),
    [
        ({}, (None, None)),
        ({"interval": "1h"}, (NOW - 365 * 86_400, None)),
        ({"interval": "1m"}, (NOW - 7 * 86_400, None)),
        ({"interval": "1m", "start": "listing"}, (None, None)),
        ({"start": "2024-01-01", "end": "2024-01-02"}, (1_704_067_200, 1_704_153_600)),
        ({"interval": "1m", "end": "2024-01-02"}, (NOW - 7 * 86_400, 1_704_153_600)),
    ],
)
def test_the_span_asked_for(given: dict[str, Any], span: tuple[int | None, int | None]) -> None:
    assert make_operation({**SPOT, **given}).span(NOW) == span


def write(path: Path, content: object) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


@pytest.mark.parametrize("wrap", [lambda ops: ops, lambda ops: {"description": "nightly", "operations": ops}])
def test_both_forms_of_a_batch_file(tmp_path: Path, wrap: Any) -> None:
    entries = [SPOT, {"data_type": "indices_ohlcv", "asset_limit": 5}]
    operations = read_batch(write(tmp_path / "batch.json", wrap(entries)))
    assert [operation.data_type for operation in operations] == ["spot_ohlcv", "indices_ohlcv"]
    assert operations[1].count == 5


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "cannot be read as JSON"),
        ("{", "cannot be read as JSON"),
        ("\ufeff[]", "cannot be read as JSON"),
        ("[" * 100_000, "cannot be read as JSON"),
        ("[]", "write a list of operations"),
        ("{}", "write a list of operations"),
        ('{"operations": {}}', "write a list of operations"),
        ("[1]", "write a list of operations"),
        ("5", "write a list of operations"),
        ([SPOT, {}], "operation 2: data_type None"),
        ([{**SPOT, "intervall": "1d"}], "operation 1: unknown option 'intervall'; did you mean 'interval'?"),
        ([SPOT, SPOT, {**SPOT, "pair_limit": "x"}], "operation 3: "),
        ([{**SPOT, "start": "soon"}], "operation 1: --start: 'soon'"),
        ([{**SPOT, "groups": "X"}], "operation 1: --groups: "),
    ],
)
def test_a_wrong_batch_file_is_named_with_its_operation(tmp_path: Path, content: object, words: str) -> None:
    path = write(tmp_path / "batch.json", content)
    with pytest.raises(ConfigError) as caught:
        read_batch(path)
    assert str(path) in str(caught.value)
    assert words in str(caught.value)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    large = tmp_path / "large.json"
    large.write_bytes(b" " * (1024 * 1024 + 1))
    (tmp_path / "latin.json").write_bytes(b'["\xe9"]')
    for path in (tmp_path, tmp_path / "none.json", large, tmp_path / "latin.json", Path("/dev/zero")):
        with pytest.raises(ConfigError, match=path.name):
            read_batch(path)


@pytest.mark.parametrize(
    ("dataset", "text", "groups"),
    [
        (SPOT_OHLCV, None, ("ID", "MAPPING", "OHLC", "TRADE", "VOLUME")),
        (SPOT_OHLCV, "", ("ID", "MAPPING", "OHLC", "TRADE", "VOLUME")),
        (SPOT_OHLCV, "volume, ohlc", ("ID", "MAPPING", "OHLC", "VOLUME")),
        (SPOT_OHLCV, "all", SPOT_OHLCV.groups),
        (FUTURES_OHLCV, "OHLC", ("ID", "MAPPING", "OHLC")),
        (INDICES_OHLCV, "OHLC", ("ID", "OHLC")),
    ],
)
def test_groups_come_in_the_vendors_order_with_the_ids(dataset, text, groups) -> None:
    assert dataset.parse_groups(text) == groups


def test_a_series_is_named_by_four_parts() -> None:
    key = SeriesKey.parse("spot_ohlcv/kraken/BTC-USD/1m")
    assert key == SeriesKey("spot_ohlcv", "kraken", "BTC-USD", "1m")
    assert str(key) == "spot_ohlcv/kraken/BTC-USD/1m"
    for text in ("", "spot_ohlcv", "a/b/c/d", "spot_ohlcv/kraken/BTC/USD/1m", "\x1b[2J"):
        with pytest.raises(ConfigError, match="is not a series"):
            SeriesKey.parse(text)


def test_every_data_type_is_complete() -> None:
    for name, dataset in DATASETS.items():
        assert dataset.name == name
        assert dataset.path.startswith("/")
        assert not dataset.path.endswith("/")
        assert dataset.parse_groups("ALL") == dataset.groups
        assert dataset.parse_groups(None) == dataset.default_groups
