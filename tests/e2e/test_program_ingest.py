"""The main job: fifty pairs from their listing to now, and what it costs to ask again."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from e2e_program import DAY, NOW_TS, Call, Processes, Program, Sandbox

from core.datasets import DATASETS

pytestmark = pytest.mark.slow

PROMISED = [
    *("run_id", "data_type", "status", "series", "windows", "requests", "metadata_requests", "retries"),
    *("rows_fetched", "rows_inserted", "rows_updated", "rows_unchanged", "rows_quarantined", "gaps_open"),
    *("cache", "duration_seconds", "errors", "interval", "label", "planned", "up_to_date", "fresh_until"),
]
COMMAND = ("spot_ohlcv", "--pair_limit", "50", "--interval", "1d")
RUNNING_BAR = NOW_TS - NOW_TS % DAY


class Filled:
    """A store that `COMMAND` has filled, with what it said and what it asked for."""

    def __init__(self, program: Program) -> None:
        assert program.sandbox is not None
        self.program = program
        mark = len(program.sandbox.calls)
        self.summary: dict[str, Any] = program.ingest(*COMMAND)
        self.calls: list[Call] = program.sandbox.since(mark)
        self.rows = program.store.table("spot_ohlcv_1d")


@pytest.fixture(scope="module")
def filled(market: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    folder: Path = tmp_path_factory.mktemp("filled")
    processes = Processes(folder)
    yield Filled(Program(processes, folder / "store.db", market))
    processes.close()


def by_series(rows: list[dict[str, Any]]) -> dict[tuple[str, str], list[dict[str, Any]]]:
    groups = itertools.groupby(rows, key=lambda row: (row["market"], row["instrument"]))
    return {name: list(group) for name, group in groups}


def test_the_summary_has_the_promised_fields(filled: Filled) -> None:
    summary = filled.summary
    assert list(summary) == PROMISED
    assert summary["status"] == "complete"
    assert (summary["data_type"], summary["series"], summary["windows"]) == ("spot_ohlcv", 50, 50)
    assert set(summary["cache"]) == {"hits", "misses"}
    assert summary["errors"] == []
    assert summary["duration_seconds"] > 0


def test_its_figures_are_those_of_the_log_and_the_table(filled: Filled) -> None:
    summary = filled.summary
    history = [call for call in filled.calls if call.is_history]
    assert len(history) == summary["requests"] == 50
    assert len(filled.calls) - len(history) == summary["metadata_requests"]
    assert {call.status for call in filled.calls} == {200}
    assert len(filled.rows) == summary["rows_fetched"] == summary["rows_inserted"]
    untouched = ("retries", "rows_updated", "rows_unchanged", "rows_quarantined", "gaps_open")
    assert [summary[name] for name in untouched] == [0] * 5
    assert len({(call.series, call.window) for call in history}) == 50


def test_every_pair_is_there_from_its_listing_to_now(filled: Filled, market: Sandbox) -> None:
    listed = {}
    for name in ("coinbase", "binance", "kraken"):
        found = market.get("/spot/v1/markets/instruments", market=name, groups="ID")[name]["instruments"]
        listed |= {(name, pair): entry["FIRST_TRADE_SPOT_TIMESTAMP"] for pair, entry in found.items()}
    series = by_series(filled.rows)
    assert len(series) == 50
    for name, rows in series.items():
        first = listed[name] - listed[name] % DAY
        assert [row["ts"] for row in rows] == list(range(first, RUNNING_BAR + DAY, DAY)), name


def test_the_table_is_what_the_vendor_serves(filled: Filled, market: Sandbox) -> None:
    dataset = DATASETS["spot_ohlcv"]
    asked = set(dataset.default_groups)
    columns = [column for column in (*dataset.columns, *dataset.constants) if column.group in asked]
    series = by_series(filled.rows)
    for (market_name, pair), rows in list(series.items())[::9]:
        served = market.get(f"{dataset.path}/days", market=market_name, instrument=pair, limit=5000)
        assert len(served) == len(rows)
        for row, source in zip(rows, served, strict=True):
            assert (row["ts"], row["exchange_symbol"]) == (source["TIMESTAMP"], source["INSTRUMENT"])
            for column in columns:
                assert row[column.name] == source[column.field], (pair, source["TIMESTAMP"], column.name)
            not_asked = [row[column.name] for column in dataset.columns if column.group not in asked]
            assert set(not_asked) == {None}


def test_rows_say_when_they_are_and_whether_they_are_final(filled: Filled) -> None:
    series_ids = {(row["market"], row["instrument"]): row["series_id"] for row in filled.rows}
    assert len(set(series_ids.values())) == 50
    for row in filled.rows:
        is_running = row["ts"] == RUNNING_BAR
        assert row["closed"] == (not is_running)
        assert row["known_at"] == (None if is_running else NOW_TS)
        assert row["series_id"] == series_ids[row["market"], row["instrument"]]
    assert filled.rows[0]["time"].endswith("T00:00:00Z")
    last = [row["time"] for row in filled.rows if row["ts"] == RUNNING_BAR]
    assert last == ["2025-06-01T00:00:00Z"] * 50


def test_the_store_knows_what_it_has(filled: Filled) -> None:
    store = filled.program.store
    assert store.is_sound
    counts = store.all("SELECT series_id, count(*) AS n FROM spot_ohlcv GROUP BY series_id")
    counted = {row["series_id"]: row["n"] for row in counts}
    for row in store.all('SELECT s.*, c.start, c."end" FROM series s JOIN coverage c ON c.series_id = s.id'):
        assert row["rows"] == counted[row["id"]]
        assert row["last_bar"] == RUNNING_BAR - DAY
        assert row["first_bar"] == row["history_start"] == row["start"]
        assert row["end"] == RUNNING_BAR
    assert store.one("SELECT count(*) FROM coverage") == 50
    assert store.one("SELECT value FROM meta WHERE name = 'origin'") == "sandbox:7"
    for table in ("gap", "quarantine", "restatement", "alert"):
        assert store.all(f"SELECT * FROM {table}") == []
    [run] = store.all("SELECT * FROM run")
    assert (run["run_id"], run["state"]) == (filled.summary["run_id"], "complete")
    assert store.one("SELECT count(*) FROM run_series WHERE state = 'done'") == 50


def test_asking_again_costs_one_request_a_series_at_most(filled: Filled, market: Sandbox) -> None:
    program = filled.program
    quoted = program(*COMMAND, "--dry_run", "--output", "json", code=0).json
    mark = len(market.calls)
    again = program.ingest(*COMMAND)
    history = [call for call in market.since(mark) if call.is_history]
    assert len(history) == again["requests"] == quoted["requests"]
    assert len({call.series for call in history}) == len(history) == 50
    # The running bar and the last three closed ones.
    assert {call.window for call in history} == {(RUNNING_BAR - 3 * DAY, RUNNING_BAR + DAY)}
    assert (again["rows_inserted"], again["rows_updated"]) == (0, 0)
    assert again["rows_unchanged"] == again["rows_fetched"] == 200
    assert program.store.table("spot_ohlcv_1d") == filled.rows


def test_recheck_none_leaves_the_running_bar_only(filled: Filled, market: Sandbox) -> None:
    mark = len(market.calls)
    again = filled.program.ingest(*COMMAND, "--recheck", "0")
    windows = {call.window for call in market.since(mark) if call.is_history}
    assert windows == {(RUNNING_BAR, RUNNING_BAR + DAY)}
    assert again["rows_fetched"] == 50


def test_status_and_series_tell_the_same(filled: Filled) -> None:
    program = filled.program
    status = program("status", "--output", "json", code=0).json
    assert status["health"] == "ok"
    assert status["origin"] == "sandbox:7"
    [spot] = status["data_types"]
    assert spot.pop("age_seconds") > 0, "the sandbox's clock stands still, and ours does not"
    assert spot == {
        "data_type": "spot_ohlcv",
        "interval": "1d",
        "series": 50,
        "rows": len(filled.rows),
        "last_bar": "2025-05-31T00:00:00Z",
        "gaps": 0,
    }
    assert [run["state"] for run in status["runs"]] == ["complete"] * len(status["runs"])
    listed = program("series", "list", "--output", "json", code=0).json
    assert len(listed) == 50
    assert sum(row["rows"] for row in listed) == len(filled.rows)
    one = program("series", "show", listed[0]["series"], code=0)
    assert "asked and answered" in one.out
