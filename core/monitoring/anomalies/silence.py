"""One market silent while others trade: what no series shows by itself, for each may well rest a while. Pure."""

from collections.abc import Mapping, Sequence
from math import log10
from typing import Any, NamedTuple

from core.monitoring.anomalies import SILENCE, VOLUME, Anomaly, Observation
from core.monitoring.anomalies.memory import Memory
from core.windows import Window

LEAST = 120
CHANCE, RARE = 6.0, 0.05
QUIETEST, BUSY = 0.05, 0.5
"""Of the series that usually trade: at most how many do in a silent market, and at least how many in the others."""
SLOWER = 0.5 ** (1 / 1_000)


class Habit:
    """How often a series does not trade."""

    __slots__ = ("idle", "weight")

    def __init__(self) -> None:
        self.idle, self.weight = 0.0, 0.0

    @property
    def chance(self) -> float:
        return max(RARE, self.idle / self.weight) if self.weight >= LEAST else 1.0

    def add(self, is_idle: bool) -> None:
        self.idle = SLOWER * self.idle + is_idle
        self.weight = SLOWER * self.weight + 1

    def state(self) -> dict[str, Any]:
        return {"idle": self.idle, "weight": self.weight}

    @classmethod
    def restored(cls, state: Mapping[str, Any]) -> "Habit":
        made = cls()
        made.idle, made.weight = float(state["idle"]), float(state["weight"])
        return made


class Silent:
    """Since when a market has been silent (UTC epoch seconds), how unlikely that is, and whether it was told."""

    __slots__ = ("score", "since", "told")

    def __init__(self) -> None:
        self.since, self.score, self.told = -1, 0.0, False

    def state(self) -> dict[str, Any]:
        return {"since": self.since, "score": self.score, "told": self.told}

    @classmethod
    def restored(cls, state: Mapping[str, Any]) -> "Silent":
        made = cls()
        made.since, made.score, made.told = int(state["since"]), float(state["score"]), bool(state["told"])
        return made


class Part(NamedTuple):
    """Of a market or several: how many series usually trade, how many do, and how unlikely the others are.

    `score` is in powers of ten of the chance that all of those rest.
    """

    expected: float = 0.0
    active: int = 0
    score: float = 0.0

    def plus(self, other: "Part") -> "Part":
        return Part(self.expected + other.expected, self.active + other.active, self.score + other.score)


class Silence:
    """The detector of silent markets. A batch has the series of all markets that were looked at."""

    def __init__(self) -> None:
        self._habits = Memory(Habit, Habit.restored)
        self._silent = Memory(Silent, Silent.restored, most=1_000)

    def observe(self, batch: Sequence[Observation]) -> list[Anomaly]:
        groups: dict[tuple[str, int], dict[str, Part]] = {}
        for seen in batch:
            if seen.figure == VOLUME:
                parts = groups.setdefault((seen.market.partition("/")[0], seen.seconds), {})
                parts[seen.market] = parts.get(seen.market, Part()).plus(self._part(seen))
        return [found for (_, seconds), parts in groups.items() for found in self._judged(batch[0].ts, seconds, parts)]

    def state(self, market: str, series: str) -> dict[str, Any]:
        both = {"habits": self._habits.state(market, series), "silent": self._silent.state(market, series)}
        return both if any(both.values()) else {}

    def restore(self, market: str, series: str, state: Mapping[str, Any]) -> None:
        if state and state.keys() != {"habits", "silent"}:
            raise ValueError("not the state of a detector of silence")
        self._habits.restore(market, series, state.get("habits", {}))
        self._silent.restore(market, series, state.get("silent", {}))

    def _part(self, seen: Observation) -> Part:
        habit = self._habits.of(seen.market, seen.series, str(seen.seconds))
        chance, is_idle = habit.chance, not seen.value
        habit.add(is_idle)
        return Part(1 - chance, 0 if chance == 1 else int(not is_idle), -log10(chance) if is_idle else 0.0)

    def _judged(self, ts: int, seconds: int, parts: Mapping[str, Part]) -> list[Anomaly]:
        whole = Part()
        for part in parts.values():
            whole = whole.plus(part)
        found = []
        for market, part in parts.items():
            others = Part(whole.expected - part.expected, whole.active - part.active)
            silent = self._silent.of(market, "", str(seconds))
            is_silent = part.expected > 0 and part.active <= QUIETEST * part.expected
            if not is_silent or others.expected < 1 or others.active < BUSY * others.expected:
                silent.since, silent.score, silent.told = -1, 0.0, False
                continue
            silent.since = ts if silent.since < 0 else silent.since
            silent.score += part.score
            if silent.score >= CHANCE and not silent.told:
                silent.told = True
                window = Window(silent.since, ts + seconds)
                low = 0.5 * part.expected
                found.append(Anomaly(SILENCE, market, "", VOLUME, window, silent.score, 0.0, low, part.expected))
        return found
