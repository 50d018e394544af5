"""The bus that carries events from who publishes them to who shows, records or judges them.

Publishing never blocks and never fails the work: a subscriber has a bounded queue and is told how
much it lost.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec

from core.events import (
    RETAINED_ALERTS,
    RETAINED_FINISHED_JOBS,
    RETAINED_FINISHED_JOBS_WITH_SERIES,
    RETAINED_LOG_LINES,
    AlertChanged,
    AnyEvent,
    JobChanged,
    LogLine,
    SeriesChanged,
    Snapshot,
    oldest_alert,
)
from core.failpoints import failpoint


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
        self._alerts: dict[str, AlertChanged] = {}
        self._finished: dict[str, None] = {}
        self._subscriptions: set[Subscription] = set()
        self._listeners: list[Callable[[AnyEvent], None]] = []

    @property
    def seq(self) -> int:
        return self._seq

    def now(self) -> float:
        """What an event that is published now is stamped with."""
        return self._wall_time()

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
        """Retained states, then the last log lines: of states a late client knows what earlier ones do."""
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
        if isinstance(event, SeriesChanged) and self._is_long_over(event.job):
            return
        if isinstance(event, JobChanged):
            self._count_finished(event, key)
        self._retained[key] = event
        if isinstance(event, AlertChanged):
            self._bound_alerts(event)

    def _count_finished(self, job: JobChanged, key: str) -> None:
        """Finished jobs stand in the order they finished in; one that goes on is none."""
        if not job.is_final:
            self._finished.pop(job.job, None)
        elif job.job not in self._finished:
            self._retained.pop(key, None)
            self._finished[job.job] = None
            self._forget_oldest_finished()

    def _forget_oldest_finished(self) -> None:
        finished = list(self._finished)
        if len(finished) > RETAINED_FINISHED_JOBS_WITH_SERIES:
            self._forget(f"series:{finished[-1 - RETAINED_FINISHED_JOBS_WITH_SERIES]}:")
        for job in finished[:-RETAINED_FINISHED_JOBS]:
            del self._finished[job]
            for key in (f"job:{job}", f"summary:{job}"):
                self._retained.pop(key, None)

    def _is_long_over(self, job: str) -> bool:
        return job in self._finished and job not in list(self._finished)[-RETAINED_FINISHED_JOBS_WITH_SERIES:]

    def _bound_alerts(self, alert: AlertChanged) -> None:
        self._alerts[alert.alert] = alert
        if len(self._alerts) > RETAINED_ALERTS:
            oldest = oldest_alert(self._alerts.values())
            del self._alerts[oldest.alert]
            self._retained.pop(oldest.key(), None)

    def _forget(self, prefix: str) -> None:
        for key in [key for key in self._retained if key.startswith(prefix)]:
            del self._retained[key]
