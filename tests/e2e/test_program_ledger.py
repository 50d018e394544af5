"""Engines of one key on stores of their own: together they stay within the vendor's limits, and use them."""

import json
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest
from e2e_program import Program, Sandbox, Started

pytestmark = pytest.mark.slow

KEY = "canary-77ab-key"
PAIRS = (
    *("BTC-USD", "ETH-USD", "SOL-USD", "XRP-USD", "ADA-USD", "DOGE-USD"),
    *("LTC-USD", "LINK-USD", "DOT-USD", "AVAX-USD", "UNI-USD", "BCH-USD"),
)
RANGE = ("--start", "2025-01-01", "--end", "2025-02-01")
HISTORY = ("spot_ohlcv", "--market", "kraken,coinbase", "--instrument", ",".join(PAIRS), *RANGE)
WINDOWS = 2 * len(PAIRS)
SECOND, HOUR = 1, 3_600


def start(program: Program, engines: int, *arguments: str, **env: str) -> list[tuple[Program, Started]]:
    """So many engines on stores of their own, all of one user and one key."""
    assert program.sandbox is not None
    stores = [program.on(program.sandbox, program.db.with_name(f"store-{at}.db")) for at in range(engines)]
    return [(each, each.start(*HISTORY, *arguments, TAPEWATCH_API_KEY=KEY, **env)) for each in stores]


def most(sandbox: Sandbox, seconds: int) -> int:
    """The largest number of calls in one of the vendor's windows."""
    return max(Counter(int(call.time) // seconds for call in sandbox.calls).values())


def limited(tapewatch: Program, limits: str, latency: int = 20) -> tuple[Program, Sandbox]:
    sandbox = tapewatch.processes.sandbox(limits=limits, latency=latency)
    return tapewatch.on(sandbox), sandbox


@pytest.fixture(params=["file", "valkey"])
def ledger(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue("redis_url")) if request.param == "valkey" else "auto"


def assert_used_up(sandbox: Sandbox, second: int, hour: int) -> None:
    """Not one call over a limit, although the vendor lets a tenth more pass, and next to none of the hour left."""
    calls = sandbox.calls
    assert {call.status for call in calls} == {200}
    assert most(sandbox, SECOND) <= second
    assert most(sandbox, HOUR) <= hour
    assert len(calls) >= hour - 2


def test_two_engines_share_what_the_vendor_sells_without_being_told_to(tapewatch: Program) -> None:
    """Together they want 48 calls of an hour that has 32; neither may wait for the next one."""
    program, sandbox = limited(tapewatch, "second=10,hour=32")
    ended = [engine.done() for _, engine in start(program, 2, "--max_wait", "5")]
    assert_used_up(sandbox, 10, 32)
    assert {0, 75} >= {each.code for each in ended}
    kept = Path(program.processes.environment()["XDG_STATE_HOME"], "tapewatch", "quota.db")
    assert (kept.stat().st_mode & 0o777, kept.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert KEY.encode() not in kept.read_bytes()


def test_four_engines_stay_within_every_limit(tapewatch: Program, ledger: str) -> None:
    program, sandbox = limited(tapewatch, "second=12,hour=80")
    arguments = ("--max_wait", "5", "--output", "json")
    engines = start(program, 4, *arguments, TAPEWATCH_QUOTA__LEDGER=ledger)
    summaries = [(each, engine.done(150).json) for each, engine in engines]
    assert_used_up(sandbox, 12, 80)
    for each, found in summaries:
        assert (found["retries"], found["status"] in {"complete", "waiting_quota"}) == (0, True)
        assert each.store.one("SELECT count(*) FROM spot_ohlcv") == found["windows"] * 31
    assert sum(found["windows"] for _, found in summaries) == len(sandbox.history)


def test_a_later_run_knows_what_an_earlier_one_has_used_up(tapewatch: Program) -> None:
    program, sandbox = limited(tapewatch, "hour=6")
    [(_, first)] = start(program, 1, "--max_wait", "0")
    assert first.done().code == 75
    used = len(sandbox.calls)
    again = program.on(sandbox, program.db.with_name("another.db"))
    ended = again(*HISTORY, "--max_wait", "0", "--output", "json", TAPEWATCH_API_KEY=KEY)
    hours = len({int(call.time) // HOUR for call in sandbox.calls})
    assert (ended.code, used, len(sandbox.calls)) == (75, 6, 6) or hours > 1
    assert "hour limit" in ended.json["errors"][0]


def test_engines_may_be_told_to_count_alone(tapewatch: Program) -> None:
    program, _ = limited(tapewatch, "none", latency=0)
    [(_, engine)] = start(program, 1, TAPEWATCH_QUOTA__LEDGER="own")
    assert engine.done().code == 0
    assert not list(program.processes.folder.rglob("quota.db"))


def test_without_a_place_for_the_file_a_run_completes_and_says_so(tapewatch: Program, tmp_path: Path) -> None:
    program, _ = limited(tapewatch, "none", latency=0)
    (tmp_path / "file").write_text("")
    [(_, engine)] = start(program, 1, TAPEWATCH_STATE=str(tmp_path / "file" / "state"))
    ended = engine.done()
    assert ended.code == 0
    assert ended.err.count("this engine counts alone") == 1


def test_a_ledger_that_is_away_ends_a_run_as_a_limit_does(tapewatch: Program) -> None:
    program, sandbox = limited(tapewatch, "none", latency=0)
    [(_, engine)] = start(
        program, 1, "--max_wait", "2", "--output", "json", TAPEWATCH_QUOTA__LEDGER="redis://:secret@127.0.0.1:9/0"
    )
    ended = engine.done()
    assert (ended.code, ended.json["status"]) == (75, "waiting_quota")
    assert "is away" in ended.json["errors"][0]
    assert "secret" not in ended.out + ended.err
    assert sandbox.calls == []
    shown = program("config", "show", TAPEWATCH_QUOTA__LEDGER="redis://:secret@127.0.0.1:9/0")
    assert json.loads(shown.out)["quota"]["ledger"] == "redis://:***@127.0.0.1:9/0"


def test_the_vendor_is_asked_for_limits_once_however_many_plans_are_large(tapewatch: Program) -> None:
    program, sandbox = limited(tapewatch, "day=500", latency=0)
    year = ("--interval", "1m", "--start", "2024-06-01", "--end", "2025-06-01")
    for at in range(3):
        store = program.on(sandbox, program.db.with_name(f"store-{at}.db"))
        ended = store(*HISTORY[:5], *year, code=2, TAPEWATCH_API_KEY=KEY)
        assert "the default share of what is left of the day allows 49" in ended.err
    assert [call.path for call in sandbox.calls] == ["/admin/v2/rate/limit"]


def accounts(path: Path) -> set[str]:
    with closing(sqlite3.connect(path)) as db:
        return {name for (name,) in db.execute("SELECT name FROM account")}


def test_sandboxes_are_accounts_of_their_own(tapewatch: Program) -> None:
    one, two = limited(tapewatch, "hour=3", latency=0), limited(tapewatch, "none", latency=0)
    assert start(one[0], 1, "--max_wait", "0")[0][1].done().code == 75
    assert start(two[0], 1, "--max_wait", "0")[0][1].done().code == 0
    [path] = tapewatch.processes.folder.rglob("quota.db")
    assert {name.split(" at ")[1] for name in accounts(path)} == {
        sandbox.url.removeprefix("http://") for _, sandbox in (one, two)
    }
