"""Alerts as operators meet them: listed, followed on a slow terminal, seen to, silenced; rules checked, rehearsed."""

import json
import os
import pty
import select
import shutil
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from e2e_program import Client, Processes, Program, Started, until

from core.stores.postgres import connected_database

pytestmark = pytest.mark.slow

FAILING = [{"path": "*historical*", "status": 404}]
RUN = "run_failed:spot_ohlcv/1d"
SERIES = "retries_exhausted:spot_ohlcv/kraken/BTC-USD/1d"
INGEST = ("spot_ohlcv", "--market", "kraken", "--instrument", "BTC-USD", "--start", "2025-05-01")
HOSTILE = "spot\x1b]52;c;x\x07_ohlcv\n\"'[bold]\u202e/kraken"
PROMPTLY = 15.0
MARKETS = ("kraken", "coinbase", "bitstamp")


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """The program on a sandbox that knows no bars, after a run that failed; its store is only copied."""
    processes = Processes(tmp_path_factory.mktemp("broken"))
    try:
        program = Program(processes, processes.folder / "store.db", processes.sandbox(faults=FAILING))
        program(*INGEST, code=3)
        yield program
    finally:
        processes.close()


@pytest.fixture
def failing(tapewatch: Program, broken: Program) -> Program:
    """The same on a store of its own."""
    shutil.copy(broken.db, tapewatch.db)
    assert broken.sandbox is not None
    return tapewatch.on(broken.sandbox)


def write(program: Program, *changes: tuple[str, str, str], source: str = "spot_ohlcv/1d") -> None:
    """Changes as an engine writes them: rule, state and message."""
    with closing(sqlite3.connect(program.db, timeout=30)) as db, db:
        db.executemany(
            "INSERT INTO alert_change (alert, incident, sequence, rule, source, level, state, at, message) "
            "VALUES (?, 'i-1', 1, ?, ?, 'ERROR', ?, 1748779200, ?)",
            [(f"{rule}:{source}", rule, source, state, message) for rule, state, message in changes],
        )


class Terminal:
    """A pty that a test reads as slowly as it likes. What has come is `text`."""

    def __init__(self) -> None:
        self._master, self.slave = pty.openpty()
        self.text = ""

    def read(self, size: int = 65_536) -> None:
        """What is there, at most `size` bytes; waits a little for some."""
        if select.select([self._master], [], [], 0.5)[0]:
            self.text += os.read(self._master, size).decode()

    @contextmanager
    def read_slowly(self) -> Iterator[None]:
        """1 kB a second, meanwhile."""
        stopped = threading.Event()

        def read() -> None:
            while not stopped.wait(0.1):
                self.read(100)

        reading = threading.Thread(target=read)
        reading.start()
        try:
            yield
        finally:
            stopped.set()
            reading.join()

    @property
    def objects(self) -> list[dict[str, Any]]:
        """The whole lines that have come."""
        return [json.loads(line) for line in self.text.split("\r\n")[:-1] if line.startswith("{")]

    def close(self) -> None:
        for file in (self._master, self.slave):
            os.close(file)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    made = Terminal()
    yield made
    made.close()


def follow(program: Program, *arguments: str, stdout: int | None = None, **env: str) -> Started:
    return program.start("alerts", "--follow", *arguments, stdout=stdout, **env)


def test_what_is_wrong_what_the_engine_does_and_what_to_do(failing: Program) -> None:
    listed = failing("alerts", code=0)
    assert RUN in listed.out
    assert "The next run of the data type tries again" in listed.out
    assert "tapewatch jobs list" in listed.out
    assert "\x1b" not in listed.out
    found = failing("alerts", "--rule", "run-*", "--output", "json", code=0).json
    assert [(alert["alert"], alert["level"], alert["state"]) for alert in found] == [(RUN, "ERROR", "firing")]
    assert len(failing("alerts", "--output", "jsonl", code=0).lines) == 2
    assert failing("alerts", "--level", "critical", code=0).out == "no alerts\n"
    assert failing("alerts", "--source", "*/kraken/*", "--output", "jsonl", code=0).lines[0]["alert"] == SERIES
    assert "choose INFO, WARNING, ERROR, CRITICAL" in failing("alerts", "--level", "bad", code=2).sentence


def test_what_is_over_is_listed_for_a_day(tapewatch: Program, failing: Program) -> None:
    assert failing.db == tapewatch.db
    tapewatch(*INGEST, code=None)
    states = {alert["alert"]: alert["state"] for alert in tapewatch("alerts", "--output", "jsonl", code=0).lines}
    assert states[RUN] == "resolved"
    assert RUN not in tapewatch("alerts", "--since", "2038-01-01", code=0).out
    assert RUN in tapewatch("alerts", "--all", "--since", "2038-01-01", code=0).out


def test_an_acknowledgement_and_a_silence_without_an_engine(failing: Program) -> None:
    assert "acknowledged until" in failing("alerts", "ack", RUN.replace("_", "-", 1), "--comment", "mine", code=0).err
    made = failing("alerts", "silence", "--source", "*kraken*", "--for", "1h", "--comment", "moving", code=0).err
    notes = {alert["alert"]: alert for alert in failing("alerts", "--output", "jsonl", code=0).lines}
    assert "(mine)" in notes[RUN]["acked_by"]
    assert notes[RUN]["silenced_until"] is None
    assert notes[SERIES]["silenced_until"] is not None
    [silence] = failing("alerts", "silences", "--output", "json", code=0).json
    assert (silence["source"], silence["comment"]) == ("*kraken*", "moving")
    assert silence["silence"] in made
    failing("alerts", "unsilence", silence["silence"], code=0)
    failing("alerts", "unack", RUN, code=0)
    assert failing("alerts", "silences", code=0).out == "nothing is silenced\n"
    assert all(not alert["acked_by"] for alert in failing("alerts", "--output", "jsonl", code=0).lines)


def test_an_acknowledgement_beside_an_engine(failing: Program) -> None:
    engine = failing.engine()
    failing("alerts", "ack", RUN, code=0)
    failing("alerts", "silence", "--rule", "run_failed", "--for", "1h", "--comment", "c", code=0)
    with Client(failing.socket_of(engine)) as client:
        client.until(lambda event: event["event"] == "alert" and event["alert"] == RUN and bool(event["acked_by"]))
    failing("alerts", "unack", RUN, code=0)
    assert failing("alerts", "ack", "no_such:alert", code=3).sentence.startswith("no open alert is called")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("ack", "nothing"), "no open alert is called"),
        (("silence", "--rule", "x", "--for", "31d", "--comment", "c"), "within 30 days"),
        (("silence", "--rule", "x", "--for", "soon", "--comment", "c"), "--for: 'soon' is not a length of time"),
        (("silence", "--rule", "x", "--for", "1h", "--comment", " "), "--comment: say"),
        (("silence", "--for", "1h", "--comment", "c"), "silence what?"),
        (("silence", "--level", "bad", "--for", "1h", "--comment", "c"), "choose INFO"),
        (("unsilence", "abc"), "no silence in force"),
        (("--after", "1"), "go with --follow"),
    ],
)
def test_what_is_refused_says_what_would_be_right(failing: Program, arguments: tuple[str, ...], words: str) -> None:
    assert words in failing("alerts", *arguments, code=2).sentence
    assert failing.store.all("SELECT * FROM silence") == []


def test_names_that_a_terminal_would_obey(failing: Program, terminal: Terminal) -> None:
    following = follow(failing, "--after", "0", stdout=terminal.slave)
    write(failing, ("run_failed", "firing", f"a {HOSTILE} message"), source=HOSTILE)
    with closing(sqlite3.connect(failing.db)) as db, db:
        db.execute("UPDATE alert SET source = ?, message = ? WHERE alert = ?", (HOSTILE, HOSTILE, RUN))

    def came() -> bool:
        terminal.read()
        return "[bold]" in terminal.text

    until(came, "the change")
    following.signal(signal.SIGTERM)
    following.done(PROMPTLY)
    shown = terminal.text + failing("alerts", code=0).out + failing("alerts", "--output", "json", code=0).out
    coloured = {"\x1b[0m", "\x1b[31m"}
    for code in coloured:
        shown = shown.replace(code, "")
    assert not {"\x1b", "\x07", "\u202e"} & set(shown)
    assert "[bold]" in failing("alerts", code=0).out


def test_following_resumes_where_it_ended(failing: Program) -> None:
    following = follow(failing, "--output", "jsonl")
    until(lambda: following.out.count("\n") >= 2, "the open alerts")
    write(failing, ("run_failed", "resolved", "over"))
    until(lambda: following.out.count("\n") >= 3, "the change")
    following.signal(signal.SIGINT)
    ended = following.done(PROMPTLY)
    assert ended.code == 130
    assert [line["event"] for line in ended.lines] == ["open", "open", "change"]
    last = ended.lines[-1]["id"]
    assert f"--follow --after {last}" in ended.err
    write(failing, ("run_failed", "firing", "again"), ("gaps_open", "firing", "other"))
    resumed = follow(failing, "--after", str(last), "--rule", "run_failed")
    resumed.says("again")
    resumed.says("no engine is at work")
    resumed.signal(signal.SIGHUP)
    ended = resumed.done(PROMPTLY)
    assert ended.code == 129
    assert len(ended.out.splitlines()) == 1
    assert "no engine is at work" in ended.err


def test_following_ends_when_nobody_reads(failing: Program) -> None:
    reader, writer = os.pipe()
    following = follow(failing, stdout=writer)
    os.close(writer)
    assert os.read(reader, 100)
    os.close(reader)
    assert following.done(PROMPTLY).code == 0


@pytest.mark.parametrize("stops_reading", [True, False])
def test_following_ends_when_its_terminal_is_hung_up(failing: Program, stops_reading: bool) -> None:
    """In the middle of a write, and between two."""
    terminal = Terminal()
    if stops_reading:
        write(failing, *(("run_failed", "firing", f"number {count}") for count in range(2_000)))
    following = follow(failing, "--after", "0", stdout=terminal.slave)
    until(lambda: terminal.read() or terminal.text, "the first change")
    terminal.close()
    ended = following.done(PROMPTLY)
    assert (ended.code, ended.err.replace("no engine is at work on the store now\n", "")) == (0, "")


def test_following_outlives_the_store(failing: Program) -> None:
    following = follow(failing, "--output", "jsonl")
    until(lambda: following.out.count("\n") >= 2, "the open alerts")
    away = failing.db.with_name("away.db")
    failing.db.rename(away)
    following.says("the store is away")
    away.rename(failing.db)
    write(failing, ("run_failed", "resolved", "over"))
    until(lambda: following.out.count("\n") >= 3, "the change")
    following.signal(signal.SIGTERM)
    ended = following.done(PROMPTLY)
    assert ended.code == 143
    assert ended.err.count("the store is away") == ended.err.count("the store is back") == 1
    nowhere = Program(failing.processes, failing.db.with_name("none.db"))
    assert "there is no store" in nowhere("alerts", "--follow", code=3).sentence


@pytest.mark.parametrize("arguments", [("--bell",), ()])
def test_the_bell_rings_for_what_fires(failing: Program, terminal: Terminal, arguments: tuple[str, ...]) -> None:
    following = follow(failing, "--after", "0", *arguments, stdout=terminal.slave, NO_COLOR="1")
    write(failing, ("gaps_open", "firing", "one"), ("gaps_open", "firing", "seen to"), ("gaps_open", "resolved", "end"))

    def came() -> bool:
        terminal.read()
        return "end" in terminal.text

    until(came, "the changes")
    following.signal(signal.SIGTERM)
    assert following.done(PROMPTLY).code == 143
    # run_failed, retries_exhausted and gaps_open fired; the second gaps_open is of the same sequence.
    assert terminal.text.count("\a") == (3 if arguments else 0)
    assert "\x1b" not in terminal.text


def test_a_stopped_terminal_loses_nothing_and_ends_promptly(failing: Program, terminal: Terminal) -> None:
    write(failing, *(("run_failed", "firing", f"number {count}") for count in range(20_000)))
    following = follow(failing, "--after", "2", "--output", "jsonl", stdout=terminal.slave)
    terminal.read(10)
    memory = Path(f"/proc/{following.pid}/statm")
    before = int(memory.read_text().split()[1])

    def came() -> bool:
        terminal.read()
        return terminal.text.count("\n") > 3_000

    until(came, "some thousand changes")
    assert int(memory.read_text().split()[1]) < before + 8_000  # pages of 4 kB
    following.signal(signal.SIGTERM)
    assert following.done(PROMPTLY).code == 143
    ids = [found["id"] for found in terminal.objects]
    assert ids == list(range(3, 3 + len(ids)))
    assert len(ids) >= 3_000


@pytest.mark.timeout(180)
def test_a_slow_terminal_and_engines_that_restart(failing: Program, terminal: Terminal) -> None:
    """Done when 5: 1 kB/s, the engine restarted twice, no alert missed and none shown twice."""
    following = follow(failing, "--after", "0", "--output", "jsonl", stdout=terminal.slave)
    with terminal.read_slowly():
        for number, end in enumerate((signal.SIGTERM, signal.SIGKILL, signal.SIGTERM)):
            engine = failing.engine()
            with Client(failing.socket_of(engine)) as client:
                client.ask("submit", data_type="spot_ohlcv", market=[MARKETS[number]], pair_limit=8, start="2025-05-30")
            until(lambda number=number: ended(failing) == 2 + number, "the end of the run")
            engine.signal(end)
            engine.process.wait(2 * PROMPTLY)
        written = failing.store.all("SELECT id, alert, state FROM alert_change ORDER BY id")
        assert len(written) > 20
        until(lambda: len(terminal.objects) >= len(written), "every change", 120)
    following.signal(signal.SIGTERM)
    assert following.done(PROMPTLY).code == 143
    shown = [(found["id"], found["alert"], found["state"]) for found in terminal.objects]
    assert shown == [tuple(row.values()) for row in written]


def ended(program: Program) -> int:
    """How many runs are over, with what they changed of alerts."""
    return int(program.store.one("SELECT count(*) FROM run WHERE finished IS NOT NULL"))


def test_rules_are_checked_and_listed(tapewatch: Program, tmp_path: Path) -> None:
    file = tmp_path / "rules.toml"
    file.write_text("[rules.memory]\nabove = { WARNING = 70 }\n[rules.gaps_open]\nenabled = false\n")
    checked = tapewatch("alerts", "rules", "check", str(file), code=0)
    assert "WARNING >= 70" in checked.out
    assert "rules are right; switched off: gaps_open" in checked.err
    file.write_text("[rules.memori]\nabove = { WARNING = 70 }\n")
    assert "rules.memori" in tapewatch("alerts", "rules", "check", str(file), code=2).err
    assert str(file) in tapewatch("alerts", "rules", "check", str(file), code=2).err
    names = {rule["rule"] for rule in tapewatch("alerts", "rules", "list", "--output", "json", code=0).json}
    assert {"memory", "run_failed"} <= names
    assert "rules.memori" in tapewatch("alerts", "rules", "list", code=2, TAPEWATCH_ALERTS__RULES=str(file)).err


def test_a_rehearsal_lists_what_would_have_fired(failing: Program, tmp_path: Path) -> None:
    file = tmp_path / "rules.toml"
    file.write_text("[rules.consecutive_failures]\nabove = { WARNING = 2, ERROR = 3 }\n")
    failing(*INGEST, code=3)
    now = time.time()
    with closing(sqlite3.connect(failing.db)) as db, db:
        runs = [run_id for (run_id,) in db.execute("SELECT run_id FROM run ORDER BY created")]
        for run_id, ago in zip(runs, (7_200, 3_600), strict=True):
            db.execute("UPDATE run SET finished = ? WHERE run_id = ?", (now - ago, run_id))
    arguments = ("alerts", "rehearse", "--since", "1d", "--output", "json")
    found = failing(*arguments, "--rules", str(file), code=0).json
    [firing] = found["firings"]
    assert (firing["rule"], firing["source"], firing["level"]) == ("consecutive_failures", "spot_ohlcv/1d", "WARNING")
    assert 3_500 <= firing["seconds"] <= 3_600
    assert firing["ended"] is None
    assert failing(*arguments, code=0).json["firings"] == []
    assert "memory" in {each["rule"] for each in found["not_rehearsed"]}
    text = failing("alerts", "rehearse", "--since", "1d", "--rules", str(file), code=0).out
    assert "and goes on" in text
    assert "no history of memory is stored" in text


def test_completion_knows_levels_rules_and_open_alerts(failing: Program) -> None:
    def offered(line: str) -> str:
        words = line.split(" ")
        asked = {"_TAPEWATCH_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
        return failing(**asked).out

    assert "CRITICAL" in offered("tapewatch alerts --level C")
    assert "run_failed" in offered("tapewatch alerts --rule run")
    assert RUN in offered("tapewatch alerts ack run")


def test_rules_are_tested_on_made_up_readings(tapewatch: Program, tmp_path: Path) -> None:
    (tmp_path / "rules.toml").write_text("[rules.memory]\nabove = { WARNING = 40 }\n")
    file = tmp_path / "tests.toml"
    text = (
        'rules = "rules.toml"\n[[case]]\nname = "fills\\u001b up"\n'
        'series = [{ reading = "memory", source = "h", values = "50x20" }]\n'
        'expect = [{ at = "3m", alert = "memory:h", state = "firing" }]\n'
    )
    file.write_text(text)
    assert tapewatch("alerts", "test", str(file), code=0).out.splitlines()[1].split() == ["fills", "up", "ok", "1", "-"]
    file.write_text(text.replace("firing", "inactive"))
    [case] = tapewatch("alerts", "test", str(file), "--output", "json", code=1).json
    assert case["problem"] == "at 3m memory:h is firing WARNING, not inactive"
    assert "cannot be read" in tapewatch("alerts", "test", "none.toml", code=2).sentence


def test_a_channel_is_tested(tapewatch: Program, tmp_path: Path) -> None:
    config = tmp_path / "tapewatch.toml"
    config.write_text('[alerts.channels.oncall]\nurl = "log://"\n')
    assert "took a test message" in tapewatch("alerts", "test", "oncall", "--config_file", str(config), code=0).err
    assert "there is no channel 'none'; there are oncall" in (
        tapewatch("alerts", "test", "none", "--config_file", str(config), code=2).sentence
    )


ADD = (
    "INSERT INTO tapewatch.alert_change (alert, incident, sequence, rule, source, level, state, at, message) "
    "VALUES ('r:s', 'i', 1, 'r', 's', 'ERROR', 'firing', 1748779200, '{}')"
)


def test_transactions_of_engines_on_postgresql_commit_out_of_order(tapewatch: Program, postgres_store_url: str) -> None:
    sandbox = tapewatch.processes.sandbox(faults=FAILING)
    program = replace(tapewatch.on(sandbox), env={"TAPEWATCH_DB": postgres_store_url})
    program(*INGEST, code=3)
    program("alerts", "ack", RUN, code=0)
    program("alerts", "silence", "--rule", "x", "--for", "1h", "--comment", "c", code=0)
    assert {line["alert"] for line in program("alerts", "--output", "jsonl", code=0).lines} == {RUN, SERIES}
    with connected_database(postgres_store_url) as late, connected_database(postgres_store_url) as early:
        with late.transaction():
            late.execute(ADD.format("late"))
            following = follow(program, "--output", "jsonl")
            until(lambda: following.out.count("\n") >= 2, "the open alerts")
            early.execute(ADD.format("early"))
            until(lambda: "early" in following.out, "the change that was committed")
            assert '"late"' not in following.out
        until(lambda: '"late"' in following.out, "the change that was late")
        early.execute(ADD.format("last"))
        until(lambda: '"last"' in following.out, "the last change")
    following.signal(signal.SIGINT)
    ended = following.done(PROMPTLY)
    assert ended.code == 130
    assert [line["message"] for line in ended.lines[2:]] == ["early", "late", "last"]
