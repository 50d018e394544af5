"""The vendor's limits and our manners towards it, as state machines. Pure: time and chance are passed in.

The vendor counts calls per account in up to five fixed, calendar-aligned windows and says after every
answer what is left of each. Between answers we count what we send ourselves; an answer's figures do not
yet hold the calls still in flight, so those stay subtracted. All times are UTC epoch seconds.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

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
    """What may be sent now. Unknown limits do not hold anything back: the first answer names them."""

    def __init__(self) -> None:
        self.limits: dict[int, Limit] = {}
        self.in_flight = 0
        self._paused_until = 0.0

    def wait(self, now: float) -> float:
        """Seconds until one more call may be sent; 0 when it may be sent at once."""
        self._roll(now)
        waits = [limit.resets_at - now for limit in self.limits.values() if limit.remaining <= 0]
        return max([0.0, self._paused_until - now, *waits])

    def take(self, now: float) -> None:
        """Count one call as sent; ask `wait` first."""
        self._roll(now)
        self.in_flight += 1
        for limit in self.limits.values():
            limit.remaining -= 1

    def give_back(self) -> None:
        """The call has ended, whatever its outcome."""
        self.in_flight -= 1

    def observe(self, headers: Mapping[str, str], now: float) -> None:
        """Learn from the rate-limit headers of an answer (of a call that is still counted in flight)."""
        others = max(0, self.in_flight - 1)
        for seconds, (limit, left, resets_in) in figures(headers).items():
            self.limits[seconds] = Limit(seconds, limit, left - others, now + resets_in)

    def pause(self, wait: float, now: float) -> None:
        """Send nothing for `wait` seconds (a 429), at least one second and at most an hour."""
        self._paused_until = max(self._paused_until, now + min(max(wait, SHORTEST_PAUSE), LONGEST_PAUSE))

    def blocking(self, now: float) -> str:
        """The name of the window that holds calls back longest, empty when none does."""
        spent = [limit for limit in self.limits.values() if limit.remaining <= 0 and limit.resets_at > now]
        if spent:
            return max(spent, key=lambda limit: limit.resets_at).name
        return "vendor" if self._paused_until > now else ""

    def left(self, name: str) -> int | None:
        """Calls left in the window called `name`, None while unknown."""
        return next((limit.remaining for limit in self.limits.values() if limit.name == name), None)

    def _roll(self, now: float) -> None:
        for limit in self.limits.values():
            if limit.resets_at <= now:
                passed = (now - limit.resets_at) // limit.seconds + 1
                limit.resets_at += passed * limit.seconds
                limit.remaining = limit.limit - self.in_flight


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
    """How long a 429 asks us to stay away: Retry-After, else the longest exhausted window, else 60 s."""
    with suppress(KeyError, ValueError):
        return min(max(float(_whole(headers["Retry-After"])), SHORTEST_PAUSE), LONGEST_PAUSE)
    remaining = parse_windows(headers.get("X-RateLimit-Remaining-All", ""))
    resets = parse_windows(headers.get("X-RateLimit-Reset-All", ""))
    waits = [resets[seconds][0] for seconds, (left, _) in remaining.items() if left <= 0 and seconds in resets]
    return float(max(waits)) if waits else UNKNOWN_WAIT


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


def allowance(limits: Iterable[Limit], share: float = BUDGET_SHARE) -> tuple[int, str] | None:
    """The most calls a run may spend unasked, and the window that says so; None while nothing is known.

    A run may spend `share` of what is left of the day and of the month.
    """
    long = [limit for limit in limits if limit.seconds >= 86_400]
    if not long:
        return None
    tightest = min(long, key=lambda limit: limit.remaining)
    return max(0, int(tightest.remaining * share)), tightest.name
