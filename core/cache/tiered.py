"""Memory over a cache that processes share. The far one may be away, slow, full or read-only: memory goes on.

Every operation on it has a budget of time, and a circuit breaker spares us those that would fail. What another
process forgets on purpose raises the far cache's generation, which is looked at once a second: then the memory
here is emptied. That needs no subscription which could miss a message while it was away.
"""

import asyncio
from collections.abc import Callable, Collection, Coroutine
from typing import Any, TypeVar

from core.breaker import Breaker
from core.cache import CacheStats, Far
from core.cache.memory import MemoryCache
from core.clock import Clock
from core.errors import CacheUnavailable

T = TypeVar("T")
# Values know when they are over; this bounds how long memory trusts that the far cache still has them.
NEAR_SECONDS = 300.0
LOOK_SECONDS = 1.0
CLEAN_SECONDS = 60.0
# A claim saves a call to the vendor, which takes longer and costs money.
CLAIM_BUDGET = 1.0


class TieredCache:
    """Implements `core.cache.Cache`. `say` hears one line for each change: that the far cache is away, or back."""

    is_shared = True

    def __init__(self, near: MemoryCache, far: Far, clock: Clock, say: Callable[[str], None]) -> None:
        self._near = near
        self._look_near = near.look
        self._far = far
        self._clock = clock
        self._say = say
        self._breaker = Breaker()
        self._stats = CacheStats(far.tier)
        self._generation = 0
        self._reading: dict[str, asyncio.Task[bytes | None]] = {}

    async def get(self, key: str) -> bytes | None:
        # What memory has must cost no more than memory does.
        value = self._look_near(key)
        return value if value is not None else await self._get_far(key)

    async def _get_far(self, key: str) -> bytes | None:
        # Many may want the same at once: the far cache is asked for it once.
        if (reading := self._reading.get(key)) is None:
            reading = self._reading[key] = asyncio.create_task(self._fetch(key))
            reading.add_done_callback(lambda _: self._reading.pop(key, None))
        return await asyncio.shield(reading)

    async def _fetch(self, key: str) -> bytes | None:
        value = await self._try(self._far.get(key), None)
        if value is None:
            self._stats.misses += 1
            return None
        self._stats.hits += 1
        await self._near.set(key, value, NEAR_SECONDS)
        return value

    async def set(self, key: str, value: bytes, ttl: float, tags: Collection[str] = ()) -> None:
        await self._near.set(key, value, min(ttl, NEAR_SECONDS) if not self._breaker.is_open else ttl, tags)
        await self._try(self._far.set(key, value, ttl, tags), None)

    async def delete(self, key: str) -> None:
        await self._near.delete(key)
        await self._try(self._far.delete(key), None)

    async def drop(self, pattern: str) -> int:
        near = await self._near.drop(pattern)
        return max(near, await self._try(self._far.drop(pattern), 0))

    async def drop_tag(self, tag: str) -> int:
        # Memory does not know the tags of what came from afar.
        await self._near.clear()
        return await self._try(self._far.drop_tag(tag), 0)

    async def clear(self) -> None:
        await self._near.clear()
        await self._try(self._far.clear(), None)

    async def clean(self) -> None:
        await self._near.clean()
        self._stats.entries, self._stats.bytes = await self._try(
            self._far.clean(), (self._stats.entries, self._stats.bytes)
        )

    async def claim(self, key: str, seconds: float) -> bool:
        """While nobody can tell, each process loads for itself."""
        return await self._try(self._far.claim(key, seconds), True, CLAIM_BUDGET)

    async def release(self, key: str) -> None:
        await self._try(self._far.release(key), None)

    async def keep(self) -> None:
        cleaned_at = self._clock.monotonic()
        while True:
            await self._clock.sleep(LOOK_SECONDS)
            await self.look_around()
            if self._clock.monotonic() - cleaned_at >= CLEAN_SECONDS:
                cleaned_at = self._clock.monotonic()
                await self.clean()

    async def look_around(self) -> None:
        """Forget what others have forgotten. This is also what finds out that the far cache is back."""
        generation = await self._try(self._far.generation(), self._generation)
        if generation != self._generation:
            self._generation = generation
            await self._near.clear()

    def stats(self) -> list[CacheStats]:
        self._stats.is_away = self._breaker.is_open
        return [*self._near.stats(), self._stats]

    async def close(self) -> None:
        await self._near.close()
        await self._far.close()

    async def _try(self, asked: Coroutine[Any, Any, T], otherwise: T, budget: float = 0.0) -> T:
        """What the far cache answers within its budget, or within a larger one."""
        if not self._breaker.allows(self._clock.monotonic()):
            asked.close()  # or it would complain that nobody has awaited it
            return otherwise
        started = self._clock.monotonic()
        try:
            async with asyncio.timeout(max(budget, self._far.budget)):
                answer = await asked
        except (CacheUnavailable, TimeoutError) as error:
            self._stats.errors += 1
            if self._breaker.failed(self._clock.monotonic()):
                self._say(f"the {self._far.tier} cache is away ({error or 'no answer in time'}); memory goes on")
            return otherwise
        self._stats.latency.add(self._clock.monotonic() - started)
        if self._breaker.succeeded():
            self._say(f"the {self._far.tier} cache is back")
        return answer
