"""The service that evaluates the rules of alerts, every few seconds for as long as an engine is there.

Figures of an engine are those of its host: of several engines there one looks at its own. Those of a store that
several engines share are one engine's at a time. What others do there, an acknowledgement or a silence, is noticed with
the next evaluation.
"""

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from core.alerting import Reading
from core.alerting.book import Alerts
from core.engine.engine import Engine
from core.engine.tools import Tools
from core.errors import TapewatchError
from core.events import LogLine
from core.stores.vitals import Vitals

EVERY_SECONDS = 15.0
DUTY = "alerts"
LATE, MEMORY, MISSED_DUTIES, MISSED = 2, 4, 3, 4
PATIENCE_SECONDS = 10.0
FORGET_SECONDS = 3_600.0


@dataclass(frozen=True, slots=True)
class Sources:
    """Where readings come from. `followed` are data types and intervals of which the store is asked.

    `own` makes those of this engine as of a time, some about its `host`, `stored` those of the store, which have the
    names `names`.
    """

    host: str
    own: Callable[[float], Sequence[Reading]]
    stored: Callable[[Vitals, float], Sequence[Reading]]
    names: Sequence[str]
    followed: Callable[[], Sequence[tuple[str, str]]] = tuple


class Evaluator:
    """Evaluates every `every` seconds, which may change; what comes late is told, and not made up for."""

    name = "alerts"

    def __init__(self, sources: Sources, every: float = EVERY_SECONDS) -> None:
        self._sources = sources
        self.every = every
        self._asking: asyncio.Task[Vitals | None] | None = None
        self._turn = asyncio.Lock()
        self._has_duty = True
        self._is_its_hosts = False
        self._forgot = 0.0
        self.evaluated: float | None = None
        """When the last evaluation ended, in monotonic seconds; None before the first."""

    async def run(self, engine: Engine) -> None:
        clock = engine.tools.clock
        due = clock.monotonic() + self.every
        if self.evaluated is None:  # who fails each time that it is started again is not alive
            self._live(engine.tools)
        try:
            while True:
                await clock.sleep(max(0.0, due - clock.monotonic()))
                late = clock.monotonic() - due
                if late > LATE * self.every:
                    text = f"the rules of alerts are evaluated {late:.0f} s late"
                    engine.tools.bus.publish(LogLine(level="warning", text=text, source=self.name))
                await self.evaluate(engine)
                due = max(due + self.every, clock.monotonic())
        finally:
            if self._asking is not None:
                self._asking.cancel()

    async def evaluate(self, engine: Engine) -> None:
        """Once, with what the store says within 10 s; without it alerts go on from memory."""
        async with self._turn:
            tools, now = engine.tools, engine.tools.clock.wall()
            own = self._sources.own(now)
            if self._is_its_hosts or not tools.store.leases.are_shared:
                await _observe(tools.alerts, own, now)
            if self._asking is None:
                self._asking = asyncio.create_task(self._ask(engine.name, tools))
            await asyncio.wait({self._asking}, timeout=PATIENCE_SECONDS)
            await self._take(tools, {each.name for each in own if each.source == self._sources.host}, now)
            self.evaluated = tools.clock.monotonic()
            self._live(tools)

    def _live(self, tools: Tools) -> None:
        tools.heartbeats.beat(self.name, MISSED * self.every)

    async def _take(self, tools: Tools, own: Collection[str], now: float) -> None:
        """What the store said, if it did: readings of the names in `own` are about hosts that have engines."""
        asking, names = self._asking, self._sources.names
        if asking is None or not asking.done():
            self._miss(tools, f"the store does not answer within {PATIENCE_SECONDS:.0f} s", now)
            return
        self._asking = None
        try:
            vitals = asking.result()
        except TapewatchError as error:
            self._miss(tools, str(error), now)
            return
        if vitals is not None:
            await _observe(tools.alerts, self._sources.stored(vitals, now), now, names)
            tools.alerts.end_others(own, vitals.hosts | {self._sources.host}, now)

    def _miss(self, tools: Tools, reason: str, now: float) -> None:
        """One alert says that the store is away: there is no need for another of each rule."""
        if self._has_duty and not tools.alerts.firing("store_unavailable"):
            tools.alerts.failed(self._sources.names, reason, now)

    async def _ask(self, engine: str, tools: Tools) -> Vitals | None:
        """None where another engine sees to the store."""
        store, now, seq = tools.store, tools.clock.wall(), tools.bus.seq
        if store.leases.are_shared:
            seconds = MISSED_DUTIES * self.every
            self._has_duty = await store.take_duty(DUTY, engine, seconds)
            self._is_its_hosts = await store.take_duty(f"{DUTY}@{self._sources.host}", engine, seconds)
            tools.alerts.adopt(await store.kept_alerts(now - MEMORY * self.every), seq)
        tools.alerts.silence(await store.silences())
        await self._forget(tools)
        return await store.vitals(self._sources.followed(), now) if self._has_duty else None

    async def _forget(self, tools: Tools) -> None:
        now = tools.clock.monotonic()
        if self._has_duty and now - self._forgot >= FORGET_SECONDS:
            self._forgot = now
            await tools.store.forget_alerts()
            await tools.store.forget_runs()


async def _observe(alerts: Alerts, readings: Sequence[Reading], now: float, complete: Collection[str] = ()) -> None:
    """Ten thousand alerts at once take a second: others have their turns between."""
    for _ in alerts.observing(readings, now, complete):
        await asyncio.sleep(0)
