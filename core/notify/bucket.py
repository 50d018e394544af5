"""Messages a second that a channel is sent: so many at once, and then one after the other. Pure."""


class Bucket:
    """`burst` at once and `rate` a second; times are seconds that never go back."""

    def __init__(self, rate: float = 1.0, burst: int = 5) -> None:
        self._rate = rate
        self._burst = float(burst)
        self._left = self._burst
        self._at: float | None = None

    def take(self, now: float) -> float:
        """Take a place; the seconds until it is there."""
        since = 0.0 if self._at is None else max(0.0, now - self._at)
        self._left = min(self._burst, self._left + since * self._rate) - 1.0
        self._at = now
        return max(0.0, -self._left / self._rate)
