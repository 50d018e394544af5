"""A circuit breaker: after failures in a row nothing is tried for a while, then one try at a time. Pure.

Nygard, Release It! (2nd ed., 2018), chapter 5. Times are seconds of one clock that never goes back.
"""

from dataclasses import dataclass


@dataclass(slots=True)
class Breaker:
    """Opens after `failures` in a row; while it is open one probe is let through each `wait` seconds."""

    failures: int = 3
    wait: float = 5.0
    is_open: bool = False
    _failed: int = 0
    _probe_at: float = 0.0

    def allows(self, now: float) -> bool:
        """Whether to try; of an open one this takes the probe's turn."""
        if not self.is_open:
            return True
        if now < self._probe_at:
            return False
        self._probe_at = now + self.wait
        return True

    def succeeded(self) -> bool:
        """Whether this closed it."""
        was_open, self.is_open, self._failed = self.is_open, False, 0
        return was_open

    def failed(self, now: float) -> bool:
        """Whether this opened it."""
        self._failed += 1
        opens = not self.is_open and self._failed >= self.failures
        if opens:
            self.is_open = True
        if self.is_open:
            self._probe_at = now + self.wait
        return opens
