"""Who counts the calls: this process alone, or all engines of the account together."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Protocol

from core.clock import Clock
from core.errors import QuotaExhausted, StoreError
from core.ledger import CLAIM_SECONDS, Book, Grant, Report, Told
from core.limits import Figures, Limit, Quota, figures

LONGEST_NAP = 1.0
# Calls that are claimed at once while there is plenty, and for how long those that were not sent are kept.
BATCH = 32
STOCK_SECONDS = 1.0
KEEP_SECONDS = 0.25


class Ledger(Protocol):
    """Holds a call back while one of the vendor's limits is used up."""

    async def take(self, max_wait: float, say: Callable[[str], None]) -> None:
        """Wait until one more call may be sent, and count it. `say` hears what is waited for, and "" when it is over.

        Raises QuotaExhausted when that takes longer than `max_wait` seconds, StoreError when nobody can tell.
        """
        ...

    def ended(self) -> None:
        """A call that was taken has ended, whatever its outcome."""
        ...

    def observe(self, headers: Mapping[str, str]) -> None:
        """Learn from the answer to a call that was taken and has not ended."""
        ...

    def pause(self, wait: float) -> None:
        """Let nothing be sent for `wait` seconds."""
        ...

    async def keep(self) -> None:
        """What is to be done between calls, until cancelled."""
        ...

    async def close(self) -> None: ...


class OwnLedger:
    """Implements `Ledger` for an engine that has the account to itself. `now` never goes back."""

    def __init__(self, quota: Quota, clock: Clock, now: Callable[[], float]) -> None:
        self._quota = quota
        self._clock = clock
        self._now = now

    async def take(self, max_wait: float, say: Callable[[str], None]) -> None:
        waiting = Waiting(max_wait, say)
        while (wait := self._quota.wait(self._now())) > 0:
            waiting.note(wait, self._quota.blocking(self._now()))
            # Short naps, because an answer still in flight may change what is left.
            await self._clock.sleep(min(wait, LONGEST_NAP))
        waiting.end()
        self._quota.take(self._now())

    def ended(self) -> None:
        self._quota.give_back()

    def observe(self, headers: Mapping[str, str]) -> None:
        self._quota.observe(headers, self._now())

    def pause(self, wait: float) -> None:
        self._quota.pause(wait, self._now())

    async def keep(self) -> None:
        """Every answer is heard at once."""

    async def close(self) -> None:
        """Nobody else wants to know."""


class Waiting:
    """One call's wait for a limit."""

    def __init__(self, max_wait: float, say: Callable[[str], None]) -> None:
        self._max_wait = max_wait
        self._say = say
        self._has_said = False

    def note(self, wait: float, window: str) -> None:
        """Raises QuotaExhausted when it is too long."""
        if wait > self._max_wait:
            raise QuotaExhausted(f"the vendor's {window} limit is used up; it resets in {wait:.0f} s")
        self._has_said = True
        self._say(f"{window} limit, {wait:.0f} s")

    def end(self) -> None:
        if self._has_said:
            self._say("")


class SharedLedger:
    """Implements `Ledger` over the `book` that all engines of the account write to.

    Calls are claimed some at a time. Those that are not sent soon are given back: the engine may have been paused,
    and others have them by now. `quota` shows what is left to whoever wants to know.
    """

    def __init__(self, quota: Quota, book: Book, clock: Clock, now: Callable[[], float]) -> None:
        self._quota = quota
        self._book = book
        self._clock = clock
        self._now = now
        self._turn = asyncio.Lock()
        self._stock = 0
        self._stock_until = 0.0
        self._claimed = 0
        self._exchanged_at = 0.0
        self._told: list[tuple[float, Mapping[int, Figures]]] = []
        self._unanswered = 0
        self._pause = 0.0

    async def take(self, max_wait: float, say: Callable[[str], None]) -> None:
        if not self._draw():
            # One asks for all: the others find what it gets.
            async with self._turn:
                await self._wait(Waiting(max_wait, say))
        self._quota.take(self._now())

    def ended(self) -> None:
        self._quota.give_back()
        self._unanswered += 1

    def observe(self, headers: Mapping[str, str]) -> None:
        self._quota.observe(headers, self._now())
        self._told.append((self._clock.monotonic(), figures(headers)))
        self._unanswered -= 1

    def pause(self, wait: float) -> None:
        self._quota.pause(wait, self._now())
        self._pause, self._stock = max(self._pause, wait), 0

    async def keep(self) -> None:
        """Tell others soon of what has ended or will not be sent, and that calls which take long are still out."""
        while True:
            await self._clock.sleep(KEEP_SECONDS)
            if self._has_news():
                with suppress(StoreError):  # whoever wants to send something hears of it
                    async with self._turn:
                        await self._exchange(0)

    async def close(self) -> None:
        self._stock = 0
        if self._has_news():
            with suppress(StoreError):
                await self._exchange(0)

    @property
    def _out(self) -> int:
        if self._clock.monotonic() >= self._stock_until:
            self._stock = 0
        return self._quota.in_flight + self._stock

    def _draw(self) -> bool:
        if self._out == self._quota.in_flight:
            return False
        self._stock -= 1
        return True

    async def _wait(self, waiting: Waiting) -> None:
        while not self._draw():
            grant = await self._exchange(BATCH)
            if not grant.calls:
                if grant.window:
                    waiting.note(grant.wait, grant.window)
                await self._clock.sleep(min(grant.wait, LONGEST_NAP))
        waiting.end()

    def _has_news(self) -> bool:
        out = self._out
        is_long_ago = self._clock.monotonic() - self._exchanged_at > CLAIM_SECONDS / 4
        return bool(self._told or self._pause or out != self._claimed or (out and is_long_ago))

    async def _exchange(self, wanted: int) -> Grant:
        """One at a time. What could not be told is told the next time."""
        told, self._told = self._told, []
        # One that is answered and has not ended yet makes up for it later.
        unanswered = max(0, self._unanswered)
        pause, self._pause, self._unanswered = self._pause, 0.0, self._unanswered - unanswered
        now = self._clock.monotonic()
        report = Report(self._out, unanswered, [Told(each, now - heard_at) for heard_at, each in told], pause)
        try:
            grant = await self._book.exchange(report, wanted)
        except BaseException:
            self._told, self._unanswered = [*told, *self._told], self._unanswered + unanswered
            self._pause = max(self._pause, pause)
            raise
        self._exchanged_at = self._clock.monotonic()
        self._claimed = report.out + grant.calls
        self._stock += grant.calls
        # Who was paused before it heard of its calls may have them no more.
        self._stock_until = min(self._exchanged_at + STOCK_SECONDS, now + CLAIM_SECONDS / 2)
        self._show(grant)
        return grant

    def _show(self, grant: Grant) -> None:
        now = self._now()
        for limit in grant.limits:
            shown = Limit(limit.seconds, limit.limit, limit.remaining, now + limit.resets_at)
            self._quota.limits[limit.seconds] = shown
