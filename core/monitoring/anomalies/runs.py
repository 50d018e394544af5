"""Runs of bars without a trade, and runs of one and the same value, where a series has seldom had any. Pure."""

from collections.abc import Mapping, Sequence
from math import isfinite, log10
from typing import Any

from core.monitoring.anomalies import DROPOUT, ERRORS, FLAT, LATENCY, VOLUME, Anomaly, Observation
from core.monitoring.anomalies.memory import Memory
from core.windows import Window

LEAST = 120
CHANCE = 6.0
"""A run is told when its chance is a millionth or less."""
RARE, LONGER, SELDOM = 0.02, 1.5, 0.5
"""The least chance that a bar is taken to have, how much longer than ever a run must be, and how often is no news."""
HALF_LIFE = 1_000.0
"""Values after which what was seen weighs half."""
SLOWER = 0.5 ** (1 / HALF_LIFE)


class Run:
    """How often bars of a series are of a sort, how long runs of them last, and how long this one has."""

    __slots__ = ("length", "longest", "second", "share", "told", "weight")

    def __init__(self) -> None:
        self.share, self.weight = 0.0, 0.0
        self.longest, self.second = 0.0, 0.0
        self.length, self.told = 0, False

    def add(self, is_so: bool) -> float | None:
        """The powers of ten of the chance of the run as it has just become unusual; None otherwise."""
        if not is_so:
            self._end()
            return None
        self.length += 1
        chance = min(1.0, max(RARE, self.share / self.weight if self.weight else 1.0))
        score = -self.length * log10(chance)
        if self.told or self.weight < LEAST or chance > SELDOM:
            return None
        self.told = score >= CHANCE and self.length > LONGER * self.second
        return score if self.told else None

    def _end(self) -> None:
        """What was told does not count as how often it happens; only a second run as long makes it usual."""
        usual = 0 if self.told else self.length
        for is_so in (*([1.0] * usual), 0.0):
            self.share = SLOWER * self.share + is_so
            self.weight = SLOWER * self.weight + 1.0
        _, self.second, self.longest = sorted((float(self.length), self.second * SLOWER, self.longest * SLOWER))
        self.length, self.told = 0, False

    def state(self) -> list[float]:
        return [self.share, self.weight, self.longest, self.second, self.length, self.told]


class Track:
    __slots__ = ("before", "idle", "same")

    def __init__(self) -> None:
        self.idle, self.same = Run(), Run()
        self.before: float | None = None

    def state(self) -> dict[str, Any]:
        return {"before": self.before, "idle": self.idle.state(), "same": self.same.state()}

    @classmethod
    def restored(cls, state: Mapping[str, Any]) -> "Track":
        made = cls()
        made.before = state["before"]
        for run, kept in ((made.idle, state["idle"]), (made.same, state["same"])):
            run.share, run.weight, run.longest, run.second, run.length, run.told = kept
        return made


class Runs:
    """The detector of dropouts and flat lines; counts repeat, so that of them only missing rows count."""

    def __init__(self) -> None:
        self._tracks = Memory(Track, Track.restored)

    def observe(self, batch: Sequence[Observation]) -> list[Anomaly]:
        return [found for seen in batch if seen.figure != ERRORS for found in self._judged(seen)]

    def state(self, market: str, series: str) -> dict[str, Any]:
        return self._tracks.state(market, series)

    def restore(self, market: str, series: str, state: Mapping[str, Any]) -> None:
        self._tracks.restore(market, series, state)

    def _judged(self, seen: Observation) -> list[Anomaly]:
        track = self._tracks.of(seen.market, seen.series, seen.figure)
        value = seen.value if seen.value is not None and isfinite(seen.value) else None
        scores = {DROPOUT: track.idle.add(not value)}
        if value and seen.figure in {VOLUME, LATENCY}:
            scores[FLAT] = track.same.add(value == track.before)
        track.before = value or track.before
        runs = {DROPOUT: track.idle.length, FLAT: track.same.length + 1}
        return [
            _anomaly(seen, kind, score, runs[kind], track.before or 0.0)
            for kind, score in scores.items()
            if score is not None
        ]


def _anomaly(seen: Observation, kind: str, score: float, length: int, before: float) -> Anomaly:
    """Of values that trade on, such as the last one was."""
    window = Window(seen.ts - (length - 1) * seen.seconds, seen.ts + seen.seconds)
    return Anomaly(kind, seen.market, seen.series, seen.figure, window, score, seen.value, before, before)
