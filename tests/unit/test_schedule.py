"""When schedules are due: every tick once, one run after an outage, and a clock that is set makes no storm."""

import random
from pathlib import Path

import pytest

from core.errors import ConfigError
from core.schedule import (
    COUNTED_MISSES,
    Cron,
    Due,
    Pause,
    Schedule,
    due,
    followed,
    next_begin,
    next_runs,
    unseen,
)
from core.schedule_files import make_schedules, read_schedules
from core.windows import parse_time

NOW = parse_time("2025-06-15T18:00:30")
MINUTE, HOUR, DAY = 60, 3_600, 86_400
WORK = {"data_type": "spot_ohlcv", "market": "kraken", "instrument": "BTC-USD", "interval": "1m"}


def schedule(cron: str = "* * * * *", name: str = "tail", **more: object) -> Schedule:
    [made] = make_schedules({"schedules": {name: {"cron": cron, "operation": WORK, **more}}}, Path("schedules.toml"))
    return made


@pytest.mark.parametrize(
    ("line", "after", "first"),
    [
        ("5 * * * *", "2025-06-15T18:00", "2025-06-15T18:05"),
        ("*/15 * * * *", "2025-06-15T18:15", "2025-06-15T18:30"),
        ("0 0 1 * *", "2025-06-15", "2025-07-01"),
        ("0 6 * * mon", "2025-06-15", "2025-06-16T06:00"),
        ("0 0 29 2 *", "2025-06-15", "2028-02-29"),
        ("30 2 30 3 *", "2025-01-01", "2025-03-30T02:30"),
    ],
)
def test_lines_name_times_in_utc(line: str, after: str, first: str) -> None:
    assert next(Cron(line).after(parse_time(after))) == parse_time(first)
    assert next(Cron(line).until(parse_time(first))) == parse_time(first)


@pytest.mark.parametrize(
    "line", ["", "* * * *", "* * * * * *", "61 * * * *", "0 0 30 2 *", "every hour or so ok", "@daily"]
)
def test_what_is_no_cron_line_is_refused_with_what_would_be(line: str) -> None:
    with pytest.raises(ConfigError, match=r"write minute hour day month weekday"):
        Cron(line)


def test_of_ticks_that_were_missed_the_newest_alone_runs() -> None:
    each = schedule("*/5 * * * *")
    last = NOW - 8 * HOUR - 30
    assert due([each], {"tail": last}, NOW) == [Due(each, NOW - 30, 8 * 12 - 1)]
    assert due([each], {"tail": NOW - 30}, NOW) == []


def test_the_newest_of_several_goes_first() -> None:
    daily, hourly = schedule("0 0 * * *", "daily"), schedule("0 * * * *", "hourly")
    found = due([daily, hourly], {"daily": NOW - 3 * DAY, "hourly": NOW - 3 * DAY}, NOW)
    assert [each.schedule.name for each in found] == ["hourly", "daily"]


def test_a_schedule_that_is_new_or_off_runs_nothing() -> None:
    assert due([schedule()], {}, NOW) == []
    assert unseen([schedule()], {}, NOW) == [Due(schedule(), NOW - 30)]
    assert unseen([schedule()], {"tail": NOW - 30}, NOW) == []
    off = schedule(enabled=False)
    assert (due([off], {"tail": NOW - DAY}, NOW), unseen([off], {}, NOW), next_runs([off], NOW)) == ([], [], [])


def test_jitter_is_the_same_for_the_same_tick_and_spreads() -> None:
    one, other = schedule("* * * * *", jitter=50), schedule("* * * * *", "other", jitter=50)
    delays = [one.delay(tick) for tick in range(0, 100 * MINUTE, MINUTE)]
    assert delays == [one.delay(tick) for tick in range(0, 100 * MINUTE, MINUTE)]
    assert 0 <= min(delays) < 10
    assert 40 < max(delays) <= 50
    assert delays != [other.delay(tick) for tick in range(0, 100 * MINUTE, MINUTE)]


def test_the_next_run_is_that_of_the_tick_before_while_its_jitter_lasts() -> None:
    each = schedule("0 * * * *", jitter=600)
    tick = NOW - 30
    begins = tick + each.delay(tick)
    assert each.next_run(begins - 1) == begins
    assert each.next_run(begins) == tick + HOUR + each.delay(tick + HOUR)


@pytest.mark.parametrize(
    ("since", "until", "begins"),
    [
        (NOW - HOUR, None, None),
        (NOW - HOUR, NOW + 2 * HOUR, "2025-06-15T20:05"),
        (NOW - HOUR, NOW, "2025-06-15T18:05"),
        (NOW + 1, None, "2025-06-15T18:05"),
    ],
    ids=["without an end", "with an end", "over", "to come"],
)
def test_what_is_paused_begins_after_its_pause(since: float, until: float | None, begins: str | None) -> None:
    pause = Pause("tail", since, until, "ann")
    assert next_begin(schedule("5 * * * *"), pause, NOW) == (parse_time(begins) if begins else None)
    assert next_begin(schedule("5 * * * *", enabled=False), pause, NOW) is None


def test_a_pause_says_who_until_when_and_why() -> None:
    assert Pause("tail", NOW, None, "ann").words == "ann paused it"
    words = "ann paused it until 2025-06-15T19:00:30Z: moving house"
    assert Pause("tail", NOW, NOW + HOUR, "ann", "moving house").words == words


def test_what_is_counted_is_bounded() -> None:
    [found] = due([schedule()], {"tail": 0}, NOW)
    assert found.missed == COUNTED_MISSES


@pytest.mark.parametrize("case", range(40))
def test_every_tick_runs_once_whatever_the_clock_does(case: int, seed: int) -> None:
    """What the scheduler does, on a table of ticks and a clock that jumps: no tick twice, no storm."""
    chance = random.Random(seed + case)
    each = schedule(
        chance.choice(["* * * * *", "*/5 * * * *", "7 * * * *", "0 0 * * *"]), jitter=chance.choice([0, 20])
    )
    table: set[int] = set()
    fired: list[int] = []
    now, looks = float(NOW), 0
    for _ in range(300):
        now += chance.choice([1, 20, 20, 20, 60, 300])
        if chance.random() < 0.05:
            now = chance.choice([now + HOUR, now - HOUR, now + DAY, now - DAY, 0.0, float(NOW), 4_102_444_800.0])
        looks += 1
        last = {each.name: max(before)} if (before := [tick for tick in table if tick <= now]) else {}
        new, found = unseen([each], last, now), due([each], last, now)
        assert len(new) + len(found) <= 1
        fired += [one.tick for one in found if one.tick not in table]
        assert all(one.tick + each.delay(one.tick) <= now for one in found)
        table |= {one.tick for one in (*new, *found)}
    assert len(fired) == len(set(fired)) <= looks


@pytest.mark.parametrize("jump", [HOUR, -HOUR, DAY, -DAY])
def test_a_clock_that_is_set_right_again_leaves_no_day_without_runs(jump: int) -> None:
    each, table, fired = schedule("*/10 * * * *"), {NOW - 30}, 0
    times = [
        NOW + jump,
        *(NOW + jump + 20 * step for step in range(90)),
        *(NOW + 1_800 + 20 * step for step in range(540)),
    ]
    for now in times:
        last = {each.name: max(before)} if (before := [tick for tick in table if tick <= now]) else {}
        new, found = unseen([each], last, now), due([each], last, now)
        fired += len([one for one in found if one.tick not in table])
        table |= {one.tick for one in (*new, *found)}
    assert 18 <= fired <= 24  # three hours, and half an hour on a wrong clock


def test_what_is_polled_how_often_is_its_own_matter() -> None:
    schedules = [schedule("*/5 * * * *"), schedule("0 * * * *", "slower", jitter=60)]
    assert followed(schedules, NOW) == {("spot_ohlcv", "1m"): 300.0}
    assert followed(schedules[1:], NOW) == {("spot_ohlcv", "1m"): 3_660.0}


def test_a_file_has_operations_or_a_batch(tmp_path: Path) -> None:
    (tmp_path / "nightly.json").write_text(
        '[{"data_type": "asset_metadata"}, {"data_type": "spot_ohlcv", "label": "own"}]'
    )
    (tmp_path / "schedules.toml").write_text("""
        [schedules.nightly]
        cron = "10 0 * * *"
        batch = "nightly.json"
        jitter = 60
        overlap = "queue"
        max_requests = 500
        [schedules.minutes]
        cron = "* * * * *"
        operations = [{data_type = ["spot_ohlcv", "futures_ohlcv"], interval = "1m"}]
        continue_on_error = true
    """)
    nightly, minutes = read_schedules(tmp_path / "schedules.toml")
    assert [(one.data_type, one.label) for one in nightly.batch.operations] == [
        ("asset_metadata", "nightly"),
        ("spot_ohlcv", "own"),
    ]
    assert (nightly.jitter, nightly.overlap, nightly.batch.max_requests) == (60, "queue", 500)
    assert [one.data_type for one in minutes.batch.operations] == ["spot_ohlcv", "futures_ohlcv"]
    assert minutes.batch.continue_on_error


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        ({}, "schedules.tail.cron: say when it runs"),
        ({"cron": "* * * * *"}, "schedules.tail.operation: write one of batch, operation, operations"),
        (
            {"cron": "* * * * *", "operation": WORK, "batch": "b.json"},
            "schedules.tail.operation: write one of batch, operation, operations, not batch and operation",
        ),
        ({"cron": "* * * *", "operation": WORK}, "schedules.tail.cron: '* * * *': it has 4 fields; write minute"),
        (
            {"cron": "* * * * *", "operation": WORK, "jiter": 3},
            "schedules.tail.jiter: there is no such key; did you mean 'jitter'?",
        ),
        (
            {"cron": "* * * * *", "operation": WORK, "jitter": 60},
            "schedules.tail.jitter: 60 s is no less than the 60 s",
        ),
        ({"cron": "* * * * *", "operation": WORK, "overlap": "both"}, "schedules.tail.overlap: Invalid enum value"),
        ({"cron": "* * * * *", "operation": {**WORK, "intervall": "1m"}}, "schedules.tail.operation.intervall: "),
        (
            {"cron": "* * * * *", "operations": [WORK, {"data_type": "spot"}]},
            "schedules.tail.operations[1].data_type: ",
        ),
        ({"cron": "* * * * *", "batch": "none.json"}, "schedules.tail.batch: none.json: there is no such file"),
    ],
)
def test_faults_name_file_schedule_and_key(table: dict[str, object], fault: str) -> None:
    with pytest.raises(ConfigError) as error:
        make_schedules({"schedules": {"tail": table}}, Path("s.toml"))
    assert f"s.toml: {fault}" in str(error.value)


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as error:
        make_schedules({"schedule": {}, "schedules": {"A": {}, "b": {"enabled": "no"}}}, Path("s.toml"))
    said = str(error.value)
    assert "s.toml: schedule: there is no such key; did you mean 'schedules'?" in said
    assert "schedules.A: write a name" in said
    assert "schedules.b.enabled: Expected `bool`" in said


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none.toml cannot be read: No such file"):
        read_schedules(tmp_path / "none.toml")
