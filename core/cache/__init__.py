"""Caches for what may be asked for once and shared: listings and metadata, never bars.

A cache may cost time, never truth: every value can be fetched again, so an error is a miss.
"""

from dataclasses import dataclass
from typing import Protocol

from core.errors import ConfigError
from core.text import shown_url


@dataclass(slots=True)
class CacheStats:
    """Counters of one tier since it was opened; `bytes` counts values, not keys."""

    tier: str
    hits: int = 0
    misses: int = 0
    entries: int = 0
    bytes: int = 0
    evictions: int = 0


class Cache(Protocol):
    """A store of bytes by key with a time to live."""

    async def get(self, key: str) -> bytes | None:
        """The value, or None when it is absent, expired or unreadable."""
        ...

    async def set(self, key: str, value: bytes, ttl: float) -> None:
        """Keep `value` for `ttl` seconds (> 0), replacing what was there."""
        ...

    async def delete(self, key: str) -> None:
        """Forget `key`; no error when it is absent."""
        ...

    async def clear(self) -> None: ...

    def stats(self) -> list[CacheStats]:
        """Counters of each tier, the nearest first."""
        ...

    async def close(self) -> None: ...


class NoCache:
    """Caching switched off: everything is a miss, and counted as one."""

    def __init__(self) -> None:
        self._stats = CacheStats("off")

    async def get(self, key: str) -> bytes | None:
        self._stats.misses += 1
        return None

    async def set(self, key: str, value: bytes, ttl: float) -> None: ...

    async def delete(self, key: str) -> None: ...

    async def clear(self) -> None: ...

    def stats(self) -> list[CacheStats]:
        return [self._stats]

    async def close(self) -> None: ...


def open_cache(url: str) -> Cache:
    """The cache that `url` names: `memory://` or `off://`.

    Raises ConfigError for a scheme that does not exist.
    """
    from core.cache.memory import MemoryCache  # noqa: PLC0415 - implementations are loaded when chosen

    if url.startswith("memory://"):
        return MemoryCache()
    if url.startswith("off://"):
        return NoCache()
    raise ConfigError(f"--cache {shown_url(url)!r}: unknown kind of cache; write memory://")
