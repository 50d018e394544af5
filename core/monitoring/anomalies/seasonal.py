"""Values that stray from what is usual at their hour of the week: spikes, drops, bursts, shifts, creeping rises. Pure.

A value is compared by its move: how far it is from usual, less how far those before it were. One noisy value says
little of a series with heavy tails: what the least of three in a row has moved is held against how far the least of
three seldom moves in that series. Whole days of a market are busy or calm: a shift is what a series does apart from the
others.
"""

from array import array
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from math import isfinite
from typing import Any, NamedTuple

from core.monitoring.anomalies import CREEP, DROP, SHIFT, VOLUME, Anomaly, Observation
from core.monitoring.anomalies.baseline import Baseline
from core.monitoring.anomalies.memory import Memory, packed, unpacked
from core.monitoring.anomalies.scales import SCALES, Scale
from core.monitoring.robust import SIGMAS_PER_MAD, deviation, median
from core.windows import HOUR, Window

LEAST = 120
"""Values before anything is judged."""
NEW, LOCAL, BLOCK = 3, 24, 12
"""Values judged together, those that say how things are lately, and those that a shift is measured over."""
MOVES, BLOCKS, LEAST_BLOCKS = 1_344, 84, 8
SELDOM = 0.95
"""The share of earlier moves that were no further than what is called far."""
SHIFT_LIMIT, CREEP_LIMIT, OVER = 5.6, 4.0, 0.5
SEVERAL = 5
"""Series of a market that tell what all of it does."""
QUIET = 12
"""Values without anything unusual until something is told anew."""


class Track:
    """One figure of one series: its baseline, and the values of late as they strayed from it."""

    __slots__ = (
        "_apart",
        "_blocks",
        "_moves",
        "_usual_block",
        "count",
        "far",
        "move",
        "newest",
        "quiet",
        "strays",
        "usual",
    )

    def __init__(self) -> None:
        self.usual = Baseline()
        self.strays: deque[float] = deque(maxlen=NEW + LOCAL)
        self.newest = self.move = 0.0
        """How far the newest value has moved, and how far the newest NEW together."""
        self.far = 0.0
        """How far such have moved before but seldom further."""
        self.quiet: dict[str, int] = {}
        """By kind, how many values may pass until it is told anew."""
        self.count = 0
        self._moves = array("f")
        self._apart: deque[float] = deque(maxlen=BLOCK)
        """How far the newest values strayed from where others did."""
        self._blocks: deque[float] = deque(maxlen=BLOCKS)
        self._usual_block = (0.0, 0.0)

    def learn(self, hour: int, value: float) -> float:
        """What was expected in place of `value`; `place` it among others then."""
        usual = self.usual.usual(hour)
        usual = value if usual is None else usual
        self.usual.add(hour, value)
        self.strays.append(value - usual)
        *before, newest = self.strays
        late = _late(before[: 1 - NEW])
        if self.count % BLOCK == 0 or self.count <= LEAST:
            self._look_back()
        self.newest = newest - late
        self.move = together([stray - late for stray in (*before[1 - NEW :], newest)])
        self._keep_move()
        return usual + late

    def place(self, common: float) -> None:
        """Others of its market have strayed by `common`."""
        self._apart.append(self.strays[-1] - common)
        if self.count % BLOCK == 0:
            self._blocks.append(self._block())
            ranked = sorted(self._blocks)
            middle = median(ranked)
            self._usual_block = middle, SIGMAS_PER_MAD * deviation(ranked, middle)

    def shifted(self, floor: float) -> float:
        """How far the newest BLOCK values are from those of the last weeks, in deviations of such blocks."""
        if len(self._blocks) < LEAST_BLOCKS:
            return 0.0
        middle, width = self._usual_block
        return (self._block() - middle) / max(floor, width)

    def is_rising(self) -> bool:
        """Whether each quarter of the last LOCAL values lies above the one before it."""
        newest = list(self.strays)[-LOCAL:]
        quarter = LOCAL // 4
        middles = [median(sorted(newest[at : at + quarter])) for at in range(0, LOCAL, quarter)]
        return all(a < b for a, b in pairwise(middles))

    def _keep_move(self) -> None:
        if len(self._moves) < MOVES:
            self._moves.append(abs(self.move))
        else:
            self._moves[self.count % MOVES] = abs(self.move)
        self.count += 1

    def _look_back(self) -> None:
        ranked = sorted(self._moves)
        self.far = ranked[int(SELDOM * len(ranked))] if ranked else 0.0

    def _block(self) -> float:
        return median(sorted(self._apart))

    def state(self) -> dict[str, Any]:
        return {
            "usual": self.usual.state(),
            "strays": list(self.strays),
            "apart": list(self._apart),
            "moves": packed(self._moves),
            "far": self.far,
            "quiet": dict(self.quiet),
            "count": self.count,
            "blocks": list(self._blocks),
            "usual_block": list(self._usual_block),
        }

    @classmethod
    def restored(cls, state: Mapping[str, Any]) -> "Track":
        made = cls()
        made.usual = Baseline.restored(state["usual"])
        made.strays.extend(map(float, state["strays"]))
        made._apart.extend(map(float, state["apart"]))
        made._moves = unpacked(state["moves"])
        made.far, made.count, made.quiet = float(state["far"]), int(state["count"]), dict(state["quiet"])
        made._blocks.extend(map(float, state["blocks"]))
        middle, width = state["usual_block"]
        made._usual_block = float(middle), float(width)
        if len(made._moves) != min(made.count, MOVES):
            raise ValueError("moves of another count")
        return made


class Taken(NamedTuple):
    """What was seen, and what was expected in its place."""

    seen: Observation
    track: Track
    expected: float


class Seasonal:
    """The detector of values; what has no place on the scale of its figure, such as no trade at all, is left out."""

    def __init__(self) -> None:
        self._tracks = Memory(Track, Track.restored)

    def observe(self, batch: Sequence[Observation]) -> list[Anomaly]:
        taken = [taken for seen in batch if (taken := self._taken(seen)) is not None]
        common = _common(taken)
        return [found for each in taken for found in _judged(*each, common.get(each.seen.market, 0.0))]

    def state(self, market: str, series: str) -> dict[str, Any]:
        return self._tracks.state(market, series)

    def restore(self, market: str, series: str, state: Mapping[str, Any]) -> None:
        self._tracks.restore(market, series, state)

    def _taken(self, seen: Observation) -> Taken | None:
        value = None if seen.value is None or not isfinite(seen.value) else SCALES[seen.figure].forward(seen.value)
        if value is None:
            return None
        track = self._tracks.of(seen.market, seen.series, seen.figure)
        return Taken(seen, track, track.learn(seen.ts // HOUR.seconds, value))


def _common(batch: Sequence[Taken]) -> dict[str, float]:
    """By market, how far volumes of its series strayed, where these are several."""
    strays = defaultdict(list)
    for seen, track, _ in batch:
        if seen.figure == VOLUME:
            strays[seen.market].append(track.strays[-1])
    return {market: median(sorted(found)) for market, found in strays.items() if len(found) >= SEVERAL}


def _judged(seen: Observation, track: Track, expected: float, common: float) -> Iterable[Anomaly]:
    track.place(common)
    if track.count <= LEAST:
        return
    scale = SCALES[seen.figure]
    for kind, (score, span) in unusual(track, scale).items():
        if is_news(track.quiet, kind, score):
            reach = max(scale.floor, track.far) * scale.rises
            low, high = scale.back(expected - reach), scale.back(expected + reach)
            window = Window(seen.ts - (span - 1) * seen.seconds, seen.ts + seen.seconds)
            yield Anomaly(kind, seen.market, seen.series, seen.figure, window, score, seen.value, low, high)


def _late(strays: Sequence[float]) -> float:
    """How far values strayed of late: halfway between the last day or so and the last few."""
    return (median(sorted(strays)) + median(sorted(strays[-NEW:]))) / 2 if strays else 0.0


def together(moves: Sequence[float]) -> float:
    """How far all of them have moved to the same side at least, 0 when they have not."""
    return max(min(moves), 0.0) or min(max(moves), 0.0)


def unusual(track: Track, scale: Scale) -> dict[str, tuple[float, int]]:
    """By kind, what there is as a multiple of what is unusual, and over how many values."""
    shift, far = track.shifted(scale.floor), max(scale.floor, track.far)
    found = {scale.rise: (max(track.move / scale.rises, track.newest / scale.alone) / far, NEW)}
    if scale.falls is not None:
        found[DROP] = (max(-track.move / scale.falls, -track.newest / scale.alone) / far, NEW)
    if scale.creeps:
        found[CREEP] = (shift / CREEP_LIMIT if track.is_rising() else 0.0, LOCAL)
    found[SHIFT] = ((shift if scale.falls is None else abs(shift)) / SHIFT_LIMIT, BLOCK)
    return found


def is_news(quiet: dict[str, int], kind: str, score: float) -> bool:
    """Whether something has become unusual that was not so of late; `quiet` remembers it by kind."""
    left = quiet.get(kind, 0)
    if score >= 1 or (left and score >= OVER):
        quiet[kind] = QUIET
    elif left > 1:
        quiet[kind] = left - 1
    else:
        quiet.pop(kind, None)
    return score >= 1 and not left
