"""`serve` as its users run it: it takes jobs, runs schedules, reloads, and its supervisor hears of it."""

import json
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e_program import Processes, Program, Started, until

pytestmark = pytest.mark.slow

ONE = {"data_type": "spot_ohlcv", "market": "kraken", "instrument": "BTC-USD", "interval": "1d", "start": "2025-05-25"}
SCHEDULES = """
[schedules.minutes]
cron = "* * * * *"
operation = {data_type = "spot_ohlcv", market = "kraken", instrument = "BTC-USD", interval = "1d", start = "2025-05-25"}
"""


@pytest.fixture
def serving(tapewatch: Program, tmp_path: Path) -> Iterator["Serving"]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.bind(str(tapewatch.processes.runtime / "notify"))
        supervisor.settimeout(30)
        yield Serving(tapewatch, tmp_path / "schedules.toml", supervisor)


class Serving:
    """A `serve` whose supervisor is the test."""

    def __init__(self, program: Program, schedules: Path, supervisor: socket.socket) -> None:
        self.program = program
        self.schedules = schedules
        self._supervisor = supervisor

    def start(self, *arguments: str, **env: str) -> Started:
        address = str(self._supervisor.getsockname())
        started = self.program.start("serve", "--listen", "127.0.0.1:0", *arguments, NOTIFY_SOCKET=address, **env)
        started.says(r"^engine \w+ ready")
        return started

    def hears(self, line: str) -> str:
        """Waits for the message that has this line, and gives it."""
        while True:
            message = self._supervisor.recv(65_536).decode()
            if line in message.splitlines():
                return message


def end(started: Started, number: int = signal.SIGTERM) -> int:
    started.signal(number)
    return started.done().code


def test_without_schedules_it_takes_jobs_until_it_is_told_to_stop(serving: Serving) -> None:
    daemon = serving.start()
    assert "STATUS=no schedules: jobs of other commands are taken" in serving.hears("READY=1")
    summary = serving.program("spot_ohlcv", *_flags(), "--output", "json", code=0)
    assert summary.json["status"] == "complete"
    assert "the serve's engine" in summary.err
    assert end(daemon) == 0
    serving.hears("STOPPING=1")


def _flags() -> list[str]:
    return [word for name, value in ONE.items() if name != "data_type" for word in (f"--{name}", value)]


def test_a_new_schedule_runs_from_its_next_tick_on(serving: Serving) -> None:
    serving.schedules.write_text(SCHEDULES)
    daemon = serving.start("--schedules", str(serving.schedules), "--log_format", "json")
    assert "next run of minutes at 20" in serving.hears("READY=1")
    daemon.says(r"spot_ohlcv 1d minutes: complete")  # within a minute, by the machine's clock
    store = serving.program.store
    until(lambda: [row for row in ticks(serving) if row["state"] == "done"], "the end of the run is written down", 10)
    assert end(daemon) == 0
    assert all(json.loads(line)["level"] for line in daemon.err.splitlines() if line.startswith("{"))
    new, *ran = ticks(serving)
    assert (new["state"], new["note"]) == ("skipped", "the schedule is new: its first run is the next")
    assert {run_id for row in ran for run_id in json.loads(row["runs"])} == {
        row["run_id"] for row in store.all("SELECT run_id FROM run")
    }


def ticks(serving: Serving) -> list[dict[str, object]]:
    return serving.program.store.all("SELECT * FROM schedule_tick ORDER BY tick")


def test_a_reload_takes_what_is_right_and_leaves_what_is_not(serving: Serving) -> None:
    serving.schedules.write_text(SCHEDULES)
    daemon = serving.start("--schedules", str(serving.schedules))
    serving.hears("READY=1")
    serving.schedules.write_text(SCHEDULES.replace("cron", "corn"))
    daemon.signal(signal.SIGHUP)
    serving.hears("RELOADING=1")
    serving.hears("READY=1")
    daemon.says(r"not reloaded, everything stays .*schedules.minutes.corn: there is no such key; did you mean 'cron'\?")
    serving.schedules.write_text(SCHEDULES.replace("minutes", "nightly").replace("* * * * *", "10 0 * * *"))
    daemon.signal(signal.SIGHUP)
    assert "MONOTONIC_USEC=" in serving.hears("RELOADING=1")
    assert "next run of nightly" in serving.hears("READY=1")
    assert end(daemon) == 0


def test_a_reload_takes_rules_and_channels_all_or_nothing(serving: Serving, tmp_path: Path) -> None:
    settings, rules, heard = tmp_path / "own.toml", tmp_path / "rules.toml", tmp_path / "heard"
    script = tmp_path / "tell.py"
    script.write_text(f"open({str(heard)!r}, 'a').write('told')")
    program = json.dumps([sys.executable, str(script)])
    settings.write_text('[alerts]\nrules = "rules.toml"\n')
    rules.write_text("")
    daemon = serving.start("--config_file", str(settings))
    serving.hears("READY=1")
    rules.write_text("[rules.memory]\nabove = { WARNING = 0.0001 }\nfor = '1x'\n")
    settings.write_text(
        '[alerts]\nrules = "rules.toml"\nevery = 1\n[alerts.channels.own]\nurl = "command://"\n'
        '[alerts.channels.bare]\nurl = "slack://a/b/c"\n'
    )
    daemon.signal(signal.SIGHUP)
    daemon.says(r"not reloaded, everything stays as it was: .*rules.toml: rules.memory.for: write a length of time")
    daemon.says(r"not reloaded, .*own.toml: alerts.channels.own: command:// needs a program")
    daemon.says(r"not reloaded, .*own.toml: alerts.channels.bare: a URL of Apprise holds secrets")
    rules.write_text("[rules.memory]\nabove = { WARNING = 0.0001 }\nfor = '0s'\n")
    settings.write_text(
        '[engine]\nconcurrent_jobs = 2\n[alerts]\nrules = "rules.toml"\nevery = 1\n'
        f'[alerts.channels.own]\nurl = "command://"\nprogram = {program}\n'
    )
    daemon.signal(signal.SIGHUP)
    daemon.says(r"changed as well, but only a restart takes it over: engine.concurrent_jobs ")
    daemon.says(r"reloaded: 0 schedules, \d+ rules, 1 channel ")
    until(heard.exists, "the new channel hears of what the new rule says")
    assert end(daemon) == 0


def test_its_log_is_opened_anew_when_it_was_moved(serving: Serving, tmp_path: Path) -> None:
    log = tmp_path / "serve.log"
    daemon = serving.start("--log_file", str(log))
    serving.hears("READY=1")
    log.rename(tmp_path / "serve.log.1")
    daemon.signal(signal.SIGHUP)
    until(lambda: log.exists() and "reloaded" in log.read_text(), "a new log")
    assert "no schedules" in (tmp_path / "serve.log.1").read_text()
    assert end(daemon, signal.SIGINT) == 130


def test_the_watchdog_hears_that_the_loop_is_alive(serving: Serving) -> None:
    daemon = serving.start(WATCHDOG_USEC="300000")
    for _ in range(3):
        serving.hears("WATCHDOG=1")
    assert end(daemon) == 0


def test_faults_are_told_before_anything_starts(tapewatch: Program, tmp_path: Path) -> None:
    (tmp_path / "schedules.toml").write_text(SCHEDULES.replace("* * * * *", "* * * *"))
    ended = tapewatch("serve", "--schedules", str(tmp_path / "schedules.toml"), code=2)
    assert "schedules.minutes.cron: '* * * *': it has 4 fields; write minute hour day month weekday" in ended.err
    assert not tapewatch.db.exists()
    assert "--listen '0.0.0.0:1'" in tapewatch("serve", "--listen", "0.0.0.0:1", code=2).err.replace(
        "0.0.0.0:1: ", "'0.0.0.0:1'"
    )


def test_a_plan_prices_schedules_and_refuses_what_cannot_keep_up(processes: Processes, tmp_path: Path) -> None:
    tapewatch = Program(processes, tmp_path / "store.db", processes.sandbox(limits="free", now=None))
    file = tmp_path / "schedules.toml"
    names = ",".join(f"kraken/{name}-USD" for name in ("BTC", "ETH", "SOL"))
    file.write_text(f"""
        [schedules.hourly]
        cron = "5 * * * *"
        operation = {{data_type = "spot_ohlcv", series = "{names}", interval = "1h", start = "2025-05-01"}}
    """)
    found = tapewatch("plan", "--schedules", str(file), "--output", "json", code=0).json
    assert found["keeps_up"]
    assert found["limits"]
    [hourly] = found["schedules"]
    assert (hourly["schedule"], hourly["series"], hourly["calls_an_hour"] >= 3) == ("hourly", 3, True)
    assert hourly["next_run"].endswith(":05:00Z")
    file.write_text(file.read_text().replace("5 * * * *", "* * * * *"))
    refused = tapewatch("plan", "--schedules", str(file), code=2, TAPEWATCH_QUOTA__MONTH_BUDGET="1000")
    assert "hourly: " in refused.err
    assert "a month are more than quota.month_budget allows: 1,000" in refused.err
    assert "calls a month" in refused.out
    assert not tapewatch.db.exists()


def test_a_plan_of_schedules_without_a_file_says_how_to_name_one(tapewatch: Program) -> None:
    assert "tapewatch plan --schedules FILE" in tapewatch("plan", "--schedules", code=2).sentence
