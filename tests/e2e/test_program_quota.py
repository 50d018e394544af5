"""Where the calls went, beside the vendor's own log; what is left; budgets."""

import csv
import io
import time
from collections import Counter
from typing import Any

import pytest
from e2e_program import Program, Sandbox

from core.windows import iso

pytestmark = pytest.mark.slow

CANDLES = ("spot_ohlcv", "--pair_limit", "5", "--interval", "1d", "--label", "nightly")
# The shared sandbox has calls of other tests.
RANGE = ("--start", "2025-05-01", "--end", "2025-05-31")
FAULT = {"path": "/spot/v1/historical/*", "calls": [2, 3], "status": 503}


@pytest.fixture
def own(tapewatch: Program) -> Program:
    """On a sandbox of its own, some of whose answers fail."""
    return tapewatch.on(tapewatch.processes.sandbox(faults=[FAULT], limits="day=7500,month=11000"))


def sandbox_of(program: Program) -> Sandbox:
    assert program.sandbox is not None
    return program.sandbox


def months(program: Program) -> list[str]:
    """Those in which calls were sent: a test may run at midnight."""
    return sorted({iso(row["hour"])[:7] for row in program.store.all("SELECT hour FROM usage")})


def reported(program: Program, *options: str) -> dict[str, Any]:
    """Rows of `quota report` as name: calls, over all months."""
    sums: Counter[str] = Counter()
    for month in months(program):
        report = program("quota", "report", "--month", month, *options, "--output", "json", code=0).json
        sums.update({row[report["by"]]: row["calls"] for row in report["rows"]})
    return dict(sums)


def test_the_report_is_what_the_vendor_has_logged(own: Program) -> None:
    summary = own.ingest(*CANDLES)
    assert summary["retries"] >= 1, "failed calls are billed too"
    own("exchange_metadata", code=0)
    calls = sandbox_of(own).calls
    histories = [call for call in calls if call.is_history]
    by_type = reported(own, "--by", "data-type")
    assert by_type["spot_ohlcv"] == len(histories) == summary["requests"] + summary["retries"]
    assert sum(by_type.values()) == len(calls)
    assert reported(own, "--by", "reason") == {"backfill": len(histories), "listing": len(calls) - len(histories)}
    assert reported(own, "--by", "label") == {"nightly": len(calls) - 2, "": 2}
    assert sum(reported(own, "--by", "day").values()) == len(calls)
    assert len(reported(own, "--by", "account")) == 1


def test_costs_and_spreadsheets(own: Program) -> None:
    own("spot_ohlcv", "--pair_limit", "1", "--label", '=cmd("x")', code=0)
    [month, *_] = months(own)
    report = ("quota", "report", "--month", month, "--by", "label", "--price", "0.5")
    rows = list(csv.DictReader(io.StringIO(own(*report, "--output", "csv", code=0).out)))
    assert [row["label"] for row in rows] == ['\'=cmd("x")']
    assert float(rows[0]["cost"]) == int(rows[0]["calls"]) * 0.5
    text = own(*report, code=0).out
    assert "100.0%" in text
    assert text.splitlines()[-1].startswith("all")
    assert "no calls are recorded for 2020-01" in own("quota", "report", "--month", "2020-01", code=0).out


def test_calls_of_others_are_told_by_the_vendors_count(own: Program) -> None:
    engine = own.engine()
    sandbox_of(own).get("/spot/v1/markets")
    sandbox_of(own).get("/spot/v1/markets")
    own("spot_ohlcv", "--pair_limit", "1", code=0)
    month = time.strftime("%Y-%m", time.gmtime())
    rows = {row["data_type"]: row for row in own("quota", "report", "--output", "json", code=0).json["rows"]}
    found = own("quota", "--output", "json", code=0).json
    engine.kill()
    if months(own) != [month]:
        pytest.skip("the month ended meanwhile")
    assert rows["(not ours)"]["calls"] == 2
    assert sum(row["calls"] for row in rows.values()) == len(sandbox_of(own).calls)
    assert found["known_from"] == "engine"
    windows = {row["window"]: row for row in found["windows"]}
    assert (windows["month"]["limit"], windows["month"]["used"]) == (11_000, len(sandbox_of(own).calls))
    assert windows["day"]["used"] + windows["day"]["left"] == 7_500
    assert found["month"]["calls"] == len(sandbox_of(own).calls) - 2
    assert found["month"]["forecast"] >= found["month"]["calls"]


def test_without_an_engine_it_says_what_it_knows(own: Program) -> None:
    own("spot_ohlcv", "--pair_limit", "1", code=0)
    assert "limits are not known" in own("quota", code=0, TAPEWATCH_QUOTA__LEDGER="own").out
    said = own("quota", code=0, TAPEWATCH_QUOTA__MONTH_BUDGET="1000").out
    assert said.startswith("second ")
    assert "calls of ours, about" in said
    assert "of 1,000 calls left" in said


def test_what_makes_no_sense_is_named(tapewatch: Program) -> None:
    assert "--month '2026-13'" in tapewatch("quota", "report", "--month", "2026-13", code=2).err
    assert "--by 'weather'" in tapewatch("quota", "report", "--by", "weather", code=2).err
    assert "no store" in tapewatch("quota", code=3).err
    assert "--price" in tapewatch("quota", "report", "--price", "-1", code=2).err
    for words in (("quota", "--help"), ("quota", "report", "--help")):
        assert "Examples:" in tapewatch(*words, code=0).out


def test_a_month_that_has_nothing_left_for_a_plan(own: Program) -> None:
    command = ("spot_ohlcv", "--market", "kraken", "--instrument", "BTC-USD,ETH-USD", *RANGE)
    budget = {"TAPEWATCH_QUOTA__MONTH_BUDGET": "1"}
    ended = own(*command, "--max_requests", "100", code=2, **budget)
    assert "quota.month_budget leaves 1 of 1" in ended.err
    assert sandbox_of(own).calls == []
    planned = own(*command, "--dry_run", code=0, **budget).out
    assert "month: quota.month_budget leaves 1 call, and the run is refused" in planned


def test_the_status_tells_of_the_quota(own: Program) -> None:
    engine = own.engine()
    own("spot_ohlcv", "--pair_limit", "1", code=0)
    shown = own("status", code=0).out
    quota = own("status", "--output", "json", code=0).json["quota"]
    engine.kill()
    assert [row["window"] for row in quota["windows"]] == ["second", "minute", "hour", "day", "month"]
    lines = [line.split() for line in shown.splitlines()]
    assert any(words[:1] == ["month"] and words[2:3] == ["used"] for words in lines)
    assert "calls of ours, about" in shown
    assert quota["account"].startswith("no key at 127.0.0.1:")


def test_the_part_of_others_is_left_to_them(tapewatch: Program) -> None:
    program = tapewatch.on(tapewatch.processes.sandbox(limits="day=100,month=1000"))
    names = "BTC-USD,ETH-USD,SOL-USD,XRP-USD,ADA-USD,DOGE-USD"
    command = ("spot_ohlcv", "--market", "kraken", "--instrument", names, *RANGE, "--max_requests", "100")
    polite = {"TAPEWATCH_QUOTA__SHARE": "0.04", "TAPEWATCH_QUOTA__MAX_PER_SECOND": "20"}
    ended = program(*command, "--max_wait", "2", "--output", "json", code=75, **polite)
    assert "day (quota.share) limit is used up" in ended.json["errors"][0]
    assert len(sandbox_of(program).calls) == ended.json["requests"] == 4
