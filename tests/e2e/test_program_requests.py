"""What `--dry_run` quotes is what the run sends, for every kind of operation and state of the store.

Many operations are planned and run as one batch, three times over: on an empty store, then on what the passes before
left. Each lane has series of its own, so that it can be told apart in the sandbox's log.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from e2e_program import DAY, HOUR, NOW_TS, Call, Processes, Program, Sandbox

pytestmark = pytest.mark.slow

KRAKEN = {"data_type": "spot_ohlcv", "market": "kraken"}
COINBASE = {"data_type": "spot_ohlcv", "market": "coinbase"}
FUTURES = {"data_type": "futures_ohlcv", "market": "binance"}
INDEX = {"data_type": "indices_ohlcv"}
TO_APRIL = {"start": "2025-01-20", "end": "2025-04-01"}
# Three operations each; a single one is repeated as it is.
LANES: dict[str, list[dict[str, Any]]] = {
    "top pairs": [{**KRAKEN, "pair_limit": 4, "start": "2025-03-01"}],
    "more pairs": [{**COINBASE, "pair_limit": count, "start": "2025-04-01"} for count in (2, 5, 5)],
    "hours of a year by default": [{**COINBASE, "instrument": "BTC-USD", "interval": "1h"}],
    "minutes of a week by default": [{**KRAKEN, "instrument": "ETH-USD", "interval": "1m"}],
    "a hole in the middle": [
        {**KRAKEN, "instrument": "SOL-USD,XRP-USD", "interval": "1h", **span}
        for span in (
            {"start": "2025-01-01", "end": "2025-01-10"},
            TO_APRIL,
            {"start": "2024-12-20", "end": "2025-04-10"},
        )
    ],
    "before the listing, then from it": [
        {"data_type": "spot_ohlcv", "market": "binance", "instrument": "BNB-USDT", "start": start}
        for start in ("2009-01-01", "listing", "listing")
    ],
    "oldest first": [{**KRAKEN, "instrument": "LTC-USD", "interval": "1h", "start": "2024-12-01", "order": "oldest"}],
    "other groups": [
        {**KRAKEN, "instrument": "LINK-USD", "start": "2025-01-01", **more, "interval": "1h"}
        for more in ({}, {"groups": "ALL"}, {"groups": "OHLC"})
    ],
    "full refresh": [
        {**KRAKEN, "instrument": "DOT-USD", "interval": "1h", "start": "2025-02-01", **more}
        for more in ({}, {"full_refresh": True}, {"full_refresh": True, "recheck": 0})
    ],
    "recheck": [
        {**KRAKEN, "instrument": "UNI-USD", "interval": "1h", "start": "2025-05-01", "recheck": count}
        for count in (3, 0, 500)
    ],
    "indices": [{**INDEX, "asset_limit": 3, "start": "2024-06-01", "interval": "1h"}],
    "indices that are younger than the start": [{**INDEX, "asset_limit": 12, "start": "2018-01-01"}],
    "indices in hours from their listing": [
        {**INDEX, "market": "ccix", "instrument": "BTC-USD", "interval": "1h", "start": "listing", "end": "2014-06-01"}
    ],
    "futures": [{**FUTURES, "instrument": "BTC-USDT-VANILLA-PERPETUAL", "interval": "1h", "start": "2025-01-01"}],
    "top futures": [{**FUTURES, "pair_limit": 3, "start": "2025-03-01"}],
    "expired futures": [{"data_type": "futures_ohlcv", "market": "okex", "instrument": "BTC-USD-INVERSE-20240329"}],
    "a named range": [
        {**KRAKEN, "instrument": "ADA-USD", "interval": "1m", "start": "2025-03-01", "end": "2025-03-03"}
    ],
}
PASSES = 3
NAMED = ("spot_ohlcv", "--market", "kraken", "--instrument", "BTC-USD,ETH-USD")
EXPLICIT = ("futures_ohlcv", "--market", "binance", "--instrument", "BTC-USDT-VANILLA-PERPETUAL")


class Pass:
    """One batch, planned and then run; figures by lane."""

    def __init__(self, program: Program, number: int) -> None:
        assert program.sandbox is not None
        sandbox = program.sandbox
        operations = [lane[number % len(lane)] for lane in LANES.values()]
        path = program.db.with_name(f"batch{number}.json")
        path.write_text(json.dumps(operations))
        mark = len(sandbox.calls)
        plan = program("batch", str(path), "--dry_run", "--output", "json", code=0).json
        self.calls_to_plan = sandbox.since(mark)
        mark = len(sandbox.calls)
        self.summary: dict[str, Any] = program("batch", str(path), "--output", "json", code=0).json
        self.calls = sandbox.since(mark)
        self.plan: dict[str, Any] = plan
        self.plans = dict(zip(LANES, plan["operations"], strict=True))
        self.summaries = dict(zip(LANES, self.summary["operations"], strict=True))

    def history(self, lane: str) -> list[Call]:
        series = {part["series"] for part in self.plans[lane]["series"]}
        return [call for call in self.calls if call.is_history and call.series in series]


@pytest.fixture(scope="module")
def passes(market: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Pass]]:
    folder: Path = tmp_path_factory.mktemp("passes")
    processes = Processes(folder)
    program = Program(processes, folder / "store.db", market)
    yield [Pass(program, number) for number in range(PASSES)]
    processes.close()


@pytest.mark.parametrize("lane", LANES)
def test_the_quote_is_the_bill(passes: list[Pass], lane: str) -> None:
    for number, one in enumerate(passes):
        plan, summary, history = one.plans[lane], one.summaries[lane], one.history(lane)
        assert plan["requests"] == plan["windows"] == sum(part["requests"] for part in plan["series"]), number
        assert plan["requests"] == sum(plan["reasons"].values())
        assert len(history) == summary["requests"] == plan["requests"], (number, history)
        assert (summary["status"], summary["retries"]) == ("complete", 0)
        assert summary["windows"] == plan["windows"]
        assert len({(call.series, call.window) for call in history}) == len(history)


def test_planning_asks_for_metadata_only(passes: list[Pass]) -> None:
    for one in passes:
        assert not [call for call in one.calls_to_plan if call.is_history]
        assert len(one.calls_to_plan) == one.plan["metadata_requests"]


def test_a_batch_adds_up(passes: list[Pass]) -> None:
    for one in passes:
        history = [call for call in one.calls if call.is_history]
        assert len(history) == one.summary["requests"] == one.plan["requests"]
        assert len(one.calls) - len(history) == one.summary["metadata_requests"]
        for name in ("series", "windows", "rows_inserted", "rows_unchanged"):
            assert one.summary[name] == sum(part[name] for part in one.summary["operations"])


def test_what_is_complete_costs_the_tail_only(passes: list[Pass]) -> None:
    last = passes[-1]
    for lane in ("top pairs", "more pairs", "hours of a year by default", "indices", "futures", "top futures"):
        assert last.summaries[lane]["requests"] == last.summaries[lane]["series"], lane
    for lane in ("expired futures", "a named range"):
        assert last.summaries[lane]["requests"] == 0, lane


def test_top_pairs_cost_the_metadata_that_was_quoted(tapewatch: Program) -> None:
    market = tapewatch.sandbox
    assert market is not None
    command = ("spot_ohlcv", "--pair_limit", "8", "--start", "2025-05-01")
    plan = tapewatch(*command, "--dry_run", "--output", "json", code=0).json
    mark = len(market.calls)
    summary = tapewatch.ingest(*command)
    metadata = [call for call in market.since(mark) if not call.is_history]
    assert len(metadata) == summary["metadata_requests"] == plan["metadata_requests"]
    assert len({(call.path, str(call.query)) for call in metadata}) == len(metadata)


def test_a_named_range_needs_no_metadata(tapewatch: Program) -> None:
    market = tapewatch.sandbox
    assert market is not None
    command = (*EXPLICIT, "--interval", "1h", "--start", "2025-03-01", "--end", "2025-03-03")
    mark = len(market.calls)
    plan = tapewatch(*command, "--dry_run", "--output", "json", code=0).json
    assert market.since(mark) == []
    assert (plan["requests"], plan["metadata_requests"], plan["rows"]) == (1, 0, 48)
    [part] = plan["series"]
    assert part["series"] == "futures_ohlcv/binance/BTC-USDT-VANILLA-PERPETUAL/1h"
    assert (part["start"], part["end"]) == ("2025-03-01T00:00:00Z", "2025-03-03T00:00:00Z")
    # A dry run makes no database.
    assert [path for path in tapewatch.db.parent.iterdir() if path.name.startswith(tapewatch.db.name)] == []
    summary = tapewatch.ingest(*command)
    [call] = market.since(mark)
    assert call.is_history
    assert call.window == (NOW_TS - 92 * DAY - 12 * HOUR, NOW_TS - 90 * DAY - 12 * HOUR)
    assert (summary["requests"], summary["metadata_requests"], summary["rows_inserted"]) == (1, 0, 48)


def test_a_dry_run_leaves_a_store_as_it_is(tapewatch: Program) -> None:
    tapewatch.ingest(*NAMED, "--start", "2025-01-01", "--end", "2025-02-01")
    before = tapewatch.store.bytes()
    command = (*NAMED, "--start", "2025-01-01", "--output", "json")
    planned = tapewatch(*command, "--dry_run", code=0).json
    again = tapewatch("plan", *command, code=0).json
    # What there is to spend is another figure after every call.
    for means in ("quota", "budget", "disk"):
        assert bool(planned.pop(means)) == bool(again.pop(means))
    assert again == planned
    assert tapewatch.store.bytes() == before


def test_a_delisted_pair_is_swept_once(tapewatch: Program) -> None:
    market = tapewatch.sandbox
    assert market is not None
    path = "/spot/v1/markets/instruments"
    found = market.get(path, market="kraken", instrument_status="RETIRED,EXPIRED", groups="ID")["kraken"]
    name, entry = next(iter(found["instruments"].items()))
    command = ("spot_ohlcv", "--market", "kraken", "--instrument", name)
    first = tapewatch.ingest(*command)
    rows = tapewatch.store.table("spot_ohlcv_1d")
    assert first["status"] == "complete"
    assert rows[0]["ts"] == entry["FIRST_TRADE_SPOT_TIMESTAMP"] // DAY * DAY
    assert rows[-1]["ts"] == entry["LAST_TRADE_SPOT_TIMESTAMP"] // DAY * DAY
    assert {row["closed"] for row in rows} == {1}
    assert tapewatch.ingest(*command)["requests"] == 0


def test_nothing_is_bought_beyond_the_budget(tapewatch: Program) -> None:
    sandbox = tapewatch.processes.sandbox(limits="day=100,month=1000")
    program = tapewatch.on(sandbox)
    command = ("spot_ohlcv", "--market", "kraken", "--pair_limit", "15", "--start", "2025-05-01")
    refused = program(*command, code=2)
    assert re.search(r"15 requests.*day.*\b9\b.*--max_requests 15\n", refused.err)
    assert sandbox.history == []
    # A plan is not refused: it is what says how much to allow.
    assert program(*command, "--dry_run", "--output", "json", code=0).json["requests"] == 15
    assert program.ingest(*command, "--max_requests", "15")["requests"] == 15
