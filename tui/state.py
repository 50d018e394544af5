"""What the dashboard knows: a frozen `ViewState`, and the pure fold of messages into it.

`reduce_many` folds a batch: it copies a mapping at most once a batch, so its cost follows the number
of messages and not the number of things known. Everything is bounded: finished jobs, alerts, log lines
and the histories behind sparklines. `now` is monotonic seconds of this process; times inside events
are the engine's UTC epoch seconds.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from core.events import (
    FINAL_STATES,
    AlertChanged,
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
    RetryScheduled,
    RowsQuarantined,
    RunSummary,
    SeriesChanged,
    Snapshot,
    WindowFailed,
)
from core.text import clean, counted
from tui import text

LOG_LINES = 2_000
LOG_LINE_LENGTH = 2_000
FINISHED_JOBS = 200
ALERTS = 500
HISTORY = 120
HISTORY_STEP = 1.0

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


@dataclass(frozen=True, slots=True)
class ViewState:
    """Everything the screens draw from. Mappings are never changed in place.

    `fleet` has the runs of all engines on the database by run id, `fleet_trouble` says why they are not known.
    """

    link: Link = Link()
    hello: Hello | None = None
    jobs: Mapping[str, JobChanged] = field(default_factory=dict)
    finished: tuple[str, ...] = ()
    fleet: Mapping[str, OtherJob] = field(default_factory=dict)
    fleet_trouble: str = ""
    series: Mapping[str, Mapping[str, SeriesChanged]] = field(default_factory=dict)
    alerts: Mapping[str, AlertChanged] = field(default_factory=dict)
    caches: Mapping[str, CacheSample] = field(default_factory=dict)
    engine: EngineSample | None = None
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

    @property
    def firing(self) -> list[AlertChanged]:
        return [alert for alert in self.alerts.values() if alert.state == "firing"]


def reduce(state: ViewState, message: Message, now: float) -> ViewState:
    """`state` after one message."""
    return reduce_many(state, (message,), now)


def reduce_many(state: ViewState, messages: Iterable[Message], now: float) -> ViewState:
    """`state` after `messages` in their order."""
    draft = _Draft(state)
    for message in messages:
        draft.fold(message)
    return draft.finish(now)


def note(state: ViewState, level: str, words: str, time: float) -> ViewState:
    """With a log line of the dashboard's own."""
    draft = _Draft(state)
    draft.say(level, words, "dashboard", None, time)
    return replace(draft.finish(None), folded=state.folded)


class _Draft:
    """A state in the making: each mapping is copied when it is first written to."""

    def __init__(self, state: ViewState) -> None:
        self._state = state
        self._owned: dict[str, dict[str, Any]] = {}
        self._single: dict[str, Any] = {}
        self._own_series: set[str] = set()
        self._new_lines: list[LogEntry] = []
        self._next_log_id = state.next_log_id
        self._folded = state.folded

    def fold(self, message: Event) -> None:
        self._folded += 1
        handler = _HANDLERS.get(type(message))
        if handler is not None:
            handler(self, message)

    def finish(self, now: float | None) -> ViewState:
        """The frozen result; `now` None leaves the age of the data as it was."""
        if self._new_lines:
            self._single["log"] = (*self._get("log"), *self._new_lines)[-LOG_LINES:]
        changes: dict[str, Any] = {**self._owned, **self._single}
        changes["heard"] = self._state.heard if now is None else now
        return replace(self._state, next_log_id=self._next_log_id, folded=self._folded, **changes)

    def say(self, level: str, words: str, source: str, event: Event | None, time: float = 0.0) -> None:
        """Append a log line, about `event` when there is one and else at `time`."""
        at, seq = (event.time, event.seq) if event is not None else (time, 0)
        job = getattr(event, "job", "")
        line = clean(words, LOG_LINE_LENGTH)
        self._new_lines.append(LogEntry(self._next_log_id, at, level, line, clean(source), job, seq))
        self._next_log_id += 1

    def own(self, name: str) -> dict[str, Any]:
        owned = self._owned.get(name)
        if owned is None:
            owned = self._owned[name] = dict(getattr(self._state, name))
        return owned

    def put(self, name: str, value: object) -> None:
        self._single[name] = value

    def _get(self, name: str) -> Any:
        return self._single.get(name, getattr(self._state, name))

    def series_of(self, job: str) -> dict[str, SeriesChanged]:
        all_series = self.own("series")
        if job not in self._own_series:
            self._own_series.add(job)
            all_series[job] = dict(all_series.get(job, {}))
        series: dict[str, SeriesChanged] = all_series[job]
        return series

    def push(self, name: str, key: str, at: float, value: float) -> None:
        histories = self.own(name)
        histories[key] = histories.get(key, History()).push(at, value)

    def job(self, job: JobChanged) -> None:
        jobs = self.own("jobs")
        before = jobs.get(job.job)
        jobs[job.job] = job
        self.push("rates", job.job, job.time, job.rows_per_second)
        if job.is_final and not (before is not None and before.is_final):
            self.put("finished", (*self._get("finished"), job.job))
            self._forget_finished()
        elif before is not None and before.is_final and not job.is_final:
            self.put("finished", tuple(key for key in self._get("finished") if key != job.job))

    def _forget_finished(self) -> None:
        finished: tuple[str, ...] = self._get("finished")
        for job in finished[:-FINISHED_JOBS]:
            self.own("jobs").pop(job, None)
        for name in ("series", "rates"):
            owned = self.own(name)
            for job in owned.keys() - self.own("jobs").keys():
                del owned[job]
                self._own_series.discard(job)
        self.put("finished", finished[-FINISHED_JOBS:])

    def one_series(self, series: SeriesChanged) -> None:
        self.series_of(series.job)[series.series] = series

    def alert(self, alert: AlertChanged) -> None:
        alerts = self.own("alerts")
        alerts[alert.alert] = alert
        if len(alerts) > ALERTS:
            oldest = min(alerts.values(), key=lambda known: (known.state == "firing", known.since))
            del alerts[oldest.alert]

    def cache(self, cache: CacheSample) -> None:
        caches = self.own("caches")
        before = caches.get(cache.tier)
        caches[cache.tier] = cache
        if before is not None:
            hits, misses = cache.hits - before.hits, cache.misses - before.misses
            if hits >= 0 and misses >= 0 and hits + misses:
                self.push("hit_rates", cache.tier, cache.time, 100.0 * hits / (hits + misses))

    def sample(self, engine: EngineSample) -> None:
        self.put("engine", engine)
        for name in VITALS:
            self.push("vitals", name, engine.time, float(getattr(engine, name)))

    def hello(self, hello: Hello) -> None:
        before = self._state.hello
        if before is not None and (before.engine, before.pid) != (hello.engine, hello.pid):
            self._forget_states()
            for name in ("rates", "hit_rates", "vitals"):
                self._owned[name] = {}
            # Lines of the other engine stay to be read, but their seq means nothing any more.
            self.put("log", tuple(entry._replace(seq=0) for entry in self._get("log")))
        self.put("hello", hello)

    def snapshot(self, snapshot: Snapshot) -> None:
        self._forget_states()
        known = {entry.seq for entry in (*self._get("log"), *self._new_lines)}
        for event in snapshot.events:
            if isinstance(event, LogLine) and event.seq and event.seq in known:
                continue
            handler = _HANDLERS.get(type(event))
            if handler is not None:
                handler(self, event)
        for name in ("rates", "hit_rates"):
            keys = self.own("jobs" if name == "rates" else "caches")
            self._owned[name] = {key: value for key, value in self.own(name).items() if key in keys}

    def _forget_states(self) -> None:
        """Drop what a snapshot tells anew. Log lines and histories cannot be told again: they stay."""
        for name in ("jobs", "series", "alerts", "caches"):
            self._owned[name] = {}
        self._own_series.clear()
        self._single.update(finished=(), engine=None, quota=None)

    def missed(self, lost: Lost) -> None:
        self.put("lost", self._get("lost") + lost.count)
        words = f"{lost.count} events were lost: this dashboard was too slow"
        self.say("warning", words, "dashboard", None, lost.time)

    def log(self, line: LogLine) -> None:
        self.say(line.level, line.text, line.source, line)

    def window_failed(self, event: WindowFailed) -> None:
        span = f"{text.moment(event.start)} to {text.moment(event.end)}"
        words = f"{span} given up after {event.attempts} attempts: {event.error}"
        self.say("error", words, event.series, event)

    def retry(self, event: RetryScheduled) -> None:
        words = f"attempt {event.attempt} in {text.age(event.wait)}: {event.error}"
        self.say("warning", words, event.series, event)

    def quarantined(self, event: RowsQuarantined) -> None:
        words = f"{counted(event.rows, 'row')} in quarantine: {event.reason}"
        self.say("warning", words, event.series, event)

    def gap(self, event: GapFound) -> None:
        words = f"gap {text.moment(event.start)} to {text.moment(event.end)}: {event.cause}"
        self.say("warning", words, event.series, event)

    def summary(self, event: RunSummary) -> None:
        words = f"job {event.job} ended: {event.status}, {counted(event.rows_inserted, 'row')} inserted"
        self.say("info", words, "engine", event)


VITALS = (
    "cpu_percent",
    "memory_bytes",
    "host_cpu_percent",
    "host_memory_percent",
    "loop_lag_ms",
    "rows_per_second",
    "requests_per_second",
)

_HANDLERS: dict[type[Event], Callable[[_Draft, Any], None]] = {
    JobChanged: _Draft.job,
    SeriesChanged: _Draft.one_series,
    AlertChanged: _Draft.alert,
    CacheSample: _Draft.cache,
    EngineSample: _Draft.sample,
    QuotaSample: lambda draft, quota: draft.put("quota", quota),
    Hello: _Draft.hello,
    Snapshot: _Draft.snapshot,
    Lost: _Draft.missed,
    LogLine: _Draft.log,
    WindowFailed: _Draft.window_failed,
    RetryScheduled: _Draft.retry,
    RowsQuarantined: _Draft.quarantined,
    GapFound: _Draft.gap,
    RunSummary: _Draft.summary,
}
