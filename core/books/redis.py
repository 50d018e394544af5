"""An account's calls in Redis or Valkey, for engines on several hosts.

One key an account, exchanged optimistically: what was read is watched, and written only if nobody else wrote
meanwhile; of several one always gets through. The time is the server's.

While the server is away nothing is sent. Engines that went on with a share each would send too much all the same:
one that is cut off does not know who else has been, and those who are not see its share as free. Whoever waits goes
on by itself when the server is back, and ends as for any other limit after the wait that it was allowed.
"""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, WatchError

from core.books import Say
from core.breaker import Breaker
from core.clock import Clock
from core.errors import ConfigError, LedgerAway
from core.ledger import Grant, Report, decode, encode
from core.text import shown_url

PREFIX = "tapewatch:quota:"
REPLY_SECONDS = 1.0
# Of trying while others were faster; longer than that is as good as no answer.
EXCHANGE_SECONDS = 5.0
JITTER_SECONDS = 0.005
FAILURES = 2
RETRY_SECONDS = 1.0
# Longer than any limit lasts.
KEPT_SECONDS = 40 * 86_400


class RedisBook:
    """Implements `core.books.OpenBook`. `url` is one of redis-py's: redis://, rediss:// (TLS) or unix://.

    Raises ConfigError for a URL that cannot be one.
    """

    def __init__(self, url: str, account: str, engine: str, clock: Clock, say: Say) -> None:
        try:
            client = Redis.from_url(
                url,
                socket_connect_timeout=REPLY_SECONDS,
                socket_timeout=REPLY_SECONDS,
                # A connection may have been closed meanwhile; whatever is worse the breaker knows of.
                retry=Retry(NoBackoff(), 1),
            )
        except ValueError as error:
            raise ConfigError(f"quota.ledger {shown_url(url)!r}: {error}") from error
        self._client: Any = client
        self._url = shown_url(url)
        self._key = PREFIX + account
        self._engine = engine
        self._clock = clock
        self._say = say
        self._breaker = Breaker(FAILURES, RETRY_SECONDS)

    async def exchange(self, report: Report, wanted: int) -> Grant:
        """Raises LedgerAway while the server does not answer, or not with what it should."""
        async with self._asked(), asyncio.timeout(EXCHANGE_SECONDS):
            while True:
                try:
                    return await self._try(report, wanted)
                except WatchError:
                    await asyncio.sleep(random.uniform(0, JITTER_SECONDS))  # noqa: S311 - jitter

    async def close(self) -> None:
        await self._client.aclose()

    async def _try(self, report: Report, wanted: int) -> Grant:
        """Raises WatchError when another engine was faster."""
        async with self._client.pipeline(transaction=True) as together:
            await together.watch(self._key)
            account = decode(await together.get(self._key) or b"{}")
            seconds, microseconds = await together.time()
            grant = account.exchange(self._engine, report, wanted, seconds + microseconds / 1e6)
            together.multi()
            together.set(self._key, encode(account), ex=KEPT_SECONDS)
            await together.execute()
        return grant

    @asynccontextmanager
    async def _asked(self) -> AsyncIterator[None]:
        """Says once that the server is away, and once that it is back."""
        if not self._breaker.allows(self._clock.monotonic()):
            raise LedgerAway(f"the ledger {self._url} is away")
        try:
            yield
        except (RedisError, OSError, ValueError, TypeError) as error:
            reason = str(error) or "no answer in time"
            if self._breaker.failed(self._clock.monotonic()):
                self._say(f"the ledger {self._url} is away ({reason}); nothing is sent until it is back")
            raise LedgerAway(f"the ledger {self._url} is away ({reason})") from error
        if self._breaker.succeeded():
            self._say(f"the ledger {self._url} is back")
