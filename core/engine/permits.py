"""Permission to send one request: a free connection and a place in every one of the vendor's limits."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from core.clock import Clock
from core.errors import QuotaExhausted
from core.limits import Quota

LONGEST_NAP = 1.0


class Permits:
    """At most `connections` requests at once, none inside a wait. `now` is UTC epoch seconds that never go back."""

    def __init__(self, quota: Quota, connections: int, clock: Clock, now: Callable[[], float]) -> None:
        self.quota = quota
        self._slots = asyncio.Semaphore(connections)
        self._clock = clock
        self._now = now
        self._refused_since: float | None = None

    def refused(self, wait: float, max_wait: float) -> None:
        """A call was refused for a limit: send nothing for `wait` seconds.

        Raises QuotaExhausted when calls would have been refused for longer than `max_wait` seconds on end.
        """
        now = self._clock.monotonic()
        self._refused_since = now if self._refused_since is None else self._refused_since
        if now - self._refused_since + wait > max_wait:
            raise QuotaExhausted(f"the vendor has refused calls for a limit for longer than {max_wait:.0f} s")
        self.quota.pause(wait, self._now())

    @asynccontextmanager
    async def one(self, max_wait: float, say: Callable[[str], None]) -> AsyncIterator[None]:
        """Wait for a permit and hold it. `say` hears what is being waited for, and "" when it is over.

        Raises QuotaExhausted when the wait would be longer than `max_wait` seconds.
        """
        async with self._slots:
            await self._wait(max_wait, say)
            self.quota.take(self._now())
            try:
                yield
                self._refused_since = None
            finally:
                self.quota.give_back()

    async def _wait(self, max_wait: float, say: Callable[[str], None]) -> None:
        has_waited = False
        while (wait := self.quota.wait(self._now())) > 0:
            window = self.quota.blocking(self._now())
            if wait > max_wait:
                raise QuotaExhausted(f"the vendor's {window} limit is used up; it resets in {wait:.0f} s")
            has_waited = True
            say(f"{window} limit, {wait:.0f} s")
            # Short naps, because an answer still in flight may change what is left.
            await self._clock.sleep(min(wait, LONGEST_NAP))
        if has_waited:
            say("")
