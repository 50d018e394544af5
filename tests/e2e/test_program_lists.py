"""Reference data as a user meets it: lists, changes, universes, and instruments with a life of their own."""

import json
from pathlib import Path

import pytest
from e2e_program import Processes, Program

EVENTS = [
    {"event": "rename", "instrument": "SOL-USD", "to": "SOLX-USD"},
    {"event": "delist", "instrument": "ADA-USD"},
    {"event": "reuse", "instrument": "ETH-USD", "base_id": 9_999},
]
NAMES = "BTC-USD,ETH-USD,SOL-USD,ADA-USD"
BEFORE, AFTER = "2025-06-01T10:00:00", "2025-06-02T01:00:00"


@pytest.mark.slow
def test_lists_are_stored_once_and_found_fresh_by_the_next_command(tapewatch: Program) -> None:
    assert tapewatch.sandbox is not None
    planned = tapewatch("exchange_metadata", "--dry_run", "--output", "json", code=0).json
    first = tapewatch.ingest("exchange_metadata")
    assert (first["status"], first["requests"]) == ("complete", 0)
    assert planned["metadata_requests"] == first["metadata_requests"] == first["windows"] == 2
    mark = len(tapewatch.sandbox.calls)
    again = tapewatch("exchange_metadata", "--exchange_type", "spot", code=0)
    assert "still fresh: exchange_metadata/spot" in again.err
    graded = tapewatch.ingest("spot_ohlcv", "--min_grade", "AA", "--pair_limit", "2")
    assert {call.path for call in tapewatch.sandbox.since(mark) if not call.is_history} == {
        "/spot/v1/markets/instruments", "/asset/v1/top/list",
    }  # fmt: skip
    assert graded["series"] == 2
    mark = len(tapewatch.sandbox.calls)
    assert tapewatch.ingest("spot_ohlcv", "--min_grade", "AA", "--pair_limit", "2")["metadata_requests"] == 0
    assert all(call.is_history for call in tapewatch.sandbox.since(mark))
    grades = tapewatch.store.all("SELECT market FROM exchange_metadata WHERE ccdata_latest_spot_benchmark_grade = 'AA'")
    followed = tapewatch.store.all("SELECT DISTINCT market FROM spot_ohlcv_1d")
    assert {row["market"] for row in followed} <= {row["market"] for row in grades}
    lists = tapewatch("status", "--output", "json").json["lists"]
    assert {entry["list"] for entry in lists} >= {"exchange_metadata/spot", "asset_metadata/top/1"}


@pytest.mark.slow
def test_instruments_are_renamed_delisted_and_replaced(processes: Processes, tmp_path: Path) -> None:
    scenario = tmp_path / "events.json"
    common = {"at": "2025-06-01T11:30:00Z", "kind": "spot", "market": "kraken"}
    scenario.write_text(json.dumps([{**common, **event} for event in EVENTS]))
    before = processes.sandbox(now=BEFORE, scenario=scenario)
    tapewatch = Program(processes, tmp_path / "store.db", before)
    candles = ("spot_ohlcv", "--start", "2025-05-01")
    tapewatch("universe", "create", "mine", "--market", "kraken", "--instrument", NAMES, code=0)
    assert tapewatch.ingest(*candles, "--universe", "mine")["series"] == 4
    ids = {row["instrument"]: row["id"] for row in tapewatch.store.all("SELECT id, instrument FROM series")}

    later = tapewatch.on(processes.sandbox(now=AFTER, scenario=scenario))
    refreshed = later.ingest("spot_instruments", "--market", "kraken", "--full_refresh")
    assert refreshed["rows_updated"] == 2
    assert later.sandbox is not None
    planned = later(*candles, "--universe", "mine", "--dry_run", code=0)
    assert "spot_ohlcv/kraken/ETH-USD/1d is blocked" in planned.err
    mark = len(later.sandbox.calls)
    assert "already" in later("universe", "create", "mine", "--market", "coinbase", "--pair_limit", "2", code=2).err
    assert later.sandbox.since(mark) == []
    run = later.ingest(*candles, "--universe", "mine", code=1)
    asked = sorted(call.query["instrument"] for call in later.sandbox.since(mark))
    assert asked == ["ADA-USD", "BTC-USD", "SOLX-USD"]
    assert "spot_ohlcv/kraken/ETH-USD/1d is blocked" in run["errors"][0]
    names = {row["id"]: row["instrument"] for row in later.store.all("SELECT id, instrument FROM series")}
    assert names[ids["SOL-USD"]] == "SOLX-USD"
    mark = len(later.sandbox.calls)
    later.ingest(*candles, "--market", "kraken", "--instrument", "/^(ADA|SOLX?)-USD$/")
    assert [call.query["instrument"] for call in later.sandbox.since(mark)] == ["SOLX-USD"]

    changes = later("changes", "--since", "7d", "--data-type", "spot-instruments", "--output", "json", code=0).json
    assert sorted((row["entity"], row["change"]) for row in changes) == [
        ("ADA-USD", "delisted"), ("ETH-USD", "listed"), ("ETH-USD", "reused"), ("SOLX-USD", "renamed"),
    ]  # fmt: skip
    assert later("changes", "--since", "2025-06-03").out.startswith("nothing has changed since 2025-06-03")
    assert "CRITICAL kraken/ETH-USD" in later("status").out
    shown = [row["series"].split("/")[2] for row in later("universe", "show", "mine", "--output", "json").json]
    assert sorted(shown) == ["ADA-USD", "BTC-USD", "ETH-USD", "SOLX-USD"]
    found = later("universe", "diff", "mine", "--market", "kraken", "--instrument", "BTC-USD,XRP-USD").out.splitlines()
    assert found == [
        "+ spot_ohlcv/kraken/XRP-USD/1d",
        *(f"- spot_ohlcv/kraken/{name}/1d" for name in ("ADA-USD", "ETH-USD", "SOLX-USD")),
    ]
    later("universe", "drop", "mine", "spot_ohlcv/kraken/SOL-USD/1d", "spot_ohlcv/kraken/ADA-USD/1d", code=0)
    later("universe", "add", "mine", "spot_ohlcv/kraken/XRP-USD/1d", code=0)
    assert later("universe", "list", "--output", "json").json[0]["series"] == 3
    later("series", "drop", "spot_ohlcv/kraken/ETH-USD/1d", "--yes", code=0)
    assert later.ingest(*candles, "--universe", "mine")["series"] == 3
    assert "CRITICAL" not in later("status").out


@pytest.mark.slow
def test_entries_that_cannot_be_used_are_in_the_quarantine(processes: Processes, tmp_path: Path) -> None:
    right = {"INSTRUMENT": "XXBTZUSD", "INSTRUMENT_STATUS": "ACTIVE"}
    entries = {"BTC-USD": right, "ETH-USD": right | {"INSTRUMENT": "E"}, "X-USD": {"INSTRUMENT_STATUS": 5}}
    body = json.dumps({"Data": {"kraken": {"instruments": entries}}, "Err": {}})
    path = "/spot/v1/markets/instruments"
    sandbox = processes.sandbox(faults=[{"path": path, "calls": [1], "body": body}])
    tapewatch = Program(processes, tmp_path / "store.db", sandbox)
    first = tapewatch.ingest("spot_instruments", "--market", "kraken")
    assert (first["rows_fetched"], first["rows_inserted"], first["rows_quarantined"]) == (3, 2, 1)
    [record] = tapewatch("quarantine", "list", "--output", "json", code=0).json
    assert (record["series"], record["reason"], record["state"]) == ("spot_instruments/kraken", "type", "open")
    shown = tapewatch("quarantine", "show", str(record["id"]), "--output", "json").json
    assert (shown["start"], shown["kind"], json.loads(shown["raw"])) == (None, "list", entries["X-USD"])
    assert shown["detail"].startswith("X-USD: Expected `str")
    retried = tapewatch("quarantine", "retry", str(record["id"]), code=1)
    assert "tapewatch spot_instruments --full_refresh" in retried.out
    assert tapewatch("quarantine", "list", "--market", "binance", "--output", "json").json == []


WRONG = [
    (("universe", "show", "nope"), "there is no universe nope; stored: none"),
    (("universe", "create", "a b"), "'a b' cannot be the name of a universe"),
    (
        ("universe", "create", "x", "--data_type", "spot_instruments"),
        "--data_type 'spot_instruments': choose spot_ohlcv",
    ),
    (("universe", "add", "x", "kraken/BTC-USD"), "'kraken/BTC-USD' is not a series"),
    (("changes", "--since", "soon"), "'soon' is not a date or time"),
    (("changes", "--data_type", "candles"), "--data_type 'candles': choose asset_metadata"),
    (("spot_ohlcv", "--instrument", "/(/"), "'/(/' is no regular expression"),
    (("spot_ohlcv", "--market", "kraken", "--instrument", "/^NOPE/"), "no spot instrument of kraken fits"),
    (("spot_ohlcv", "--market", "kraken", "--universe", "x"), "leave it out"),
]


@pytest.mark.slow
def test_what_is_wrong_is_said_in_a_sentence(tapewatch: Program) -> None:
    tapewatch.ingest("exchange_metadata", "--exchange_type", "spot")
    for arguments, words in WRONG:
        ended = tapewatch(*arguments)
        assert ended.code in {2, 3}, ended
        assert words in ended.err
        assert "Traceback" not in ended.err
