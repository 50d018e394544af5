"""Figures: what is stored of each data type, what calls were spent on, how the engine has been."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol


@dataclass(frozen=True, slots=True)
class StoredType:
    """All series of a data type and interval. `last_bar` is when the newest bar begins (UTC epoch seconds)."""

    data_type: str
    interval: str
    seconds: int
    series: int
    rows: int
    last_bar: int | None
    gaps: int

    def age(self, time: float) -> float | None:
        """Seconds since the newest bar ended; None without one."""
        return None if self.last_bar is None else max(0.0, time - self.last_bar - self.seconds)


class Share(NamedTuple):
    """What one thing took of the calls of today and of this month (both in UTC)."""

    name: str
    today: int
    month: int


@dataclass(frozen=True, slots=True)
class Spent:
    """Calls that were sent, by `reason`, `data_type` and `label`, what took most of the month first.

    `days` are those of this month so far, from its first one on.
    """

    today: int
    month: int
    shares: Mapping[str, Sequence[Share]]
    days: Sequence[int]


class Timing(NamedTuple):
    """How operations of one kind went: how many, the share that ended well, seconds that half and 95 % took at most."""

    operation: str
    kind: str
    times: int
    success: float
    p50: float
    p95: float


@dataclass(frozen=True, slots=True)
class Past:
    """Figures over `[start, end)` (UTC epoch seconds) in equal parts, oldest first; None where nothing is known.

    The names of `curves`: cpu (percent of one), memory (bytes), host_memory (percent), lag and database (milliseconds),
    files, calls and rows (a second), and hits/TIER (percent).
    """

    start: int
    end: int
    curves: Mapping[str, tuple[float | None, ...]]
    timings: Sequence[Timing]


class Component(NamedTuple):
    """A part of the whole: `health` is ok, degraded, failing, down or unknown; `why` for people."""

    name: str
    health: str
    why: str


class FigureArchive(Protocol):
    """What is counted."""

    def data_types(self) -> Sequence[StoredType]:
        """Every data type and interval of which anything is stored."""

    def spent(self) -> Spent:
        """What calls were for."""

    def past(self, seconds: int) -> Past:
        """The last 60 minutes (`seconds` is 60) or 48 hours (3,600)."""

    def components(self) -> Sequence[Component]:
        """How each part is."""
