"""Commands to engines side by side on one PostgreSQL: a job is asked for where it runs, or it is said where that is."""

import json
import re
import signal
from dataclasses import dataclass, replace
from typing import Any

import pytest
from e2e_program import PROMPTLY, Client, Program, Started, until

from tests.services import run_sql

pytestmark = pytest.mark.slow

SERIES = "spot_ohlcv/kraken/{}/1h"
HOURS = ("--market", "kraken", "--interval", "1h", "--start", "2023-01-01", "--end", "2025-05-01")


@dataclass
class Pair:
    """Two engines that take jobs, the first one older; and the program on their database."""

    url: str
    program: Program
    first: Started
    second: Started

    def submit(self, engine: Started, instrument: str, start: str = "2023-01-01") -> str:
        """A job of that engine, half-way done; it takes five seconds a year."""
        operation = {"data_type": "spot_ohlcv", "market": "kraken", "instrument": instrument, "interval": "1h"}
        operation |= {"start": start, "end": "2025-05-01", "parallel_workers": 1}
        with Client(self.program.socket_of(engine)) as client:
            job = str(client.ask("submit", **operation)["result"]["job"])
        until(lambda: instrument in self.asked(), "a call")
        return job

    def asked(self) -> list[str]:
        assert self.program.sandbox is not None
        return [call.query["instrument"] for call in self.program.sandbox.history]

    def state(self, job: str) -> str:
        runs = self.program("jobs", "list", "--output", "json", code=0).json
        return str(next(run["state"] for run in runs if run["job"] == job))

    def until_state(self, job: str, state: str) -> None:
        until(lambda: self.state(job) == state, f"{job} {state}")

    def why(self, instrument: str) -> Any:
        return self.program("why", SERIES.format(instrument), "--output", "json", code=0).json


@pytest.fixture
def program(tapewatch: Program, postgres_store_url: str) -> Program:
    slow = tapewatch.on(tapewatch.processes.sandbox(latency=1_000))
    return replace(slow, env={**slow.env, "TAPEWATCH_DB": postgres_store_url})


@pytest.fixture
def pair(program: Program, postgres_store_url: str) -> Pair:
    return Pair(postgres_store_url, program, program.engine(), program.engine())


def test_each_job_is_asked_for_where_it_runs(pair: Pair) -> None:
    program = pair.program
    one, two = pair.submit(pair.first, "BTC-USD"), pair.submit(pair.second, "ETH-USD")
    found = program("status", "--output", "json", code=0).json
    assert [engine["pid"] for engine in found["engines"]] == [pair.first.pid, pair.second.pid]
    assert {run["job"]: run["engine"] for run in found["runs"]} == {
        one: found["engines"][0]["name"],
        two: found["engines"][1]["name"],
    }
    for job in (two, one):
        assert program("jobs", "hold", job, code=0).err == f"hold: {job}\n"
        pair.until_state(job, "held")
    # A held job keeps its series; `why` asks the engine that has it.
    for instrument, engine, job in (("BTC-USD", pair.first, one), ("ETH-USD", pair.second, two)):
        told = pair.why(instrument)
        assert told["engine"]["pid"] == engine.pid
        assert f"pid {engine.pid}" in told["leased_by"]
        assert next(each["words"] for each in told["blockers"] if each["what"] == "held").startswith(f"job {job} ")
    program("jobs", "resume", two, code=0)
    program("jobs", "cancel", one, code=0)
    pair.until_state(one, "cancelled")
    pair.until_state(two, "complete")
    again = re.search(r"retry: (j-\w+)", program("jobs", "retry", one, code=0).err)
    assert again is not None
    pair.until_state(again[1], "complete")
    assert "there is no job 'j-none'" in program("jobs", "cancel", "j-none", code=3).sentence


def test_a_command_runs_beside_an_engine_and_can_be_told_to_stop(pair: Pair) -> None:
    program = pair.program
    held = pair.submit(pair.first, "BTC-USD")
    command = program.start(
        "spot_ohlcv", "--instrument", "ETH-USD", *HOURS, "--parallel_workers", "1", "--output", "json"
    )
    until(lambda: "ETH-USD" in pair.asked(), "a call of the command")
    runs = program("status", "--output", "json", code=0).json["runs"]
    [job] = [run["job"] for run in runs if run["job"] != held]
    program("jobs", "cancel", job, code=0)
    assert command.done().json["status"] == "cancelled"
    pair.until_state(held, "complete")


def test_detached_jobs_go_to_an_engine_of_ours(pair: Pair) -> None:
    """One with another source or key is not ours, and is no hindrance either."""
    program = pair.program
    run_sql(pair.url, "UPDATE tapewatch.engine SET key = 'another' WHERE pid = $1", pair.first.pid)
    ended = program("spot_ohlcv", "--instrument", "BTC-USD", *HOURS, "--detach", code=0)
    assert f"the dashboard's engine (pid {pair.second.pid})" in ended.err
    job = re.search(r"jobs cancel (j-\w+)", ended.err)
    assert job is not None
    follower = program.start("jobs", "follow")
    program("jobs", "cancel", job[1], code=0)
    pair.until_state(job[1], "cancelled")
    follower.signal(signal.SIGINT)
    assert follower.done(PROMPTLY).code == 130


def test_following_finds_an_engine_that_takes_no_jobs(program: Program) -> None:
    command = program.start("spot_ohlcv", "--instrument", "BTC-USD", *HOURS, "--parallel_workers", "1")
    command.says("running")
    follower = program.start("jobs", "follow")
    follower.says(r"^j-\w+ .*running")
    command.signal(signal.SIGINT)
    assert command.done().code == 130
    follower.done(20)


def test_an_engine_on_another_host_is_named(pair: Pair) -> None:
    program = pair.program
    there, here = (
        pair.submit(pair.first, "BTC-USD", start="2017-01-01"),
        pair.submit(pair.second, "ETH-USD", start="2017-01-01"),
    )
    pid = pair.first.pid
    # As it looks from another machine: it cannot be asked from here, and lives as long as it says so.
    run_sql(pair.url, "UPDATE tapewatch.engine SET machine = 'another', host = 'db-2' WHERE pid = $1", pid)
    for command in ("cancel", "hold", "resume", "retry"):
        refused = program("jobs", command, there, code=3)
        assert f"job {there} is of an engine on db-2 (pid {pid}); ask there" in refused.sentence
    told = pair.why("BTC-USD")
    assert f"(db-2, pid {pid})" in told["leased_by"]
    assert {each["what"] for each in told["blockers"]} == {"leased"}
    assert "db-2" in program("why", SERIES.format("BTC-USD"), code=0).out
    assert "db-2" in program("status", code=0).out
    program("jobs", "cancel", here, code=0)
    pair.until_state(here, "cancelled")
    pair.second.signal(signal.SIGTERM)
    pair.second.done(10)
    assert f"on other hosts: db-2 (pid {pid})" in program("jobs", "follow", code=3).sentence


def test_a_dropped_series_must_not_be_at_work(pair: Pair) -> None:
    program = pair.program
    job = pair.submit(pair.second, "BTC-USD", start="2017-01-01")
    refused = program("series", "drop", SERIES.format("BTC-USD"), "--yes", code=75)
    assert f"pid {pair.second.pid}" in refused.sentence
    program("jobs", "cancel", job, code=0)
    pair.until_state(job, "cancelled")
    program("series", "drop", SERIES.format("BTC-USD"), "--yes", code=0)
    assert json.loads(program("series", "list", "--output", "json", code=0).out) == []
