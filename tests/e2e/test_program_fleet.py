"""Engines side by side on one PostgreSQL: processes with overlapping jobs do together what one would do alone."""

import itertools
import json
import signal
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from e2e_program import Call, Program, Sandbox, Started, until

from core.stores.postgres import connected_database
from tests.accounts import assert_accounted
from tests.services import run_sql

pytestmark = pytest.mark.slow

PAIRS = ("BTC-USD", "ETH-USD", "SOL-USD", "XRP-USD", "ADA-USD", "DOGE-USD", "LTC-USD", "LINK-USD")
RANGE = ("--start", "2024-06-01", "--end", "2025-03-01")
VIEWS = ("spot_ohlcv_1d", "spot_ohlcv_1h", "spot_ohlcv_1m", "futures_ohlcv_1d", "futures_funding_rate_1d")
# What depends on who came first, and what the two databases write in their own way.
OWN = {"series_id", "time"}
PER_SECOND = 6


def spot(*pairs: str, interval: str = "1h", span: Sequence[str] = RANGE, order: str = "newest") -> tuple[str, ...]:
    names = ("--market", "kraken", "--instrument", ",".join(pairs))
    return ("spot_ohlcv", *names, "--interval", interval, *span, "--order", order)


# Each overlaps with others: in series, in time, in both; two are the same.
JOBS = (
    spot(*PAIRS[:4]),
    spot(*PAIRS[2:6], order="oldest"),
    spot(*PAIRS[3::-1]),
    spot(*PAIRS[:3], span=("--start", "2025-02-10", "--end", "2025-04-01")),
    spot(*PAIRS, interval="1d", span=("--start", "2022-01-01", "--end", "2025-05-01")),
    spot(*PAIRS[:2], interval="1m", span=("--start", "2025-05-01", "--end", "2025-05-05")),
    ("futures_ohlcv", "--market", "binance", "--asset_limit", "4", *RANGE),
    ("futures_funding_rate", "--market", "binance", "--asset_limit", "6", *RANGE),
)


DEADLOCKS = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"


class Fleet:
    """Programs on one database and one sandbox."""

    def __init__(self, program: Program, url: str) -> None:
        self.url = url
        self.program = replace(program, env={**program.env, "TAPEWATCH_DB": url})
        self.program.env["TAPEWATCH_ENGINE__LEASE_SECONDS"] = "2"
        # Databases are used again, and the server counts on.
        self.deadlocks_before = self.one(DEADLOCKS)

    def start(self, *arguments: str, **env: str) -> Started:
        return self.program.start(*arguments, "--output", "json", **env)

    def status(self) -> Any:
        return self.program("status", "--output", "json", code=0).json

    def sql(self, query: str, *values: object) -> list[Any]:
        return run_sql(self.url, query, *values)

    def one(self, query: str, *values: object) -> Any:
        return self.sql(query, *values)[0][0]

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        return {view: self._table(view) for view in VIEWS}

    def _table(self, view: str) -> list[dict[str, Any]]:
        found = self.sql(f"SELECT * FROM tapewatch.{view} ORDER BY market, instrument, ts")
        return [{name: value for name, value in row.items() if name not in OWN} for row in found]

    def assert_sound(self) -> None:
        """No slot is missing or doubled, nobody had to be ended to end a deadlock, nobody holds anything."""
        with connected_database(self.url) as db, db.snapshot():
            assert_accounted(db)  # type: ignore[arg-type]
        assert self.one(DEADLOCKS) == self.deadlocks_before
        assert self.sql("SELECT 1 FROM tapewatch.lease WHERE until > date_part('epoch', clock_timestamp())") == []
        assert self.status()["engines"] == []


@pytest.fixture
def fleet(tapewatch: Program, postgres_store_url: str) -> Fleet:
    limits = f"second={PER_SECOND},minute=100000,hour=100000,day=1000000,month=1000000"
    return Fleet(tapewatch.on(tapewatch.processes.sandbox(limits=limits, latency=20)), postgres_store_url)


@pytest.fixture
def slow(tapewatch: Program, postgres_store_url: str) -> Fleet:
    """Answers take so long that processes can be stopped while they wait for one."""
    return Fleet(tapewatch.on(tapewatch.processes.sandbox(latency=500)), postgres_store_url)


def sandbox_of(fleet: Fleet) -> Sandbox:
    assert fleet.program.sandbox is not None
    return fleet.program.sandbox


def operation(job: Sequence[str]) -> dict[str, Any]:
    """A command as the operation of a batch."""
    options = dict(zip(job[1::2], job[2::2], strict=True))
    given = {name.strip("-"): int(value) if value.isdecimal() else value for name, value in options.items()}
    return {"data_type": job[0], **given}


def alone(fleet: Fleet, jobs: Sequence[Sequence[str]], folder: Path) -> dict[str, list[dict[str, Any]]]:
    """What one engine makes of the same jobs one after another, into SQLite and with all calls it wants."""
    program = fleet.program.on(fleet.program.processes.sandbox(), folder / "alone.db")
    del program.env["TAPEWATCH_DB"]
    (folder / "jobs.json").write_text(json.dumps([operation(job) for job in jobs]))
    program("batch", str(folder / "jobs.json"), code=0)
    rows = {view: program.store.table(view) for view in VIEWS}
    return {view: [{n: v for n, v in row.items() if n not in OWN} for row in found] for view, found in rows.items()}


def bought_twice(calls: Sequence[Call]) -> list[tuple[str, Any, Any]]:
    """Windows of one series that overlap, of answers that were not refused."""
    by_series: dict[str, list[tuple[int, int]]] = {}
    for call in calls:
        by_series.setdefault(call.series, []).append(call.window)
    pairs = ((name, pair) for name, windows in by_series.items() for pair in itertools.pairwise(sorted(windows)))
    return [(name, one, other) for name, (one, other) in pairs if other[0] < one[1]]


def assert_side_by_side(fleet: Fleet, jobs: Sequence[Sequence[str]], folder: Path) -> None:
    started = [fleet.start(*job) for job in jobs]
    # All are seen from anywhere while they are at it; `status` takes as long as some of them do, where others work too.
    pids, seen = {each.pid for each in started}, set[int]()

    def at_work() -> set[int]:
        return {pid for (pid,) in fleet.sql("SELECT pid FROM tapewatch.engine")}

    def are_seen() -> bool:
        seen.update(at_work())
        return seen == pids or not any(each.is_running for each in started)

    until(lambda: fleet.sql("SELECT to_regclass('tapewatch.engine')")[0][0], "the tables")
    until(are_seen, "every engine in the store")
    shown = {engine["pid"] for engine in fleet.status()["engines"]}
    still = at_work()
    ended = [each.done(300) for each in started]
    assert seen == pids
    assert still <= shown <= pids
    assert {each.code for each in ended} == {0}, ended
    summaries = [each.json for each in ended]
    assert {summary["status"] for summary in summaries} == {"complete"}
    assert [summary["errors"] for summary in summaries] == [[]] * len(jobs)
    assert sum(summary["retries"] for summary in summaries) == 0
    calls = sandbox_of(fleet).calls
    assert {call.status for call in calls} == {200}
    a_second = Counter(int(call.time) for call in calls)
    assert max(a_second.values()) <= PER_SECOND, a_second
    history = sandbox_of(fleet).history
    assert len(history) == sum(summary["requests"] for summary in summaries)
    assert bought_twice(history) == []
    runs = fleet.status()["runs"]
    assert {run["run_id"] for run in runs} == {summary["run_id"] for summary in summaries}
    assert len({run["engine"] for run in runs}) == len(jobs)
    fleet.assert_sound()
    expected = alone(fleet, jobs, folder)
    found = fleet.tables()
    assert {view: len(rows) for view, rows in found.items()} == {view: len(rows) for view, rows in expected.items()}
    assert found == expected


def test_three_engines_do_together_what_one_does(fleet: Fleet, tmp_path: Path) -> None:
    assert_side_by_side(fleet, JOBS[:3], tmp_path)


@pytest.mark.timeout(600)
def test_eight_engines_do_together_what_one_does(fleet: Fleet, tmp_path: Path) -> None:
    assert_side_by_side(fleet, JOBS, tmp_path)


def test_a_killed_engine_loses_nothing_and_others_take_over(slow: Fleet, tmp_path: Path) -> None:
    jobs = [(*job, "--parallel_workers", "2") for job in (JOBS[0], JOBS[2], JOBS[1])]
    first = slow.start(*jobs[0])
    until(lambda: len(sandbox_of(slow).history) >= 4, "four calls")
    others = [slow.start(*job) for job in jobs[1:]]
    others[0].says(r"waiting.*: for 4 series of \w+ \(\S+, pid \d+\)")
    first.kill()
    interrupted = [run["state"] for run in slow.status()["runs"]]
    assert "interrupted" in interrupted
    for each in others:
        ended = each.done(120)
        assert (ended.code, ended.json["status"], ended.json["errors"]) == (0, "complete", [])
    # At most what was in flight is bought again.
    assert len(bought_twice(sandbox_of(slow).history)) <= 2
    slow.assert_sound()
    assert slow.tables() == alone(slow, jobs, tmp_path)


def test_a_zombie_is_refused_and_its_run_ends_honestly(slow: Fleet, tmp_path: Path) -> None:
    """Stopped while it waits for answers, woken when its series are another's: it commits none of them."""
    job = (*spot(*PAIRS[:2]), "--parallel_workers", "2")
    zombie = slow.start(*job)
    until(lambda: len(sandbox_of(slow).history) >= 2, "two calls")
    zombie.signal(signal.SIGSTOP)
    before = slow.one("SELECT count(*) FROM tapewatch.spot_ohlcv")
    try:
        heir = slow.start(*job)
        until(lambda: slow.one("SELECT count(DISTINCT owner) FROM tapewatch.lease WHERE epoch > 1"), "a take-over")
    finally:
        zombie.signal(signal.SIGCONT)
    ended = [each.done(120) for each in (zombie, heir)]
    assert [(each.code, each.json["status"], each.json["errors"]) for each in ended] == [(0, "complete", [])] * 2
    assert "its work is left to that one" in ended[0].err
    assert ended[0].json["rows_inserted"] + ended[1].json["rows_inserted"] == 2 * 273 * 24
    assert ended[0].json["rows_inserted"] == before < 2 * 273 * 24
    slow.assert_sound()
    assert slow.tables() == alone(slow, [job], tmp_path)


SCHEDULE = """
[schedules.minutes]
cron = "* * * * *"
operation = {data_type = "spot_ohlcv", market = "kraken", instrument = "BTC-USD", interval = "1d", start = "2025-05-25"}
"""
TICKS = "SELECT engine, state, runs FROM tapewatch.schedule_tick WHERE state <> 'skipped' ORDER BY tick"


@pytest.mark.timeout(400)
def test_two_that_serve_run_a_tick_once_though_one_is_killed(fleet: Fleet, tmp_path: Path) -> None:
    """Minutes by the machine's clock: who ran the first tick is killed, and the other one runs those that come."""
    path = tmp_path / "schedules.toml"
    path.write_text(SCHEDULE)
    serve = ("serve", "--listen", "127.0.0.1:0", "--schedules", str(path))
    both = [fleet.program.start(*serve) for _ in range(2)]
    names = {daemon.says(r"^engine (\w+) ready")[1]: daemon for daemon in both}

    def done(count: int) -> bool:
        return len([row for row in fleet.sql(TICKS) if row["state"] == "done"]) >= count

    until(lambda: done(1), "the first tick", 130)
    first = fleet.sql(TICKS)[0]["engine"]
    names[first].kill()
    until(lambda: done(3), "two more", 200)
    [left] = [daemon for name, daemon in names.items() if name != first]
    left.signal(signal.SIGTERM)
    assert left.done().code == 0
    ticks = fleet.sql(TICKS)
    runs = [run for row in ticks for run in json.loads(row["runs"])]
    assert len(runs) == len(set(runs)) == len(ticks), "one run a tick"
    assert sorted(runs) == sorted(row["run_id"] for row in fleet.sql("SELECT run_id FROM tapewatch.run"))
    assert {row["engine"] for row in ticks[1:]} == {name for name in names if name != first}
