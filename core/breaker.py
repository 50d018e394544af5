"""A circuit breaker: after failures in a row nothing is tried for a while, then one try at a time. Pure.

Nygard, Release It! (2nd ed., 2018), chapter 5. Times are seconds of one clock that never goes back.
"""

from dataclasses import dataclass


@dataclass(slots=True)
class Breaker:
    """Opens after `failures` in a row; while it is open one probe is let through after each wait.

    The first wait is `wait` seconds; each probe that fails doubles it, up to `longest` if that is more.
    """

    failures: int = 3
    wait: float = 5.0
    longest: float = 0.0
    is_open: bool = False
    opened_at: float = 0.0
    _failed: int = 0
    _wait: float = 0.0
    _probe_at: float = 0.0
    _is_probing: bool = False

    def allows(self, now: float) -> bool:
        """Whether to try; of an open one this takes the probe's turn."""
        if not self.is_open:
            return True
        if now < self._probe_at:
            return False
        self._probe_at, self._is_probing = now + self._wait, True
        return True

    def held(self, now: float) -> float:
        """Seconds until the next probe, 0 when it may be tried at once."""
        return max(0.0, self._probe_at - now) if self.is_open else 0.0

    def succeeded(self) -> bool:
        """Whether this closed it."""
        was_open = self.is_open
        self.is_open, self._is_probing, self._failed = False, False, 0
        return was_open

    def failed(self, now: float) -> bool:
        """Whether this opened it. Of an open one what was sent before proves nothing new."""
        self._failed += 1
        opens = not self.is_open and self._failed >= self.failures
        if opens:
            self.is_open, self.opened_at, self._wait = True, now, self.wait
        elif self._is_probing:
            self._wait = max(self.wait, min(self.longest, 2 * self._wait))
        if opens or self._is_probing:
            self._probe_at, self._is_probing = now + self._wait, False
        return opens
