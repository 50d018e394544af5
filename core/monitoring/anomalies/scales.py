"""How figures are compared: volumes and latencies by their ratio, counts by the square root that evens their spread."""

from collections.abc import Callable
from dataclasses import dataclass
from math import exp, log, sqrt

from core.monitoring.anomalies import BURST, ERRORS, LATENCY, ROWS, SPIKE, VOLUME


@dataclass(frozen=True, slots=True)
class Scale:
    """`forward` gives what is compared, None for what has no place on the scale (no trade); `back` is its inverse.

    What has been far in a series so far counts as `floor` at least. Three values are unusual together from `rises`
    times as far on, or `falls` times below (None where a fall is no news), one from `alone` times on. `rise` is what a
    rise is called; a slow one matters where `creeps`.
    """

    forward: Callable[[float], float | None]
    back: Callable[[float], float]
    floor: float
    alone: float
    rises: float
    falls: float | None = None
    rise: str = SPIKE
    creeps: bool = False


def _log(value: float) -> float | None:
    return log(value) if value > 0 else None


def _root(value: float) -> float | None:
    """Anscombe's: of a Poisson count, whatever its mean, it deviates by about 1."""
    return 2 * sqrt(value + 0.375) if value >= 0 else None


def _square(root: float) -> float:
    return max(0.0, (max(root, 0.0) / 2) ** 2 - 0.375)


SCALES = {
    VOLUME: Scale(_log, exp, floor=0.06, alone=21.0, rises=2.6, falls=3.2),
    LATENCY: Scale(_log, exp, floor=0.03, alone=21.0, rises=3.2, creeps=True),
    ROWS: Scale(_root, _square, floor=0.6, alone=14.0, rises=3.2, falls=3.2),
    ERRORS: Scale(_root, _square, floor=0.6, alone=5.8, rises=2.8, rise=BURST),
}
