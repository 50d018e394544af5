"""`make bench`: reading one value of 2 KB from our caches and from other libraries', side by side in one run.

Runs in the environment of the peers. Caches of a library that keep objects in memory do not copy them, as ours do not.
"""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiocache
import cachetools
import cashews
import diskcache

from core.cache.disk import DiskCache
from core.cache.memory import MemoryCache
from core.cache.tiered import TieredCache
from core.clock import LoopClock

KEY, VALUE, TTL = "spot_instruments:kraken", bytes(2_048), 1_000
ROUNDS, READS = 9, 20_000


async def microseconds(get: Callable[[str], Awaitable[Any]]) -> float:
    started = time.perf_counter()
    for _ in range(READS):
        await get(KEY)
    return (time.perf_counter() - started) / READS * 1e6


async def at_once(get: Callable[[str], Any]) -> float:
    started = time.perf_counter()
    for _ in range(READS):
        get(KEY)
    return (time.perf_counter() - started) / READS * 1e6


async def measure(place: Path) -> dict[str, list[float]]:
    """Microseconds of a read by cache, one figure a round; the rounds go around all caches."""
    clock = LoopClock()
    memory = MemoryCache(clock=clock.monotonic)
    hybrid = TieredCache(MemoryCache(clock=clock.monotonic), DiskCache(place / "ours"), clock, print)
    objects: Any = cachetools.TTLCache(1_000, TTL)
    disk = diskcache.Cache(str(place / "diskcache"))
    theirs, simple = cashews.Cache(), aiocache.SimpleMemoryCache()
    theirs.setup("mem://")
    objects[KEY] = VALUE
    disk.set(KEY, VALUE, expire=TTL)
    await memory.set(KEY, VALUE, TTL)
    await hybrid.set(KEY, VALUE, TTL)
    await theirs.set(KEY, VALUE, expire=TTL)
    await simple.set(KEY, VALUE, ttl=TTL)
    readers: dict[str, Callable[[], Awaitable[float]]] = {
        "Tapewatch memory": lambda: microseconds(memory.get),
        "Tapewatch hybrid": lambda: microseconds(hybrid.get),
        "cashews": lambda: microseconds(theirs.get),
        "aiocache": lambda: microseconds(simple.get),
        "cachetools, no await": lambda: at_once(objects.get),
        "diskcache, no await": lambda: at_once(disk.get),
    }
    found: dict[str, list[float]] = {name: [] for name in readers}
    for _ in range(ROUNDS):
        for name, read in readers.items():
            found[name].append(await read())
    await hybrid.close()
    return found


def table(found: dict[str, list[float]]) -> str:
    """Medians with their range, and the ratio to our memory of the same round."""
    base = found["Tapewatch memory"]
    lines = [f"| reads of {len(VALUE):,} bytes | us | it / our memory |", "| --- | ---: | ---: |"]
    for name, figures in found.items():
        ratio = statistics.median(each / ours for each, ours in zip(figures, base, strict=True))
        spread = f"{min(figures):.2f}-{max(figures):.2f}"
        lines.append(f"| {name} | {statistics.median(figures):.2f} ({spread}) | {ratio:.2f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        print(table(asyncio.run(measure(Path(directory)))))
