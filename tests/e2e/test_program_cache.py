"""Shared caches as a user meets them: filled, looked at, forgotten; a server that dies in the middle of a run."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis
from e2e_program import Processes, Program, Sandbox, until

from core.valkey import ValkeyServer
from tests.fault_proxy import FaultProxy, Latency

pytestmark = pytest.mark.slow

CANDLES = ("spot_ohlcv", "--pair_limit", "3", "--interval", "1d")


@pytest.fixture(params=["disk", "redis"])
def cache(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"disk://{tmp_path}/cache" if request.param == "disk" else request.getfixturevalue("redis_url")


def calls_for_lists(sandbox: Sandbox, mark: int) -> int:
    return sum(not call.is_history for call in sandbox.since(mark))


def test_what_one_store_asked_for_another_has_from_the_cache(
    processes: Processes, market: Sandbox, tmp_path: Path, cache: str
) -> None:
    one = Program(processes, tmp_path / "one.db", market, {"TAPEWATCH_CACHE": cache})
    two = Program(processes, tmp_path / "two.db", market, {"TAPEWATCH_CACHE": cache})
    mark = len(market.calls)
    warmed = one("cache", "warm", "--output", "json", code=0)
    assert warmed.json["metadata_requests"] + warmed.json["windows"] >= 9
    assert "the shared cache has 9 lists" in warmed.err
    assert calls_for_lists(market, mark) == 9
    mark = len(market.calls)
    run = two.ingest(*CANDLES)
    assert (run["status"], run["metadata_requests"], run["cache"]["misses"]) == ("complete", 0, 0)
    assert calls_for_lists(market, mark) == 0
    [row] = two("cache", "stats", "--output", "json", code=0).json
    assert (row["entries"], row["state"]) == (9, "shared")
    assert row["bytes"] > 10_000
    assert "forgot 3 cached lists" in two("cache", "clear", "--data_type", "spot-instruments", code=0).err
    assert "forgot 1 cached list" in two("cache", "clear", "--pattern", "asset_metadata:*", code=0).err
    assert "forgot 1 cached list" in two("cache", "clear", "--tag", "binance", code=0).err
    # What the store of the first has fresh is not asked for again.
    mark = len(market.calls)
    assert one.ingest(*CANDLES)["metadata_requests"] == 0
    assert two("cache", "clear", code=0)
    assert two("cache", "stats", "--output", "json", code=0).json[0]["entries"] == 0


def test_a_running_engine_tells_of_its_cache_and_forgets(tapewatch: Program) -> None:
    assert "nobody has a cache now" in tapewatch("cache", "stats", code=0).out
    engine = tapewatch.engine()
    tapewatch(*CANDLES, code=0)
    rows = tapewatch("cache", "stats", "--output", "json", code=0).json
    assert [row["kind"] for row in rows] == [None, "asset_metadata", "spot_instruments"]
    assert rows[0]["entries"] == 4
    assert rows[0]["p50_ms"] <= rows[0]["p99_ms"]
    assert "forgot 1 cached lists" in tapewatch("cache", "clear", "--tag", "kraken", code=0).err
    assert "forgot 3 cached lists" in tapewatch("cache", "clear", code=0).err
    engine.kill()


@pytest.mark.parametrize("by", ["flag", "setting"])
def test_an_engine_warms_its_cache_when_it_starts(tapewatch: Program, by: str) -> None:
    assert tapewatch.sandbox is not None
    mark = len(tapewatch.sandbox.calls)
    env = {"TAPEWATCH_CACHING__WARM_ON_START": "true"} if by == "setting" else {}
    engine = tapewatch.start("engine", "--linger", "60", *(["--warm"] if by == "flag" else []), **env)
    engine.says(r"engine \S+ ready")
    rows = until(lambda: cached_lists(tapewatch, 9), "nine lists are cached")
    assert rows[0]["tier"] == "memory"
    assert calls_for_lists(tapewatch.sandbox, mark) == 9
    mark = len(tapewatch.sandbox.calls)
    assert tapewatch.ingest(*CANDLES)["metadata_requests"] == 0
    assert calls_for_lists(tapewatch.sandbox, mark) == 0
    shown = tapewatch("jobs", "list", "--output", "json", code=0).json
    assert sum(job["label"] == "warm" for job in shown) == 4
    engine.kill()


def cached_lists(program: Program, count: int) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = program("cache", "stats", "--output", "json", code=0).json
    return rows if rows and rows[0]["entries"] == count else []


def test_a_cache_server_that_dies_costs_a_warning(
    processes: Processes, market: Sandbox, tmp_path: Path, mortal_valkey: ValkeyServer
) -> None:
    program = Program(processes, tmp_path / "store.db", market, {"TAPEWATCH_CACHE": mortal_valkey.url})
    mortal_valkey.kill()
    ended = program(*CANDLES, "--output", "json", code=0)
    assert ended.json["status"] == "complete"
    assert ended.err.count("the redis cache is away") == 1
    assert "away: " in program("cache", "stats", code=0).out
    refused = program("cache", "clear", code=3)
    assert "Connect" in refused.err or "connect" in refused.err


def test_whatever_a_cache_server_does_no_run_hears_of_it(
    processes: Processes, market: Sandbox, tmp_path: Path, mortal_valkey: ValkeyServer
) -> None:
    """One engine; its jobs choose and refresh lists while the server is killed, restarted, slow and read-only."""
    with FaultProxy(mortal_valkey.port) as proxy, redis.Redis.from_url(mortal_valkey.url) as client:
        url = proxy.url(mortal_valkey.url)
        program = Program(processes, tmp_path / "store.db", market, {"TAPEWATCH_CACHE": url})
        engine = program.engine()
        latency = Latency(2.0)
        turns: list[Callable[[], object]] = [
            lambda: None,
            mortal_valkey.kill,
            mortal_valkey.start,
            lambda: proxy.add(latency),
            lambda: proxy.remove(latency),
            lambda: client.replicaof("127.0.0.1", "1"),
            lambda: client.replicaof("NO", "ONE"),
        ]
        for turn in turns:
            turn()
            mark = len(market.calls)
            refreshed = program.ingest("spot_instruments", "--full_refresh")
            chosen = program.ingest(*CANDLES, "--full_refresh", "--yes")
            for run in (refreshed, chosen):
                assert (run["status"], run["errors"], run["retries"]) == ("complete", [], 0)
            assert refreshed["metadata_requests"] == 3
            calls = market.since(mark)
            assert sum(run["requests"] + run["metadata_requests"] for run in (refreshed, chosen)) == len(calls)
        until(lambda: "away" not in program("cache", "stats", code=0).out, "the cache is used again")
        engine.kill()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("disk://relative", "disk:///path"),
        ("mongodb://h", "disk:///path"),
        ("redis://:secret@127.0.0.1:1/0", "TAPEWATCH_CACHE"),
    ],
)
def test_a_cache_that_cannot_be_is_refused(tapewatch: Program, url: str, words: str) -> None:
    refused = tapewatch(*CANDLES, "--cache", url, code=2)
    assert words in refused.err
    assert "secret" not in refused.err
