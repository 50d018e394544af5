"""Dated events of listings: nothing changes before them, and after them what they say."""

import json
import random
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from core.errors import ConfigError
from core.sandbox.gate import Gate
from core.sandbox.options import SandboxOptions, moment
from core.sandbox.scenario import read_events
from core.sandbox.wire import Answer, Request

AT = moment("2025-06-03T10:00:00")
DAY = 86_400
SOL = {"kind": "spot", "market": "kraken", "instrument": "SOL-USD"}
PERPETUAL = {"kind": "futures", "market": "binance", "instrument": "SOL-USDT-VANILLA-PERPETUAL"}
UNITS = {"days": 86_400, "hours": 3_600, "minutes": 60}
SUMMED = ("TOTAL_", "VOLUME", "QUOTE_VOLUME", "NUMBER_OF_CONTRACTS")
STATUSES = "ACTIVE,IGNORED,RETIRED,EXPIRED,READY_FOR_DECOMMISSIONING,RETIRED_UNMAPPED"


class Watched:
    """A sandbox whose clock the test sets."""

    def __init__(self, scenario: Path | None, now: int = AT) -> None:
        self.now = now
        self._gate = Gate(SandboxOptions(scenario=scenario), clock=lambda: float(self.now))

    def get(self, path: str, **query: Any) -> Answer:
        return self._gate.answer(Request(path, {name: str(value) for name, value in query.items()}))

    def data(self, path: str, **query: Any) -> Any:
        answer = self.get(path, **query)
        assert answer.status == 200, answer.body
        return json.loads(answer.body)["Data"]

    def entries(self, kind: str, market: str) -> dict[str, Any]:
        found = self.data(f"/{kind}/v1/markets/instruments", market=market, instrument_status=STATUSES, groups="ID")
        entries: dict[str, Any] = found[market]["instruments"]
        return entries

    def rows(self, unit: str, event: dict[str, Any], feed: str = "", **query: Any) -> list[dict[str, Any]]:
        path = f"/{event['kind']}/v1/historical/{feed}{unit}"
        rows: list[dict[str, Any]] = self.data(
            path, market=event["market"], **{"instrument": event["instrument"], "limit": 2_000, **query}
        )
        return rows


Start = Callable[..., Watched]


@pytest.fixture
def started(tmp_path: Path) -> Start:
    def start(*events: dict[str, Any], now: int = AT) -> Watched:
        file = tmp_path / "scenario.json"
        file.write_text(json.dumps(events))
        return Watched(file, now)

    return start


def event(name: str, at: int = AT, of: dict[str, Any] = SOL, **keys: Any) -> dict[str, Any]:
    return {"at": at, "event": name, **of, **keys}


ALL_EVENTS = [
    event("delist"),
    event("delist", of=PERPETUAL),
    event("relist", at=AT + DAY),
    event("status", at=AT, of={**SOL, "instrument": "ETH-USD"}, to="IGNORED"),
    event("rename", of={**SOL, "instrument": "DOGE-USD"}, to="DOGGY-USD"),
    event("symbol", of={**SOL, "instrument": "ADA-USD"}, to="ADA2USD"),
    event("terms", of={**SOL, "instrument": "XRP-USD"}, set={"TRANSFORM_FUNCTION": "INVERT"}),
    event("reuse", of={**SOL, "instrument": "LTC-USD"}, base_id=4_321),
    event("vanish", of={**SOL, "instrument": "LINK-USD"}),
    event("appear", at=AT + DAY, of={**SOL, "instrument": "LINK-USD"}),
    event("list", of={**SOL, "instrument": "PEPE-GBP"}),
    {"at": AT, "event": "asset_status", "kind": "asset", "asset": "SOL", "to": "INACTIVE"},
    {"at": AT, "event": "asset_rename", "kind": "asset", "asset": "ADA", "to": "Cardano Two"},
    {"at": AT, "event": "exchange_status", "kind": "exchange", "market": "kraken", "to": "SUSPENDED"},
]
LISTS = [
    ("/spot/v1/markets/instruments", {"instrument_status": STATUSES}),
    ("/futures/v1/markets/instruments", {"instrument_status": STATUSES}),
    ("/asset/v2/metadata", {"assets": "SOL,ADA"}),
    ("/asset/v1/summary/list", {}),
    ("/asset/v1/top/list", {}),
]


@pytest.mark.slow
def test_before_an_event_all_is_as_without_it(started: Start) -> None:
    changed, plain = started(*ALL_EVENTS, now=AT - 60), Watched(None, AT - 60)
    for path, query in LISTS:
        assert changed.get(path, **query).body == plain.get(path, **query).body, path
    for of in (SOL, PERPETUAL):
        for unit in UNITS:
            assert changed.rows(unit, of, limit=50) == plain.rows(unit, of, limit=50)
    # Longer than the vendor's own cache.
    changed.now = plain.now = AT + 600
    for path, query in LISTS:
        assert changed.get(path, **query).body != plain.get(path, **query).body, path


@pytest.mark.slow
def test_what_was_served_before_a_delisting_stays(started: Start) -> None:
    for of, feed in ((SOL, ""), (PERPETUAL, ""), (PERPETUAL, "funding-rate/"), (PERPETUAL, "open-interest/")):
        for at in (AT, AT + 7 * 60, AT - AT % DAY):
            sandbox = started(event("delist", at=at, of=of), now=at - 1)
            before = {unit: sandbox.rows(unit, of, feed, limit=100) for unit in UNITS}
            sandbox.now = at + 5 * DAY
            for unit, seconds in UNITS.items():
                after = sandbox.rows(unit, of, feed, limit=100)
                assert after[:-1] == before[unit][:-1]
                assert after[-1]["TIMESTAMP"] == before[unit][-1]["TIMESTAMP"] == (at - 1) // seconds * seconds


def test_a_delisted_instrument_is_retired_and_ends(started: Start) -> None:
    sandbox = started(event("delist"), now=AT + 30 * DAY)
    entry = sandbox.entries("spot", "kraken")["SOL-USD"]
    assert entry["INSTRUMENT_STATUS"] == "RETIRED"
    for unit in UNITS:
        rows = sandbox.rows(unit, SOL, fill="false")
        assert rows[-1]["LAST_TRADE_TIMESTAMP"] == entry["LAST_TRADE_SPOT_TIMESTAMP"] < AT
    assert "SOL-USD" not in sandbox.data("/spot/v1/markets/instruments", market="kraken")["kraken"]["instruments"]
    refused = sandbox.get("/spot/v1/historical/days", market="kraken", instrument="SOL-USD", to_ts=1)
    assert json.loads(refused.body)["Err"]["other_info"]["instrument_status"] == "RETIRED"
    dated = {"kind": "futures", "market": "okex", "instrument": "BTC-USD-INVERSE-20250627"}
    assert started(event("delist", of=dated)).entries("futures", "okex")[dated["instrument"]]["INSTRUMENT_STATUS"] == (
        "EXPIRED"
    )


def check_chain(rows: list[dict[str, Any]], seconds: int) -> None:
    """Rows follow each other without holes, and each opens as the one before closed."""
    for earlier, later in pairwise(rows):
        assert later["TIMESTAMP"] - earlier["TIMESTAMP"] == seconds
        for name in later:
            if name.startswith("OPEN"):
                assert later[name] == earlier["CLOSE" + name.removeprefix("OPEN")], later["TIMESTAMP"]


def check_sums(whole: dict[str, Any], parts: list[dict[str, Any]]) -> None:
    for name, value in whole.items():
        if name.startswith(SUMMED):
            assert value == pytest.approx(sum(part[name] for part in parts), rel=1e-12)
        elif name in {"HIGH", "HIGH_MARK_PRICE", "HIGH_QUOTE"}:
            assert value == max(part[name] for part in parts)


def within(rows: list[dict[str, Any]], start: int, end: int) -> list[dict[str, Any]]:
    return [row for row in rows if start <= row["TIMESTAMP"] < end]


@pytest.mark.slow
@pytest.mark.parametrize("feed", ["spot", "futures", "funding-rate/", "open-interest/"])
@pytest.mark.parametrize("seed", [1, 2])
def test_a_relisted_history_goes_on_and_adds_up(started: Start, feed: str, seed: int) -> None:
    dice = random.Random(f"{seed}{feed}")
    of = SOL if feed == "spot" else PERPETUAL
    feed = feed if feed.endswith("/") else ""
    stopped = AT + 60 * dice.randint(0, 3_000)
    again = stopped + 60 * dice.choice([0, 1, 50, 700, 6_000])
    print(f"seed {seed}: {stopped} to {again}")
    sandbox = started(event("delist", at=stopped, of=of), event("relist", at=again, of=of), now=stopped - 1)
    frozen = {unit: sandbox.rows(unit, of, feed)[:-1] for unit in UNITS}
    sandbox.now = again + 10 * DAY
    pages = {unit: sandbox.rows(unit, of, feed, to_ts=again + DAY // 2) for unit in UNITS}
    for unit, seconds in UNITS.items():
        rows = pages[unit]
        check_chain(rows, seconds)
        known = within(frozen[unit], rows[0]["TIMESTAMP"], again)
        assert within(rows, frozen[unit][0]["TIMESTAMP"], frozen[unit][-1]["TIMESTAMP"] + 1) == known
        for row in within(rows, stopped, again - seconds + 1):
            assert not any(row[name] for name in row if name.startswith(SUMMED))
    for coarse, fine in (("days", "hours"), ("hours", "minutes")):
        for row in pages[coarse]:
            parts = within(pages[fine], row["TIMESTAMP"], row["TIMESTAMP"] + UNITS[coarse])
            if len(parts) == UNITS[coarse] // UNITS[fine]:
                check_sums(row, parts)


def test_a_relisted_series_keeps_its_first_trade(started: Start) -> None:
    plain = Watched(None).entries("spot", "kraken")["SOL-USD"]
    sandbox = started(event("delist"), event("relist", at=AT + DAY), now=AT + 2 * DAY)
    entry = sandbox.entries("spot", "kraken")["SOL-USD"]
    assert entry["FIRST_TRADE_SPOT_TIMESTAMP"] == plain["FIRST_TRADE_SPOT_TIMESTAMP"]
    assert entry["LAST_TRADE_SPOT_TIMESTAMP"] > AT + DAY
    [first, *_] = sandbox.rows("days", SOL, to_ts=plain["FIRST_TRADE_SPOT_TIMESTAMP"])
    assert first["FIRST_TRADE_TIMESTAMP"] == plain["FIRST_TRADE_SPOT_TIMESTAMP"]


@pytest.mark.parametrize("name", ["SOL-USD", "PEPE-GBP"])
def test_a_listing_begins_with_a_trade(started: Start, name: str) -> None:
    of = {**SOL, "instrument": name}
    sandbox = started(event("list", of=of), now=AT - 60)
    assert name not in sandbox.entries("spot", "kraken")
    assert sandbox.get("/spot/v1/historical/days", market="kraken", instrument=name).status == 404
    sandbox.now = AT + 3 * DAY
    entry = sandbox.entries("spot", "kraken")[name]
    assert entry["INSTRUMENT_STATUS"] == "ACTIVE"
    assert entry["FIRST_TRADE_SPOT_TIMESTAMP"] == AT
    for unit, seconds in UNITS.items():
        [first, *_] = sandbox.rows(unit, of, to_ts=AT + 90)
        assert first["TIMESTAMP"] == AT - AT % seconds
        assert first["FIRST_TRADE_TIMESTAMP"] == AT
        assert first["OPEN"] == first["FIRST_TRADE_PRICE"]


def test_a_new_contract_publishes_from_its_listing_on(started: Start) -> None:
    of = {**PERPETUAL, "instrument": "DASH-USDT-VANILLA-PERPETUAL"}
    sandbox = started(event("list", of=of), now=AT + DAY)
    entry = sandbox.entries("futures", "binance")[of["instrument"]]
    for what in ("TRADE_FUTURES", "FUNDING_RATE_UPDATE", "OPEN_INTEREST_UPDATE"):
        assert entry[f"FIRST_{what}_TIMESTAMP"] == AT
    assert sandbox.rows("hours", of, "funding-rate/")[0]["FIRST_MESSAGE_TIMESTAMP"] == AT


def test_a_status_is_only_a_word(started: Start) -> None:
    sandbox = started(event("status", to="IGNORED"), event("status", at=AT + DAY, to="ACTIVE"), now=AT + 3_600)
    plain = Watched(None, AT + 3_600)
    assert sandbox.entries("spot", "kraken")["SOL-USD"]["INSTRUMENT_STATUS"] == "IGNORED"
    assert sandbox.rows("hours", SOL) == plain.rows("hours", SOL)
    sandbox.now = plain.now = AT + DAY
    assert sandbox.entries("spot", "kraken") == plain.entries("spot", "kraken")


def test_a_renamed_instrument_answers_under_its_new_name_and_its_own_id(started: Start) -> None:
    sandbox, plain = started(event("rename", to="LUNA-USD")), Watched(None)
    old, new = plain.entries("spot", "kraken")["SOL-USD"], sandbox.entries("spot", "kraken")["LUNA-USD"]
    assert "SOL-USD" not in sandbox.entries("spot", "kraken")
    assert (new["INSTRUMENT"], new["MAPPED_INSTRUMENT"]) == (old["INSTRUMENT"], "LUNA-USD")
    mapping = new["INSTRUMENT_MAPPING"]
    assert (mapping["BASE"], mapping["BASE_ID"], mapping["CREATED_ON"]) == (
        "LUNA", old["INSTRUMENT_MAPPING"]["BASE_ID"], AT,
    )  # fmt: skip
    rows = sandbox.rows("days", {**SOL, "instrument": "LUNA-USD"})
    assert rows == sandbox.rows("days", {**SOL, "instrument": old["INSTRUMENT"]})
    names = {"MAPPED_INSTRUMENT": "LUNA-USD", "BASE": "LUNA"}
    assert rows == [{**row, **names} for row in plain.rows("days", SOL)]
    assert sandbox.get("/spot/v1/historical/days", market="kraken", instrument="SOL-USD").status == 404


@pytest.mark.slow
def test_a_renamed_contract_keeps_its_streams(started: Start) -> None:
    name = "LUNA-USDT-VANILLA-PERPETUAL"
    sandbox, plain = started(event("rename", of=PERPETUAL, to=name)), Watched(None)
    for feed in ("", "funding-rate/", "open-interest/"):
        rows = sandbox.rows("hours", {**PERPETUAL, "instrument": name}, feed, groups="OHLC")
        assert rows == plain.rows("hours", PERPETUAL, feed, groups="OHLC")
    mapping = sandbox.entries("futures", "binance")[name]["INSTRUMENT_MAPPING"]
    assert (mapping["INDEX_UNDERLYING"], mapping["CONTRACT_CURRENCY"]) == ("LUNA", "LUNA")
    assert mapping["SETTLEMENT_CURRENCY"] == "USDT"


def test_a_name_that_was_given_up_can_be_taken(started: Start) -> None:
    sandbox = started(
        event("rename", to="OLDSOL-USD"), event("rename", of={**SOL, "instrument": "ADA-USD"}, to="SOL-USD", at=AT + 60)
    )
    assert sandbox.get("/spot/v1/historical/days", market="kraken", instrument="SOL-USD").status == 404
    sandbox.now = AT + 60
    assert (
        sandbox.rows("days", SOL)[0]["BASE_ID"]
        == Watched(None).rows("days", {**SOL, "instrument": "ADA-USD"})[0]["BASE_ID"]
    )


@pytest.mark.slow
def test_a_new_id_of_the_exchange(started: Start) -> None:
    sandbox, plain = started(event("symbol", to="SOLX")), Watched(None)
    entry = sandbox.entries("spot", "kraken")["SOL-USD"]
    assert entry == {**plain.entries("spot", "kraken")["SOL-USD"], "INSTRUMENT": "SOLX"}
    assert sandbox.rows("days", SOL) == sandbox.rows("days", {**SOL, "instrument": "SOLX"})
    assert sandbox.rows("days", SOL) == [{**row, "INSTRUMENT": "SOLX"} for row in plain.rows("days", SOL)]
    old = plain.entries("spot", "kraken")["SOL-USD"]["INSTRUMENT"]
    assert sandbox.get("/spot/v1/historical/days", market="kraken", instrument=old).status == 404


def test_terms_of_a_contract(started: Start) -> None:
    expiry = AT + 20 * DAY
    terms = {"SETTLEMENT_CURRENCY": "USDC", "CONTRACT_CURRENCY": "USDT", "CONTRACT_EXPIRATION_TS": expiry}
    sandbox, plain = started(event("terms", of=PERPETUAL, set=terms)), Watched(None)
    entry = sandbox.entries("futures", "binance")[PERPETUAL["instrument"]]
    mapping = entry["INSTRUMENT_MAPPING"]
    assert (mapping["SETTLEMENT_CURRENCY"], mapping["SETTLEMENT_CURRENCY_ID"]) == ("USDC", 11)
    assert (mapping["CONTRACT_CURRENCY"], mapping["CREATED_ON"]) == ("USDT", AT)
    assert (entry["CONTRACT_EXPIRATION_TS"], entry["INSTRUMENT_STATUS"]) == (expiry, "ACTIVE")
    row = sandbox.rows("hours", PERPETUAL, limit=1)[0]
    assert row == {
        **plain.rows("hours", PERPETUAL, limit=1)[0],
        "SETTLEMENT_CURRENCY": "USDC", "SETTLEMENT_CURRENCY_ID": 11, "CONTRACT_CURRENCY": "USDT",
        "CONTRACT_CURRENCY_ID": 7,
    }  # fmt: skip
    sandbox.now = expiry + DAY
    assert sandbox.entries("futures", "binance")[PERPETUAL["instrument"]]["INSTRUMENT_STATUS"] == "EXPIRED"
    assert sandbox.rows("minutes", PERPETUAL)[-1]["TIMESTAMP"] == expiry - 60
    inverted = started(event("terms", set={"TRANSFORM_FUNCTION": "INVERT"}))
    assert inverted.rows("days", SOL, limit=1)[0]["TRANSFORM_FUNCTION"] == "INVERT"


def test_a_reused_name_is_another_asset_with_other_prices(started: Start) -> None:
    sandbox, plain = started(event("reuse", base_id=987_654), now=AT + 2 * DAY), Watched(None, AT + 2 * DAY)
    entry = sandbox.entries("spot", "kraken")["SOL-USD"]
    assert entry["INSTRUMENT_MAPPING"]["BASE_ID"] == 987_654
    assert entry["INSTRUMENT_MAPPING"]["BASE"] == "SOL"
    assert entry["FIRST_TRADE_SPOT_TIMESTAMP"] == AT
    rows = sandbox.rows("days", SOL)
    assert rows[0]["FIRST_TRADE_TIMESTAMP"] == AT
    assert rows[0]["BASE_ID"] == 987_654
    assert not 0.8 < rows[-1]["CLOSE"] / plain.rows("days", SOL)[-1]["CLOSE"] < 1.25
    contract = started(event("reuse", of=PERPETUAL, base_id=987_654), now=AT + 2 * DAY)
    for feed, first in (("", "FIRST_TRADE"), ("funding-rate/", "FIRST_MESSAGE"), ("open-interest/", "FIRST_MESSAGE")):
        rows = contract.rows("hours", PERPETUAL, feed)
        assert rows[0][f"{first}_TIMESTAMP"] == AT
        assert rows[0]["INDEX_UNDERLYING_ID"] == 987_654


def test_what_vanishes_is_nowhere_until_it_appears(started: Start) -> None:
    sandbox, plain = started(event("vanish"), event("appear", at=AT + DAY)), Watched(None)
    assert "SOL-USD" not in sandbox.entries("spot", "kraken")
    for name in ("SOL-USD", plain.entries("spot", "kraken")["SOL-USD"]["INSTRUMENT"]):
        assert sandbox.get("/spot/v1/historical/days", market="kraken", instrument=name).status == 404
    sandbox.now = plain.now = AT + DAY
    assert sandbox.entries("spot", "kraken") == plain.entries("spot", "kraken")
    assert sandbox.rows("minutes", SOL) == plain.rows("minutes", SOL)


def test_assets_and_exchanges_change(started: Start) -> None:
    sandbox = started(*ALL_EVENTS)
    metadata = sandbox.data("/asset/v2/metadata", assets="SOL,ADA,BTC")
    assert (metadata["SOL"]["ASSET_STATUS"], metadata["SOL"]["UPDATED_ON"]) == ("INACTIVE", AT)
    assert (metadata["ADA"]["NAME"], metadata["ADA"]["SYMBOL"]) == ("Cardano Two", "ADA")
    assert metadata["BTC"]["ASSET_STATUS"] == "ACTIVE"
    names = {asset["SYMBOL"]: asset["NAME"] for asset in sandbox.data("/asset/v1/summary/list")["LIST"]}
    assert names["ADA"] == "Cardano Two"
    exchanges = sandbox.data("/spot/v2/markets")
    assert (exchanges["kraken"]["EXCHANGE_STATUS"], exchanges["kraken"]["UPDATED_ON"]) == ("SUSPENDED", AT)
    assert "EXCHANGE_SUSPENSION_REASON" in exchanges["kraken"]
    assert exchanges["binance"]["EXCHANGE_STATUS"] == "ACTIVE"


def test_the_sample_happens() -> None:
    sandbox = Watched(Path(__file__).parents[2] / "sample_configs" / "scenario.json", moment("2025-06-15"))
    assert "VAULTA-USD" in sandbox.entries("spot", "kraken")
    assert "DASH-USDT" not in sandbox.entries("spot", "bybit")


def test_times_in_toml_and_json(tmp_path: Path) -> None:
    file = tmp_path / "scenario.toml"
    file.write_text(
        "".join(
            f'[[events]]\nat = {at}\nevent = "vanish"\nkind = "spot"\nmarket = "kraken"\ninstrument = "SOL-USD"\n'
            for at in ("2025-06-03T10:00:00Z", "2025-06-03T10:00:00", '"2025-06-03T12:00:00+02:00"', str(AT))
        )
    )
    assert [found.at for found in read_events(file)] == [AT] * 4


@pytest.mark.parametrize(
    ("events", "words"),
    [
        ([event("delist"), event("delisted")], "event 1: event: 'delisted'"),
        ([event("rename")], "event 0: to: rename needs it"),
        ([event("rename", too="A-B")], "event 0: too: .*did you mean to"),
        ([event("delist", of={**SOL, "kind": "asset"})], "event 0: kind: delist is of spot or futures or index"),
        ([event("delist", of={**SOL, "market": "nowhere"})], "event 0: market: nowhere is no spot market"),
        ([event("delist", of={**SOL, "instrument": "SOL-XYZ"})], "event 0: instrument: kraken does not list SOL-XYZ"),
        ([event("delist"), event("delist", at=AT + 60)], "event 1: instrument: SOL-USD has ended already"),
        ([event("relist")], "event 0: instrument: SOL-USD has not ended"),
        ([event("list", of={**SOL, "instrument": "NO-THING"})], "event 0: instrument: NO-THING"),
        ([event("appear")], "event 0: instrument: SOL-USD is listed already"),
        ([event("delist", at="soon")], "event 0: at: 'soon'"),
        ([event("delist", at=AT + 1)], "event 0: at: .*whole minute"),
        ([event("status", to="DEAD")], "event 0: to: 'DEAD'"),
        ([event("rename", to="SOL")], "event 0: to: 'SOL'"),
        ([event("rename", to="ETH-USD")], "event 0: to: kraken lists ETH-USD already"),
        ([event("terms", set={"CONTRACT_CURRENCY": "USD"})], "event 0: set.CONTRACT_CURRENCY"),
        ([event("terms", of=PERPETUAL, set={"SETTLEMENT_CURRENCY": "XYZ"})], "event 0: set.SETTLEMENT_CURRENCY"),
        ([event("terms", of=PERPETUAL, set={"CONTRACT_EXPIRATION_TS": AT})], "event 0: set.CONTRACT_EXPIRATION_TS"),
        ([event("reuse", base_id="x")], "event 0: .*base_id"),
        ([{"at": AT, "event": "asset_status", "kind": "asset", "asset": "XYZ", "to": "A"}], "event 0: asset"),
        ([{"at": AT, "event": "exchange_status", "kind": "exchange", "market": "x", "to": "A"}], "event 0: market"),
        ([7], "event 0: an object"),
        ({}, "a list of events"),
    ],
)  # fmt: skip
def test_mistakes_name_file_event_and_key(tmp_path: Path, events: Any, words: str) -> None:
    file = tmp_path / "scenario.json"
    file.write_text(json.dumps(events))
    with pytest.raises(ConfigError, match=words) as caught:
        Watched(file)
    assert str(file) in str(caught.value)
