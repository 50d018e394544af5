"""Figures over time: what a minute had is added up, kept, and read again as statistics and as lines. Pure.

Of durations the counts by class are kept, so that percentiles of any span follow from those of its minutes.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import NamedTuple

import msgspec

from core.figures import COUNTER, Family
from core.meter import Latencies
from core.telemetry import API, GOOD, OPERATIONS, RETRIED, ROWS, WINDOW, Done
from core.text import clean
from core.windows import Window

MINUTE, HOUR = 60, 3_600
KEPT_SECONDS = {MINUTE: 48 * HOUR, HOUR: 396 * 24 * HOUR}
MOST_NAMES = 400
LONGEST_LABEL = 100
STEP = 1.08  # percentiles are right within 4 %, and a busy minute takes a few hundred bytes
AMOUNTS = {API: "api_bytes", WINDOW: "window_rows", ROWS: ROWS}
KEPT_FIGURES = frozenset(
    {
        "process_cpu_seconds_total",
        "process_open_fds",
        "process_resident_memory_bytes",
        "tapewatch_active_jobs",
        "tapewatch_cache_hits_total",
        "tapewatch_cache_misses_total",
        "tapewatch_calls_waiting",
        "tapewatch_cpu_ratio",
        "tapewatch_event_loop_lag_seconds",
        "tapewatch_freshness_seconds",
        "tapewatch_gaps",
        "tapewatch_host_memory_ratio",
        "tapewatch_open_alerts",
        "tapewatch_outbox_messages",
        "tapewatch_quota_remaining_calls",
        "tapewatch_rate_limit_wait_seconds_total",
        "tapewatch_windows_waiting",
    }
)
TOO_MANY = "market"  # the label whose values are taken together

Labels = tuple[tuple[str, str], ...]
Key = tuple[str, str]


class Sample(NamedTuple):
    """What there was of a figure in the span of `seconds` that begins `at` (UTC epoch seconds).

    It happened `times`, and values came to `total`. `labels` are a JSON object; `classes` of durations are counts by
    class of `Latencies(STEP)`.
    """

    seconds: int
    name: str
    labels: str
    at: int
    times: int
    total: float
    lowest: float
    highest: float
    newest: float
    classes: Mapping[int, int]

    @property
    def mean(self) -> float:
        return self.total / self.times if self.times else 0.0

    def label(self, name: str) -> str:
        return str(msgspec.json.decode(self.labels).get(name, ""))


@dataclass(slots=True)
class _Sum:
    count: int = 0
    total: float = 0.0
    lowest: float = 0.0
    highest: float = 0.0
    newest: float = 0.0
    classes: Latencies | None = None

    @property
    def is_nothing(self) -> bool:
        return self.classes is None and not (self.lowest or self.highest)

    def sample(self, key: Key, at: int) -> Sample:
        classes = self.classes.classes if self.classes else {}
        return Sample(MINUTE, *key, at, self.count, self.total, self.lowest, self.highest, self.newest, classes)

    def add(self, value: float) -> None:
        self.lowest = min(self.lowest, value) if self.count else value
        self.highest = max(self.highest, value) if self.count else value
        self.count, self.total, self.newest = self.count + 1, self.total + value, value
        if self.classes is not None:
            self.classes.add(value)


class Recorder:
    """Adds up what happens until it is taken. It knows at most `MOST_NAMES` figures; what comes then is `dropped`."""

    def __init__(self) -> None:
        self.dropped = 0
        self._sums: dict[Key, _Sum] = {}
        self._totals: dict[Key, float] = {}
        self._names: set[Key] = set()
        self._keys: dict[tuple[str, str, str], str] = {}

    def hear(self, done: Done) -> None:
        """A hook of `core.telemetry`."""
        given = (done.operation, done.kind, done.outcome)
        labels = self._keys.get(given)
        if labels is None:
            labels = self._keys[given] = _json({"kind": done.kind, "outcome": done.outcome})
        if done.operation != ROWS:
            self._add((done.operation, labels), done.seconds, is_duration=True)
        if done.amount:
            self._add((AMOUNTS.get(done.operation, f"{done.operation}_amount"), labels), done.amount)

    def note(self, families: Iterable[Family]) -> None:
        """Figures as they are now: gauges as values, counters as what came on top since the last time."""
        for family in families:
            if family.name in KEPT_FIGURES:
                for labels, value in _folded(family).items():
                    key = (family.name, labels)
                    self._add(key, self._increase(key, value) if family.kind == COUNTER else value)

    def take(self, now: float) -> list[Sample]:
        """What came since the last time, as of the minute that `now` is in. What was 0 all the time is left out."""
        at = int(now) // MINUTE * MINUTE
        sums = sorted(self._sums.items(), key=itemgetter(0))
        taken = [one.sample(key, at) for key, one in sums if not one.is_nothing]
        self._sums.clear()
        if len(self._keys) > MOST_NAMES:
            self._keys.clear()
        return taken

    def _increase(self, key: Key, total: float) -> float:
        before = self._totals.get(key, 0.0)
        self._totals[key] = total
        return total - before

    def _add(self, key: Key, value: float, *, is_duration: bool = False) -> None:
        if key not in self._names:
            if len(self._names) >= MOST_NAMES:
                self.dropped += 1
                return
            self._names.add(key)
        if key not in self._sums:
            self._sums[key] = _Sum(classes=Latencies(STEP) if is_duration else None)
        self._sums[key].add(value)


def _json(labels: Mapping[str, str]) -> str:
    """As it is kept: whatever a label says, a database takes it."""
    cleaned = {name: clean(value, LONGEST_LABEL) for name, value in labels.items()}
    return msgspec.json.encode(cleaned, order="sorted").decode()


def _folded(family: Family) -> dict[str, float]:
    """The values of a family by labels, those of all markets as one."""
    found: defaultdict[str, list[float]] = defaultdict(list)
    for values, value in family.values:
        labels = dict(zip(family.labels, values, strict=True))
        labels.pop(TOO_MANY, None)
        found[_json(labels)].append(value)
    return {labels: family.together(values) for labels, values in found.items()}


def hourly(sample: Sample) -> Sample:
    """The same as a part of its hour."""
    return sample._replace(seconds=HOUR, at=sample.at // HOUR * HOUR)


def resolution(span: Window, now: float) -> int:
    """In which spans a span of time is still known: minutes, hours before that."""
    return MINUTE if span.start >= now - KEPT_SECONDS[MINUTE] else HOUR


@dataclass(frozen=True, slots=True)
class Performance:
    """How an operation of one kind went over a span of time.

    `success` is the share that ended well, of those that ended; `amount` what they moved (bytes of calls, rows of
    windows). Percentiles are seconds, right within 4 %.
    """

    operation: str
    kind: str
    count: int
    success: float
    per_second: float
    amount_per_second: float
    p50: float
    p95: float
    p99: float


@dataclass(slots=True)
class _Tally:
    count: int = 0
    good: int = 0
    amount: float = 0.0
    took: Latencies = field(default_factory=lambda: Latencies(STEP))


def performance(samples: Iterable[Sample], seconds: float) -> list[Performance]:
    """Statistics of each operation and kind in a span of `seconds`. Windows that are asked again have not ended."""
    names = {amount: operation for operation, amount in AMOUNTS.items() if operation != ROWS}
    tallies: defaultdict[tuple[str, str], _Tally] = defaultdict(_Tally)
    for sample in samples:
        operation = names.get(sample.name, sample.name)
        outcome = sample.label("outcome")
        if operation not in OPERATIONS or operation == ROWS or outcome == RETRIED:
            continue
        tally = tallies[operation, sample.label("kind")]
        if sample.name in names:
            tally.amount += sample.total
            continue
        tally.count += sample.times
        tally.good += sample.times if outcome in GOOD else 0
        tally.took.merge(sample.classes)
    return [_performance(*key, tally, seconds) for key, tally in sorted(tallies.items()) if tally.count]


def _performance(operation: str, kind: str, tally: _Tally, seconds: float) -> Performance:
    return Performance(
        operation=operation,
        kind=kind,
        count=tally.count,
        success=tally.good / tally.count,
        per_second=tally.count / seconds,
        amount_per_second=tally.amount / seconds,
        p50=tally.took.at(0.50) or 0.0,
        p95=tally.took.at(0.95) or 0.0,
        p99=tally.took.at(0.99) or 0.0,
    )


def line(samples: Iterable[Sample], span: Window, points: int, *, is_rate: bool = False) -> list[float | None]:
    """A figure over `span` in so many equal parts: the mean of each, or its increase a second; None where nothing is.

    `samples` are of one figure; those of several label values count together.
    """
    width = span.seconds / points
    parts: list[list[Sample]] = [[] for _ in range(points)]
    for sample in samples:
        if span.start <= sample.at < span.end:
            parts[int((sample.at - span.start) / width)].append(sample)
    return [_of_part(part, width, is_rate=is_rate) for part in parts]


def _of_part(part: Sequence[Sample], width: float, *, is_rate: bool) -> float | None:
    if not part:
        return None
    total = sum(sample.total for sample in part)
    return total / width if is_rate else total / max(1, sum(sample.times for sample in part))


def sparkline(values: Sequence[float | None]) -> str:
    """A character a value, from the lowest to the highest; a space where there is none."""
    known = [value for value in values if value is not None]
    low, high = min(known, default=0.0), max(known, default=0.0)
    return "".join(" " if value is None else BARS[_height(value, low, high)] for value in values)


BARS = "▁▂▃▄▅▆▇█"


def _height(value: float, low: float, high: float) -> int:
    return 0 if high <= low else round((value - low) / (high - low) * (len(BARS) - 1))
