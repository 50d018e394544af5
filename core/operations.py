"""What a user asks for: one operation, whether it came from flags, a batch file or the control socket."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from core.datasets import DATA_TYPES, DATASETS, DEFAULT_SPAN_DAYS, Dataset, SeriesKey
from core.errors import ConfigError
from core.options import ALIASES, CHOICES, IGNORED, LISTS, OPTIONS, RANGES, SELECTION, known_keys
from core.references import REFERENCES, Reference
from core.text import clean, is_name, nearest
from core.windows import GRAINS, Grain, parse_time

DEFAULT_ASSETS = 100
LONGEST_REGEX = 200
# Names between commas, and regular expressions between slashes that may have commas of their own.
_SEPARATE = re.compile(r"\s*/.*?(?<!\\)/\s*(?=,|$)|[^,]+")


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One data type, a selection of its series, a range, and how to treat what is stored.

    `market`, `instrument` and `series` (texts `market/instrument`) are empty for the defaults; `start` and
    `end` are texts as the user wrote them, None for the defaults; `max_requests` None means the default
    budget. `repair` asks for nothing but stored gaps and failed windows: the `open` ones, or `all`. What a
    data type does not take keeps its default; `interval` is empty for metadata.
    """

    data_type: str
    interval: str = "1d"
    pair_limit: int | None = None
    market: tuple[str, ...] = ()
    instrument: tuple[str, ...] = ()
    series: tuple[str, ...] = ()
    universe: str | None = None
    start: str | None = None
    end: str | None = None
    contract: str | None = None
    min_grade: str | None = None
    exchange_type: str = "all"
    groups: str | None = None
    full_refresh: bool = False
    yes: bool = False
    recheck: int = 3
    repair: str | None = None
    order: str = "newest"
    max_requests: int | None = None
    parallel_workers: int = 64
    include_inactive: bool = False
    enable_caching: bool = True
    enable_monitoring: bool = False
    label: str = ""

    @property
    def title(self) -> str:
        """`spot_ohlcv 1d`, `spot_instruments`."""
        return f"{self.data_type} {self.interval}".rstrip()

    @property
    def is_metadata(self) -> bool:
        return self.data_type in REFERENCES

    @property
    def dataset(self) -> Dataset:
        """The series data type; only for operations that are not metadata."""
        return DATASETS[self.data_type]

    @property
    def reference(self) -> Reference:
        """The metadata data type; only for operations that are metadata."""
        return REFERENCES[self.data_type]

    @property
    def grain(self) -> Grain:
        return GRAINS[self.interval]

    @property
    def count(self) -> int:
        default = DEFAULT_ASSETS if self.is_metadata else self.dataset.default_count
        return default if self.pair_limit is None else self.pair_limit

    @property
    def is_ranked(self) -> bool:
        """Whether the series are chosen by rank rather than named."""
        if self.is_metadata or self.series or self.universe:
            return False
        return not self.instrument or (self.pair_limit is not None and any(map(regex_of, self.instrument)))

    @property
    def needs_listing(self) -> bool:
        """Whether the vendor's metadata is needed to know which series and from when."""
        is_named = bool(self.series or (self.instrument and self.market and not any(map(regex_of, self.instrument))))
        return not (is_named and self.start not in {None, "listing"} and self.end)

    def span(self, now: int) -> tuple[int | None, int | None]:
        """Start and end in UTC epoch seconds; None means the listing, and now."""
        end = parse_time(self.end) if self.end else None
        if self.start == "listing":
            return None, end
        if self.start:
            return parse_time(self.start), end
        days = DEFAULT_SPAN_DAYS[self.grain]
        return (None if days is None else now - days * 86_400), end

    def given(self) -> dict[str, Any]:
        """The keys that make this operation again, as a batch file or the control socket would write them."""
        values = msgspec.to_builtins(self)
        keys = ("data_type", *OPTIONS[self.data_type])
        return {name: values[name] for name in keys if values[name] is not None}


class Problem(NamedTuple):
    """What is wrong with an entry: the key as its author wrote it, and what would be right."""

    key: str
    text: str


_FIELDS = {field.name: field for field in msgspec.structs.fields(Operation)}


def make_operation(given: Mapping[str, Any], where: str = "") -> Operation:
    """An operation from the options of a command, or from the keys of the control socket.

    `-` and `_` are the same in keys; lists may be JSON lists or comma strings; aliases of the surface are
    understood. Raises ConfigError, a line a problem, each naming `where`, the key, and what would be right.
    """
    operation, problems = read_operation(given)
    if operation is None:
        raise ConfigError("\n".join(f"{where}--{key}: {text}" for key, text in problems))
    return operation


def read_operation(given: Mapping[str, Any]) -> tuple[Operation | None, list[Problem]]:
    """The operation of one entry, or None and everything that is wrong with it."""
    given = {str(key).replace("-", "_"): value for key, value in given.items()}
    data_type = given.get("data_type")
    if not isinstance(data_type, str) or data_type not in DATA_TYPES:
        return None, [Problem("data_type", _not_one_of(data_type, DATA_TYPES))]
    entry = _Entry(data_type, given)
    problems = [*entry.problems]
    operation = Operation(**entry.fields)
    problems += [Problem(entry.written.get(name, name), text) for name, text in _faults(operation)]
    if problems:
        return None, problems
    return operation, []


class _Entry:
    """The keys of one entry as fields of an Operation; what is wrong with one key leaves its default."""

    def __init__(self, data_type: str, given: Mapping[str, Any]) -> None:
        self.fields: dict[str, Any] = {"interval": "1d" if data_type in DATASETS else ""}
        self.written: dict[str, str] = {}
        self.problems: list[Problem] = []
        self._data_type = data_type
        for key, value in given.items():
            if key not in IGNORED and value is not None:
                self._take(clean(key), ALIASES.get(key, key), value)

    def _take(self, key: str, name: str, value: Any) -> None:
        if name not in {"data_type", *OPTIONS[self._data_type]}:
            self.problems.append(Problem(key, self._unknown(key, name)))
        elif name in self.written:
            self.problems.append(Problem(key, f"is given twice, also as {self.written[name]!r}"))
        else:
            self.written[name] = key
            try:
                self.fields[name] = _converted(name, value)
            except (msgspec.ValidationError, ConfigError) as error:
                self.problems.append(Problem(key, str(error)))

    def _unknown(self, key: str, name: str) -> str:
        if name in _FIELDS:
            return f"{self._data_type} has no such option"
        return "there is no such option" + nearest(key, known_keys(self._data_type))


def _converted(name: str, value: Any) -> Any:
    """`value` as the field `name` holds it. Raises ValidationError and ConfigError."""
    if name in LISTS:
        listed = _listed(value)
        return ",".join(listed) if name == "groups" else listed
    made = msgspec.convert(value, _FIELDS[name].type)
    if name == "label":
        return clean(made, 100)
    return made.upper() if name == "min_grade" else made


def _listed(value: Any) -> tuple[str, ...]:
    parts = [value] if isinstance(value, str) else value
    if not isinstance(parts, list | tuple) or not all(isinstance(part, str) for part in parts):
        raise ConfigError("write a text or a list of texts")
    return tuple(name.strip() for part in parts for name in _SEPARATE.findall(part) if name.strip())


def regex_of(name: str) -> re.Pattern[str] | None:
    """The regular expression that `/.../` means, None for an exact name. Raises ConfigError for a wrong one."""
    if len(name) < 3 or not (name.startswith("/") and name.endswith("/")):
        return None
    if len(name) > LONGEST_REGEX:
        raise ConfigError(f"a regular expression may have {LONGEST_REGEX} characters, this one has {len(name)}")
    try:
        return re.compile(name[1:-1])
    except (re.error, OverflowError, RecursionError) as error:
        raise ConfigError(f"{clean(name)!r} is no regular expression: {error}") from error


def _not_one_of(value: object, allowed: Iterable[str]) -> str:
    allowed = list(allowed)
    near = nearest(value, allowed) if isinstance(value, str) else ""
    return f"{clean(repr(value), 60)} is not one of {', '.join(allowed)}{near}"


def _faults(operation: Operation) -> Iterator[tuple[str, str]]:
    """What is wrong with the values of `operation`, as (field, text)."""
    for name, allowed in CHOICES.items():
        value = getattr(operation, name)
        if value and value not in allowed:
            yield name, f"{clean(repr(value), 60)}: choose {', '.join(allowed)}"
    for name, (low, high) in RANGES.items():
        number = getattr(operation, name)
        if number is not None and not low <= number <= high:
            yield name, f"{number}: must be from {low} to {high}"
    yield from _faults_of_names(operation)
    if not operation.is_metadata:
        yield from _faults_of_history(operation)


def _faults_of_names(operation: Operation) -> Iterator[tuple[str, str]]:
    for field in ("market", "instrument"):
        for name in getattr(operation, field):
            if text := _fault_of_name(name, may_be_regex=field == "instrument"):
                yield field, text
    if operation.universe is not None and not is_name(operation.universe):
        yield "universe", f"{clean(operation.universe)!r} cannot be the name of a universe"
    for name in operation.series:
        if text := _fault_of_series(operation, name):
            yield "series", text
    chosen_by = [field for field in ("series", "universe") if getattr(operation, field)]
    for field in SELECTION if chosen_by else ():
        if getattr(operation, field):
            yield field, f"leave it out: {chosen_by[0]} names what is wanted"
    if len(chosen_by) == 2:
        yield "universe", "leave it out: series names what is wanted"


def _fault_of_name(name: str, *, may_be_regex: bool) -> str:
    try:
        if may_be_regex and regex_of(name) is not None:
            return ""
    except ConfigError as error:
        return str(error)
    hint = "; a regular expression stands between slashes: /^BTC-/" if may_be_regex else ""
    return "" if is_name(name) else f"{clean(name)!r} cannot be the name of a market or an instrument{hint}"


def _fault_of_series(operation: Operation, name: str) -> str:
    parts = name.split("/")
    if len(parts) not in {2, 4} or not all(is_name(part) for part in parts):
        return f"{clean(name)!r} is not a series; write market/instrument, or the full name of a series"
    if len(parts) == 4 and (parts[0], parts[3]) != (operation.data_type, operation.interval):
        return f"{clean(name)!r} is not a series of {operation.title}"
    return ""


def _faults_of_history(operation: Operation) -> Iterator[tuple[str, str]]:
    try:
        operation.dataset.parse_groups(operation.groups)
    except ConfigError as error:
        yield "groups", str(error).removeprefix("--groups: ")
    times = {"start": operation.start, "end": operation.end}
    faults = {name: text for name, given in times.items() if (text := _fault_of_time(name, given))}
    yield from faults.items()
    if operation.interval in GRAINS and not faults:
        start, end = operation.span(0)
        if operation.start and None not in (start, end) and start >= end:  # type: ignore[operator]
            yield "start", f"{operation.start} is not before --end {operation.end}"
    if operation.full_refresh and not operation.yes and not operation.start:
        yield "full_refresh", "buys everything again; name a range with --start, or add --yes"


def _fault_of_time(name: str, given: str | None) -> str:
    try:
        if given and (name, given) != ("start", "listing"):
            parse_time(given)
    except ConfigError as error:
        return str(error)
    return ""


def named_series(operation: Operation) -> list[SeriesKey]:
    """The series that `--series` names, in their order, each once."""
    short = [name.split("/")[-3:-1] if name.count("/") == 3 else name.split("/") for name in operation.series]
    keys = [SeriesKey(operation.data_type, market, name, operation.interval) for market, name in short]
    return list(dict.fromkeys(keys))
