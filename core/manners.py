"""What we leave of the vendor's limits to others who use the account, and how fast we ask. Pure: time is passed in.

What others use counts first against our part: they cannot be told apart in the vendor's figures.
"""

from dataclasses import dataclass

DAY = 86_400


@dataclass(frozen=True, slots=True)
class Manners:
    """`share` (0 to 1) of every limit is ours at most, and `reserve_month` calls of the month are left to others.

    No more than `max_per_second` calls begin in a second, None as the vendor allows. A limit lets one call through at
    least, unless its reserve is all there is.
    """

    share: float = 1.0
    reserve_month: int = 0
    max_per_second: int | None = None

    def kept(self, seconds: int, limit: int) -> int:
        """How many of the `limit` calls of a window of so many seconds are not ours."""
        return max(self._beyond_share(limit), self._reserve(seconds))

    def name(self, window: str, seconds: int, limit: int, left: int) -> str:
        """What a window that is used up for us is called: with the setting that says so, if it is not the vendor."""
        if left <= 0 or not self.kept(seconds, limit):
            return window
        is_reserve = self._reserve(seconds) > self._beyond_share(limit)
        return f"{window} (quota.{'reserve_month' if is_reserve else 'share'})"

    def _beyond_share(self, limit: int) -> int:
        return limit - min(limit, max(1, int(limit * self.share)))

    def _reserve(self, seconds: int) -> int:
        return self.reserve_month if seconds > DAY else 0


@dataclass(slots=True)
class Pace:
    """An own window of one second: the one that began last (UTC epoch seconds), and the calls that began in it."""

    second: int = 0
    calls: int = 0

    def grant(self, wanted: int, most: int | None, now: float) -> int:
        """How many of the `wanted` calls may begin, when no more than `most` may in a second.

        One at once: what is granted in one second must not be sent in the next.
        """
        if most is None:
            return wanted
        if int(now) != self.second:
            self.second, self.calls = int(now), 0
        granted = min(wanted, int(self.calls < most))
        self.calls += granted
        return granted

    def waits(self, most: int | None, now: float) -> list[tuple[float, str]]:
        """Seconds until more may begin, and for what, when this second has had its calls."""
        is_full = most is not None and int(now) == self.second and self.calls >= most
        return [(self.second + 1 - now, "second (quota.max_per_second)")] if is_full else []
