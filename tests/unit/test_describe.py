"""`tapewatch describe`: the list of tables, one table, and what is none. No store is needed or made."""

import json
from pathlib import Path

import pytest

from core.cli.application import run


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory and settings in which there is nothing."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TAPEWATCH_DB", f"sqlite:///{tmp_path}/none.db")
    return tmp_path


def test_without_a_table_there_is_a_line_for_each(capsys: pytest.CaptureFixture[str], nowhere: Path) -> None:
    assert run(["describe"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["table", "meaning"]
    names = [line.split()[0] for line in lines[1:]]
    assert {"spot_ohlcv_1m", "futures_funding_payments", "asset_metadata", "restatement"} <= set(names)
    assert names.index("futures_instruments") < names.index("alert"), "what users query comes first"
    assert not list(nowhere.iterdir())


def test_a_table_is_shown_column_by_column(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["describe", "spot-ohlcv-1d"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["column", "type", "unit", "group", "meaning"]
    [line] = [line for line in lines if line.startswith("volume_buy ")]
    assert line.split("  ")[0] == "volume_buy"
    assert all(word in line for word in ("REAL", "base asset", "VOLUME", "taker bought"))
    starts = {line.index(word) for line, word in zip(lines[:2], ("meaning", "Exchange"), strict=True)}
    assert len(starts) == 1, "aligned"


def test_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["describe", "futures_open_interest_1h", "--output", "json"]) == 0
    columns = json.loads(capsys.readouterr().out)
    found = {column["column"]: column for column in columns}
    assert list(found)[:5] == ["market", "instrument", "exchange_symbol", "series_id", "ts"]
    assert found["open_interest"] == {
        "column": "open_interest",
        "type": "REAL",
        "unit": "underlying asset",
        "group": "OHLC",
        "meaning": "Open interest at the end of the bar: close_settlement.",
    }


@pytest.mark.parametrize(
    ("name", "hint"),
    [("spot_olhcv_1d", "do you mean spot_ohlcv_1d?"), ("x\x1b[2Jy", "see: tapewatch describe")],
)
def test_what_is_no_table(capsys: pytest.CaptureFixture[str], name: str, hint: str) -> None:
    assert run(["describe", name]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("error: there is no table ")
    assert hint in said.err
    assert "\x1b" not in said.err
