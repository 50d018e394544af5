"""Where rows live: what one window commits, what comes back, and the Store protocol."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, Protocol
from urllib.parse import urlsplit

from core.alerting import Change
from core.coverage import Absence, SeriesState
from core.datasets import Dataset, SeriesKey
from core.errors import ConfigError
from core.events import FINAL_STATES
from core.ledger import Book
from core.sources import RejectedRow
from core.stores.alerts import AlertStore
from core.stores.bars import BarStore
from core.stores.baselines import BaselineStore
from core.stores.catalog import Lists
from core.stores.figures import FigureStore
from core.stores.leases import Leases
from core.stores.lock import Holder
from core.stores.outbox import Outbox
from core.stores.patience import Patience
from core.stores.pauses import PauseStore
from core.stores.selection import Selection
from core.stores.ticks import TickStore
from core.text import shown_url
from core.usage import Counted
from core.windows import GRAINS, Grain, Window

FINAL = 2**62


@dataclass(frozen=True, slots=True)
class Commit:
    """Everything that one answered window changes, written in one transaction or not at all.

    `rows` are tuples `(ts, *values)` in the order of `columns`, one per ts, ascending; bars that start
    before `closed_before` are closed. `sent_at` (milliseconds) orders answers: a row that came from a
    later request is not overwritten. `known_at` is the answer's server time in UTC epoch seconds; bars that
    begin at or after `settled_before` are too young to count as final; FINAL says that all are. `is_page` says that
    the newest bars were read as a full page, `audits` that the window belongs to the rolling audit; `accepted`
    are records of the quarantine that turn out to be right; `packed` and `packed_columns` are what the store itself
    made of `rows`.
    """

    series: SeriesState
    dataset: Dataset
    groups: tuple[str, ...]
    columns: tuple[str, ...]
    window: Window
    rows: Sequence[tuple[Any, ...]]
    closed_before: int
    known_at: int
    sent_at: int
    covered: Window | None
    absences: Sequence[Absence] = ()
    rejected: Sequence[RejectedRow] = ()
    constants: dict[str, Any] = field(default_factory=dict)
    history_start: int | None = None
    run_id: str = ""
    settled_before: int = FINAL
    is_page: bool = False
    audits: bool = False
    accepted: Sequence[int] = ()
    packed: Sequence[bytearray] = ()
    packed_columns: Sequence[bytes] = ()

    def halves(self, rows: Sequence[tuple[Any, ...]]) -> tuple[Sequence[tuple[Any, ...]], Sequence[tuple[Any, ...]]]:
        """Of ascending `rows` those of closed bars, and those of running ones."""
        split = bisect_left(rows, self.closed_before, key=itemgetter(0))
        return rows[:split], rows[split:]

    @property
    def is_closed(self) -> bool:
        """Whether there are rows, and all are closed bars."""
        return bool(self.rows) and self.rows[-1][0] < self.closed_before

    @property
    def is_first(self) -> bool:
        """Whether nothing of the window had been answered when it was asked for."""
        window = self.window
        return not any(
            entry.window.start < window.end and entry.window.end > window.start for entry in self.series.covered
        )

    @property
    def grain(self) -> Grain:
        return GRAINS[self.series.key.interval]

    @property
    def is_last(self) -> bool:
        """Whether nothing is read again: the instrument is dead, and what it left out stays as it is."""
        return self.settled_before == FINAL


@dataclass(frozen=True, slots=True)
class Written:
    """What a commit did; `state` is the series afterwards."""

    state: SeriesState
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    restated: int = 0
    quarantined: int = 0


@dataclass(frozen=True, slots=True)
class Damaged:
    """A series with gaps, or with windows that were given up and not answered since (`failed`)."""

    state: SeriesState
    failed: tuple[Window, ...]


def job_id(run_id: str) -> str:
    """What the job of a run is called; only its engine sees to it that no other job of its own is called so."""
    return "j-" + run_id[-4:]


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run in the journal; `summary` is the object that `--output json` prints, as far as it got."""

    run_id: str
    engine: str
    data_type: str
    interval: str
    label: str
    state: str
    created: float
    started: float | None
    finished: float | None
    summary: dict[str, Any]

    @property
    def job(self) -> str:
        """The id of its job, which is its engine's alone."""
        return job_id(self.run_id)

    def state_among(self, engines: Iterable[Holder]) -> str:
        """Its state, given the engines at work: `interrupted` when nobody works on it any more."""
        is_lost = self.state not in FINAL_STATES and self.engine not in {engine.name for engine in engines}
        return "interrupted" if is_lost else self.state

    def is_called(self, name: str) -> bool:
        """Whether that is its run id, or the job's that is made from it."""
        return name in {self.run_id, self.job}


@dataclass(frozen=True, slots=True)
class RunSeries:
    """One series of a run in the journal."""

    run_id: str
    series: str
    state: str
    windows_done: int
    windows_total: int
    rows: int
    error: str = ""


class Store(Lists, BarStore, AlertStore, Outbox, FigureStore, TickStore, PauseStore, BaselineStore, Protocol):
    """A database of ours. Only one engine writes an SQLite file at a time; the lock sees to that. Of a PostgreSQL
    database several may write, each the series that it has leases for.

    Methods raise the classes of `core.errors.StoreError` and nothing else.
    """

    url: str
    leases: Leases

    @property
    def patience(self) -> Patience:
        """Waits while the database is away, for all methods but `close`."""
        ...

    async def enter(self, holder: Holder, version: str) -> None:
        """Tell others that an engine works here, until `close`. `version` is the program's."""
        ...

    def book(self, account: str) -> Book | None:
        """Where the calls of an account are counted that several engines send; None where that is one."""
        ...

    async def claim_origin(self, origin: str) -> None:
        """Remember who the rows come from; StoreRefused, naming both, when it was somebody else."""
        ...

    async def series(self, source: str, keys: Sequence[SeriesKey], *, create: bool = True) -> list[SeriesState]:
        """The states of `keys`, in their order; unknown ones are created, or get id 0 without `create`.

        A key may name the exchange's own symbol of a series that is known by its mapped id.
        """
        ...

    async def commit(self, commit: Commit) -> Written:
        """Write one window: rows, coverage, gaps, quarantine and restatements, atomically."""
        ...

    async def quarantine(self, series: SeriesState, window: Window, rejected: RejectedRow, run_id: str) -> None:
        """Keep an answer that could not be used at all."""
        ...

    async def failed(self, series: SeriesState, window: Window, error: str, attempts: int, run_id: str) -> None:
        """Remember that `window` was given up; an answer to it forgets that again."""
        ...

    async def settle_start(self, series: SeriesState, first: int) -> SeriesState | None:
        """The vendor's history starts at `first`: remember it and forget the gaps before it.

        None, and nothing is changed, when an older bar is stored.
        """
        ...

    async def audited(self, series: SeriesState, until: int, at: int) -> None:
        """All that the rolling audit was due up to the time `at` is read, in whatever order: it goes on at `until`."""
        ...

    async def explain(self, series: Sequence[SeriesState]) -> None:
        """Write down why the gaps of these series are there, where nobody has told yet."""
        ...

    async def damaged(self, source: str, selection: Selection) -> list[Damaged]:
        """The selected series that have gaps or failed windows, by name."""
        ...

    async def prune(self, data_type: str, interval: str, before: int) -> int:
        """Delete the bars of these series before that time and remember it; how many went. Coverage stays."""
        ...

    async def unexplained_gaps(self, data_type: str, interval: str) -> int:
        """How many stored gaps of this data type and interval have been seen only once."""
        ...

    async def journal(
        self,
        runs: Sequence[RunRecord],
        series: Sequence[RunSeries],
        alerts: Sequence[Change],
        counted: Sequence[Counted] = (),
    ) -> None:
        """Record runs and their series, replacing what was recorded of each, what happened to alerts with what is to be
        told of it, and add calls that were sent, atomically."""
        ...

    async def forget_runs(self) -> None:
        """Delete some of the oldest runs of more than 90 days ago, and what was done of single series in all but the
        newest 2,000 runs, those of the last week at most."""
        ...

    async def calls_by_day(self, account: str, since: int) -> dict[int, int]:
        """How many calls of an account were recorded since then, by the day's start; both UTC epoch seconds."""
        ...

    async def close(self) -> None: ...


def sqlite_path(url: str) -> str:
    """The file that an SQLAlchemy-style `sqlite:///` URL names. Raises ConfigError for another form."""
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme != "sqlite" or parts.netloc or not parts.path.strip("/"):
        raise ConfigError(f"--db {shown_url(url)!r}: write sqlite:///relative.db or sqlite:////absolute.db")
    return parts.path[1:]
