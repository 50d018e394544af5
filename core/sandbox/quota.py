"""The vendor's request limits: five windows on the calendar, and the headers that report them.

The month's window is the calendar month, though its header says 31 days, as the vendor's own does.
Calls beyond a limit pass until the soft cap, and calls that are refused are not counted.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime

from core.errors import ConfigError

SOFT_CAP = 1.1
_SECONDS = {"second": 1, "minute": 60, "hour": 3_600, "day": 86_400, "month": 2_678_400}
_UNLIMITED = 10**15


@dataclass(frozen=True, slots=True)
class Limit:
    """One window: `rate` calls in `seconds`, `burst` the larger figure that is enforced, if any."""

    name: str
    rate: int
    burst: int | None = None

    @property
    def seconds(self) -> int:
        return _SECONDS[self.name]

    @property
    def enforced(self) -> int:
        return self.burst or self.rate


# The examples of the vendor's documentation (paid) and the free tier as of January 2026.
PRESETS = {
    "paid": (
        Limit("second", 38, 600),
        Limit("minute", 2_241, 30_000),
        Limit("hour", 134_409, 1_000_000),
        Limit("day", 3_225_807, 9_000_000),
        Limit("month", 100_000_000),
    ),
    "free": (
        Limit("second", 20),
        Limit("minute", 300),
        Limit("hour", 3_000),
        Limit("day", 7_500),
        Limit("month", 11_000),
    ),
    "none": tuple(Limit(name, _UNLIMITED) for name in _SECONDS),
}


def parse_limits(text: str) -> tuple[Limit, ...]:
    """A preset's name or `second=20,minute=300,...`; windows not named are unlimited.

    Raises ConfigError.
    """
    if text in PRESETS:
        return PRESETS[text]
    rates = dict.fromkeys(_SECONDS, _UNLIMITED)
    for item in text.split(","):
        name, _, number = item.strip().partition("=")
        if name not in rates or not number.isdecimal() or int(number) < 1:
            raise ConfigError(f"--limits: {item!r} is none of paid, free, none, or like second=20,minute=300,day=7500")
        rates[name] = int(number)
    return tuple(Limit(name, rate) for name, rate in rates.items())


@dataclass(slots=True)
class Ledger:
    """Counts the calls of the one account there is. Times are UTC epoch seconds of the real clock."""

    limits: tuple[Limit, ...]
    _used: dict[str, int] = field(default_factory=dict)
    _ends: dict[str, int] = field(default_factory=dict)

    def admit(self, at: float) -> bool:
        """Counts a call if every window has room up to its soft cap."""
        self._roll(int(at))
        if any(self._used[limit.name] >= int(limit.enforced * SOFT_CAP) for limit in self.limits):
            return False
        for limit in self.limits:
            self._used[limit.name] += 1
        return True

    def used(self, at: float) -> dict[str, int]:
        """Calls in the current window of each limit."""
        self._roll(int(at))
        return dict(self._used)

    def headers(self, at: float) -> dict[str, str]:
        """The five headers that every answer carries."""
        second = int(at)
        self._roll(second)
        month = self.limits[-1]
        left = {limit.name: max(0, limit.enforced - self._used[limit.name]) for limit in self.limits}
        waits = {name: end - second for name, end in self._ends.items()}
        return {
            "X-RateLimit-Limit": ", ".join([str(month.rate), *map(_policy, self.limits)]),
            "X-RateLimit-Remaining": str(left["month"]),
            "X-RateLimit-Remaining-All": self._all(left),
            "X-RateLimit-Reset": str(waits["month"]),
            "X-RateLimit-Reset-All": self._all(waits),
        }

    def _all(self, figures: dict[str, int]) -> str:
        parts = (f"{figures[limit.name]};window={limit.seconds}" for limit in self.limits)
        return ", ".join([str(figures["month"]), *parts])

    def _roll(self, second: int) -> None:
        for limit in self.limits:
            if second >= self._ends.get(limit.name, 0):
                self._used[limit.name] = 0
                self._ends[limit.name] = _window_end(limit, second)


def _policy(limit: Limit) -> str:
    burst = f";burst={limit.burst}" if limit.burst else ""
    return f'{limit.rate};window={limit.seconds}{burst};policy="fixed window"'


def _window_end(limit: Limit, second: int) -> int:
    if limit.name != "month":
        return second - second % limit.seconds + limit.seconds
    now = datetime.fromtimestamp(second, UTC)
    return int(datetime(now.year + now.month // 12, now.month % 12 + 1, 1, tzinfo=UTC).timestamp())
