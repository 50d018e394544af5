"""Permission to send one request: a free connection and a place in every one of the vendor's limits."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from core.clock import Clock
from core.engine.ledger import Ledger, OwnLedger
from core.errors import QuotaExhausted
from core.limits import Quota


class Permits:
    """At most `connections` requests at once, none inside a wait. `now` is UTC epoch seconds that never go back.

    `ledger` counts them; without one nobody else has the account.
    """

    def __init__(
        self, quota: Quota, connections: int, clock: Clock, now: Callable[[], float], ledger: Ledger | None = None
    ) -> None:
        self.quota = quota
        self.ledger = ledger or OwnLedger(quota, clock, now)
        self._slots = asyncio.Semaphore(connections)
        self._clock = clock
        self._refused_since: float | None = None

    def refused(self, wait: float, max_wait: float) -> None:
        """A call was refused for a limit: send nothing for `wait` seconds.

        Raises QuotaExhausted when calls would have been refused for longer than `max_wait` seconds on end.
        """
        now = self._clock.monotonic()
        self._refused_since = now if self._refused_since is None else self._refused_since
        if now - self._refused_since + wait > max_wait:
            raise QuotaExhausted(f"the vendor has refused calls for a limit for longer than {max_wait:.0f} s")
        self.ledger.pause(wait)

    @asynccontextmanager
    async def one(self, max_wait: float, say: Callable[[str], None]) -> AsyncIterator[None]:
        """Wait for a permit and hold it. `say` hears what is being waited for, and "" when it is over.

        Raises QuotaExhausted when the wait would be longer than `max_wait` seconds, StoreError when the ledger is
        away and nobody waits for it.
        """
        async with self._slots:
            await self.ledger.take(max_wait, say)
            try:
                yield
                self._refused_since = None
            finally:
                self.ledger.ended()
