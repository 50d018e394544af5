"""Metrics by OTLP over HTTP, to whatever speaks it: a collector, Datadog, New Relic.

The only module that knows `opentelemetry`, which is an extra. It sends the families of the registry that Prometheus
reads, so that both show the same.
"""

import asyncio
import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, Protocol, cast

from core.errors import ConfigError
from core.text import clean, shown_url

try:
    import requests
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.sdk.metrics.export import (
        AggregationTemporality,
        Gauge,
        Histogram,
        HistogramDataPoint,
        Metric,
        MetricExportResult,
        MetricsData,
        NumberDataPoint,
        ResourceMetrics,
        ScopeMetrics,
        Sum,
    )
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
except ImportError as error:
    raise ConfigError(
        f"monitoring.otlp_endpoint needs an extra ({error.name} is not installed): pip install 'tapewatch[otlp]'"
    ) from error

EXPORT_SECONDS = 5.0
UNITS = {"seconds": "s", "bytes": "By", "ratio": "1"}
NANO = 1_000_000_000
_LIBRARY = logging.getLogger("opentelemetry")


class Sampled(Protocol):
    """One value of a family, as `prometheus_client` has it."""

    @property
    def name(self) -> str: ...
    @property
    def labels(self) -> dict[str, str]: ...
    @property
    def value(self) -> float: ...


class Named(Protocol):
    """One family, as `prometheus_client` has it."""

    name: str
    documentation: str
    type: str

    @property
    def samples(self) -> Sequence[Sampled]: ...


class OtlpExport:
    """A service of the engine that sends what `collect` gives every so many seconds, and at the end.

    A receiver that is away is told of once by `say`, and once when it is back; nothing waits for it. Totals are since
    the start, or, where it `sends_deltas`, since the last time that the receiver took them: some want nothing else.
    """

    name = "otlp"

    def __init__(
        self,
        endpoint: str,
        headers: Mapping[str, str],
        seconds: float,
        collect: Callable[[], Iterable[Named]],
        say: Callable[[str], None] = lambda _: None,
        *,
        sends_deltas: bool = False,
    ) -> None:
        self._endpoint = endpoint
        self._seconds = seconds
        self._collect = collect
        self._say = say
        self._is_away = False
        self._started = time.time_ns()
        self._deltas = Deltas(self._started) if sends_deltas else None
        # A redirect could take the headers, which are secrets, to somebody else.
        session = requests.Session()
        session.max_redirects = 0
        self._exporter = OTLPMetricExporter(endpoint, headers=dict(headers), timeout=EXPORT_SECONDS, session=session)
        # What it has to say is said by us, once.
        _LIBRARY.addHandler(logging.NullHandler())
        _LIBRARY.propagate = False

    async def run(self, _engine: object) -> None:
        try:
            while True:
                await asyncio.sleep(self._seconds)
                await self._send()
        except asyncio.CancelledError:
            await self._send()
            raise

    async def _send(self) -> None:
        now = time.time_ns()
        metrics = cumulative(self._collect(), self._started, now)
        data = metrics_data(self._deltas.of(metrics) if self._deltas else metrics)
        fault = await asyncio.to_thread(self._export, data)
        if self._deltas and not fault:
            self._deltas.taken(now)
        where = shown_url(self._endpoint)
        if fault and not self._is_away:
            self._say(f"metrics cannot be sent to {where}: {fault}; it is tried again every {self._seconds:g} s")
        elif not fault and self._is_away:
            self._say(f"metrics are sent to {where} again")
        self._is_away = bool(fault)

    def _export(self, data: MetricsData) -> str:
        """Why it could not be sent; nothing when it was."""
        try:
            result = self._exporter.export(data, timeout_millis=EXPORT_SECONDS * 1_000)
        except (requests.RequestException, OSError, ValueError) as error:
            return clean(f"{type(error).__name__}: {error}", 200)
        return "" if result is MetricExportResult.SUCCESS else "the receiver does not take it"


def parse_headers(text: str) -> dict[str, str]:
    """The headers of NAME: VALUE lines. Raises ConfigError, which never shows a value."""
    headers: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        name, colon, value = line.partition(":")
        name, value = name.strip(), value.strip()
        if not line.strip():
            continue
        if not colon or not name.replace("-", "").isalnum() or not (value.isascii() and value.isprintable()):
            raise ConfigError(f"headers of monitoring.otlp_endpoint: line {number} is not NAME: VALUE")
        headers[name] = value
    return headers


def cumulative(families: Iterable[Named], started: int, now: int) -> list[Metric]:
    """All families, with totals since `started`; that and `now` are UTC epoch nanoseconds."""
    return [metric for family in families if (metric := _metric(family, started, now)) is not None]


class Deltas:
    """Turns totals into what came since they were last taken, at first since `started` (UTC epoch nanoseconds)."""

    def __init__(self, started: int) -> None:
        self._since = started
        self._taken: dict[Any, Any] = {}
        self._told: dict[Any, Any] = {}

    def of(self, metrics: Sequence[Metric]) -> list[Metric]:
        """The same metrics; gauges stay as they are."""
        self._told = {}
        return [self._of(metric) if hasattr(metric.data, "aggregation_temporality") else metric for metric in metrics]

    def taken(self, now: int) -> None:
        """What was told last counts from `now` on."""
        self._taken, self._since = self._told, now

    def _of(self, metric: Metric) -> Metric:
        points, totals = [], cast("Any", metric.data)
        for point in totals.data_points:
            key = metric.name, tuple(sorted((point.attributes or {}).items()))
            self._told[key] = point
            points.append(_since(point, self._taken.get(key), self._since))
        told = replace(totals, data_points=points, aggregation_temporality=AggregationTemporality.DELTA)
        return replace(metric, data=told)


def _since(point: Any, before: Any, start: int) -> Any:
    """What `point` has more than the one `before` it, if there is one."""
    if isinstance(point, NumberDataPoint):
        return replace(point, start_time_unix_nano=start, value=point.value - (before.value if before else 0))
    if before is None:
        return replace(point, start_time_unix_nano=start)
    counts = [here - there for here, there in zip(point.bucket_counts, before.bucket_counts, strict=True)]
    count, total = point.count - before.count, point.sum - before.sum
    return replace(point, start_time_unix_nano=start, bucket_counts=counts, count=count, sum=total)


def metrics_data(metrics: Sequence[Metric]) -> MetricsData:
    """What is sent at once."""
    scope = ScopeMetrics(InstrumentationScope("tapewatch"), metrics, "")
    resource = ResourceMetrics(Resource.create({"service.name": "tapewatch"}), [scope], "")
    return MetricsData([resource])


def _metric(family: Named, started: int, now: int) -> Metric | None:
    points: Any
    if family.type == "histogram":
        points = list(_histograms(family.samples, started, now))
        data: Any = Histogram(points, AggregationTemporality.CUMULATIVE)
    elif family.type == "counter":
        points = [_number(sample, started, now) for sample in family.samples if sample.name.endswith("_total")]
        data = Sum(points, AggregationTemporality.CUMULATIVE, is_monotonic=True)
    else:
        points = [_number(sample, started, now) for sample in family.samples]
        data = Gauge(points)
    return Metric(family.name, family.documentation, _unit(family.name), data) if points else None


def _unit(name: str) -> str:
    return UNITS.get(name.rpartition("_")[2], "")


def _number(sample: Sampled, started: int, now: int) -> NumberDataPoint:
    return NumberDataPoint(dict(sample.labels), started, now, float(sample.value))


def _histograms(samples: Iterable[Sampled], started: int, now: int) -> Iterator[HistogramDataPoint]:
    """One a set of labels: buckets that hold all below become buckets that hold what is between."""
    found: dict[tuple[tuple[str, str], ...], list[Sampled]] = {}
    for sample in samples:
        key = tuple(sorted((name, value) for name, value in sample.labels.items() if name != "le"))
        found.setdefault(key, []).append(sample)
    for labels, parts in found.items():
        buckets = sorted((float(part.labels["le"]), part.value) for part in parts if "le" in part.labels)
        below = [0, *(int(count) for _, count in buckets)]
        yield HistogramDataPoint(
            attributes=dict(labels),
            start_time_unix_nano=started,
            time_unix_nano=now,
            count=below[-1],
            sum=next(part.value for part in parts if part.name.endswith("_sum")),
            bucket_counts=[after - before for before, after in pairwise(below)],
            explicit_bounds=[bound for bound, _ in buckets if bound != math.inf],
            min=None,  # type: ignore[arg-type]
            max=None,  # type: ignore[arg-type]
        )
