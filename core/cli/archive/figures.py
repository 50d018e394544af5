"""Figures: data types, calls, the engine's past."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from core.cli.archive.part import Part
from core.cli.overview import components
from core.history import HOUR, MINUTE, STEP, Sample, line, performance
from core.meter import Latencies
from core.telemetry import API, DATABASE, ROWS
from core.usage import DAY, Counted, calls_in, month_of, parts
from core.windows import GRAINS, Window
from tui.archive.figures import Component, Past, Share, Spent, StoredType, Timing

POINTS = {MINUTE: 60, HOUR: 48}
SHARED = ("reason", "data_type", "label")
GAUGES = {
    "cpu": ("tapewatch_cpu_ratio", 100.0),
    "memory": ("process_resident_memory_bytes", 1.0),
    "host_memory": ("tapewatch_host_memory_ratio", 100.0),
    "lag": ("tapewatch_event_loop_lag_seconds", 1_000.0),
    "files": ("process_open_fds", 1.0),
}
Curve = tuple[float | None, ...]


class FigurePart(Part):
    """Answers `tui.archive.figures.FigureArchive`."""

    def data_types(self) -> Sequence[StoredType]:
        with self.reading() as reader:
            return [StoredType(**entry, seconds=GRAINS[entry["interval"]].seconds) for entry in reader.data_types()]

    def spent(self) -> Spent:
        now = time.time()
        with self.reading() as reader:
            return spent(reader.usage(month_of(now)), now)

    def past(self, seconds: int) -> Past:
        end = int(time.time()) // seconds * seconds + seconds
        span = Window(end - POINTS[seconds] * seconds, end)
        with self.reading() as reader:
            return past(reader.samples(seconds, span), span, seconds)

    def components(self) -> Sequence[Component]:
        return [Component(**part) for part in components(self._loaded)]


def spent(rows: Sequence[Counted], now: float) -> Spent:
    """What the calls of this month, `rows`, were for."""
    today = int(now // DAY) * DAY
    of_today = [row for row in rows if row.hour >= today]
    by_day: Counter[int] = Counter()
    for row in rows:
        by_day[row.hour // DAY * DAY] += row.calls
    first = month_of(now).start
    return Spent(
        today=sum(row.calls for row in of_today),
        month=calls_in(by_day, month_of(now)),
        shares={by: _shares(rows, of_today, by) for by in SHARED},
        days=[by_day[day] for day in range(first, today + DAY, DAY)],
    )


def _shares(month: Sequence[Counted], today: Sequence[Counted], by: str) -> list[Share]:
    of_today = {part.name: part.calls for part in parts(today, by)}
    return [Share(part.name, of_today.get(part.name, 0), part.calls) for part in parts(month, by)]


def past(samples: Sequence[Sample], span: Window, seconds: int) -> Past:
    """What `samples` of spans of so many seconds tell of `span`."""
    points = span.seconds // seconds
    timings = [
        Timing(each.operation, each.kind, each.count, each.success, each.p50, each.p95)
        for each in performance(samples, span.seconds)
    ]
    return Past(span.start, span.end, dict(_curves(samples, span, points)), timings)


def _curves(samples: Sequence[Sample], span: Window, points: int) -> Iterable[tuple[str, Curve]]:
    for name, (figure, scale) in GAUGES.items():
        found = line([sample for sample in samples if sample.name == figure], span, points)
        yield name, tuple(None if value is None else value * scale for value in found)
    yield "database", _slowest([sample for sample in samples if sample.name == DATABASE], span, points)
    yield "calls", _each([sample for sample in samples if sample.name == API], span, points, _times)
    moved = [sample for sample in samples if sample.name == ROWS and sample.label("outcome") != "restated"]
    yield "rows", _each(moved, span, points, _total)
    yield from _hit_rates(samples, span, points)


def _times(samples: Sequence[Sample], seconds: float) -> float:
    return sum(sample.times for sample in samples) / seconds


def _total(samples: Sequence[Sample], seconds: float) -> float:
    return sum(sample.total for sample in samples) / seconds


def _each(
    samples: Sequence[Sample], span: Window, points: int, together: Callable[[Sequence[Sample], float], float | None]
) -> Curve:
    """`together` of the samples of each part, None for a part without any."""
    width = span.seconds / points
    found: list[list[Sample]] = [[] for _ in range(points)]
    for sample in samples:
        if span.start <= sample.at < span.end:
            found[int((sample.at - span.start) / width)].append(sample)
    return tuple(together(part, width) if part else None for part in found)


def _slowest(samples: Sequence[Sample], span: Window, points: int) -> Curve:
    """Milliseconds that 95 % of operations took at most, of each part."""

    def together(part: Sequence[Sample], _seconds: float) -> float | None:
        took = Latencies(STEP)
        for sample in part:
            took.merge(sample.classes)
        slow = took.at(0.95)
        return None if slow is None else 1_000.0 * slow

    return _each(samples, span, points, together)


def _hit_rates(samples: Sequence[Sample], span: Window, points: int) -> Iterable[tuple[str, Curve]]:
    """Percent of what was asked of each tier that was there."""
    names = ("tapewatch_cache_hits_total", "tapewatch_cache_misses_total")
    asked = [sample for sample in samples if sample.name in names]

    def rate(part: Sequence[Sample], _seconds: float) -> float | None:
        hits, misses = (sum(sample.total for sample in part if sample.name == name) for name in names)
        return 100.0 * hits / (hits + misses) if hits + misses else None

    for tier in sorted({sample.label("tier") for sample in asked}):
        yield f"hits/{tier}", _each([s for s in asked if s.label("tier") == tier], span, points, rate)
