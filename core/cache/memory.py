"""TTL and least-recently-used cache in memory, bounded by entries and bytes. No lock: one event loop."""

import time
from collections import OrderedDict
from collections.abc import Callable, Collection
from typing import NamedTuple

from core.cache import CacheStats
from core.patterns import matcher

# Reading takes less than two looks at the clock: one of so many is measured.
SAMPLED = 16


class _Held(NamedTuple):
    until: float
    value: bytes
    tags: Collection[str]


class MemoryCache:
    """Keeps at most `max_entries` values and `max_bytes` bytes of them; `clock` is monotonic seconds.

    A single value larger than `max_bytes` is not kept.
    """

    is_shared = False

    def __init__(
        self,
        max_entries: int = 10_000,
        max_bytes: int = 64 * 1024 * 1024,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._values: OrderedDict[str, _Held] = OrderedDict()
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._clock = clock
        self._stats = CacheStats("memory")
        self._reads = 0

    def look(self, key: str) -> bytes | None:
        """As `get`, for who cannot wait."""
        self._reads += 1
        if self._reads % SAMPLED != 1:
            return self._look(key)
        started = self._clock()
        value = self._look(key)
        self._stats.latency.add(self._clock() - started)
        return value

    def _look(self, key: str) -> bytes | None:
        held = self._values.get(key)
        if held is None or held.until <= self._clock():
            self._remove(key)
            self._stats.misses += 1
            return None
        self._values.move_to_end(key)
        self._stats.hits += 1
        return held.value

    async def get(self, key: str) -> bytes | None:
        return self.look(key)

    async def set(self, key: str, value: bytes, ttl: float, tags: Collection[str] = ()) -> None:
        self._remove(key)
        if len(value) > self._max_bytes:
            return
        self._values[key] = _Held(self._clock() + ttl, value, tags)
        self._stats.bytes += len(value)
        while len(self._values) > self._max_entries or self._stats.bytes > self._max_bytes:
            self._remove(next(iter(self._values)))
            self._stats.evictions += 1

    async def delete(self, key: str) -> None:
        self._remove(key)

    async def drop(self, pattern: str) -> int:
        matches = matcher(pattern)
        return self._remove_all([key for key in self._values if matches(key)])

    async def drop_tag(self, tag: str) -> int:
        return self._remove_all([key for key, held in self._values.items() if tag in held.tags])

    async def clear(self) -> None:
        self._values.clear()
        self._stats.bytes = 0

    async def clean(self) -> None:
        now = self._clock()
        self._remove_all([key for key, held in self._values.items() if held.until <= now])

    async def claim(self, key: str, seconds: float) -> bool:
        return True

    async def release(self, key: str) -> None:
        """Nobody else waits."""

    async def keep(self) -> None:
        """What has expired goes when it is looked at, or cleaned."""

    def stats(self) -> list[CacheStats]:
        self._stats.entries = len(self._values)
        return [self._stats]

    async def close(self) -> None:
        await self.clear()

    def _remove_all(self, keys: Collection[str]) -> int:
        for key in keys:
            self._remove(key)
        return len(keys)

    def _remove(self, key: str) -> None:
        if (held := self._values.pop(key, None)) is not None:
            self._stats.bytes -= len(held.value)
