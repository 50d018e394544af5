"""How far a value lies from those before it, measured by what outliers do not move: median and MAD. Pure."""

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Sequence

SIGMAS_PER_MAD = 1.4826  # of a normal distribution


def robust_scores(values: Sequence[float | None], floor: float, span: int = 240, least: int = 60) -> list[float | None]:
    """For each value its distance from the median of the `span` values before it, in robust standard deviations.

    A deviation counts as at least `floor`, so that what hardly ever moves may move a little. None where the
    value is None or fewer than `least` came before it.
    """
    scores: list[float | None] = []
    recent: deque[float] = deque()
    ranked: list[float] = []
    for value in values:
        if value is None:
            scores.append(None)
            continue
        scores.append(_score(value, ranked, floor) if len(ranked) >= least else None)
        recent.append(value)
        insort(ranked, value)
        if len(recent) > span:
            del ranked[bisect_left(ranked, recent.popleft())]
    return scores


def _score(value: float, ranked: Sequence[float], floor: float) -> float:
    middle = median(ranked)
    return (value - middle) / max(floor, SIGMAS_PER_MAD * deviation(ranked, middle))


def median(ranked: Sequence[float]) -> float:
    """The median of ascending values (at least one)."""
    half = len(ranked) // 2
    return ranked[half] if len(ranked) % 2 else (ranked[half - 1] + ranked[half]) / 2


def deviation(ranked: Sequence[float], middle: float) -> float:
    """How far the nearer half of ascending values reaches from `middle`: their median absolute deviation.

    Those nearest to `middle` are neighbours, so where they begin is found by halving.
    """
    reach = (len(ranked) - 1) // 2
    starts = range(len(ranked) - reach)
    at = bisect_left(starts, 2 * middle, key=lambda start: ranked[start] + ranked[start + reach])
    return min(max(middle - ranked[start], ranked[start + reach] - middle) for start in (at - 1, at) if start in starts)
