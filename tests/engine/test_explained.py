"""What a cause explains is told when it outlives the cause, and never when it was only the cause's echo."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from delivery_kit import Receiver
from engine_kit import Kit
from plant_kit import Plant

from core.alerting.routes import Route, Routes
from core.notify.delivery import Delivery, Outlets
from core.telemetry import API

pytestmark = pytest.mark.simulated
SLOT_SECONDS = 15


class Outage:
    """A plant whose calls fail, a vendor that is away, and who is told of it."""

    def __init__(self, kit: Kit) -> None:
        self.kit = kit
        self.plant = Plant(kit)
        self.hook = Receiver(kit)

    @asynccontextmanager
    async def told(self) -> AsyncIterator["Outage"]:
        routes = Routes([Route(self.hook.name)])
        self.kit.tools.alerts.channels = routes.channels
        async with self.plant.running():
            work = asyncio.create_task(Delivery(Outlets([self.hook], routes), self.kit.tools).run(self.plant.engine))
            yield self
            work.cancel()
            with suppress(asyncio.CancelledError):
                await work

    async def minutes(self, count: int, failing: int) -> None:
        """So many minutes, in which so many of 200 calls fail."""
        for _ in range(count * 60 // SLOT_SECONDS):
            self.plant.work(API, failing)
            await self.kit.clock.sleep(SLOT_SECONDS)

    async def away(self, minutes: int) -> None:
        alerts = self.kit.tools.alerts
        alerts.fire("vendor_unavailable", "CRITICAL", "coindesk", "no answer", self.kit.clock.wall())
        await self.minutes(minutes, 100)
        alerts.resolve("vendor_unavailable", "coindesk")

    @property
    def heard(self) -> list[tuple[str, str]]:
        items = [item for each in self.hook.received for item in each.message.body["data"]["alerts"]]
        return [(item["rule"], item["what"]) for item in items]


ABOUT_THE_CAUSE = [("vendor_unavailable", "fired"), ("vendor_unavailable", "resolved")]


@pytest.mark.slow
async def test_an_outage_is_one_message_and_its_end_another(kit: Kit) -> None:
    async with Outage(kit).told() as outage:
        await outage.minutes(2, 0)
        await outage.away(10)
        assert outage.plant.open["api_error_rate"] == "CRITICAL"
        await outage.minutes(1, 0)
        assert outage.plant.open["api_error_rate"] == "CRITICAL", "its five minutes are still those of the outage"
        await outage.minutes(30, 0)
        assert outage.plant.open == {}
        assert outage.heard == ABOUT_THE_CAUSE


@pytest.mark.slow
async def test_calls_that_fail_after_the_outage_too_are_told(kit: Kit) -> None:
    async with Outage(kit).told() as outage:
        await outage.away(10)
        await outage.minutes(6, 100)
        assert outage.heard == ABOUT_THE_CAUSE
        await outage.minutes(4, 100)
        assert outage.heard == [*ABOUT_THE_CAUSE, ("api_error_rate", "fired")]
        await outage.minutes(10, 0)
        assert outage.heard[-1] == ("api_error_rate", "resolved")
