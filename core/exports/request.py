"""What is to be exported, checked before anything is read or written."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from core.datasets import DATA_TYPES, Dataset
from core.errors import ConfigError
from core.exports.formats import Field
from core.glossary import term
from core.references import Reference
from core.text import clean
from core.windows import GRAINS, Grain, Window

FOREVER = Window(-(2**62), 2**62)
# How much of an ISO time names a partition.
PERIODS = {"year": 4, "month": 7, "day": 10}
KEYS = ("market", "instrument", *PERIODS)


@dataclass(frozen=True, slots=True)
class Request:
    """One export. Times are UTC epoch seconds; no names mean all, no columns all of the table.

    `partition_by` cuts it into files, `as_of` asks for what was known then, `changed_since` only for rows
    that came or changed from that time on; `include_open` adds bars that are still running.
    """

    data_type: Dataset | Reference
    interval: str | None = None
    markets: tuple[str, ...] = ()
    instruments: tuple[str, ...] = ()
    window: Window = FOREVER
    columns: tuple[str, ...] = ()
    groups: str | None = None
    partition_by: tuple[str, ...] = ()
    as_of: int | None = None
    changed_since: int | None = None
    include_open: bool = False

    def __post_init__(self) -> None:
        """Raises ConfigError for what does not go together."""
        self._check_interval()
        self._check_partitions()
        if self.columns and self.groups:
            raise ConfigError("name --columns or --groups, not both")
        if self.as_of is not None and self.include_open:
            raise ConfigError("--as_of with --include_open: earlier states of running bars are not kept")
        if self.window.start >= self.window.end:
            raise ConfigError("--start must be before --end")
        if isinstance(self.data_type, Reference) and (self.window != FOREVER or self.include_open):
            raise ConfigError(f"{self.data_type.name} has no bars: leave out --start, --end and --include_open")

    def _check_interval(self) -> None:
        if isinstance(self.data_type, Reference) and self.interval is not None:
            raise ConfigError(f"{self.data_type.name} has no bars: leave out --interval")
        if self.interval is not None and self.interval not in GRAINS:
            raise ConfigError(f"--interval {clean(self.interval)!r}: choose {', '.join(GRAINS)}")

    def _check_partitions(self) -> None:
        allowed: Sequence[str] = KEYS
        if isinstance(self.data_type, Reference):
            allowed = () if self.data_type.place == "source" else (self.data_type.place,)
        for key in self.partition_by:
            if key not in allowed:
                choice = f"choose of {', '.join(allowed)}" if allowed else "it is exported as one file"
                raise ConfigError(f"--partition_by {clean(key)!r}: of {self.data_type.name}, {choice}")
        if len(set(self.partition_by)) < len(self.partition_by):
            raise ConfigError("--partition_by names a key twice")

    @property
    def grain(self) -> Grain:
        return GRAINS[self.interval or "1d"]

    @property
    def name(self) -> str:
        """What it is an export of, for people."""
        return f"{self.data_type.name}/{self.grain.name}" if isinstance(self.data_type, Dataset) else self.table

    @property
    def table(self) -> str:
        """The table or view whose columns it has."""
        name = self.data_type.name
        return f"{name}_{self.grain.name}" if isinstance(self.data_type, Dataset) else name

    def fields(self, columns: Mapping[str, str]) -> list[Field]:
        """The columns to write, of those of the table and their types. Raises ConfigError for others."""
        wanted = self.columns or tuple(columns)
        for name in wanted:
            if name not in columns:
                raise ConfigError(f"--columns: {self.table} has no column {clean(name)!r}; {_hint(name, columns)}")
        fields = [Field(name, columns[name], *term(self.table, name)[:2]) for name in dict.fromkeys(wanted)]
        groups = self._groups(field.group for field in fields)
        return [field for field in fields if field.group in groups]

    def _groups(self, of_columns: Iterable[str]) -> set[str]:
        known = set(of_columns)
        if self.groups is None or self.groups.strip().upper() == "ALL":
            return known
        asked = {name.strip().upper() for name in self.groups.split(",") if name.strip()}
        allowed = known | set(self.data_type.groups if isinstance(self.data_type, Dataset) else ())
        if unknown := sorted(asked - allowed):
            names = ", ".join(sorted(allowed - {""}))
            raise ConfigError(f"--groups: {self.data_type.name} has no group {clean(unknown[0])}; it has {names}")
        # What says which row it is has no group, and always comes along.
        return asked | {""}


def _hint(name: str, columns: Mapping[str, str]) -> str:
    near = get_close_matches(name, columns, n=1)
    return f"do you mean {near[0]}?" if near else "see: tapewatch describe"


def data_type_named(name: str) -> Dataset | Reference:
    """Raises ConfigError naming those that exist."""
    if name not in DATA_TYPES:
        raise ConfigError(f"there is no data type {clean(name)!r}; choose {', '.join(DATA_TYPES)}")
    return DATA_TYPES[name]
