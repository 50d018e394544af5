"""What a user asks for: one operation, whether it came from flags, a batch file or the control socket."""

import difflib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from core.datasets import DATASETS, DEFAULT_SPAN_DAYS, Dataset
from core.errors import ConfigError
from core.text import clean, is_name
from core.windows import GRAINS, Grain, parse_time

LARGEST_BATCH_FILE = 1024 * 1024
ALIASES = {
    "asset_limit": "pair_limit",
    "exchange": "market",
    "exchanges": "market",
    "specific_market": "market",
    "instruments": "instrument",
    "symbol": "instrument",
    "specific_instrument": "instrument",
    "timeframe": "interval",
    "granularity": "interval",
}
IGNORED = frozenset({"enable_monitoring", "continue_on_error", "description"})


class Operation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One data type, a selection of its series, a range, and how to treat what is stored.

    `market` and `instrument` are empty for the defaults; `start` and `end` are texts as the user wrote
    them, None for the defaults; `max_requests` None means the default budget.
    """

    data_type: str
    interval: str = "1d"
    pair_limit: int | None = None
    market: tuple[str, ...] = ()
    instrument: tuple[str, ...] = ()
    start: str | None = None
    end: str | None = None
    contract: str | None = None
    groups: str | None = None
    full_refresh: bool = False
    yes: bool = False
    recheck: int = 3
    order: str = "newest"
    max_requests: int | None = None
    parallel_workers: int = 16
    include_inactive: bool = False
    enable_caching: bool = True
    label: str = ""

    @property
    def dataset(self) -> Dataset:
        return DATASETS[self.data_type]

    @property
    def grain(self) -> Grain:
        return GRAINS[self.interval]

    @property
    def count(self) -> int:
        return self.dataset.default_count if self.pair_limit is None else self.pair_limit

    @property
    def needs_listing(self) -> bool:
        """Whether the vendor's metadata is needed to know which series and from when."""
        return not (self.instrument and self.market and self.start not in {None, "listing"} and self.end)

    def span(self, now: int) -> tuple[int | None, int | None]:
        """Start and end in UTC epoch seconds; None means the listing, and now."""
        end = parse_time(self.end) if self.end else None
        if self.start == "listing":
            return None, end
        if self.start:
            return parse_time(self.start), end
        days = DEFAULT_SPAN_DAYS[self.grain]
        return (None if days is None else now - days * 86_400), end


def make_operation(given: Mapping[str, Any], where: str = "") -> Operation:
    """An operation from the keys of a batch entry or of the options of a command.

    `-` and `_` are the same in keys; lists may be JSON lists or comma strings; aliases of the surface are
    understood. Raises ConfigError naming `where`, the key, and what would be right.
    """
    fields: dict[str, Any] = {}
    for key, value in given.items():
        name = str(key).replace("-", "_")
        name = ALIASES.get(name, name)
        if name in IGNORED or value is None:
            continue
        if name in fields:
            raise ConfigError(f"{where}{name} is given twice, once as {clean(str(key))!r}")
        fields[name] = value
    _known_keys(fields, where)
    for name in ("market", "instrument", "groups"):
        if name in fields:
            fields[name] = _listed(fields[name], f"{where}{name}")
    if "groups" in fields:
        fields["groups"] = ",".join(fields["groups"])
    if str(fields.get("data_type")) not in DATASETS:
        given_type = clean(repr(fields.get("data_type")), 60)
        raise ConfigError(f"{where}data_type {given_type} is not one of {', '.join(DATASETS)}")
    try:
        operation = msgspec.convert(fields, Operation)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{where}{error}") from error
    try:
        _check(operation)
    except ConfigError as error:
        raise ConfigError(f"{where}{error}") from None
    return msgspec.structs.replace(operation, label=clean(operation.label, 100))


def read_batch(path: Path) -> list[Operation]:
    """The operations of a batch file: a JSON list, or `{"description": ..., "operations": [...]}`.

    Raises ConfigError naming the file and the operation that is wrong.
    """
    try:
        if not path.is_file() or path.stat().st_size > LARGEST_BATCH_FILE:
            raise ConfigError(f"{path}: not a regular file of at most 1 MiB")
        content = json.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: cannot be read as JSON: {clean(str(error))}") from error
    entries = content.get("operations") if isinstance(content, dict) else content
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, dict) for entry in entries):
        raise ConfigError(f"{path}: write a list of operations, each an object with a data_type")
    return [make_operation(entry, f"{path}: operation {at}: ") for at, entry in enumerate(entries, 1)]


def _listed(value: Any, where: str) -> tuple[str, ...]:
    parts = [value] if isinstance(value, str) else value
    if not isinstance(parts, list | tuple) or not all(isinstance(part, str) for part in parts):
        raise ConfigError(f"{where}: write a text or a list of texts")
    return tuple(name.strip() for part in parts for name in part.split(",") if name.strip())


def _known_keys(fields: Mapping[str, Any], where: str) -> None:
    known = [*Operation.__struct_fields__, *ALIASES]
    for name in fields:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ConfigError(f"{where}unknown option {clean(name)!r}{hint}")


def _check(operation: Operation) -> None:
    choices = {
        "interval": (operation.interval, tuple(GRAINS)),
        "order": (operation.order, ("newest", "oldest")),
        "contract": (operation.contract, (None, "perpetual", "expiring")),
    }
    for name, (value, allowed) in choices.items():
        if value not in allowed:
            raise ConfigError(f"--{name} {value!r}: choose {', '.join(a for a in allowed if a)}")
    ranges = {
        "pair_limit": (operation.count, 1, 100_000),
        "recheck": (operation.recheck, 0, 1_000),
        "parallel_workers": (operation.parallel_workers, 1, 64),
        "max_requests": (1 if operation.max_requests is None else operation.max_requests, 1, 10**9),
    }
    for name, (number, low, high) in ranges.items():
        if not low <= number <= high:
            raise ConfigError(f"--{name} {number}: must be from {low} to {high}")
    for name in (*operation.market, *operation.instrument):
        if not is_name(name):
            raise ConfigError(f"{clean(name)!r} cannot be the name of a market or an instrument")
    operation.dataset.parse_groups(operation.groups)
    _check_range(operation)


def _check_range(operation: Operation) -> None:
    for name, text in (("start", operation.start), ("end", operation.end)):
        try:
            if text and (name, text) != ("start", "listing"):
                parse_time(text)
        except ConfigError as error:
            raise ConfigError(f"--{name}: {error}") from None
    start, end = operation.span(0)
    if operation.start and end is not None and start is not None and start >= end:
        raise ConfigError(f"--start {operation.start} is not before --end {operation.end}")
    if operation.full_refresh and not operation.yes and not operation.start:
        raise ConfigError("--full_refresh buys everything again; name a range with --start, or add --yes")
