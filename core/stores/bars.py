"""Reading stored bars as columns and writing down what is suspect in them: the protocol for it."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from core.coverage import SeriesState
from core.datasets import SeriesKey
from core.findings import Bars, Finding
from core.stores.selection import Selection
from core.windows import Window


class StoredSeries(NamedTuple):
    """A series that holds closed bars, the first at `span.start`, the last before `span.end` (UTC epoch seconds)."""

    id: int
    key: SeriesKey
    span: Window


class BarStore(Protocol):
    """Methods raise the classes of `core.errors.StoreError` and nothing else."""

    async def stored(self, selection: Selection) -> list[StoredSeries]:
        """The selected series that hold closed bars, by name."""
        ...

    async def bars(self, series: StoredSeries, window: Window, columns: Sequence[str] | None = None) -> Bars:
        """The closed bars that begin in `window`, with all columns or those named."""
        ...

    async def newest_bars(self, series: SeriesState, count: int) -> Bars:
        """The newest `count` closed bars, all columns."""
        ...

    async def flag(self, series: SeriesState, findings: Sequence[Finding]) -> int:
        """Write down what quality checks found; how many findings are new and not a further sighting."""
        ...
