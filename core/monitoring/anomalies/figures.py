"""What the engine does, as figures for detectors: a telemetry hook that sums up spans of time. Pure but for its memory.

Calls to the vendor give latency and errors of each class of endpoints, stored rows give rows of each data type. A span
in which nothing was done says nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass

from core.monitoring.anomalies import ERRORS, LATENCY, ROWS, Observation
from core.monitoring.rates import FINE
from core.telemetry import API, OK, Done
from core.telemetry import ROWS as STORED

SPANS = {LATENCY: 300, ERRORS: 300, ROWS: 3_600}
MOST_PLACES, MOST_KEPT = 200, 2_000
NEW_ROWS = frozenset({"inserted", "updated"})
Place = tuple[str, str]


@dataclass(slots=True)
class Sum:
    """Of one figure within the span that begins at `ts`; what is said of a latency is the mean."""

    ts: int
    total: float = 0.0
    count: int = 0


class Figures:
    """`now` is the vendor's time, as that of bars is."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._sums: dict[Place, Sum] = {}
        self._over: list[Observation] = []

    def __call__(self, done: Done) -> None:
        """Take what was done."""
        source = f"{done.operation}/{done.kind}"
        if done.operation == API:
            self._add(source, ERRORS, float(done.outcome not in FINE))
            if done.outcome == OK:
                self._add(source, LATENCY, done.seconds)
        elif done.operation == STORED and done.outcome in NEW_ROWS:
            self._add(source, ROWS, float(done.amount))

    def take(self) -> list[Observation]:
        """Those of spans that are over, each once."""
        for place in list(self._sums):
            self._end(place)
        over, self._over = self._over, []
        return over

    def _add(self, source: str, figure: str, amount: float) -> None:
        place = (source, figure)
        self._end(place)
        if place not in self._sums and len(self._sums) >= MOST_PLACES:
            return
        span = SPANS[figure]
        found = self._sums.setdefault(place, Sum(int(self._now()) // span * span))
        found.total += amount
        found.count += 1

    def _end(self, place: Place) -> None:
        """Put by a span that is over."""
        source, figure = place
        found, span = self._sums.get(place), SPANS[figure]
        if found is None or found.ts + span > self._now():
            return
        del self._sums[place]
        value = found.total / found.count if figure == LATENCY else found.total
        self._over.append(Observation(source, "", figure, found.ts, span, value))
        del self._over[:-MOST_KEPT]
