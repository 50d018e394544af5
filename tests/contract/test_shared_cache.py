"""Caches that processes share, on a real Valkey and on disk: what they owe, and what they may cost when they fail."""

import asyncio
import os
import pickle
import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import redis

from core.cache import Cache, Far
from core.cache.disk import DiskCache
from core.cache.memory import SAMPLED, MemoryCache
from core.cache.opening import open_cache, open_far
from core.cache.read_through import Held, Kind, Load, Loaded, ReadThrough
from core.cache.tiered import LOOK_SECONDS, TieredCache
from core.clock import LoopClock
from core.errors import CacheUnavailable, ConfigError, Transient
from core.valkey import ValkeyServer
from tests.fakes import mutated
from tests.fault_proxy import FaultProxy, Latency

ROOT = Path(__file__).parents[2]
# What a busy machine may take, where it is not the server's speed that is tested.
PATIENCE = 10.0
KIND = Kind("instruments", ttl=100.0, stale_for=1_000.0)


class SteppedClock(LoopClock):
    """Time that passes when told to, for everything; sleeping lets others run."""

    def __init__(self) -> None:
        self.now = 1_750_000_000.0

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


@pytest.fixture(params=["disk", "redis"])
def far_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"disk://{tmp_path}/cache" if request.param == "disk" else request.getfixturevalue("redis_url")


@pytest.fixture
async def far(far_url: str) -> AsyncIterator[Far]:
    opened = open_far(far_url)
    yield opened
    await opened.close()


@pytest.fixture(params=["memory", "far", "off"])
async def any_cache(request: pytest.FixtureRequest, far_url: str, clock: SteppedClock) -> AsyncIterator[Cache]:
    """Every cache that an engine may have."""
    url = {"memory": "memory://", "off": "off://"}.get(request.param, f"hybrid+{far_url}")
    opened = open_cache(url, clock)
    yield opened
    await opened.close()


def tiered(far: Far, clock: LoopClock, said: list[str] | None = None) -> TieredCache:
    said = [] if said is None else said
    return TieredCache(MemoryCache(clock=clock.monotonic), far, clock, said.append)


# --- what a shared cache owes


async def test_values_are_kept_replaced_and_forgotten(far: Far) -> None:
    assert await far.get("a") is None
    for value in (b"1", b"", bytes(range(256)) * 1_000):
        await far.set("a", value, 100)
        assert await far.get("a") == value
    await far.set("a:b", b"2", 100)
    await far.delete("a")
    await far.delete("a")
    assert (await far.get("a"), await far.get("a:b")) == (None, b"2")
    await far.clear()
    assert await far.get("a:b") is None


async def test_what_was_set_for_no_time_is_gone(far: Far) -> None:
    await far.set("a", b"1", 1e-9)
    for _ in range(1_000):
        if (found := await far.get("a")) is None:
            break
    assert found is None


async def test_patterns_and_tags_forget_what_they_name(far: Far) -> None:
    for name in ("spot:kraken", "spot:coinbase", "futures:kraken", "spot:[x]*"):
        await far.set(name, b"1", 100, tags=[name.split(":")[0], "all"])
    assert await far.drop("spot:[x]\x00") == 0
    assert await far.drop("spot:k?aken") == 1
    assert await far.drop_tag("spot") == 2
    assert await far.drop_tag("spo") == 0
    assert await far.get("futures:kraken") == b"1"
    assert await far.drop("*") == 1


async def test_everything_forgotten_raises_the_generation(far: Far) -> None:
    await far.set("a", b"1", 100, tags=["t"])
    seen = [await far.generation()]
    for forget in (far.delete("a"), far.drop("x*"), far.drop_tag("t"), far.clear()):
        await forget
        seen.append(await far.generation())
    assert seen == sorted(set(seen))


async def test_a_claim_is_one_caller_s_until_it_is_released_or_over(far: Far, far_url: str) -> None:
    assert await far.claim("a", 100)
    other = open_far(far_url)
    assert not await other.claim("a", 100)
    assert await other.claim("b", 100)
    await far.release("a")
    assert await other.claim("a", 100)
    await other.close()


async def test_a_claim_that_ran_out_is_not_given_back_by_who_had_it(far: Far, far_url: str) -> None:
    other, third = open_far(far_url), open_far(far_url)
    assert await far.claim("a", 0.001)
    while not await other.claim("a", 100):
        pass
    await far.release("a")
    assert not await third.claim("a", 100)
    await other.release("a")
    assert await third.claim("a", 100)
    for opened in (other, third):
        await opened.close()


async def test_it_is_measured_without_its_own_keys(far: Far) -> None:
    await far.set("a", b"1" * 100, 100)
    await far.claim("a", 100)
    await far.delete("b")
    entries, size = await far.clean()
    assert entries == 1
    assert size >= 100


async def test_a_cancelled_read_gives_nobody_another_key_s_value(far: Far) -> None:
    for at in range(20):
        await far.set(f"k{at}", f"v{at}".encode(), 100)
    for turn in range(60):
        reading = asyncio.create_task(far.get("k0"))
        for _ in range(turn % 6):
            await asyncio.sleep(0)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        assert await far.get(f"k{turn % 20}") == f"v{turn % 20}".encode()


async def test_answers_of_each_tier_are_timed(far: Far) -> None:
    cache = tiered(far, LoopClock())
    assert [stats.latency.at(0.5) for stats in cache.stats()] == [None, None]
    await cache.set("a", b"1", 100)
    await cache.get("a")
    near, shared = (stats.latency for stats in cache.stats())
    assert (near.count, shared.count) == (1, 1)
    assert 0 < (shared.at(0.5) or 0) <= (shared.at(0.99) or 0)
    for _ in range(SAMPLED):
        await cache.get("a")
    assert near.count == 2


async def test_two_processes_forget_together(far_url: str, clock: SteppedClock) -> None:
    one, two = (tiered(open_far(far_url), clock) for _ in range(2))
    for cache in (one, two):
        await cache.look_around()
    await one.set("a", b"old", 1_000)
    assert await two.get("a") == b"old"
    await one.delete("a")
    await one.set("a", b"new", 1_000)
    await two.look_around()
    assert await two.get("a") == b"new"
    for cache in (one, two):
        await cache.close()


# --- get or load, over every cache


def reading(cache: Cache, clock: LoopClock, **options: object) -> ReadThrough:
    return ReadThrough(cache, clock, lambda: 0.0, namespace="v:", **options)  # type: ignore[arg-type]


class Vendor:
    """Counts what it is asked for; `error` is what it answers."""

    def __init__(self, clock: LoopClock) -> None:
        self.calls = 0
        self.error: Exception | None = None
        self._clock = clock

    async def load(self) -> Loaded[list[str]]:
        self.calls += 1
        await self._clock.sleep(0.1)
        if self.error:
            raise self.error
        return Loaded([f"answer {self.calls}"])


async def test_all_who_miss_at_once_share_one_load(any_cache: Cache, clock: SteppedClock) -> None:
    read, vendor = reading(any_cache, clock), Vendor(clock)
    if any_cache.stats()[0].tier == "off":
        assert (await read.get(KIND, "k", list[str], vendor.load)).value == ["answer 1"]
        return
    held = await asyncio.gather(*(read.get(KIND, "k", list[str], vendor.load) for _ in range(1_000)))
    assert vendor.calls == 1
    assert {each.value[0] for each in held} == {"answer 1"}
    assert sum(not each.is_hit for each in held) == 1
    stats = read.kinds["instruments"]
    assert (stats.misses, stats.joined, stats.hits) == (1, 999, 0)
    assert (await read.get(KIND, "k", list[str], vendor.load)).is_hit


async def test_who_is_cancelled_while_loading_leaves_it_to_another(any_cache: Cache, clock: SteppedClock) -> None:
    read, started = reading(any_cache, clock), asyncio.Event()

    async def hang() -> Loaded[list[str]]:
        started.set()
        await asyncio.Event().wait()
        raise AssertionError

    vendor = Vendor(clock)
    first = asyncio.create_task(read.get(KIND, "k", list[str], hang))
    await started.wait()
    second = asyncio.create_task(read.get(KIND, "k", list[str], vendor.load))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).value == ["answer 1"]


async def test_an_error_is_everybody_s_own_and_not_kept(any_cache: Cache, clock: SteppedClock) -> None:
    read, vendor = reading(any_cache, clock), Vendor(clock)
    vendor.error = Transient("503")
    for calls in (1, 2):
        with pytest.raises(Transient):
            await read.get(KIND, "k", list[str], vendor.load)
        assert vendor.calls == calls
    vendor.error = None
    assert (await read.get(KIND, "k", list[str], vendor.load)).value == ["answer 3"]


@pytest.fixture(params=["memory", "tiered"])
async def kept(request: pytest.FixtureRequest, far: Far, clock: SteppedClock) -> Cache:
    return MemoryCache(clock=clock.monotonic) if request.param == "memory" else tiered(far, clock)


async def test_what_is_over_is_used_while_it_cannot_be_loaded(kept: Cache, clock: SteppedClock) -> None:
    read, vendor = reading(kept, clock), Vendor(clock)

    async def ask() -> Held[list[str]]:
        return await read.get(KIND, "k", list[str], vendor.load, excused=(Transient,))

    await ask()
    clock.now += 99
    assert await ask() == Held(["answer 1"], 99.0)
    clock.now += 1
    vendor.error = Transient("503")
    assert await ask() == Held(["answer 1"], 100.0, is_stale=True)
    assert read.kinds["instruments"].stale_hits == 1
    vendor.error = None
    assert (await ask()).value == ["answer 3"]
    clock.now += 1_100
    vendor.error = Transient("503")
    with pytest.raises(Transient):
        await ask()


REVALIDATED = KIND._replace(revalidate_for=50.0)


class Background:
    """Takes refreshes, to run them when a test says so."""

    def __init__(self, load: Load[list[str]]) -> None:
        self.waiting: list[Callable[[Load[list[str]]], Coroutine[Any, Any, None]]] = []
        self._load = load

    def take(self, refresh: Callable[[Load[list[str]]], Coroutine[Any, Any, None]]) -> None:
        self.waiting.append(refresh)

    async def run(self) -> None:
        await asyncio.gather(*(refresh(self._load) for refresh in self.waiting))
        self.waiting.clear()


async def test_what_is_over_is_used_at_once_while_one_load_refreshes_it(kept: Cache, clock: SteppedClock) -> None:
    vendor = Vendor(clock)
    beside = Background(vendor.load)
    readers = [reading(kept, clock) for _ in range(2 if kept.is_shared else 1)]

    async def ask(read: ReadThrough) -> Held[list[str]]:
        return await read.get(REVALIDATED, "k", list[str], vendor.load, beside=beside.take)

    await ask(readers[0])
    clock.now += 120
    for held in [await ask(read) for read in readers for _ in range(3)]:
        assert held == Held(["answer 1"], 120.0, is_stale=True, over_for=20.0, is_refreshed=True)
    assert vendor.calls == 1
    await beside.run()
    assert vendor.calls == 2
    assert [(await ask(read)).value for read in readers] == [["answer 2"]] * len(readers)
    assert {read.kinds["instruments"].stale_hits for read in readers} == {3}
    clock.now += 151
    assert (await ask(readers[0])).value == ["answer 3"], "over for too long: it is waited for"
    assert beside.waiting == []


async def test_who_wants_it_fresh_waits_for_the_refresh(kept: Cache, clock: SteppedClock) -> None:
    read, vendor = reading(kept, clock), Vendor(clock)
    beside = Background(vendor.load)
    await read.get(REVALIDATED, "k", list[str], vendor.load)
    clock.now += 101
    await read.get(REVALIDATED, "k", list[str], vendor.load, beside=beside.take)
    fresh, _ = await asyncio.gather(read.get(REVALIDATED, "k", list[str], vendor.load), beside.run())
    assert (fresh.value, vendor.calls) == (["answer 2"], 2)


async def test_a_refresh_that_fails_is_its_own_affair(kept: Cache, clock: SteppedClock) -> None:
    read, vendor = reading(kept, clock), Vendor(clock)
    beside = Background(vendor.load)
    await read.get(REVALIDATED, "k", list[str], vendor.load)
    clock.now += 101
    vendor.error = Transient("503")
    for _ in range(2):
        await read.get(REVALIDATED, "k", list[str], vendor.load, beside=beside.take)
        with pytest.raises(Transient):
            await beside.run()
    assert vendor.calls == 3
    assert await kept.claim("v:instruments:k", 1.0)


async def test_a_refusal_is_remembered_and_forgotten(kept: Cache, clock: SteppedClock) -> None:
    one, other, refusals = reading(kept, clock), reading(kept, clock), Kind("instruments", ttl=300.0)
    assert await one.refused(refusals, "k") is None
    await one.refuse(refusals, "k", "no such market")
    clock.now += 299
    assert await other.refused(refusals, "k") == Held("no such market", 299.0)
    assert other.kinds["instruments"].refused == 1
    await other.forget("instruments", "k")
    assert await one.refused(refusals, "k") is None
    await one.refuse(refusals, "k", "no such market")
    clock.now += 300
    assert await one.refused(refusals, "k") is None


async def test_what_is_fresh_for_less_was_answered_earlier(kept: Cache, clock: SteppedClock) -> None:
    read = reading(kept, clock)

    async def load() -> Loaded[int]:
        return Loaded(1, fresh_for=10.0)

    await read.get(KIND, "k", int, load)
    clock.now += 9
    assert await read.get(KIND, "k", int, load) == Held(1, 99.0)
    clock.now += 1
    assert not (await read.get(KIND, "k", int, load)).is_hit


async def test_other_vendors_and_origins_are_told_apart(kept: Cache, clock: SteppedClock) -> None:
    vendor = Vendor(clock)
    one = reading(kept, clock, origin=lambda: "sandbox:7")
    await one.get(KIND, "k", list[str], vendor.load)
    other = reading(kept, clock, origin=lambda: "coindesk")
    assert (await other.get(KIND, "k", list[str], vendor.load)).value == ["answer 2"]
    assert other.kinds["instruments"].poisoned == 1
    elsewhere = ReadThrough(kept, clock, lambda: 0.0, namespace="w:")
    assert (await elsewhere.get(KIND, "k", list[str], vendor.load)).value == ["answer 3"]


async def test_kinds_and_patterns_are_forgotten(kept: Cache, clock: SteppedClock) -> None:
    read, vendor = reading(kept, clock), Vendor(clock)
    for name in "abc":
        await read.get(KIND, name, list[str], vendor.load)
    await read.forget("instruments", "a")
    assert await read.drop("*:instruments:b") == 1
    for name, is_hit in (("a", False), ("b", False), ("c", True)):
        assert (await read.get(KIND, name, list[str], vendor.load)).is_hit == is_hit


async def test_values_are_forgotten_by_kind_vendor_and_first_part_of_the_name(kept: Cache, clock: SteppedClock) -> None:
    read, vendor = reading(kept, clock), Vendor(clock)
    for tag, left in (("instruments", []), ("v", []), ("top", ["kraken"]), ("kra", ["kraken", "top/1", "top/2"])):
        for name in ("kraken", "top/1", "top/2"):
            await read.get(KIND, name, list[str], vendor.load)
        assert await read.drop_tag(tag) == 3 - len(left)
        assert [name for name in ("kraken", "top/1", "top/2") if await kept.get(f"v:instruments:{name}")] == left


# --- nothing that is stored is believed


class Bomb:
    def __reduce__(self) -> tuple[object, ...]:
        return (os._exit, (99,))


async def test_corrupted_values_are_misses(kept: Cache, clock: SteppedClock, seed: int) -> None:
    chance, vendor = random.Random(seed), Vendor(clock)
    read = reading(kept, clock)
    await read.get(KIND, "k", list[str], vendor.load)
    whole = await kept.get("v:instruments:k")
    assert whole is not None
    for _ in range(500):
        raw = chance.choice([mutated(whole, chance), pickle.dumps(Bomb()), b"", whole[: chance.randrange(len(whole))]])
        if raw == whole:
            continue
        await kept.set("v:instruments:k", raw, 100)
        before = vendor.calls
        held = await read.get(KIND, "k", list[str], vendor.load)
        assert (held.value, vendor.calls) == ([f"answer {before + 1}"], before + 1)


async def test_a_disk_cache_unpickles_nothing(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path / "cache")
    await cache.set("a", b"1", 100)
    await cache.set("large", bytes(100_000), 100)
    with sqlite3.connect(tmp_path / "cache" / "cache.db") as database:
        database.execute("UPDATE Cache SET mode = 4, value = ? WHERE key = 'a'", (pickle.dumps(Bomb()),))
        database.execute("UPDATE Cache SET filename = '/etc/passwd' WHERE key = 'large'")
    assert await cache.get("a") is None
    assert await cache.get("large") is None
    await cache.close()
    assert Path("/etc/passwd").exists()


async def test_a_disk_cache_that_is_none_any_more_is_made_anew(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path / "cache")
    await cache.set("a", b"1", 100)
    await cache.close()
    (tmp_path / "cache" / "cache.db").write_bytes(b"not a database" * 1_000)
    again = DiskCache(tmp_path / "cache")
    assert await again.get("a") is None
    await again.set("a", b"2", 100)
    assert await again.get("a") == b"2"
    await again.close()


def test_a_directory_that_others_can_write_is_refused(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    (tmp_path / "link").symlink_to(tmp_path)
    (tmp_path / "file").touch()
    for name in ("open", "link", "file"):
        with pytest.raises(ConfigError, match="--cache disk://"):
            DiskCache(tmp_path / name)


# --- a server that fails


def away(server: ValkeyServer) -> None:
    server.kill()


def hangs(server: ValkeyServer) -> None:
    server.signal(signal.SIGSTOP)


def is_read_only(server: ValkeyServer) -> None:
    with redis.Redis.from_url(server.url) as client:
        client.replicaof("127.0.0.1", "1")


def is_full(server: ValkeyServer) -> None:
    with redis.Redis.from_url(server.url) as client:
        client.config_set("maxmemory", "1")


def asks_for_a_password(server: ValkeyServer) -> None:
    with redis.Redis.from_url(server.url) as client:
        client.config_set("requirepass", "x")
        client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


@pytest.mark.parametrize("fault", [away, hangs, is_read_only, is_full, asks_for_a_password])
async def test_a_server_that_fails_costs_a_line_and_memory_goes_on(
    mortal_valkey: ValkeyServer, clock: SteppedClock, fault: Callable[[ValkeyServer], None]
) -> None:
    said: list[str] = []
    cache = tiered(open_far(mortal_valkey.url), clock, said)
    await cache.set("a", b"1", 1_000)
    fault(mortal_valkey)
    for at in range(20):
        await cache.set(f"k{at}", b"2", 1_000)
        assert await cache.get(f"k{at}") == b"2"
    assert await cache.get("a") == b"1"
    assert await cache.claim("a", 1.0)
    assert len(said) == 1
    assert said[0].startswith("the redis cache is away (")
    assert cache.stats()[1].is_away
    assert 3 <= cache.stats()[1].errors <= 5
    await cache.close()


def is_started(server: ValkeyServer) -> None:
    server.start()


def goes_on(server: ValkeyServer) -> None:
    server.signal(signal.SIGCONT)


def takes_writes(server: ValkeyServer) -> None:
    with redis.Redis.from_url(server.url) as client:
        client.replicaof("NO", "ONE")


@pytest.mark.parametrize(
    ("fault", "mend"), [(away, is_started), (hangs, goes_on), (is_read_only, takes_writes)], ids=["away", "hangs", "ro"]
)
async def test_a_server_that_is_back_is_used_again(
    mortal_valkey: ValkeyServer,
    clock: SteppedClock,
    fault: Callable[[ValkeyServer], None],
    mend: Callable[[ValkeyServer], None],
) -> None:
    said: list[str] = []
    far = open_far(mortal_valkey.url)
    cache, budget = tiered(far, clock, said), far.budget
    for _ in range(2):
        far.budget = budget
        fault(mortal_valkey)
        for _ in range(5):
            await cache.set("b", b"1", 100)
        assert cache.stats()[1].is_away
        mend(mortal_valkey)
        far.budget = PATIENCE
        await until_back(cache, clock)
        await cache.set("a", b"1", 100)
    assert ["away" in text for text in said] == [True, False, True, False]
    with redis.Redis.from_url(mortal_valkey.url) as client:
        assert client.exists("tapewatch:value:a")
    await cache.close()


@pytest.mark.slow
async def test_a_slow_server_is_left_alone_until_it_is_quick_again(
    mortal_valkey: ValkeyServer, clock: SteppedClock
) -> None:
    with FaultProxy(mortal_valkey.port) as proxy:
        far = open_far(proxy.url(mortal_valkey.url))
        cache = tiered(far, clock)
        read, vendor = reading(cache, clock), Vendor(clock)
        latency = proxy.add(Latency(30.0))
        for at in range(20):
            assert (await read.get(KIND, f"k{at}", list[str], vendor.load)).value == [f"answer {at + 1}"]
        assert cache.stats()[1].is_away
        assert cache.stats()[1].errors <= 5
        proxy.remove(latency)
        far.budget = PATIENCE
        await until_back(cache, clock)
        await cache.set("a", b"1", 100)
        await cache.close()
    with redis.Redis.from_url(mortal_valkey.url) as client:
        assert client.exists("tapewatch:value:a")


async def until_back(cache: TieredCache, clock: SteppedClock) -> None:
    """By our clock that takes less than 15 seconds."""
    started = clock.now
    while cache.stats()[1].is_away:
        clock.now += LOOK_SECONDS
        await cache.look_around()
        assert clock.now - started < 15


async def test_a_server_that_flaps_is_no_error(mortal_valkey: ValkeyServer, clock: SteppedClock) -> None:
    cache, vendor = tiered(open_far(mortal_valkey.url), clock), Vendor(clock)
    read = reading(cache, clock)
    for turn in range(12):
        if turn:
            (mortal_valkey.kill if turn % 2 else mortal_valkey.start)()
        clock.now += 3
        assert (await read.get(KIND, f"k{turn}", list[str], vendor.load)).value == [f"answer {turn + 1}"]
    await cache.close()


async def test_a_far_cache_says_that_it_is_away_itself(mortal_valkey: ValkeyServer) -> None:
    far = open_far(mortal_valkey.url)
    mortal_valkey.kill()
    for asked in (far.get("a"), far.set("a", b"", 1), far.claim("a", 1), far.generation(), far.clean(), far.drop("*")):
        with pytest.raises(CacheUnavailable):
            await asked
    await far.close()


# --- processes


PROCESS = """
import asyncio, random, sys
from core.cache.opening import open_cache
from core.cache.read_through import Kind, Loaded, ReadThrough
from core.clock import LoopClock

async def main(url, log):
    clock = LoopClock()
    cache = open_cache(url, clock)
    read = ReadThrough(cache, clock, random.random)
    async def load():
        with open(log, "a") as file:
            print("asked", file=file)
        await asyncio.sleep(0.3)
        return Loaded(["the answer"])
    await cache.get("something else")
    print("ready", flush=True)
    sys.stdin.readline()
    held = await asyncio.gather(*(read.get(Kind("k", 100.0), "name", list[str], load) for _ in range(250)))
    assert all(each.value == ["the answer"] for each in held)
    await cache.close()

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.slow
def test_a_thousand_who_miss_in_four_processes_ask_once(far_url: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROCESS, far_url, str(log)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes:
        process.communicate(timeout=60)
    assert [process.returncode for process in processes] == [0] * 4
    assert log.read_text() == "asked\n"


def test_urls_that_name_no_shared_cache_are_refused() -> None:
    for url in ("disk://x", "redis://h:x", "hybrid+http://h", "hybrid+memory://", "redis://[::1"):
        with pytest.raises(ConfigError, match="--cache"):
            open_far(url)
