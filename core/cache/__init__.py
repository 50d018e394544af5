"""Caches for what may be asked for once and shared: listings and metadata, never bars.

A cache may cost time, never truth: every value can be fetched again, so an error is a miss.

    ReadThrough            what the engine uses: typed values, get-or-load, one load for all who miss
      └── Cache            bytes by key, one of
          ├── MemoryCache  in this process
          ├── TieredCache  memory over a far one that other processes share, behind a circuit breaker
          │     └── Far    DiskCache, RedisCache
          └── NoCache      switched off
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Protocol

from core.meter import Latencies


@dataclass(slots=True)
class CacheStats:
    """Counters of one tier since it was opened; `bytes` counts values, not keys.

    `errors` are operations that failed or took too long, `is_away` says that the tier is left alone for the time
    being. A far tier is measured when it is cleaned. `latency` is of answers, of memory a sample of them.
    """

    tier: str
    hits: int = 0
    misses: int = 0
    entries: int = 0
    bytes: int = 0
    evictions: int = 0
    errors: int = 0
    is_away: bool = False
    latency: Latencies = field(default_factory=Latencies, compare=False, repr=False)


class Cache(Protocol):
    """A store of bytes by key with a time to live. Patterns are globs of `*` and `?`; nothing else is special.

    `is_shared` says that other processes use it too.
    """

    is_shared: bool

    async def get(self, key: str) -> bytes | None:
        """The value, or None when it is absent, expired or unreadable."""
        ...

    async def set(self, key: str, value: bytes, ttl: float, tags: Collection[str] = ()) -> None:
        """Keep `value` for `ttl` seconds (> 0), replacing what was there and its tags."""
        ...

    async def delete(self, key: str) -> None:
        """Forget `key`, in all processes that share it; no error when it is absent."""
        ...

    async def drop(self, pattern: str) -> int:
        """Forget every key that matches; how many that were."""
        ...

    async def drop_tag(self, tag: str) -> int:
        """Forget everything that was set with `tag`; how many that were."""
        ...

    async def clear(self) -> None: ...

    async def clean(self) -> None:
        """Remove what has expired, and measure what is left."""
        ...

    async def claim(self, key: str, seconds: float) -> bool:
        """Whether the caller is the one to load `key`, of all processes that share it, for so long at most."""
        ...

    async def release(self, key: str) -> None:
        """The loading that was claimed is over."""
        ...

    async def keep(self) -> None:
        """What is to be done between calls, until cancelled."""
        ...

    def stats(self) -> list[CacheStats]:
        """Counters of each tier, the nearest first."""
        ...

    async def close(self) -> None: ...


class Far(Protocol):
    """A cache that processes share. Every method raises CacheUnavailable; `Cache` says what they do."""

    tier: str
    budget: float
    """Seconds after which an operation is not waited for any more."""

    async def get(self, key: str) -> bytes | None: ...
    async def set(self, key: str, value: bytes, ttl: float, tags: Collection[str] = ()) -> None: ...
    async def delete(self, key: str) -> None: ...
    async def drop(self, pattern: str) -> int: ...
    async def drop_tag(self, tag: str) -> int: ...
    async def clear(self) -> None: ...
    async def claim(self, key: str, seconds: float) -> bool: ...
    async def release(self, key: str) -> None: ...
    async def close(self) -> None: ...

    async def generation(self) -> int:
        """A number that grows with everything that is forgotten on purpose."""
        ...

    async def clean(self) -> tuple[int, int]:
        """Remove what has expired; entries of what is left and their bytes."""
        ...


class NoCache:
    """Caching switched off: everything is a miss, and counted as one."""

    is_shared = False

    def __init__(self) -> None:
        self._stats = CacheStats("off")

    async def get(self, key: str) -> bytes | None:
        self._stats.misses += 1
        return None

    async def set(self, key: str, value: bytes, ttl: float, tags: Collection[str] = ()) -> None: ...

    async def delete(self, key: str) -> None: ...

    async def drop(self, pattern: str) -> int:
        return 0

    async def drop_tag(self, tag: str) -> int:
        return 0

    async def clear(self) -> None: ...

    async def clean(self) -> None: ...

    async def claim(self, key: str, seconds: float) -> bool:
        return True

    async def release(self, key: str) -> None: ...

    async def keep(self) -> None: ...

    def stats(self) -> list[CacheStats]:
        return [self._stats]

    async def close(self) -> None: ...
