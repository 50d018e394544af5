"""Windows that keep failing, limits of the vendor, keys, redirects: what is tried again, and what is not."""

import os
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from e2e_program import Call, Program, Sandbox

pytestmark = pytest.mark.slow

SPOT = "/spot/v1/historical/*"
RANGE = ("--start", "2025-01-01", "--end", "2025-02-01")
THREE = ("spot_ohlcv", "--market", "kraken", "--instrument", "BTC-USD,ETH-USD,SOL-USD", *RANGE)
GIVES_UP_WITHIN = 40.0
CANARY = "canary-5e1f0c77-key"
PAIRS = (
    *("BTC-USD", "ETH-USD", "SOL-USD", "XRP-USD", "ADA-USD", "DOGE-USD"),
    *("LTC-USD", "LINK-USD", "DOT-USD", "AVAX-USD", "UNI-USD", "BCH-USD"),
)
FAILING = {
    "status 500": {"status": 500},
    "status 503 in HTML": {"status": 503, "body": "<html>down</html>"},
    "never JSON": {"body": "no JSON at all"},
    "always truncated": {"truncate": 0.7},
    "always NaN": {"mutate": {"rows": [2], "set": {"VOLUME": {"raw": "NaN"}}}},
    "every row impossible": {"mutate": {"set": {"LOW": -1}}},
    "always reset": {"reset": True},
    "always cut": {"cut": 0.5},
    "an error in every 200": {"body": '{"Data": [], "Err": {"type": 2, "message": "out of order", "other_info": {}}}'},
}


def faulty(tapewatch: Program, *faults: dict[str, Any], **options: object) -> Program:
    return tapewatch.on(tapewatch.processes.sandbox(faults=faults, **options))


def sandbox_of(program: Program) -> Sandbox:
    assert program.sandbox is not None
    return program.sandbox


def of(program: Program, instrument: str) -> list[Call]:
    return [call for call in sandbox_of(program).history if call.query["instrument"] == instrument]


def test_windows_that_keep_failing_are_given_up_and_the_others_complete(tapewatch: Program) -> None:
    """One series each way of failing, in one run, beside two clean ones."""
    trap = tapewatch.processes.sandbox()
    elsewhere = {"Location": f"{trap.url}/spot/v1/historical/days"}
    failing = {**FAILING, "always redirected": {"status": 302, "headers": elsewhere}}
    spoilt = dict(zip(failing, PAIRS, strict=False))
    faults = [{"path": SPOT, "query": {"instrument": spoilt[name]}, **rule} for name, rule in failing.items()]
    program = faulty(tapewatch, *faults)
    everything = ",".join(PAIRS)
    ended = program(
        *("spot_ohlcv", "--market", "kraken", "--instrument", everything, *RANGE, "--output", "json"),
        timeout=GIVES_UP_WITHIN,
        code=1,
        TAPEWATCH_API_KEY=CANARY,
    )
    summary = ended.json
    assert trap.calls == []
    assert summary["status"] == "complete_with_gaps"
    assert summary["series"] == len(PAIRS)
    assert summary["windows"] == 2
    assert summary["rows_inserted"] == 62 == program.store.one("SELECT count(*) FROM spot_ohlcv")
    assert summary["requests"] == len(PAIRS)
    assert len(sandbox_of(program).history) == summary["requests"] + summary["retries"]
    assert len(summary["errors"]) == len(failing)
    for name, instrument in spoilt.items():
        assert 2 <= len(of(program, instrument)) <= 5, name
        assert [error for error in summary["errors"] if error.startswith(f"spot_ohlcv/kraken/{instrument}/1d")], name
        assert f"gave up spot_ohlcv/kraken/{instrument}/1d" in ended.err
    kept = program.store.all("SELECT instrument, q.* FROM quarantine q JOIN series s ON s.id = q.series_id")
    reasons = {row["instrument"]: row["reason"] for row in kept}
    assert reasons == {
        spoilt["never JSON"]: "unparsable",
        spoilt["always truncated"]: "unparsable",
        spoilt["always NaN"]: "unparsable",
        spoilt["every row impossible"]: "price_not_positive",
    }
    assert all(row["raw"] for row in kept)
    assert summary["rows_quarantined"] == len(kept)
    alerts = program.store.all("SELECT rule, level, state FROM alert")
    assert [alert for alert in alerts if alert["rule"] == "retries_exhausted"]
    assert program("status", "--check").code == 1
    # When the vendor is well again, a rerun asks for the missing windows only.
    healthy = program.on(tapewatch.processes.sandbox())
    mended = healthy.ingest("spot_ohlcv", "--market", "kraken", "--instrument", everything, *RANGE)
    assert (mended["status"], mended["requests"]) == ("complete", len(failing))
    assert program.store.one("SELECT count(*) FROM alert WHERE state = 'firing'") == 0
    assert program("status", "--check").code == 0


def test_a_body_that_drips_is_given_up(tapewatch: Program) -> None:
    """The deadline is for the whole answer: one that never stops arriving ends too."""
    program = faulty(tapewatch, {"path": SPOT, "query": {"instrument": "ETH-USD"}, "slow": 30})
    program.env["TAPEWATCH_SOURCE__REQUEST_TIMEOUT"] = "0.5"
    ended = program(*THREE, "--output", "json", timeout=GIVES_UP_WITHIN, code=1)
    assert ended.json["windows"] == 2
    assert "no complete answer within 0.5 s" in ended.json["errors"][0]


def test_a_body_that_drips_is_given_up_with_the_default_deadline(tapewatch: Program) -> None:
    program = faulty(tapewatch, {"path": SPOT, "query": {"instrument": "ETH-USD"}, "slow": 120})
    ended = program(*THREE, "--output", "json", timeout=GIVES_UP_WITHIN, code=1)
    assert ended.json["windows"] == 2


def test_a_bad_name_is_not_asked_twice(tapewatch: Program) -> None:
    names = "BTC-USD,NOT-THERE"
    ended = tapewatch("spot_ohlcv", "--market", "kraken", "--instrument", names, *RANGE, "--output", "json", code=1)
    assert ended.json["retries"] == 0
    assert "not found" in ended.json["errors"][0]
    ended = tapewatch("spot_ohlcv", "--market", "kraken", "--instrument", "NOT-THERE", "--output", "json", code=2)
    assert "NOT-THERE" in ended.err


def test_nothing_is_asked_while_the_vendor_wants_to_be_left_alone(tapewatch: Program) -> None:
    """Retry-After, and the window that the headers say is used up; one worker, so that nothing else is in flight."""
    used_up = {
        "X-RateLimit-Remaining-All": "900, 0;window=1, 0;window=60, 900;window=3600, 900;window=86400",
        "X-RateLimit-Reset-All": "900, 0;window=1, 2;window=60, 900;window=3600, 900;window=86400",
    }
    program = faulty(
        tapewatch,
        {"path": SPOT, "calls": [1], "status": 429, "headers": {"Retry-After": "1"}},
        {"path": SPOT, "calls": [3], "status": 429, "headers": used_up},
        limits="paid",
    )
    summary = program.ingest(*THREE, "--parallel_workers", "1")
    history = sandbox_of(program).history
    assert [call.status for call in history] == [429, 200, 429, 200, 200]
    assert history[1].time - history[0].time >= 1
    assert history[3].time - history[2].time >= 2
    assert (summary["requests"], summary["retries"], summary["windows"]) == (3, 2, 3)


def test_only_what_was_in_flight_comes_after_a_429(tapewatch: Program) -> None:
    program = faulty(tapewatch, {"path": SPOT, "calls": [4], "status": 429, "headers": {"Retry-After": "2"}})
    names = ",".join(PAIRS)
    summary = program.ingest(
        "spot_ohlcv", "--market", "kraken", "--instrument", names, *RANGE, "--parallel_workers", "3"
    )
    history = sandbox_of(program).history
    [refused] = [call for call in history if call.status == 429]
    inside = [call for call in history if refused.time < call.time < refused.time + 2]
    assert len(inside) <= 2
    # One wait, and not one after every answer: the sandbox's clock is frozen, the wait is a duration.
    assert sum(1 for one, next_one in pairwise(history) if next_one.time - one.time > 1.5) == 1
    assert (summary["requests"], summary["retries"], summary["windows"]) == (12, 1, 12)


def test_a_small_limit_is_never_exceeded(tapewatch: Program) -> None:
    """The listings' answers name the limit before the first history call."""
    program = faulty(tapewatch, limits="second=5,day=100000,month=1000000")
    summary = program.ingest("spot_ohlcv", "--market", "kraken", "--pair_limit", "12", "--start", "2025-05-01")
    calls = sandbox_of(program).calls
    assert {call.status for call in calls} == {200}
    seconds = [int(call.time) for call in calls]
    assert max(seconds.count(second) for second in seconds) <= 5
    assert (summary["retries"], summary["windows"]) == (0, 12)


def test_a_used_up_limit_is_worth_another_try_later(tapewatch: Program) -> None:
    program = faulty(tapewatch, limits="hour=4")
    names = "BTC-USD,ETH-USD,SOL-USD,XRP-USD,ADA-USD,DOGE-USD"
    command = ("spot_ohlcv", "--market", "kraken", "--instrument", names, *RANGE, "--parallel_workers", "1")
    ended = program(*command, "--max_wait", "0", "--output", "json", code=75)
    assert ended.json["status"] == "waiting_quota"
    assert ended.json["windows"] == 4
    assert "hour limit" in ended.json["errors"][0]
    assert {call.status for call in sandbox_of(program).calls} == {200}
    assert program.store.one("SELECT count(*) FROM spot_ohlcv") == 4 * 31
    rest = program.on(tapewatch.processes.sandbox()).ingest(*command)
    assert (rest["requests"], rest["status"]) == (2, "complete")


def test_listings_that_fail_for_a_moment_are_asked_again(tapewatch: Program) -> None:
    program = faulty(
        tapewatch,
        {"path": "/spot/v1/markets/*", "calls": [1], "status": 503},
        {"path": "/asset/*", "calls": [1], "truncate": 0.5},
    )
    summary = program.ingest("spot_ohlcv", "--market", "kraken", "--pair_limit", "2", "--start", "2025-05-01")
    assert (summary["metadata_requests"], summary["retries"], summary["requests"]) == (2, 2, 2)
    assert len(sandbox_of(program).calls) == 6


def test_listings_that_keep_failing_fail_the_run(tapewatch: Program) -> None:
    program = faulty(tapewatch, {"path": "/spot/v1/markets/*", "body": "<html>maintenance</html>"})
    ended = program("spot_ohlcv", "--market", "kraken", "--pair_limit", "2", timeout=GIVES_UP_WITHIN, code=3)
    assert "HTML" in ended.err
    assert sandbox_of(program).history == []


def test_nobody_answers(tapewatch: Program) -> None:
    program = tapewatch
    program.env["TAPEWATCH_BASE_URL"] = "http://127.0.0.1:9"
    ended = program(*THREE, "--output", "json", timeout=GIVES_UP_WITHIN, code=3)
    assert ended.json["status"] == "failed"
    assert ended.json["rows_inserted"] == 0
    assert "connection failed" in ended.json["errors"][0]
    assert program("status", "--check").code == 1


def test_proxies_and_netrc_of_the_environment_are_ignored(tapewatch: Program) -> None:
    trap = tapewatch.processes.sandbox()
    tapewatch.ingest(*THREE, HTTP_PROXY=trap.url, http_proxy=trap.url, ALL_PROXY=trap.url)
    assert trap.calls == []


@pytest.fixture
def guarded(tapewatch: Program) -> Program:
    return tapewatch.on(tapewatch.processes.sandbox(**{"require-key": CANARY}))


def key_file(program: Program, mode: int) -> Path:
    path = program.db.with_name("key")
    path.write_text(CANARY + "\n")
    path.chmod(mode)
    return path


@pytest.mark.parametrize("command", [THREE, ("spot_ohlcv", "--pair_limit", "2")])
def test_a_missing_key_is_named_and_not_hammered(guarded: Program, command: tuple[str, ...]) -> None:
    ended = guarded(*command, "--output", "json", code=3)
    assert "TAPEWATCH_API_KEY" in ended.err
    assert "TAPEWATCH_API_KEY" in ended.json["errors"][0]
    assert {call.status for call in sandbox_of(guarded).calls} == {401}
    assert len(sandbox_of(guarded).calls) <= 3


def test_a_wrong_key_is_never_shown(guarded: Program) -> None:
    ended = guarded(*THREE, code=3, TAPEWATCH_API_KEY="wrong-" + CANARY)
    assert CANARY not in ended.out + ended.err


@pytest.mark.parametrize("name", ["TAPEWATCH_API_KEY", "CCDATA_API_KEY"])
def test_a_key_from_the_environment(guarded: Program, name: str) -> None:
    for output in ("json", "jsonl", "text"):
        ended = guarded(*THREE, "--output", output, "--full_refresh", code=0, **{name: CANARY})
        assert CANARY not in ended.out + ended.err
    check_no_trace_of_the_key(guarded)


def test_a_key_from_a_private_file(guarded: Program) -> None:
    path = key_file(guarded, 0o600)
    ended = guarded(*THREE, code=0, TAPEWATCH_API_KEY_FILE=str(path))
    assert CANARY not in ended.out + ended.err
    shown = guarded("config", "show", code=0, TAPEWATCH_API_KEY_FILE=str(path))
    assert shown.json_document["api_key"] == "set"
    assert CANARY not in shown.out + shown.err
    path.unlink()
    check_no_trace_of_the_key(guarded)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
def test_a_key_file_that_others_can_read_is_refused(guarded: Program, mode: int) -> None:
    path = key_file(guarded, mode)
    ended = guarded(*THREE, code=2, TAPEWATCH_API_KEY_FILE=str(path))
    assert f"chmod 600 {path}" in ended.sentence
    assert CANARY not in ended.err
    assert sandbox_of(guarded).calls == []


def check_no_trace_of_the_key(program: Program) -> None:
    """Neither in the vendor's log, as a query, nor in any file that the program wrote."""
    assert CANARY not in "".join(str(call) for call in sandbox_of(program).calls)
    needle = CANARY.encode()
    for folder, _, names in os.walk(program.db.parent):
        for name in names:
            path = Path(folder) / name
            assert path.is_symlink() or needle not in path.read_bytes(), path
