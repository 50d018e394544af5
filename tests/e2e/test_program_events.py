"""`--output jsonl`, the control socket, and the demo: what others can hear of a run."""

import hashlib
import json
import signal
import socket
import sqlite3
import stat
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest
from e2e_program import Client, Processes, Program, Started, until

from core import events
from core.control import CLIENT_QUEUE
from core.datasets import DATA_TYPES

pytestmark = pytest.mark.slow

PAIRS = "BTC-USD,ETH-USD,SOL-USD,XRP-USD,ADA-USD,DOGE-USD,LTC-USD,LINK-USD"
LONG = (
    *("spot_ohlcv", "--market", "kraken", "--instrument", PAIRS, "--interval", "1h"),
    *("--start", "2025-01-01", "--end", "2025-03-01", "--parallel_workers", "1"),
)
ROWS = 8 * 59 * 24


@pytest.fixture
def slow(tapewatch: Program) -> Program:
    return tapewatch.on(tapewatch.processes.sandbox(latency=150))


def test_every_line_is_an_event_and_the_summary_comes_last(tapewatch: Program) -> None:
    ended = tapewatch(*LONG, "--output", "jsonl", code=0)
    messages = [events.decode(line.encode()) for line in ended.out.splitlines()]
    last = json.loads(ended.out.splitlines()[-1])
    assert (last["status"], last["rows_inserted"], last["windows"]) == ("complete", ROWS, 8)
    sequence = [message.seq for message in messages if message.seq]
    assert sequence == sorted(set(sequence))
    jobs = [message for message in messages if isinstance(message, events.JobChanged)]
    assert (jobs[0].state, jobs[-1].state, jobs[-1].rows_inserted) == ("queued", "complete", ROWS)
    assert {job.job for job in jobs} == {jobs[0].job}
    series = {message.series: message for message in messages if isinstance(message, events.SeriesChanged)}
    assert len(series) == 8
    assert {(message.state, message.rows) for message in series.values()} == {("done", ROWS // 8)}


def test_a_batch_as_events_ends_with_the_sum(tapewatch: Program) -> None:
    batch = tapewatch.db.with_name("batch.json")
    quick = {"data_type": "spot_ohlcv", "market": "kraken", "start": "2025-05-01", "end": "2025-05-03"}
    batch.write_text(json.dumps([{**quick, "instrument": name} for name in ("BTC-USD", "ETH-USD")]))
    lines = tapewatch("batch", str(batch), "--output", "jsonl", code=0).lines
    assert lines[-1]["rows_inserted"] == 4
    assert [part["rows_inserted"] for part in lines[-1]["operations"]] == [2, 2]
    for line in lines:
        events.decode(json.dumps(line).encode())


def test_a_run_that_is_handed_over_says_the_same(tapewatch: Program) -> None:
    tapewatch.engine()
    lines = tapewatch(*LONG, "--output", "jsonl", code=0).lines
    assert lines[-1]["rows_inserted"] == ROWS
    for line in lines:
        events.decode(json.dumps(line).encode())


def test_the_socket_is_ours_alone(tapewatch: Program) -> None:
    engine = tapewatch.engine()
    path = tapewatch.socket_of(engine)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    with Client(path) as client:
        assert client.hello["event"] == "hello"
        assert client.hello["pid"] == engine.pid
        assert client.hello["protocol"] == events.PROTOCOL
        assert client.next()["event"] == "snapshot"


def test_a_command_is_an_engine_too(slow: Program) -> None:
    """A dashboard can attach to what cron has started; it may look, and the command ends when it is done."""
    run = slow.start(*LONG, "--output", "json")
    path = Path(until(lambda: holder(slow), "the lock")["socket"])
    until(path.exists, "the socket")
    with Client(path) as client:
        client.until(lambda event: event["event"] == "job" and event["state"] == "running")
        client.until(lambda event: event["event"] == "summary")
    assert run.done().json["rows_inserted"] == ROWS


def holder(program: Program) -> Any:
    lock = program.db.with_name(program.db.name + ".lock")
    text = lock.read_text() if lock.exists() else ""
    return json.loads(text) if text else None


def test_a_late_client_gets_a_snapshot_first(tapewatch: Program) -> None:
    engine = tapewatch.engine()
    tapewatch(*LONG, code=0)
    with Client(tapewatch.socket_of(engine)) as client:
        snapshot = client.next()
    retained = snapshot["events"]
    [job] = [event for event in retained if event["event"] == "job"]
    assert (job["state"], job["rows_inserted"]) == ("complete", ROWS)
    assert len([event for event in retained if event["event"] == "series"]) == 8
    [summary] = [event for event in retained if event["event"] == "summary"]
    assert summary["job"] == job["job"]
    assert all(event["seq"] <= snapshot["seq"] for event in retained)


def test_two_clients_and_one_is_killed(slow: Program) -> None:
    """The killed one is a process that follows: a dashboard is one to the engine."""
    engine = slow.engine()
    follower = slow.start("jobs", "follow")
    with Client(slow.socket_of(engine)) as client:
        client.until(lambda event: event["event"] == "engine" and event["clients"] == 2)
        job = client.ask("submit", **operation())["result"]["job"]
        follower.says(rf"{job} .*: running ")
        follower.kill()
        ended = client.until(lambda event: event["event"] == "summary")
        assert (ended["job"], ended["status"], ended["rows_inserted"]) == (job, "complete", ROWS)
        client.until(lambda event: event["event"] == "engine" and event["clients"] == 1)


def operation() -> dict[str, Any]:
    found: dict[str, Any] = {"data_type": "spot_ohlcv", "market": ["kraken"], "instrument": PAIRS.split(",")}
    return {**found, "interval": "1h", "start": "2025-01-01", "end": "2025-03-01", "parallel_workers": 4}


def test_a_client_that_never_reads_holds_nobody_up(tapewatch: Program) -> None:
    """When it reads at last it is told how much it lost, and gets a new snapshot."""
    engine = tapewatch.engine()
    path = tapewatch.socket_of(engine)
    many = {"data_type": "spot_ohlcv", "pair_limit": 300, "start": "2025-05-29", "full_refresh": True, "recheck": 0}
    with Client(path) as deaf, Client(path) as client:
        # Twice what the socket's buffers and the engine's queue for one client can hold.
        while client.heard_to < 2 * (CLIENT_QUEUE + 1_000):
            job = client.ask("submit", **many)["result"]["job"]
            ended = client.until(lambda event, job=job: event["event"] == "summary" and event["job"] == job)
            assert ended["status"] == "complete"
        assert "lost" not in {message["event"] for message in client.heard}
        last = client.heard_to
        assert deaf.until(lambda event: event["event"] == "lost")["count"] > 0
        assert deaf.next()["event"] == "snapshot"
        assert deaf.until(lambda event: event["seq"] > last)
    assert tapewatch.store.one("SELECT count(DISTINCT series_id) FROM spot_ohlcv") > 200
    assert engine.is_running


@pytest.mark.parametrize(
    "line",
    [
        b"not json",
        b"{}",
        b'{"id": "x"}',
        b'{"id": 1, "command": "explode"}',
        b'{"id": 1, "command": "submit", "args": {"data_type": "nothing"}}',
        b'{"id": 1, "command": "submit", "args": {"data_type": "spot_ohlcv", "pair_limitt": 4}}',
        b'{"id": 1, "command": "cancel", "args": {"job": {"deep": []}}}',
        b'{"id": 1, "command": "hold"}',
        b'{"id": 1, "command": "stop", "now": true}',
        b"\xff\xfe\x00",
        b"[" * 100_000,
    ],
    ids=range(11),
)
def test_nonsense_is_answered_in_words(engine_and_program: tuple[Started, Program], line: bytes) -> None:
    engine, program = engine_and_program
    with Client(program.socket_of(engine)) as client:
        client.send(line)
        reply = client.until(lambda event: event["event"] == "reply")
        assert not reply["ok"]
        assert reply["error"]
        assert "Traceback" not in reply["error"]
    with Client(program.socket_of(engine)) as client:
        assert client.next()["event"] == "snapshot"
    assert engine.is_running


@pytest.fixture(scope="module")
def engine_and_program(market: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("nonsense")
    processes = Processes(folder)
    program = Program(processes, folder / "store.db", market)
    engine = program.engine(linger=600)
    yield engine, program
    engine.signal(signal.SIGTERM)
    assert engine.done(10).code == 143
    processes.close()


def test_a_socket_for_lookers_on(tapewatch: Program) -> None:
    """By option: it emits, and obeys nothing that is sent to it."""
    engine = tapewatch.engine(TAPEWATCH_ENGINE__GROUP_READABLE_SOCKET="true")
    own = tapewatch.socket_of(engine)
    [path] = tapewatch.processes.runtime.glob(f"*-shared/{own.name}")
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o750
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    with Client(path) as looker_on, Client(own) as client:
        assert looker_on.hello["read_only"]
        looker_on.send(b'{"id": 1, "command": "stop"}')
        job = client.ask("submit", **operation())["result"]["job"]
        assert looker_on.until(lambda event: event["event"] == "summary")["job"] == job
        assert not [message for message in looker_on.heard if message["event"] == "reply"]
    assert engine.is_running


DEMO_VIEWS = (
    *("spot_ohlcv_1d", "spot_ohlcv_1m", "futures_ohlcv_1h", "indices_ohlcv_1d"),
    *("futures_funding_rate_1h", "futures_open_interest_1d"),
)


def digest(path: Path) -> dict[str, str]:
    """Of each data type, what its users see."""
    found = {}
    with closing(sqlite3.connect(path)) as db:
        for view in DEMO_VIEWS:
            rows = db.execute(f"SELECT * FROM {view} ORDER BY market, instrument, ts")
            names = [column[0] for column in rows.description]
            kept = [at for at, name in enumerate(names) if name not in {"series_id", "sent_at"}]
            hashed = hashlib.sha256()
            for row in rows:
                hashed.update(msgspec.json.encode([row[at] for at in kept]))
            found[view] = hashed.hexdigest()
    return found


@pytest.mark.timeout(400)
def test_the_demo_is_the_same_every_time(processes: Processes, tmp_path: Path) -> None:
    """Two runs side by side, as by two users, on one seed; and no trace of them but the database."""
    digests = []
    places = [tmp_path / "ann", tmp_path / "bob"]
    runs = []
    for place in places:
        place.mkdir()
        path = place / "demo.db"
        runs.append(processes.start(["demo", "--headless", "--seed", "11", "--db", f"sqlite:///{path}"]))
    for place, run in zip(places, runs, strict=True):
        ended = run.done(180)
        assert ended.code == 0
        check_demo_words(ended.out, str(place / "demo.db"))
        digests.append(digest(place / "demo.db"))
    assert digests[0] == digests[1]
    assert list((processes.runtime / "tapewatch").iterdir()) == []


def check_demo_words(out: str, place: str) -> None:
    table = [line.split() for line in out.splitlines() if " complete " in line]
    assert sorted(line[0] for line in table) == sorted([*DATA_TYPES, "spot_ohlcv"])
    assert place in out
    commands = [line for line in out.splitlines() if line.startswith("  tapewatch")]
    assert len(commands) == 3
    assert "export TAPEWATCH_API_KEY" in out


def test_an_interrupted_demo_ends_everything_it_started(processes: Processes) -> None:
    run = processes.start(["demo", "--headless"])
    url = run.says(r"sandbox (http://\S+)")[1]
    run.says(r"running [1-9]")
    run.signal(signal.SIGINT)
    assert run.done(10).code == 130
    until(lambda: not answers(url), "the sandbox's end")


@pytest.mark.timeout(360)
def test_the_demo_on_postgres(processes: Processes) -> None:
    run = processes.start(["demo", "--headless", "--postgres", "--seed", "11"])
    url = run.says(r"store (postgresql://\S+)")[1]
    ended = run.done(300)
    assert ended.code == 0
    check_demo_words(ended.out, "The database is ")
    assert not answers(url)


def answers(url: str) -> bool:
    """Whether anybody listens there."""
    parts = urlsplit(url)
    with socket.socket() as probe:
        return probe.connect_ex((parts.hostname or "", parts.port or 0)) == 0
