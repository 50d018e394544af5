"""The calls of one account, counted by all of its engines together. Pure: what is stored and the time are passed in.

Engines claim calls before they send them and tell later how they ended. The vendor's answers say what is left of
each limit; here they arrive late and in any order. The newest figures are those with the least left of the longest
limit, because every call counts there. All that they do not know of is claimed and not ended yet. And a limit is
full again once its window is over for sure: resets are whole seconds from when the answer was heard.

All times are UTC epoch seconds of one clock, that of the place where accounts are kept. It may have been wrong: no
time that is kept holds anybody back for longer than it could have when it was written.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import msgspec

from core.limits import LONGEST_PAUSE, Figures, Limit, figures, served_at
from core.manners import Manners, Pace

# An engine that was not heard of for so long has nothing out any more: it tells more often than that.
CLAIM_SECONDS = 20.0
# A call that ended without an answer may have been counted: answers heard so much later are of calls sent after it.
LOST_SECONDS = 10.0
# What ends without an answer while the vendor is away is kept in so many parts at most.
MOST_LOST = 50
# Figures that look older than the newest are believed after all: the account may have been given more.
DOUBTED_SECONDS = 60.0
HELD_SECONDS = 0.1
CLOCK_SECONDS = 60.0
# What our clock and an answer's date can differ by and nobody has set a clock: its way, and its second.
LONGEST_WAY = 12.0
# The vendor is asked for what it would tell with any answer at most so often.
ASK_SECONDS = 3_600.0


class Told(NamedTuple):
    """The figures of one answer, by the windows' seconds, and how many seconds ago it was heard.

    `date` is when it was given, in whole seconds of the vendor's clock, by which its windows end; None is unknown.
    It is `served` when it has what was asked for, else an error or a refusal.
    """

    figures: Mapping[int, Figures]
    age: float = 0.0
    date: float | None = None
    served: bool = True


def told_of(headers: Mapping[str, str], *, served: bool = True) -> Told:
    """What the headers of an answer that was just heard tell."""
    found = figures(headers)
    return Told(found, 0.0, served_at(headers, found), served)


class Report(NamedTuple):
    """What an engine has done: `out` calls are claimed, sent or not; `unanswered` ended without an answer.

    `pause` is for how many seconds the vendor wants to be left alone, `manners` what the engine leaves to others, and
    `asks` whether to ask the vendor for the limits.
    """

    out: int
    unanswered: int = 0
    told: Sequence[Told] = ()
    pause: float = 0.0
    manners: Manners = Manners()
    asks: bool = False


class Grant(NamedTuple):
    """`calls` may be sent. If that is none, it may be worth asking again in `wait` seconds.

    `window` names the limit that is used up, empty when it is only that others have claimed what is left. `limits`
    are what is left for anybody, each with the seconds until it resets in place of the time. `may_ask` answers who
    asks: nobody knows the limits, and it is this engine's turn to ask the vendor.
    """

    calls: int
    wait: float
    window: str
    limits: Sequence[Limit]
    may_ask: bool = False


class Book(Protocol):
    """Where one account is kept, as one engine writes to it."""

    async def exchange(self, report: Report, wanted: int) -> Grant:
        """Report and claim up to `wanted` calls, atomically. Raises the classes of `core.errors.StoreError`."""
        ...


async def read_limits(book: Book) -> Sequence[Limit]:
    """What is left of an account for anybody, as in `Grant.limits`; nothing while nobody knows. Claims nothing.

    `book` must be of a name that is no engine's: whose it is has nothing out from now on. Raises as `Book.exchange`.
    """
    return (await book.exchange(Report(out=0), wanted=0)).limits


@dataclass(slots=True)
class Claim:
    calls: int
    until: float


@dataclass(slots=True)
class VendorClock:
    """By how much the vendor's clock is ahead of ours, at least: answers take time, and their dates are whole seconds.

    The most that any answer of the last two minutes proves is nearest. Older ones are forgotten: clocks are set.
    """

    current: float | None = None
    before: float | None = None
    since: float = 0.0

    def ahead(self, date: float, heard_at: float) -> float:
        """Also after an answer with `date` that was heard at `heard_at` by our clock."""
        if heard_at - self.since > CLOCK_SECONDS:
            self.before, self.current, self.since = self.current, None, heard_at
        told = date - heard_at
        self.current = max(told, self._believed(self.current, told))
        return max(self.current, self._believed(self.before, told))

    @staticmethod
    def _believed(ahead: float | None, told: float) -> float:
        """What an earlier answer proves, unless our clock was set since."""
        return told if ahead is None or ahead > told + LONGEST_WAY else ahead


@dataclass(slots=True)
class Account:
    """`limits` are as the newest answer told; `claims` what each engine has out; `lost` what ended without an answer.

    What was lost counts until an answer that knows of it, or else in every window that had begun by then. An account
    whose answers tell no limits is `silent`: nothing holds its calls back. Errors and refusals may be a proxy's or cut
    short, so only what was served makes it so. `asked_at` is when one last asked for the limits.
    """

    limits: dict[int, Limit] = field(default_factory=dict)
    claims: dict[str, Claim] = field(default_factory=dict)
    lost: list[Claim] = field(default_factory=list)
    heard_at: float = 0.0
    clock: VendorClock = field(default_factory=VendorClock)
    paused_until: float = 0.0
    pace: Pace = field(default_factory=Pace)
    is_silent: bool = False
    asked_at: float = 0.0

    def exchange(self, engine: str, report: Report, wanted: int, now: float) -> Grant:
        """Take the report of `engine` and give it a part of what is left; all it has out counts from now on."""
        self._bound(now)
        self._roll(now)
        self.claims.pop(engine, None)
        # Nobody knows what an engine that has died had sent of its calls.
        self.lost += [claim for claim in self.claims.values() if claim.until <= now]
        self.claims = {name: claim for name, claim in self.claims.items() if claim.until > now}
        if report.unanswered:
            self.lost.append(Claim(report.unanswered, now + LOST_SECONDS))
        for told in report.told:
            self._hear(told, now)
        self._roll(now)
        self.lost = _merged([claim for claim in self.lost if claim.until > now or self._is_unknown(claim)])
        if report.pause:
            self.paused_until = max(self.paused_until, now + report.pause)
        calls = 0 if self.paused_until > now else self._share(wanted, report.out, report.manners)
        calls = self.pace.grant(calls, report.manners.max_per_second, now)
        if report.out or wanted:
            self.claims[engine] = Claim(report.out + calls, now + CLAIM_SECONDS)
        may_ask = report.asks and self._asks(now)
        return Grant(calls, *self._blocking(now, report.manners), self._left(now), may_ask)

    def bury(self, has_died: Callable[[str], bool], now: float) -> None:
        """What engines have out of which it is known that they have died ends now. Ask before `exchange`."""
        for engine, claim in self.claims.items():
            if claim.until > now and has_died(engine):
                claim.until = now

    def _bound(self, now: float) -> None:
        """What was written while the clock was ahead has its full time from now, and no more."""
        for limit in self.limits.values():
            limit.resets_at = min(limit.resets_at, now + limit.seconds)
        for claim in self.claims.values():
            claim.until = min(claim.until, now + CLAIM_SECONDS)
        for claim in self.lost:
            claim.until = min(claim.until, now + LOST_SECONDS)
        self.paused_until = min(self.paused_until, now + LONGEST_PAUSE)
        self.heard_at, self.asked_at = min(self.heard_at, now), min(self.asked_at, now)
        self.clock.since = min(self.clock.since, now)

    def _asks(self, now: float) -> bool:
        if self.limits or (self.asked_at and now - self.asked_at < ASK_SECONDS):
            return False
        self.asked_at = now
        return True

    def _hear(self, told: Told, now: float) -> None:
        if not told.figures:
            self.is_silent = not self.limits and (self.is_silent or told.served)
            return
        if self._is_older(told.figures) and now - self.heard_at < DOUBTED_SECONDS:
            return
        asked_at = now - told.age
        served_at = asked_at if told.date is None else told.date - self.clock.ahead(told.date, asked_at)
        self.limits = {
            seconds: Limit(seconds, each.limit, each.left, served_at + each.resets_in)
            for seconds, each in told.figures.items()
        }
        self.heard_at, self.is_silent = max(self.heard_at, now - told.age), False

    def _is_older(self, told: Mapping[int, Figures]) -> bool:
        """Whether they are, or may be: what does not tell of the longest limit could be of any time."""
        longest = max((*self.limits, *told))
        known, each = self.limits.get(longest), told.get(longest)
        return known is not None and (each is None or each.left > known.remaining)

    def _is_unknown(self, lost: Claim) -> bool:
        """Whether no answer has told of it, and a window lasts in which it may have been counted."""
        return self.heard_at < lost.until and any(limit.began_at < lost.until for limit in self.limits.values())

    def _room(self, limit: Limit) -> int:
        """What is left of a limit when all that the newest answer does not know of has been counted in it."""
        return limit.remaining - self._lost_in(limit) - sum(claim.calls for claim in self.claims.values())

    def _lost_in(self, limit: Limit) -> int:
        return sum(lost.calls for lost in self.lost if limit.began_at < lost.until)

    def _share(self, wanted: int, out: int, manners: Manners) -> int:
        """Many at once while there is plenty for everybody, one by one when there is not."""
        if not self.limits:
            is_out = out or any(claim.calls for claim in self.claims.values())
            return wanted if self.is_silent else min(wanted, int(not is_out))
        room = min(self._room(limit) - manners.kept(limit.seconds, limit.limit) for limit in self.limits.values()) - out
        if room <= 0:
            return 0
        return min(wanted, max(1, room // (2 * (len(self.claims) + 1))))

    def _blocking(self, now: float, manners: Manners) -> tuple[float, str]:
        """How long to wait and for which limit; of calls that are claimed some come back soon, or an answer to one
        tells of those that were lost."""
        is_out = any(claim.calls for claim in self.claims.values())
        waits = [
            (limit.resets_at - now, manners.name(limit.name, limit.seconds, limit.limit, limit.remaining))
            for limit in self.limits.values()
            if limit.remaining <= manners.kept(limit.seconds, limit.limit) + (0 if is_out else self._lost_in(limit))
        ]
        waits += self.pace.waits(manners.max_per_second, now)
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


def _merged(lost: list[Claim]) -> list[Claim]:
    """At most MOST_LOST of them: the first of those that are too many count as one, for as long as their last."""
    first, rest = lost[:-MOST_LOST], lost[-MOST_LOST:]
    if first:
        rest[0] = Claim(
            sum(claim.calls for claim in (*first, rest[0])), max(claim.until for claim in (*first, rest[0]))
        )
    return rest


def encode(account: Account) -> bytes:
    """`account` as JSON, for where it is kept."""
    return msgspec.json.encode(account)


def decode(state: bytes | str) -> Account:
    """What `encode` made. What another version or nobody has written is learned anew."""
    try:
        account = msgspec.json.decode(state, type=Account)
    except (msgspec.DecodeError, TypeError):
        return Account()
    return account if all(limit.seconds > 0 for limit in account.limits.values()) else Account()
