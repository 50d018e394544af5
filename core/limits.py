"""The vendor's limits and our manners towards it, as state machines. Pure: time and chance are passed in.

The vendor counts calls per account in up to five fixed, calendar-aligned windows and says after every
answer what is left of each. Between answers we count what we send ourselves; an answer's figures do not
yet hold the calls still in flight, so those stay subtracted. All times are UTC epoch seconds.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import NamedTuple

from core.manners import Manners

WINDOW_NAMES = {1: "second", 60: "minute", 3_600: "hour", 86_400: "day"}
UNKNOWN_WAIT = 60.0
SHORTEST_PAUSE = 1.0
LONGEST_PAUSE = 3_600.0
BUDGET_SHARE = 0.10


def window_name(seconds: int) -> str:
    """`second` ... `month`; the vendor's month is 30 or 31 days long."""
    return WINDOW_NAMES.get(seconds, "month" if seconds > 86_400 else f"{seconds} s")


@dataclass(slots=True)
class Limit:
    """One quota window: of `limit` calls each `seconds`, `remaining` are left until `resets_at`."""

    seconds: int
    limit: int
    remaining: int
    resets_at: float

    @property
    def name(self) -> str:
        return window_name(self.seconds)

    @property
    def began_at(self) -> float:
        return self.resets_at - self.seconds

    def without(self, calls: int) -> "Limit":
        return Limit(self.seconds, max(1, self.limit - calls), self.remaining - calls, self.resets_at)


class Figures(NamedTuple):
    """What an answer says of one window: of `limit` calls `left` are left until it resets in so many seconds."""

    limit: int
    left: int
    resets_in: int


def figures(headers: Mapping[str, str]) -> dict[int, Figures]:
    """The figures of an answer's headers by the windows' seconds; nothing when it has none."""
    caps = parse_windows(headers.get("X-RateLimit-Limit", ""))
    remaining = parse_windows(headers.get("X-RateLimit-Remaining-All", ""))
    resets = parse_windows(headers.get("X-RateLimit-Reset-All", ""))
    found: dict[int, Figures] = {}
    for seconds, (left, _) in remaining.items():
        if seconds not in resets:
            continue
        cap, burst = caps.get(seconds, (left, None))
        # A window of no calls at all would never let the one through that could correct it.
        found[seconds] = Figures(max(1, burst or cap), left, resets[seconds][0])
    return found


class Quota:
    """What is left of each limit, as far as this engine has heard; `in_flight` are its own calls."""

    def __init__(self, manners: Manners = Manners()) -> None:  # noqa: B008 - it is frozen
        self.manners = manners
        self.limits: dict[int, Limit] = {}
        self.in_flight = 0

    def take(self) -> None:
        """One call was sent."""
        self.in_flight += 1
        for limit in self.limits.values():
            limit.remaining -= 1

    def give_back(self) -> None:
        """The call has ended, whatever its outcome."""
        self.in_flight -= 1

    def observe(self, told: Mapping[int, Figures], now: float) -> None:
        """Learn from an answer (to a call that is still counted in flight)."""
        others = max(0, self.in_flight - 1)
        for seconds, (limit, left, resets_in) in told.items():
            self.limits[seconds] = Limit(seconds, limit, left - others, now + resets_in)

    def ours(self) -> list[Limit]:
        """The limits as if the vendor had sold nothing but our part of them."""
        return [limit.without(self.manners.kept(limit.seconds, limit.limit)) for limit in self.limits.values()]

    def left(self, name: str) -> int | None:
        """Calls left in the window called `name`, None while unknown."""
        return next((limit.remaining for limit in self.limits.values() if limit.name == name), None)


@lru_cache(maxsize=64)  # three headers of each answer, two of which say the same for long
def parse_windows(text: str) -> Mapping[int, tuple[int, int | None]]:
    """`{window seconds: (figure, burst or None)}` of one `-All` header; malformed parts are left out.

    The first part of each header is the month's figure without a window and says nothing new. Nothing
    is less than nothing: negative figures count as 0.
    """
    parsed: dict[int, tuple[int, int | None]] = {}
    for part in text.split(","):
        figure, *attributes = (piece.strip() for piece in part.split(";"))
        named = dict(piece.split("=", 1) for piece in attributes if "=" in piece)
        try:
            burst = _whole(named["burst"]) if "burst" in named else None
            window, value = _whole(named["window"]), max(0, _whole(figure))
        except (KeyError, ValueError):
            continue
        if window > 0:
            parsed[window] = (value, burst)
    return parsed


def _whole(text: str) -> int:
    """An integer that any arithmetic with times can bear. Raises ValueError for anything else."""
    if len(text) > 15:
        raise ValueError(text)
    return int(text)


def exhausted_wait(headers: Mapping[str, str]) -> float:
    """How long a 429 asks us to stay away: Retry-After, else the longest exhausted window, else 60 s.

    Retry-After is seconds or a date (RFC 9110, 10.2.3); a date is compared with that of the answer, whatever our
    clock says. What is absurd is bounded, what is neither says nothing.
    """
    with suppress(KeyError, ValueError):
        return min(max(_retry_after(headers), SHORTEST_PAUSE), LONGEST_PAUSE)
    remaining = parse_windows(headers.get("X-RateLimit-Remaining-All", ""))
    resets = parse_windows(headers.get("X-RateLimit-Reset-All", ""))
    waits = [resets[seconds][0] for seconds, (left, _) in remaining.items() if left <= 0 and seconds in resets]
    return float(max(waits)) if waits else UNKNOWN_WAIT


def served_at(headers: Mapping[str, str], told: Mapping[int, Figures]) -> float | None:
    """When an answer was given, by the vendor's clock; None when it does not say, or its windows end by another."""
    try:
        date = http_date(headers["Date"])
    except (KeyError, ValueError):
        return None
    aligned = [each for each in told if each <= 86_400]
    # All but the month's end with the vendor's calendar in UTC.
    return date if all((date + told[each].resets_in) % each == 0 for each in aligned) else None


def _retry_after(headers: Mapping[str, str]) -> float:
    """Raises KeyError and ValueError when the headers do not say it."""
    text = headers["Retry-After"]
    with suppress(ValueError):
        return float(_whole(text))
    if len(text) > 40:
        raise ValueError(text)
    return http_date(text) - http_date(headers["Date"])


@lru_cache(maxsize=16)  # all answers of a second say the same
def http_date(text: str) -> float:
    """Any of the three forms of an HTTP date, in UTC epoch seconds; one without a zone is UTC. Raises ValueError."""
    try:
        date = parsedate_to_datetime(text)
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except OverflowError as error:
        raise ValueError(text) from error


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential backoff with full jitter: attempt n waits anything up to `base * 2**(n-1)`, at most `cap`.

    A window is given up after `attempts` tries or `deadline` seconds of trying, waits for limits excepted.
    """

    base: float = 0.5
    cap: float = 10.0
    attempts: int = 5
    deadline: float = 20.0

    def wait(self, attempt: int, chance: float) -> float:
        """Seconds before try `attempt + 1`; `chance` is uniform in [0, 1)."""
        return min(self.cap, self.base * 2.0 ** min(attempt - 1, 60)) * chance

    def is_spent(self, attempt: int, tried_for: float) -> bool:
        return attempt >= self.attempts or tried_for >= self.deadline


@dataclass(slots=True)
class RetryBudget:
    """Retries are at most `share` of the calls, so that a vendor in trouble is not given more to do.

    `free` ones are there at once, for short runs, and one more comes after each `seconds`, so that what failed last
    is tried again too. The idea is that of Finagle's retry budgets. Times are seconds that never go back.
    """

    share: float = 0.1
    free: float = 16.0
    most: float = 100.0
    seconds: float = 1.0
    left: float = 16.0
    _at: float = 0.0

    def sent(self) -> None:
        """One call that is no retry."""
        self.left = min(self.most, self.left + self.share)

    def take(self, now: float) -> float:
        """Take one retry, and the seconds until its turn: it may be taken before it is there."""
        if self.left < self.free:
            self.left = min(self.free, self.left + (now - self._at) / self.seconds)
        self._at, self.left = now, self.left - 1
        return max(0.0, -self.left * self.seconds)


class LiveShare:
    """Keeps a part of every limit for live calls, which cannot wait: as many as are to be expected until it resets.

    They come again as they came in the last minute, hour or day, whichever is most. No more than `share` of a limit
    is kept, so that calls which can wait get on too.
    """

    def __init__(self, share: float = 0.8) -> None:
        self._share = share
        self._tallies = {seconds: Tally(seconds) for seconds in (60, 3_600, 86_400)}

    def sent(self, now: float) -> None:
        """One live call."""
        for tally in self._tallies.values():
            tally.roll(now)
            tally.current += 1

    def kept(self, limit: Limit, now: float) -> float:
        """Calls of `limit` that are not for those that can wait."""
        left = max(0.0, limit.resets_at - now)
        tallies = [tally for tally in self._tallies.values() if tally.seconds <= limit.seconds]
        expected = (tally.expected(left, now) for tally in tallies)
        return min(max(expected, default=0.0), self._share * limit.limit)

    def blocking(self, limits: Iterable[Limit], now: float) -> Limit | None:
        """Of the limits whose rest is kept that which resets last; one that has reset keeps nothing back."""
        spent = [each for each in limits if each.resets_at > now and 0 < each.remaining <= self.kept(each, now)]
        return max(spent, key=lambda limit: limit.resets_at, default=None)


@dataclass(slots=True)
class Tally:
    """Calls in this calendar period of so many seconds, and in the one before it."""

    seconds: int
    current: int = 0
    before: int = 0
    period: int = 0

    def roll(self, now: float) -> None:
        period = int(now // self.seconds)
        if period != self.period:
            self.before = self.current if period == self.period + 1 else 0
            self.current, self.period = 0, period

    def expected(self, left: float, now: float) -> float:
        """How many more come in the `left` seconds of a limit, if they come as in the period before."""
        self.roll(now)
        return max(0.0, self.before * max(1.0, left / self.seconds) - self.current)


def allowance(limits: Iterable[Limit], share: float = BUDGET_SHARE) -> tuple[int, str] | None:
    """The most calls a run may spend unasked, and the window that says so; None while nothing is known.

    A run may spend `share` of what is left of the day and of the month.
    """
    long = [limit for limit in limits if limit.seconds >= 86_400]
    if not long:
        return None
    tightest = min(long, key=lambda limit: limit.remaining)
    return max(0, int(tightest.remaining * share)), tightest.name
