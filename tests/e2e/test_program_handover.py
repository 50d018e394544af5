"""One engine a store: who comes second hands its job over, waits, or is told to come back later."""

import asyncio
import json
import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from e2e_program import PROMPTLY, Client, Program, Sandbox, until

from core.bus import Bus
from core.control import ControlServer
from core.errors import EngineGone
from core.events import PROTOCOL, Hello
from core.stores.lock import EngineLock, Holder, login_name, read_holder

pytestmark = pytest.mark.slow

PAIRS = "BTC-USD,ETH-USD,SOL-USD,XRP-USD,ADA-USD,DOGE-USD,LTC-USD,LINK-USD"
HOURS = ("--interval", "1h", "--start", "2025-01-01", "--end", "2025-03-01", "--parallel_workers", "1")
LONG = ("spot_ohlcv", "--market", "kraken", "--instrument", PAIRS, *HOURS)
WINDOWS = 8
ROWS = WINDOWS * 59 * 24
QUICK = ("spot_ohlcv", "--market", "kraken", "--instrument", "BTC-USD", "--start", "2025-05-01", "--end", "2025-05-08")
JOB = r"jobs cancel (j-\w+)"


@pytest.fixture
def slow(tapewatch: Program) -> Program:
    """The program on a sandbox whose answers take so long that a job can be met half-way."""
    return tapewatch.on(tapewatch.processes.sandbox(latency=150))


@pytest.fixture
def slower(tapewatch: Program) -> Program:
    """Slow enough for several commands while a job runs."""
    return tapewatch.on(tapewatch.processes.sandbox(latency=500))


def sandbox_of(program: Program) -> Sandbox:
    assert program.sandbox is not None
    return program.sandbox


def under_way(program: Program, calls: int = 2) -> None:
    until(lambda: len(sandbox_of(program).history) >= calls, f"{calls} history calls")


def states(program: Program) -> list[str]:
    return [run["state"] for run in program("jobs", "list", "--output", "json", code=0).json]


def until_state(program: Program, state: str) -> None:
    """Waits for the newest run of the journal to be in `state`."""
    newest = "SELECT state FROM run ORDER BY created DESC LIMIT 1"
    until(lambda: [run["state"] for run in program.store.all(newest)] == [state], state)


def test_a_command_hands_its_job_to_the_engine_and_follows_it(tapewatch: Program) -> None:
    engine = tapewatch.engine()
    ended = tapewatch(*LONG, "--output", "json", code=0)
    assert f"the dashboard's engine (pid {engine.pid}) holds the store: the job runs there" in ended.err
    summary = ended.json
    assert (summary["status"], summary["windows"], summary["rows_inserted"]) == ("complete", WINDOWS, ROWS)
    assert tapewatch.store.one("SELECT count(*) FROM spot_ohlcv") == ROWS
    # As a command of its own would say it.
    alone = tapewatch.on(sandbox_of(tapewatch), tapewatch.db.with_name("alone.db")).ingest(*LONG)
    assert list(alone) == list(summary)
    assert tapewatch("status", "--output", "json", code=0).json["engine"]["pid"] == engine.pid
    refused = tapewatch("spot_ohlcv", "--market", "kraken", "--instrument", "NO-SUCH", "--output", "json", code=2)
    assert "NO-SUCH" in refused.json["errors"][0]
    batch = tapewatch.db.with_name("batch.json")
    quick = {"data_type": "spot_ohlcv", "market": "kraken", "start": "2025-05-01", "end": "2025-05-03"}
    batch.write_text(json.dumps([{**quick, "instrument": name} for name in ("BTC-USD", "ETH-USD")]))
    both = tapewatch("batch", str(batch), "--output", "json", code=0).json
    assert [part["rows_inserted"] for part in both["operations"]] == [2, 2]
    assert engine.is_running


def test_an_engine_ends_by_itself_when_nobody_needs_it(tapewatch: Program) -> None:
    engine = tapewatch.engine(linger=0.3)
    tapewatch(*QUICK, code=0)
    assert engine.done().code == 0
    assert not tapewatch.socket_of(engine).exists()
    assert tapewatch("status", "--output", "json", code=0).json["engine"] is None


@contextmanager
def about_to_end(program: Program) -> Iterator[list[str]]:
    """An engine on the store that takes no new jobs, for as long as this lasts, and the commands that it refused."""
    path, refused, ended = program.processes.runtime / "leaving.sock", list[str](), threading.Event()
    source, pid = sandbox_of(program).url, os.getpid()
    holder = Holder(pid, "dashboard", str(path), PROTOCOL, time.time(), login_name(), source)

    def hello(read_only: bool) -> Hello:
        return Hello(
            protocol=PROTOCOL, engine="e", pid=pid, version="", store="", source=source, kind="", read_only=read_only
        )

    async def refuse(command: str, _args: object) -> object:
        refused.append(command)
        raise EngineGone("the engine is about to end")

    async def serve() -> None:
        async with ControlServer(Bus(time.time), hello, refuse).listening(path):
            lock.acquire(holder)
            await asyncio.to_thread(ended.wait)

    lock, thread = EngineLock(str(program.db)), threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        until(lambda: read_holder(lock.path) is not None, "the engine")
        yield refused
    finally:
        lock.release()
        ended.set()
        thread.join()


@pytest.mark.parametrize("detach", [(), ("--detach",)])
def test_what_an_engine_that_is_about_to_end_does_not_take_is_done_all_the_same(
    tapewatch: Program, detach: tuple[str, ...]
) -> None:
    """By the command itself once the store is free, or by an engine that it starts."""
    tapewatch.env["TAPEWATCH_ENGINE__LINGER_SECONDS"] = "0.3"
    with about_to_end(tapewatch) as refused:
        command = tapewatch.start(*QUICK, *detach)
        command.says("waiting: the engine is about to end")
    assert command.done().code == 0
    assert set(refused) == {"submit_batch"}
    until_state(tapewatch, "complete")
    assert tapewatch.store.one("SELECT count(*) FROM spot_ohlcv") == 7


def test_a_command_that_waits_for_such_an_engine_gives_up_in_time(tapewatch: Program) -> None:
    with about_to_end(tapewatch):
        ended = tapewatch(*QUICK, "--lock_wait", "0", code=75)
    assert ended.err.endswith("the engine is about to end\n")


def test_detach_returns_and_the_job_goes_on(slow: Program) -> None:
    engine = slow.engine(linger=4)
    ended = slow(*LONG, "--detach", "--label", "nightly", code=0)
    job = re.search(JOB, ended.err)
    assert job is not None
    assert engine.is_running
    shown = until(lambda: slow("jobs", "show", job[1], "--output", "json").out, "the job in the journal")
    assert json.loads(shown)["label"] == "nightly"
    assert engine.done().code == 0
    assert slow.store.one("SELECT state FROM run") == "complete"
    assert slow.store.one("SELECT count(*) FROM spot_ohlcv") == ROWS


def test_detach_starts_an_engine_when_there_is_none(slow: Program) -> None:
    slow.env["TAPEWATCH_ENGINE__LINGER_SECONDS"] = "0.3"
    slow(*QUICK, "--detach", code=0)
    engine = slow("status", "--output", "json", code=0).json["engine"]
    assert engine is None or engine["kind"] == "dashboard"
    until_state(slow, "complete")
    assert slow.store.one("SELECT count(*) FROM spot_ohlcv") == 7
    lock = slow.db.with_name(slow.db.name + ".lock")
    until(lambda: lock.stat().st_size == 0, "the engine's end")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_a_signal_detaches_and_the_job_goes_on(slow: Program, number: signal.Signals) -> None:
    engine = slow.engine(linger=4)
    command = slow.start(*LONG, "--output", "json")
    under_way(slow)
    command.signal(number)
    ended = command.done(PROMPTLY)
    assert ended.code == 128 + number
    assert re.search(rf"detached; job (j-\w+) goes on\. Cancel it with: tapewatch {JOB}", ended.err)
    assert engine.done().code == 0
    assert slow.store.one("SELECT state FROM run") == "complete"


def test_killing_the_follower_changes_nothing(slow: Program) -> None:
    engine = slow.engine(linger=4)
    command = slow.start(*LONG)
    under_way(slow)
    command.kill()
    assert engine.done().code == 0
    assert slow.store.one("SELECT count(*) FROM spot_ohlcv") == ROWS


def test_hold_resume_cancel_retry(slower: Program) -> None:
    engine = slower.engine()
    ended = slower(*LONG, "--detach", code=0)
    job = re.search(JOB, ended.err)
    assert job is not None
    follower = slower.start("jobs", "follow")
    under_way(slower)
    assert slower("jobs", "hold", job[1], code=0).err == f"hold: {job[1]}\n"
    follower.says(rf"{job[1]} .*: held ")
    with Client(slower.socket_of(engine)) as client:
        client.until(lambda event: event["event"] == "engine" and event["in_flight"] == 0)
        asked = len(sandbox_of(slower).history)
        client.until(lambda event: event["event"] == "engine")
        client.until(lambda event: event["event"] == "engine")
    assert len(sandbox_of(slower).history) == asked < WINDOWS
    slower("jobs", "resume", job[1], code=0)
    follower.says(rf"{job[1]} .*: (held [\s\S]*){{1,9}}running ")
    slower("jobs", "cancel", job[1], code=0)
    follower.says(rf"{job[1]} .*: cancelled ")
    until_state(slower, "cancelled")
    kept = slower.store.one("SELECT count(*) FROM spot_ohlcv")
    assert 0 < kept < ROWS
    assert "has ended: cancelled" in slower("jobs", "cancel", job[1]).sentence
    retried = slower("jobs", "retry", job[1], code=0)
    again = re.search(r"retry: (j-\w+)", retried.err)
    assert again is not None
    assert again[1] != job[1]
    follower.says(rf"{again[1]} .*: complete ")
    assert slower.store.one("SELECT count(*) FROM spot_ohlcv") == ROWS
    # What was committed before the cancel was not bought again.
    asked_for = [(call.series, call.window) for call in sandbox_of(slower).history]
    assert len(asked_for) - len(set(asked_for)) <= 1
    assert "no job 'j-none'" in slower("jobs", "hold", "j-none").sentence
    follower.signal(signal.SIGINT)
    assert follower.done(PROMPTLY).code == 130
    engine.signal(signal.SIGTERM)
    assert engine.done(PROMPTLY).code == 143


def test_stop_ends_the_engine_and_records_how_its_jobs_ended(slow: Program) -> None:
    engine = slow.engine()
    command = slow.start(*LONG, "--output", "json")
    under_way(slow)
    with Client(slow.socket_of(engine)) as client:
        assert client.ask("stop")["ok"]
    assert engine.done(10).code == 0
    ended = command.done()
    assert ended.code in {1, 3}
    assert slow.store.one("SELECT state FROM run") == "cancelled"
    assert not slow.socket_of(engine).exists()


def test_an_engine_that_dies_is_told_to_its_followers(slow: Program) -> None:
    engine = slow.engine()
    command = slow.start(*LONG)
    under_way(slow)
    engine.kill()
    ended = command.done()
    assert ended.code == 3
    assert "the engine went away; run the command again" in ended.sentence
    assert slow.ingest(*LONG)["status"] == "complete"


def test_another_source_is_refused_by_name(tapewatch: Program) -> None:
    engine = tapewatch.engine()
    other = tapewatch.on(tapewatch.processes.sandbox(seed=8))
    ended = other(*QUICK, code=2)
    assert sandbox_of(tapewatch).url in ended.sentence
    assert sandbox_of(other).url in ended.sentence
    assert f"pid {engine.pid}" in ended.sentence
    assert sandbox_of(other).calls == []
    keyed = tapewatch(*QUICK, code=2, TAPEWATCH_API_KEY="another-key-0815")
    assert "another API key" in keyed.sentence
    assert "0815" not in keyed.err


def test_a_second_command_waits_for_the_first(slow: Program) -> None:
    first = slow.start(*LONG, "--output", "json")
    under_way(slow)
    second = slow.start(*QUICK, "--lock_wait", "60", "--output", "json")
    waiting = second.says(r"waiting: the store is held by a command of user \S+, pid (\d+)")
    assert int(waiting[1]) == first.pid
    assert first.is_running
    assert second.done().json["rows_inserted"] == 7
    assert first.done().json["status"] == "complete"
    assert slow.store.is_sound


def test_a_second_command_comes_back_later(slower: Program) -> None:
    first = slower.start(*LONG, "--output", "json")
    under_way(slower, 1)
    vendor = sandbox_of(slower).process
    vendor.signal(signal.SIGSTOP)  # the first one is at it until all the others are done
    for command in (QUICK, ("series", "drop", "spot_ohlcv/kraken/BTC-USD/1h", "--yes"), ("engine", "--linger", "1")):
        refused = slower(*command, "--lock_wait", "0", code=75)
        assert f"pid {first.pid}" in refused.sentence
    # Looking is always possible.
    assert slower("status", "--output", "json", code=0).json["engine"]["kind"] == "command"
    assert slower(*QUICK, "--dry_run", code=0).code == 0
    vendor.signal(signal.SIGCONT)
    assert first.done().json["windows"] == WINDOWS


def test_a_waiting_command_can_be_interrupted(slow: Program) -> None:
    first = slow.start(*LONG)
    under_way(slow, 1)
    second = slow.start(*QUICK)
    second.says("waiting: ")
    second.signal(signal.SIGINT)
    assert second.done(PROMPTLY).code == 130
    assert first.is_running
    assert first.done().code == 0


def test_a_killed_engine_leaves_no_lock_behind(slow: Program) -> None:
    engine = slow.engine()
    slow(*LONG, "--detach", code=0)
    under_way(slow)
    engine.kill()
    assert slow("status", "--output", "json", code=0).json["engine"] is None
    assert states(slow) == ["interrupted"]
    assert slow.ingest(*LONG, "--lock_wait", "0")["status"] == "complete"


def test_a_runtime_directory_with_a_long_name_is_passed_over(tapewatch: Program, tmp_path: Path) -> None:
    """A socket's path may have 107 bytes; there is always a place for it."""
    place = tmp_path / ("long" * 20)
    place.mkdir()
    engine = tapewatch.engine(linger=0.2, XDG_RUNTIME_DIR=str(place))
    assert len(str(tapewatch.socket_of(engine))) < 107
    assert engine.done().code == 0


def test_two_commands_at_once_do_not_harm_each_other(tapewatch: Program) -> None:
    """Started together: one of them waits, both complete, nothing is asked twice."""
    mark = len(sandbox_of(tapewatch).calls)
    both = [tapewatch.start(*LONG, "--output", "json") for _ in range(2)]
    summaries: list[Any] = [command.done().json for command in both]
    assert sorted(summary["rows_inserted"] for summary in summaries) == [0, ROWS]
    asked = [(call.series, call.window) for call in sandbox_of(tapewatch).since(mark) if call.is_history]
    assert len(asked) == len(set(asked)) == WINDOWS


def test_a_runtime_directory_of_somebody_else_is_refused(tapewatch: Program) -> None:
    place = tapewatch.processes.runtime / "other"
    place.mkdir()
    (place / "tapewatch").symlink_to("/usr")
    ended = tapewatch(*QUICK, XDG_RUNTIME_DIR=str(place))
    assert ended.code == 2
    assert "XDG_RUNTIME_DIR" in ended.sentence
