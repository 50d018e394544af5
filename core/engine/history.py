"""The history of an engine's figures: taken four times a minute, written once a minute and at the end."""

import asyncio
from contextlib import suppress

from core.engine.engine import Engine
from core.errors import TapewatchError
from core.events import LogLine
from core.figures import Figures
from core.history import MINUTE, Recorder, Sample

LOOK_SECONDS = 15.0
MOST_UNWRITTEN = 20_000


class History:
    """A service of the engine. `recorder` is to be a hook of its telemetry, `figures` are what else is kept."""

    name = "history"

    def __init__(self, recorder: Recorder, figures: Figures) -> None:
        self.recorder = recorder
        self._figures = figures
        self._unwritten: list[Sample] = []
        self._has_warned = False

    async def run(self, engine: Engine) -> None:
        clock = engine.tools.clock
        try:
            while True:
                minute = clock.wall() // MINUTE
                while clock.wall() // MINUTE == minute:
                    await clock.sleep(min(LOOK_SECONDS, MINUTE - clock.wall() % MINUTE + 0.001))
                    self.recorder.note(self._figures())
                self._take(minute * MINUTE)
                self._warn(engine)
                await self._write(engine)
        except asyncio.CancelledError:
            self._take(clock.wall())
            with suppress(TapewatchError):
                await self._write(engine)
            raise

    def _take(self, at: float) -> None:
        self._unwritten += self.recorder.take(at)
        del self._unwritten[:-MOST_UNWRITTEN]

    async def _write(self, engine: Engine) -> None:
        """What cannot be written now is written with the next minute."""
        if self._unwritten:
            samples = list(self._unwritten)
            await engine.tools.store.record(samples)
            del self._unwritten[: len(samples)]

    def _warn(self, engine: Engine) -> None:
        if self.recorder.dropped and not self._has_warned:
            self._has_warned = True
            text = "there are more figures than the history keeps; those that came last are left out"
            engine.tools.bus.publish(LogLine(level="warning", text=text, source=self.name))
