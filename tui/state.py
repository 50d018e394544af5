"""What the dashboard knows: a frozen `ViewState`.

`now` is monotonic seconds of this process; times inside events are the engine's UTC epoch seconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from core.events import (
    FINAL_STATES,
    AlertChanged,
    CacheSample,
    EngineSample,
    Hello,
    JobChanged,
    QuotaSample,
    ScheduleChanged,
    SeriesChanged,
)
from tui.lookups import Answer, Lookup

HISTORY = 120
HISTORY_STEP = 1.0

Found = TypeVar("Found")

STALE_SECONDS = 10.0
LAG_SECONDS = 3.0


class History(NamedTuple):
    """Values a second apart for a sparkline; `at` is when the newest began."""

    at: float = 0.0
    values: tuple[float, ...] = ()

    def push(self, at: float, value: float) -> "History":
        """With `value` as the newest; within one step it replaces the last one."""
        if self.values and at - self.at < HISTORY_STEP:
            return History(self.at, (*self.values[:-1], value))
        return History(at, (*self.values, value)[-HISTORY:])


class LogEntry(NamedTuple):
    """One line of the log pane. `id` ascends without holes; `seq` is 0 for lines of our own."""

    id: int
    time: float
    level: str
    text: str
    source: str = ""
    job: str = ""
    seq: int = 0


@dataclass(frozen=True, slots=True)
class Link:
    """The way to the engine. `phase`: connecting, online, lost, refused (another protocol).

    `since` and `retry_at` are monotonic seconds; `reason` says in words why we are not online.
    """

    phase: str = "connecting"
    since: float = 0.0
    reason: str = ""
    retry_at: float | None = None


class OtherJob(JobChanged, frozen=True, kw_only=True, tag="other_job"):
    """A run of another engine on the same database, as the journal has it. What only that engine knows is left out.

    `state` may also be `interrupted`: its engine has gone. `host` and `pid` are there while the engine is known.
    """

    engine: str
    host: str = ""
    pid: int = 0
    is_at_work: bool = False

    @property
    def is_final(self) -> bool:
        return self.state == "interrupted" or self.state in FINAL_STATES

    @property
    def owner(self) -> str:
        """Its engine, in words."""
        place = f" on {self.host} (pid {self.pid})" if self.host else ""
        return f"engine {self.engine}{place}" + ("" if self.is_at_work else ", not at work any more")


class PastJob(OtherJob, frozen=True, kw_only=True, tag="past_job"):
    """A run that the journal has and no engine tells of."""


class Trouble(NamedTuple):
    """What went wrong with one series of a job, at `time`; `start` and `end` bound what of it, as far as that is known.

    `kind`: failed (given up), retry, gap or quarantine. Times are UTC epoch seconds.
    """

    time: float
    kind: str
    words: str
    start: int | None = None
    end: int | None = None


@dataclass(frozen=True, slots=True)
class ViewState:
    """Everything the screens draw from. Mappings are never changed in place.

    `fleet` has the runs of all engines on the database by run id, `fleet_trouble` says why they are not known.
    `answers` are what the store was found to hold, by the key of the question. `troubles` are by job and series,
    the newest last. `stored_ahead` is `vendor_ahead` as the store has it, for when no engine tells.
    """

    link: Link = Link()
    hello: Hello | None = None
    jobs: Mapping[str, JobChanged] = field(default_factory=dict)
    finished: tuple[str, ...] = ()
    fleet: Mapping[str, OtherJob] = field(default_factory=dict)
    fleet_trouble: str = ""
    answers: Mapping[str, Answer[Any]] = field(default_factory=dict)
    series: Mapping[str, Mapping[str, SeriesChanged]] = field(default_factory=dict)
    troubles: Mapping[tuple[str, str], tuple[Trouble, ...]] = field(default_factory=dict)
    alerts: Mapping[str, AlertChanged] = field(default_factory=dict)
    caches: Mapping[str, CacheSample] = field(default_factory=dict)
    schedules: Mapping[str, ScheduleChanged] = field(default_factory=dict)
    engine: EngineSample | None = None
    stored_ahead: float = 0.0
    quota: QuotaSample | None = None
    rates: Mapping[str, History] = field(default_factory=dict)
    hit_rates: Mapping[str, History] = field(default_factory=dict)
    vitals: Mapping[str, History] = field(default_factory=dict)
    log: tuple[LogEntry, ...] = ()
    next_log_id: int = 1
    lost: int = 0
    folded: int = 0
    heard: float | None = None

    def freshness(self, now: float) -> tuple[str, float]:
        """One of LIVE, LAG, STALE, CONNECTING, DISCONNECTED, and the age of the data in seconds."""
        data_age = max(0.0, now - self.heard) if self.heard is not None else 0.0
        if self.heard is None and self.link.phase in {"connecting", "online"}:
            return "CONNECTING", data_age
        if self.link.phase != "online":
            return "DISCONNECTED", data_age
        if data_age >= STALE_SECONDS:
            return "STALE", data_age
        return ("LAG" if data_age >= LAG_SECONDS else "LIVE"), data_age

    @property
    def listed(self) -> Mapping[str, JobChanged]:
        """Our engine's jobs by their ids, and those of others by run id: two engines may use one id."""
        ours = self.hello.engine if self.hello else ""
        others = {key: job for key, job in self.fleet.items() if job.engine != ours}
        return {**self.jobs, **others} if others else self.jobs

    def answer(self, lookup: Lookup[Found]) -> Answer[Found]:
        """What is known of that question by now."""
        return self.answers.get(lookup.key, Answer())

    @property
    def vendor_ahead(self) -> float:
        """By how many seconds the vendor's clock is before ours: as the engine says, or as the store has it."""
        return self.engine.vendor_ahead if self.engine else self.stored_ahead

    @property
    def firing(self) -> list[AlertChanged]:
        return [alert for alert in self.alerts.values() if alert.is_open]
