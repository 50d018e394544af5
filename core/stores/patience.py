"""Waiting for a database that is away: work is tried again until it is back, and somebody is told."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from core.errors import StoreUnavailable

T = TypeVar("T")
FIRST_SECONDS = 0.1
LONGEST_SECONDS = 2.0
REASONS = 10  # of one outage that are told


class Patience:
    """Waits out StoreUnavailable, for everybody who works on one store.

    `say` hears each new reason while work waits, and nothing when none does any more: on a full disk small things
    still succeed. Once `is_over`, what cannot be done at once fails: who is about to leave does not wait, nor does
    who has nobody to tell. `hurry` is what the store does then about work that is under way.
    """

    def __init__(self) -> None:
        self.say: Callable[[str], None] = lambda _reason: None
        self.hurry: Callable[[], None] = lambda: None
        self.is_over = False
        self._waiting: set[object] = set()
        self._said: set[str] = set()

    def end(self) -> None:
        """This is over, and what is under way should not take long."""
        self.is_over = True
        self.hurry()

    async def wait_out(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """What `attempt` gives as soon as it can. Raises StoreUnavailable once this is over."""
        ticket = object()
        try:
            done = await self._persevere(attempt, ticket)
        finally:
            self._waiting.discard(ticket)
        if self._said and not self._waiting:
            self._said.clear()
            self.say("")
        return done

    async def _persevere(self, attempt: Callable[[], Awaitable[T]], ticket: object) -> T:
        pause = FIRST_SECONDS
        while True:
            try:
                return await attempt()
            except StoreUnavailable as error:
                if self.is_over:
                    raise
                self._waiting.add(ticket)
                self._tell(str(error))
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
            pause = min(2 * pause, LONGEST_SECONDS)

    def _tell(self, reason: str) -> None:
        if reason not in self._said and len(self._said) < REASONS:
            self._said.add(reason)
            self.say(reason)
