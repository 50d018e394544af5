"""Where data comes from: the Source protocol, and what it returns."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import Any, Protocol

import msgspec

from core.datasets import Dataset, SeriesKey
from core.errors import ConfigError
from core.windows import Window

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """A row that cannot be used: `ts` when it could be read, `raw` its text (at most 4 kB).

    `after` is the newest time that the rows before it in the answer have, if its own cannot be read.
    """

    reason: str
    detail: str
    raw: str
    ts: int | None = None
    after: int | None = None


@dataclass(slots=True)
class Page:
    """One decoded history answer, rows as `core.records` types in the vendor's order.

    `server_time` is the answer's `Date` (UTC epoch seconds); `constants()` reads what the first row says
    about the whole series, which is needed once a series and costs a second look at the page. `is_bounded` says that
    unit, market and every single value are known to be within `core.bounds`, `is_meant` that rows are known to be
    of the instrument. `wire` is how many bytes the answer was on the wire.
    """

    rows: list[Any]
    server_time: int
    rejected: list[RejectedRow] = field(default_factory=list)
    constants: Callable[[], dict[str, Any]] = dict
    is_bounded: bool = False
    is_meant: bool = False
    wire: int = 0


@dataclass(slots=True)
class Listing:
    """One answered list of reference data: a `Row` an entity, values by the columns of its `Reference`.

    `total` is how many entities the whole list has, of which a page is a part; `unreadable` names those
    whose rows were rejected, `notes` say which values were kept out of rows that are there. `wire` is how many bytes
    the answer was on the wire.
    """

    rows: list[Row]
    server_time: int
    total: int
    rejected: list[RejectedRow] = field(default_factory=list)
    notes: list[RejectedRow] = field(default_factory=list)
    unreadable: frozenset[str] = frozenset()
    wire: int = 0


class Recorded(msgspec.Struct, frozen=True, array_like=True):
    """Which span the vendor has recorded of something, in UTC epoch seconds; None where it does not say."""

    first: int | None = None
    last: int | None = None


class Instrument(msgspec.Struct, frozen=True):
    """A listed instrument.

    `history` holds, of what the vendor has recorded (trades, funding_rate, open_interest, index), the
    span; `base_id` and `quote_id` are asset ids, which no renaming changes; `expires` in UTC epoch seconds.
    """

    market: str
    name: str
    exchange_symbol: str
    status: str
    base: str
    quote: str
    history: dict[str, Recorded] = {}
    trades: int = 0
    perpetual: bool = False
    base_id: int | None = None
    quote_id: int | None = None
    expires: int | None = None

    @property
    def is_active(self) -> bool:
        return self.status == "ACTIVE"

    def recorded(self, feature: str) -> Recorded | None:
        """The recorded span of `feature`, None when the vendor has none of it."""
        return self.history.get(feature)


class Asset(msgspec.Struct, frozen=True):
    """An asset in the vendor's top list, in rank order."""

    id: int
    symbol: str
    volume_30d_usd: float = 0.0


class AssetPage(msgspec.Struct, frozen=True):
    """One page of the top list; `pages` is how many there are."""

    assets: list[Asset]
    is_last: bool
    pages: int = 1


class Exchange(msgspec.Struct, frozen=True):
    """An exchange; `grade` is the vendor's benchmark of its spot markets (AA to F), None where it gives none."""

    market: str
    status: str = "ACTIVE"
    grade: str | None = None


class Source(Protocol):
    """A vendor. Every call is one request: no retries, no waiting, no clock; the runner does that.

    All methods raise the classes of `core.errors.SourceError` and nothing else. `origin` names who
    answered (the vendor, or `sandbox:<seed>`), empty until the first answer; `server_time` is the
    newest `Date` seen and the monotonic time at which it came.
    """

    name: str

    @property
    def origin(self) -> str: ...
    @property
    def calls(self) -> int: ...

    def now(self) -> float:
        """The vendor's time in UTC epoch seconds: its last `Date` plus the time since, else what was assumed."""
        ...

    def assume(self, now: float) -> None:
        """What the vendor's time should be, as far as a store can tell; without it, it is our clock's."""
        ...

    async def history(self, dataset: Dataset, key: SeriesKey, window: Window, groups: Sequence[str]) -> Page:
        """The bars that start in `window`; NothingBefore when the history starts later."""
        ...

    async def listing(self, key: SeriesKey) -> Listing:
        """A list of reference data: every instrument of a market, all exchanges of a kind, a page of the top assets.

        Inactive instruments are included; assets come by 30-day spot quote volume, 100 a page, first page 1.
        """
        ...

    async def rate_limit(self) -> None:
        """Ask for the account's limits; they arrive through the quota's headers."""
        ...

    async def close(self) -> None: ...


def open_source(name: str, **options: object) -> Source:
    """The source registered under the entry point `tapewatch.sources` as `name`, ours included.

    Raises ConfigError naming the sources that exist.
    """
    found = {point.name: point for point in entry_points(group="tapewatch.sources")}
    if name not in found:
        raise ConfigError(f"there is no source {name!r}; installed: {', '.join(sorted(found)) or 'none'}")
    source: Source = found[name].load()(**options)
    return source
