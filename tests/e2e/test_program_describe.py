"""`tapewatch describe`: the list of tables, one table, and what is none. No store is needed or made."""

import pytest
from e2e_program import Processes, Program


@pytest.fixture
def tapewatch(processes: Processes) -> Program:
    """The program with no store and nobody to ask."""
    return Program(processes, processes.folder / "none.db")


def test_without_a_table_there_is_a_line_for_each(tapewatch: Program) -> None:
    lines = tapewatch("describe", code=0).out.splitlines()
    assert lines[0].split() == ["table", "meaning"]
    names = [line.split()[0] for line in lines[1:]]
    assert {"spot_ohlcv_1m", "futures_funding_payments", "asset_metadata", "restatement"} <= set(names)
    assert names.index("futures_instruments") < names.index("alert"), "what users query comes first"
    assert not tapewatch.db.exists()


def test_a_table_is_shown_column_by_column(tapewatch: Program) -> None:
    lines = tapewatch("describe", "spot-ohlcv-1d", code=0).out.splitlines()
    assert lines[0].split() == ["column", "type", "unit", "group", "meaning"]
    [line] = [line for line in lines if line.startswith("volume_buy ")]
    assert all(word in line for word in ("REAL", "base asset", "VOLUME", "taker bought"))
    starts = {line.index(word) for line, word in zip(lines[:2], ("meaning", "Exchange"), strict=True)}
    assert len(starts) == 1, "aligned"


def test_as_json(tapewatch: Program) -> None:
    columns = tapewatch("describe", "futures_open_interest_1h", "--output", "json", code=0).json
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
def test_what_is_no_table(tapewatch: Program, name: str, hint: str) -> None:
    done = tapewatch("describe", name, code=2)
    assert done.out == ""
    assert done.sentence.startswith("there is no table ")
    assert hint in done.sentence
    assert "\x1b" not in done.err
