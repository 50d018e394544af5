"""What a store does for those who measure."""

from collections.abc import Sequence
from typing import Protocol

from core.census import Census
from core.history import Sample


class FigureStore(Protocol):
    """Figures over time, and about what is stored. Methods raise what those of `core.stores.Store` do."""

    async def census(self) -> Census:
        """What is stored and what is to be delivered, counted."""
        ...

    async def record(self, samples: Sequence[Sample]) -> None:
        """Add what minutes had to the history of figures."""
        ...

    async def probe(self) -> None:
        """Commit something that nobody reads: that it returns says that the store takes what is written."""
        ...
