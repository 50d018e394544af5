"""All nine data types as batches and as commands: once, again, half-filled, expired, refused, handed over."""

import json
import re
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from e2e_program import DAY, HOUR, NOW_TS, Call, Done, Processes, Program

from core.datasets import DATA_TYPES, DATASETS

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
SAMPLES = sorted((ROOT / "sample_configs").glob("batch_*.json"))
# A minute has just closed: the sandbox's clock stands still and ours goes on, and no other closes for 59 seconds.
QUIET = "2025-06-01T12:00:06Z"
LISTS = ("/asset/", "/instruments", "/markets")
FUTURES = ["futures_ohlcv", "futures_funding_rate", "futures_open_interest"]
NINE: list[dict[str, Any]] = [
    # The histories come first in the file: what they need is run before them all the same.
    {"data_type": "spot_ohlcv", "market": "kraken", "pair_limit": 4, "start": "2025-04-01"},
    {"data_type": FUTURES, "market": "binance", "pair_limit": 3, "interval": "1h", "start": "2025-05-01"},
    {"data_type": "indices_ohlcv", "asset_limit": 3, "interval": "1h", "start": "2025-04-01"},
    {"data_type": "spot_ohlcv", "instrument": "BTC-USD", "market": "kraken", "interval": "1m", "start": "2025-05-30"},
    {"data_type": "asset_metadata", "asset_limit": 100},
    {"data_type": "exchange_metadata"},
    {"data_type": "spot_instruments", "market": "kraken"},
    {"data_type": "futures_instruments", "market": "binance"},
]


class Run:
    """One run of a batch: its quote, its summary, what it sent and what it said."""

    def __init__(self, program: Program, path: Path, **env: str) -> None:
        market = program.sandbox
        assert market is not None
        mark = len(market.calls)
        self.quote: dict[str, Any] = program("batch", str(path), "--dry_run", "--output", "json", code=0, **env).json
        self.asked_to_plan = market.since(mark)
        mark = len(market.calls)
        self.done: Done = program("batch", str(path), "--enable_monitoring", "--output", "json", code=0, **env)
        self.calls = market.since(mark)
        self.summary: dict[str, Any] = self.done.json
        self.by_type = {part["data_type"] + part["interval"]: part for part in self.summary["operations"]}

    @property
    def history(self) -> list[Call]:
        return [call for call in self.calls if call.is_history]

    @property
    def lists(self) -> list[Call]:
        return [call for call in self.calls if not call.is_history]


class Nine:
    """All nine data types on an empty store, right after, and once the metadata has expired."""

    def __init__(self, folder: Path) -> None:
        self.processes = Processes(folder)
        self.program = Program(self.processes, folder / "store.db", self.processes.sandbox(now=QUIET))
        path = folder / "nine.json"
        path.write_text(json.dumps({"description": "all nine", "operations": NINE}))
        self.first = Run(self.program, path)
        self.text = self.program("batch", str(path), code=0)
        self.second = Run(self.program, path)
        with closing(sqlite3.connect(self.program.db)) as db, db:
            aged = "refreshed = refreshed - 90000, page_checked = page_checked - 7200"
            db.execute(f"UPDATE series SET {aged} WHERE interval = ''")
        self.expired = Run(self.program, path)

    @property
    def runs(self) -> list[Run]:
        return [self.first, self.second, self.expired]


@pytest.fixture(scope="module")
def nine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nine]:
    made = Nine(tmp_path_factory.mktemp("nine"))
    yield made
    made.processes.close()


def test_one_batch_with_all_nine_types_completes(nine: Nine) -> None:
    parts = nine.first.summary["operations"]
    assert {part["data_type"] for part in parts} == set(DATA_TYPES)
    assert [part["status"] for part in parts] == ["complete"] * len(parts)
    assert all(part["rows_inserted"] > 0 for part in parts)
    for name in DATASETS:
        assert nine.program.store.one(f"SELECT count(*) FROM {name}") > 0
    tables = set(DATA_TYPES) - set(DATASETS)
    assert all(nine.program.store.one(f"SELECT count(*) FROM {name}") > 0 for name in tables)


def test_metadata_was_there_before_what_needs_it(nine: Nine) -> None:
    """The lists that a metadata operation asks for are not asked for again by those that choose by them."""
    lists = Counter((call.path, str(call.query)) for call in nine.first.lists)
    assert set(lists.values()) == {1}
    first_history = next(at for at, call in enumerate(nine.first.calls) if call.is_history)
    assert all(not call.is_history for call in nine.first.calls[:first_history])
    before = {call.path for call in nine.first.calls[:first_history]}
    assert {"/spot/v1/markets/instruments", "/futures/v1/markets/instruments"} <= before


def test_a_second_run_sends_only_what_is_needed(nine: Nine) -> None:
    second = nine.second
    assert second.lists == []
    assert len(second.history) == second.summary["requests"] == second.summary["planned"]["requests"]
    assert len({call.series for call in second.history}) == len(second.history), "one call a series"
    for call in second.history:
        step = {"days": DAY, "hours": HOUR, "minutes": 60}[call.path.rsplit("/", 1)[1]]
        start, end = call.window
        # The running bar, the last three closed ones and what closed within two hours.
        assert end == NOW_TS - NOW_TS % step + step
        assert start >= NOW_TS - max(7_200, 4 * step) - step
    assert second.summary["rows_inserted"] == 0
    for part in second.summary["operations"]:
        assert part["up_to_date"] == part["series"]


def test_a_second_run_says_so(nine: Nine) -> None:
    histories = sum(part["series"] for part in nine.first.summary["operations"] if part["data_type"] in DATASETS)
    assert f"all {histories} series were up to date: only running and young bars were read again" in nine.text.out
    assert re.search(r"all 5 lists of metadata were fresh, until \d{4}-\d\d-\d\dT", nine.text.out)
    for part in nine.second.summary["operations"]:
        assert bool(part["fresh_until"]) == (part["data_type"] not in DATASETS)
    table = [line.split() for line in nine.text.out.splitlines()]
    assert table[0][:4] == ["operation", "status", "planned", "sent"]
    assert len([row for row in table if "complete" in row]) == len(nine.first.summary["operations"]) + 1


def test_expired_metadata_is_asked_for_again_and_nothing_else(nine: Nine) -> None:
    again = Counter((call.path, str(call.query)) for call in nine.expired.lists)
    assert set(again) == {(call.path, str(call.query)) for call in nine.first.lists}
    assert set(again.values()) == {1}
    assert [call.window for call in nine.expired.history] != []
    assert len(nine.expired.history) == len(nine.second.history)
    assert nine.expired.summary["rows_inserted"] == 0


def test_planned_is_sent_for_all_nine(nine: Nine) -> None:
    for run in nine.runs:
        quote, summary = run.quote, run.summary
        assert len(run.history) == quote["requests"] == summary["requests"] == summary["planned"]["requests"]
        assert len(run.lists) == quote["metadata_requests"] == summary["metadata_requests"]
        assert summary["planned"]["metadata_requests"] == len(run.lists)
        assert summary["planned"]["rows"] == quote["rows"] == sum(part["rows"] for part in quote["series"])
        for plan, part in zip(quote["operations"], summary["operations"], strict=True):
            assert plan["data_type"] == part["data_type"]
            assert plan["requests"] == part["requests"] == part["planned"]["requests"], plan["data_type"]
            assert plan["metadata_requests"] == part["metadata_requests"], plan["data_type"]
            assert (plan["requests"] == 0) == (part["data_type"] not in DATASETS)
        assert not [call for call in run.asked_to_plan if call.is_history]


def test_rows_planned_are_rows_fetched(nine: Nine) -> None:
    for run in nine.runs:
        for part in run.summary["operations"]:
            if part["data_type"] in DATASETS:
                assert part["rows_fetched"] == part["planned"]["rows"], part["data_type"]


def test_statistics_of_every_operation(nine: Nine) -> None:
    for part in nine.first.summary["operations"]:
        found = part["statistics"]
        assert found["requests"] == part["requests"] + part["metadata_requests"]
        assert found["bytes"] > 0
        assert 0 < found["latency_p50_seconds"] <= found["latency_p95_seconds"] < 30
        assert found["rows_per_second"] > 0
        assert found["peak_memory_bytes"] > 20_000_000
        assert found["cpu_seconds"] >= 0
        assert f"statistics {part['data_type']}" in nine.first.done.err
    assert "statistics" not in nine.text.err
    assert all("statistics" not in part for part in nine.first.quote["operations"])


def test_a_quote_says_what_there_is_to_spend(nine: Nine) -> None:
    quote = nine.first.quote
    assert [window["window"] for window in quote["quota"]] == ["second", "minute", "hour", "day", "month"]
    assert all(0 <= window["share"] < 1 for window in quote["quota"])
    assert quote["budget"]["is_enough"]
    assert quote["disk"]["is_enough"]
    assert quote["disk"]["free_bytes"] > 0
    for part in quote["series"]:
        is_history = part["series"].split("/")[0] in DATASETS
        assert (part["bytes"] > 0) == (part["bytes_on_disk"] > 0) == (part["rows"] > 0) == is_history
        assert part["reasons"] == (["backfill"] if is_history else ["listing"])
    stored = nine.program.db.stat().st_size
    assert quote["bytes_on_disk"] < 3 * stored


COMMANDS: dict[str, tuple[str, ...]] = {
    "spot_ohlcv": ("--market", "kraken", "--pair_limit", "3", "--interval", "1h"),
    "futures_ohlcv": ("--market", "binance", "--pair_limit", "2", "--interval", "1h"),
    "futures_funding_rate": ("--market", "binance", "--pair_limit", "2", "--interval", "1h"),
    "futures_open_interest": ("--market", "binance", "--pair_limit", "2", "--interval", "1h"),
    "indices_ohlcv": ("--asset_limit", "2", "--interval", "1h"),
    "asset_metadata": (),
    "exchange_metadata": (),
    "spot_instruments": ("--market", "kraken,coinbase"),
    "futures_instruments": ("--market", "binance,okex"),
}
PASSES: dict[str, list[tuple[str, ...]]] = {
    # From an empty store, then from one with a part of it, with fewer groups of it, and with all of it.
    "history": [
        ("--start", "2025-02-01", "--end", "2025-03-01", "--groups", "OHLC"),
        ("--start", "2024-11-01"),
        ("--start", "2024-11-01"),
        ("--start", "2024-11-01", "--groups", "ALL", "--recheck", "0"),
    ],
    "lists": [(), (), ("--full_refresh",), ("--disable_caching",)],
}


@pytest.mark.parametrize("data_type", DATA_TYPES)
def test_planned_is_sent_by_every_command(tapewatch: Program, data_type: str) -> None:
    market = tapewatch.sandbox
    assert market is not None
    for more in PASSES["history" if data_type in DATASETS else "lists"]:
        command = (data_type, *COMMANDS[data_type], *more)
        quote = tapewatch(*command, "--dry_run", "--output", "json", code=0).json
        mark = len(market.calls)
        summary = tapewatch.ingest(*command)
        calls = market.since(mark)
        history = [call for call in calls if call.is_history]
        assert (
            len(history) == quote["requests"] == summary["requests"] == sum(quote["reasons"].values()) * bool(history)
        )
        assert len(calls) - len(history) == quote["metadata_requests"] == summary["metadata_requests"], more
        assert {call.status for call in calls} <= {200}
        if data_type in DATASETS:
            assert summary["rows_fetched"] == quote["rows"] == summary["planned"]["rows"]


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_a_sample_can_be_planned(tapewatch: Program, path: Path) -> None:
    market = tapewatch.sandbox
    assert market is not None
    mark = len(market.calls)
    quote = tapewatch("batch", "--config", str(path), "--dry_run", "--output", "json", code=0).json
    assert quote["requests"] + quote["metadata_requests"] > 0
    assert quote["budget"]["is_enough"]
    assert [call for call in market.since(mark) if call.is_history] == []
    assert not tapewatch.db.exists()


def write(tapewatch: Program, *operations: dict[str, Any], **head: Any) -> str:
    path = tapewatch.db.with_name("batch.json")
    path.write_text(json.dumps({**head, "operations": list(operations)}))
    return str(path)


WEEK = {"start": "2025-05-01", "end": "2025-05-08"}
KRAKEN = {"data_type": "spot_ohlcv", "market": "kraken", **WEEK}
LISTED = {"data_type": "spot_instruments", "market": "kraken"}


def test_everything_wrong_with_a_file_is_said_before_anything_starts(tapewatch: Program) -> None:
    market = tapewatch.sandbox
    assert market is not None
    mark = len(market.calls)
    path = write(tapewatch, KRAKEN, {**KRAKEN, "intervall": "1h"}, {**LISTED, "start": "2025-01-01"}, descripton="x")
    ended = tapewatch("batch", path, code=2)
    for line in (
        f"{path}: descripton: there is no such key; did you mean 'description'?",
        f"{path}: operation 2: operations[1].intervall: there is no such option; did you mean 'interval'?",
        f"{path}: operation 3: operations[2].start: spot_instruments has no such option",
    ):
        assert line in ended.err
    assert market.since(mark) == []
    assert not tapewatch.db.exists()


def test_what_needs_failed_metadata_is_not_started(tapewatch: Program) -> None:
    fault = {"path": "/spot/v1/markets/instruments", "status": 404}
    program = tapewatch.on(tapewatch.processes.sandbox(faults=[fault]))
    index = {"data_type": "indices_ohlcv", "instrument": "BTC-USD", "market": "cadli", **WEEK}
    path = write(tapewatch, {**KRAKEN, "instrument": "BTC-USD"}, index, LISTED, {"data_type": "exchange_metadata"})
    went_on = program("batch", path, "--continue_on_error", "--output", "json", code=1).json
    assert [part["status"] for part in went_on["operations"]] == ["cancelled", "complete", "failed", "complete"]
    assert "it needs spot_instruments" in went_on["operations"][0]["errors"][0]
    assert [call.series for call in program.sandbox.history] == ["indices_ohlcv/cadli/BTC-USD/1d"]  # type: ignore[union-attr]


def test_a_bound_of_the_command_is_for_the_sum(tapewatch: Program) -> None:
    market = tapewatch.sandbox
    assert market is not None
    path = write(
        tapewatch, {**KRAKEN, "instrument": "BTC-USD,ETH-USD"}, {**KRAKEN, "instrument": "SOL-USD", "interval": "1h"}
    )
    mark = len(market.calls)
    refused = tapewatch("batch", path, "--max_requests", "2", "--output", "json", code=2)
    assert "the plan needs 3 requests, --max_requests allows 2" in refused.err
    assert [part["status"] for part in refused.json["operations"]] == ["failed", "cancelled"]
    assert refused.json["planned"]["requests"] == 3
    assert market.since(mark) == []
    quote = tapewatch("batch", path, "--max_requests", "2", "--dry_run", code=0).out
    assert "a run may send 2 requests (--max_requests) and is refused; --max_requests 3 allows it" in quote
    assert tapewatch("batch", path, "--max_requests", "3", "--output", "json", code=0).json["requests"] == 3


def test_a_plan_beyond_the_disk_is_refused(tapewatch: Program) -> None:
    """Five thousand series of minutes since 2010: no disk of a test machine has room for 10 TB."""
    market = tapewatch.sandbox
    assert market is not None
    names = [f"kraken/A{number}-USD" for number in range(5_000)]
    tapewatch.db.with_name("many.txt").write_text("\n".join(names))
    span = {"start": "2010-08-01", "end": "2025-06-01", "groups": "ALL"}
    everything = {"data_type": "spot_ohlcv", "series": "@many.txt", "interval": "1m", **span}
    path = write(tapewatch, everything, max_requests=10**9)
    quote = tapewatch("batch", path, "--dry_run", "--output", "json", code=0).json
    assert quote["requests"] > 19_000_000
    assert not quote["disk"]["is_enough"]
    mark = len(market.calls)
    ended = tapewatch("batch", path, code=2)
    assert re.search(r"about [\d,.]+ MB on the store's disk, which has [\d,.]+ MB free.*--db", ended.err)
    assert market.since(mark) == []


def test_a_batch_that_is_handed_over_is_the_same_batch(tapewatch: Program) -> None:
    engine = tapewatch.engine()
    path = write(tapewatch, {**KRAKEN, "pair_limit": 2}, {"data_type": "asset_metadata"}, LISTED)
    ended = tapewatch("batch", path, "--enable_monitoring", "--output", "json", code=0)
    assert f"(pid {engine.pid}) holds the store: the jobs run there" in ended.err
    summary = ended.json
    assert [part["status"] for part in summary["operations"]] == ["complete"] * 3
    assert [part["metadata_requests"] for part in summary["operations"]] == [0, 1, 1]
    assert summary["operations"][0]["statistics"]["requests"] == 2
    text = tapewatch("batch", path, code=0).out
    assert "all 2 series were up to date" in text or "all 2 lists of metadata were fresh" in text
    detached = tapewatch("batch", path, "--detach", code=0)
    assert len(re.findall(r"job j-\w+ was handed over", detached.err)) == 3
