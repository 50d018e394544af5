"""Listing calls of one job: counted, within the limits, tried again like windows are."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from core.clock import Clock
from core.datasets import SeriesKey
from core.engine.permits import Permits
from core.errors import Malformed, RateLimited, Transient
from core.limits import Backoff
from core.sources import Listing, Source

T = TypeVar("T")
Keep = Callable[[Listing], Awaitable[None]]


class MeteredListings:
    """The listing half of a source. `calls` counts requests, `retries` those that were repeats."""

    def __init__(
        self,
        source: Source,
        permits: Permits,
        clock: Clock,
        backoff: Backoff,
        chance: Callable[[], float],
        *,
        max_wait: float,
        say: Callable[[str], None],
    ) -> None:
        self.name = source.name
        self.calls = 0
        self.retries = 0
        self._source = source
        self._permits = permits
        self._clock = clock
        self._backoff = backoff
        self._chance = chance
        self._max_wait = max_wait
        self._say = say

    async def listing(self, key: SeriesKey, keep: Keep | None = None) -> Listing:
        """A list of reference data; what `keep` cannot make sense of is asked for again."""

        async def ask() -> Listing:
            listing = await self._source.listing(key)
            if keep is not None:
                await keep(listing)
            return listing

        return await self.call(ask)

    async def rate_limit(self) -> None:
        await self.call(self._source.rate_limit)

    async def call(self, ask: Callable[[], Awaitable[T]]) -> T:
        """What `ask`, which sends one request, comes to. Raises what it raises once it was tried often enough."""
        attempt, tried = 1, 0.0
        while True:
            asked_at = 0.0
            try:
                async with self._permits.one(self._max_wait, self._say):
                    self.calls += 1
                    asked_at = self._clock.monotonic()
                    return await ask()
            except RateLimited as error:
                self._permits.refused(error.wait, self._max_wait)
            except (Transient, Malformed):
                tried += self._clock.monotonic() - asked_at
                if self._backoff.is_spent(attempt, tried):
                    raise
                await self._clock.sleep(self._backoff.wait(attempt, self._chance()))
                attempt += 1
            self.retries += 1
