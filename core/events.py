"""Facts that an engine publishes, their JSON form, and the bus that carries them.

The JSON objects are the protocol of the control socket and of `--output jsonl`: each has `event`
(the class's tag), `seq` (ascending within one engine) and `time` (UTC epoch seconds). Two kinds:

*states* replace what was said before under the same `key()`: the bus retains the last of each, and
the retained ones are the snapshot a late client starts from;
*facts* happened once and are not retained, apart from a ring of log lines.

Publishing never blocks and never fails the work: a subscriber has a bounded queue and is told how
much it lost.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec

from core.failpoints import failpoint

PROTOCOL = 1
RETAINED_LOG_LINES = 200
RETAINED_FINISHED_JOBS = 200
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
    """One alert instance. `level`: INFO, WARNING, ERROR, CRITICAL; `state`: firing, resolved."""

    alert: str
    rule: str
    level: str
    state: str
    since: float
    message: str
    source: str = ""
    count: int = 1

    def key(self) -> str:
        return f"alert:{self.alert}"


class EngineSample(Event, frozen=True, kw_only=True, tag="engine"):
    """The engine process and its host, once a second. Bytes and percent (of one CPU for the engine)."""

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

    def key(self) -> str:
        return "engine"


class CacheSample(Event, frozen=True, kw_only=True, tag="cache"):
    """Counters of one cache tier since the engine started. Bytes are those of the values.

    `kinds`, of the first tier alone, are how lists of each data type were got: hits, misses, joined (somebody else's
    load), stale_hits, poisoned. `errors` are operations that failed, `is_away` that the tier is left alone until it
    answers again.
    """

    tier: str
    hits: int
    misses: int
    entries: int
    bytes: int
    evictions: int
    errors: int = 0
    is_away: bool = False
    kinds: dict[str, dict[str, int]] = {}

    def key(self) -> str:
        return f"cache:{self.tier}"


class QuotaWindow(msgspec.Struct, frozen=True):
    """One of the vendor's limits: `name` second ... month; `resets_at` in UTC epoch seconds."""

    name: str
    limit: int
    remaining: int
    resets_at: float


class QuotaSample(Event, frozen=True, kw_only=True, tag="quota"):
    """The vendor's limits as the last answer's headers gave them, and what we did since."""

    windows: tuple[QuotaWindow, ...]

    def key(self) -> str:
        return "quota"


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
    """Answer to a command with the same `id`; `error` is empty on success."""

    id: int
    ok: bool
    error: str = ""
    result: object = None


AnyEvent = (
    JobChanged
    | SeriesChanged
    | AlertChanged
    | EngineSample
    | CacheSample
    | QuotaSample
    | WindowFailed
    | RetryScheduled
    | RowsQuarantined
    | GapFound
    | LogLine
    | RunSummary
)
Message = AnyEvent | Hello | Snapshot | Lost | Reply

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Message] = msgspec.json.Decoder(Message)


def encode(event: Event) -> bytes:
    """One JSON object without a newline."""
    return _encoder.encode(event)


def decode(line: bytes) -> Message:
    """Raises msgspec.DecodeError (ValidationError for an unknown or ill-typed message)."""
    return _decoder.decode(line)


class Subscription:
    """A bounded queue of events for one reader; `lost` counts what did not fit since last asked."""

    def __init__(self, size: int) -> None:
        self._queue: deque[AnyEvent] = deque()
        self._size = size
        self._waiting = asyncio.Event()
        self._lost = 0

    def offer(self, event: AnyEvent) -> None:
        if len(self._queue) >= self._size:
            self._lost += len(self._queue)
            self._queue.clear()
        self._queue.append(event)
        self._waiting.set()

    def take_lost(self) -> int:
        lost, self._lost = self._lost, 0
        return lost

    async def next_batch(self) -> list[AnyEvent]:
        """Wait until there is something, then everything there is."""
        await self._waiting.wait()
        self._waiting.clear()
        batch = list(self._queue)
        self._queue.clear()
        return batch


class Bus:
    """Publishes events to subscribers and retains the newest state of everything."""

    def __init__(self, wall_time: Callable[[], float]) -> None:
        self._wall_time = wall_time
        self._seq = 0
        self._retained: OrderedDict[str, AnyEvent] = OrderedDict()
        self._log: deque[AnyEvent] = deque(maxlen=RETAINED_LOG_LINES)
        self._finished: deque[str] = deque()
        self._subscriptions: set[Subscription] = set()
        self._listeners: list[Callable[[AnyEvent], None]] = []

    @property
    def seq(self) -> int:
        return self._seq

    def publish(self, event: AnyEvent) -> AnyEvent:
        """Stamp `event`, retain it when it is a state, and hand it to everyone; never waits."""
        failpoint("event_publish")
        self._seq += 1
        stamped = msgspec.structs.replace(event, seq=self._seq, time=self._wall_time())
        self._retain(stamped)
        for subscription in self._subscriptions:
            subscription.offer(stamped)
        for listener in self._listeners:
            listener(stamped)
        return stamped

    def snapshot(self) -> Snapshot:
        """What a late client needs: retained states, then the last log lines."""
        return Snapshot(seq=self._seq, time=self._wall_time(), events=(*self._retained.values(), *self._log))

    @contextmanager
    def subscribe(self, size: int = 1024) -> Iterator[Subscription]:
        subscription = Subscription(size)
        self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)

    def listen(self, listener: Callable[[AnyEvent], None]) -> None:
        """Call `listener` with every event, on the publisher's stack; it must be quick and not raise."""
        self._listeners.append(listener)

    def _retain(self, event: AnyEvent) -> None:
        if isinstance(event, LogLine):
            self._log.append(event)
            return
        key = event.key()
        if key is None:
            return
        newly_final = isinstance(event, JobChanged) and event.is_final and not self._was_final(key)
        self._retained[key] = event
        if newly_final and isinstance(event, JobChanged):
            self._finished.append(event.job)
            self._forget_oldest_finished()

    def _was_final(self, key: str) -> bool:
        before = self._retained.get(key)
        return isinstance(before, JobChanged) and before.is_final

    def _forget_oldest_finished(self) -> None:
        if len(self._finished) > RETAINED_FINISHED_JOBS_WITH_SERIES:
            self._forget(f"series:{self._finished[-1 - RETAINED_FINISHED_JOBS_WITH_SERIES]}:")
        while len(self._finished) > RETAINED_FINISHED_JOBS:
            job = self._finished.popleft()
            for key in (f"job:{job}", f"summary:{job}"):
                self._retained.pop(key, None)

    def _forget(self, prefix: str) -> None:
        for key in [key for key in self._retained if key.startswith(prefix)]:
            del self._retained[key]
