"""Figures over time: adding up, bounds, and lines of them."""

import pytest

from core.figures import Family, counter, gauge, gauges
from core.history import MINUTE, MOST_NAMES, Recorder, Sample, line, performance, sparkline
from core.telemetry import API, JOB, OK, RETRIED, ROWS, WINDOW, Done
from core.windows import Window

NOW = 1_750_010_400


def one(samples: list[Sample], name: str) -> Sample:
    [found] = [sample for sample in samples if sample.name == name]
    return found


def test_gauges_are_values_and_counters_what_came_on_top() -> None:
    recorder = Recorder()
    for lag, cpu in ((0.5, 10.0), (0.1, 12.5)):
        recorder.note(
            [
                gauge("tapewatch_event_loop_lag_seconds", "", lag),
                counter("process_cpu_seconds_total", "", "", [((), cpu)]),
                gauge("tapewatch_something_else", "", 5.0),
            ]
        )
    lag, cpu = (one(recorder.take(NOW + 59), "tapewatch_event_loop_lag_seconds"), None)
    assert (lag.at, lag.times, lag.total, lag.lowest, lag.highest, lag.newest) == (NOW, 2, 0.6, 0.1, 0.5, 0.1)
    assert cpu is None
    assert recorder.take(NOW + 60) == []
    recorder.note([counter("process_cpu_seconds_total", "", "", [((), 13.0)])])
    assert one(recorder.take(NOW + 60), "process_cpu_seconds_total").total == 0.5


def test_what_was_nothing_is_not_kept() -> None:
    recorder = Recorder()
    for waiting in (0.0, 0.0):
        recorder.note(
            [gauge("tapewatch_calls_waiting", "", waiting), counter("tapewatch_cache_hits_total", "", "", [])]
        )
        recorder.note([counter("process_cpu_seconds_total", "", "", [((), 0.0)])])
    recorder.hear(Done(API, "history", OK, 0.0))
    assert [sample.name for sample in recorder.take(NOW)] == [API], "an operation happened, however quick it was"


def test_markets_are_kept_as_one() -> None:
    recorder = Recorder()
    ages = [(("spot_ohlcv", "1m", market), age) for market, age in (("kraken", 60.0), ("coinbase", 900.0))]
    labels = ("data_type", "interval", "market")
    recorder.note([Family("tapewatch_freshness_seconds", "", labels, ages, together=max)])
    recorder.note([gauges("tapewatch_gaps", "", " ".join(labels), ages)])
    samples = recorder.take(NOW)
    assert one(samples, "tapewatch_freshness_seconds").newest == 900.0
    assert one(samples, "tapewatch_gaps").newest == 960.0
    assert one(samples, "tapewatch_gaps").labels == '{"data_type":"spot_ohlcv","interval":"1m"}'


def test_the_number_of_figures_is_bounded() -> None:
    recorder = Recorder()
    for n in range(3 * MOST_NAMES):
        recorder.hear(Done(API, f"kind {n}", OK, 0.1))
    assert len(recorder.take(NOW)) == MOST_NAMES
    assert recorder.dropped == 2 * MOST_NAMES
    recorder.hear(Done(API, "kind 0", OK, 0.1))
    assert len(recorder.take(NOW)) == 1, "what is known goes on"


def test_performance_counts_what_ended() -> None:
    recorder = Recorder()
    for outcome in (OK, OK, RETRIED, "failed"):
        recorder.hear(Done(WINDOW, "spot_ohlcv", outcome, 2.0, 100 if outcome == OK else 0))
    recorder.hear(Done(ROWS, "spot_ohlcv", "inserted", 0.0, 200))
    recorder.hear(Done(JOB, "spot_ohlcv", "complete_with_gaps", 9.0))
    job, window = performance(recorder.take(NOW), 10.0)
    assert (job.operation, job.count, job.success) == (JOB, 1, 1.0)
    assert (window.count, window.amount_per_second, window.per_second) == (3, 20.0, 0.3)
    assert window.success == pytest.approx(2 / 3)
    assert window.p50 == pytest.approx(2.0, rel=0.08)


def test_nothing_has_no_performance() -> None:
    assert performance([], 60.0) == []


def at(minute: int, total: float, times: int = 1) -> Sample:
    return Sample(MINUTE, "x", "{}", NOW + 60 * minute, times, total, total, total, total, {})


@pytest.mark.parametrize(
    ("samples", "points", "is_rate", "values"),
    [
        ([], 3, False, [None, None, None]),
        ([at(0, 1.0), at(1, 3.0), at(3, 8.0, 2)], 2, False, [2.0, 4.0]),
        ([at(0, 60.0), at(3, 120.0)], 2, True, [0.5, 1.0]),
        ([at(-1, 9.0), at(4, 9.0), at(2, 1.0)], 4, False, [None, None, 1.0, None]),
    ],
)
def test_lines(samples: list[Sample], points: int, is_rate: bool, values: list[float | None]) -> None:
    assert line(samples, Window(NOW, NOW + 240), points, is_rate=is_rate) == values


@pytest.mark.parametrize(
    ("values", "drawn"),
    [([], ""), ([None, None], "  "), ([5.0, 5.0], "▁▁"), ([0.0, None, 7.0], "▁ █"), ([1.0, 2.0, 3.0], "▁▅█")],
)
def test_sparklines(values: list[float | None], drawn: str) -> None:
    assert sparkline(values) == drawn


@pytest.mark.parametrize("text", ["half \ud800 of", "\x1b[2J", 'quote"', "two\nlines", "x" * 10_000, "\x00"])
def test_no_text_breaks_the_history(text: str) -> None:
    recorder = Recorder()
    recorder.hear(Done(API, text, text, 0.1, 5))
    recorder.note([gauges("tapewatch_gaps", "", "data_type", [((text,), 1.0)])])
    for sample in recorder.take(NOW):
        assert len(sample.labels) < 300
        assert sample.labels.encode().decode().isprintable()
