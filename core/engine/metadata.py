"""Listing calls of one job: counted, within the limits, tried again like windows are."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from core.clock import Clock
from core.datasets import SeriesKey
from core.engine.job import Job
from core.engine.permits import AT_ONCE, Permits
from core.engine.tools import Tools
from core.errors import Malformed, RateLimited, Transient, VendorAway
from core.limits import Backoff
from core.planner import LISTING
from core.sources import Listing, Source
from core.usage import LIMITS, UNNAMED, Purpose

T = TypeVar("T")
Keep = Callable[[Listing], Awaitable[None]]


class MeteredListings:
    """The listing half of a source, for runs called `label`. `calls` counts requests, `retries` the repeats."""

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
        label: str = "",
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
        self._label = label

    async def listing(self, key: SeriesKey, keep: Keep | None = None) -> Listing:
        """A list of reference data; what `keep` cannot make sense of is asked for again."""

        async def ask() -> Listing:
            listing = await self._source.listing(key)
            if keep is not None:
                await keep(listing)
            return listing

        return await self.call(ask, Purpose(key.data_type, LISTING, self._label))

    async def rate_limit(self) -> None:
        await self.call(self._source.rate_limit, Purpose(reason=LIMITS, label=self._label))

    async def call(self, ask: Callable[[], Awaitable[T]], purpose: Purpose = UNNAMED) -> T:
        """What `ask`, which sends one request, comes to. Raises what it raises once it was tried often enough."""
        attempt, tried = 1, 0.0
        while True:
            asked_at = 0.0
            try:
                async with self._permits.one(self._max_wait, self._say, AT_ONCE, purpose):
                    self.calls += 1
                    asked_at = self._clock.monotonic()
                    return await ask()
            except RateLimited as error:
                self._permits.refused(error.wait, self._max_wait)
            except VendorAway:
                raise
            except (Transient, Malformed):
                now = self._clock.monotonic()
                tried += now - asked_at
                if self._backoff.is_spent(attempt, tried):
                    raise
                turn = self._permits.retries.take(now)
                await self._clock.sleep(max(turn, self._backoff.wait(attempt, self._chance())))
                attempt += 1
            self.retries += 1


def metered_listings(tools: Tools, say: Callable[[str], None], label: str = "") -> MeteredListings:
    options = tools.options
    return MeteredListings(
        tools.source,
        tools.permits,
        tools.clock,
        options.backoff,
        tools.chance,
        max_wait=options.max_wait,
        say=say,
        label=label,
    )


def count_calls(job: Job, metered: MeteredListings) -> None:
    job.counters.metadata_requests += metered.calls - metered.retries
    job.counters.retries += metered.retries
