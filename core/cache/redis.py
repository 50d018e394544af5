"""A cache in Redis or Valkey, shared by processes and hosts. Keys begin with `tapewatch:`; SCAN, never KEYS."""

import secrets
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis
from redis.exceptions import RedisError

from core.errors import CacheUnavailable, ConfigError
from core.patterns import exactly, for_redis
from core.text import shown_url

PREFIX = "tapewatch:"
VALUES, TAGS, CLAIMS = f"{PREFIX}value:", f"{PREFIX}tag:", f"{PREFIX}claim:"
GENERATION = f"{PREFIX}generation"
CONNECT_SECONDS = 1.0
CONNECTIONS = 8
SCANNED = 500
# Only who holds a claim may give it back: it may have run out, and be another's by now.
_RELEASE = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) else return 0 end"


class RedisCache:
    """Implements `core.cache.Far`. `url` is one of redis-py's: redis://, rediss:// (TLS) or unix://.

    Raises ConfigError for a URL that cannot be one. Nothing is connected before it is needed.
    """

    tier = "redis"
    budget = 0.05

    def __init__(self, url: str) -> None:
        try:
            pool = BlockingConnectionPool.from_url(
                url,
                max_connections=CONNECTIONS,
                timeout=CONNECT_SECONDS,
                socket_connect_timeout=CONNECT_SECONDS,
                socket_timeout=CONNECT_SECONDS,
            )
        except ValueError as error:
            raise ConfigError(f"--cache {shown_url(url)!r}: {error}") from error
        self._client: Any = Redis.from_pool(pool)
        self._token = secrets.token_hex(8)

    async def get(self, key: str) -> bytes | None:
        async with self._asked() as client:
            found = await client.get(VALUES + key)
        return found if isinstance(found, bytes) else None

    async def set(self, key: str, value: bytes, ttl: float, tags: Collection[str] = ()) -> None:
        milliseconds = max(1, round(ttl * 1_000))
        async with self._asked() as client, client.pipeline(transaction=False) as together:
            together.set(VALUES + key, value, px=milliseconds)
            for tag in tags:
                together.sadd(TAGS + tag, key)
                # A new set lives as long as this value, an older one as long as its last.
                together.pexpire(TAGS + tag, milliseconds, nx=True)
                together.pexpire(TAGS + tag, milliseconds, gt=True)
            await together.execute()

    async def delete(self, key: str) -> None:
        async with self._asked() as client:
            await self._unlink(client, [VALUES + key])

    async def drop(self, pattern: str) -> int:
        async with self._asked() as client:
            found = [key async for key in client.scan_iter(match=VALUES + for_redis(pattern), count=SCANNED)]
            return await self._unlink(client, found)

    async def drop_tag(self, tag: str) -> int:
        async with self._asked() as client:
            named = [VALUES.encode() + key async for key in client.sscan_iter(TAGS + tag, count=SCANNED)]
            gone = await self._unlink(client, named)
            await client.unlink(TAGS + tag)
            return gone

    async def clear(self) -> None:
        async with self._asked() as client:
            for part in (VALUES, TAGS):
                found = [key async for key in client.scan_iter(match=f"{exactly(part)}*", count=SCANNED)]
                await self._unlink(client, found)

    async def claim(self, key: str, seconds: float) -> bool:
        async with self._asked() as client:
            return bool(await client.set(CLAIMS + key, self._token, nx=True, px=round(seconds * 1_000)))

    async def release(self, key: str) -> None:
        async with self._asked() as client:
            await client.eval(_RELEASE, 1, CLAIMS + key, self._token)

    async def generation(self) -> int:
        async with self._asked() as client:
            return int(await client.get(GENERATION) or 0)

    async def clean(self) -> tuple[int, int]:
        """The server removes what has expired."""
        async with self._asked() as client:
            keys = [key async for key in client.scan_iter(match=f"{exactly(VALUES)}*", count=SCANNED)]
            async with client.pipeline(transaction=False) as together:
                for key in keys:
                    together.strlen(key)
                return len(keys), sum(await together.execute())

    async def close(self) -> None:
        await self._client.aclose()

    async def _unlink(self, client: Any, keys: Collection[bytes | str]) -> int:
        gone = int(await client.unlink(*keys)) if keys else 0
        await client.incr(GENERATION)
        return gone

    @asynccontextmanager
    async def _asked(self) -> AsyncIterator[Any]:
        """The client; what it raises says that the cache is away, a reply that makes no sense included."""
        try:
            yield self._client
        except (RedisError, OSError, ValueError, TypeError) as error:
            raise CacheUnavailable(str(error) or type(error).__name__) from error
