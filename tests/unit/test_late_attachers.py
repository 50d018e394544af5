"""Who attaches late sees the truth: what a dashboard knows after any events, the snapshot of then tells another."""

import random
from collections.abc import Iterator
from itertools import count

import pytest

from core.bus import Bus
from core.events import (
    FINAL_STATES,
    RETAINED_ALERTS,
    RETAINED_FINISHED_JOBS,
    AlertChanged,
    AnyEvent,
    CacheSample,
    EngineSample,
    JobChanged,
    LogLine,
    QuotaSample,
    QuotaWindow,
    RunSummary,
    SeriesChanged,
    decode,
    encode,
)
from tui.folding import LOG_LINES, reduce, reduce_many
from tui.state import ViewState

STATES = ("queued", "running", "held", "waiting", *sorted(FINAL_STATES))
TOLD_BY_A_SNAPSHOT = ("jobs", "finished", "series", "alerts", "caches", "engine", "quota")


def told(state: ViewState) -> dict[str, object]:
    """What a snapshot can tell; a job that no series is left of has none."""
    found = {name: getattr(state, name) for name in TOLD_BY_A_SNAPSHOT}
    found["series"] = {job: dict(series) for job, series in state.series.items() if series}
    return {name: dict(value) if isinstance(value, dict) else value for name, value in found.items()}


def events(chance: random.Random, jobs: int, alerts: int) -> Iterator[AnyEvent]:
    """Anything an engine may say, also what it never does: series of unknown jobs, finished jobs that go on."""
    for number in count():
        job = f"j-{chance.randrange(jobs)}"
        yield chance.choice(
            (
                JobChanged(
                    job=job, run_id=job, data_type="spot_ohlcv", interval="1d", state=chance.choice(STATES),
                    rows_fetched=number,
                ),
                JobChanged(job=job, run_id=job, data_type="spot_ohlcv", interval="1d", state="complete"),
                SeriesChanged(job=job, series=f"s-{chance.randrange(5)}", rows=number),
                AlertChanged(
                    alert=f"a-{chance.randrange(alerts)}", rule="r", level="ERROR", message="m",
                    state=chance.choice(("firing", "resolved", "pending")), since=float(chance.randrange(50)),
                ),
                CacheSample(tier=chance.choice("ab"), hits=number, misses=1, entries=1, bytes=1, evictions=0),
                EngineSample(
                    cpu_percent=1.0, memory_bytes=number, host_cpu_percent=1.0, host_memory_percent=1.0,
                    loop_lag_ms=1.0, open_files=1, uptime_seconds=1.0, requests_per_second=1.0, rows_per_second=1.0,
                    in_flight=1, clients=1,
                ),
                QuotaSample(windows=(QuotaWindow("day", 100, number % 100, 5.0),)),
                LogLine(level="info", text=f"line {number}"),
                RunSummary(job=job, status="complete"),
            )
        )  # fmt: skip


@pytest.mark.parametrize(
    ("jobs", "alerts", "length"),
    [(4, 3, 400), (40, 20, 2_000), (RETAINED_FINISHED_JOBS + 60, RETAINED_ALERTS + 40, 9_000)],
)
def test_the_snapshot_tells_what_was_known(seed: int, jobs: int, alerts: int, length: int) -> None:
    chance = random.Random(seed)
    bus = Bus(lambda: 1_000.0)
    early = reduce(ViewState(), bus.snapshot(), 0.0)
    batch: list[AnyEvent] = []
    for number, event in zip(range(length), events(chance, jobs, alerts), strict=False):
        batch.append(bus.publish(event))
        if chance.random() < 0.1:
            early, batch = reduce_many(early, batch, 0.0), []
        if number % (length // 20) == 0 or number == length - 1:
            early, batch = reduce_many(early, batch, 0.0), []
            snapshot = decode(encode(bus.snapshot()))
            late = reduce(ViewState(), snapshot, 0.0)
            assert told(early) == told(late)
            assert reduce(early, snapshot, 0.0).log == early.log, "nothing is said twice"
    assert len(early.alerts) <= RETAINED_ALERTS


def test_what_has_fallen_off_the_log_is_not_told_again() -> None:
    bus = Bus(lambda: 1_000.0)
    told: list[AnyEvent] = [bus.publish(RunSummary(job="early", status="complete"))]
    told.extend(bus.publish(LogLine(level="info", text=f"line {number}")) for number in range(LOG_LINES))
    state = reduce_many(ViewState(), told, 0.0)
    assert state.log[0].text == "line 0"
    assert reduce(state, bus.snapshot(), 0.0).log == state.log


def test_who_attaches_late_reads_lines_in_the_order_they_were_said_in() -> None:
    bus = Bus(lambda: 1_000.0)
    for event in (
        LogLine(level="info", text="first"),
        RunSummary(job="a", status="complete"),
        LogLine(level="info", text="last"),
    ):
        bus.publish(event)
    assert [entry.seq for entry in reduce(ViewState(), bus.snapshot(), 0.0).log] == [1, 2, 3]


def test_finished_jobs_stand_in_the_order_they_finished_in() -> None:
    bus = Bus(lambda: 1_000.0)
    for job, state in (("a", "running"), ("b", "running"), ("c", "running"), ("b", "failed"), ("a", "complete")):
        bus.publish(JobChanged(job=job, run_id=job, data_type="t", interval="1d", state=state))
    assert reduce(ViewState(), bus.snapshot(), 0.0).finished == ("b", "a")
    bus.publish(JobChanged(job="b", run_id="b", data_type="t", interval="1d", state="running"))
    bus.publish(JobChanged(job="b", run_id="b", data_type="t", interval="1d", state="complete"))
    assert reduce(ViewState(), bus.snapshot(), 0.0).finished == ("a", "b")


def test_alerts_of_an_engine_are_bounded() -> None:
    bus = Bus(lambda: 1_000.0)
    for number in range(RETAINED_ALERTS + 3):
        state = "resolved" if number in {7, 8, 9} else "firing"
        bus.publish(AlertChanged(alert=f"a-{number}", rule="r", level="INFO", state=state, since=1.0, message=""))
    kept = {event.alert for event in bus.snapshot().events if isinstance(event, AlertChanged)}
    assert len(kept) == RETAINED_ALERTS
    assert not kept & {"a-7", "a-8", "a-9"}
