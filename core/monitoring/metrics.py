"""Metrics for Prometheus: operations that were told are counted, figures are read when somebody asks for them.

The only module that knows `prometheus_client`. Labels are bounded: each kind of operation has at most so many values,
what comes then is `other`.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder, generate_latest
from prometheus_client.registry import Collector

from core.figures import COUNTER, OTHER, Family, Figures
from core.telemetry import API, DATABASE, GOOD, JOB, NOTIFICATION, RETRIED, ROWS, WINDOW, Done
from core.text import clean

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
LONG_SECONDS = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3_600.0, 14_400.0)
LONGEST_LABEL = 100
MOST_OUTCOMES = 20
# Of each counter when it began, which in the older text looks like a metric of its own.
disable_created_metrics()  # type: ignore[no-untyped-call]


@dataclass(frozen=True, slots=True)
class _Shape:
    """How an operation is counted: the counter's name, what its kind is called, and the counter of its amount."""

    counted: str
    words: str
    kind: str
    timed: str = ""
    moved: str = ""
    buckets: Sequence[float] = SECONDS


SHAPES = {
    API: _Shape(
        "tapewatch_api_calls",
        "Calls to the vendor",
        "endpoint",
        "tapewatch_api_call_duration_seconds",
        "tapewatch_api_received_bytes",
    ),
    DATABASE: _Shape(
        "tapewatch_database_operations",
        "Pieces of work of the database",
        "operation",
        "tapewatch_database_operation_duration_seconds",
    ),
    WINDOW: _Shape(
        "tapewatch_windows", "Windows that were stored or given up", "data_type", "tapewatch_window_duration_seconds"
    ),
    ROWS: _Shape("", "Rows by what became of them", "data_type", moved="tapewatch_rows"),
    JOB: _Shape(
        "tapewatch_finished_jobs",
        "Jobs by how they ended",
        "data_type",
        "tapewatch_job_duration_seconds",
        buckets=LONG_SECONDS,
    ),
    NOTIFICATION: _Shape(
        "tapewatch_notifications",
        "Messages by how sending them ended",
        "channel",
        "tapewatch_notification_duration_seconds",
    ),
}


class Metrics:
    """A registry of one engine. `most` is how many label values each family has; `figures` are read at each scrape."""

    def __init__(self, figures: Figures, most: int = 100, wall: Callable[[], float] = time.time) -> None:
        self.registry = CollectorRegistry()
        self._wall = wall
        self._operations = {name: _Operation(shape, self.registry, most) for name, shape in SHAPES.items()}
        self._retries = Counter(
            "tapewatch_retries", "Windows that are asked for again", ["data_type"], registry=self.registry
        )
        self._succeeded = Gauge(
            "tapewatch_last_success_timestamp_seconds",
            "When a job last went well, UTC",
            ["data_type"],
            registry=self.registry,
        )
        self._children: dict[tuple[str, str, str], _Child] = {}
        self.registry.register(_Scraped(figures, most))

    def hear(self, done: Done) -> None:
        """A hook of `core.telemetry`: a look-up and two or three additions."""
        key = (done.operation, done.kind, done.outcome)
        child = self._children.get(key)
        if child is None:
            child = self._child(done)
            if len(self._children) < 1_000:
                self._children[key] = child
        child.add(done)
        if done.operation == JOB and done.outcome in GOOD:
            self._succeeded.labels(self._operations[JOB].kinds.bound(done.kind)).set(self._wall())

    def page(self, accept: str = "") -> tuple[bytes, str]:
        """The metrics in the form that `accept` asks for (OpenMetrics, or the older text), with its content type."""
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type

    def file(self) -> bytes:
        """The metrics for a file that node_exporter reads, which has figures of processes of its own."""
        return generate_latest(_Ours(self.registry))

    def collect(self) -> Iterable[Metric]:
        return self.registry.collect()

    def _child(self, done: Done) -> "_Child":
        operation = self._operations.get(done.operation)
        if operation is None:
            return _Child()
        if done.operation == WINDOW and done.outcome == RETRIED:
            return _Child(counted=self._retries.labels(operation.kinds.bound(done.kind)))
        return operation.child(done.kind, done.outcome)


@dataclass(frozen=True, slots=True)
class _Child:
    """Where one kind and outcome of an operation is counted."""

    counted: Counter | None = None
    timed: Histogram | None = None
    moved: Counter | None = None

    def add(self, done: Done) -> None:
        if self.counted is not None:
            self.counted.inc()
        if self.timed is not None:
            self.timed.observe(max(0.0, done.seconds))
        if self.moved is not None and done.amount > 0:
            self.moved.inc(done.amount)


class _Operation:
    """The metrics of one operation."""

    def __init__(self, shape: _Shape, registry: CollectorRegistry, most: int) -> None:
        self.kinds, self.outcomes = _Bounded(most), _Bounded(MOST_OUTCOMES)
        labels = [shape.kind, "outcome"]
        self._counted = Counter(shape.counted, shape.words, labels, registry=registry) if shape.counted else None
        self._timed = (
            Histogram(shape.timed, f"{shape.words}: how long", [shape.kind], registry=registry, buckets=shape.buckets)
            if shape.timed
            else None
        )
        self._has_outcomes = not shape.counted
        moved = labels if self._has_outcomes else [shape.kind]
        self._moved = Counter(shape.moved, _moved_words(shape), moved, registry=registry) if shape.moved else None

    def child(self, kind: str, outcome: str) -> _Child:
        kind, outcome = self.kinds.bound(kind), self.outcomes.bound(outcome)
        moved = (kind, outcome) if self._has_outcomes else (kind,)
        return _Child(
            self._counted.labels(kind, outcome) if self._counted else None,
            self._timed.labels(kind) if self._timed else None,
            self._moved.labels(*moved) if self._moved else None,
        )


def _moved_words(shape: _Shape) -> str:
    return "Bytes of answers on the wire" if shape.moved.endswith("_bytes") else shape.words


class _Bounded:
    """Values of a label, clean, and no more than so many of them."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: set[str] = set()

    def bound(self, value: str) -> str:
        value = label(value)
        if value not in self._known and len(self._known) >= self._most:
            return OTHER
        self._known.add(value)
        return value


def label(value: str) -> str:
    """`value` as it may be shown on a page."""
    return clean(value, LONGEST_LABEL)


class _Ours(Collector):
    """The families whose name says that they are ours."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterator[Metric]:
        return (family for family in self._registry.collect() if family.name.startswith("tapewatch_"))


class _Scraped(Collector):
    """What is read when somebody asks."""

    def __init__(self, figures: Figures, most: int) -> None:
        self._figures = figures
        self._most = most

    def collect(self) -> Iterator[Metric]:
        for family in self._figures():
            yield _as_metric(family, self._most)

    def describe(self) -> Iterable[Metric]:
        """Nothing is read when the registry is made."""
        return ()


def _as_metric(family: Family, most: int) -> Metric:
    make = CounterMetricFamily if family.kind == COUNTER else GaugeMetricFamily
    metric: CounterMetricFamily | GaugeMetricFamily = make(family.name, family.words, labels=family.labels)
    values: dict[tuple[str, ...], list[float]] = {}
    for labels, value in family.bounded(most):
        values.setdefault(tuple(map(label, labels)), []).append(value)
    for labels, found in values.items():
        metric.add_metric(labels, family.together(found))
    return metric
