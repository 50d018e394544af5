"""The page of metrics: what is told is counted, labels are few and clean, and a strict parser takes it."""

import random
from collections.abc import Iterable

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.parser import text_string_to_metric_families as parse_text

from core.figures import Family, counter, gauge, gauges
from core.monitoring.metrics import Metrics
from core.telemetry import API, DATABASE, JOB, NOTIFICATION, OK, OPERATIONS, RETRIED, ROWS, WINDOW, Done

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
HOSTILE = (
    "\x1b[2Jx",
    'quote"inside',
    "back\\slash",
    "two\nlines",
    "half \ud800 of",
    "[bold]markup[/bold]",
    "\x9b31m",
    "",
)


def page(metrics: Metrics, accept: str = OPENMETRICS) -> str:
    body, content_type = metrics.page(accept)
    assert content_type.startswith(accept.split(";", maxsplit=1)[0] or "text/plain")
    return body.decode()


def samples(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Every sample of the page by name and labels, as a strict parser reads it."""
    families = text_string_to_metric_families(page(metrics))
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def nothing() -> Iterable[Family]:
    return ()


def test_operations_are_counted_by_kind_and_outcome() -> None:
    metrics = Metrics(nothing)
    for outcome in (OK, OK, "5xx"):
        metrics.hear(Done(API, "history", outcome, 0.2, 1_000))
    metrics.hear(Done(DATABASE, "commit", "busy", 0.001))
    metrics.hear(Done(WINDOW, "spot_ohlcv", OK, 1.0, 60))
    metrics.hear(Done(WINDOW, "spot_ohlcv", RETRIED, 1.0))
    metrics.hear(Done(ROWS, "spot_ohlcv", "inserted", 0.0, 60))
    metrics.hear(Done(JOB, "spot_ohlcv", "complete", 12.0))
    metrics.hear(Done(NOTIFICATION, "ops", OK, 0.3))
    found = samples(metrics)
    history, spot = ("endpoint", "history"), ("data_type", "spot_ohlcv")
    assert found["tapewatch_api_calls_total", (history, ("outcome", OK))] == 2
    assert found["tapewatch_api_calls_total", (history, ("outcome", "5xx"))] == 1
    assert found["tapewatch_api_received_bytes_total", (history,)] == 3_000
    assert found["tapewatch_api_call_duration_seconds_count", (history,)] == 3
    assert found["tapewatch_api_call_duration_seconds_bucket", (history, ("le", "0.25"))] == 3
    assert found["tapewatch_database_operations_total", (("operation", "commit"), ("outcome", "busy"))] == 1
    assert found["tapewatch_windows_total", (spot, ("outcome", OK))] == 1
    assert found["tapewatch_retries_total", (spot,)] == 1
    assert ("tapewatch_windows_total", (spot, ("outcome", RETRIED))) not in found
    assert found["tapewatch_rows_total", (spot, ("outcome", "inserted"))] == 60
    assert found["tapewatch_finished_jobs_total", (spot, ("outcome", "complete"))] == 1
    assert found["tapewatch_notifications_total", (("channel", "ops"), ("outcome", OK))] == 1


def test_figures_are_read_when_they_are_asked_for() -> None:
    now = [1.0]
    metrics = Metrics(lambda: [gauge("tapewatch_x_seconds", "X", now[0])])
    assert samples(metrics)["tapewatch_x_seconds", ()] == 1.0
    now[0] = 2.5
    assert samples(metrics)["tapewatch_x_seconds", ()] == 2.5


def test_labels_beyond_the_cap_are_taken_together() -> None:
    many = [((f"m{n}",), float(n)) for n in range(50)]
    families = [
        gauges("tapewatch_rows_waiting", "W", "market", many),
        counter("tapewatch_seen_total", "S", "market", many),
        Family("tapewatch_age_seconds", "A", ("market",), many, together=max),
    ]
    metrics = Metrics(lambda: families, most=10)
    for n in range(50):
        metrics.hear(Done(NOTIFICATION, f"channel {n}", OK, 0.1))
    found = samples(metrics)
    other = (("market", "other"),)
    assert found["tapewatch_rows_waiting", other] == found["tapewatch_seen_total", other] == sum(range(10, 50))
    assert found["tapewatch_age_seconds", other] == 49
    channels = [labels for name, labels in found if name == "tapewatch_notifications_total"]
    assert len(channels) == 11
    assert found["tapewatch_notifications_total", (("channel", "other"), ("outcome", OK))] == 40


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_breaks_the_page(text: str) -> None:
    metrics = Metrics(lambda: [gauges("tapewatch_g", "G", "market", [((text,), 1.0), ((f"{text}b",), 2.0)])])
    for operation in OPERATIONS:
        metrics.hear(Done(operation, text, text, 0.1, 5))
    shown = page(metrics)
    assert samples(metrics)
    assert list(parse_text(page(metrics, "")))
    assert not any(code < " " and code != "\n" for code in shown)
    assert "\x9b" not in shown


def test_values_that_become_the_same_text_are_one_value() -> None:
    metrics = Metrics(lambda: [gauges("tapewatch_g", "G", "market", [(("a\x1b",), 1.0), (("a",), 2.0)])])
    assert samples(metrics)["tapewatch_g", (("market", "a"),)] == 3.0


@pytest.mark.parametrize("seed", range(5))
def test_counters_agree_with_what_was_told(seed: int) -> None:
    chance = random.Random(seed)
    metrics, told = Metrics(nothing), [0, 0.0]
    for _ in range(500):
        done = Done(API, chance.choice(["history", "listing"]), chance.choice([OK, "429"]), chance.random() * 20)
        metrics.hear(done)
        told = [told[0] + 1, told[1] + done.seconds]
    found = samples(metrics)
    counted = sum(value for (name, _), value in found.items() if name == "tapewatch_api_calls_total")
    seconds = sum(value for (name, _), value in found.items() if name == "tapewatch_api_call_duration_seconds_sum")
    assert (counted, seconds) == (told[0], pytest.approx(told[1])), f"seed {seed}"


def test_operations_that_nobody_knows_are_no_trouble() -> None:
    metrics = Metrics(nothing)
    metrics.hear(Done("teleport", "x", OK, 1.0))
    assert "teleport" not in page(metrics)
