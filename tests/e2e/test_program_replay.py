"""Recorded answers of the vendor end up in the table exactly: every figure, and NULL where a key was absent."""

import json
from pathlib import Path
from typing import Any

import pytest
from e2e_program import Program, Sandbox

from core.datasets import DATASETS

pytestmark = pytest.mark.slow

RECORDED = Path(__file__).parent / "recorded"
FUTURES = (
    *("futures_ohlcv", "--market", "testex", "--instrument", "ABC-USD-INVERSE-PERPETUAL", "--interval", "1m"),
    *("--start", "2024-01-01T10:00:00Z", "--end", "2024-01-01T10:24:00Z"),
)
SPOT = ("spot_ohlcv", "--market", "testex", "--instrument", "ABC-EUR", "--start", "2023-12-31", "--end", "2024-01-06")


@pytest.fixture
def replayed(tapewatch: Program) -> Program:
    sandbox: Sandbox = tapewatch.processes.sandbox(replay=RECORDED, now=None)
    assert "markets.json is not a recorded history page, skipped" in sandbox.process.err
    return tapewatch.on(sandbox)


def recorded(pattern: str) -> list[dict[str, Any]]:
    """The rows of the files, later files over earlier ones."""
    rows = {}
    for file in sorted(RECORDED.glob(pattern)):
        rows |= {row["TIMESTAMP"]: row for row in json.loads(file.read_text())["Data"]}
    return [rows[ts] for ts in sorted(rows)]


@pytest.mark.parametrize(
    ("command", "view", "pattern"),
    [(FUTURES, "futures_ohlcv_1m", "inverse_*.json"), (SPOT, "spot_ohlcv_1d", "spot_days.json")],
)
@pytest.mark.parametrize("groups", ["ALL", None])
def test_every_value_is_kept(
    replayed: Program, command: tuple[str, ...], view: str, pattern: str, groups: str | None
) -> None:
    summary = replayed.ingest(*command, *(["--groups", groups] if groups else []))
    source = recorded(pattern)
    assert summary["status"] == "complete"
    assert (summary["rows_fetched"], summary["rows_inserted"]) == (len(source), len(source))
    rows = replayed.store.table(view)
    assert len(rows) == len(source)
    dataset = DATASETS[command[0]]
    asked = dataset.parse_groups(groups)
    absent = 0
    for row, fields in zip(rows, source, strict=True):
        assert row["ts"] == fields["TIMESTAMP"]
        assert (row["market"], row["closed"]) == ("testex", 1)
        assert (row["instrument"], row["exchange_symbol"]) == (fields["MAPPED_INSTRUMENT"], fields["INSTRUMENT"])
        for column in (*dataset.columns, *dataset.constants):
            expected = fields.get(column.field) if column.group in asked else None
            assert row[column.name] == expected, (row["time"], column.name)
            if expected is not None:
                assert type(row[column.name]) is column.kind
        absent += "FIRST_TRADE_PRICE" not in fields
    assert absent > 0
    assert replayed.store.all("SELECT * FROM quarantine") == []


def test_the_exchanges_own_name_is_the_same_series(replayed: Program) -> None:
    replayed.ingest(*FUTURES)
    own = [word.replace("ABC-USD-INVERSE-PERPETUAL", "ABCUSD_PERP") for word in FUTURES]
    assert replayed.ingest(*own)["requests"] == 0
    fresh = replayed.on(replayed.sandbox, replayed.db.with_name("other.db")) if replayed.sandbox else replayed
    assert fresh.ingest(*own)["rows_inserted"] == 24
    assert {row["instrument"] for row in fresh.store.table("futures_ohlcv_1m")} == {"ABC-USD-INVERSE-PERPETUAL"}
    assert fresh.ingest(*FUTURES)["requests"] == 0


def test_beyond_the_recording_is_nothing(replayed: Program) -> None:
    summary = replayed.ingest(*SPOT[:-4], "--start", "2023-06-01", "--end", "2023-09-01")
    assert (summary["status"], summary["rows_inserted"]) == ("complete", 0)
    assert replayed.store.one("SELECT history_start FROM series") == 1_703_980_800


def test_what_was_not_recorded_fails_in_words(replayed: Program) -> None:
    ended = replayed(*[word.replace("ABC-EUR", "XYZ-EUR") for word in SPOT], "--output", "json", code=3)
    assert ended.json["status"] == "failed"
    assert "testex XYZ-EUR: not found" in ended.json["errors"][0]
    assert "XYZ-EUR" in ended.err


def test_a_narrow_fetch_then_a_wide_one_fills_the_columns(replayed: Program) -> None:
    replayed.ingest(*FUTURES)
    assert {row["first_trade_price"] for row in replayed.store.table("futures_ohlcv_1m")} == {None}
    wide = replayed.ingest(*FUTURES, "--groups", "ALL")
    assert (wide["requests"], wide["rows_inserted"]) == (1, 0)
    kept = replayed.store.table("futures_ohlcv_1m")
    assert len({row["first_trade_price"] for row in kept}) > 2
    # Columns that are not asked for are neither touched nor compared.
    assert replayed.ingest(*FUTURES, "--groups", "OHLC", "--full_refresh")["rows_unchanged"] == 24
    assert replayed.store.table("futures_ohlcv_1m") == kept
    assert replayed.store.all("SELECT * FROM restatement") == []
