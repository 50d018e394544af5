"""The service that keeps what detectors of anomalies have learned: every hour, and when the engine ends."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

from core.engine.engine import Engine
from core.errors import TapewatchError
from core.findings import Learned

EVERY_SECONDS, LAST_SECONDS = 3_600.0, 10.0
"""How often it is kept, and how long that may take in the end."""
AT_ONCE = 50
Place = tuple[str, str]


class Learning(Protocol):
    """What learns, and what it has learned."""

    def unsaved(self) -> Sequence[Place]:
        """The series that it knows more of than was taken."""
        ...

    def take(self, place: Place) -> list[Learned]:
        """What it knows of a series now."""
        ...

    def restore(self, place: Place, learned: Sequence[Learned]) -> None:
        """Know that again."""
        ...


class Baselines:
    """What was learned of series is restored when bars of them come, that of markets when the engine begins."""

    name = "baselines"

    def __init__(self, learning: Learning) -> None:
        self._learning = learning
        self._is_restored = False

    async def run(self, engine: Engine) -> None:
        try:
            await self._restore(engine)
            while True:
                await engine.tools.clock.sleep(EVERY_SECONDS)
                await self._save(engine)
                await engine.tools.store.forget_baselines()
        except asyncio.CancelledError:
            with suppress(TapewatchError, TimeoutError):
                async with asyncio.timeout(LAST_SECONDS):
                    await self._save(engine)
            raise

    async def _restore(self, engine: Engine) -> None:
        if self._is_restored:
            return
        found: dict[Place, list[Learned]] = {}
        for learned in await engine.tools.store.baselines_of_markets():
            found.setdefault((learned.market, learned.series), []).append(learned)
        for place, of_place in found.items():
            self._learning.restore(place, of_place)
        self._is_restored = True

    async def _save(self, engine: Engine) -> None:
        """Series after series, so that others go on. What could not be written is written when more was learned."""
        unsaved = self._learning.unsaved()
        for at in range(0, len(unsaved), AT_ONCE):
            learned: list[Learned] = []
            for place in unsaved[at : at + AT_ONCE]:
                learned += self._learning.take(place)
                await asyncio.sleep(0)
            await engine.tools.store.keep_baselines(learned)
