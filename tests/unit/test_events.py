"""Events as JSON, what the bus retains, and slow readers."""

import asyncio
import typing
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from core import events
from core.bus import Bus, Subscription
from core.events import (
    FINAL_STATES,
    RETAINED_FINISHED_JOBS,
    RETAINED_FINISHED_JOBS_WITH_SERIES,
    RETAINED_LOG_LINES,
    AlertChanged,
    AnyEvent,
    CacheSample,
    EngineSample,
    Event,
    GapFound,
    Hello,
    JobChanged,
    LogLine,
    Lost,
    Message,
    QuotaSample,
    QuotaWindow,
    Reply,
    RunSummary,
    SeriesChanged,
    Snapshot,
    decode,
    encode,
)

SAMPLES: dict[type, Any] = {str: "t\x1b\u202e\n\"'é", int: 2**53, float: 0.1, bool: True}


def classes() -> list[type[Event]]:
    return list(typing.get_args(Message))


def filled(kind: type[Event]) -> Event:
    """An event no field of which has its default value."""
    values: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        options = typing.get_args(field.type) or (field.type,)
        values[field.name] = next((SAMPLES[option] for option in options if option in SAMPLES), None)
    odd = {
        RunSummary: {
            "errors": ["x"],
            "cache": {"hits": 1},
            "planned": {"requests": 5},
            "statistics": {"bytes": 0.5},
            "operations": [{"status": "complete"}],
        },
        CacheSample: {"kinds": {"spot_instruments": {"hits": 1}}},
        QuotaSample: {"windows": (QuotaWindow("day", 9, 8, 1.5), QuotaWindow("month", 99, 98, 2.5))},
        Snapshot: {"events": (job("j-1"), LogLine(level="info", text="x"))},
        Reply: {"result": {"job": "j-1", "list": [1, None]}},
    }
    return kind(**{**values, **odd.get(kind, {})})


def job(name: str, state: str = "running", **fields: Any) -> JobChanged:
    return JobChanged(job=name, run_id="r", data_type="spot_ohlcv", interval="1d", state=state, **fields)


def log(text: str) -> LogLine:
    return LogLine(level="info", text=text)


@pytest.fixture
def bus() -> Bus:
    ticks: Iterator[int] = iter(range(1_000, 10**9))
    return Bus(lambda: float(next(ticks)))


@pytest.mark.parametrize("kind", classes(), ids=lambda kind: kind.__name__)
def test_every_event_survives_its_json_form(kind: type[Event]) -> None:
    event = filled(kind)
    line = encode(event)
    assert b"\n" not in line
    assert decode(line) == event
    assert msgspec.json.decode(line)["event"] == kind.__struct_config__.tag


def test_every_class_has_its_own_tag_and_none_is_forgotten() -> None:
    tags = [kind.__struct_config__.tag for kind in classes()]
    assert len(set(tags)) == len(tags)
    assert set(classes()) == set(Event.__subclasses__())


@pytest.mark.parametrize(
    "line",
    [b"", b"{", b"[]", b"{}", b'{"event":"none"}', b'{"event":"log","level":5,"text":""}', b"\xff", b"[" * 50_000],
)
def test_what_is_no_message_is_a_decode_error(line: bytes) -> None:
    with pytest.raises((msgspec.DecodeError, RecursionError)):
        decode(line)


def test_a_newer_program_may_say_more() -> None:
    assert decode(b'{"event":"log","level":"info","text":"x","new_field":1}') == log("x")


def test_final_states_are_those_of_the_summary() -> None:
    assert {state for state in FINAL_STATES if job("j", state).is_final} == {
        "complete", "complete_with_gaps", "waiting_quota", "failed", "cancelled",
    }  # fmt: skip
    assert not job("j", "held").is_final


def test_publishing_stamps_in_order(bus: Bus) -> None:
    first, second = bus.publish(log("a")), bus.publish(log("b"))
    assert (first.seq, first.time, second.seq, second.time) == (1, 1_000.0, 2, 1_001.0)
    assert bus.seq == 2


def test_states_replace_each_other_and_facts_are_not_kept(bus: Bus) -> None:
    bus.publish(job("j-1", rows_fetched=1))
    bus.publish(SeriesChanged(job="j-1", series="s"))
    bus.publish(GapFound(job="j-1", series="s", start=0, end=60, cause="absent"))
    bus.publish(job("j-1", rows_fetched=2))
    bus.publish(job("j-2"))
    kept = bus.snapshot().events
    assert [(type(event).__name__, event.seq) for event in kept] == [
        ("JobChanged", 4), ("SeriesChanged", 2), ("JobChanged", 5),
    ]  # fmt: skip
    assert kept[0] == job("j-1", rows_fetched=2, seq=4, time=kept[0].time)


def test_each_state_has_its_own_key() -> None:
    keys = [
        job("a").key(),
        SeriesChanged(job="a", series="s").key(),
        SeriesChanged(job="b", series="s").key(),
        SeriesChanged(job="a", series="t").key(),
        RunSummary(job="a").key(),
        AlertChanged(alert="a", rule="r", level="ERROR", state="firing", since=0, message="").key(),
        QuotaSample(windows=()).key(),
        filled(EngineSample).key(),
        filled(events.CacheSample).key(),
    ]
    assert None not in keys
    assert len(set(keys)) == len(keys)
    assert log("x").key() is None


def test_the_log_is_a_ring(bus: Bus) -> None:
    for number in range(RETAINED_LOG_LINES + 5):
        bus.publish(log(str(number)))
    lines = [event.text for event in bus.snapshot().events if isinstance(event, LogLine)]
    assert lines == [str(number) for number in range(5, RETAINED_LOG_LINES + 5)]


def test_finished_jobs_are_forgotten_with_everything_of_theirs(bus: Bus) -> None:
    bus.publish(job("keeps-running"))
    for number in range(RETAINED_FINISHED_JOBS + 2):
        name = f"j-{number}"
        bus.publish(job(name))
        bus.publish(SeriesChanged(job=name, series="s"))
        bus.publish(job(name, "complete"))
        # Said again, as engines do: it finished once.
        bus.publish(job(name, "complete"))
        bus.publish(RunSummary(job=name))
    keys = {event.key() for event in bus.snapshot().events}
    assert "job:keeps-running" in keys
    assert not keys & {"job:j-0", "series:j-0:s", "summary:j-0", "job:j-1"}
    assert {"job:j-2", "summary:j-2"} <= keys
    assert f"series:{name}:s" in keys, "the newest ones keep their series"
    assert len(keys) == 2 * RETAINED_FINISHED_JOBS + RETAINED_FINISHED_JOBS_WITH_SERIES + 1


async def test_a_reader_gets_everything_in_order(bus: Bus) -> None:
    with bus.subscribe() as subscription:
        for number in range(5):
            bus.publish(log(str(number)))
        batch = await subscription.next_batch()
        assert [event.seq for event in batch] == [1, 2, 3, 4, 5]
        assert subscription.take_lost() == 0
        waiting = asyncio.ensure_future(subscription.next_batch())
        await asyncio.sleep(0)
        assert not waiting.done()
        bus.publish(log("late"))
        assert [event.seq for event in await waiting] == [6]


async def test_a_slow_reader_is_told_how_much_it_lost(bus: Bus) -> None:
    with bus.subscribe(size=3) as subscription:
        for number in range(11):
            bus.publish(log(str(number)))
        batch = await subscription.next_batch()
        lost = subscription.take_lost()
        assert lost + len(batch) == 11
        assert lost > 0
        assert batch[-1].seq == 11
        assert subscription.take_lost() == 0


def test_memory_of_a_reader_that_never_reads_is_bounded() -> None:
    subscription = Subscription(10)
    event: AnyEvent = log("x")
    for _ in range(1_000):
        subscription.offer(event)
        assert len(subscription._queue) <= 10


def test_who_left_gets_nothing(bus: Bus) -> None:
    with bus.subscribe() as subscription:
        pass
    bus.publish(log("x"))
    assert not subscription._queue


def test_listeners_hear_stamped_events(bus: Bus) -> None:
    heard: list[AnyEvent] = []
    bus.listen(heard.append)
    assert bus.publish(log("x")) is heard[0]


def test_a_snapshot_carries_the_sequence(bus: Bus) -> None:
    bus.publish(job("j"))
    snapshot = bus.snapshot()
    assert snapshot.seq == 1
    assert decode(encode(snapshot)) == snapshot
    assert isinstance(decode(encode(filled(Hello))), Hello)
    assert decode(encode(Lost(count=3))) == Lost(count=3)
