"""How many calls to have in flight. Pure: times are passed in, in seconds of one clock that never goes back.

By Little's law a rate needs as many calls in flight as it has calls in a latency: 38 a second take 2 at 50 ms
and 38 at one second. What the latency is depends on the vendor, the network and, beyond some number, on ourselves.
So the pace of answers decides: twice as many are tried while that brings a tenth more, and fewer once fewer bring as
many. Only what is measured while every place was taken counts. A failure halves the number.
"""

from dataclasses import dataclass

USUAL = 16
GAIN = 1.1
LOSS = 0.97
SHORTEST_ROUND = 0.5
HOLD_ROUNDS = 8
SMOOTHING = 0.3
FULL = 0.8
MOST_FAILURES = 0.2
# Where answers take so many seconds already, more calls in flight would end as timeouts.
SLOW = 2.0


@dataclass(slots=True)
class Concurrency:
    """`limit` calls may be in flight, at most `most`."""

    most: int = 64
    limit: int = USUAL
    _before: int = 0
    _pace_before: float = 0.0
    _hold: int = 0
    _latency: float = 0.0
    _began_at: float | None = None
    _answers: int = 0
    _full: int = 0
    _failures: int = 0

    def __post_init__(self) -> None:
        self.limit = min(self.limit, self.most)

    def heard(self, latency: float, now: float, *, is_full: bool) -> None:
        """An answer came after `latency` seconds; `is_full` says that other calls waited for its place."""
        self._latency += SMOOTHING * (latency - self._latency) if self._latency else latency
        if self._began_at is None:
            # What comes within a latency was asked for at the pace of before.
            self._began_at = now + self._latency
        if now < self._began_at:
            return
        self._answers += 1
        self._full += is_full
        if now - self._began_at >= max(SHORTEST_ROUND, 2 * self._latency):
            self._judge(self._answers / (now - self._began_at))
            self.idle()

    def failed(self) -> None:
        """A call got no answer, or a server's error."""
        self._failures += 1

    def idle(self) -> None:
        """Something else than the number in flight held calls back: what was measured says nothing."""
        self._began_at, self._answers, self._full, self._failures = None, 0, 0, 0

    def restart(self) -> None:
        """The vendor is back: begin with one call and go on from there."""
        self.limit, self._before, self._hold = 1, 0, 0
        self.idle()

    def _judge(self, pace: float) -> None:
        if self._failures > MOST_FAILURES * self._answers:
            self._settle(max(1, self.limit // 2))
        elif self._full < FULL * self._answers:
            self._before = 0
        elif not self._before:
            self._hold -= 1
            if self._hold < 0:
                self._step(pace)
        elif pace >= self._pace_before * (GAIN if self.limit > self._before else LOSS):
            self._step(pace)
        else:
            self._settle(self._before)

    def _step(self, pace: float) -> None:
        """On in the same direction; a first step goes up, but down from more than is usual."""
        is_down = self.limit < self._before if self._before else self.limit > USUAL
        if not is_down and self._latency > SLOW:
            self._settle(self.limit)
            return
        self._before, self._pace_before = self.limit, pace
        self.limit = max(USUAL, self.limit * 3 // 4) if is_down else min(self.most, self.limit * 2)
        if self.limit == self._before:
            self._settle(self.limit)

    def _settle(self, limit: int) -> None:
        """Keep to `limit` for some rounds."""
        self.limit, self._before, self._hold = limit, 0, HOLD_ROUNDS
