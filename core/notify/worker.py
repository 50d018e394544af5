"""One channel and what waits for it: one message after the other, each until it is delivered or given up."""

import asyncio
from dataclasses import dataclass, field

from core.alerting.messages import compose, message_id
from core.engine.tools import Tools
from core.errors import ChannelAway, ChannelGone, ChannelRefused, DeliveryError
from core.events import AlertChanged, LogLine
from core.failpoints import failpoint
from core.limits import Backoff
from core.notify import Channel
from core.notify.batches import Batch, Quiet, plan
from core.notify.bucket import Bucket
from core.stores.outbox import DEAD, SENT, SUPPRESSED
from core.telemetry import NOTIFICATION, OK
from core.text import clean, counted

GIVE_UP_SECONDS = 72 * 3_600.0
# Within a minute after the receiver is back everything is told: what comes behind the first message takes a while too.
PAUSES = Backoff(base=1.0, cap=50.0)
SHORTEST_PAUSE = 0.1
FOREVER = float(2**53)


@dataclass(slots=True)
class Worker:
    """Delivers on `channel`; what is given up there goes to `fallback`, where there is one.

    A channel that is gone stays so. Who is retired delivers nothing more.
    """

    channel: Channel
    tools: Tools
    fallback: str = ""
    is_gone: bool = False
    is_retired: bool = False
    _failures: int = 0
    _batch: Batch | None = None
    _bucket: Bucket = field(default_factory=Bucket)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def turn(self, *, at_once: bool = False) -> float | None:
        """Deliver one message at most; the seconds until it is worth looking again, None when nothing is due.

        `at_once` waits neither for groups nor between their messages. Raises StoreError.
        """
        async with self._turn:
            if self.is_retired:
                return None
            batch = self._batch = self._batch or await self._next(at_once=at_once)
            return None if batch is None else await self._deliver(batch)

    async def retire(self) -> None:
        """What is being sent is waited for; what waits is left to another one."""
        async with self._turn:
            self.is_retired, self.fault = True, ""
        await self.channel.close()

    @property
    def fault(self) -> str:
        """Why the channel does not work, "" when it did the last time."""
        return self.tools.warnings.get(f"channel {self.channel.name}", "")

    @fault.setter
    def fault(self, why: str) -> None:
        name = f"channel {self.channel.name}"
        if why:
            self.tools.warnings[name] = why
        else:
            self.tools.warnings.pop(name, None)

    def forget(self) -> None:
        """What is to be sent next has to be looked up again."""
        self._batch = None

    async def _next(self, *, at_once: bool) -> Batch | None:
        store, alerts, now = self.tools.store, self.tools.alerts, self.tools.clock.wall()
        due = await store.due_entries(self.channel.name, FOREVER if at_once else now)
        if not due.entries:
            return None
        quiet = Quiet(await store.silences(), alerts.causes(now))
        planned = plan(due, quiet, now, at_once=at_once)
        for kept in planned.kept:
            if kept.until is None:
                await store.end_entries(kept.ids, SUPPRESSED, kept.why)
            else:
                await store.hold_entries(kept.ids, kept.until, kept.why)
        batch = planned.batch
        if batch is None or batch.message:
            return batch
        batch = Batch(batch.entries, message_id(batch.told))
        await store.assign_message(batch.ids, batch.message)
        return batch

    async def _deliver(self, batch: Batch) -> float:
        failpoint("notify_claim")
        clock = self.tools.clock
        await clock.sleep(self._bucket.take(clock.monotonic()))
        started, error = clock.monotonic(), await self._sent(batch)
        outcome = _outcome(error)
        self.tools.telemetry.done(NOTIFICATION, self.channel.name, outcome, clock.monotonic() - started)
        if error is not None:
            return await self._failed(batch, error)
        failpoint("after_post")
        # Who stops here would send it again.
        await asyncio.shield(self.tools.store.end_entries(batch.ids, SENT))
        failpoint("mark_sent")
        if self._failures:
            self._say("info", "messages get through again")
        self._batch, self.fault, self._failures = None, "", 0
        return 0.0

    async def _sent(self, batch: Batch) -> DeliveryError | None:
        """What came of sending it; None is success."""
        if self.is_gone:
            return ChannelGone("the channel is gone")
        failpoint("before_post")
        try:
            await self.channel.send(compose(batch.message, batch.told))
        except DeliveryError as error:
            return error
        except Exception as error:  # a plug-in boundary: what others' services raise is no reason to stop
            return ChannelAway(f"defect: {type(error).__name__}")
        return None

    async def _failed(self, batch: Batch, error: DeliveryError) -> float:
        self.fault = clean(str(error))
        ids, now = batch.ids, self.tools.clock.wall()
        if isinstance(error, ChannelAway):
            ids = [each.id for each in batch.entries if now - each.entry.not_before >= GIVE_UP_SECONDS]
            await self.tools.store.tried_entries(batch.ids, self.fault)
        if ids:
            await self._give_up(ids)
        self.is_gone = self.is_gone or isinstance(error, ChannelGone)
        if not isinstance(error, ChannelAway):
            return 0.0
        if not self._failures:
            self._say("warning", f"{self.fault}; what is to be told waits, and is sent again")
        self._failures += 1
        return max(SHORTEST_PAUSE, PAUSES.wait(self._failures, self.tools.chance()), error.retry_after)

    async def _give_up(self, ids: list[int]) -> None:
        self._batch = None
        await self.tools.store.end_entries(ids, DEAD, self.fault, self.fallback)
        where = f"; they go to {self.fallback} instead" if self.fallback else ""
        self._say("error", f"{counted(len(ids), 'notification')} given up: {self.fault}{where}")

    def _say(self, level: str, text: str) -> None:
        line = LogLine(level=level, text=f"channel {self.channel.name}: {text}", source="notifications")
        self.tools.bus.publish(line)

    async def keep(self, alerts: list[AlertChanged]) -> None:
        """Tell a channel that forgets what is open; what fails is tried again with the next round."""
        try:
            await self.channel.keep(alerts)
        except DeliveryError as error:
            self.fault = clean(str(error))
        except Exception as error:  # as for messages
            self.fault = f"defect: {type(error).__name__}"


def _outcome(error: DeliveryError | None) -> str:
    words = {ChannelAway: "away", ChannelGone: "gone", ChannelRefused: "refused"}
    return OK if error is None else words.get(type(error), "away")
