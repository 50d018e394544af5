"""Markets, instruments and assets against the contract, in memory: fields, deprecation, partial answers."""

import json
from typing import Any

import pytest
from wire_kit import NOW, OPTIONS, data, error, get

from core.references import ASSET, EXCHANGE, FUTURES_INSTRUMENT, SPOT_INSTRUMENT
from core.sandbox.exchanges import grade
from core.sandbox.gate import Gate
from core.sandbox.wire import Answer, Request

METADATA = "/asset/v2/metadata"
SUMMARY = "/asset/v1/summary/list"
# What our columns call otherwise than the vendor's entries do.
RENAMED = {"EXCHANGE_SYMBOL": "INSTRUMENT", "MAPPING_CREATED_ON": "CREATED_ON"}


@pytest.fixture(scope="module")
def gate() -> Gate:
    return Gate(OPTIONS)


def keyed(gate: Gate, path: str, **query: Any) -> Answer:
    return gate.answer(Request(path, {name: str(value) for name, value in query.items()}, headers={"x-api-key": "k"}))


def warned(answer: Answer) -> tuple[Any, Any]:
    parsed = json.loads(answer.body)
    assert answer.status == 200
    assert list(parsed) == ["Data", "Warn", "Err"]
    assert parsed["Err"] == {}
    return parsed["Data"], parsed["Warn"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("/spot/v1/markets", "/spot/v2/markets"),
        ("/futures/v1/markets", "/futures/v2/markets"),
        ("/index/cc/v1/markets", "/index/cc/v2/markets"),
    ],
)
def test_deprecated_lists_answer_and_name_their_successor(gate: Gate, old: str, new: str) -> None:
    answer = get(gate, old)
    assert answer.headers["Deprecation"] == "true"
    assert answer.headers["Link"] == f'<{new}>; rel="successor-version"'
    successor = get(gate, new)
    assert "Deprecation" not in successor.headers
    assert "Link" not in successor.headers
    assert data(answer) == data(successor)
    [*_, market] = data(successor)
    assert list(data(get(gate, old, market=market.upper()))) == [market]
    assert list(data(get(gate, new, markets=market))) == [market]
    missing = get(gate, old, market="nowhere")
    error(missing, 404)
    assert missing.headers["Deprecation"] == "true"


def test_the_old_rate_limit_names_its_successor(gate: Gate) -> None:
    answer = get(gate, "/admin/v1/rate/limit", api_key="k")
    assert data(answer)["TYPE"] == "3000"
    assert answer.headers["Link"] == '</admin/v2/rate/limit>; rel="successor-version"'
    error(get(gate, "/admin/v1/rate/limit"), 401)


def test_exchanges_have_every_field_that_applies(gate: Gate) -> None:
    fields: set[str] = set()
    for kind in ("spot", "futures"):
        for entry in data(get(gate, f"/{kind}/v2/markets")).values():
            fields |= set(entry)
            assert None not in entry.values()
    trouble = {"EXCHANGE_SUSPENSION_REASON", "TRADING_PERMANENTLY_SUSPENDED_DATE", "PUBLIC_NOTICE"}
    assert fields == {column.field for column in EXCHANGE} - trouble


def test_groups_of_exchanges_are_disjoint_and_complete(gate: Gate) -> None:
    groups = dict.fromkeys(column.group for column in EXCHANGE if column.group != "INTEGRATION_FUTURES")
    whole = data(get(gate, "/spot/v2/markets", markets="kraken"))["kraken"]
    parts = [data(get(gate, "/spot/v2/markets", markets="kraken", groups=group))["kraken"] for group in groups]
    assert sum(map(len, parts)) == len(whole)
    by_group = {column.field: column.group for column in EXCHANGE}
    for group, part in zip(groups, parts, strict=True):
        assert {by_group[name] for name in part} == {group}


def test_benchmark_grades_agree_with_their_scores(gate: Gate) -> None:
    spot = data(get(gate, "/spot/v2/markets", groups="BENCHMARK"))
    grades = {entry["CCDATA_LATEST_SPOT_BENCHMARK_GRADE"] for entry in spot.values()}
    assert grades == {"AA", "A", "BB", "B", "C", "D"}
    for entry in spot.values():
        score = entry["CCDATA_LATEST_SPOT_BENCHMARK_SCORE"]
        assert entry["CCDATA_LATEST_SPOT_BENCHMARK_GRADE"] == grade(score)
        *_, latest = entry["CCDATA_HISTORICAL_SPOT_BENCHMARK_REPORTS"]
        assert (latest["OVERALL_SCORE"], latest["OVERALL_GRADE"]) == (score, grade(score))
        assert latest["PUBLICATION_DATE"] < NOW
    assert [grade(score) for score in (85, 84.9, 55, 25, 24.9)] == ["AA", "A", "B", "E", "F"]
    error(get(gate, "/futures/v2/markets", groups="BENCHMARK"), 400)


@pytest.mark.parametrize(("kind", "columns"), [("spot", SPOT_INSTRUMENT), ("futures", FUTURES_INSTRUMENT)])
def test_instruments_have_every_field(gate: Gate, kind: str, columns: tuple[Any, ...]) -> None:
    fields: set[str] = set()
    for market in data(get(gate, f"/{kind}/v1/markets/instruments", groups="ID")).values():
        for mapped, entry in market["instruments"].items():
            assert entry["MAPPED_INSTRUMENT"] == entry["INSTRUMENT_MAPPING"]["MAPPED_INSTRUMENT"] == mapped
            fields |= set(entry) | set(entry["INSTRUMENT_MAPPING"])
    wanted = {RENAMED.get(column.field, column.field) for column in columns}
    assert fields - {"INSTRUMENT_MAPPING", "MAPPED_INSTRUMENT"} == wanted


def test_index_families_and_their_instruments(gate: Gate) -> None:
    families = data(get(gate, "/index/cc/v2/markets"))
    assert set(families) == {"cadli", "ccix"}
    assert families["cadli"]["INDEX_STATUS"] == "ACTIVE"
    assert set(data(get(gate, "/index/cc/v2/markets", groups="ID"))["cadli"]) == {"TYPE"}
    listed = data(get(gate, "/index/cc/v1/markets/instruments", market="ccix"))["ccix"]["instruments"]
    assert len(listed) == families["ccix"]["MAPPED_INSTRUMENTS_TOTAL"]
    entry = listed["BTC-USD"]
    assert entry["FIRST_INDEX_UPDATE_TIMESTAMP"] < entry["LAST_INDEX_UPDATE_TIMESTAMP"] < NOW
    assert entry["COMPONENTS"][0]["TYPE"] == "706"


def test_assets_have_every_field(gate: Gate) -> None:
    found, warning = warned(keyed(gate, METADATA, assets="BTC,ETH,USDT,USD"))
    assert warning == {}
    assert list(found) == ["BTC", "ETH", "USDT", "USD"]
    for asset in found.values():
        assert set(asset) == {column.field for column in ASSET}
    assert (found["BTC"]["ID"], found["BTC"]["URI"], found["USD"]["ASSET_TYPE"]) == (1, "bitcoin", "FIAT")
    assert found["USDT"]["SUPPORTED_PLATFORMS"][0]["BLOCKCHAIN_ASSET_ID"] == found["ETH"]["ID"]
    assert found["USD"]["PRICE_USD"] == 1


def test_groups_of_assets_select_and_order(gate: Gate) -> None:
    found, _ = warned(keyed(gate, METADATA, assets="BTC", groups="PRICE,ID"))
    by_group = {column.field: column.group for column in ASSET}
    groups = list(dict.fromkeys(by_group[name] for name in found["BTC"]))
    assert groups == ["PRICE", "ID"]
    error(get(gate, METADATA, assets="BTC", groups="PRICES"), 400)


def test_groups_for_members_are_left_out_without_a_key(gate: Gate) -> None:
    for groups in ("", "ID,SOCIAL,CUSTODIANS"):
        found, _ = warned(get(gate, METADATA, assets="BTC", groups=groups))
        assert "SYMBOL" in found["BTC"]
        assert not {"CODE_REPOSITORIES", "ASSET_CUSTODIANS"} & set(found["BTC"])
    found, _ = warned(get(gate, METADATA, assets="BTC", groups="SOCIAL", api_key="k"))
    assert "CODE_REPOSITORIES" in found["BTC"]


def test_assets_are_found_by_symbol_id_or_uri(gate: Gate) -> None:
    for priority, name in (("SYMBOL", "ETH"), ("ID", "2"), ("URI", "ethereum")):
        found, _ = warned(get(gate, METADATA, assets=name, asset_lookup_priority=priority, groups="ID"))
        assert found[name]["SYMBOL"] == "ETH"
    error(get(gate, METADATA, assets="BTC", asset_lookup_priority="NAME"), 400)


def test_unknown_assets_are_warned_of_and_404_when_all_are(gate: Gate) -> None:
    found, warning = warned(get(gate, METADATA, assets="BTC,NOPE,NEITHER", groups="ID"))
    assert list(found) == ["BTC"]
    assert set(warning) == {"type", "message", "other_info"}
    assert set(warning["other_info"]["values"]) == {"NOPE", "NEITHER"}
    refused = get(gate, METADATA, assets="NOPE,NEITHER")
    parsed = json.loads(refused.body)
    assert refused.status == 404
    assert (parsed["Data"], parsed["Warn"]) == ({}, {})
    assert parsed["Err"]["other_info"] == {"param": "assets", "values": ["NOPE", "NEITHER"]}


def test_limits_of_the_metadata_call(gate: Gate) -> None:
    names = [asset["SYMBOL"] for asset in data(get(gate, "/asset/v1/top/list"))["LIST"]]
    found, _ = warned(get(gate, METADATA, assets=",".join(names[:50]), groups="ID"))
    assert list(found) == names[:50]
    for query in ({}, {"assets": ""}, {"assets": ",".join(names[:51])}, {"assets": "BTC", "quote_asset": "NOPE"}):
        assert get(gate, METADATA, **query).status == 400


def test_the_metadata_agrees_with_the_ranked_list(gate: Gate) -> None:
    ranked = data(get(gate, "/asset/v1/top/list", page_size=10))["LIST"]
    found, _ = warned(get(gate, METADATA, assets=",".join(asset["SYMBOL"] for asset in ranked)))
    for asset in ranked:
        assert asset.items() <= found[asset["SYMBOL"]].items()


def test_figures_are_converted(gate: Gate) -> None:
    usd, _ = warned(get(gate, METADATA, assets="ETH"))
    btc, _ = warned(get(gate, METADATA, assets="ETH", quote_asset="BTC"))
    rate = btc["ETH"]["PRICE_CONVERSION_RATE"]
    assert 0 < rate < 1e-3
    assert btc["ETH"]["PRICE_USD"] == usd["ETH"]["PRICE_USD"]
    assert btc["ETH"]["PRICE_CONVERSION_VALUE"] == pytest.approx(usd["ETH"]["PRICE_USD"] * rate)
    assert btc["ETH"]["PRICE_CONVERSION_ASSET"]["SYMBOL"] == "BTC"


def test_the_old_metadata_path_is_deprecated(gate: Gate) -> None:
    old, new = (get(gate, f"/asset/{version}/metadata", assets="BTC") for version in ("v1", "v2"))
    assert old.body == new.body
    assert old.headers["Link"] == f'<{METADATA}>; rel="successor-version"'


def test_the_summary_list(gate: Gate) -> None:
    everything = data(get(gate, SUMMARY))
    assert everything["STATS"]["TOTAL_ASSETS"] == everything["STATS"]["TOTAL_FILTERED_ASSETS"] >= 80
    assert {asset["TYPE"] for asset in everything["LIST"]} == {"168"}
    fiats = data(get(gate, SUMMARY, asset_type="FIAT"))
    assert {asset["SYMBOL"] for asset in fiats["LIST"]} >= {"USD", "EUR"}
    assert fiats["STATS"]["TOTAL_FILTERED_ASSETS"] == len(fiats["LIST"]) < fiats["STATS"]["TOTAL_ASSETS"]
    some = data(get(gate, SUMMARY, assets="1,2", asset_lookup_priority="ID"))
    assert [asset["SYMBOL"] for asset in some["LIST"]] == ["BTC", "ETH"]
    [chain] = data(get(gate, SUMMARY, filters="IS_SUPPORTING_OTHER_ASSETS"))["LIST"]
    assert chain["SYMBOL"] == "ETH"
    tokens = data(get(gate, SUMMARY, filters="HAS_SUPPORTED_PLATFORMS"))["LIST"]
    assert {asset["ASSET_TYPE"] for asset in tokens} == {"TOKEN"}
    error(get(gate, SUMMARY, filters="HAS_BEAUTY"), 400)
    error(get(gate, SUMMARY, assets=",".join(map(str, range(201)))), 400)
