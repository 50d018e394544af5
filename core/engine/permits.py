"""Permission to send one request: the most urgent call goes next, once there is a place and a call left of every limit.

Places adapt to the latency, calls that can wait leave a part of the limits to live ones, and while the vendor does
not answer one call at a time finds out whether it is back.
"""

import asyncio
import heapq
import math
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field

from core.breaker import Breaker
from core.clock import Clock
from core.concurrency import Concurrency
from core.engine.ledger import Held, Ledger, OwnBook
from core.errors import LedgerAway, QuotaExhausted, SourceError, Transient, VendorAway
from core.limits import LiveShare, Quota, RetryBudget
from core.text import clean
from core.usage import UNNAMED, Purpose, Usage

LONGEST_NAP = 1.0
# Answers that may wait for the store while others are asked for.
UNWRITTEN = 8
VENDOR_FAILURES = 8
LONGEST_PROBE_WAIT = 30.0
CAN_WAIT = math.inf
# Somebody waits for a list before there is anything else to ask for.
AT_ONCE = 0.0

Say = Callable[[str], None]


@dataclass(slots=True)
class Call:
    """One call that was sent; it `is_heard` once its answer is there."""

    sent_at: float
    is_heard: bool = False


@dataclass(slots=True, order=True)
class Waiter:
    """One call that waits for its permit. `due` is in UTC epoch seconds, `since` monotonic ones."""

    due: float
    serial: int
    since: float = field(compare=False)
    max_wait: float = field(compare=False)
    say: Say = field(compare=False)
    admitted: asyncio.Future[Call] = field(compare=False)


_CALL: ContextVar[Call | None] = ContextVar("_CALL", default=None)


class Permits:
    """At most `connections` requests at once, none inside a wait. `now` is UTC epoch seconds that never go back.

    `ledger` counts them; without one nobody else has the account. `live` says how much of the limits live calls are
    left, `max_outage` for how many seconds a call waits for a vendor that does not answer. `say` hears why it is away,
    and "" when it is back. `usage` remembers what calls were for, `held_back` for how many seconds each limit kept
    calls from being sent.
    """

    def __init__(
        self,
        quota: Quota,
        connections: int,
        clock: Clock,
        now: Callable[[], float],
        ledger: Ledger | None = None,
        live: LiveShare | None = None,
        max_outage: float = 20.0,
        usage: Usage | None = None,
    ) -> None:
        self.quota = quota
        self.ledger = ledger or Ledger(quota, OwnBook(now), clock, now)
        self.concurrency = Concurrency(connections)
        self.retries = RetryBudget()
        self.usage = usage or Usage()
        self.say: Say = lambda _: None
        self.held_back: dict[str, float] = {}
        self._clock = clock
        self._now = now
        self._live = live or LiveShare()
        self._max_outage = max_outage
        self._breaker = Breaker(VENDOR_FAILURES, wait=1.0, longest=LONGEST_PROBE_WAIT)
        self._fault = ""
        self._line: list[Waiter] = []
        self._serial = 0
        self._unanswered = 0
        self._out = 0
        self._told: set[Say] = set()
        self._changed = asyncio.Event()
        self._porter: asyncio.Task[None] | None = None
        self._refused_since: float | None = None

    @property
    def is_vendor_away(self) -> bool:
        """Whether it has not answered for several calls in a row, and none since."""
        return self._breaker.is_open

    @property
    def waiting(self) -> int:
        """Calls that wait for their permit."""
        return sum(not waiter.admitted.done() for waiter in self._line)

    def refused(self, wait: float, max_wait: float) -> None:
        """A call was refused for a limit: send nothing for `wait` seconds.

        Raises QuotaExhausted when calls would have been refused for longer than `max_wait` seconds on end.
        """
        now = self._clock.monotonic()
        self._refused_since = now if self._refused_since is None else self._refused_since
        if now - self._refused_since + wait > max_wait:
            raise QuotaExhausted(f"the vendor has refused calls for a limit for longer than {max_wait:.0f} s")
        self.ledger.pause(wait)

    def observe(self, headers: Mapping[str, str], *, served: bool = True) -> None:
        """Learn from the answer to the call of the current task: it is no longer in flight."""
        self.ledger.observe(headers, served=served)
        if (call := _CALL.get()) is not None and not call.is_heard:
            now = self._clock.monotonic()
            self._arrived(call)
            self.concurrency.heard(now - call.sent_at, now, is_full=bool(self._line) and not self._is_store_behind)

    @asynccontextmanager
    async def one(
        self, max_wait: float, say: Say, due: float = CAN_WAIT, purpose: Purpose = UNNAMED
    ) -> AsyncIterator[None]:
        """Wait for a permit and hold it. `say` hears what is being waited for, and "" when it is over.

        Of those that wait the one that is `due` first goes first. Raises QuotaExhausted when the wait for a limit
        would be longer than `max_wait` seconds or the month's budget is used up, VendorAway when the vendor does not
        answer, StoreError when the ledger is away and nobody waits for it.
        """
        self.usage.require_room(self._clock.wall())
        call = self._admit(due) if not self._line and self._take(due) else await self._wait(max_wait, say, due)
        token = _CALL.set(call)
        try:
            self.usage.spend(purpose, self._clock.wall())
            yield
        except SourceError as error:
            self._answered(error)
            raise
        else:
            self._answered()
            self._refused_since = None
        finally:
            _CALL.reset(token)
            self._leave(call)

    async def _wait(self, max_wait: float, say: Say, due: float) -> Call:
        self._serial += 1
        waiter = Waiter(due, self._serial, self._clock.monotonic(), max_wait, say, asyncio.Future())
        heapq.heappush(self._line, waiter)
        self._changed.set()
        if self._porter is None or self._porter.done():
            self._porter = asyncio.create_task(self._serve())
        try:
            return await waiter.admitted
        except asyncio.CancelledError:
            if not waiter.admitted.cancelled() and waiter.admitted.exception() is None:
                self._leave(waiter.admitted.result())
            raise
        finally:
            self._changed.set()

    async def _serve(self) -> None:
        """Admit whoever is first in line until nobody waits."""
        while (first := self._first()) is not None:
            self._changed.clear()
            if self._take(first.due):
                self._pop().set_result(self._admit(first.due))
                continue
            try:
                held = await self._held(first)
                with self._counted(held.window):
                    await self._nap(held)
            except Exception as error:  # a task boundary: it is for the call that the ledger was asked for
                if not first.admitted.done():
                    first.admitted.set_exception(error)

    def _first(self) -> Waiter | None:
        while self._line and self._line[0].admitted.done():
            self._pop()
        return self._line[0] if self._line else None

    def _pop(self) -> asyncio.Future[Call]:
        waiter = heapq.heappop(self._line)
        if waiter.say in self._told:
            self._told.discard(waiter.say)
            waiter.say("")
        return waiter.admitted

    def _take(self, due: float) -> bool:
        """Whether a call may be sent now; it is counted then."""
        if not self._has_place or (self._breaker.is_open and not self._is_probe_due):
            return False
        can_go = self._kept(due) is None and self.ledger.take()
        # Of an open one this takes the probe's turn.
        return can_go and self._breaker.allows(self._clock.monotonic())

    async def _held(self, first: Waiter) -> Held:
        """What holds the first in line back, and for how long. Raises what ends its wait."""
        if self._breaker.is_open and not self._is_probe_due:
            return self._outage(first)
        if not self._has_place:
            return Held(math.inf)
        kept = self._kept(first.due)
        try:
            held = await self.ledger.ask() if kept is None else kept
        except LedgerAway as error:
            return self._away(first, error)
        if held.wait > 0:
            self.concurrency.idle()
        if held.window:
            self._note(held)
        return held

    @property
    def _has_place(self) -> bool:
        return self._unanswered < self.concurrency.limit and not self._is_store_behind

    @property
    def _is_store_behind(self) -> bool:
        return self._out >= self.concurrency.limit + UNWRITTEN

    @property
    def _is_probe_due(self) -> bool:
        return not self._unanswered and not self._breaker.held(self._clock.monotonic())

    def _kept(self, due: float) -> Held | None:
        """What a call that can wait leaves to live ones."""
        if due < CAN_WAIT:
            return None
        now = self._now()
        if (limit := self._live.blocking(self.quota.ours(), now)) is None:
            return None
        # Each minute it is seen anew how many are to be expected.
        return Held(min(limit.resets_at - now, 60.0), limit.name, "kept for live bars")

    def _outage(self, first: Waiter) -> Held:
        now = self._clock.monotonic()
        waited = now - max(first.since, self._breaker.opened_at)
        if waited >= self._max_outage:
            raise VendorAway(f"the vendor has not answered for {now - self._breaker.opened_at:.0f} s: {self._fault}")
        wait = self._breaker.held(now)
        self._tell(first.say, f"for the vendor: {self._fault}")
        return Held(min(wait or math.inf, self._max_outage - waited))

    def _away(self, first: Waiter, error: LedgerAway) -> Held:
        """Nobody can tell what is left."""
        if self._clock.monotonic() - first.since >= first.max_wait:
            raise QuotaExhausted(str(error))
        self._tell(first.say, str(error))
        return Held(LONGEST_NAP)

    def _note(self, held: Held) -> None:
        """Tell everybody in line what is waited for; who has no patience for it is sent away."""
        for say in {waiter.say for waiter in self._line if held.wait <= waiter.max_wait}:
            self._tell(say, f"{held.window} limit, {held.wait:.0f} s")
        for waiter in self._line:
            if held.wait > waiter.max_wait and not waiter.admitted.done():
                what = f"the vendor's {held.window} limit is {held.why}; it resets in {held.wait:.0f} s"
                waiter.admitted.set_exception(QuotaExhausted(what))

    def _tell(self, say: Say, text: str) -> None:
        self._told.add(say)
        say(text)

    async def _nap(self, held: Held) -> None:
        """Not for long: an answer still in flight may change what is left."""
        if held.wait <= 0:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(min(held.wait, LONGEST_NAP)):
                await self._changed.wait()

    @contextmanager
    def _counted(self, limit: str) -> Iterator[None]:
        started = self._clock.monotonic()
        yield
        if limit:
            self.held_back[limit] = self.held_back.get(limit, 0.0) + self._clock.monotonic() - started

    def _admit(self, due: float) -> Call:
        """`_take` has counted it."""
        self._out += 1
        self._unanswered += 1
        self.retries.sent()
        if due < CAN_WAIT:
            self._live.sent(self._now())
        return Call(self._clock.monotonic())

    def _arrived(self, call: Call) -> None:
        call.is_heard = True
        self._unanswered -= 1
        self.ledger.ended()
        self._changed.set()

    def _answered(self, error: SourceError | None = None) -> None:
        """A call has come to an end; a refusal is an answer too."""
        if isinstance(error, Transient):
            self._fault = clean(str(error), 200)
            self.concurrency.failed()
            if self._breaker.failed(self._clock.monotonic()):
                self.say(self._fault)
        elif self._breaker.succeeded():
            self.concurrency.restart()
            self.say("")

    def _leave(self, call: Call) -> None:
        if not call.is_heard:
            self._arrived(call)
        self._out -= 1
        self._changed.set()
