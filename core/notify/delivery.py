"""The service that delivers notifications: out of the store to the channels, one engine a channel at a time.

A message is claimed before it is sent and marked as sent after its channel took it, so that one that a crash comes
between is sent again with the same id, and never not at all.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from core.alerting.incidents import is_quiet
from core.alerting.routes import Routes
from core.engine.engine import Engine
from core.engine.tools import Tools
from core.errors import DeliveryError, StoreError
from core.events import AlertChanged, AnyEvent, LogLine
from core.notify import Channel
from core.notify.post import Poster
from core.notify.worker import GIVE_UP_SECONDS, Worker
from core.text import clean
from core.windows import iso

DUTY_SECONDS, RENEW_SECONDS = 60.0, 20.0
LOOK_SECONDS, REST_SECONDS, NEWS_SECONDS = 1.0, 10.0, 15.0
MINUTE, HOUR = 60.0, 3_600.0
LATE_SECONDS = 300.0
DRAIN_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Tells `poster` each minute that alerts are looked after: silence is for its owner to notice.

    `evaluated` is how many seconds ago the rules were evaluated, None for never.
    """

    poster: Poster
    evaluated: Callable[[], float | None]


@dataclass(frozen=True, slots=True)
class Outlets:
    """Where alerts go: `channels`, what `routes` bring to each, and `fallbacks` by the name of a channel."""

    channels: Sequence[Channel]
    routes: Routes
    fallbacks: Mapping[str, str] = field(default_factory=dict)
    heartbeat: Heartbeat | None = None


class Delivery:
    """Delivers on the channels of `outlets` what was brought into the outbox.

    A channel whose duty another engine has is left to that.
    """

    name = "notifications"

    def __init__(self, outlets: Outlets, tools: Tools) -> None:
        self._tools = tools
        self._take(outlets)
        self._changed = asyncio.Event()
        self._until: dict[str, float] = {}
        self._news = -NEWS_SECONDS
        self._is_heard = True
        tools.bus.listen(self._hear)

    async def replace(self, outlets: Outlets) -> None:
        """From now on these; what is being sent is waited for, what waits goes on."""
        for worker in self.workers:
            await worker.retire()
        self._take(outlets)
        self._changed.set()

    def _take(self, outlets: Outlets) -> None:
        self._routes, self._heartbeat = outlets.routes, outlets.heartbeat
        self.workers = [
            Worker(channel, self._tools, outlets.fallbacks.get(channel.name, "")) for channel in outlets.channels
        ]

    async def run(self, engine: Engine) -> None:
        while True:
            self._changed.clear()
            async with asyncio.TaskGroup() as group:
                work = [group.create_task(each) for each in self._work_of(engine)]
                await self._changed.wait()
                for task in work:
                    task.cancel()

    def _work_of(self, engine: Engine) -> Iterator[Coroutine[Any, Any, None]]:
        """Everything that goes on for as long as the outlets are these."""
        rounds = [(MINUTE, self._keep), (HOUR, self._forget), *([(MINUTE, self._beat)] if self._heartbeat else [])]
        for seconds, work in rounds:
            yield _every(engine.tools, seconds, work)
        for worker in self.workers:
            yield self._check(worker)
            yield self._work(engine, worker)

    async def drain(self, engine: Engine, seconds: float = DRAIN_SECONDS) -> None:
        """Deliver what waits, whatever it waits for, as far as that goes in so many seconds. Raises nothing."""
        try:
            async with asyncio.timeout(seconds):
                await asyncio.gather(*(self._drain(engine, worker) for worker in self.workers))
        except (TimeoutError, StoreError) as error:
            text = f"notifications are left for the next run: {clean(str(error)) or f'{seconds:g} s were not enough'}"
            self._tools.bus.publish(LogLine(level="warning", text=text, source=self.name))

    async def close(self) -> None:
        for worker in self.workers:
            await worker.channel.close()

    async def _work(self, engine: Engine, worker: Worker) -> None:
        clock = engine.tools.clock
        while True:
            if await self._has_duty(engine, worker):
                wait = await worker.turn()
                await (self._rest() if wait is None else clock.sleep(wait))
            else:
                await clock.sleep(RENEW_SECONDS)

    def _hear(self, event: AnyEvent) -> None:
        if isinstance(event, AlertChanged):
            self._news = self._tools.clock.monotonic()

    async def _rest(self) -> None:
        """Until it is worth looking: soon while alerts of this engine change, now and then for those of others."""
        clock = self._tools.clock
        until = clock.monotonic() + REST_SECONDS
        while clock.monotonic() < until:
            await clock.sleep(LOOK_SECONDS)
            if clock.monotonic() - self._news < NEWS_SECONDS:
                return

    async def _drain(self, engine: Engine, worker: Worker) -> None:
        while await self._has_duty(engine, worker) and await worker.turn(at_once=True) == 0.0:
            pass
        if self._tools.store.leases.are_shared and self._until.pop(worker.channel.name, None) is not None:
            await self._tools.store.take_duty(self._duty(worker), engine.name, 0.0)

    async def _has_duty(self, engine: Engine, worker: Worker) -> bool:
        """Whether we are to deliver; a store that is one engine's alone has nobody else to leave it to."""
        store, now, name = engine.tools.store, engine.tools.clock.monotonic(), worker.channel.name
        if not store.leases.are_shared:
            return True
        if now >= self._until.get(name, 0.0):
            worker.forget()  # somebody else may have delivered it since
        if now >= self._until.get(name, 0.0) - DUTY_SECONDS + RENEW_SECONDS:
            has = await store.take_duty(self._duty(worker), engine.name, DUTY_SECONDS)
            self._until[name] = now + DUTY_SECONDS if has else 0.0
        return now < self._until[name]

    def _duty(self, worker: Worker) -> str:
        return f"{self.name}:{worker.channel.name}"

    async def _check(self, worker: Worker) -> None:
        try:
            await worker.channel.check()
        except DeliveryError as error:
            worker.fault = clean(str(error))
            text = f"the channel {worker.channel.name} does not work: {worker.fault}"
            self._tools.bus.publish(LogLine(level="warning", text=text, source=self.name))

    async def _keep(self) -> None:
        forgetful = [worker for worker in self.workers if worker.channel.forgets and not worker.is_gone]
        if not forgetful:
            return
        now, alerts = self._tools.clock.wall(), self._tools.alerts.open_alerts()
        told = [alert for alert in alerts if not is_quiet(_unacked(alert), now)]
        for worker in forgetful:
            if ours := [alert for alert in told if worker.channel.name in self._told_on(alert)]:
                await worker.keep(ours)

    def _told_on(self, alert: AlertChanged) -> tuple[str, ...]:
        return *self._routes.channels(alert), *self._tools.alerts.escalated(alert.alert)

    async def _forget(self) -> None:
        names = [worker.channel.name for worker in self.workers]
        await self._tools.store.forget_entries(names, self._tools.clock.wall() - GIVE_UP_SECONDS - HOUR)

    async def _beat(self) -> None:
        """Nothing while the rules are not evaluated: that is what the receiver is to notice."""
        assert self._heartbeat is not None  # noqa: S101 - it is not called without
        ago = self._heartbeat.evaluated()
        if ago is None or ago > LATE_SECONDS:
            return
        depth = sum(each.waiting for each in (await self._tools.store.outbox_depth()).values())
        body = {"evaluated": iso(self._tools.clock.wall() - ago), "outbox": depth}
        try:
            await self._heartbeat.poster.post(msgspec.json.encode(body), {})
            self._is_heard = True
        except DeliveryError as error:
            text = f"the heartbeat does not get through: {clean(str(error))}"
            if self._is_heard:
                self._tools.bus.publish(LogLine(level="warning", text=text, source=self.name))
            self._is_heard = False


def _unacked(alert: AlertChanged) -> AlertChanged:
    """Who sees to it knows of it, and it is still open."""
    return msgspec.structs.replace(alert, acked_until=None)


async def _every(tools: Tools, seconds: float, work: Callable[[], Awaitable[None]]) -> None:
    while True:
        await work()
        await tools.clock.sleep(seconds)
