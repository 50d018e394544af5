"""Schedules that an engine runs, on virtual time: each tick once, also when engines die, and all accounted for."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from engine_kit import NOW, Kit

from core.engine.commands import Commands
from core.engine.engine import Engine
from core.engine.scheduler import Scheduler
from core.errors import ConfigError, Rejected, StoreError
from core.events import ScheduleChanged
from core.schedule import Schedule
from core.schedule_files import make_schedules
from core.stores.lock import Holder
from core.stores.opening import is_postgres, open_store
from core.stores.tick_sql import read_ticks
from core.stores.ticks import DONE, FAILED, SKIPPED, Tick
from tests.fakes import VirtualClock, waited_for

MINUTE, HOUR = 60, 3_600
NAMES = ("BTC-USD", "ETH-USD", "SOL-USD")
STORES = pytest.mark.parametrize("store_url", ["sqlite-file", "postgres"], indirect=True)


def schedules(cron: str = "* * * * *", names: Sequence[str] = NAMES, **more: Any) -> tuple[Schedule, ...]:
    series = {"data_type": "spot_ohlcv", "market": "kraken", "instrument": list(names), "interval": "1m"}
    # With both ends named no list is needed; the end is always to come.
    table = {"cron": cron, "operation": {**series, "start": "2025-06-15T17:00", "end": "2025-08-01"}, **more}
    return make_schedules({"schedules": {"tail": table}}, Path("s.toml"))


@asynccontextmanager
async def scheduling(kit: Kit, planned: Sequence[Schedule], name: str = "e") -> AsyncIterator[Scheduler]:
    scheduler = Scheduler(planned, "host")
    kit.clock.set_wall(kit.clock.wall() + 1)  # a minute has begun for certain
    async with Engine(name, kit.tools, services=[scheduler]):
        yield scheduler


async def ticks(kit: Kit) -> list[Tick]:
    """All, the oldest first."""
    found: list[Tick] = await kit.store._db.run(lambda db: read_ticks(db, 10_000))
    return found[::-1]


@pytest.mark.slow
@pytest.mark.simulated
async def test_each_tick_runs_once_and_is_accounted_for(kit: Kit) -> None:
    async with scheduling(kit, schedules(jitter=10)):
        await kit.clock.sleep(30 * MINUTE + 30)
    new, *ran = await ticks(kit)
    # A minute that has begun has its run before it still, by its jitter.
    assert (new.tick, new.state) == (NOW - MINUTE, SKIPPED)
    assert new.note == "the schedule is new: its first run is the next"
    assert [tick.tick for tick in ran] == [NOW + at * MINUTE for at in range(31)]
    assert {tick.state for tick in ran} == {DONE}
    recorded = await kit.query("SELECT run_id FROM run")
    assert sorted(run for tick in ran for run in tick.runs) == sorted(run for (run,) in recorded)
    assert len(kit.source.history_calls()) == 31 * len(NAMES)


@pytest.mark.simulated
async def test_after_an_outage_there_is_one_run(kit: Kit) -> None:
    async with scheduling(kit, schedules()):
        await kit.clock.sleep(90)
    kit.source.log.clear()
    await kit.clock.sleep(8 * HOUR)
    async with scheduling(kit, schedules()):
        await kit.clock.sleep(20)
    assert len(kit.source.history_calls()) == len(NAMES)
    *_, last = await ticks(kit)
    assert (last.state, last.note) == (DONE, "479 ticks before it were missed")


@pytest.mark.simulated
async def test_a_tick_is_skipped_while_the_run_before_goes_on(kit: Kit) -> None:
    kit.source.latency = lambda: 100.0
    async with scheduling(kit, schedules(names=NAMES[:1])):
        await kit.clock.sleep(5 * MINUTE + 50)
    found = (await ticks(kit))[1:]
    assert [tick.state for tick in found] == [DONE, SKIPPED, DONE, SKIPPED, FAILED]
    assert found[1].note == "the run of 2025-06-15T18:01:00Z still goes on"
    assert {tick.finished is not None for tick in found} == {True}


@pytest.mark.simulated
async def test_one_tick_waits_where_it_is_to_queue(kit: Kit) -> None:
    kit.source.latency = lambda: 100.0
    async with scheduling(kit, schedules(names=NAMES[:1], overlap="queue")):
        await kit.clock.sleep(8 * MINUTE)
    found = (await ticks(kit))[1:]
    assert [tick.state for tick in found[:4]] == [DONE, DONE, DONE, SKIPPED]
    assert len(kit.source.history_calls()) >= 4
    assert kit.source.most_in_flight == 1


@pytest.mark.simulated
async def test_a_run_that_fails_is_written_down_with_its_reason(kit: Kit) -> None:
    kit.source.script = lambda _call: Rejected("there is no such thing")
    async with scheduling(kit, schedules()):
        await kit.clock.sleep(70)
    *_, last = await ticks(kit)
    assert last.state == FAILED
    assert last.note.startswith("spot_ohlcv 1m: failed: ")


@pytest.mark.simulated
async def test_what_is_stopped_with_its_engine_is_written_down(kit: Kit) -> None:
    kit.source.latency = lambda: 1_000.0
    async with scheduling(kit, schedules()):
        await kit.clock.sleep(65)
    [_, stopped] = await ticks(kit)
    assert (stopped.state, stopped.note) == (FAILED, "spot_ohlcv 1m: cancelled")


@pytest.mark.simulated
async def test_new_schedules_take_over_at_once(kit: Kit) -> None:
    async with scheduling(kit, schedules("0 0 1 1 *")) as scheduler:
        await kit.clock.sleep(1)
        scheduler.replace(schedules("*/2 * * * *", jitter=5))
        await kit.clock.sleep(4 * MINUTE + 10)
    ran = [tick.tick for tick in await ticks(kit) if tick.state == DONE]
    assert ran[-2:] == [NOW + 2 * MINUTE, NOW + 4 * MINUTE]


@pytest.mark.parametrize("jump", [HOUR, -HOUR, 24 * HOUR, -24 * HOUR, -NOW])
@pytest.mark.simulated
async def test_a_clock_that_is_set_makes_no_storm(kit: Kit, jump: float) -> None:
    async with scheduling(kit, schedules()):
        await kit.clock.sleep(5 * MINUTE + 30)
        kit.clock.set_wall(kit.clock.wall() + jump)
        await kit.clock.sleep(5 * MINUTE)
        kit.clock.set_wall(kit.clock.wall() - jump)
        await kit.clock.sleep(5 * MINUTE)
    ran = [run for tick in await ticks(kit) for run in tick.runs]
    assert len(ran) == len(set(ran)) <= 18
    assert sum(tick.state == DONE for tick in await ticks(kit)) >= 9


@pytest.mark.simulated
async def test_an_engine_that_is_about_to_end_leaves_its_tick_to_the_next(kit: Kit) -> None:
    scheduler, begin = Scheduler(schedules(), "host"), kit.store.begin_tick
    async with Engine("one", kit.tools, services=[scheduler]) as engine:

        async def begin_and_stop(*args: Any) -> bool:
            engine.stopped.set()
            return bool(await begin(*args))

        kit.store.begin_tick = begin_and_stop  # type: ignore[method-assign]
        await kit.clock.sleep(3 * MINUTE)
        assert kit.source.history_calls() == []
    kit.store.begin_tick = begin  # type: ignore[method-assign]
    async with Engine("two", kit.tools, services=[Scheduler(schedules(), "host")]):
        await kit.clock.sleep(5)
    new, left, *_ = await ticks(kit)
    assert [(each.tick, each.engine, each.state) for each in (new, left)] == [
        (NOW, "one", SKIPPED),
        (NOW + MINUTE, "two", DONE),
    ]
    assert len(kit.source.history_calls()) == len(NAMES)


class Mortal:
    """One of several engines on a database, with a vendor of its own. It dies after a step, as far as others see."""

    def __init__(self, name: str, url: str, clock: VirtualClock) -> None:
        self.name = name
        self.kit: Kit
        self.engine: Engine
        self.scheduler = Scheduler(schedules(), name)
        self.died = asyncio.Event()
        self._url = url
        self._clock = clock
        self._stop = asyncio.Event()
        self._life: asyncio.Task[None] | None = None

    async def start(self, dies_after: str = "") -> None:
        """Dies once this work has been done in the database for a tick of its own, or for its runs."""
        store = await open_store(self._url, self._clock.wall, self.name)
        # Others see by the true time of its process whether it lives.
        holder = Holder(os.getpid(), "serve", "", 1, time.time(), name=self.name, host=self.name)
        await store.enter(holder, "1")
        self.kit = Kit(waited_for(store), self._clock)  # type: ignore[arg-type]
        done = store._db.run

        async def run(work: Any, *args: Any, **kwargs: Any) -> Any:
            if self.died.is_set():
                await self._stop.wait()
                raise StoreError("dead")
            found = await done(work, *args, **kwargs)
            if dies_after and work.__name__ == dies_after and _is_of_a_run(args):
                self.died.set()
                return await run(work)
            return found

        store._db.run = run  # type: ignore[method-assign]
        self._life = asyncio.create_task(self._live())

    async def _live(self) -> None:
        async with Engine(self.name, self.kit.tools, services=[self.scheduler]) as self.engine:
            await self._stop.wait()

    async def obey(self, command: str, **args: object) -> Any:
        return await Commands(self.engine, self.scheduler).handle(command, args)

    async def end(self) -> None:
        self._stop.set()
        if self._life is not None:
            await self._life
        with suppress(StoreError):
            await self.kit.store.close()


def _is_of_a_run(args: Sequence[Any]) -> bool:
    return not (args and isinstance(args[0], Tick) and args[0].state == SKIPPED) and args[:1] != ([],)


@pytest.mark.slow
@STORES
@pytest.mark.parametrize("step", ["claim", "begin", "write_journal"])
async def test_a_tick_runs_once_though_its_engine_dies(store_url: str, step: str) -> None:
    clock = VirtualClock(NOW + 1)
    one, two = Mortal("one", store_url, clock), Mortal("two", store_url, clock)
    await one.start(dies_after=step)
    await one.died.wait()
    await two.start()
    if is_postgres(store_url):  # its leases have ended
        await two.kit.store._db.run(lambda db: db.execute("DELETE FROM engine WHERE name = 'one'"))
    await clock.sleep(4 * MINUTE + 30)
    found = await ticks(two.kit)
    recorded = await two.kit.query("SELECT run_id FROM run")
    calls = [call for each in (one, two) for call in each.kit.source.history_calls()]
    await one.end()
    await two.end()
    assert len(found) >= 4
    # Virtual time may pass while a database is opened.
    missed = sum(int(tick.note.split()[0]) for tick in found if "missed" in tick.note)
    assert len(found) + missed == (found[-1].tick - NOW) / MINUTE + 1
    assert {tick.state for tick in found[1:]} <= {DONE, FAILED}
    assert sorted(run for tick in found for run in tick.runs) == sorted(run for (run,) in recorded)
    assert len(calls) == len(NAMES) * sum(tick.state == DONE for tick in found)
    lost = [tick for tick in found if tick.state == FAILED]
    assert [tick.note for tick in lost] == ["engine one ended before its runs did"] * (step == "write_journal")


@pytest.mark.slow
async def test_of_two_engines_one_runs_each_tick(postgres_store_url: str) -> None:
    clock = VirtualClock(NOW + 1)
    engines = [Mortal(name, postgres_store_url, clock) for name in ("one", "two")]
    for each in engines:
        await each.start()
    await clock.sleep(10 * MINUTE + 30)
    found = await ticks(engines[0].kit)
    calls = [call for each in engines for call in each.kit.source.history_calls()]
    for each in engines:
        await each.end()
    ran = [tick for tick in found if tick.state == DONE]
    assert [tick.tick for tick in ran] == [NOW + at * MINUTE for at in range(1, 11)]
    assert len(calls) == 10 * len(NAMES)


# --- what people order


class Ordered:
    """One engine with schedules, and a person at its socket."""

    def __init__(self, kit: Kit, engine: Engine, scheduler: Scheduler) -> None:
        self.kit = kit
        self.scheduler = scheduler
        self._commands = Commands(engine, scheduler)

    async def obey(self, command: str, **args: object) -> Any:
        return await self._commands.handle(command, {"schedule": "tail", "by": "ann", **args})

    @property
    def told(self) -> ScheduleChanged:
        """The newest that everybody was told."""
        newest: ScheduleChanged = self.kit.said(ScheduleChanged)[-1]
        return newest


@asynccontextmanager
async def ordering(kit: Kit, planned: Sequence[Schedule], name: str = "e") -> AsyncIterator[Ordered]:
    scheduler = Scheduler(planned, "host")
    kit.clock.set_wall(kit.clock.wall() + 1)
    async with Engine(name, kit.tools, services=[scheduler]) as engine:
        await kit.clock.sleep(1)
        yield Ordered(kit, engine, scheduler)


@pytest.mark.simulated
async def test_what_is_paused_is_skipped_with_who_and_why_until_it_is_resumed(kit: Kit) -> None:
    async with ordering(kit, schedules()) as at:
        await at.obey("pause_schedule", comment="moving house")
        await kit.clock.sleep(3 * MINUTE)
        assert (at.told.paused_by, at.told.paused_until, at.told.next_run) == ("ann", None, None)
        await at.obey("resume_schedule")
        await kit.clock.sleep(MINUTE)
        assert (at.told.paused_since, at.told.last_state) == (None, DONE)
    found = (await ticks(kit))[1:]
    assert [tick.state for tick in found] == [SKIPPED] * 3 + [DONE]
    assert {tick.note for tick in found[:3]} == {"ann paused it: moving house"}
    assert len(kit.source.history_calls()) == len(NAMES)


@pytest.mark.simulated
async def test_a_pause_ends_by_itself_and_outlives_its_engine(kit: Kit) -> None:
    async with ordering(kit, schedules()) as at:
        await at.obey("pause_schedule", seconds=150)
        await kit.clock.sleep(1)
        assert at.told.next_run == NOW + 3 * MINUTE
    async with ordering(kit, schedules(), "another") as at:
        await kit.clock.sleep(4 * MINUTE)
    found = (await ticks(kit))[1:]
    assert [tick.state for tick in found[:4]] == [SKIPPED, SKIPPED, DONE, DONE]
    assert found[0].note == "ann paused it until 2025-06-15T18:02:32Z"
    assert found[0].engine == "another"


@pytest.mark.simulated
async def test_who_looks_after_a_pause_still_skips_what_it_covered(kit: Kit) -> None:
    hourly = schedules("0 * * * *")
    async with ordering(kit, hourly) as at:
        await at.obey("pause_schedule", seconds=90 * MINUTE)
    await kit.clock.sleep(100 * MINUTE)
    async with ordering(kit, hourly):
        await kit.clock.sleep(MINUTE)
    _, skipped = await ticks(kit)
    assert (skipped.tick, skipped.state) == (NOW + HOUR, SKIPPED)


@pytest.mark.slow
@pytest.mark.simulated
async def test_a_run_that_is_asked_for_begins_at_once_and_the_next_tick_comes_all_the_same(kit: Kit) -> None:
    async with ordering(kit, schedules("0 * * * *")) as at:
        answer = await at.obey("run_schedule")
        await kit.clock.sleep(MINUTE)
        assert (at.told.last_tick, at.told.last_state) == (answer["tick"], DONE)
        await kit.clock.sleep(HOUR)
    _, asked, hourly = await ticks(kit)
    assert (asked.tick, asked.state, asked.note) == (answer["tick"], DONE, "ann asked for it")
    assert (hourly.tick, hourly.state, hourly.note) == (NOW + HOUR, DONE, "")


@pytest.mark.simulated
async def test_a_run_that_is_asked_for_while_a_tick_waits_for_its_jitter_is_that_ticks(kit: Kit) -> None:
    late = schedules("*/10 * * * *", jitter=500)
    delay = late[0].delay(NOW + 10 * MINUTE)
    assert delay > 30
    async with ordering(kit, late) as at:
        await kit.clock.sleep(NOW + 10 * MINUTE + 5 - kit.clock.wall())
        assert (await at.obey("run_schedule"))["tick"] == NOW + 10 * MINUTE
        await kit.clock.sleep(9 * MINUTE)
    _, _, found = await ticks(kit)
    assert (found.tick, found.state) == (NOW + 10 * MINUTE, DONE)


@pytest.mark.simulated
async def test_a_run_is_refused_while_the_one_before_goes_on(kit: Kit) -> None:
    kit.source.latency = lambda: 100.0
    async with ordering(kit, schedules("0 * * * *")) as at:
        await at.obey("run_schedule")
        await kit.clock.sleep(2)
        assert at.told.last_state == "running"
        with pytest.raises(ConfigError, match=r"schedule tail: the run of 2025-06-15T18:00:0\dZ still goes on"):
            await at.obey("run_schedule")


@pytest.mark.simulated
async def test_a_schedule_that_is_off_or_paused_runs_when_it_is_asked_to(kit: Kit) -> None:
    async with ordering(kit, schedules("0 * * * *", enabled=False)) as at:
        assert (at.told.is_enabled, at.told.next_run) == (False, None)
        await at.obey("pause_schedule")
        await at.obey("run_schedule")
        await kit.clock.sleep(MINUTE)
    assert [tick.state for tick in await ticks(kit)] == [DONE]


ORDERS: list[tuple[str, dict[str, object], str]] = [
    ("run_schedule", {"schedule": "tale"}, "there is no schedule 'tale' in this engine; there are: tail"),
    ("pause_schedule", {"schedule": "\x1b"}, "there is no schedule '' in this engine"),
    ("pause_schedule", {"seconds": 0}, "> 0.0"),
    ("pause_schedule", {"seconds": 1e12}, "<= 31622400.0"),
    ("pause_schedule", {"by": " "}, "by: say who wants it"),
    ("resume_schedule", {}, "schedule 'tail' is not paused"),
    ("resume_schedule", {"schedule": 5}, "Expected `str`"),
]


@pytest.mark.parametrize(("command", "args", "words"), ORDERS)
@pytest.mark.simulated
async def test_orders_that_make_no_sense_are_refused_in_words(
    kit: Kit, command: str, args: dict[str, object], words: str
) -> None:
    async with ordering(kit, schedules("0 * * * *")) as at:
        with pytest.raises(ConfigError, match=words):
            await at.obey(command, **args)


async def test_an_engine_without_schedules_says_who_has_them(kit: Kit) -> None:
    async with Engine("e", kit.tools) as engine:
        with pytest.raises(ConfigError, match="tapewatch serve --schedules FILE"):
            await Commands(engine).handle("run_schedule", {"schedule": "tail", "by": "ann"})


@pytest.mark.simulated
async def test_schedules_are_told_when_they_change_and_when_they_go(kit: Kit) -> None:
    async with ordering(kit, schedules("0 * * * *")) as at:
        await kit.clock.sleep(5 * MINUTE)
        [first] = kit.said(ScheduleChanged)
        assert (first.cron, first.what, first.next_run) == ("0 * * * *", "spot_ohlcv 1m", NOW + HOUR)
        assert (first.last_state, first.last_note) == (SKIPPED, "the schedule is new: its first run is the next")
        at.scheduler.replace(())
        await kit.clock.sleep(1)
        assert at.told.is_removed
    assert len(kit.said(ScheduleChanged)) == 2


async def until_ran(kit: Kit, runs: int) -> list[Tick]:
    """Virtual time may fly past a database that is slow: as many minutes as it takes."""
    for _ in range(60):
        found = await ticks(kit)
        if sum(tick.state == DONE for tick in found) >= runs:
            break
        await kit.clock.sleep(MINUTE)
    return found


@pytest.mark.slow
async def test_a_pause_is_one_for_both_engines_on_a_database_and_a_run_is_one_engines(postgres_store_url: str) -> None:
    clock = VirtualClock(NOW + 1)
    one, two = (Mortal(name, postgres_store_url, clock) for name in ("one", "two"))
    for each in (one, two):
        await each.start()
    await clock.sleep(2)
    await one.obey("pause_schedule", schedule="tail", by="ann", comment="")
    await clock.sleep(3 * MINUTE)
    asked = await two.obey("run_schedule", schedule="tail", by="bob")
    await clock.sleep(10)
    told = [each.kit.said(ScheduleChanged)[-1] for each in (one, two)]
    await two.obey("resume_schedule", schedule="tail", by="bob")
    found = await until_ran(one.kit, 2)
    calls = [call for each in (one, two) for call in each.kit.source.history_calls()]
    for each in (one, two):
        await each.end()
    ran = [tick for tick in found if tick.state == DONE]
    assert {tick.note for tick in found[1:] if tick.state == SKIPPED} == {"ann paused it"}
    assert (ran[0].tick, ran[0].engine, ran[0].note) == (asked["tick"], "two", "bob asked for it")
    assert len(ran) >= 2
    assert 0 <= len(calls) - len(ran) * len(NAMES) <= len(NAMES), "one more may be under way"
    assert [state.paused_by for state in told] == ["ann", "ann"]
