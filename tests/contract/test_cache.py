"""What every Cache owes: it may cost time, never truth. A local one joins CACHES and is held to the same."""

import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from core.cache import Cache, CacheStats, NoCache
from core.cache.memory import MemoryCache
from core.cache.opening import open_cache
from core.errors import ConfigError
from tests.fakes import ManualClock


def memory(clock: ManualClock) -> Cache:
    return MemoryCache(max_entries=4, max_bytes=100, clock=clock)


CACHES: dict[str, Callable[[ManualClock], Cache]] = {"memory": memory, "off": lambda _clock: NoCache()}
KEEPS = {name: make for name, make in CACHES.items() if name != "off"}


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(params=CACHES)
def cache(request: pytest.FixtureRequest, clock: ManualClock) -> Cache:
    """Any cache, one that keeps nothing included."""
    return CACHES[request.param](clock)


@pytest.fixture(params=KEEPS)
def keeping(request: pytest.FixtureRequest, clock: ManualClock) -> Cache:
    return KEEPS[request.param](clock)


def nearest(cache: Cache) -> CacheStats:
    return replace(cache.stats()[0])


async def test_what_was_never_set_is_a_miss(cache: Cache) -> None:
    assert await cache.get("a") is None
    assert (nearest(cache).hits, nearest(cache).misses) == (0, 1)


async def test_a_get_is_a_hit_with_the_value_or_a_miss(cache: Cache) -> None:
    await cache.set("a", b"1", 10)
    found = await cache.get("a")
    assert found in {b"1", None}
    assert (nearest(cache).hits, nearest(cache).misses) == ((1, 0) if found else (0, 1))


async def test_deleting_clearing_and_closing_are_always_allowed(cache: Cache) -> None:
    await cache.delete("none")
    await cache.set("a", b"1", 10)
    await cache.delete("a")
    assert await cache.get("a") is None
    await cache.set("a", b"1", 10)
    await cache.clear()
    assert await cache.get("a") is None
    await cache.close()


async def test_a_value_is_kept_until_its_time_is_over(keeping: Cache, clock: ManualClock) -> None:
    await keeping.set("a", b"1", 10)
    clock.pass_(9.999)
    assert await keeping.get("a") == b"1"
    clock.pass_(0.001)
    assert await keeping.get("a") is None
    assert nearest(keeping) == replace(nearest(keeping), hits=1, misses=1, entries=0, bytes=0, evictions=0)


async def test_setting_again_replaces_value_and_time(keeping: Cache, clock: ManualClock) -> None:
    await keeping.set("a", b"1", 10)
    clock.pass_(8)
    await keeping.set("a", b"22", 10)
    clock.pass_(8)
    assert await keeping.get("a") == b"22"
    assert (nearest(keeping).entries, nearest(keeping).bytes) == (1, 2)


async def test_keys_do_not_touch_each_other(keeping: Cache) -> None:
    await keeping.set("a", b"1", 10)
    await keeping.set("a:b", b"2", 10)
    await keeping.delete("a")
    assert await keeping.get("a:b") == b"2"


async def test_an_empty_value_is_a_value(keeping: Cache) -> None:
    await keeping.set("a", b"", 10)
    assert await keeping.get("a") == b""


async def test_the_least_recently_used_goes_first(keeping: Cache) -> None:
    for name in "abcd":
        await keeping.set(name, b"1", 10)
    await keeping.get("a")
    await keeping.set("e", b"1", 10)
    assert [name for name in "abcde" if await keeping.get(name)] == ["a", "c", "d", "e"]
    assert nearest(keeping).evictions == 1


async def test_bytes_are_bounded(keeping: Cache) -> None:
    await keeping.set("a", b"x" * 60, 10)
    await keeping.set("b", b"x" * 60, 10)
    assert await keeping.get("a") is None
    assert nearest(keeping).bytes == 60
    await keeping.set("b", b"x" * 101, 10)
    assert await keeping.get("b") is None, "too large to keep, and the old value is no longer right"
    assert (nearest(keeping).entries, nearest(keeping).bytes) == (0, 0)


async def test_against_a_model(keeping: Cache, clock: ManualClock, seed: int) -> None:
    """Any sequence of calls: a hit is what was set last and is not over; the figures add up."""
    chance = random.Random(seed)
    truth: dict[str, tuple[bytes, float]] = {}
    gets = 0
    for _ in range(2_000):
        name = chance.choice("abcdefg")
        action = chance.random()
        if action < 0.4:
            value, ttl = bytes(chance.randrange(0, 50)), chance.choice([0.5, 3, 100])
            await keeping.set(name, value, ttl)
            truth[name] = (value, clock() + ttl)
        elif action < 0.8:
            gets += 1
            found = await keeping.get(name)
            value, until = truth.get(name, (b"", 0.0))
            assert found is None or (found == value and clock() < until)
        elif action < 0.9:
            await keeping.delete(name)
            truth.pop(name, None)
        else:
            clock.pass_(chance.random() * 2)
        stats = nearest(keeping)
        assert stats.hits + stats.misses == gets
        assert 0 <= stats.entries <= 4
        assert 0 <= stats.bytes <= 100
    await keeping.clear()
    assert (nearest(keeping).entries, nearest(keeping).bytes) == (0, 0)


@pytest.mark.parametrize(("url", "kind"), [("memory://", MemoryCache), ("off://", NoCache)])
def test_a_cache_is_chosen_by_url(url: str, kind: type[Cache]) -> None:
    assert isinstance(open_cache(url), kind)


@pytest.mark.parametrize("url", ["", "memory", "disk://x", "http://h", "\x1b[2J", "http://[::1"])
def test_another_url_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="write memory://") as caught:
        open_cache(url)
    assert str(caught.value).isprintable()
