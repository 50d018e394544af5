"""The data types of Tapewatch, as values. Variation between them is data, so there is one runner.

Page caps, default groups and paths come from the vendor's contract; the settle delay of a bar must
exceed the vendor's own answer cache (60 s for minutes, 300 s for hours and days), or a page cached
before a bar closed could be taken for its final state.
"""

from dataclasses import dataclass
from typing import NamedTuple

from core import records
from core.errors import ConfigError
from core.records import Column
from core.references import FUTURES_INSTRUMENTS, INDEX_INSTRUMENTS, REFERENCES, SPOT_INSTRUMENTS, Reference
from core.text import clean
from core.windows import DAY, GRAINS, HOUR, MINUTE, Grain

PAGE_CAP = {DAY: 5_000, HOUR: 2_000, MINUTE: 2_000}
SETTLE_SECONDS = {DAY: 305, HOUR: 305, MINUTE: 65}
DEFAULT_SPAN_DAYS = {DAY: None, HOUR: 365, MINUTE: 7}


@dataclass(frozen=True, slots=True)
class Dataset:
    """One series data type.

    `kind` is the vendor's family (spot, futures, index), `feature` what an instrument's listing must
    say it has, `groups` the field groups in the order the vendor prints them, `columns` what a stored
    row holds, `constants` what never changes within a series and is kept there once, `derived` the
    further columns of the views as (name, column). `positive` says that prices are, unlike rates.
    """

    name: str
    title: str
    kind: str
    feature: str
    path: str
    groups: tuple[str, ...]
    default_groups: tuple[str, ...]
    columns: tuple[Column, ...]
    constants: tuple[Column, ...]
    markets: tuple[str, ...]
    default_count: int
    derived: tuple[tuple[str, str], ...] = ()
    positive: bool = True

    def parse_groups(self, text: str | None) -> tuple[str, ...]:
        """Groups named by `LIST` or `ALL`, in the vendor's order; None means the default ones.

        Raises ConfigError naming the group that does not exist and those that do, and when the groups
        hold nothing that could be stored.
        """
        if not text:
            return self.default_groups
        if text.strip().upper() == "ALL":
            return self.groups
        asked = {name.strip().upper() for name in text.split(",") if name.strip()}
        if unknown := sorted(asked - set(self.groups)):
            raise ConfigError(
                f"--groups: {self.name} has no group {clean(unknown[0])}; it has {', '.join(self.groups)}"
            )
        if not records.in_groups(self.columns, asked):
            raise ConfigError(f"--groups: {clean(text)!r} holds no values of a bar; add one of {self._value_groups}")
        # Rows cannot be matched to their series without the ids, so these two always come along.
        return tuple(name for name in self.groups if name in asked or name in {"ID", "MAPPING"})

    @property
    def _value_groups(self) -> str:
        return ", ".join(dict.fromkeys(column.group for column in self.columns))


class SeriesKey(NamedTuple):
    """Names one series: `spot_ohlcv/kraken/BTC-USD/1m`. `instrument` is the mapped id.

    A list of reference data is kept like a series without an interval: `spot_instruments/kraken`.
    """

    data_type: str
    market: str
    instrument: str = ""
    interval: str = ""

    def __str__(self) -> str:
        return "/".join(filter(None, self))

    @classmethod
    def parse(cls, text: str) -> "SeriesKey":
        """Raises ConfigError unless `text` has the four parts, the first and the last of which exist."""
        parts = text.split("/")
        if len(parts) != 4 or parts[0] not in DATASETS:
            raise ConfigError(f"{clean(text)!r} is not a series; write data_type/market/instrument/interval")
        if parts[3] not in GRAINS:
            raise ConfigError(f"{clean(text)!r} is not a series; its last part is the interval: {', '.join(GRAINS)}")
        return cls(*parts)


_TRADE_GROUPS = ("ID", "MAPPING", "MAPPING_ADVANCED", "OHLC", "OHLC_TRADE", "TRADE", "VOLUME")

SPOT_OHLCV = Dataset(
    name="spot_ohlcv",
    title="Spot OHLCV",
    kind="spot",
    feature="trades",
    path="/spot/v1/historical",
    groups=_TRADE_GROUPS,
    default_groups=("ID", "MAPPING", "OHLC", "TRADE", "VOLUME"),
    columns=records.SPOT_OHLCV,
    constants=records.SPOT_CONSTANTS,
    markets=SPOT_INSTRUMENTS.markets,
    default_count=100,
)
FUTURES_OHLCV = Dataset(
    name="futures_ohlcv",
    title="Futures OHLCV",
    kind="futures",
    feature="trades",
    path="/futures/v1/historical",
    groups=_TRADE_GROUPS,
    default_groups=("ID", "MAPPING", "OHLC", "TRADE", "VOLUME"),
    columns=records.FUTURES_OHLCV,
    constants=records.FUTURES_CONSTANTS,
    markets=FUTURES_INSTRUMENTS.markets,
    default_count=50,
)
_MESSAGE_GROUPS = ("ID", "MAPPING", "MAPPING_ADVANCED", "OHLC", "OHLC_MESSAGE", "MESSAGE")

FUTURES_FUNDING_RATE = Dataset(
    name="futures_funding_rate",
    title="Funding rates",
    kind="futures",
    feature="funding_rate",
    path="/futures/v1/historical/funding-rate",
    groups=("ID", "MAPPING", "MAPPING_ADVANCED", "VALUE", "OHLC", "OHLC_MESSAGE", "MESSAGE"),
    default_groups=("ID", "MAPPING", "VALUE", "OHLC", "MESSAGE"),
    columns=records.FUNDING_RATE,
    constants=records.FUTURES_CONSTANTS,
    markets=FUTURES_INSTRUMENTS.markets,
    default_count=50,
    positive=False,
)
FUTURES_OPEN_INTEREST = Dataset(
    name="futures_open_interest",
    title="Open interest",
    kind="futures",
    feature="open_interest",
    path="/futures/v1/historical/open-interest",
    groups=_MESSAGE_GROUPS,
    default_groups=("ID", "MAPPING", "OHLC", "MESSAGE"),
    columns=records.OPEN_INTEREST,
    constants=records.FUTURES_CONSTANTS,
    markets=FUTURES_INSTRUMENTS.markets,
    default_count=50,
    derived=(("open_interest", "close_settlement"), ("open_interest_quote", "close_quote")),
)
INDICES_OHLCV = Dataset(
    name="indices_ohlcv",
    title="Indices OHLCV",
    kind="index",
    feature="index",
    path="/index/cc/v1/historical",
    groups=("ID", "OHLC", "OHLC_MESSAGE", "MESSAGE", "VOLUME"),
    default_groups=("ID", "OHLC", "MESSAGE", "VOLUME"),
    columns=records.INDEX_OHLCV,
    constants=records.INDEX_CONSTANTS,
    markets=INDEX_INSTRUMENTS.markets,
    default_count=50,
)
DATASETS = {
    dataset.name: dataset
    for dataset in (SPOT_OHLCV, FUTURES_OHLCV, FUTURES_FUNDING_RATE, FUTURES_OPEN_INTEREST, INDICES_OHLCV)
}
DATA_TYPES: dict[str, Dataset | Reference] = {**DATASETS, **REFERENCES}


def page_seconds(grain: Grain) -> int:
    """The longest span one call can cover, in seconds."""
    return PAGE_CAP[grain] * grain.seconds


def closed_until(now: int, grain: Grain) -> int:
    """End of the newest bar that is closed at server time `now` (UTC epoch seconds)."""
    return grain.floor(now - SETTLE_SECONDS[grain])
