"""Series with planted anomalies, and how a detector is scored on them.

Two kinds of data: `synthetic_panel` (daily and weekly seasonality, days that are busy together, heavy-tailed noise,
idle bars) and `sandbox_panel` (the sandbox's markets with a seasonal profile laid over them, whose hours scatter
far more).
"""

import random
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import cos, exp, log, pi, sqrt
from typing import NamedTuple

from core.monitoring.anomalies import (
    BURST,
    CREEP,
    DROP,
    DROPOUT,
    ERRORS,
    FLAT,
    LATENCY,
    SHIFT,
    SILENCE,
    SPIKE,
    VOLUME,
    Anomaly,
    Detector,
    Observation,
)
from core.sandbox.catalog import Catalog
from core.sandbox.market import Market
from core.windows import DAY, HOUR, Window

START = 1_748_822_400  # a Monday
LEARN_DAYS, TEST_DAYS = 42, 30
PER_KIND = {SPIKE: 34, SHIFT: 34, DROPOUT: 33, FLAT: 33, BURST: 33, CREEP: 33}
TELLS = {
    SPIKE: {SPIKE, SHIFT},
    SHIFT: {SHIFT, SPIKE, DROP},
    DROPOUT: {DROPOUT, DROP},
    FLAT: {FLAT},
    BURST: {BURST, SHIFT},
    CREEP: {CREEP, SHIFT, SPIKE},
    SILENCE: {SILENCE},
}
"""What a detector may call what was planted."""
GRACE = 6 * HOUR.seconds


class Line(NamedTuple):
    """What a figure of a series is called in observations."""

    market: str
    series: str
    figure: str


class Planted(NamedTuple):
    kind: str
    line: Line
    window: Window


@dataclass(slots=True)
class Sizes:
    """How large what is planted is: factors, and bars that it lasts."""

    spike: float = 8.0
    spike_bars: int = 3
    shift: float = 5.0
    shift_bars: int = 36
    dropout_bars: int = 10
    flat_bars: int = 6
    burst: float = 12.0
    """Errors more an hour."""
    burst_bars: int = 3
    creep: float = 3.0
    """What latency grows to in the end."""
    creep_bars: int = 48
    silence_bars: int = 3

    def bars(self, kind: str) -> int:
        bars: int = getattr(self, f"{kind}_bars")
        return bars


@dataclass(slots=True)
class Panel:
    """Hourly values by line, from START on; what was planted in them."""

    lines: dict[Line, list[float]]
    planted: list[Planted] = field(default_factory=list)


def synthetic_panel(seed: int, markets: int = 5, each: int = 20) -> Panel:
    """As many volume series a market, a fifth of them with idle bars, latency and errors of each market besides."""
    dice = random.Random(seed)
    lines = {}
    for market in range(markets):
        name = f"spot_ohlcv/m{market}"
        busy = _busy_days(dice)
        for number in range(each):
            lines[Line(name, f"I{number}", VOLUME)] = _volumes(dice, busy, idle=dice.choice([0, 0, 0, 0, 0.15]))
    for number in range(each):
        lines[Line(f"api/c{number}", "", LATENCY)] = _latencies(dice)
        lines[Line(f"api/c{number}", "", ERRORS)] = _errors(dice)
    return Panel(lines)


def sandbox_panel(seed: int, count: int = 100) -> Panel:
    """Traded amounts of the sandbox's busiest instruments of all spot markets, times a seasonal profile."""
    end, market = START + _hours() * HOUR.seconds, Market(seed)
    listed = Catalog(seed).instruments["spot"]
    living = [
        (name, item)
        for name, items in listed.items()
        for item in items.values()
        if item.series.first < START and item.series.last is None and item.series.idle_days < 0.01
    ]
    dice = random.Random(seed)
    lines = {}
    for name, item in dice.sample(living, count):
        bars = market.bars(item.series, HOUR, START, end, end)
        season = _season(dice)
        values = [sum(bar.lots) * exp(season(hour)) for hour, bar in enumerate(bars)]
        lines[Line(f"spot_ohlcv/{name}", item.series.key, VOLUME)] = values
    for number in range(20):
        lines[Line(f"api/c{number}", "", LATENCY)] = _latencies(dice)
        lines[Line(f"api/c{number}", "", ERRORS)] = _errors(dice)
    return Panel(lines)


def plant(panel: Panel, seed: int, sizes: Sizes, counts: Mapping[str, int]) -> None:
    """As many of each kind within the last TEST_DAYS, two days apart in a line at least where there is room."""
    dice = random.Random(seed ^ 0xBAD)
    lines_of = {figure: [line for line in panel.lines if line.figure == figure] for figure in (VOLUME, LATENCY, ERRORS)}
    figures = {CREEP: LATENCY, BURST: ERRORS}
    for kind, count in counts.items():
        for _ in range(count):
            _plant_one(panel, dice, kind, lines_of[figures.get(kind, VOLUME)], sizes)


def silence(panel: Panel, seed: int, sizes: Sizes, count: int) -> None:
    """A market without a trade in any of its series."""
    dice = random.Random(seed ^ 0x511E)
    markets = sorted({line.market for line in panel.lines if line.figure == VOLUME})
    for day in dice.sample(range(LEARN_DAYS, LEARN_DAYS + TEST_DAYS - 1), count):
        market, first = dice.choice(markets), day * 24 + dice.randrange(24)
        for line, values in panel.lines.items():
            if line.market == market:
                values[first : first + sizes.silence_bars] = [0.0] * sizes.silence_bars
        panel.planted.append(Planted(SILENCE, Line(market, "", VOLUME), _window(first, sizes.silence_bars)))


def watch(panel: Panel, detector: Detector) -> list[Anomaly]:
    """All lines, hour by hour; what was found after LEARN_DAYS."""
    found = []
    for hour in range(_hours()):
        ts = START + hour * HOUR.seconds
        batch = [Observation(*line, ts, HOUR.seconds, values[hour]) for line, values in panel.lines.items()]
        found += detector.observe(batch)
    return [each for each in found if each.window.end > START + LEARN_DAYS * DAY.seconds]


@dataclass(slots=True)
class Score:
    """By kind: how many were planted, how many of these were found, and how many alarms nothing was planted for."""

    planted: dict[str, int]
    found: dict[str, int]
    false: dict[str, int]
    lines: int

    @property
    def recall(self) -> float:
        return sum(self.found.values()) / max(1, sum(self.planted.values()))

    @property
    def false_a_day(self) -> float:
        """False alarms of any kind a day and 100 series."""
        return sum(self.false.values()) / TEST_DAYS / self.lines * 100


def score(panel: Panel, anomalies: Sequence[Anomaly]) -> Score:
    """An alarm is true when it overlaps what was planted in its line, or comes up to GRACE later (twice its length for
    what comes back to normal by its end, which is a change as well)."""
    by_line = defaultdict(list)
    for planted in panel.planted:
        by_line[planted.line].append(planted)
        if planted.kind == SILENCE:
            for line in panel.lines:
                if line.market == planted.line.market:
                    by_line[line].append(planted)
    planted_counts, found_counts, false = defaultdict(int), defaultdict(int), defaultdict(int)
    hit = set()
    for anomaly in anomalies:
        near = [planted for planted in by_line[Line(*anomaly[1:4])] if _meets(planted, anomaly)]
        hit.update(planted for planted in near if anomaly.kind in TELLS[planted.kind])
        if not near:
            false[anomaly.kind] += 1
    for planted in panel.planted:
        planted_counts[planted.kind] += 1
        found_counts[planted.kind] += planted in hit
    return Score(dict(planted_counts), dict(found_counts), dict(false), len(panel.lines))


def _meets(planted: Planted, anomaly: Anomaly) -> bool:
    grace = max(GRACE, planted.window.seconds if planted.kind in {SHIFT, CREEP} else 0)
    return anomaly.window.start < planted.window.end + grace and anomaly.window.end > planted.window.start


def _plant_one(panel: Panel, dice: random.Random, kind: str, lines: Sequence[Line], sizes: Sizes) -> None:
    bars = sizes.bars(kind)
    for _ in range(1_000):
        line, first = dice.choice(lines), dice.randrange(LEARN_DAYS * 24, _hours() - bars - 12)
        near = Window(_window(first - 48, 1).start, _window(first + bars + 48, 1).end)
        taken = [each for each in panel.planted if each.line == line and each.window.start < near.end]
        values = panel.lines[line]
        # Nothing is dropped or held where nothing was.
        if all(each.window.end <= near.start for each in taken) and all(values[first : first + bars]):
            break
    else:
        raise ValueError("no room")
    values[first : first + bars] = _changed(kind, values[first : first + bars], dice, sizes)
    panel.planted.append(Planted(kind, line, _window(first, bars)))


def _changed(kind: str, values: list[float], dice: random.Random, sizes: Sizes) -> list[float]:
    bars = len(values)
    shift = dice.choice([sizes.shift, 1 / sizes.shift])
    changed = {
        SPIKE: lambda: [value * sizes.spike for value in values],
        SHIFT: lambda: [value * shift for value in values],
        DROPOUT: lambda: [0.0] * bars,
        FLAT: lambda: [values[0]] * bars,
        BURST: lambda: [value + _poisson(dice, sizes.burst) for value in values],
        CREEP: lambda: [value * sizes.creep ** ((at + 1) / bars) for at, value in enumerate(values)],
    }
    return changed[kind]()


def _window(first: int, bars: int) -> Window:
    return Window(START + first * HOUR.seconds, START + (first + bars) * HOUR.seconds)


def _hours() -> int:
    return (LEARN_DAYS + TEST_DAYS) * 24


def _season(dice: random.Random) -> Callable[[int], float]:
    """Logarithms by hour: a day's wave, a second one, and calmer weekends."""
    wave, second, peak = dice.uniform(0.3, 0.9), dice.uniform(0, 0.3), dice.uniform(0, 24)
    weekend = dice.uniform(0, 0.8)

    def at(hour: int) -> float:
        turn = 2 * pi * (hour % 24 - peak) / 24
        return wave * cos(turn) + second * cos(2 * turn + 1) - (weekend if hour // 24 % 7 >= 5 else 0)

    return at


def _busy_days(dice: random.Random) -> list[float]:
    """How busy a market's days are, by hour: days run into each other."""
    level, found = 0.0, []
    for _ in range(_hours()):
        level = 0.99 * level + dice.gauss(0, 0.04)
        found.append(level)
    return found


def _student(dice: random.Random, freedom: int = 4) -> float:
    return dice.gauss(0, 1) / sqrt(dice.gammavariate(freedom / 2, 2 / freedom))


def _volumes(dice: random.Random, busy: Sequence[float], idle: float) -> list[float]:
    season, size, level, values = _season(dice), exp(dice.uniform(0, 12)), 0.0, []
    width = dice.uniform(0.15, 0.35)
    for hour in range(_hours()):
        level = 0.6 * level + _student(dice) * width
        quiet = dice.random() < idle
        values.append(0.0 if quiet else size * exp(season(hour) + busy[hour] + level))
    return values


def _latencies(dice: random.Random) -> list[float]:
    """Seconds: a slight daily wave, and now and then a slow hour."""
    base, wave = exp(dice.uniform(log(0.05), log(0.5))), dice.uniform(0, 0.2)
    return [base * exp(wave * cos(2 * pi * (hour % 24) / 24) + 0.12 * _student(dice, 3)) for hour in range(_hours())]


def _errors(dice: random.Random) -> list[float]:
    """Counts an hour, more of them by day."""
    rate, wave = dice.choice([0.1, 0.5, 2, 6]), dice.uniform(0, 0.5)
    return [float(_poisson(dice, rate * (1 + wave * cos(2 * pi * (hour % 24) / 24)))) for hour in range(_hours())]


def _poisson(dice: random.Random, mean: float) -> int:
    limit, count, product = exp(-mean), 0, dice.random()
    while product > limit:
        count, product = count + 1, product * dice.random()
    return count
