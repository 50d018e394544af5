"""Waiting for a database that is away: work is tried again until it is back, and somebody is told."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from core.errors import StoreError, StoreUnavailable
from core.telemetry import OK

T = TypeVar("T")
FIRST_SECONDS = 0.1
LONGEST_SECONDS = 2.0
REASONS = 10  # of one outage that are told
COMMIT, READ, JOURNAL = "commit", "read", "journal"
# Of SQLite: busy and locked. Of PostgreSQL: no lock, a deadlock, a transaction that has to be done again.
BUSY_CODES = {5, 6}
BUSY_STATES = {"55P03", "40P01", "40001"}


class Patience:
    """Waits out StoreUnavailable, for everybody who works on one store.

    `say` hears each new reason while work waits, and nothing when none does any more: on a full disk small things
    still succeed. Once `is_over`, what cannot be done at once fails: who is about to leave does not wait, nor does
    who has nobody to tell. `hurry` is what the store does then about work that is under way. `heard` hears of each
    attempt: what kind it was of, how it ended (ok, busy, away, error) and how many seconds it took.
    """

    def __init__(self) -> None:
        self.say: Callable[[str], None] = lambda _reason: None
        self.hurry: Callable[[], None] = lambda: None
        self.heard: Callable[[str, str, float], None] = lambda _kind, _outcome, _seconds: None
        self.is_over = False
        self._waiting: set[object] = set()
        self._said: set[str] = set()

    def end(self) -> None:
        """This is over, and what is under way should not take long."""
        self.is_over = True
        self.hurry()

    async def wait_out(self, attempt: Callable[[], Awaitable[T]], kind: str = READ) -> T:
        """What `attempt` gives as soon as it can. Raises StoreUnavailable once this is over."""
        ticket = object()
        try:
            done = await self._persevere(attempt, kind, ticket)
        finally:
            self._waiting.discard(ticket)
        if self._said and not self._waiting:
            self._said.clear()
            self.say("")
        return done

    async def _persevere(self, attempt: Callable[[], Awaitable[T]], kind: str, ticket: object) -> T:
        pause = FIRST_SECONDS
        while True:
            try:
                return await self._measured(attempt, kind)
            except StoreUnavailable as error:
                if self.is_over:
                    raise
                self._waiting.add(ticket)
                self._tell(str(error))
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
            pause = min(2 * pause, LONGEST_SECONDS)

    async def _measured(self, attempt: Callable[[], Awaitable[T]], kind: str) -> T:
        now, outcome = asyncio.get_running_loop().time, OK
        started = now()
        try:
            return await attempt()
        except StoreError as error:
            outcome = _outcome(error)
            raise
        finally:
            self.heard(kind, outcome, now() - started)

    def _tell(self, reason: str) -> None:
        if reason not in self._said and len(self._said) < REASONS:
            self._said.add(reason)
            self.say(reason)


def _outcome(error: StoreError) -> str:
    """Only what the database itself failed at is its error; whatever it was asked for in vain is not."""
    cause = error.__cause__
    if getattr(cause, "sqlite_errorcode", 0) & 0xFF in BUSY_CODES or getattr(cause, "sqlstate", "") in BUSY_STATES:
        return "busy"
    if isinstance(error, StoreUnavailable):
        return "away"
    return "error" if type(error) is StoreError else OK
