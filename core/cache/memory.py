"""TTL and least-recently-used cache in memory, bounded by entries and bytes. No lock: one event loop."""

import time
from collections import OrderedDict
from collections.abc import Callable

from core.cache import CacheStats


class MemoryCache:
    """Keeps at most `max_entries` values and `max_bytes` bytes of them; `clock` is monotonic seconds.

    A single value larger than `max_bytes` is not kept.
    """

    def __init__(
        self,
        max_entries: int = 10_000,
        max_bytes: int = 64 * 1024 * 1024,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._values: OrderedDict[str, tuple[float, bytes]] = OrderedDict()
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._clock = clock
        self._stats = CacheStats("memory")

    async def get(self, key: str) -> bytes | None:
        held = self._values.get(key)
        if held is None or held[0] <= self._clock():
            self._remove(key)
            self._stats.misses += 1
            return None
        self._values.move_to_end(key)
        self._stats.hits += 1
        return held[1]

    async def set(self, key: str, value: bytes, ttl: float) -> None:
        self._remove(key)
        if len(value) > self._max_bytes:
            return
        self._values[key] = (self._clock() + ttl, value)
        self._stats.bytes += len(value)
        while len(self._values) > self._max_entries or self._stats.bytes > self._max_bytes:
            self._remove(next(iter(self._values)))
            self._stats.evictions += 1

    async def delete(self, key: str) -> None:
        self._remove(key)

    async def clear(self) -> None:
        self._values.clear()
        self._stats.bytes = 0

    def stats(self) -> list[CacheStats]:
        self._stats.entries = len(self._values)
        return [self._stats]

    async def close(self) -> None:
        await self.clear()

    def _remove(self, key: str) -> None:
        if (held := self._values.pop(key, None)) is not None:
            self._stats.bytes -= len(held[1])
