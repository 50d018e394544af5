"""Metrics by OTLP: what a real receiver on loopback gets, decoded by the protocol's own classes."""

import asyncio
import gzip
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from aiohttp import web
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from core.errors import ConfigError
from core.figures import counter, gauge
from core.monitoring.metrics import Metrics
from core.monitoring.otlp import OtlpExport, parse_headers
from core.telemetry import API, OK, Done

SECRET = "a-secret-key"


class Receiver:
    """Takes metrics, or answers `status`."""

    def __init__(self) -> None:
        self.status = 200
        self.got: asyncio.Queue[tuple[Mapping[str, str], ExportMetricsServiceRequest]] = asyncio.Queue()
        self.url = ""
        self.location = ""

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        if request.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        await self.got.put((request.headers, ExportMetricsServiceRequest.FromString(body)))
        headers = {"Location": self.location} if self.location else {}
        return web.Response(status=self.status, headers=headers)

    async def next(self) -> tuple[Mapping[str, str], dict[str, Any]]:
        """The headers and the metrics by name of what comes next."""
        headers, sent = await asyncio.wait_for(self.got.get(), 20)
        [resource] = sent.resource_metrics
        names = {attribute.key: attribute.value.string_value for attribute in resource.resource.attributes}
        assert names["service.name"] == "tapewatch"
        [scope] = resource.scope_metrics
        return headers, {metric.name: metric for metric in scope.metrics}


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    runner = web.ServerRunner(web.Server(receiver.handle))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1/metrics"
    yield receiver
    await runner.cleanup()


def metrics() -> Metrics:
    waits = counter("tapewatch_waits_total", "W", "limit", [(("day",), 7)])
    made = Metrics(lambda: [gauge("tapewatch_lag_seconds", "L", 0.25), waits])
    for seconds in (0.02, 0.2, 99.0):
        made.hear(Done(API, "history", OK, seconds, 500))
    return made


@asynccontextmanager
async def exporting(receiver: Receiver, seconds: float, said: list[str]) -> AsyncIterator[None]:
    export = OtlpExport(receiver.url, {"DD-API-KEY": SECRET}, seconds, metrics().collect, said.append)
    work = asyncio.create_task(export.run(None))
    await asyncio.sleep(0)
    yield
    work.cancel()
    with suppress(asyncio.CancelledError):
        await work


async def test_a_receiver_gets_what_prometheus_would() -> None:
    async with receiving() as receiver, exporting(receiver, 0.05, []):
        headers, found = await receiver.next()
    assert headers["DD-API-KEY"] == SECRET
    assert [point.as_double for point in found["tapewatch_lag_seconds"].gauge.data_points] == [0.25]
    assert found["tapewatch_lag_seconds"].unit == "s"
    [waits] = found["tapewatch_waits"].sum.data_points
    assert (waits.as_double, waits.attributes[0].value.string_value) == (7, "day")
    calls = found["tapewatch_api_calls"].sum
    assert calls.is_monotonic
    assert calls.aggregation_temporality == 2
    assert [point.as_double for point in calls.data_points] == [3]
    [took] = found["tapewatch_api_call_duration_seconds"].histogram.data_points
    assert (took.count, took.sum) == (3, pytest.approx(99.22))
    assert len(took.bucket_counts) == len(took.explicit_bounds) + 1
    assert sum(took.bucket_counts) == 3
    assert took.bucket_counts[-1] == 1, "what took longer than every bound"
    assert took.start_time_unix_nano < took.time_unix_nano


async def test_what_came_since_is_sent_where_totals_are_not_wanted() -> None:
    """Each time what the receiver has not taken yet: what it refused comes again with what came meanwhile."""
    made, said = metrics(), list[str]()
    async with receiving() as receiver:
        export = OtlpExport(receiver.url, {}, 0.05, made.collect, said.append, sends_deltas=True)
        work = asyncio.create_task(export.run(None))
        _, found = await receiver.next()
        calls = found["tapewatch_api_calls"].sum
        assert (calls.aggregation_temporality, calls.data_points[0].as_double) == (1, 3)
        first = calls.data_points[0].time_unix_nano
        receiver.status = 400
        made.hear(Done(API, "history", OK, 0.02, 500))
        counts = [await calls_in(receiver) for _ in range(3)]
        assert counts[1:] == [1, 1]
        made.hear(Done(API, "history", OK, 0.02, 500))
        receiver.status = 200
        while (seen := await receiver.next())[1]["tapewatch_api_calls"].sum.data_points[0].as_double < 2:
            pass
        [point] = seen[1]["tapewatch_api_calls"].sum.data_points
        assert point.start_time_unix_nano >= first
        [times] = seen[1]["tapewatch_api_call_duration_seconds"].histogram.data_points
        assert (times.count, sum(times.bucket_counts)) == (2, 2)
        assert seen[1]["tapewatch_lag_seconds"].gauge.data_points[0].as_double == 0.25
        assert await calls_in(receiver) == 0
        work.cancel()
        with suppress(asyncio.CancelledError):
            await work


async def calls_in(receiver: Receiver) -> float:
    """How many calls the next message tells of."""
    _, found = await receiver.next()
    calls: float = found["tapewatch_api_calls"].sum.data_points[0].as_double
    return calls


async def test_the_end_is_sent_too() -> None:
    async with receiving() as receiver:
        async with exporting(receiver, 3_600, []):
            pass
        assert "tapewatch_api_calls" in (await receiver.next())[1]


async def test_a_receiver_that_refuses_is_told_of_once_and_is_back() -> None:
    said: list[str] = []
    async with receiving() as receiver:
        receiver.status = 400
        async with exporting(receiver, 0.02, said):
            for _ in range(3):
                await receiver.next()
            receiver.status = 200
            while len(said) < 2:
                await receiver.next()
    assert len(said) == 2
    assert "cannot be sent" in said[0]
    assert "again" in said[1]
    assert SECRET not in "".join(said)


async def test_secrets_do_not_follow_a_redirect() -> None:
    said: list[str] = []
    async with receiving() as elsewhere, receiving() as receiver:
        receiver.status, receiver.location = 307, elsewhere.url
        async with exporting(receiver, 0.02, said):
            await receiver.next()
        assert elsewhere.got.empty()
    assert said


@pytest.mark.slow
async def test_nobody_there_is_no_trouble() -> None:
    said: list[str] = []
    receiver = Receiver()
    receiver.url = "http://127.0.0.1:9/v1/metrics"
    async with exporting(receiver, 3_600, said):
        pass
    assert len(said) == 1


@pytest.mark.parametrize("text", ["no colon", "DD API: x", ": x", "X-Y: caf\u00e9"])
def test_what_is_no_header(text: str) -> None:
    with pytest.raises(ConfigError, match="line 2 is not NAME: VALUE") as caught:
        parse_headers(f"A: b\n{text}\n")
    assert "caf" not in str(caught.value)


def test_headers() -> None:
    assert parse_headers("A: b\n\nDD-API-KEY:  c d \n") == {"A": "b", "DD-API-KEY": "c d"}


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "requests", None)
    monkeypatch.delitem(sys.modules, "core.monitoring.otlp")
    with pytest.raises(ConfigError, match=r"pip install 'tapewatch\[otlp\]'"):
        __import__("core.monitoring.otlp")
