"""The program as its users run it: processes, a sandbox over real HTTP, a database file.

Output goes to files and not to pipes, so that no process ever waits for a test and a test can look at
what has been said so far. Nothing here sleeps for a guessed time: `until` polls a condition.
"""

import json
import os
import re
import resource
import shlex
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

T = TypeVar("T")
NOW = "2025-06-01T12:00:00Z"
NOW_TS = 1_748_779_200
DAY, HOUR, MINUTE = 86_400, 3_600, 60
UNITS = {"days": DAY, "hours": HOUR, "minutes": MINUTE}
DATA_TYPES = {
    "spot": "spot_ohlcv",
    "futures": "futures_ohlcv",
    "funding-rate": "futures_funding_rate",
    "open-interest": "futures_open_interest",
    "index": "indices_ohlcv",
}
PROMPTLY = 15.0
"""Seconds within which a program that is told to end has ended, also on a machine with other work."""
PATIENCE = 60.0
# What must not be said by any process of any test, however it ends.
DEFECTS = (
    "Traceback",
    "Fatal Python error",
    "never retrieved",
    "never awaited",
    "Unclosed",
    "Exception ignored",
    "defect:",
    "Warning:",
)

_pause = threading.Event()


def until(condition: Callable[[], T], what: str, seconds: float = PATIENCE) -> T:
    """The first true value of `condition`; fails, naming `what`, when there is none in time."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what}: not within {seconds:g} s"
        _pause.wait(0.01)
    return value


@dataclass(frozen=True)
class Call:
    """One line of the sandbox's log. Bars are UTC epoch seconds."""

    n: int
    time: float
    path: str
    query: Mapping[str, str]
    status: int

    @property
    def is_history(self) -> bool:
        return "/historical/" in self.path

    @property
    def series(self) -> str:
        """As the program names series."""
        parts = self.path.split("/")
        interval = {"days": "1d", "hours": "1h", "minutes": "1m"}[parts[-1]]
        kind = DATA_TYPES[parts[-2] if parts[-2] in DATA_TYPES else parts[1]]
        return f"{kind}/{self.query['market']}/{self.query['instrument']}/{interval}"

    @property
    def window(self) -> tuple[int, int]:
        """The bars asked for, end exclusive."""
        step = UNITS[self.path.rsplit("/", 1)[1]]
        end = int(self.query["to_ts"]) + step
        return end - int(self.query["limit"]) * step, end


class Sandbox:
    """A `tapewatch sandbox` process with its call log."""

    def __init__(self, url: str, log: Path, process: "Started") -> None:
        self.url = url
        self.process = process
        self._log = log
        self._read_to = 0
        self._calls: list[Call] = []

    @property
    def calls(self) -> list[Call]:
        """All calls so far, in order. What was read before is not read again: tests poll this."""
        if self._log.exists():
            with self._log.open("rb") as log:
                log.seek(self._read_to)
                # A line is complete once its newline is there.
                lines = log.read().split(b"\n")[:-1]
            self._read_to += sum(len(line) + 1 for line in lines)
            self._calls += [_call(json.loads(line)) for line in lines]
        return self._calls.copy()

    @property
    def history(self) -> list[Call]:
        return [call for call in self.calls if call.is_history]

    def since(self, mark: int) -> list[Call]:
        """The calls after the first `mark`; `len(sandbox.calls)` is a mark."""
        return self.calls[mark:]

    def get(self, path: str, **query: object) -> Any:
        """`Data` of an answer, asked for like a user with a browser would."""
        url = f"{self.url}{path}?" + "&".join(f"{name}={value}" for name, value in query.items())
        with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310 - the sandbox's own address
            return json.loads(answer.read())["Data"]


def _call(line: dict[str, Any]) -> Call:
    parts = urlsplit(line["path"])
    query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    return Call(line["n"], line["time"], parts.path, query, line["status"])


@dataclass(frozen=True)
class Done:
    """An ended command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """stdout as the one JSON object that it has to be."""
        lines = self.out.splitlines()
        assert len(lines) == 1, self
        return json.loads(lines[0])

    @property
    def json_document(self) -> Any:
        """stdout as one JSON object over several lines."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        """stdout as JSON lines."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def sentence(self) -> str:
        """The one error that stderr has, without its prefix."""
        said = [line.removeprefix("error: ") for line in self.err.splitlines() if line.startswith("error: ")]
        assert len(said) == 1, self
        return said[0]


class Started:
    """A process that runs. Only it is ever signalled, by its pid."""

    def __init__(
        self,
        command: Sequence[str],
        env: Mapping[str, str],
        folder: Path,
        stdout: int | None = None,
        stderr: int | None = None,
    ) -> None:
        self._folder = Path(tempfile.mkdtemp(dir=folder))
        with (self._folder / "out").open("wb") as out, (self._folder / "err").open("wb") as err:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out if stdout is None else stdout,
                stderr=err if stderr is None else stderr,
                env=dict(env),
                cwd=folder,
                start_new_session=True,
            )
        self.pid = self.process.pid

    @property
    def out(self) -> str:
        return (self._folder / "out").read_text("utf-8", "replace")

    @property
    def err(self) -> str:
        return (self._folder / "err").read_text("utf-8", "replace")

    @property
    def is_running(self) -> bool:
        return self.process.poll() is None

    def says(self, pattern: str, seconds: float = PATIENCE) -> re.Match[str]:
        """Waits until stdout or stderr matches `pattern`."""

        def found() -> re.Match[str] | None:
            match = re.search(pattern, self.out, re.MULTILINE) or re.search(pattern, self.err, re.MULTILINE)
            assert match or self.is_running, f"ended before it said {pattern!r}: {self.out}\n{self.err}"
            return match

        match = until(found, f"{pattern!r} of {self.process.args}", seconds)
        assert match is not None
        return match

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def lift_limits(self) -> None:
        """There is room on the disk again, for a process that was `limited`."""
        unlimited = resource.RLIM_INFINITY
        resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (unlimited, unlimited))

    def kill(self) -> None:
        """kill -9; nothing is flushed, nothing is said."""
        self.process.kill()
        self.process.wait(PATIENCE)

    def done(self, seconds: float = PATIENCE) -> Done:
        """Waits for the end; the checks that every process has to pass are made here."""
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"not ended within {seconds:g} s: {self.out}\n{self.err}") from None
        ended = Done(code, self.out, self.err)
        for defect in DEFECTS:
            assert defect not in ended.out + ended.err, ended
        return ended

    def end(self) -> None:
        """Make sure that it is gone, at the end of a test."""
        if self.is_running:
            self.signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()


class Processes:
    """Starts programs in a world of their own: home, settings, runtime directory; and ends what it started."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.runtime = Path(tempfile.mkdtemp(prefix="tw-", dir="/tmp"))
        self._started: list[Started] = []

    def environment(self, **more: str) -> dict[str, str]:
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        passed_on = {
            name: value for name, value in os.environ.items() if name in {"PATH", "PYTHONPATH"} or name[:3] == "COV"
        }
        return {
            **passed_on,
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "COLUMNS": "200",
            "XDG_CONFIG_HOME": str(home / "config"),
            "XDG_DATA_HOME": str(home / "data"),
            "XDG_STATE_HOME": str(home / "state"),
            "XDG_CACHE_HOME": str(home / "cache"),
            "XDG_RUNTIME_DIR": str(self.runtime),
            "TMPDIR": str(self.runtime),
            # A machine that is busy with other tests answers late, and no test is about that unless it says so.
            "TAPEWATCH_SOURCE__REQUEST_TIMEOUT": "30",
            **more,
        }

    def start(
        self,
        arguments: Sequence[str],
        env: Mapping[str, str] = {},
        stdout: int | None = None,
        stderr: int | None = None,
    ) -> Started:
        return self.run([sys.executable, "-m", "core.cli", *arguments], env, stdout, stderr)

    def run(
        self, command: Sequence[str], env: Mapping[str, str], stdout: int | None = None, stderr: int | None = None
    ) -> Started:
        started = Started(command, self.environment(**env), self.folder, stdout, stderr)
        self._started.append(started)
        return started

    def sandbox(self, *, faults: Sequence[Mapping[str, Any]] = (), **options: object) -> Sandbox:
        """A sandbox with a frozen clock and no limits, unless `options` say otherwise; None leaves one out."""
        place = Path(tempfile.mkdtemp(dir=self.folder))
        given = {"port": 0, "now": NOW, "limits": "none", "log": place / "calls.jsonl", **options}
        if faults:
            (place / "faults.json").write_text(json.dumps(list(faults)))
            given["faults"] = place / "faults.json"
        arguments = ["sandbox"]
        for name, value in given.items():
            arguments += [] if value is None else [f"--{name}", str(value)]
        started = self.start(arguments)
        url = started.says(r"sandbox ready at (\S+)")[1]
        return Sandbox(url, place / "calls.jsonl", started)

    def close(self) -> None:
        for started in reversed(self._started):
            started.end()
        shutil.rmtree(self.runtime)


@dataclass
class Program:
    """`tapewatch` on one database and, usually, one sandbox; both by environment, so that flags can override."""

    processes: Processes
    db: Path
    sandbox: Sandbox | None = None
    env: dict[str, str] = field(default_factory=dict)

    def __call__(self, *arguments: str, timeout: float = PATIENCE, code: int | None = None, **env: str) -> Done:
        """Run a command to its end; `code` is what it has to exit with, None for any."""
        ended = self.start(*arguments, **env).done(timeout)
        assert code is None or ended.code == code, ended
        return ended

    def start(self, *arguments: str, stdout: int | None = None, stderr: int | None = None, **env: str) -> Started:
        return self.processes.start(arguments, {**self._own, **env}, stdout, stderr)

    def limited(self, *arguments: str, file_size: int) -> Started:
        """The command with a cap on the size of files, which does what a full disk does."""
        words = shlex.join([sys.executable, "-m", "core.cli", *arguments])
        # ulimit counts blocks of 1024 bytes; the signal that comes with the limit is ignored, as it is by daemons.
        script = f"trap '' XFSZ; ulimit -S -f {file_size // 1024}; exec {words}"
        return self.processes.run(["bash", "-c", script], self._own)

    def environment(self, **more: str) -> dict[str, str]:
        """All that a process of it has around it."""
        return self.processes.environment(**self._own, **more)

    @property
    def _own(self) -> dict[str, str]:
        source = {} if self.sandbox is None else {"TAPEWATCH_BASE_URL": self.sandbox.url}
        return {"TAPEWATCH_DB": f"sqlite:///{self.db}", **source, **self.env}

    def ingest(self, *arguments: str, code: int | None = 0, **env: str) -> Any:
        """The summary of a run with `--output json`."""
        return self(*arguments, "--output", "json", code=code, **env).json

    def on(self, sandbox: Sandbox, db: Path | None = None) -> "Program":
        return Program(self.processes, db or self.db, sandbox, dict(self.env))

    @property
    def store(self) -> "Database":
        return Database(self.db)

    def engine(self, linger: float = 30, **env: str) -> Started:
        """An engine that takes jobs, ready to."""
        started = self.start("engine", "--linger", str(linger), **env)
        started.says(r"^engine \w+ ready")
        return started

    def socket_of(self, engine: Started) -> Path:
        return Path(engine.says(r"^engine \w+ ready \S+ on (\S+)")[1])


class Client:
    """A client of an engine's control socket that speaks nothing but JSON lines."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(PATIENCE)
        try:
            self._socket.connect(str(path))
        except OSError:
            self._socket.close()
            raise
        self._lines = self._socket.makefile("rb")
        self._number = 0
        self.hello = self.next()
        self.heard: list[dict[str, Any]] = []

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.close()
        self._socket.close()

    def next(self) -> dict[str, Any]:
        line = self._lines.readline()
        assert line, "the engine went away"
        found: dict[str, Any] = json.loads(line)
        return found

    @property
    def heard_to(self) -> int:
        """The number of the last event."""
        return int(self.heard[-1]["seq"]) if self.heard else 0

    def until(self, is_it: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The first message that `is_it`, the events of snapshots included."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            message = self.next()
            self.heard.append(message)
            for event in message["events"] if message["event"] == "snapshot" else (message,):
                if is_it(event):
                    return event
        raise AssertionError(f"not heard within {PATIENCE:g} s; the last: {self.heard[-3:]}")

    def send(self, line: bytes) -> None:
        self._socket.sendall(line + b"\n")

    def ask(self, command: str, **args: object) -> dict[str, Any]:
        """The reply to one command."""
        self._number += 1
        number = self._number
        self.send(json.dumps({"id": number, "command": command, "args": args}).encode())
        return self.until(lambda event: event["event"] == "reply" and event["id"] == number)


class Database:
    """A look at a store with nothing but SQLite. A copy is read, so that a dead process's WAL stays as it is."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def all(self, query: str, *values: object) -> list[dict[str, Any]]:
        with tempfile.TemporaryDirectory(dir=self.path.parent) as folder:
            # A checkpoint may run meanwhile, and a program that opens its file anew takes the WAL away: copied first,
            # it has what the file may not have yet.
            for name in (f"{self.path.name}-wal", self.path.name):
                with suppress(FileNotFoundError):
                    shutil.copy(self.path.with_name(name), Path(folder) / name)
            with closing(sqlite3.connect(Path(folder) / self.path.name)) as db:
                db.row_factory = sqlite3.Row
                return [dict(row) for row in db.execute(query, values)]

    def one(self, query: str, *values: object) -> Any:
        """The single value of a single row."""
        [row] = self.all(query, *values)
        [value] = row.values()
        return value

    @property
    def is_sound(self) -> bool:
        return bool(self.one("PRAGMA integrity_check") == "ok")

    def table(self, view: str) -> list[dict[str, Any]]:
        """Everything a user of `view` can see, in one order."""
        return self.all(f"SELECT * FROM {view} ORDER BY market, instrument, ts")

    def bytes(self) -> bytes:
        return self.path.read_bytes()


def windows_by_series(calls: Sequence[Call]) -> Iterator[tuple[str, tuple[int, int]]]:
    for call in calls:
        if call.is_history:
            yield call.series, call.window
