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
