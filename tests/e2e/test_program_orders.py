"""What clients order over the control socket: quotes, repairs, retries, the cache, schedules."""

import json
from pathlib import Path
from typing import Any

import pytest
from e2e_program import Client, Processes, Program, Started, until

pytestmark = pytest.mark.slow

SPAN = {"start": "2025-05-01", "end": "2025-05-11"}
TWO = {"data_type": "spot_ohlcv", "market": "kraken", "instrument": "BTC-USD,XRP-USD", "interval": "1d", **SPAN}
SCHEDULES = """
[schedules.yearly]
cron = "0 0 1 1 *"
operation = {data_type = "spot_ohlcv", market = "kraken", instrument = "BTC-USD", interval = "1d", start = "2025-05-25"}
"""


def ended(client: Client, answer: dict[str, Any]) -> dict[str, Any]:
    """The summary of the job that a command answered with."""
    result = answer["result"]
    assert answer["ok"], answer
    [job] = result["jobs"] if "jobs" in result else [result["job"]]
    return client.until(lambda event: event["event"] == "summary" and event["job"] == job)


def test_what_is_quoted_is_what_is_bought_and_what_failed_is_tried_and_repaired(processes: Processes) -> None:
    faults = [
        {"query": {"instrument": "BTC-USD"}, "calls": [1], "mutate": {"rows": [3], "set": {"VOLUME": -1}}},
        {"query": {"instrument": "XRP-USD"}, "calls": [1], "status": 404},
    ]
    program = Program(processes, processes.folder / "store.db", processes.sandbox(faults=faults))
    with Client(program.socket_of(program.engine())) as client:
        quote = client.ask("quote", operations=[TWO])["result"]
        assert (quote["requests"], quote["rows"], quote["series_total"]) == (2, 20, 2)
        assert not program.sandbox or not program.sandbox.history
        first = ended(client, client.ask("submit_batch", operations=[TWO]))
        assert (first["requests"], first["rows_inserted"]) == (2, 9)
        again = ended(client, client.ask("retry", job=first["job"], failed=True))
        assert (again["series"], again["rows_inserted"], again["status"]) == (1, 10, "complete")
        assert client.ask("repair", markets=["nowhere"])["error"].startswith("nothing to repair")
        cost = client.ask("repair", series=["spot_ohlcv/kraken/BTC-USD/1d"], dry_run=True)["result"]
        assert (cost["requests"], cost["series_total"]) == (1, 1)
        repaired = ended(client, client.ask("repair"))
        assert (repaired["rows_inserted"], repaired["label"], repaired["gaps_open"]) == (1, "gaps repair", 0)
    assert len(program.store.table("spot_ohlcv_1d")) == 20


def test_the_cache_is_warmed_and_cleared(tapewatch: Program) -> None:
    with Client(tapewatch.socket_of(tapewatch.engine())) as client:
        answer = client.ask("warm_cache")
        assert len(answer["result"]["jobs"]) == 4
        client.until(lambda event: event["event"] == "log" and event["text"].startswith("the cache is warm"))
        assert client.ask("clear_cache")["result"]["forgot"] > 0
        assert client.ask("warm_cache", market="kraken")["error"] == "Object contains unknown field `market`"


def test_no_command_waits_for_a_quote(tapewatch: Program) -> None:
    slow = tapewatch.on(tapewatch.processes.sandbox(latency=1_500))
    listed = {"data_type": "spot_ohlcv", "market": "kraken", "pair_limit": 3, "interval": "1d"}
    with Client(slow.socket_of(slow.engine())) as client:
        client.send(json.dumps({"id": 900, "command": "quote", "args": {"operations": [listed]}}).encode())
        assert client.ask("cancel", job="j-0000")["error"] == "there is no job 'j-0000' in this engine"
        assert not [message for message in client.heard if message.get("id") == 900]
        answer = client.until(lambda event: event.get("id") == 900)
    assert answer["result"]["series_total"] == 3


def serve(program: Program, schedules: Path) -> Started:
    daemon = program.start("serve", "--listen", "127.0.0.1:0", "--schedules", str(schedules))
    daemon.says(r"^engine \w+ ready")
    return daemon


def state(client: Client) -> dict[str, Any]:
    """The schedule, as it is told next."""
    return client.until(lambda event: event["event"] == "schedule")


def test_a_schedule_is_paused_over_a_restart_run_and_resumed(tapewatch: Program, tmp_path: Path) -> None:
    (tmp_path / "schedules.toml").write_text(SCHEDULES)
    daemon = serve(tapewatch, tmp_path / "schedules.toml")
    with Client(tapewatch.socket_of(daemon)) as client:
        assert (state(client)["last_state"], client.ask("resume_schedule", schedule="yearly", by="ann")["error"]) == (
            "skipped",
            "schedule 'yearly' is not paused",
        )
        assert client.ask("pause_schedule", schedule="yearly", by="ann", comment="house")["ok"]
    daemon.signal(15)
    assert daemon.done().code == 0
    schedules = {"TAPEWATCH_SERVE__SCHEDULES": str(tmp_path / "schedules.toml")}
    [listed] = tapewatch("status", "--output", "json", **schedules).json_document["schedules"]
    assert (listed["paused"], listed["next_run"]) == ("ann paused it: house", None)
    assert "ann paused it: house" in tapewatch("status", **schedules).out
    daemon = serve(tapewatch, tmp_path / "schedules.toml")
    with Client(tapewatch.socket_of(daemon)) as client:
        found = state(client)
        assert (found["paused_by"], found["comment"], found["next_run"]) == ("ann", "house", None)
        tick = client.ask("run_schedule", schedule="yearly", by="bob")["result"]["tick"]
        done = client.until(lambda event: event["event"] == "schedule" and event["last_state"] == "done")
        assert (done["last_tick"], done["last_note"]) == (tick, "bob asked for it")
        assert client.ask("resume_schedule", schedule="yearly", by="bob")["ok"]
        client.until(lambda event: event["event"] == "schedule" and event["next_run"] is not None)
    assert tapewatch.store.one("SELECT state FROM schedule_tick WHERE tick = ?", tick) == "done"
    until(lambda: tapewatch.store.table("spot_ohlcv_1d"), "rows")
    daemon.signal(15)
    assert daemon.done().code == 0


@pytest.mark.parametrize("command", ["run_schedule", "pause_schedule", "resume_schedule"])
def test_an_engine_without_schedules_says_what_has_them(tapewatch: Program, command: str) -> None:
    with Client(tapewatch.socket_of(tapewatch.engine())) as client:
        answer = client.ask(command, schedule="yearly", by="ann")
    assert answer["error"] == "this engine runs no schedules: tapewatch serve --schedules FILE starts one that does"
