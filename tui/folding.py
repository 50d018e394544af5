"""The pure fold of messages into what the dashboard knows.

`reduce_many` folds a batch: it copies a mapping at most once a batch, so its cost follows the number
of messages and not the number of things known. Everything is bounded: finished jobs, alerts, log lines
and the histories behind sparklines.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from typing import Any

from core.events import (
    RETAINED_ALERTS,
    RETAINED_FINISHED_JOBS,
    RETAINED_FINISHED_JOBS_WITH_SERIES,
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
    ScheduleChanged,
    SeriesChanged,
    Snapshot,
    WindowFailed,
    oldest_alert,
)
from core.text import clean, counted
from tui import text
from tui.lookups import Answer
from tui.state import History, LogEntry, Trouble, ViewState

LOG_LINES = 2_000
LOG_LINE_LENGTH = 2_000
FINISHED_JOBS = RETAINED_FINISHED_JOBS
ALERTS = RETAINED_ALERTS
ANSWERS = 24
TROUBLED_SERIES = 2_000
TROUBLES = 30


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


def answered(
    state: ViewState, key: str, found: object, trouble: str, now: float, wanted: Collection[str] = ()
) -> ViewState:
    """With what a question found; in trouble what was found before stays.

    Only the newest answers are kept, and those that are `wanted`.
    """
    answer = replace(state.answers.get(key, Answer()), trouble=trouble) if trouble else Answer(found, now)
    newest = [*((name, known) for name, known in state.answers.items() if name != key), (key, answer)]
    kept = [(name, known) for name, known in newest[:-ANSWERS] if name in wanted]
    return replace(state, answers=dict([*kept, *newest[-ANSWERS:]]))


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
        self._handle(message)

    def _handle(self, event: Event) -> None:
        handler = _HANDLERS.get(type(event))
        if handler is not None:
            handler(self, event)

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

    def trouble(self, event: Any, kind: str, words: str, start: int | None = None, end: int | None = None) -> None:
        """Keep it with its series."""
        troubles: dict[Any, Any] = self.own("troubles")
        key = (event.job, event.series)
        trouble = Trouble(event.time, kind, clean(words, LOG_LINE_LENGTH), start, end)
        troubles[key] = (*troubles.pop(key, ()), trouble)[-TROUBLES:]
        if len(troubles) > TROUBLED_SERIES:
            del troubles[next(iter(troubles))]

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
        """As the engine's bus does: who attaches later is to know the same."""
        finished: tuple[str, ...] = self._get("finished")
        for job in finished[-1 - RETAINED_FINISHED_JOBS_WITH_SERIES : -RETAINED_FINISHED_JOBS_WITH_SERIES]:
            self._forget("series", job)
        for job in finished[:-FINISHED_JOBS]:
            for name in ("jobs", "series", "rates"):
                self._forget(name, job)
        self.put("finished", finished[-FINISHED_JOBS:])

    def _forget(self, name: str, job: str) -> None:
        self.own(name).pop(job, None)
        if name == "series":
            self._own_series.discard(job)

    def _is_long_over(self, job: str) -> bool:
        known = self._owned.get("jobs", self._state.jobs).get(job)
        newest = self._get("finished")[-RETAINED_FINISHED_JOBS_WITH_SERIES:]
        return known is not None and known.is_final and job not in newest

    def one_series(self, series: SeriesChanged) -> None:
        if not self._is_long_over(series.job):
            self.series_of(series.job)[series.series] = series

    def alert(self, alert: AlertChanged) -> None:
        alerts = self.own("alerts")
        alerts[alert.alert] = alert
        if len(alerts) > ALERTS:
            del alerts[oldest_alert(alerts.values()).alert]

    def schedule(self, schedule: ScheduleChanged) -> None:
        if schedule.is_removed:
            self.own("schedules").pop(schedule.schedule, None)
        else:
            self.own("schedules")[schedule.schedule] = schedule

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
            for name in ("rates", "hit_rates", "vitals", "troubles"):
                self._owned[name] = {}
            # Lines of the other engine stay to be read, but their seq means nothing any more.
            self.put("log", tuple(entry._replace(seq=0) for entry in self._get("log")))
        self.put("hello", hello)

    def snapshot(self, snapshot: Snapshot) -> None:
        self._forget_states()
        # Nothing up to the newest line is unknown, whether it still stands in the log or has fallen off it.
        told = max((entry.seq for entry in (*self._get("log"), *self._new_lines)), default=0)
        states = (event for event in snapshot.events if not isinstance(event, LogLine | RunSummary))
        lines = (event for event in snapshot.events if isinstance(event, LogLine | RunSummary))
        unknown = sorted((line for line in lines if not 0 < line.seq <= told), key=lambda line: line.seq)
        for event in (*states, *unknown):
            self._handle(event)
        for name in ("rates", "hit_rates"):
            keys = self.own("jobs" if name == "rates" else "caches")
            self._owned[name] = {key: value for key, value in self.own(name).items() if key in keys}

    def _forget_states(self) -> None:
        """Drop what a snapshot tells anew. Log lines and histories cannot be told again: they stay."""
        for name in ("jobs", "series", "alerts", "caches", "schedules"):
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
        why = f"after {counted(event.attempts, 'attempt')}: {event.error}"
        self.trouble(event, "failed", why, event.start, event.end)

    def retry(self, event: RetryScheduled) -> None:
        words = f"attempt {event.attempt} in {text.age(event.wait)}: {event.error}"
        self.say("warning", words, event.series, event)
        self.trouble(event, "retry", words, event.start)

    def quarantined(self, event: RowsQuarantined) -> None:
        words = f"{counted(event.rows, 'row')} in quarantine: {event.reason}"
        self.say("warning", words, event.series, event)
        self.trouble(event, "quarantine", words)

    def gap(self, event: GapFound) -> None:
        words = f"gap {text.moment(event.start)} to {text.moment(event.end)}: {event.cause}"
        self.say("warning", words, event.series, event)
        self.trouble(event, "gap", event.cause, event.start, event.end)

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
    ScheduleChanged: _Draft.schedule,
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
