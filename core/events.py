"""Facts that an engine publishes, and their JSON form.

The JSON objects are the protocol of the control socket and of `--output jsonl`: each has `event`
(the class's tag), `seq` (ascending within one engine) and `time` (UTC epoch seconds). Two kinds:

*states* replace what was said before under the same `key()`: the bus retains the last of each, and
the retained ones are the snapshot a late client starts from;
*facts* happened once and are not retained, apart from a ring of log lines.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

PROTOCOL = 2
RETAINED_LOG_LINES = 200
RETAINED_FINISHED_JOBS = 200
RETAINED_ALERTS = 500
RETAINED_FINISHED_JOBS_WITH_SERIES = 10  # a snapshot has to stay far below the longest line of the socket


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", omit_defaults=False):
    """Base of all events; `seq` and `time` are filled in by the bus."""

    seq: int = 0
    time: float = 0.0

    def key(self) -> str | None:
        """What this state replaces, or None for a fact."""
        return None


class JobChanged(Event, frozen=True, kw_only=True, tag="job"):
    """Everything about one job: a run of one operation.

    `state`: queued, planning, running, held, waiting (for a limit or the vendor), cancelling, and the
    final complete, complete_with_gaps, waiting_quota, failed, cancelled. `waiting` says for what and
    until when in words. `requests_planned` counts history calls, `eta_seconds` is None until known.
    """

    job: str
    run_id: str
    data_type: str
    interval: str
    label: str = ""
    state: str = "queued"
    waiting: str = ""
    created: float = 0.0
    started: float | None = None
    finished: float | None = None
    series_total: int = 0
    series_done: int = 0
    series_failed: int = 0
    windows_total: int = 0
    windows_done: int = 0
    windows_failed: int = 0
    requests_planned: int = 0
    requests: int = 0
    metadata_requests: int = 0
    retries: int = 0
    rows_fetched: int = 0
    rows_inserted: int = 0
    rows_updated: int = 0
    rows_unchanged: int = 0
    rows_quarantined: int = 0
    gaps_open: int = 0
    rows_per_second: float = 0.0
    eta_seconds: float | None = None
    last_bar: int | None = None
    error: str = ""

    @property
    def title(self) -> str:
        """What the job is about, for people: data type, interval (metadata has none), label."""
        return " ".join(filter(None, (self.data_type, self.interval, self.label)))

    def key(self) -> str:
        return f"job:{self.job}"

    @property
    def is_final(self) -> bool:
        return self.state in FINAL_STATES


FINAL_STATES = frozenset({"complete", "complete_with_gaps", "waiting_quota", "failed", "cancelled"})


class SeriesChanged(Event, frozen=True, kw_only=True, tag="series"):
    """Progress of one series within one job. `state`: waiting, running, done, failed.

    `retry_at` is when the newest window that failed is asked for again, in UTC epoch seconds; it stays when
    that has passed.
    """

    job: str
    series: str
    state: str = "waiting"
    windows_total: int = 0
    windows_done: int = 0
    windows_failed: int = 0
    rows: int = 0
    retries: int = 0
    last_bar: int | None = None
    reason: str = ""
    error: str = ""
    retry_at: float | None = None

    def key(self) -> str:
        return f"series:{self.job}:{self.series}"


class AlertChanged(Event, frozen=True, kw_only=True, tag="alert"):
    """One alert: a rule that does not hold for a source. `level`: INFO, WARNING, ERROR, CRITICAL.

    `state`: pending, firing, recovering, no_data, error, and resolved at the end, or inactive where nothing was told.
    `since` is when the condition began and `fired` when it was told, in UTC epoch seconds; `incident` names one firing
    until it is over, `sequence` counts what happened to it. `doing` says what the engine does about it and `command` is
    the next thing to try. Who acknowledged it, until when, and who silences or explains it (`inhibited_by`, another
    alert) keeps it from being told, not from being shown.
    """

    alert: str
    rule: str
    level: str
    state: str
    since: float
    message: str
    source: str = ""
    count: int = 1
    incident: str = ""
    sequence: int = 0
    value: float | None = None
    fired: float | None = None
    resolved: float | None = None
    doing: str = ""
    command: str = ""
    acked_by: str = ""
    acked_until: float | None = None
    silenced_until: float | None = None
    inhibited_by: str = ""
    is_flapping: bool = False

    def key(self) -> str:
        return f"alert:{self.alert}"

    @property
    def is_open(self) -> bool:
        """Whether it has been told and is not over."""
        return self.state in OPEN_ALERTS


OPEN_ALERTS = frozenset({"firing", "recovering", "no_data", "error"})
LEVELS = ("INFO", "WARNING", "ERROR", "CRITICAL")


class EngineSample(Event, frozen=True, kw_only=True, tag="engine"):
    """The engine process and its host, once a second. Bytes and percent (of one CPU for the engine).

    The vendor's clock is `vendor_ahead` seconds before ours: little, but a sandbox may live in another year.
    """

    cpu_percent: float
    memory_bytes: int
    host_cpu_percent: float
    host_memory_percent: float
    loop_lag_ms: float
    open_files: int
    uptime_seconds: float
    requests_per_second: float
    rows_per_second: float
    in_flight: int
    clients: int
    vendor_ahead: float = 0.0

    def key(self) -> str:
        return "engine"


class CacheSample(Event, frozen=True, kw_only=True, tag="cache"):
    """Counters of one cache tier since the engine started. Bytes are those of the values.

    `kinds`, of the first tier alone, are how lists of each data type were got: hits, misses, joined (somebody else's
    load), stale_hits, poisoned, refused (not asked for again). `errors` are operations that failed, `is_away` that the
    tier is left alone until it answers again. `latency_p50` and `latency_p99` are seconds that half and 99 % of its
    answers took at most, None before the first.
    """

    tier: str
    hits: int
    misses: int
    entries: int
    bytes: int
    evictions: int
    errors: int = 0
    is_away: bool = False
    latency_p50: float | None = None
    latency_p99: float | None = None
    kinds: dict[str, dict[str, int]] = {}

    def key(self) -> str:
        return f"cache:{self.tier}"


class QuotaWindow(msgspec.Struct, frozen=True):
    """One of the vendor's limits: `name` second ... month; `resets_at` in UTC epoch seconds."""

    name: str
    limit: int
    remaining: int
    resets_at: float


class MonthUsage(msgspec.Struct, frozen=True):
    """`calls` of ours this month, and about how many it will be by its end. Times are UTC epoch seconds, to the hour.

    `budget_at` is when `budget` will be used up as things go, `limit_at` when the vendor's month is; None is never in
    this month, or unknown.
    """

    calls: int
    forecast: int
    budget: int | None = None
    budget_at: float | None = None
    limit_at: float | None = None


class QuotaSample(Event, frozen=True, kw_only=True, tag="quota"):
    """The vendor's limits as the last answer's headers gave them, and what we did since.

    `account` is whose they are, `month` what this store knows of its calls.
    """

    windows: tuple[QuotaWindow, ...]
    account: str = ""
    month: MonthUsage | None = None

    def key(self) -> str:
        return "quota"


class ScheduleChanged(Event, frozen=True, kw_only=True, tag="schedule"):
    """One schedule of the engine. Times are UTC epoch seconds.

    `what` are its operations in words, `next_run` is None while there is none to come. `last_tick` is the newest time
    at which it was due, `last_state` what became of it: claimed, running, done, failed, skipped (`last_note` says why).
    `paused_since` is None unless it is paused, `paused_until` while the pause has no end. `is_removed`: the engine has
    it no more.
    """

    schedule: str
    cron: str
    what: str = ""
    next_run: float | None = None
    is_enabled: bool = True
    last_tick: int | None = None
    last_state: str = ""
    last_finished: float | None = None
    last_note: str = ""
    paused_since: float | None = None
    paused_until: float | None = None
    paused_by: str = ""
    comment: str = ""
    is_removed: bool = False

    def key(self) -> str:
        return f"schedule:{self.schedule}"


class WindowFailed(Event, frozen=True, kw_only=True, tag="window_failed"):
    """A window was given up. `start` and `end` in UTC epoch seconds, end exclusive."""

    job: str
    series: str
    start: int
    end: int
    attempts: int
    error: str


class RetryScheduled(Event, frozen=True, kw_only=True, tag="retry"):
    """A window is asked again after `wait` seconds."""

    job: str
    series: str
    start: int
    attempt: int
    wait: float
    error: str


class RowsQuarantined(Event, frozen=True, kw_only=True, tag="quarantined"):
    job: str
    series: str
    reason: str
    rows: int


class GapFound(Event, frozen=True, kw_only=True, tag="gap"):
    """Slots that were asked for and answered, yet are absent or rejected."""

    job: str
    series: str
    start: int
    end: int
    cause: str


CATALOG = "catalog"
STORE = "store"


class Rang(Event, frozen=True, kw_only=True, tag="bell"):
    """The channel `channel` asks whoever looks on to ring, because of an alert of that level."""

    channel: str
    level: str
    text: str


class LogLine(Event, frozen=True, kw_only=True, tag="log"):
    """`level`: debug, info, warning, error; `job` is empty when the line is about the engine.

    What the source CATALOG has to say (what is left out and why, what changed in metadata) is for people
    whatever its level.
    """

    level: str
    text: str
    source: str = ""
    job: str = ""


class RunSummary(Event, frozen=True, kw_only=True, tag="summary"):
    """How a job ended: the object that `--output json` prints, of one job or of a batch.

    `status`: complete, complete_with_gaps, waiting_quota, failed, cancelled. `planned` is what the plan
    meant to ask for, `up_to_date` counts series of which nothing was missing and lists that were fresh,
    which they are until `fresh_until`; `statistics` come with --enable_monitoring. `operations` holds the
    summaries of a batch; `exit_code` is what the error that ended it promises, if one did.
    """

    job: str = ""
    run_id: str = ""
    data_type: str = ""
    status: str = ""
    series: int = 0
    windows: int = 0
    requests: int = 0
    metadata_requests: int = 0
    retries: int = 0
    rows_fetched: int = 0
    rows_inserted: int = 0
    rows_updated: int = 0
    rows_unchanged: int = 0
    rows_quarantined: int = 0
    gaps_open: int = 0
    cache: dict[str, int] = {}
    duration_seconds: float = 0.0
    errors: list[str] = []
    interval: str = ""
    label: str = ""
    planned: dict[str, int] = {}
    up_to_date: int = 0
    fresh_until: str | None = None
    statistics: dict[str, float] = {}
    operations: list[dict[str, object]] = []
    exit_code: int | None = None

    def key(self) -> str:
        return f"summary:{self.job}"


class Hello(Event, frozen=True, kw_only=True, tag="hello"):
    """First line on the control socket."""

    protocol: int
    engine: str
    pid: int
    version: str
    store: str
    source: str
    kind: str
    read_only: bool


class Snapshot(Event, frozen=True, kw_only=True, tag="snapshot"):
    """Everything retained; a client drops what it knew and folds these in order."""

    events: tuple[AnyEvent, ...]


class Lost(Event, frozen=True, kw_only=True, tag="lost"):
    """The client was too slow: `count` events were dropped; a snapshot follows."""

    count: int


class Reply(Event, frozen=True, kw_only=True, tag="reply"):
    """Answer to a command with the same `id`; `error` is empty on success.

    `is_leaving` says that the engine refused because it ends: the next one on the store takes the same command.
    """

    id: int
    ok: bool
    error: str = ""
    is_leaving: bool = False
    result: object = None


AnyEvent = (
    JobChanged
    | SeriesChanged
    | AlertChanged
    | EngineSample
    | CacheSample
    | QuotaSample
    | ScheduleChanged
    | WindowFailed
    | RetryScheduled
    | RowsQuarantined
    | GapFound
    | LogLine
    | Rang
    | RunSummary
)
Message = AnyEvent | Hello | Snapshot | Lost | Reply

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Message] = msgspec.json.Decoder(Message)


def oldest_alert(alerts: Iterable[AlertChanged]) -> AlertChanged:
    """The one that is forgotten first where there are too many: of those that are over, the one that began first."""
    return min(alerts, key=lambda alert: (alert.is_open, alert.since))


def encode(event: Event) -> bytes:
    """One JSON object without a newline."""
    return _encoder.encode(event)


def decode(line: bytes) -> Message:
    """Raises msgspec.DecodeError (ValidationError for an unknown or ill-typed message)."""
    return _decoder.decode(line)
