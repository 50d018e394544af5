"""Who delivers where several engines share a store, and the dead man's switch."""

from collections.abc import Sequence

import pytest
from delivery_kit import Receiver, Sending
from engine_kit import Kit

from core.events import LogLine
from core.notify.delivery import Delivery, Heartbeat, Outlets
from core.notify.post import Poster, PostOptions
from core.stores.leases import Unshared
from tests.fakes import RawServer, answering


class Shared(Unshared):
    are_shared = True


async def both(kit: Kit) -> tuple[Sending, Sending, Receiver, Receiver]:
    kit.store.leases = Shared()
    first, second = Receiver(kit), Receiver(kit)
    one, other = Sending(kit, first), Sending(kit, second)
    await one.start()
    await kit.clock.sleep(5)
    await other.start()
    other.engine.name = "other"
    return one, other, first, second


@pytest.mark.simulated
async def test_of_two_engines_one_delivers_and_the_other_takes_over_when_it_is_gone(kit: Kit) -> None:
    one, other, first, second = await both(kit)
    for number in range(20):
        one.fire("ill", f"s{number}", "CRITICAL")
        await one.write()
        await kit.clock.sleep(30)
    await kit.clock.sleep(180)
    assert second.asked == 0
    assert len(first.told()) == 20
    one.die()
    other.fire("mad", "later", "CRITICAL")
    await other.write()
    await kit.clock.sleep(90)
    assert second.told() == [("later", "fired")]
    await other.stop()


@pytest.mark.simulated
async def test_who_ends_leaves_the_channel_to_others_at_once(kit: Kit) -> None:
    one, other, _first, second = await both(kit)
    await one.delivery.drain(one.engine)
    await one.stop()
    await kit.clock.sleep(21)
    other.fire("ill", "a", "CRITICAL")
    await other.write()
    await kit.clock.sleep(3)
    assert second.told() == [("a", "fired")]
    await other.stop()


async def beats(kit: Kit, ago: float | None, seconds: float, *answers: str) -> Sequence[str]:
    """The requests that a heartbeat sent in so many seconds."""
    async with RawServer(*(answering(b"", status) for status in answers)) as server:
        poster = Poster(f"{server.url}/T0K3N", kit.clock, PostOptions(allow_private=True))
        sending = await Sending(kit, Receiver(kit)).start()
        sending.delivery = Delivery(
            Outlets([], sending.routes, heartbeat=Heartbeat(poster, lambda: ago)), sending.tools
        )
        await sending.stop()
        await sending.again(seconds)
        return server.heads


async def test_a_heartbeat_is_heard_each_minute(kit: Kit) -> None:
    assert len(await beats(kit, 3.0, 150, "200 OK")) == 3


@pytest.mark.parametrize("ago", [None, 301.0])
async def test_while_rules_are_not_evaluated_there_is_no_heartbeat(kit: Kit, ago: float | None) -> None:
    assert await beats(kit, ago, 150, "200 OK") == []


async def test_a_heartbeat_that_does_not_get_through_is_said_once_without_its_url(kit: Kit) -> None:
    await beats(kit, 3.0, 270, "500 X")
    [line] = [line.text for line in kit.said(LogLine) if "heartbeat" in line.text]
    assert line == "the heartbeat does not get through: the receiver answers 500"
