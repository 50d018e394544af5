"""What users ask for: keys and their aliases, what each data type takes, and errors that name what is wrong."""

from typing import Any

import pytest

from core.datasets import DATA_TYPES, DATASETS, FUTURES_OHLCV, INDICES_OHLCV, SPOT_OHLCV, SeriesKey
from core.errors import ConfigError
from core.operations import Operation, make_operation, named_series, read_operation
from core.options import ALIASES, CHOICES, OPTIONS, RANGES, known_keys
from core.references import ASSET_METADATA

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
        ({"data_type": "spot_olhcv"}, "--data_type: 'spot_olhcv' is not one of spot_ohlcv, futures_ohlcv"),
        ({"data_type": "spot_olhcv"}, "did you mean 'spot_ohlcv'?"),
        ({"data_type": ["spot_ohlcv"]}, "data_type"),
        ({"data_type": {}}, "data_type"),
        ({"data_type": None}, "data_type: None is not one of"),
        ({"intervall": "1d"}, "--intervall: there is no such option; did you mean 'interval'?"),
        ({"output": "json"}, "--output: there is no such option"),
        ({"contract": "perpetual"}, "--contract: spot_ohlcv has no such option"),
        ({"exchange_type": "spot"}, "--exchange_type: spot_ohlcv has no such option"),
        ({"data_type": "indices_ohlcv", "min_grade": "BB"}, "--min_grade: indices_ohlcv has no such option"),
        ({"data_type": "asset_metadata", "interval": "1d"}, "--interval: asset_metadata has no such option"),
        ({"data_type": "asset_metadata", "timeframe": "1d"}, "--timeframe: asset_metadata has no such option"),
        ({"data_type": "asset_metadata", "market": "kraken"}, "--market: asset_metadata has no such option"),
        ({"data_type": "exchange_metadata", "exchange_type": "dex"}, "'dex': choose spot, futures, all"),
        ({"data_type": "spot_instruments", "start": "2024-01-01"}, "--start: spot_instruments has no such option"),
        ({"min_grade": "Z"}, "--min_grade: 'Z': choose AA, A, BB"),
        ({"series": "kraken"}, "--series: 'kraken' is not a series; write market/instrument"),
        ({"series": "spot_ohlcv/kraken/BTC-USD/1h"}, "is not a series of spot_ohlcv 1d"),
        ({"series": "futures_ohlcv/kraken/BTC-USD/1d"}, "is not a series of spot_ohlcv 1d"),
        ({"series": "kraken/BTC-USD", "market": "kraken"}, "--market: leave it out: series names what is wanted"),
        ({"universe": "core", "asset_limit": 5}, "--asset_limit: leave it out: universe names what is wanted"),
        ({"universe": "core", "series": "kraken/BTC-USD"}, "--universe: leave it out: series names what is wanted"),
        ({"universe": "the core"}, "cannot be the name of a universe"),
        ({"\x1b[2Jx": 1}, "--[2Jx: there is no such option"),
        ({5: 1}, "--5: there is no such option"),
        ({"interval": "5m"}, "--interval: '5m': choose 1d, 1h, 1m"),
        ({"interval": ["1d"]}, "interval"),
        ({"order": "random"}, "--order: 'random': choose newest, oldest"),
        ({"data_type": "futures_ohlcv", "contract": "weekly"}, "--contract: 'weekly': choose perpetual, expiring"),
        ({"pair_limit": "5"}, "pair_limit"),
        ({"pair_limit": 5.0}, "pair_limit"),
        ({"pair_limit": True}, "pair_limit"),
        ({"pair_limit": 0}, "--pair_limit: 0: must be from 1 to 100000"),
        ({"asset_limit": 3, "pair_limit": 4}, "--pair_limit: is given twice, also as 'asset_limit'"),
        ({"recheck": -1}, "--recheck: -1: must be from 0 to 1000"),
        ({"parallel_workers": 65}, "--parallel_workers: 65: must be from 1 to 64"),
        ({"max_requests": 0}, "--max_requests: 0: must be from 1"),
        ({"max_requests": float("nan")}, "max_requests"),
        ({"full_refresh": "yes"}, "full_refresh"),
        ({"full_refresh": True}, "--full_refresh: buys everything again"),
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
        ({"start": "2024-02-01", "end": "2024-01-01"}, "--start: 2024-02-01 is not before --end 2024-01-01"),
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


def test_every_problem_of_an_operation_is_named_at_once() -> None:
    given = {**SPOT, "intervall": "1d", "order": "up", "asset-limit": 0, "start": "soon", "recheck": "x", "yes": 1}
    operation, problems = read_operation(given)
    assert operation is None
    assert [problem.key for problem in problems] == ["intervall", "recheck", "yes", "order", "asset_limit", "start"]


def test_the_tables_of_options_are_about_fields_that_exist() -> None:
    fields = set(Operation.__struct_fields__)
    assert list(OPTIONS) == list(DATA_TYPES)
    assert {"data_type"}.union(*OPTIONS.values()) == fields
    assert set(CHOICES) | set(RANGES) <= fields
    for name, options in OPTIONS.items():
        assert len(set(options)) == len(options), name


@pytest.mark.parametrize("data_type", DATA_TYPES)
def test_every_data_type_is_an_operation_with_its_own_options_only(data_type: str) -> None:
    operation = make_operation({"data_type": data_type})
    assert operation.is_metadata == (data_type not in DATASETS)
    assert operation.title == (data_type if operation.is_metadata else f"{data_type} 1d")
    assert make_operation(operation.given()) == operation
    for option in set(Operation.__struct_fields__) - {"data_type", *OPTIONS[data_type]}:
        _, [problem] = read_operation({"data_type": data_type, option: "x"})
        assert problem == (option, f"{data_type} has no such option")


def test_metadata_has_no_interval_and_needs_no_range_to_be_refreshed() -> None:
    operation = make_operation({"data_type": "asset_metadata", "asset_limit": 300, "full_refresh": True})
    assert (operation.interval, operation.count, operation.reference) == ("", 300, ASSET_METADATA)
    assert make_operation({"data_type": "asset_metadata"}).count == 100
    assert make_operation({"data_type": "exchange_metadata"}).exchange_type == "all"
    assert "asset_limit" in known_keys("asset_metadata")
    assert "symbol" not in known_keys("asset_metadata")


def test_what_is_given_back_makes_the_same_operation() -> None:
    given = {
        "data_type": "futures_funding_rate",
        "interval": "1h",
        "market": "binance,okex",
        "contract": "expiring",
        "min_grade": "bb",
        "groups": "VALUE,OHLC",
        "start": "2024-01-01",
        "full_refresh": True,
        "label": "x",
    }
    operation = make_operation(given)
    assert operation.min_grade == "BB"
    assert make_operation(operation.given()) == operation


def test_series_are_named_short_or_in_full() -> None:
    named = ["kraken/BTC-USD", "spot_ohlcv/coinbase/ETH-USD/1h, kraken/SOL-USD", "spot_ohlcv/kraken/BTC-USD/1h"]
    operation = make_operation({**SPOT, "interval": "1h", "series": named})
    found = [str(key) for key in named_series(operation)]
    assert found == ["spot_ohlcv/kraken/BTC-USD/1h", "spot_ohlcv/coinbase/ETH-USD/1h", "spot_ohlcv/kraken/SOL-USD/1h"]
    assert not operation.is_ranked


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
