"""Samples for OTLP: settings that hold, sent to a receiver that stands in for Datadog's Agent and for New Relic."""

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest

from core.config import load
from core.monitoring.otlp import OtlpExport, parse_headers
from tests.contract.test_otlp import SECRET, metrics, receiving

OTLP = sorted((Path(__file__).parents[2] / "sample_configs" / "otlp").iterdir())


@pytest.mark.parametrize("path", OTLP, ids=lambda path: path.stem)
async def test_what_a_sample_sets_up_is_sent(path: Path) -> None:
    headers = {"TAPEWATCH_OTLP_HEADERS": f"api-key={SECRET}"}
    loaded = load({"config_file": str(path)}, headers)
    settings = loaded.settings.monitoring
    assert settings.otlp_endpoint.endswith("/v1/metrics")
    assert loaded.otlp_headers
    given = parse_headers(loaded.otlp_headers.get_secret_value())
    is_delta = settings.otlp_temporality == "delta"
    async with receiving() as receiver:
        export = OtlpExport(receiver.url, given, 0.05, metrics().collect, sends_deltas=is_delta)
        work = asyncio.create_task(export.run(None))
        sent, found = await receiver.next()
        work.cancel()
        with suppress(asyncio.CancelledError):
            await work
    assert sent["api-key"] == SECRET
    assert found["tapewatch_api_calls"].sum.aggregation_temporality == (1 if is_delta else 2)
