"""Notifications on virtual time over a real store: what arrives, how often, when, and what is given up."""

from collections.abc import AsyncIterator
from itertools import pairwise

import pytest
from delivery_kit import Receiver, Sending
from engine_kit import NOW, Kit

from core.alerting.routes import Route, Routes
from core.alerting.silences import make_silence
from core.errors import ChannelAway, ChannelGone, ChannelRefused
from core.events import LogLine
from core.notify.delivery import Outlets
from core.notify.worker import GIVE_UP_SECONDS
from core.telemetry import Done

pytestmark = pytest.mark.simulated


@pytest.fixture
async def hook(kit: Kit) -> Receiver:
    return Receiver(kit)


@pytest.fixture
async def sending(kit: Kit, hook: Receiver) -> AsyncIterator[Sending]:
    started = await Sending(kit, hook).start()
    yield started
    await started.stop()


async def test_a_group_waits_ten_seconds_and_what_is_critical_does_not(sending: Sending, hook: Receiver) -> None:
    sending.fire("slow", "a")
    sending.fire("dead", "b", "CRITICAL")
    await sending.write()
    await sending.pass_(2)
    assert hook.told() == [("b", "fired")]
    await sending.pass_(7)
    assert len(hook.received) == 1
    await sending.pass_(3)
    assert hook.told() == [("b", "fired"), ("a", "fired")]


@pytest.mark.slow
async def test_ten_thousand_alerts_at_once_are_one_message_a_group(sending: Sending, hook: Receiver) -> None:
    for number in range(10_000):
        sending.fire("ill" if number % 2 else "mad", f"s{number}", "ERROR" if number % 4 < 2 else "WARNING")
    await sending.write()
    await sending.pass_(3_600)
    assert sorted(hook.subjects) == [
        "ERROR fired: 2,500 of ill",
        "ERROR fired: 2,500 of mad",
        "WARNING fired: 2,500 of ill",
        "WARNING fired: 2,500 of mad",
    ]
    for received in hook.received:
        assert "and 2,480 more alerts: tapewatch alerts" in received.message.text
        assert len(received.message.json) <= 20_000
        assert len(received.message.alerts) == 2_500


async def test_an_hour_of_flapping_is_three_messages_at_most(sending: Sending, hook: Receiver) -> None:
    for _ in range(60):
        sending.fire("flaps", "a")
        await sending.write()
        await sending.pass_(30)
        sending.alerts.resolve("flaps", "a")
        await sending.write()
        await sending.pass_(30)
    assert 1 <= len(hook.received) <= 3


async def test_messages_of_a_group_are_two_minutes_apart(sending: Sending, hook: Receiver) -> None:
    for number in range(6):
        sending.fire("ill", f"s{number}")
        await sending.write()
        await sending.pass_(30)
    await sending.pass_(600)
    times = [received.at - NOW for received in hook.received]
    assert len(times) == 3
    assert times[0] < 12
    assert all(after - before >= 119 for before, after in pairwise(times))


async def test_an_outage_is_told_of_once_it_is_over_each_thing_once(sending: Sending, hook: Receiver) -> None:
    hook.down()
    sending.fire("ill", "before")
    await sending.write()
    await sending.pass_(60)
    sending.fire("ill", "during")
    await sending.write()
    await sending.pass_(60)
    sending.alerts.resolve("ill", "during")
    await sending.write()
    await sending.pass_(3 * 3_600)
    assert hook.received == []
    hook.fault = None
    recovered = sending.kit.clock.wall()
    await sending.pass_(70)
    assert hook.told() == [("before", "fired"), ("during", "fired and resolved")]
    assert all(received.at - recovered <= 62 for received in hook.received)


async def test_attempts_in_an_outage_become_rarer(sending: Sending, hook: Receiver) -> None:
    hook.down()
    sending.fire("ill", "a", "CRITICAL")
    await sending.write()
    await sending.pass_(60)
    early, hook.asked = hook.asked, 0
    await sending.pass_(6_000)
    assert 4 <= early <= 20
    assert 100 <= hook.asked <= 300


async def test_a_receiver_that_names_a_time_is_left_alone_until_then(sending: Sending, hook: Receiver) -> None:
    hook.fault = ChannelAway("429", retry_after=1_800)
    sending.fire("ill", "a", "CRITICAL")
    await sending.write()
    await sending.pass_(1_795)
    assert hook.asked == 1
    hook.fault = None
    await sending.pass_(10)
    assert hook.told() == [("a", "fired")]


async def test_what_was_tried_for_too_long_goes_to_the_fallback(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    assert GIVE_UP_SECONDS == 72 * 3_600
    monkeypatch.setattr("core.notify.worker.GIVE_UP_SECONDS", 3_600.0)
    hook, spare = Receiver(kit), Receiver(kit, "spare")
    routes = Routes([Route("hook")])
    sending = await Sending(kit, hook, spare, fallbacks={"hook": "spare"}, routes=routes).start()
    hook.down()
    sending.fire("ill", "a")
    await sending.write()
    await sending.pass_(0.9 * 3_600)
    assert spare.received == []
    await sending.pass_(600)
    assert spare.told() == [("a", "fired")]
    assert await sending.states() == [("hook", "fired", "dead"), ("spare", "fired", "sent")]
    await sending.stop()


@pytest.mark.parametrize("fault", [ChannelRefused("404"), ChannelGone("410")])
async def test_what_is_refused_is_dead_at_once_and_said_in_the_log(
    sending: Sending, hook: Receiver, fault: Exception
) -> None:
    hook.fault = fault
    sending.fire("ill", "a", "CRITICAL")
    await sending.write()
    await sending.pass_(5)
    sending.fire("other", "b", "CRITICAL")
    await sending.write()
    await sending.pass_(5)
    assert [state for _, _, state in await sending.states()] == ["dead", "dead"]
    assert hook.asked == (1 if isinstance(fault, ChannelGone) else 2)
    assert sending.tools.warnings["channel hook"]
    lines = [line.text for line in sending.kit.said(LogLine) if line.level == "error"]
    assert lines[0] == f"channel hook: 1 notification given up: {fault}"


async def test_what_a_channel_raises_by_mistake_stops_nothing(sending: Sending, hook: Receiver) -> None:
    hook.fault = KeyError("token-123")
    sending.fire("ill", "a", "CRITICAL")
    await sending.write()
    await sending.pass_(3)
    hook.fault = None
    await sending.pass_(60)
    assert hook.told() == [("a", "fired")]
    assert [line.text for line in sending.kit.said(LogLine)] == [
        "channel hook: defect: KeyError; what is to be told waits, and is sent again",
        "channel hook: messages get through again",
    ]


async def test_of_one_incident_nothing_goes_before_what_came_before(sending: Sending, hook: Receiver) -> None:
    """What becomes critical within the group's wait takes along what was to be told first."""
    sending.fire("ill", "a", "WARNING")
    await sending.write()
    await sending.pass_(2)
    sending.fire("ill", "a", "CRITICAL")
    await sending.write()
    await sending.pass_(2)
    assert hook.subjects == ["CRITICAL fired: ill, a"]
    await sending.pass_(60)
    assert len(hook.received) == 1
    sending.alerts.resolve("ill", "a")
    await sending.write()
    await sending.pass_(200)
    assert hook.told() == [("a", "fired"), ("a", "resolved")]


async def test_what_is_silenced_is_told_when_the_silence_ends_and_it_is_not_over(
    sending: Sending, hook: Receiver
) -> None:
    now = sending.kit.clock.wall()
    await sending.kit.store.silence(make_silence("s", now, now + 3_600, "ann", "planned"))
    sending.fire("ill", "short")
    sending.fire("ill", "long")
    await sending.write()
    await sending.pass_(600)
    sending.alerts.resolve("ill", "short")
    await sending.write()
    await sending.pass_(2_900)
    assert hook.received == []
    await sending.pass_(200)
    assert hook.told() == [("long", "fired")]
    rows = await sending.kit.query("SELECT state, error FROM outbox WHERE state = 'suppressed'")
    assert rows == [("suppressed", "silenced by ann until 2025-06-15T19:00:00Z")] * 2


async def test_what_was_silenced_for_long_is_not_given_up_at_once(
    sending: Sending, hook: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.notify.worker.GIVE_UP_SECONDS", 3_600.0)
    now, long = sending.kit.clock.wall(), 7_200
    await sending.kit.store.silence(make_silence("s", now, now + long, "ann", "planned"))
    sending.fire("ill", "a")
    await sending.write()
    await sending.pass_(long - 60)
    hook.down()
    await sending.pass_(300)
    assert [state for *_, state in await sending.states()] == ["waiting"]
    hook.fault = None
    await sending.pass_(70)
    assert hook.told() == [("a", "fired")]
    assert sending.tools.warnings == {}


async def test_the_cause_is_told_and_what_it_explains_only_if_it_outlives_it(sending: Sending, hook: Receiver) -> None:
    sending.fire("run_failed", "a/1m")
    sending.fire("store_unavailable", "store", "CRITICAL")
    await sending.write()
    await sending.pass_(600)
    assert hook.told() == [("store", "fired")]
    sending.alerts.resolve("store_unavailable", "store")
    await sending.write()
    await sending.pass_(200)
    assert hook.told() == [("store", "fired"), ("store", "resolved"), ("a/1m", "fired")]


async def test_a_channel_that_heard_of_the_worst_hears_of_the_end(kit: Kit) -> None:
    hook, pager = Receiver(kit), Receiver(kit, "pager")
    routes = Routes([Route("hook"), Route("pager", level="CRITICAL")])
    sending = await Sending(kit, hook, pager, routes=routes).start()
    for level in ("WARNING", "CRITICAL", "WARNING"):
        sending.fire("ill", "a", level)
        await sending.write()
        await sending.pass_(300)
    sending.alerts.resolve("ill", "a")
    await sending.write()
    await sending.pass_(300)
    assert [what for _, what in pager.told()] == ["raised", "lowered", "resolved"]
    assert [what for _, what in hook.told()] == ["fired", "raised", "lowered", "resolved"]
    await sending.stop()


async def test_what_nobody_acknowledges_is_told_on_the_next_channel_once(kit: Kit) -> None:
    hook, pager = Receiver(kit), Receiver(kit, "pager")
    routes = Routes([Route("hook", escalate_after=900.0, escalate_to="pager"), Route("pager", rule="nothing")])
    sending = await Sending(kit, hook, pager, routes=routes).start()
    sending.fire("ill", "a", "ERROR")
    sending.fire("ill", "seen", "ERROR")
    await sending.write()
    await kit.store.acknowledge("ill:seen", "ann", kit.clock.wall() + 7_200)
    for _ in range(4):  # each evaluation is one of another process
        await sending.stop()
        await sending.start()
        await sending.pass_(600)
        sending.alerts.observe([], kit.clock.wall())
        await sending.write()
    await sending.pass_(60)
    assert pager.told() == [("a", "escalated")]
    assert "nobody has acknowledged it" in pager.received[0].message.text
    assert hook.told() == [("a", "fired"), ("seen", "fired")]
    for source in ("a", "seen"):
        sending.alerts.resolve("ill", source)
    await sending.write()
    await sending.pass_(300)
    assert pager.told() == [("a", "escalated"), ("a", "resolved")]
    await sending.stop()


async def test_other_channels_from_one_moment_to_the_next(sending: Sending, hook: Receiver) -> None:
    """What waits on a channel that stays is told there; what is being sent meanwhile is told once."""
    hook.down()
    sending.fire("ill", "a", "CRITICAL")
    await sending.write()
    await sending.pass_(60)
    assert hook.asked > 1
    stays, new = Receiver(sending.kit), Receiver(sending.kit, "new")
    routes = Routes([Route("hook"), Route("new")])
    await sending.delivery.replace(Outlets([stays, new], routes))
    sending.alerts.channels = routes.channels
    assert sending.tools.warnings == {}, "the fault was the old channel's"
    asked = hook.asked
    sending.fire("ill", "b", "CRITICAL")
    await sending.write()
    await sending.pass_(200)
    assert sorted(stays.told()) == [("a", "fired"), ("b", "fired")]
    assert new.told() == [("b", "fired")]
    assert hook.asked == asked
    await sending.delivery.replace(Outlets([], Routes()))
    sending.fire("ill", "c", "CRITICAL")
    await sending.write()
    await sending.pass_(200)
    assert len(stays.received) + len(new.received) == 3


async def test_a_message_that_is_being_sent_while_channels_change_is_sent_once(kit: Kit) -> None:
    hook = Receiver(kit)
    sending = await Sending(kit, hook).start()
    sending.fire("ill", "a", "CRITICAL")
    await sending.write()
    while not hook.asked:
        await sending.pass_(0.01)
    after = Receiver(kit)
    await sending.delivery.replace(Outlets([after], sending.routes))
    await sending.pass_(200)
    assert (hook.told(), after.told()) == ([("a", "fired")], [])
    assert await sending.states() == [("hook", "fired", "sent")]
    await sending.stop()


async def test_one_slow_channel_keeps_no_other_waiting(kit: Kit) -> None:
    hook, other = Receiver(kit), Receiver(kit, "other")
    sending = await Sending(kit, hook, other).start()
    hook.down()
    sending.fire("ill", "a", "CRITICAL")
    await sending.write()
    await sending.pass_(3)
    assert other.told() == [("a", "fired")]
    await sending.stop()


async def test_messages_come_five_at_once_and_then_one_a_second(sending: Sending, hook: Receiver) -> None:
    for number in range(10):
        sending.fire(f"rule{number}", "a", "CRITICAL")
    await sending.write()
    await sending.pass_(60)
    gaps = [after.at - before.at for before, after in pairwise(hook.received)]
    assert len(gaps) == 9
    assert max(gaps[:4]) < 0.1
    assert all(gap == pytest.approx(1, abs=0.1) for gap in gaps[5:])


async def test_who_ends_tells_what_waits_first_as_far_as_ten_seconds_go(kit: Kit) -> None:
    hook, stuck = Receiver(kit), Receiver(kit, "stuck")
    stuck.down()
    sending = await Sending(kit, hook, stuck).start()
    sending.fire("ill", "a")
    await sending.write()
    began = kit.clock.wall()
    await sending.delivery.drain(sending.engine)
    assert hook.told() == [("a", "fired")]
    assert kit.clock.wall() - began <= 10
    assert sorted(await sending.states()) == [("hook", "fired", "sent"), ("stuck", "fired", "waiting")]
    await sending.stop()


async def test_what_was_sent_is_told_to_those_who_measure(sending: Sending, hook: Receiver) -> None:
    heard: list[Done] = []
    sending.tools.telemetry.add(heard.append)
    hook.down()
    sending.fire("ill", "a", "CRITICAL")
    await sending.write()
    await sending.pass_(1.2)
    hook.fault = None
    await sending.pass_(60)
    told = [(each.kind, each.outcome) for each in heard if each.operation == "notification"]
    assert set(told[:-1]) == {("hook", "away")}
    assert told[-1] == ("hook", "ok")


async def test_channels_that_forget_are_told_what_is_open(sending: Sending, hook: Receiver) -> None:
    hook.forgets = True
    sending.fire("ill", "a")
    await sending.write()
    await sending.pass_(185)
    assert hook.kept == [["ill:a"]] * 3
    sending.alerts.resolve("ill", "a")
    await sending.pass_(120)
    assert len(hook.kept) == 3
