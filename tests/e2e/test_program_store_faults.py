"""A database that goes away under a run: the run waits, says so, goes on by itself and loses nothing."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
import pytest
from e2e_program import Processes, Program, Sandbox, Started, until

from core.servers import PostgresOptions, PostgresServer, free_port, postgres
from core.stores.migrate import migrate
from core.stores.postgres import connected_database
from tests.accounts import assert_accounted
from tests.fault_proxy import FaultProxy, Timeout
from tests.services import run_sql

pytestmark = pytest.mark.slow

COMMAND = (
    *("spot_ohlcv", "--market", "kraken", "--instrument", "BTC-USD,ETH-USD,SOL-USD,XRP-USD", "--interval", "1h"),
    *("--start", "2024-06-01", "--end", "2025-05-01", "--parallel_workers", "2"),
)
TABLE = "SELECT market, instrument, time, open, high, low, close, volume, closed, known_at FROM tapewatch.spot_ohlcv_1h"
PROMPTLY = 15.0
TABLESPACE_MB = 96
FEW = {"max_connections": "8", "superuser_reserved_connections": "0"}


class Place(NamedTuple):
    """A server of this test's own, with a database that has the schema. `disk` is what holds its tables, if small."""

    server: PostgresServer
    url: str
    disk: Path | None = None


@contextmanager
def server_of_its_own(*, is_small: bool = False) -> Iterator[Place]:
    with postgres(PostgresOptions(settings=FEW, is_durable=True)) as server, contextlib.ExitStack() as stack:
        disk = stack.enter_context(small_disk(server.directory / "disk")) if is_small else None
        if disk is not None:
            run_sql(server.url(), f"CREATE TABLESPACE small LOCATION '{disk}'")
            run_sql(server.url(), "CREATE DATABASE kept TABLESPACE small")
        else:
            run_sql(server.url(), "CREATE DATABASE kept")
        with connected_database(server.url("kept")) as database:
            migrate(database, 0)
        yield Place(server, server.url("kept"), disk)
        server.stop()


@contextmanager
def small_disk(path: Path) -> Iterator[Path]:
    """A file system of its own. Skips where we may not make one."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small file system")
    path.mkdir()
    made = ["mount", "-t", "tmpfs", "-o", f"size={TABLESPACE_MB}m", "tmpfs", path]
    if (mounted := subprocess.run(made, check=False, capture_output=True, text=True)).returncode:
        pytest.skip(f"a file system may not be mounted here: {mounted.stderr.strip()}")
    try:
        shutil.chown(path, "nobody")
        yield path
    finally:
        subprocess.run(["umount", "-l", path], check=True)


# --- faults: what is so inside of the block is over after it


@contextmanager
def stopped(place: Place) -> Iterator[None]:
    place.server.stop()
    yield
    place.server.start()


@contextmanager
def crashed(place: Place) -> Iterator[None]:
    """In the middle of a transaction: it waits for a lock, with its rows written and its coverage not."""
    waits = (
        "SELECT count(*) > 0 FROM pg_stat_activity WHERE application_name = 'tapewatch' AND wait_event_type = 'Lock'"
    )
    with closing(asyncio.new_event_loop()) as loop:
        other = loop.run_until_complete(asyncpg.connect(place.url))
        loop.run_until_complete(other.execute("BEGIN; LOCK TABLE tapewatch.coverage IN SHARE MODE"))
        until(lambda: run_sql(place.url, waits)[0][0], "a transaction that waits")
        place.server.crash()
        other.terminate()
        loop.run_until_complete(asyncio.sleep(0))
    yield
    place.server.start()


@contextmanager
def read_only(place: Place) -> Iterator[None]:
    url = f"{place.server.url()}?default_transaction_read_only=off"
    run_sql(url, "ALTER SYSTEM SET default_transaction_read_only = on")
    run_sql(url, "SELECT pg_reload_conf()")
    yield
    run_sql(url, "ALTER SYSTEM RESET default_transaction_read_only")
    run_sql(url, "SELECT pg_reload_conf()")


@contextmanager
def crowded(place: Place) -> Iterator[None]:
    with closing(asyncio.new_event_loop()) as loop:
        crowd = loop.run_until_complete(come(place.server.url()))
        try:
            yield
        finally:
            for connection in crowd:
                loop.run_until_complete(connection.close())


async def come(url: str) -> list[asyncpg.Connection]:
    """As many as there is room for: whoever is quickest has the places of those that are thrown out.

    A place is free a moment after who had it is seen no more, so a single refusal does not say that there is none.
    """
    first = await asyncpg.connect(url)
    crowd, refused = [first], 0
    while refused < 20:
        thrown_out = await first.fetch(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tapewatch'"
        )
        try:
            crowd.append(await asyncpg.connect(url))
            refused = 0
        except asyncpg.TooManyConnectionsError:
            refused = 0 if thrown_out else refused + 1
            await first.execute("SELECT pg_sleep(0.01)")
    return crowd


@contextmanager
def full(place: Place) -> Iterator[None]:
    assert place.disk is not None
    ballast = place.disk / "ballast"
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(b"." * 65_536)
    yield
    ballast.unlink()


# --- runs


def on_postgres(tapewatch: Program, url: str, latency: int = 150) -> Program:
    """On a sandbox that takes its time, so that a run can be met half-way."""
    program = tapewatch.on(tapewatch.processes.sandbox(latency=latency))
    program.env["TAPEWATCH_DB"] = url
    return program


def half_way(run: Started, url: str) -> None:
    """Some windows are committed and others are not."""
    until(lambda: run_sql(url, "SELECT count(*) > 2 FROM tapewatch.coverage")[0][0] or not run.is_running, "a commit")
    assert run.is_running, (run.out, run.err)


class Reference(NamedTuple):
    rows: list[Any]
    requests: int


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory, market: Sandbox) -> Iterator[Reference]:
    """What nothing disturbed."""
    folder = tmp_path_factory.mktemp("reference")
    with server_of_its_own() as place:
        processes = Processes(folder)
        try:
            program = Program(processes, folder / "unused.db", market, {"TAPEWATCH_DB": place.url})
            summary = program.ingest(*COMMAND)
            yield Reference(table(place.url), summary["requests"])
        finally:
            processes.close()


def table(url: str) -> list[Any]:
    return [tuple(row) for row in run_sql(url, f"{TABLE} ORDER BY instrument, time")]


def events(run: Started, kind: str) -> list[dict[str, Any]]:
    # The last line may still be on its way.
    lines = [json.loads(line) for line in run.out.splitlines(keepends=True) if line.endswith("\n")]
    return [line for line in lines if line["event"] == kind]


def samples(run: Started) -> int:
    return len(events(run, "engine"))


def goes_on(
    tapewatch: Program, place: Place, reference: Reference, fault: AbstractContextManager[None], seconds: int
) -> None:
    """A run that meets `fault` for so many samples of the engine, one a second."""
    run = on_postgres(tapewatch, place.url).start(*COMMAND, "--output", "jsonl")
    half_way(run, place.url)
    with fault:
        run.says("for the store: ")
        seen = samples(run)
        until(lambda: samples(run) >= seen + seconds, "samples go on")
        assert run.is_running
        waiting = [event for event in events(run, "job") if "for the store" in (event["waiting"] or "")]
        assert waiting, "the job says what it waits for"
        before = time.time()
    recovered = time.time()
    ended = run.done()
    back = next(event for event in events(run, "log") if event["text"] == "the store is back")
    print(f"back {max(0.0, back['time'] - recovered):.2f} s after recovery, which took {recovered - before:.2f} s")
    assert ended.code == 0, ended
    [summary] = events(run, "summary")
    assert (summary["status"], summary["errors"]) == ("complete", [])
    assert summary["requests"] == reference.requests, "nothing was bought twice"
    assert table(place.url) == reference.rows
    with connected_database(place.url) as database:
        database.execute("SET search_path TO tapewatch")
        assert_accounted(database)  # type: ignore[arg-type]
    assert remembered(place.url) == ("CRITICAL", "resolved")
    assert run_sql(place.url, "SELECT state FROM tapewatch.run")[0][0] == "complete"


def remembered(url: str) -> tuple[str, str]:
    """The alert is in the journal once there is one again."""
    found = run_sql(url, "SELECT level, state FROM tapewatch.alert WHERE rule = 'store_unavailable'")
    assert len(found) == 1
    return tuple(found[0])  # type: ignore[return-value]


Fault = Callable[[Place], AbstractContextManager[None]]


@pytest.mark.parametrize("fault", [stopped, crashed, read_only, crowded, full])
def test_a_run_goes_on_when_the_database_is_back(tapewatch: Program, reference: Reference, fault: Fault) -> None:
    with server_of_its_own(is_small=fault is full) as place:
        goes_on(tapewatch, place, reference, fault(place), 3)


@pytest.mark.parametrize("fault", [stopped, crashed, read_only, crowded, full])
def test_a_run_outlives_a_longer_time_without_its_database(
    tapewatch: Program, reference: Reference, fault: Fault
) -> None:
    with server_of_its_own(is_small=fault is full) as place:
        goes_on(tapewatch, place, reference, fault(place), 20)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_the_database_is_away(tapewatch: Program, number: signal.Signals) -> None:
    with server_of_its_own() as place:
        program = on_postgres(tapewatch, place.url)
        run = program.start(*COMMAND, "--output", "json")
        half_way(run, place.url)
        with stopped(place):
            run.says("for the store: ")
            run.signal(number)
            ended = run.done(PROMPTLY)
            assert ended.code == 128 + number
            assert ended.json["status"] == "cancelled"
        kept = run_sql(place.url, "SELECT count(*) FROM tapewatch.spot_ohlcv")[0][0]
        assert kept == ended.json["rows_inserted"] > 0
        rerun = program.ingest(*COMMAND)
        assert rerun["status"] == "complete"
        assert rerun["rows_inserted"] + kept == run_sql(place.url, "SELECT count(*) FROM tapewatch.spot_ohlcv")[0][0]


def test_a_signal_while_the_database_is_silent(tapewatch: Program) -> None:
    """Nothing comes back, no connection ends: a network that swallows everything."""
    with server_of_its_own() as place, FaultProxy(place.server.port) as proxy:
        program = on_postgres(tapewatch, proxy.url(place.url))
        run = program.start(*COMMAND, "--output", "json")
        half_way(run, place.url)
        proxy.add(Timeout())
        run.signal(signal.SIGINT)
        ended = run.done(2 * PROMPTLY)
        assert (ended.code, ended.json["status"]) == (130, "cancelled")
        proxy.remove()
        rerun = program.ingest(*COMMAND)
        assert rerun["status"] == "complete"


COMMANDS = (
    COMMAND,
    (*COMMAND, "--dry_run"),
    ("series", "drop", "spot_ohlcv/kraken/BTC-USD/1h", "--yes"),
    ("universe", "add", "mine", "spot_ohlcv/kraken/BTC-USD/1h"),
    ("quarantine", "retry", "--reason", "unit"),
    ("gaps", "list"),
)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda words: " ".join(words[:2]))
def test_a_command_that_finds_no_database(tapewatch: Program, command: tuple[str, ...]) -> None:
    url = f"postgresql://somebody@127.0.0.1:{free_port()}/tapewatch"
    program = Program(tapewatch.processes, tapewatch.db, tapewatch.sandbox, {"TAPEWATCH_DB": url})
    ended = program(*command, timeout=PROMPTLY)
    assert ended.code == 75
    assert "cannot be used for now" in ended.sentence
