"""Batches: several operations in one file, checked as a whole, and which of them must end before others start."""

import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, time
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import msgspec

from core.errors import ConfigError
from core.operations import Operation, Problem, make_operation, read_operation
from core.text import clean, nearest

LARGEST_BATCH_FILE = 1024 * 1024
LARGEST_SERIES_FILE = 16 * 1024 * 1024


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """The operations of a batch in their order, and how they are run together.

    `max_requests` bounds the sum of their history calls; None means the default budget.
    """

    operations: tuple[Operation, ...]
    continue_on_error: bool = False
    max_requests: int | None = None

    def with_flags(self, *, continue_on_error: bool, max_requests: int | None, enable_monitoring: bool) -> "Batch":
        """The same batch with what the command line adds to it or says instead.

        Raises ConfigError for a `max_requests` below 1.
        """
        if max_requests is not None and max_requests < 1:
            raise ConfigError(f"--max_requests: {max_requests}: must be from 1")
        operations = self.operations
        if enable_monitoring:
            operations = tuple(msgspec.structs.replace(one, enable_monitoring=True) for one in operations)
        return Batch(
            operations=operations,
            continue_on_error=continue_on_error or self.continue_on_error,
            max_requests=self.max_requests if max_requests is None else max_requests,
        )

    def given(self) -> dict[str, Any]:
        """The arguments that make this batch again at the other end of a control socket."""
        settings = {"continue_on_error": self.continue_on_error, "max_requests": self.max_requests}
        known = {name: value for name, value in settings.items() if value is not None}
        return {"operations": [operation.given() for operation in self.operations], **known}


_HEAD: dict[str, Any] = {
    "description": str,
    "operations": list,
    "continue_on_error": bool,
    "max_requests": Annotated[int, msgspec.Meta(ge=1)],
}


class Place(NamedTuple):
    """Where something is wrong: the operation's number from 1, 0 for the file itself, and the path of its keys."""

    number: int
    path: str

    def say(self, file: Path, problem: Problem) -> str:
        where = f"{file}: operation {self.number}: " if self.number else f"{file}: "
        keys = ".".join(filter(None, (self.path, problem.key)))
        return f"{where}{keys}: {problem.text}" if keys else where + problem.text


def read_batch(path: Path) -> Batch:
    """The batch of a JSON or TOML file: a list of operations, or `{"description": ..., "operations": [...]}`.

    An operation whose `data_type` is a list is one operation each. Raises ConfigError with everything
    that is wrong, a line a problem: file, operation, path of the key, and the nearest key that exists.
    """
    content = _parse(path)
    head = content if isinstance(content, dict) else {"operations": content}
    entries = head.get("operations")
    if not isinstance(entries, list) or not entries:
        raise ConfigError(f"{path}: write a list of operations, each an object with a data_type")
    prefix = "operations" if isinstance(content, dict) else ""
    settings, faults = _head(head)
    said = [Place(0, "").say(path, fault) for fault in faults]
    operations: list[Operation] = []
    for at, entry in enumerate(entries):
        made, problems = read_entry(entry, path.parent)
        operations += made
        said += [Place(at + 1, f"{prefix}[{at}]").say(path, problem) for problem in problems]
    if said:
        raise ConfigError("\n".join(dict.fromkeys(said)))
    return Batch(operations=tuple(operations), **settings)


def _head(head: Mapping[str, Any]) -> tuple[dict[str, Any], list[Problem]]:
    """What the file says about the batch as a whole, and what is wrong with that."""
    settings, problems = {}, []
    for key, value in head.items():
        name = key.replace("-", "_")
        try:
            settings[name] = msgspec.convert(value, _HEAD[name])
        except KeyError:
            problems.append(Problem(clean(key), f"there is no such key{nearest(name, _HEAD)}"))
        except msgspec.ValidationError as error:
            problems.append(Problem(name, str(error)))
    return {name: settings[name] for name in ("continue_on_error", "max_requests") if name in settings}, problems


def read_entry(entry: Any, folder: Path) -> tuple[list[Operation], list[Problem]]:
    """The operations of one entry, one a data type, and what is wrong with them."""
    if not isinstance(entry, dict):
        return [], [Problem("", "write an object with a data_type")]
    operations, problems = [], []
    try:
        entry = with_series_files(entry, folder)
    except ConfigError as error:
        entry, problems = {**entry, "series": None}, [Problem("series", str(error))]
    for given in _each_data_type(entry):
        operation, found = read_operation(given)
        problems += found
        operations += [operation] if operation is not None else []
    return operations, problems


def _each_data_type(entry: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    key = next((key for key in entry if key.replace("-", "_") == "data_type"), "data_type")
    named = entry.get(key)
    if not isinstance(named, list) or not named:
        yield dict(entry)
        return
    names = [name if isinstance(name, str) else repr(name) for name in named]
    for data_type in dict.fromkeys(names):
        yield {**entry, key: data_type, "series": _own_series(entry.get("series"), data_type, names)}


def _own_series(series: Any, data_type: str, named: Sequence[str]) -> Any:
    """The series of an entry with several data types that are meant for `data_type`."""
    if not isinstance(series, list):
        return series
    others = tuple(f"{name}/" for name in named if name != data_type)
    return [name for name in series if not (isinstance(name, str) and others and name.startswith(others))]


def with_series_files(given: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """`given` with each `@file` of its series replaced by the names in the file, one a line, `#` begins a comment.

    Relative paths are relative to `folder`. Raises ConfigError for a file that cannot be read.
    """
    series = given.get("series")
    names = series.split(",") if isinstance(series, str) else series
    if not isinstance(names, list | tuple):
        return dict(given)
    read: list[Any] = []
    for name in names:
        is_file = isinstance(name, str) and name.strip().startswith("@")
        read += _series_of(folder / name.strip()[1:]) if is_file else [name]
    return {**given, "series": read}


def _series_of(path: Path) -> list[str]:
    lines = _text(path, LARGEST_SERIES_FILE).splitlines()
    return [name for line in lines if (name := line.split("#", 1)[0].strip())]


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose keys are its own. Raises ValueError for one that is given twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"{clean(twice)!r} is given twice in one object")
    return found


def _parse(path: Path) -> Any:
    text = _text(path, LARGEST_BATCH_FILE)
    form = "TOML" if path.suffix.lower() == ".toml" else "JSON"
    try:
        if form == "TOML":
            return _without_dates(tomllib.loads(text))
        return json.loads(text, object_pairs_hook=_without_repeats)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: cannot be read as {form}: {clean(str(error))}") from error


def _text(path: Path, most: int) -> str:
    try:
        if not path.exists():
            raise ConfigError(f"{path}: there is no such file")
        if not path.is_file() or path.stat().st_size > most:
            raise ConfigError(f"{path}: not a regular file of at most {most // 2**20} MiB")
        return path.read_text("utf-8-sig")  # editors on Windows begin a file with a mark
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read: {clean(str(error))}") from error


def _without_dates(content: Any) -> Any:
    """TOML has dates of its own; ours are texts everywhere."""
    if isinstance(content, dict):
        return {key: _without_dates(value) for key, value in content.items()}
    if isinstance(content, list):
        return [_without_dates(value) for value in content]
    return content.isoformat() if isinstance(content, date | time) else content


def make_batch(given: Mapping[str, Any]) -> Batch:
    """A batch from the arguments of the control socket. Raises ConfigError, a line a problem."""
    entries = given.get("operations")
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, dict) for entry in entries):
        raise ConfigError("operations: write a list of objects with a data_type")
    settings, faults = _head(given)
    if faults:
        raise ConfigError("\n".join(f"{key}: {text}" for key, text in faults))
    made = [make_operation(entry, f"operation {at}: ") for at, entry in enumerate(entries, 1)]
    return Batch(operations=tuple(made), **settings)


def prerequisites(operations: Sequence[Operation]) -> list[tuple[int, ...]]:
    """For each operation the places of those that must have ended before it starts.

    Metadata goes before what chooses its series by it: instruments before their histories, exchanges
    before a choice by grade, assets before a choice by rank.
    """
    return [
        tuple(at for at, other in enumerate(operations) if _is_needed_first(other, operation))
        for operation in operations
    ]


def _is_needed_first(first: Operation, then: Operation) -> bool:
    if not first.is_metadata or then.is_metadata:
        return False
    kind = then.dataset.kind
    needs = {
        "spot_instruments": kind == "spot",
        "futures_instruments": kind == "futures",
        "exchange_metadata": then.min_grade is not None,
        "asset_metadata": then.is_ranked,
    }
    return needs[first.data_type]
