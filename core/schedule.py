"""Schedules: when which operations run by themselves, and which runs are due. Pure: time is passed in.

A *tick* is a minute that a cron line names, in UTC epoch seconds; its run begins up to `jitter` seconds later, always
the same number for the same tick. How often series are polled has nothing to do with their interval: hours may be
asked for every five minutes.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import NamedTuple

from cronsim import CronSim, CronSimError

from core.batch import Batch
from core.errors import ConfigError
from core.windows import iso

SKIP, QUEUE = "skip", "queue"
OVERLAPS = (SKIP, QUEUE)
COUNTED_MISSES = 1_500
LOOKED_AT = 200
_FORM = "write minute hour day month weekday, as in 5 * * * *"


class Cron:
    """Five fields: minute, hour, day of the month, month, day of the week, in UTC. Raises ConfigError for others."""

    def __init__(self, line: str) -> None:
        fields = line.split()
        self.line = " ".join(fields)
        if len(fields) != 5:
            raise ConfigError(f"it has {len(fields)} fields; {_FORM}")
        try:
            # Some lines, of a 30th of February, are right and never come.
            next(CronSim(self.line, datetime(2024, 1, 1, tzinfo=UTC)))
        except (CronSimError, StopIteration, ValueError) as error:
            raise ConfigError(f"{str(error) or 'it names no time'}; {_FORM}") from error

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Cron) and other.line == self.line

    def __hash__(self) -> int:
        return hash(self.line)

    def after(self, ts: float) -> Iterator[int]:
        """The ticks after that time, ascending."""
        return (int(tick.timestamp()) for tick in CronSim(self.line, _utc(ts)))

    def until(self, ts: float) -> Iterator[int]:
        """The ticks up to that time, it included, descending."""
        return (int(tick.timestamp()) for tick in CronSim(self.line, _utc(ts + 1), reverse=True))


def _utc(ts: float) -> datetime:
    return datetime.fromtimestamp(int(ts // 1), UTC)


@dataclass(frozen=True, slots=True)
class Schedule:
    """Runs `batch` at each tick of `cron`, `jitter` seconds late at most.

    `overlap` says what becomes of a tick while the run before still goes on: skip records it only, queue lets one wait.
    """

    name: str
    cron: Cron
    batch: Batch
    jitter: int = 0
    overlap: str = SKIP
    enabled: bool = True

    def delay(self, tick: int) -> int:
        """How many seconds after its tick a run begins."""
        digest = hashlib.sha256(f"{self.name} {tick}".encode()).digest()
        return int.from_bytes(digest[:8]) % (self.jitter + 1)

    def newest(self, now: float) -> int | None:
        """The newest tick whose run should have begun by `now`; None when there was none for decades."""
        return next((tick for tick in self.cron.until(now) if tick + self.delay(tick) <= now), None)

    def next_run(self, now: float) -> int:
        """When the next run after `now` begins, in UTC epoch seconds."""
        # The run of the tick before may be still to come.
        begun = next(self.cron.until(now), int(now))
        return next(at for tick in self.cron.after(begun - 1) if (at := tick + self.delay(tick)) > now)

    def cadence(self, now: float) -> int:
        """The longest time between two of the ticks that come next, in seconds."""
        return max(gaps(self.cron, now))


class Pause(NamedTuple):
    """Nothing of a schedule begins from `since` on, up to `until`; None is until it is resumed. UTC epoch seconds."""

    schedule: str
    since: float
    until: float | None
    author: str
    comment: str = ""

    def covers(self, at: float) -> bool:
        return self.since <= at and (self.until is None or at < self.until)

    @property
    def words(self) -> str:
        """Who paused it, until when and why."""
        until = f" until {iso(self.until)}" if self.until is not None else ""
        return f"{self.author} paused it{until}{f': {self.comment}' if self.comment else ''}"


def next_begin(schedule: Schedule, pause: Pause | None, now: float) -> int | None:
    """When a run begins next by itself, in UTC epoch seconds; None while it is off, or paused without an end."""
    is_paused = pause is not None and pause.covers(now)
    if not schedule.enabled or (pause is not None and is_paused and pause.until is None):
        return None
    return schedule.next_run(pause.until if pause is not None and is_paused and pause.until is not None else now)


def gaps(cron: Cron, now: float) -> list[int]:
    """The seconds between ticks that come next."""
    ticks = [tick for tick, _ in zip(cron.after(now), range(LOOKED_AT), strict=False)]
    return [later - sooner for sooner, later in pairwise(ticks)] or [366 * 86_400]


class Due(NamedTuple):
    """A run that should begin now. `missed` ticks before it had none; from COUNTED_MISSES on there may be more."""

    schedule: Schedule
    tick: int
    missed: int = 0


def due(schedules: Iterable[Schedule], last_ticks: Mapping[str, int], now: float) -> list[Due]:
    """One run at most of each schedule, the newest tick first.

    `last_ticks` are the newest ticks not after `now` that are written down, by schedule: a clock that was wrong for a
    while leaves others behind. Nothing is due of a schedule without one: it is `unseen`.
    """
    found = []
    for schedule in schedules:
        last = last_ticks.get(schedule.name)
        tick = schedule.newest(now) if schedule.enabled and last is not None else None
        if last is not None and tick is not None and tick > last:
            found.append(Due(schedule, tick, _between(schedule.cron, last, tick)))
    return sorted(found, key=lambda each: (-each.tick, each.schedule.name))


def unseen(schedules: Iterable[Schedule], last_ticks: Mapping[str, int], now: float) -> list[Due]:
    """Of new schedules the newest tick, which is over: the next one is their first."""
    return [
        Due(schedule, tick)
        for schedule in schedules
        if schedule.enabled and schedule.name not in last_ticks and (tick := schedule.newest(now)) is not None
    ]


def _between(cron: Cron, first: int, last: int) -> int:
    count = 0
    for tick in cron.after(first):
        if tick >= last or count == COUNTED_MISSES:
            break
        count += 1
    return count


def next_runs(schedules: Iterable[Schedule], now: float) -> list[tuple[int, str]]:
    """When which schedule runs next, the first first."""
    return sorted((schedule.next_run(now), schedule.name) for schedule in schedules if schedule.enabled)


def followed(schedules: Sequence[Schedule], now: float) -> dict[tuple[str, str], float]:
    """Data types and intervals that are polled, with the seconds between two polls, by the schedule that does so more
    often. A run of the past alone follows nothing."""
    found: dict[tuple[str, str], float] = {}
    for schedule in schedules:
        polled = [one for one in schedule.batch.operations if not one.is_metadata and not one.end and not one.repair]
        for one in polled if schedule.enabled else ():
            key = (one.data_type, one.interval)
            cadence = float(schedule.cadence(now) + schedule.jitter)
            found[key] = min(found.get(key, cadence), cadence)
    return found
