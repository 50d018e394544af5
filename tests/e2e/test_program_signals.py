"""How a run ends when it is told to: promptly, in words, with everything committed kept."""

import os
import signal
import subprocess

import pytest
from e2e_program import PROMPTLY, Program, Started, until

pytestmark = pytest.mark.slow

COMMAND = (
    *("spot_ohlcv", "--market", "kraken", "--instrument", "BTC-USD,ETH-USD,SOL-USD,XRP-USD", "--interval", "1h"),
    *("--start", "2024-12-01", "--end", "2025-05-01", "--parallel_workers", "2"),
)
ROWS = 4 * (31 + 31 + 28 + 31 + 30) * 24


def slow(tapewatch: Program, milliseconds: int = 300) -> Program:
    """The program on a sandbox that takes its time, so that a run can be met half-way."""
    return tapewatch.on(tapewatch.processes.sandbox(latency=milliseconds))


def half_way(program: Program, run: Started) -> None:
    """Waits until a window is committed and more are under way."""
    assert program.sandbox is not None
    sandbox = program.sandbox
    until(lambda: len(sandbox.history) >= 4 or not run.is_running, "four history calls")
    assert run.is_running


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_run_and_keeps_what_is_committed(tapewatch: Program, number: signal.Signals) -> None:
    program = slow(tapewatch)
    run = program.start(*COMMAND, "--output", "json")
    half_way(program, run)
    run.signal(number)
    ended = run.done(PROMPTLY)
    assert ended.code == 128 + number
    summary = ended.json
    assert summary["status"] == "cancelled"
    store = program.store
    assert store.is_sound
    assert store.one("SELECT count(*) FROM spot_ohlcv") == summary["rows_inserted"] > 0
    assert store.one("SELECT state FROM run") == "cancelled"
    rerun = tapewatch.ingest(*COMMAND)
    assert rerun["status"] == "complete"
    assert rerun["windows"] == 8 - summary["windows"]
    assert store.one("SELECT count(*) FROM spot_ohlcv") == summary["rows_inserted"] + rerun["rows_inserted"] == ROWS


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_listings_are_read(tapewatch: Program, number: signal.Signals) -> None:
    program = slow(tapewatch, 3_000)
    run = program.start("spot_ohlcv", "--pair_limit", "5", "--output", "json")
    assert program.sandbox is not None
    until(lambda: program.sandbox and program.sandbox.calls, "the first call")
    run.signal(number)
    ended = run.done(PROMPTLY)
    assert ended.code == 128 + number
    assert program.sandbox.history == []


def test_a_signal_while_the_vendor_is_silent(tapewatch: Program) -> None:
    program = slow(tapewatch, 60_000)
    run = program.start(*COMMAND, "--output", "json")
    assert program.sandbox is not None
    until(lambda: program.sandbox and program.sandbox.history, "the first call")
    run.signal(signal.SIGTERM)
    ended = run.done(PROMPTLY)
    assert (ended.code, ended.json["status"]) == (143, "cancelled")


def test_a_signal_while_a_limit_is_waited_for(tapewatch: Program) -> None:
    faults = [{"path": "*historical*", "from": 2, "status": 429, "headers": {"Retry-After": "600"}}]
    program = tapewatch.on(tapewatch.processes.sandbox(faults=faults))
    run = program.start(*COMMAND, "--output", "json")
    run.says("waiting: ")
    run.signal(signal.SIGINT)
    ended = run.done(PROMPTLY)
    assert (ended.code, ended.json["status"]) == (130, "cancelled")
    assert ended.json["rows_inserted"] == program.store.one("SELECT count(*) FROM spot_ohlcv")


def test_a_second_interrupt_ends_at_once(tapewatch: Program) -> None:
    """At once means: without the drain, hence without a summary. Signals that come together count as one."""
    program = slow(tapewatch, 60_000)
    run = program.start(*COMMAND, "--output", "json")
    assert program.sandbox is not None
    until(lambda: program.sandbox and program.sandbox.history, "the first call")
    run.signal(signal.SIGINT)
    run.says("cancelling")
    until(lambda: run.signal(signal.SIGINT) or not run.is_running, "the end", PROMPTLY)
    ended = run.done()
    assert (ended.code, ended.out) == (130, "")


def test_an_interrupted_dry_run(tapewatch: Program) -> None:
    program = slow(tapewatch, 3_000)
    run = program.start("spot_ohlcv", "--pair_limit", "5", "--dry_run")
    assert program.sandbox is not None
    until(lambda: program.sandbox and program.sandbox.calls, "the first call")
    run.signal(signal.SIGINT)
    assert run.done(PROMPTLY).code == 130
    assert not program.db.exists()


@pytest.mark.parametrize("output", ["jsonl", "json", "text"])
def test_a_reader_that_goes_away_harms_nothing(tapewatch: Program, output: str) -> None:
    """As `tapewatch ... | head -1` does: the ingest goes on, quietly."""
    run = tapewatch.start(*COMMAND, "--output", output, stdout=subprocess.PIPE)
    assert run.process.stdout is not None
    if output == "jsonl":
        assert run.process.stdout.readline().startswith(b"{")
    run.process.stdout.close()
    ended = run.done()
    assert ended.code == 0, ended
    assert tapewatch.store.one("SELECT count(*) FROM spot_ohlcv") == ROWS
    assert tapewatch.store.one("SELECT state FROM run") == "complete"


def test_a_terminal_that_goes_away(tapewatch: Program) -> None:
    """stderr's reader is gone too; nobody can be told, and nobody is."""
    reader, writer = os.pipe()
    os.close(reader)
    run = tapewatch.start(*COMMAND, stdout=writer, stderr=writer)
    os.close(writer)
    assert run.done().code == 0
    assert tapewatch.store.one("SELECT state FROM run") == "complete"


def test_help_into_a_closed_pipe(tapewatch: Program) -> None:
    run = tapewatch.start("spot_ohlcv", "--help", stdout=subprocess.PIPE)
    assert run.process.stdout is not None
    run.process.stdout.close()
    assert run.done().code in {0, 1}
