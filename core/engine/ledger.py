"""Counts an engine's calls in its account, whoever else counts there."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import NamedTuple

from core.clock import Clock
from core.errors import LedgerAway, QuotaExhausted, StoreError
from core.ledger import CLAIM_SECONDS, Account, Book, Grant, Report, Told, told_of
from core.limits import LONGEST_PAUSE, SHORTEST_PAUSE, Limit, Quota

# Calls that are claimed at once while there is plenty, and for how long those that were not sent are kept.
BATCH = 32
STOCK_SECONDS = 1.0
KEEP_SECONDS = 0.25
AWAY_SECONDS = 1.0


class Held(NamedTuple):
    """No call may be sent for `wait` seconds, if not longer, because of the limit called `window` and `why`.

    Without a window it is nothing that is worth saying.
    """

    wait: float
    window: str = ""
    why: str = "used up"


class OwnBook:
    """Implements `core.ledger.Book` for an engine that has the account to itself. `now` never goes back."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._account = Account()
        self._now = now

    async def exchange(self, report: Report, wanted: int) -> Grant:
        return self._account.exchange("", report, wanted, self._now())


class Ledger:
    """Counts calls in a `book` that all engines of the account write to.

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
        self._stocked_at = 0.0
        self._claimed = 0
        self._exchanged_at = 0.0
        self._told: list[tuple[float, Told]] = []
        self._unanswered = 0
        self._pause = 0.0

    def take(self) -> bool:
        """Whether one more call may be sent now; it is counted then."""
        if self._out == self._quota.in_flight:
            return False
        self._stock -= 1
        self._quota.take()
        return True

    async def ask(self) -> Held:
        """Claim more calls, or hear what holds them back; 0 seconds when nothing does any more.

        Raises StoreError when nobody can tell, LedgerAway when that will pass.
        """
        async with self._turn:
            grant = await self._exchange(BATCH)
        return Held(0.0 if grant.calls else grant.wait, grant.window)

    async def learn(self, max_wait: float, say: Callable[[str], None], *, asks: bool) -> bool:
        """Find out what is left, as far as anybody knows, without claiming a call.

        If `asks`, whether nobody knows and the vendor may be asked now: at most once an hour. Raises QuotaExhausted
        when nobody can tell for `max_wait` seconds, StoreError when nobody ever will.
        """
        started, has_said = self._clock.monotonic(), False
        while True:
            try:
                async with self._turn:
                    grant = await self._exchange(0, asks=asks)
            except LedgerAway as error:
                if self._clock.monotonic() - started >= max_wait:
                    raise QuotaExhausted(str(error)) from error
                has_said = True
                say(str(error))
                await self._clock.sleep(AWAY_SECONDS)
                continue
            if has_said:
                say("")
            return grant.may_ask

    def ended(self) -> None:
        """A call that was taken has ended, whatever its outcome."""
        self._quota.give_back()
        self._unanswered += 1

    def observe(self, headers: Mapping[str, str], *, served: bool = True) -> None:
        """Learn from the answer to a call that was taken and has not ended, `served` or refused."""
        told = told_of(headers, served=served)
        self._quota.observe(told.figures, self._now())
        self._told.append((self._clock.monotonic(), told))
        self._unanswered -= 1

    def pause(self, wait: float) -> None:
        """Let nothing be sent for `wait` seconds, at least one second and at most an hour."""
        self._pause, self._stock = max(self._pause, min(max(wait, SHORTEST_PAUSE), LONGEST_PAUSE)), 0

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
        # Monotonic time stands still while the machine sleeps.
        has_slept = self._clock.wall() - self._stocked_at > CLAIM_SECONDS / 2
        if has_slept or self._clock.monotonic() >= self._stock_until:
            self._stock = 0
        return self._quota.in_flight + self._stock

    def _has_news(self) -> bool:
        out = self._out
        is_long_ago = self._clock.monotonic() - self._exchanged_at > CLAIM_SECONDS / 4
        return bool(self._told or self._pause or out != self._claimed or (out and is_long_ago))

    async def _exchange(self, wanted: int, *, asks: bool = False) -> Grant:
        """One at a time. What could not be told is told the next time."""
        told, self._told = self._told, []
        # One that is answered and has not ended yet makes up for it later.
        unanswered = max(0, self._unanswered)
        pause, self._pause, self._unanswered = self._pause, 0.0, self._unanswered - unanswered
        now, self._stocked_at = self._clock.monotonic(), self._clock.wall()
        aged = [each._replace(age=now - heard_at) for heard_at, each in told]
        report = Report(self._out, unanswered, aged, pause, self._quota.manners, asks)
        try:
            grant = await self._book.exchange(report, wanted)
        except BaseException:
            self._told, self._unanswered = [*told, *self._told], self._unanswered + unanswered
            self._pause = max(self._pause, pause)
            raise
        self._exchanged_at = self._clock.monotonic()
        self._claimed = report.out + grant.calls
        # A refusal that came meanwhile holds back what was granted before it was known.
        self._stock = 0 if self._pause else self._stock + grant.calls
        # Who was paused before it heard of its calls may have them no more.
        self._stock_until = min(self._exchanged_at + STOCK_SECONDS, now + CLAIM_SECONDS / 2)
        self._show(grant)
        return grant

    def _show(self, grant: Grant) -> None:
        now = self._now()
        for limit in grant.limits:
            # What we hold and have not sent is not used.
            shown = Limit(limit.seconds, limit.limit, limit.remaining + self._stock, now + limit.resets_at)
            self._quota.limits[limit.seconds] = shown
