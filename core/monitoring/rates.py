"""How often operations fail: a telemetry hook that counts them over the last minutes, in bounded memory."""

from collections import Counter, deque
from collections.abc import Callable
from typing import NamedTuple

from core.telemetry import OK, Done

WINDOW_SECONDS, SLOT_SECONDS = 300.0, 10.0
MOST_OUTCOMES = 50
OTHER = "other"
# Who cancels has not failed.
FINE = frozenset({OK, "cancelled"})


class Rate(NamedTuple):
    """Of `total` operations so many failed; `about` names the commonest ways, in words."""

    total: int
    failed: int
    about: str

    @property
    def percent(self) -> float | None:
        """None without any."""
        return 100.0 * self.failed / self.total if self.total else None


class Rates:
    """Counts operations by outcome over the last five minutes; `monotonic` is the clock, in seconds."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._slots: deque[tuple[float, Counter[tuple[str, str]]]] = deque()

    def __call__(self, done: Done) -> None:
        """Take what was done."""
        counts = self._present()
        place = (done.operation, done.outcome)
        if place not in counts and len(counts) >= MOST_OUTCOMES:
            place = (done.operation, OTHER)
        counts[place] += 1

    def of(self, operation: str) -> Rate:
        """How operations of one kind went within the last five minutes."""
        self._present()
        totals: Counter[str] = Counter()
        for _, counts in self._slots:
            totals.update({outcome: count for (kind, outcome), count in counts.items() if kind == operation})
        failures = Counter({outcome: count for outcome, count in totals.items() if outcome not in FINE})
        about = ", ".join(f"{count:,} {outcome}" for outcome, count in failures.most_common(3))
        return Rate(totals.total(), failures.total(), about or "none failed")

    def _present(self) -> Counter[tuple[str, str]]:
        """The slot of now; those that are over are forgotten."""
        begins = self._monotonic() // SLOT_SECONDS * SLOT_SECONDS
        if not self._slots or self._slots[-1][0] != begins:
            self._slots.append((begins, Counter()))
        while self._slots[0][0] <= begins - WINDOW_SECONDS:
            self._slots.popleft()
        return self._slots[-1][1]
