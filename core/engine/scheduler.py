"""The service that runs schedules: looks what is due, claims it in the store, submits it and writes down how it ended.

What happened is in the store alone: nothing is remembered here from one look to the next, so that a restart, another
engine or a clock that is set makes no difference.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress

import msgspec

from core.engine.engine import Engine
from core.engine.job import Job
from core.engine.schedule_states import state_of
from core.errors import ConfigError, EngineGone, TapewatchError
from core.events import LogLine, ScheduleChanged
from core.schedule import COUNTED_MISSES, QUEUE, Due, Pause, Schedule, due, followed, next_runs, unseen
from core.stores.ticks import CLAIMED, DONE, FAILED, SKIPPED, Stranded, Tick
from core.text import clean, counted
from core.windows import iso

LOOK_SECONDS, LATE_SECONDS = 20.0, 120.0
QUEUE_SECONDS = 2.0
# A claim that was left behind for longer is not made up for: newer runs have done its work.
TAKE_OVER_SECONDS = 900.0
# Who has been away for longer between a claim and its run may have been taken for dead.
SLOWEST_START = 10.0
FORGET_SECONDS = 3_600.0
GOOD_STATES = frozenset({"complete", "complete_with_gaps"})


class Scheduler:
    """Runs `schedules` until it is cancelled. `host` is where it is, for the record."""

    name = "schedules"

    def __init__(self, schedules: Sequence[Schedule], host: str) -> None:
        self.schedules = tuple(schedules)
        self._host = host
        self._changed = asyncio.Event()
        self._told: dict[str, ScheduleChanged] = {}
        self._under_way: dict[tuple[str, int], asyncio.Task[None]] = {}
        self._forgot = float("-inf")

    def replace(self, schedules: Sequence[Schedule]) -> None:
        """From now on these; runs that are under way go on."""
        self.schedules = tuple(schedules)
        self._changed.set()

    def followed(self, now: float) -> dict[tuple[str, str], float]:
        """Data types and intervals that are polled, with the seconds between polls."""
        return followed(self.schedules, now)

    async def run(self, engine: Engine) -> None:
        try:
            while True:
                self._changed.clear()
                await self.look(engine)
                await self._rest(engine)
        except asyncio.CancelledError:
            await self._leave()
            raise

    async def look(self, engine: Engine) -> None:
        """Begin what is due now, unless the engine is about to end: then it is the next one's. Raises StoreError."""
        if engine.stopped.is_set():
            return
        tools, now = engine.tools, engine.tools.clock.wall()
        tools.heartbeats.beat(self.name, LATE_SECONDS)
        for left in await tools.store.stranded_ticks(engine.name):
            if (left.tick.schedule, left.tick.tick) not in self._under_way:
                await self._take_up(engine, left, now)
        newest, pauses = await self._last_ticks(engine, now), await tools.store.pauses()
        last = {name: tick.tick for name, tick in newest.items()}
        fresh, begins = unseen(self.schedules, last, now), due(self.schedules, last, now)
        for new in fresh:
            await tools.store.claim_tick(
                self._tick(engine, new, SKIPPED, "the schedule is new: its first run is the next")
            )
        for each in begins:
            await self._begin(engine, each, pauses.get(each.schedule.name))
        self._tell(engine, await self._last_ticks(engine, now) if fresh or begins else newest, pauses)
        if now - self._forgot >= FORGET_SECONDS or now < self._forgot:
            self._forgot = now
            await tools.store.forget_ticks()

    async def _rest(self, engine: Engine) -> None:
        """Until the next run, or the next look at what others left and at a clock that may have been set."""
        now = engine.tools.clock.wall()
        wait = min([LOOK_SECONDS, *(at - now for at, _ in next_runs(self.schedules, now)[:1])])
        with suppress(TimeoutError):
            async with asyncio.timeout(max(wait, 0.0)):
                await self._changed.wait()

    async def _leave(self) -> None:
        """The engine has ended its jobs by now: how they ended is still written down."""
        if self._under_way:
            _, late = await asyncio.wait(self._under_way.values(), timeout=1.0)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def run_now(self, engine: Engine, name: str, by: str) -> Tick:
        """A run that somebody asks for, paused or not. Raises ConfigError when the run before must end first."""
        schedule, now = self._named(name), engine.tools.clock.wall()
        if hindrance := await self._hindrance(engine, schedule):
            raise ConfigError(f"schedule {name}: {hindrance}")
        at = await self._free_tick(engine, schedule, now)
        tick = self._tick(engine, Due(schedule, at), CLAIMED, f"{by} asked for it")
        if not await engine.tools.store.claim_tick(tick):
            raise ConfigError(f"schedule {name}: another run of it begins just now")
        self._say(engine, f"{name}: a run begins, {tick.note}")
        self._start(engine, schedule, tick)
        self._changed.set()
        return tick

    async def pause(self, engine: Engine, pause: Pause) -> None:
        """From now on its ticks are skipped, whichever engine on the store looks. Raises ConfigError, StoreError."""
        self._named(pause.schedule)
        await engine.tools.store.pause_schedule(pause)
        self._say(engine, f"{pause.schedule}: {pause.words}", "warning")
        self._changed.set()

    async def resume(self, engine: Engine, name: str, by: str) -> None:
        """Raises ConfigError when it is not paused, StoreError."""
        self._named(name)
        await engine.tools.store.resume_schedule(name)
        self._say(engine, f"{name}: {by} resumed it")
        self._changed.set()

    def _named(self, name: str) -> Schedule:
        found = next((schedule for schedule in self.schedules if schedule.name == name), None)
        if found is None:
            known = ", ".join(schedule.name for schedule in self.schedules) or "none"
            raise ConfigError(f"there is no schedule {clean(name)!r} in this engine; there are: {known}")
        return found

    async def _free_tick(self, engine: Engine, schedule: Schedule, now: float) -> int:
        """Which tick a run of now is of: one whose run is still to come by its jitter must not be lost."""
        last = (await self._last_ticks(engine, now)).get(schedule.name)
        pending = next(schedule.cron.until(now), None)
        is_due = schedule.enabled and last is not None and pending is not None and pending > last.tick
        return pending if is_due and pending is not None else int(now)

    async def _last_ticks(self, engine: Engine, now: float) -> dict[str, Tick]:
        return await engine.tools.store.last_ticks([schedule.name for schedule in self.schedules], now)

    def _tell(self, engine: Engine, last: Mapping[str, Tick], pauses: Mapping[str, Pause]) -> None:
        """Publish what is different from what was told before."""
        now = engine.tools.clock.wall()
        states = {each.name: state_of(each, last.get(each.name), pauses.get(each.name), now) for each in self.schedules}
        for name, state in states.items():
            if self._told.get(name) != state:
                engine.tools.bus.publish(state)
        for name in self._told.keys() - states.keys():
            engine.tools.bus.publish(msgspec.structs.replace(self._told[name], is_removed=True))
        self._told = states

    async def _hindrance(self, engine: Engine, schedule: Schedule) -> str:
        """Why no run may begin, in words: the one before still goes on, and none is to wait for it."""
        before = await engine.tools.store.open_ticks(schedule.name)
        if before and (schedule.overlap != QUEUE or len(before) > 1):
            return f"the run of {iso(before[0].tick)} still goes on"
        return ""

    async def _begin(self, engine: Engine, each: Due, pause: Pause | None) -> None:
        """Claim it, unless it is paused, or the run before still goes on and it must not wait."""
        schedule, store, now = each.schedule, engine.tools.store, engine.tools.clock.wall()
        is_paused = pause is not None and (pause.covers(each.tick + schedule.delay(each.tick)) or pause.covers(now))
        missed = _missed(each.missed)
        note = pause.words if pause is not None and is_paused else await self._hindrance(engine, schedule)
        if note:
            if await store.claim_tick(self._tick(engine, each, SKIPPED, "; ".join(filter(None, (note, missed))))):
                self._say(engine, f"{schedule.name}: skipped, {note}", "info" if is_paused else "warning")
            return
        tick = self._tick(engine, each, CLAIMED, missed)
        if await store.claim_tick(tick):
            if missed:
                self._say(engine, f"{schedule.name}: {missed}; the newest alone is made up for", "warning")
            self._start(engine, schedule, tick)

    async def _take_up(self, engine: Engine, left: Stranded, now: float) -> None:
        """What an engine that is gone left behind: it is run if it never began, else its end is written down."""
        store, tick = engine.tools.store, left.tick
        if left.states:
            ended = all(left.states.get(run) in GOOD_STATES for run in tick.runs)
            note = "" if ended else f"engine {tick.engine} ended before its runs did"
            await store.end_tick(tick, DONE if ended else FAILED, note)
            return
        schedule = next((one for one in self.schedules if one.name == tick.schedule and one.enabled), None)
        if schedule is None or abs(now - tick.claimed) > TAKE_OVER_SECONDS:
            await store.end_tick(tick, SKIPPED, f"engine {tick.engine} ended before it began")
        elif await store.take_over_tick(tick, engine.name, self._host):
            self._say(engine, f"{schedule.name}: engine {tick.engine} is gone; its run of {iso(tick.tick)} begins here")
            self._start(engine, schedule, tick._replace(engine=engine.name, host=self._host))

    def _start(self, engine: Engine, schedule: Schedule, tick: Tick) -> None:
        task, key = asyncio.create_task(self._run(engine, schedule, tick)), (tick.schedule, tick.tick)
        self._under_way[key] = task
        task.add_done_callback(lambda _: self._ended(key))

    def _ended(self, key: tuple[str, int]) -> None:
        self._under_way.pop(key)
        self._changed.set()  # how it ended is told

    async def _run(self, engine: Engine, schedule: Schedule, tick: Tick) -> None:
        """One run from its claim to its end. What the store does not take is told; the next look finds it left."""
        try:
            await self._wait_for_others(engine, tick)
            if jobs := await self._submit(engine, schedule, tick):
                await asyncio.gather(*(engine.wait(job) for job in jobs))
                await engine.tools.store.end_tick(tick, *_end_of(jobs))
        except EngineGone as gone:
            self._say(engine, f"{schedule.name}: {gone}; the next one takes its run of {iso(tick.tick)} up")
        except TapewatchError as error:
            self._say(engine, f"{schedule.name}: {clean(str(error), 400)}", "error")

    async def _wait_for_others(self, engine: Engine, tick: Tick) -> None:
        while any(other.tick < tick.tick for other in await engine.tools.store.open_ticks(tick.schedule)):
            await engine.tools.clock.sleep(QUEUE_SECONDS)

    async def _submit(self, engine: Engine, schedule: Schedule, tick: Tick) -> list[Job]:
        """Its jobs; none where another engine has taken the tick over.

        Their ids are written down before there is a job, and a job is in the journal before it asks for anything: who
        finds the tick and none of the ids there knows that nothing was asked for.
        """
        runs, started = engine.new_run_ids(len(schedule.batch.operations)), engine.tools.clock.monotonic()
        if not await engine.tools.store.begin_tick(tick.schedule, tick.tick, engine.name, runs):
            return []
        if engine.tools.clock.monotonic() - started > SLOWEST_START:
            await engine.tools.store.end_tick(tick, FAILED, "the store took too long: another engine may have begun it")
            return []
        return engine.submit_batch(schedule.batch, runs)

    def _tick(self, engine: Engine, each: Due, state: str, note: str = "") -> Tick:
        now = engine.tools.clock.wall()
        finished = now if state == SKIPPED else None
        return Tick(each.schedule.name, each.tick, engine.name, self._host, now, state, (), finished, note)

    def _say(self, engine: Engine, text: str, level: str = "info") -> None:
        engine.tools.bus.publish(LogLine(level=level, text=text, source=self.name))


def _missed(count: int) -> str:
    if not count:
        return ""
    least = "at least " if count == COUNTED_MISSES else ""
    return f"{least}{counted(count, 'tick')} before it {'was' if count == 1 else 'were'} missed"


def _end_of(jobs: Sequence[Job]) -> tuple[str, str]:
    """The state of a tick whose jobs have ended, and why where something went wrong."""
    bad = [job for job in jobs if job.state not in GOOD_STATES]
    if not bad:
        return DONE, ""
    why = bad[0].errors[0] if bad[0].errors else ""
    return FAILED, clean(f"{bad[0].operation.title}: {bad[0].state}{': ' if why else ''}{why}", 400)
