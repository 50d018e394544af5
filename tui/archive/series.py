"""Stored series, and one of them in full.

Times are UTC epoch seconds; a bar is called by its start and lasts `seconds`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from core.datasets import closed_until
from core.windows import GRAINS, Window


@dataclass(frozen=True, slots=True)
class StoredSeries:
    """How much of one series is stored. It `has_ended` when its instrument is not active any more."""

    data_type: str
    market: str
    instrument: str
    interval: str
    seconds: int
    rows: int
    first_bar: int | None
    last_bar: int | None
    gaps: int
    has_ended: bool = False

    @property
    def ends(self) -> int | None:
        """When the newest bar ended."""
        return None if self.last_bar is None else self.last_bar + self.seconds

    def late(self, now: float) -> int | None:
        """How many closed bars are newer than the newest stored one; 0 after its end, None when none is stored."""
        if self.ends is not None and self.has_ended:
            return 0
        if self.ends is None or self.interval not in GRAINS:
            return None
        return max(0, (closed_until(int(now), GRAINS[self.interval]) - self.ends) // self.seconds)


class Bar(NamedTuple):
    """One bar; what was not asked for or is not known is None.

    Of open interest prices are the interest in the underlying, and `amount` its worth in the quote currency; of a
    funding rate prices are rates and `amount` counts the vendor's updates; else `amount` is the volume.
    """

    start: int
    is_closed: bool
    open: float | None
    high: float | None
    low: float | None
    close: float | None
    amount: float | None


@dataclass(frozen=True, slots=True, eq=False)
class Coverage:
    """Which spans of a series were asked for and answered, and where the answers had no bar. Ascending, disjoint.

    Equal only to itself, so that what is reckoned from it can be remembered. `start` is the first slot of the
    history that is known of, None when none is. `explained` gaps were seen twice, or lie after the end of the
    instrument. Before `pruned_before` bars were kept once.
    """

    seconds: int
    start: int | None
    pruned_before: int | None
    asked: tuple[Window, ...]
    gaps: tuple[Window, ...] = ()
    explained: tuple[Window, ...] = ()


@dataclass(frozen=True, slots=True)
class Hole:
    """Something wrong with `[start, end)`: a gap, a window that was given up, or bars that are suspect.

    `kind` is gap, given up or suspect; `state` new or confirmed for a gap; `next` is what becomes of it by itself.
    """

    kind: str
    start: int
    end: int
    bars: int
    cause: str
    state: str
    words: str
    next: str
    sightings: int
    first_seen: int
    last_seen: int


@dataclass(frozen=True, slots=True)
class Restatement:
    """One column of a closed bar that changed after all; `seen_at` is when the vendor first gave the new value."""

    seen_at: int
    bar: int
    column: str
    old: float | str | None
    new: float | str | None
    run_id: str


@dataclass(frozen=True, slots=True)
class Refused:
    """A row or a whole answer that could not be used, as it came. `state` is open, filled or accepted."""

    id: int
    start: int
    end: int
    is_row: bool
    reason: str
    detail: str
    raw: str
    state: str
    sightings: int
    last_seen: int
    run_id: str


class SeriesArchive(Protocol):
    """What is stored of series. One of them is asked for by its full name, and has to be stored."""

    def series(self) -> Mapping[str, StoredSeries]:
        """Every stored series by its full name."""

    def coverages(self) -> Mapping[str, Coverage]:
        """The spans of every stored series by its full name."""

    def coverage(self, series: str) -> Coverage:
        """The spans of one."""

    def bars(self, series: str, count: int, span: Window | None = None) -> Sequence[Bar]:
        """The newest `count` bars, of those that begin in `span` when it is given, ascending."""

    def holes(self, series: str) -> Mapping[str, Hole]:
        """The newest of what is wrong with it, each by a name of its own."""

    def restatements(self, series: str) -> Mapping[str, Restatement]:
        """The newest changes of closed bars, likewise."""

    def refused(self, series: str) -> Mapping[str, Refused]:
        """The newest records of the quarantine, by their ids."""
