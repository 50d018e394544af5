"""The calls of one account, counted by all of its engines together. Pure: what is stored and the time are passed in.

Engines claim calls before they send them and tell later how they ended. The vendor's answers say what is left of
each limit; here they arrive late and in any order. The newest figures are those with the least left of the longest
limit, because every call counts there. All that they do not know of is claimed and not ended yet. And a limit is
full again once its window is over for sure: resets are whole seconds from when the answer was heard.

All times are UTC epoch seconds of one clock, that of the place where accounts are kept.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from core.limits import Figures, Limit

# An engine that was not heard of for so long has nothing out any more: it tells more often than that.
CLAIM_SECONDS = 20.0
# A call that ended without an answer may have been counted: answers heard so much later are of calls sent after it.
LOST_SECONDS = 10.0
# Figures that look older than the newest are believed after all: the account may have been given more.
DOUBTED_SECONDS = 60.0
HELD_SECONDS = 0.1


class Told(NamedTuple):
    """The figures of one answer, by the windows' seconds, and how many seconds ago it was heard."""

    figures: Mapping[int, Figures]
    age: float


class Report(NamedTuple):
    """What an engine has done: `out` calls are claimed, sent or not; `unanswered` ended without an answer.

    `pause` is for how many seconds the vendor wants to be left alone.
    """

    out: int
    unanswered: int = 0
    told: Sequence[Told] = ()
    pause: float = 0.0


class Grant(NamedTuple):
    """`calls` may be sent. If that is none, it may be worth asking again in `wait` seconds.

    `window` names the limit that is used up, empty when it is only that others have claimed what is left. `limits`
    are what is left for anybody, each with the seconds until it resets in place of the time.
    """

    calls: int
    wait: float
    window: str
    limits: Sequence[Limit]


class Book(Protocol):
    """Where one account is kept, as one engine writes to it."""

    async def exchange(self, report: Report, wanted: int) -> Grant:
        """Report and claim up to `wanted` calls, atomically. Raises the classes of `core.errors.StoreError`."""
        ...


@dataclass(slots=True)
class Claim:
    calls: int
    until: float


@dataclass(slots=True)
class Account:
    """`limits` are as the newest answer told; `claims` what each engine has out; `lost` what ended without an answer.

    What was lost counts until an answer that knows of it, or else in every window that had begun by then. An account
    whose answers tell no limits is `silent`: nothing holds its calls back.
    """

    limits: dict[int, Limit] = field(default_factory=dict)
    claims: dict[str, Claim] = field(default_factory=dict)
    lost: list[Claim] = field(default_factory=list)
    heard_at: float = 0.0
    paused_until: float = 0.0
    is_silent: bool = False

    def exchange(self, engine: str, report: Report, wanted: int, now: float) -> Grant:
        """Take the report of `engine` and give it a part of what is left; all it has out counts from now on."""
        self._roll(now)
        self.claims.pop(engine, None)
        # Nobody knows what an engine that has died had sent of its calls.
        self.lost += [claim for claim in self.claims.values() if claim.until <= now]
        self.claims = {name: claim for name, claim in self.claims.items() if claim.until > now}
        if report.unanswered:
            self.lost.append(Claim(report.unanswered, now + LOST_SECONDS))
        for told in report.told:
            self._hear(told, now)
        self.lost = [claim for claim in self.lost if claim.until > now or self._is_unknown(claim)]
        if report.pause:
            self.paused_until = max(self.paused_until, now + report.pause)
        calls = 0 if self.paused_until > now else self._share(wanted, report.out)
        if report.out or wanted:
            self.claims[engine] = Claim(report.out + calls, now + CLAIM_SECONDS)
        return Grant(calls, *self._blocking(now), self._left(now))

    def _hear(self, told: Told, now: float) -> None:
        if not told.figures:
            self.is_silent = not self.limits
            return
        longest = max(told.figures)
        known = self.limits.get(longest)
        is_older = known is not None and told.figures[longest].left > known.remaining
        if is_older and now - self.heard_at < DOUBTED_SECONDS:
            return
        self.limits = {
            seconds: Limit(seconds, each.limit, each.left, now + each.resets_in - told.age)
            for seconds, each in told.figures.items()
        }
        self.heard_at, self.is_silent = max(self.heard_at, now - told.age), False

    def _is_unknown(self, lost: Claim) -> bool:
        """Whether no answer has told of it, and a window lasts in which it may have been counted."""
        return self.heard_at < lost.until and any(limit.began_at < lost.until for limit in self.limits.values())

    def _room(self, limit: Limit) -> int:
        """What is left of a limit when all that the newest answer does not know of has been counted in it."""
        claimed = sum(claim.calls for claim in self.claims.values())
        return limit.remaining - claimed - sum(lost.calls for lost in self.lost if limit.began_at < lost.until)

    def _share(self, wanted: int, out: int) -> int:
        """Many at once while there is plenty for everybody, one by one when there is not."""
        if not self.limits:
            is_out = out or any(claim.calls for claim in (*self.claims.values(), *self.lost))
            return wanted if self.is_silent else min(wanted, int(not is_out))
        room = min(map(self._room, self.limits.values())) - out
        if room <= 0:
            return 0
        return min(wanted, max(1, room // (2 * (len(self.claims) + 1))))

    def _blocking(self, now: float) -> tuple[float, str]:
        """How long to wait and for which limit; of calls that are claimed some come back soon."""
        waits = [(limit.resets_at - now, limit.name) for limit in self.limits.values() if limit.remaining <= 0]
        if self.paused_until > now:
            waits.append((self.paused_until - now, "vendor"))
        return max(waits, default=(HELD_SECONDS, ""))

    def _left(self, now: float) -> list[Limit]:
        return [
            Limit(limit.seconds, limit.limit, self._room(limit), limit.resets_at - now)
            for limit in self.limits.values()
        ]

    def _roll(self, now: float) -> None:
        """What ended in a new window would have told of it: there is nothing to know but what is claimed."""
        for limit in self.limits.values():
            if limit.resets_at <= now:
                passed = (now - limit.resets_at) // limit.seconds + 1
                limit.resets_at += passed * limit.seconds
                limit.remaining = limit.limit
