"""What detectors of anomalies have learned, kept over restarts: the protocol for it."""

from collections.abc import Sequence
from typing import Protocol

from core.findings import Learned

KEPT_SECONDS = 60 * 86_400.0


class BaselineStore(Protocol):
    """The part of a store that remembers what is usual. Methods raise StoreError."""

    async def baselines(self, market: str, series: str) -> list[Learned]:
        """What was kept of a series, by detector."""
        ...

    async def baselines_of_markets(self) -> list[Learned]:
        """What was kept of markets as a whole, and of the engine's own figures."""
        ...

    async def keep_baselines(self, learned: Sequence[Learned]) -> None:
        """Keep these in place of older ones: what is stored already and knows newer bars stays."""
        ...

    async def forget_baselines(self) -> None:
        """Delete what was not written for 60 days."""
        ...
