"""The one clock that the engine reads; tests replace it or run on a virtual-time loop."""

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    def wall(self) -> float:
        """UTC epoch seconds, for stamps only."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back, for durations."""
        ...

    async def sleep(self, seconds: float) -> None: ...


class LoopClock:
    """Stamps from the system, durations and sleeps from the running event loop."""

    def wall(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class Stopwatch:
    """Seconds since `start`, none before it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._started: float | None = None

    def start(self) -> None:
        self._started = self._clock.monotonic()

    @property
    def seconds(self) -> float:
        return 0.0 if self._started is None else self._clock.monotonic() - self._started
