"""Schedules from TOML.

    [schedules.hourly]
    cron = "2 * * * *"                  # UTC
    batch = "batch_hourly.json"         # beside this file; or operation = {...}, or operations = [{...}, ...]
    jitter = 30
    overlap = "skip"

Everything that is wrong is told at once, a line a problem, with file, schedule, key and what would be right.
"""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from core.batch import Batch, read_batch, read_entry
from core.errors import ConfigError
from core.operations import Operation
from core.schedule import SKIP, Cron, Schedule, gaps
from core.text import clean, nearest

LARGEST_FILE, MOST_SCHEDULES, LONGEST_JITTER = 1024 * 1024, 200, 3_600
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}", re.ASCII)
_WORK = ("batch", "operation", "operations")
_KEYS: dict[str, Any] = {
    "batch": str,
    "continue_on_error": bool,
    "cron": Annotated[str, msgspec.Meta(max_length=200)],
    "description": str,
    "enabled": bool,
    "jitter": Annotated[int, msgspec.Meta(ge=0, le=LONGEST_JITTER)],
    "max_requests": Annotated[int, msgspec.Meta(ge=1)],
    "operation": dict,
    "operations": list,
    "overlap": Literal["skip", "queue"],
}


def read_schedules(path: Path) -> tuple[Schedule, ...]:
    """The schedules of a file. Raises ConfigError with everything that is wrong."""
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST_FILE + 1)
        if len(raw) > LARGEST_FILE:
            raise ConfigError(f"serve.schedules: {path} is larger than 1 MiB")
        given = tomllib.loads(raw.decode("utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"serve.schedules: {path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: it is no TOML: {clean(str(error))}") from error
    return make_schedules(given, path)


def make_schedules(given: Mapping[str, Any], path: Path) -> tuple[Schedule, ...]:
    """What a file says; batch files are looked for beside it. Raises ConfigError with everything that is wrong."""
    faults = [
        f"{path}: {clean(key)}: there is no such key{nearest(key, ['schedules'])}; write schedules as [schedules.name]"
        for key in given
        if key != "schedules"
    ]
    tables = given.get("schedules", {})
    if not isinstance(tables, dict) or not all(isinstance(table, dict) for table in tables.values()):
        faults.append(f"{path}: schedules: write each schedule as a table, [schedules.name]")
        tables = {}
    if len(tables) > MOST_SCHEDULES:
        faults.append(f"{path}: schedules: {len(tables):,} are more than {MOST_SCHEDULES}")
        tables = {}
    made = [_Table(name, table, path) for name, table in tables.items()]
    schedules = [table.schedule() for table in made]
    faults += [fault for table in made for fault in table.faults]
    if faults:
        raise ConfigError("\n".join(faults[:50]))
    return tuple(schedule for schedule in schedules if schedule is not None)


class _Table:
    """One schedule as the file has it, and what is wrong with it."""

    def __init__(self, name: str, given: Mapping[str, Any], path: Path) -> None:
        self.faults: list[str] = []
        self._name = name
        self._path = path
        self._given = self._checked(given)

    def schedule(self) -> Schedule | None:
        """None when something is wrong."""
        if not _NAME.fullmatch(self._name):
            self._fault("", "write a name of small letters, digits, _ and -, of 64 at most")
        cron, batch, jitter = self._cron(), self._batch(), self._given.get("jitter", 0)
        if cron is not None and jitter >= (shortest := min(gaps(cron, 0))):
            self._fault("jitter", f"{jitter} s is no less than the {shortest} s between two runs")
        if self.faults or cron is None or batch is None:
            return None
        overlap, enabled = self._given.get("overlap", SKIP), self._given.get("enabled", True)
        return Schedule(self._name, cron, batch, jitter, overlap, enabled)

    def _checked(self, given: Mapping[str, Any]) -> dict[str, Any]:
        found = {}
        for key, value in given.items():
            try:
                found[key] = msgspec.convert(value, _KEYS[key])
            except KeyError:
                self._fault(key, f"there is no such key{nearest(key, _KEYS)}")
            except msgspec.ValidationError as error:
                self._fault(key, clean(str(error)))
        return found

    def _cron(self) -> Cron | None:
        line = self._given.get("cron")
        if line is None:
            self._fault("cron", "say when it runs, in UTC, as in 5 * * * *")
            return None
        try:
            return Cron(line)
        except ConfigError as error:
            self._fault("cron", f"{clean(line)!r}: {error}")
            return None

    def _batch(self) -> Batch | None:
        named = [key for key in _WORK if key in self._given]
        if len(named) != 1:
            self._fault(
                "operation", f"write one of {', '.join(_WORK)}" + (f", not {' and '.join(named)}" * bool(named))
            )
            return None
        batch = self._of_file(self._given["batch"]) if named == ["batch"] else self._of_entries(named[0])
        return None if batch is None else self._named(batch)

    def _of_file(self, name: str) -> Batch | None:
        try:
            return read_batch(self._path.parent / Path(name).expanduser())
        except ConfigError as error:
            for line in str(error).splitlines():
                self._fault("batch", line)
            return None

    def _of_entries(self, key: str) -> Batch | None:
        entries = [self._given[key]] if key == "operation" else self._given[key]
        if not entries:
            self._fault(key, "write at least one, each with a data_type")
        operations: list[Operation] = []
        for at, entry in enumerate(entries):
            made, problems = read_entry(entry, self._path.parent)
            operations += made
            for problem in problems:
                place = key if key == "operation" else f"{key}[{at}]"
                self._fault(".".join(filter(None, (place, problem.key))), problem.text)
        return Batch(operations=tuple(operations)) if operations else None

    def _named(self, batch: Batch) -> Batch:
        """With what the schedule says beside it; runs without a label have the schedule's name."""
        own = {name: self._given[name] for name in ("continue_on_error", "max_requests") if name in self._given}
        operations = tuple(
            one if one.label else msgspec.structs.replace(one, label=self._name) for one in batch.operations
        )
        return msgspec.structs.replace(batch, operations=operations, **own)

    def _fault(self, key: str, text: str) -> None:
        where = ".".join(filter(None, ("schedules", clean(self._name, 80), clean(key, 80))))
        self.faults.append(f"{self._path}: {where}: {text}")
