"""How a dashboard was left: colours, rate, zone of times, tab, maximised panes, filters and orders of tables."""

import os
from pathlib import Path

import msgspec

from core.text import clean
from tui.query import Choice

LARGEST = 256 * 1024
MOST_TABLES = 100


class Memory(msgspec.Struct, frozen=True):
    """`theme` and `refresh_hz` are None while nobody chose any; `maximised` has panes by the screens they are on."""

    theme: str | None = None
    refresh_hz: float | None = None
    is_local_time: bool = False
    tab: str = ""
    maximised: dict[str, str] = {}
    tables: dict[str, Choice] = {}


class Notebook:
    """A file that keeps a memory; None for none. `trouble` says why what it had cannot be read."""

    def __init__(self, path: Path | None = None) -> None:
        self.trouble = ""
        self._path = path
        self.memory = self._recall()

    def _recall(self) -> Memory:
        if self._path is None or not self._path.exists():
            return Memory()
        try:
            with self._path.open("rb") as file:
                return msgspec.json.decode(file.read(LARGEST), type=Memory)
        except (OSError, msgspec.DecodeError, RecursionError) as error:
            self.trouble = f"what the dashboard remembered is lost: {self._path}: {clean(str(error))}"
            return Memory()

    def keep(self, memory: Memory) -> str:
        """Write it, for its owner alone and never in halves; why that was not possible, if so."""
        if self._path is None:
            return ""
        part = self._path.with_suffix(f".{os.getpid()}")
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(msgspec.json.format(msgspec.json.encode(memory)))
            part.replace(self._path)
        except OSError as error:
            return f"tapewatch: what the dashboard remembers cannot be kept: {self._path}: {error.strerror}"
        return ""


def lasting(tables: dict[str, Choice]) -> dict[str, Choice]:
    """Those of tables that are there again next time: not of one job's or one series' own."""
    return dict([(name, choice) for name, choice in tables.items() if ":" not in name][:MOST_TABLES])
