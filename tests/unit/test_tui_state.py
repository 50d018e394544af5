"""The dashboard's state: the pure fold of messages, its bounds, and that it never changes what it was given."""

import copy
import time

import pytest

from core.events import (
    AlertChanged,
    CacheSample,
    EngineSample,
    GapFound,
    Hello,
    JobChanged,
    LogLine,
    Lost,
    Message,
    QuotaSample,
    QuotaWindow,
    Reply,
    RetryScheduled,
    RowsQuarantined,
    RunSummary,
    SeriesChanged,
    Snapshot,
    WindowFailed,
)
from tui import folding
from tui.folding import note, reduce, reduce_many
from tui.state import HISTORY, History, Link, ViewState


def job(name: str, **changes: object) -> JobChanged:
    values: dict[str, object] = {"run_id": "r", "data_type": "spot_ohlcv", "interval": "1d", **changes}
    return JobChanged(job=name, **values)  # type: ignore[arg-type]


def alert(name: str, since: float = 0.0, state: str = "firing") -> AlertChanged:
    return AlertChanged(alert=name, rule="r", level="ERROR", state=state, since=since, message="m")


def sample(at: float, cpu: float = 1.0) -> EngineSample:
    return EngineSample(
        time=at, cpu_percent=cpu, memory_bytes=1, host_cpu_percent=1, host_memory_percent=1, loop_lag_ms=1,
        open_files=1, uptime_seconds=1, requests_per_second=1, rows_per_second=1, in_flight=0, clients=1,
    )  # fmt: skip


def hello(pid: int) -> Hello:
    return Hello(protocol=1, engine="e", pid=pid, version="1", store="s", source="c", kind="serve", read_only=False)


def test_states_replace_what_was_said_before() -> None:
    state = reduce_many(ViewState(), [job("a", rows_fetched=1), job("b"), job("a", rows_fetched=2)], now=5.0)
    assert state.jobs["a"].rows_fetched == 2
    assert list(state.jobs) == ["a", "b"]
    assert state.heard == 5.0
    assert state.folded == 3


def test_the_state_given_is_not_changed() -> None:
    before = reduce_many(ViewState(), [job("a"), SeriesChanged(job="a", series="s"), alert("x")], now=1.0)
    kept = copy.deepcopy((dict(before.jobs), {k: dict(v) for k, v in before.series.items()}, dict(before.alerts)))
    reduce_many(before, [job("a", rows_fetched=9), SeriesChanged(job="a", series="s", rows=9), alert("y")], now=2.0)
    assert (dict(before.jobs), {k: dict(v) for k, v in before.series.items()}, dict(before.alerts)) == kept


def test_a_batch_is_the_same_as_one_by_one() -> None:
    messages: list[Message] = [
        job("a"),
        LogLine(level="info", text="x"),
        sample(1.0),
        job("a", state="complete"),
        Lost(count=3),
    ]
    one_by_one = ViewState()
    for message in messages:
        one_by_one = reduce(one_by_one, message, now=3.0)
    assert reduce_many(ViewState(), messages, now=3.0) == one_by_one


def test_a_snapshot_drops_what_was_known_but_not_the_log() -> None:
    old: list[Message] = [job("gone"), alert("gone"), LogLine(seq=3, level="info", text="read before"), sample(1.0)]
    before = reduce_many(ViewState(), old, now=1.0)
    events = (
        job("new"),
        LogLine(seq=3, level="info", text="read before"),
        LogLine(seq=9, level="info", text="new"),
    )
    state = reduce(before, Snapshot(events=events), now=2.0)
    assert list(state.jobs) == ["new"]
    assert not state.alerts
    assert state.engine is None
    assert [entry.text for entry in state.log] == ["read before", "new"]
    assert "gone" not in state.rates


def test_another_engine_starts_afresh_and_its_log_is_not_taken_for_the_old_one() -> None:
    before = reduce_many(ViewState(), [hello(1), job("a"), LogLine(seq=3, level="info", text="old")], now=1.0)
    state = reduce(before, hello(2), now=2.0)
    assert not state.jobs
    state = reduce(state, Snapshot(events=(LogLine(seq=3, level="info", text="new"),)), now=2.0)
    assert [entry.text for entry in state.log] == ["old", "new"]


def test_lost_events_are_counted_and_said() -> None:
    state = reduce_many(ViewState(), [Lost(count=7), Lost(count=2)], now=1.0)
    assert state.lost == 9
    assert "7 events were lost" in state.log[0].text


def test_finished_jobs_are_bounded_and_take_their_series_along() -> None:
    messages: list[JobChanged | SeriesChanged] = [job("running", state="running")]
    for number in range(folding.FINISHED_JOBS + 5):
        messages += [job(f"j{number}"), SeriesChanged(job=f"j{number}", series="s")]
        messages += [job(f"j{number}", state="complete")]
    state = reduce_many(ViewState(), messages, now=1.0)
    assert len(state.jobs) == folding.FINISHED_JOBS + 1
    assert "j4" not in state.jobs
    assert "j4" not in state.series
    assert "j4" not in state.rates
    assert "j5" in state.jobs


def test_a_job_that_is_retried_is_no_longer_finished() -> None:
    state = reduce_many(ViewState(), [job("a", state="failed"), job("a", state="running")], now=1.0)
    assert state.finished == ()


def test_alerts_are_bounded_and_resolved_ones_go_first() -> None:
    messages = [alert(f"a{n}", since=n, state="resolved" if n == 400 else "firing") for n in range(folding.ALERTS + 1)]
    state = reduce_many(ViewState(), messages, now=1.0)
    assert len(state.alerts) == folding.ALERTS
    assert "a400" not in state.alerts


def test_the_log_is_a_ring_with_ascending_ids() -> None:
    lines = [LogLine(level="info", text=str(n)) for n in range(folding.LOG_LINES + 10)]
    state = reduce_many(ViewState(), lines, now=1.0)
    assert len(state.log) == folding.LOG_LINES
    assert [state.log[0].text, state.log[-1].text] == ["10", str(folding.LOG_LINES + 9)]
    assert state.log[-1].id - state.log[0].id == folding.LOG_LINES - 1


@pytest.mark.parametrize(
    ("fact", "words"),
    [
        (
            WindowFailed(job="j", series="s", start=0, end=86_400, attempts=5, error="HTTP 500"),
            "after 5 attempts",
        ),
        (
            RetryScheduled(job="j", series="s", start=0, attempt=2, wait=20, error="HTTP 503"),
            "attempt 2 in 20s",
        ),
        (RowsQuarantined(job="j", series="s", reason="high below low", rows=4), "4 rows in quarantine"),
        (RowsQuarantined(job="j", series="s", reason="unparsable", rows=1), "1 row in quarantine"),
        (GapFound(job="j", series="s", start=0, end=86_400, cause="absent"), "gap 1970-01-01 00:00"),
    ],
)
def test_facts_become_log_lines_of_their_job(fact: WindowFailed, words: str) -> None:
    entry = reduce(ViewState(), fact, now=1.0).log[-1]
    assert words in entry.text
    assert (entry.job, entry.source) == ("j", "s")


def test_a_summary_becomes_a_log_line() -> None:
    state = reduce(ViewState(), RunSummary(job="j", status="complete", rows_inserted=3), now=1.0)
    assert state.log[-1].text == "job j ended: complete, 3 rows inserted"


def test_samples_replies_and_quota() -> None:
    quota = QuotaSample(windows=(QuotaWindow("day", 10, 3, 99.0),))
    first = CacheSample(time=1.0, tier="disk", hits=10, misses=10, entries=1, bytes=1, evictions=0)
    second = CacheSample(time=3.0, tier="disk", hits=19, misses=11, entries=1, bytes=1, evictions=0)
    state = reduce_many(ViewState(), [quota, first, second, sample(1.0), sample(2.5, 7.0), Reply(id=1, ok=True)], 1.0)
    assert state.quota == quota
    assert state.hit_rates["disk"].values == (90.0,)
    assert state.vitals["cpu_percent"].values == (1.0, 7.0)


def test_history_is_a_ring_of_one_value_a_second() -> None:
    history = History()
    for at in range(300):
        history = history.push(at / 2, float(at))
    assert len(history.values) == HISTORY
    assert history.values[-1] == 299.0


@pytest.mark.parametrize(
    ("phase", "heard", "now", "word"),
    [
        ("online", 10.0, 10.5, "LIVE"),
        ("online", 10.0, 14.0, "LAG"),
        ("online", 10.0, 20.0, "STALE"),
        ("lost", 10.0, 11.0, "DISCONNECTED"),
        ("connecting", None, 11.0, "CONNECTING"),
        ("connecting", 10.0, 11.0, "DISCONNECTED"),
    ],
)
def test_freshness(phase: str, heard: float | None, now: float, word: str) -> None:
    assert ViewState(link=Link(phase), heard=heard).freshness(now)[0] == word


def test_a_note_is_not_data() -> None:
    state = note(ViewState(), "error", "refused", time=5.0)
    assert state.heard is None
    assert state.folded == 0
    assert state.log[-1].source == "dashboard"


def test_a_thousand_messages_with_a_thousand_jobs_cost_little() -> None:
    known = reduce_many(ViewState(), [job(f"j{n}", state="running") for n in range(1_000)], now=1.0)
    batch = [job(f"j{n}", state="running", rows_fetched=n, time=2.0) for n in range(250)]
    started = time.process_time()
    for _ in range(4):
        known = reduce_many(known, batch, now=2.0)
    assert time.process_time() - started < 0.2
