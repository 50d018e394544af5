"""Three days without a receiver, and a sender that is killed a hundred times meanwhile."""

import asyncio
import statistics
from collections import Counter
from random import Random

import pytest
from delivery_kit import Received, Receiver, Sending
from engine_kit import Kit

from core.notify import worker

HOUR, OUTAGE, KILLS = 3_600.0, 72 * 3_600.0, 100
FAILPOINTS = ("notify_claim", "before_post", "after_post", "mark_sent")


class Killer:
    """Ends the sender at the next one of the failpoints that it is armed with, as kill -9 would."""

    def __init__(self, sending: Sending, monkeypatch: pytest.MonkeyPatch) -> None:
        self.kills: Counter[str] = Counter()
        self.armed = ""
        self._sending = sending
        monkeypatch.setattr(worker, "failpoint", self._reached)

    def _reached(self, name: str) -> None:
        if name == self.armed:
            self.armed = ""
            self.kills[name] += 1
            self._sending.die()
            raise asyncio.CancelledError


class World:
    """Alerts that come and go at random, a receiver, and kills at the times given."""

    def __init__(self, sending: Sending, receiver: Receiver, killer: Killer, chance: Random) -> None:
        self.sending, self.receiver, self.killer, self.chance = sending, receiver, killer, chance
        self.fired: dict[str, float] = {}
        self.open: set[tuple[str, str]] = set()

    async def live(self, seconds: float, kills: int) -> None:
        clock = self.sending.kit.clock
        end = clock.wall() + seconds
        due = sorted((clock.wall() + self.chance.uniform(0, seconds - 120) for _ in range(kills)), reverse=True)
        while clock.wall() < end:
            if due and clock.wall() >= due[-1]:
                due.pop()
                await self.kill()
            if self.chance.random() < 0.3:
                await self._happen()
            await clock.sleep(min(self.chance.expovariate(1 / 120), max(0.0, end - clock.wall())))
        for _ in due:
            await self.kill()

    async def kill(self, failpoint: str = "") -> None:
        """At a failpoint if one is reached within three minutes, else wherever it is."""
        self.killer.armed = failpoint or self.chance.choice(FAILPOINTS)
        await self._happen()
        for _ in range(180):
            if self.sending.is_dead:
                break
            await self.sending.pass_(1)
        if not self.sending.is_dead:
            self.killer.kills["anywhere"] += 1
        await self.sending.stop()
        self.killer.armed = ""
        await self.sending.start()

    async def _happen(self) -> None:
        """Something begins, or ends; the journal has it before anything else happens."""
        if self.open and self.chance.random() < 0.45:
            place = self.chance.choice(sorted(self.open))
            self.open.discard(place)
            self.sending.alerts.resolve(*place)
        else:
            place = (self.chance.choice(("ill", "mad", "slow")), f"s{len(self.fired)}")
            self.sending.fire(*place, level=self.chance.choice(("WARNING", "ERROR", "CRITICAL")))
            self.open.add(place)
            [alert] = [each for each in self.sending.alerts.open_alerts() if (each.rule, each.source) == place]
            self.fired[alert.incident] = self.sending.kit.clock.wall()
        await self.sending.write()


def judge(received: list[Received], fired: dict[str, float], recovered: float, kills: int) -> list[float]:
    """How long after the recovery each alert of the outage was told; raises when one was not, or too often."""
    first: dict[str, Received] = {}
    for each in received:
        first.setdefault(each.message.id, each)
        assert each.message == first[each.message.id].message
    assert len(received) - len(first) <= kills
    told: dict[str, list[tuple[int, str]]] = {}
    at: dict[str, float] = {}
    for each in first.values():
        for alert in each.message.alerts:
            at.setdefault(alert.incident, each.at)
            told.setdefault(alert.incident, []).append((alert.sequence, alert.state))
    assert at.keys() == fired.keys()
    for steps in told.values():
        assert steps in ([(2, "resolved")], [(1, "firing"), (2, "resolved")])
    return [at[incident] - recovered for incident, when in fired.items() if recovered - 71 * HOUR < when < recovered]


@pytest.mark.simulated
@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("seed", "is_killed_then"), [(1, False), (2, False), (3, True)])
async def test_three_days_without_a_receiver_and_a_hundred_kills(
    kit: Kit, monkeypatch: pytest.MonkeyPatch, seed: int, is_killed_then: bool
) -> None:
    print(f"seed {seed}")
    chance, receiver = Random(seed), Receiver(kit)
    sending = await Sending(kit, receiver, chance=chance).start()
    killer = Killer(sending, monkeypatch)
    world = World(sending, receiver, killer, chance)
    await world.live(HOUR, 5)
    receiver.down()
    await world.live(OUTAGE, KILLS - 25)
    receiver.fault = None
    recovered = kit.clock.wall()
    if is_killed_then:
        await world.kill("after_post")
    await sending.pass_(60)
    await world.live(2 * HOUR, 20 - is_killed_then)
    for place in sorted(world.open):
        sending.alerts.resolve(*place)
    await sending.write()
    await sending.pass_(600)
    await sending.stop()
    assert sum(killer.kills.values()) == KILLS
    assert killer.kills["after_post"] > 0
    delays = judge(receiver.received, world.fired, recovered, KILLS)
    print(f"{len(world.fired)} alerts, {len(receiver.received)} messages, kills {dict(killer.kills)}, "
          f"delays {statistics.median(delays):.0f} s, at most {max(delays):.0f} s")  # fmt: skip
    assert len(delays) > 300
    assert statistics.quantiles(delays, n=100)[-1] <= 60
    words = [word for each in receiver.received for _, word in each.words()]
    assert words.count("fired and resolved") > 0
    assert {state for _, _, state in await sending.states()} == {"sent"}
