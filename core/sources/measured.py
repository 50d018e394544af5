"""A source whose calls are told to whoever measures: how each ended, how long it took, how many bytes it brought."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from core.clock import Clock
from core.datasets import Dataset, SeriesKey
from core.errors import Malformed, NothingBefore, RateLimited, SourceError, Transient
from core.sources import Listing, Page, Source
from core.telemetry import API, OK, Telemetry
from core.windows import Window

T = TypeVar("T")


class MeasuredSource:
    """Implements `core.sources.Source` around another one; its methods are the classes of endpoints."""

    def __init__(self, source: Source, telemetry: Telemetry, clock: Clock) -> None:
        self._source = source
        self._telemetry = telemetry
        self._clock = clock
        self.name = source.name

    @property
    def origin(self) -> str:
        return self._source.origin

    @property
    def calls(self) -> int:
        return self._source.calls

    def now(self) -> float:
        return self._source.now()

    def assume(self, now: float) -> None:
        self._source.assume(now)

    async def close(self) -> None:
        await self._source.close()

    async def history(self, dataset: Dataset, key: SeriesKey, window: Window, groups: Sequence[str]) -> Page:
        return await self._told("history", self._source.history(dataset, key, window, groups), lambda page: page.wire)

    async def listing(self, key: SeriesKey) -> Listing:
        return await self._told("listing", self._source.listing(key), lambda listing: listing.wire)

    async def rate_limit(self) -> None:
        await self._told("rate_limit", self._source.rate_limit(), lambda _: 0)

    async def _told(self, kind: str, answer: Awaitable[T], size: Callable[[T], int]) -> T:
        """A call that is cancelled has no outcome."""
        started = self._clock.monotonic()
        try:
            found = await answer
        except SourceError as error:
            self._telemetry.done(API, kind, outcome_of(error), self._clock.monotonic() - started)
            raise
        self._telemetry.done(API, kind, OK, self._clock.monotonic() - started, size(found))
        return found


def outcome_of(error: SourceError) -> str:
    """ok, 429, 4xx, 5xx, timeout, network or malformed: an answer that names the first bar is one that can be used."""
    match error:
        case NothingBefore():
            return OK
        case RateLimited():
            return "429"
        case Malformed():
            return "malformed"
        case Transient():
            return error.fault
        case _:
            return "4xx"
