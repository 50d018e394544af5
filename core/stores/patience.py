"""Waiting for a database that is away: work is tried again until it is back, and somebody is told."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from core.errors import StoreUnavailable

T = TypeVar("T")
FIRST_SECONDS = 0.1
LONGEST_SECONDS = 2.0


class Patience:
    """Waits out StoreUnavailable, for everybody who works on one store.

    `say` hears the reason when the store goes away, and nothing when it is back. Once `is_over`, what cannot
    be done at once fails: who is about to leave does not wait.
    """

    def __init__(self) -> None:
        self.say: Callable[[str], None] = lambda _reason: None
        self.is_over = False
        self._reason = ""

    async def wait_out(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """What `attempt` gives as soon as it can. Raises StoreUnavailable once this is over."""
        pause = FIRST_SECONDS
        while True:
            try:
                done = await attempt()
            except StoreUnavailable as error:
                if self.is_over:
                    raise
                self._tell(str(error))
            else:
                self._tell("")
                return done
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
            pause = min(2 * pause, LONGEST_SECONDS)

    def _tell(self, reason: str) -> None:
        was, self._reason = self._reason, reason
        if bool(was) != bool(reason):
            self.say(reason)
