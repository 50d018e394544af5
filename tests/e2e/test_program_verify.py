"""`verify` as a program: wrong minutes are found by arithmetic and proven with few calls; nothing is ever written."""

import json
import random
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from e2e_program import Processes, Program

from core.engine.budget import ASK_LIMITS_FROM

pytestmark = pytest.mark.slow

END = datetime(2025, 6, 1, tzinfo=UTC)
NAMED = ("--market", "kraken", "--instrument", "BTC-USD")
PAGE = 2_000 * 60
KINDS = {"VOLUME": ("volume", 1.7), "TOTAL_TRADES": ("total_trades", 2.0), "HIGH": ("high", 1.5), "LOW": ("low", 0.6)}
SERIES = "spot_ohlcv/kraken/BTC-USD/1m"


def span(days: int) -> tuple[str, ...]:
    return "--start", f"{END - timedelta(days=days):%Y-%m-%d}", "--end", f"{END:%Y-%m-%d}"


def ingest(tapewatch: Program, days: int, intervals: Sequence[str] = ("1d", "1h", "1m"), timeout: float = 120) -> None:
    for interval in intervals:
        command = ("spot_ohlcv", "--interval", interval, *NAMED, *span(days), "--max_requests", "9999")
        tapewatch(*command, code=0, timeout=timeout)


def verify(tapewatch: Program, *arguments: str, code: int | None = None, timeout: float = 120) -> Any:
    return tapewatch("verify", *arguments, "--output", "json", code=code, timeout=timeout).json


def iso(ts: int) -> str:
    return f"{datetime.fromtimestamp(ts, UTC):%Y-%m-%dT%H:%M:%SZ}"


def wrong_minutes(seed: int, days: int, count: int) -> dict[int, str]:
    """Minutes, by start, and what of each is damaged."""
    chance = random.Random(seed)
    end = int(END.timestamp())
    places = chance.sample(range(1, days * 1_440 + 1), count)
    return {end - place * 60: chance.choice(list(KINDS)) for place in places}


def damaging(minutes: dict[int, str]) -> list[dict[str, Any]]:
    """A vendor that gives these minutes wrongly, however often it is asked."""
    wrong = [
        {"span": [ts, ts + 60], "field": field, "factor": KINDS[field][1]} for ts, field in sorted(minutes.items())
    ]
    return [{"path": "/spot/v1/historical/minutes", "damage": wrong}]


def pages_of(hours: Sequence[int]) -> int:
    """The fewest pages of minutes that hold these hours."""
    calls, reach = 0, -1
    for start in sorted(hours):
        if start + 3_600 > reach:
            calls, reach = calls + 1, start + PAGE
    return calls


@pytest.mark.parametrize(
    ("days", "count"),
    [(20, 12), pytest.param(365, 150, marks=[pytest.mark.slow, pytest.mark.timeout(900)])],
    ids=["20 days", "a year"],
)
def test_wrong_minutes_are_found_without_a_call_and_proven_with_one_a_page(
    tapewatch: Program, processes: Processes, seed: int, days: int, count: int
) -> None:
    minutes = wrong_minutes(seed, days, count)
    ingest(tapewatch.on(processes.sandbox(faults=damaging(minutes))), days, timeout=600)
    sandbox = processes.sandbox()  # the same market, mended
    program = tapewatch.on(sandbox)
    marks = ", ".join("?" * len(minutes))
    rows = program.store.all(f"SELECT ts FROM spot_ohlcv_1m WHERE ts IN ({marks}) AND total_trades > 0", *minutes)
    wrong = {row["ts"]: minutes[row["ts"]] for row in rows}  # what nothing was traded in could not be damaged
    assert len(wrong) > count / 2
    hours = {ts - ts % 3_600 for ts in wrong}

    mark = len(sandbox.calls)
    looked = verify(program, "--offline", code=1, timeout=600)
    assert sandbox.since(mark) == []
    hourly = SERIES.replace("1m", "1h")
    named = [(each["series"], each["start"]) for each in looked["contradictions"]]
    assert named == [(hourly, iso(ts)) for ts in sorted(hours)]
    assert {each["suspect"] for each in looked["contradictions"]} <= {"1m", None}

    quoted = verify(program, "--reconcile", "--dry_run", code=0, timeout=600)
    assert sandbox.since(mark) == []
    before = program.store.table("spot_ohlcv_1m") if days < 30 else None
    proven = verify(program, "--reconcile", code=1, timeout=600)
    sent = sandbox.since(mark)
    # From a hundred calls on the vendor is asked once what is left to spend.
    others = [call.path for call in sent if not call.is_history]
    assert others == (["/admin/v2/rate/limit"] if quoted["requests"] >= ASK_LIMITS_FROM else [])
    assert len(sent) - len(others) == quoted["requests"] == proven["requests"]
    assert proven["requests"] == pages_of(sorted(hours))
    found = {(each["time"], each["column"]) for each in proven["differences"]}
    assert {time for time, _ in found} == {iso(ts) for ts in wrong}
    assert {(iso(ts), KINDS[field][0]) for ts, field in wrong.items()} <= found
    assert all(each["confirmed"] is False for each in proven["contradictions"])
    assert before is None or program.store.table("spot_ohlcv_1m") == before

    program(
        "spot_ohlcv", "--interval", "1m", *NAMED, *span(days), "--full_refresh", "--max_requests", "9999", timeout=600
    )
    assert verify(program, "--offline", code=0, timeout=600)["contradictions"] == []
    assert program.store.one("SELECT count(DISTINCT ts) FROM restatement") == len(wrong)


def test_a_true_store_agrees_with_the_vendor(tapewatch: Program) -> None:
    ingest(tapewatch, 3)
    market = tapewatch.sandbox
    assert market is not None
    before, mark = tapewatch.store.bytes(), len(market.calls)
    quoted = verify(tapewatch, "--dry_run", code=0)
    assert (quoted["requests"], quoted["rows"]) == (5, 3 + 72 + 4_320)
    assert market.since(mark) == []
    found = verify(tapewatch, code=0)
    assert (found["status"], found["bars_compared"], found["requests"]) == ("equal", 3 + 72 + 4_320, 5)
    assert len(market.since(mark)) == 5
    assert (found["differences"], found["differing"], found["errors"]) == ([], 0, [])
    assert tapewatch.store.bytes() == before


def test_a_bar_that_is_not_the_vendors_is_told(tapewatch: Program) -> None:
    ingest(tapewatch, 2, ["1h"])
    spoil(tapewatch.db, "UPDATE spot_ohlcv SET volume = volume + 1 WHERE ts = (SELECT max(ts) FROM spot_ohlcv)")
    ts = tapewatch.store.one("SELECT max(ts) FROM spot_ohlcv")
    stored = tapewatch.store.one("SELECT volume FROM spot_ohlcv WHERE ts = ?", ts)
    name = SERIES.replace("1m", "1h")
    found = verify(tapewatch, name, "--start", iso(ts - 3_600), code=1)
    assert (found["status"], found["bars_compared"], found["differing"]) == ("different", 2, 1)
    [difference] = found["differences"]
    vendor = difference.pop("vendor")
    assert difference == {"series": name, "time": iso(ts), "column": "volume", "stored": stored}
    assert vendor == pytest.approx(stored - 1)
    text = tapewatch("verify", name, code=1).out
    assert f"volume: stored {stored}, the vendor has {vendor}" in text
    assert "--full_refresh" in text
    assert verify(tapewatch, name, "--end", iso(ts), code=0)["bars_compared"] == 47


def spoil(db: Path, statement: str) -> None:
    with closing(sqlite3.connect(db)) as opened, opened:
        opened.execute(statement)


def test_verify_works_beside_a_running_engine(tapewatch: Program) -> None:
    ingest(tapewatch, 2, ["1h"])
    with_engine = tapewatch.engine()
    assert verify(tapewatch, code=0)["bars_compared"] == 48
    assert verify(tapewatch, "--offline", code=0)["bars_checked"] == 48
    assert with_engine.is_running


def test_a_plan_that_is_too_dear_is_refused(tapewatch: Program) -> None:
    ingest(tapewatch, 3, ["1m"])
    market = tapewatch.sandbox
    assert market is not None
    mark = len(market.calls)
    ended = tapewatch("verify", "--max_requests", "2", code=2)
    assert "the plan needs 3 requests, --max_requests allows 2" in ended.err
    assert market.since(mark) == []


@pytest.mark.parametrize(
    ("arguments", "code", "fragment"),
    [
        (("--offline", "--reconcile"), 2, "choose one"),
        (("spot_ohlcv/kraken/BTC-USD",), 2, "data_type/market/instrument/interval"),
        (("--start", "2025-06-02", "--end", "2025-06-01"), 2, "--start 2025-06-02 is not before --end 2025-06-01"),
        (("--start", "soon"), 2, "'soon'"),
        (("--data_type", "spot"), 2, "spot_ohlcv"),
        ((), 3, "there is no store"),
        (("--offline",), 3, "there is no store"),
    ],
)
def test_what_cannot_be_done_is_said(tapewatch: Program, arguments: tuple[str, ...], code: int, fragment: str) -> None:
    ended = tapewatch("verify", *arguments, code=code)
    assert fragment in ended.err
    assert ended.out == ""
    assert not tapewatch.db.exists()


def test_a_vendor_that_fails_is_no_difference(tapewatch: Program, processes: Processes) -> None:
    ingest(tapewatch, 2, ["1h"])
    broken = processes.sandbox(faults=[{"path": "/spot/v1/historical/*", "status": 404}])
    found = verify(tapewatch.on(broken), code=3)
    assert (found["status"], found["bars_compared"], found["differences"]) == ("failed", 0, [])
    assert "spot_ohlcv/kraken/BTC-USD/1h" in found["errors"][0]


def test_what_looks_wrong_is_flagged_after_a_run_unless_it_is_turned_off(
    tapewatch: Program, processes: Processes, tmp_path: Path
) -> None:
    ts = int(END.timestamp()) - 30 * 60
    fault = {"span": [ts, ts + 60], "field": "VOLUME", "factor": 1e5}
    market = processes.sandbox(faults=[{"path": "/spot/v1/historical/minutes", "damage": [fault]}])
    program = tapewatch.on(market)
    command = ("spot_ohlcv", "--interval", "1m", *NAMED, *span(1))
    ended = program(*command, code=0)
    assert "checks: 1 new finding; see them with: tapewatch verify --offline" in ended.err
    flagged = program.store.all("SELECT check_name, start, level, sightings FROM finding")
    assert flagged == [{"check_name": "outlier_volume", "start": ts, "level": "info", "sightings": 1}]
    assert "new findings" not in program(*command, "--full_refresh", code=0).err
    looked = verify(program, "--offline", code=0)
    assert [(each["check"], each["start"], each["level"]) for each in looked["findings"]] == [
        ("outlier_volume", iso(ts), "info")
    ]
    other = tapewatch.on(market, tmp_path / "other.db")
    other(*command, code=0, TAPEWATCH_HISTORY__CHECKS="false")
    assert other.store.all("SELECT * FROM finding") == []


def test_everything_is_printed_as_one_object(tapewatch: Program) -> None:
    ingest(tapewatch, 1, ["1h"])
    lines = tapewatch("verify", "--offline", "--output", "jsonl", code=0).out.splitlines()
    assert len(lines) == 1
    assert json.loads(lines[0])["mode"] == "offline"
    assert "equal: 1 series, 24 bars checked" in tapewatch("verify", "--offline", code=0).out
