"""What is kept of lists of reference data: what one answer writes, what comes back, and the protocol for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from core.coverage import SeriesState
from core.datasets import SeriesKey
from core.sources import Listing, Row
from core.stores.changes import Change, Entity
from core.windows import Window


@dataclass(frozen=True, slots=True)
class ListingCommit:
    """One answered list, written in one transaction or not at all.

    A full list that lost more than half of what it had is believed only when `is_trusted`.
    """

    series: SeriesState
    source: str
    listing: Listing
    run_id: str = ""
    is_trusted: bool = False


class Recorded(NamedTuple):
    """A change of the entity that is called `entity` by now."""

    entity_id: int
    entity: str
    change: Change


class Reuse(NamedTuple):
    """A name that means another asset now. `blocked` series of the old one must not be written any more."""

    name: str
    words: str
    blocked: int


@dataclass(frozen=True, slots=True)
class ListingWritten:
    """What a commit did; `series` is the list afterwards. `kept` says in words which series could not be renamed.

    `retired` are instruments that are active no more, of which series are stored.
    """

    series: SeriesState
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    quarantined: int = 0
    changes: tuple[Recorded, ...] = ()
    reused: tuple[Reuse, ...] = ()
    kept: tuple[str, ...] = ()
    retired: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StoredList:
    """The last full answer of a list: stored at `refreshed` by our clock, given at `answered` by the vendor's.

    `total` is how many entities the vendor says the whole list has, `rows` those of this answer in its order.
    """

    refreshed: int
    answered: int
    total: int
    rows: list[Row]


class ListedChange(NamedTuple):
    """One row of the history of changes. `at` is the vendor's time in UTC epoch seconds; values are JSON."""

    at: int
    data_type: str
    place: str
    entity: str
    entity_id: int
    change: str
    field: str | None
    old: str | None
    new: str | None
    run_id: str


def page_of(key: SeriesKey) -> Window:
    """The place of a list among the pages it is asked for in."""
    page = int(key.instrument or 1)
    return Window(page, page + 1)


class Lists(Protocol):
    """The half of a store that keeps reference data. Methods raise StoreError."""

    async def write_listing(self, commit: ListingCommit) -> ListingWritten:
        """Write one list with its changes: entities, renamed and blocked series, quarantine, atomically.

        Raises Malformed, and writes nothing, for an answer that cannot be the whole list.
        """
        ...

    async def listing(self, source: str, key: SeriesKey) -> StoredList | None:
        """The last full answer of a list, None before the first."""
        ...

    async def entities(self, source: str, key: SeriesKey, names: Sequence[str]) -> list[Entity]:
        """Instruments of the list's place that are or were called one of `names`, gone ones included."""
        ...

    async def stored_series(self, source: str, data_type: str, interval: str) -> set[tuple[str, str]]:
        """Market and instrument of the series that the store has of a data type and interval."""
        ...

    async def blocked_names(self, source: str) -> set[str]:
        """`market/instrument` of every series that is blocked."""
        ...

    async def universe(self, source: str, name: str) -> list[SeriesKey]:
        """The series that a universe lists, by the names they have now. Raises ConfigError when there is none."""
        ...
