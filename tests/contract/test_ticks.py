"""Ticks of schedules in a store: exactly one engine gets each, and what was left behind is found."""

import pytest

from core.errors import ConfigError
from core.schedule import Pause
from core.stores import RunRecord, journal_sql
from core.stores.database import Database
from core.stores.pause_sql import pause, read_pauses, resume
from core.stores.tick_sql import begin, claim, end, forget, last_ticks, read_open, read_stranded, read_ticks, take_over
from core.stores.ticks import CLAIMED, DONE, FAILED, RUNNING, SKIPPED, Tick

NOW = 1_750_010_400
RUNS = ("20250615T180000-1a2b3c4d", "20250615T180000-2a2b3c4d")


def tick(at: int = NOW, engine: str = "one", state: str = CLAIMED, schedule: str = "tail") -> Tick:
    finished = float(at) if state == SKIPPED else None
    return Tick(schedule, at, engine, "host", at + 0.5, state, (), finished, "")


def test_one_of_several_gets_it(database: Database) -> None:
    assert [claim(database, tick(engine=name)) for name in ("one", "two", "three")] == [True, False, False]
    [found] = read_ticks(database, 10)
    assert found == tick()


def test_a_claim_whose_answer_was_lost_is_known_again(database: Database) -> None:
    assert claim(database, tick())
    assert claim(database, tick())
    assert begin(database, "tail", NOW, "one", RUNS)
    assert begin(database, "tail", NOW, "one", RUNS)
    running = tick()._replace(state=RUNNING, runs=RUNS)
    assert end(database, running, DONE, "", NOW + 9)
    assert end(database, running, DONE, "", NOW + 9)


def test_a_run_begins_only_for_who_has_the_claim(database: Database) -> None:
    claim(database, tick())
    assert not begin(database, "tail", NOW, "two", RUNS)
    assert take_over(database, tick(), "two", "elsewhere", NOW + 60)
    assert not take_over(database, tick(), "three", "elsewhere", NOW + 60)
    assert not begin(database, "tail", NOW, "one", RUNS)
    assert begin(database, "tail", NOW, "two", RUNS)
    assert not begin(database, "tail", NOW, "two", ("another",))
    [found] = read_open(database, "tail")
    assert (found.engine, found.host, found.state, found.runs) == ("two", "elsewhere", RUNNING, RUNS)


def test_what_ended_stays_as_it_ended(database: Database) -> None:
    claim(database, tick()._replace(note="3 ticks before it were missed"))
    begin(database, "tail", NOW, "one", RUNS)
    assert end(database, tick(), FAILED, "it failed", NOW + 9)
    assert not end(database, tick(), DONE, "", NOW + 10)
    [found] = read_ticks(database, 10)
    assert (found.state, found.finished) == (FAILED, NOW + 9)
    assert found.note == "3 ticks before it were missed; it failed"
    assert read_open(database, "tail") == []


def test_the_last_tick_is_the_newest_that_is_not_to_come(database: Database) -> None:
    for at in (NOW - 60, NOW, NOW + 86_400):
        claim(database, tick(at, state=SKIPPED))
    assert last_ticks(database, ["tail", "other"], NOW + 30) == {"tail": tick(NOW, state=SKIPPED)}
    assert last_ticks(database, ["tail"], 0.0) == {}


def test_left_behind_is_what_nobody_at_work_has(database: Database) -> None:
    claim(database, tick())
    claim(database, tick(NOW + 60))
    begin(database, "tail", NOW + 60, "one", RUNS)
    claim(database, tick(NOW + 120, state=SKIPPED))
    record = RunRecord(RUNS[0], "one", "spot_ohlcv", "1m", "", "complete", NOW, NOW, NOW, {})
    journal_sql.write_journal(database, [record], [], [], [])
    first, second = read_stranded(database, "two")
    assert (first.tick, first.states) == (tick(), {})
    assert (second.tick.runs, second.states) == (RUNS, {RUNS[0]: "complete"})


def test_old_ticks_go_but_the_newest_of_each_schedule(database: Database) -> None:
    for at in (NOW - 200, NOW - 100, NOW):
        claim(database, tick(at, state=SKIPPED))
    claim(database, tick(NOW - 500, state=SKIPPED, schedule="yearly"))
    claim(database, tick(NOW - 300))
    forget(database, NOW - 50)
    assert [(found.schedule, found.tick) for found in read_ticks(database, 10)] == [
        ("tail", NOW),
        ("tail", NOW - 300),  # it has not ended
        ("yearly", NOW - 500),
    ]
    assert [found.tick for found in read_ticks(database, 1, "yearly")] == [NOW - 500]


PAUSED = Pause("tail", NOW + 0.5, None, "ann", "moving house")


def test_a_pause_is_kept_and_the_newest_counts(database: Database) -> None:
    assert read_pauses(database) == {}
    other = Pause("yearly", NOW, NOW + 60.0, "bob", "")
    for each in (PAUSED, other, PAUSED._replace(since=NOW + 9.0, until=NOW + 90.0)):
        pause(database, each)
    assert read_pauses(database) == {"tail": PAUSED._replace(since=NOW + 9.0, until=NOW + 90.0), "yearly": other}


def test_a_pause_that_was_ended_tells_what_it_covered(database: Database) -> None:
    pause(database, PAUSED)
    ended = resume(database, "tail", NOW + 30.0)
    assert ended == PAUSED._replace(until=NOW + 30.0) == read_pauses(database)["tail"]
    assert [ended.covers(NOW + after) for after in (0, 29, 30)] == [False, True, False]
    for name in ("tail", "none"):
        with pytest.raises(ConfigError, match=f"schedule '{name}' is not paused"):
            resume(database, name, NOW + 31.0)
