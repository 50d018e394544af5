"""A receiver that can be down, and an engine's notifications over a real store that can be killed at any moment."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from random import Random
from typing import NamedTuple

from engine_kit import Kit

from core.alerting.book import Alerts, Channels, Escalations
from core.alerting.causes import CAUSES
from core.alerting.messages import Message
from core.alerting.routes import Route, Routes
from core.alerting.rules import Rules
from core.engine.engine import Engine
from core.errors import ChannelAway, DeliveryError
from core.events import AlertChanged
from core.notify import Plain
from core.notify.delivery import Delivery, Outlets


class Received(NamedTuple):
    """A message that arrived at `at`, in UTC epoch seconds; whether its sender learned of it is another matter."""

    at: float
    message: Message

    def words(self) -> Iterator[tuple[str, str]]:
        """What it says of which incident."""
        for item in self.message.body["data"]["alerts"]:
            yield item["incident"], item["what"]


class Receiver(Plain):
    """Takes messages unless it has a `fault`; `asked` counts the attempts."""

    def __init__(self, kit: Kit, name: str = "hook") -> None:
        self.name = name
        self.forgets = False
        self.fault: DeliveryError | Exception | None = None
        self.received: list[Received] = []
        self.kept: list[list[str]] = []
        self.asked = 0
        self._kit = kit

    async def send(self, message: Message) -> None:
        self.asked += 1
        await self._kit.clock.sleep(0.05)
        if self.fault is not None:
            raise self.fault
        self.received.append(Received(self._kit.clock.wall(), message))

    async def keep(self, alerts: list[AlertChanged]) -> None:  # type: ignore[override]
        self.kept.append([alert.alert for alert in alerts])

    def down(self) -> None:
        self.fault = ChannelAway("down")

    @property
    def subjects(self) -> list[str]:
        return [each.message.subject for each in self.received]

    def told(self) -> list[tuple[str, str]]:
        """What was said of which source, in order."""
        items = [item for each in self.received for item in each.message.body["data"]["alerts"]]
        return [(item["source"], item["what"]) for item in items]


class Sending:
    """Alerts and their delivery on some channels, over the store of `kit`; `kill` and `start` as often as wanted."""

    def __init__(
        self,
        kit: Kit,
        *receivers: Receiver,
        fallbacks: Mapping[str, str] | None = None,
        chance: Random | None = None,
        routes: Routes | None = None,
    ) -> None:
        self.kit = kit
        self.receivers = receivers
        self.routes = routes or Routes([Route(each.name) for each in receivers])
        self._fallbacks = dict(fallbacks or {})
        self._chance = (chance or Random(1)).random
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> "Sending":
        known = await self.kit.store.kept_alerts(0.0)
        self.alerts = Alerts(self.kit.bus, known, Rules(causes=CAUSES), *self._routing())
        self.tools = replace(self.kit.tools, alerts=self.alerts, chance=self._chance)
        self.engine = Engine("e", self.tools)
        self.delivery = Delivery(Outlets(self.receivers, self.routes, self._fallbacks), self.tools)
        self._task = asyncio.create_task(self.delivery.run(self.engine))
        return self

    def _routing(self) -> tuple[Channels, Escalations]:
        return self.routes.channels, self.routes.escalations

    async def again(self, seconds: float) -> None:
        """Run the delivery as it is for so long."""
        self._task = asyncio.create_task(self.delivery.run(self.engine))
        await self.pass_(seconds)
        await self.stop()

    def die(self) -> None:
        """As kill -9: nothing of it goes on."""
        assert self._task is not None
        self._task.cancel()

    async def stop(self) -> None:
        assert self._task is not None
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    @property
    def is_dead(self) -> bool:
        return self._task is None or self._task.done()

    def fire(self, rule: str, source: str, level: str = "ERROR") -> None:
        self.alerts.fire(rule, level, source, f"{source} is ill", self.kit.clock.wall())

    async def write(self) -> None:
        """As the journal does once a second."""
        changes = self.alerts.unrecorded()
        await self.kit.store.journal([], [], changes)
        self.alerts.recorded(changes)

    async def pass_(self, seconds: float) -> None:
        await self.kit.clock.sleep(seconds)

    async def states(self) -> list[tuple[str, str, str]]:
        """Channel, kind and state of all entries, in their order."""
        rows = await self.kit.query("SELECT channel, kind, state FROM outbox ORDER BY id")
        return [(channel, kind, state) for channel, kind, state in rows]
