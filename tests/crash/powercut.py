# ruff: noqa: N802 - SQLite's own names of what it asks of a disk
"""Power cuts under SQLite: what was written and not synced may be there, in part, or not at all.

A recorded run of the real store is played again, statement by statement, on files of our own. They keep what
was synced apart from what was only written, and at a cut some of the latter survives, torn at sectors.
"""

import random
import re
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import apsw
import pytest

import core.stores.sqlite
from core.stores.sqlite_connection import SQLiteDatabase, connect
from tests.crash import child
from tests.crash.oracle import oracle
from tests.crash.tables import read

SECTOR = 512
NAMES = count()


class Written(NamedTuple):
    """Bytes that came to `at`; None cuts the file off there."""

    at: int
    data: bytes | None

    def on(self, content: bytearray) -> None:
        if self.data is None:
            del content[self.at :]
            return
        content.extend(b"\0" * (self.at - len(content)))
        content[self.at : self.at + len(self.data)] = self.data

    def torn(self, chance: random.Random) -> "Written":
        """All of it, or only some of its sectors from the start."""
        if self.data is None or chance.random() < 0.5:
            return self
        return Written(self.at, self.data[: SECTOR * chance.randint(0, len(self.data) // SECTOR)])


@dataclass
class Platter:
    """A file: as it is read, as it is after a cut at the worst, and what lies in between."""

    seen: bytearray = field(default_factory=bytearray)
    synced: bytearray = field(default_factory=bytearray)
    unsynced: list[Written] = field(default_factory=list)

    def write(self, written: Written) -> None:
        written.on(self.seen)
        self.unsynced.append(written)

    def sync(self) -> None:
        for written in self.unsynced:
            written.on(self.synced)
        self.unsynced.clear()

    def after_cut(self, share: float, chance: random.Random) -> bytes:
        """What is left when about this `share` of what was not synced made it, in any order."""
        left = bytearray(self.synced)
        for written in self.unsynced:
            if chance.random() < share:
                (written if share == 1.0 else written.torn(chance)).on(left)
        return bytes(left)


class Disk(apsw.VFS):
    """Files in memory. `before_sync` is called whenever SQLite asks that something be safe."""

    def __init__(self) -> None:
        self.name = f"disk-{next(NAMES)}"
        self.files: dict[str, Platter] = {}
        self.before_sync: Callable[[], None] = lambda: None
        super().__init__(self.name, base="")

    def xOpen(self, name: apsw.URIFilename | str | None, flags: list[int]) -> "OpenFile":
        path = name.filename() if isinstance(name, apsw.URIFilename) else str(name)
        flags[1] = flags[0]
        return OpenFile(self, self.files.setdefault(path, Platter()))

    def xDelete(self, name: str, _sync_directory: bool) -> None:
        self.files.pop(name, None)

    def xAccess(self, name: str, _flags: int) -> bool:
        return name in self.files

    def xFullPathname(self, name: str) -> str:
        return name

    def cut(self, folder: Path, share: float, chance: random.Random) -> None:
        """The files as the next start finds them."""
        folder.mkdir()
        for name, platter in self.files.items():
            (folder / name).write_bytes(platter.after_cut(share, chance))


class OpenFile:
    """What SQLite asks of a file; nobody else has it open."""

    def __init__(self, disk: Disk, platter: Platter) -> None:
        self._disk = disk
        self._platter = platter

    def xRead(self, amount: int, offset: int) -> bytes:
        return bytes(self._platter.seen[offset : offset + amount])

    def xWrite(self, data: bytes, offset: int) -> None:
        self._platter.write(Written(offset, bytes(data)))

    def xTruncate(self, size: int) -> None:
        self._platter.write(Written(size, None))

    def xSync(self, _flags: int) -> None:
        self._disk.before_sync()
        self._platter.sync()

    def xFileSize(self) -> int:
        return len(self._platter.seen)

    def xSectorSize(self) -> int:
        return SECTOR

    def xDeviceCharacteristics(self) -> int:
        return 0

    def xFileControl(self, _op: int, _pointer: int) -> bool:
        return False

    def xCheckReservedLock(self) -> bool:
        return False

    def xLock(self, _level: int) -> None: ...

    def xUnlock(self, _level: int) -> None: ...

    def xClose(self) -> None: ...


class Recording(NamedTuple):
    """A run as it was: statements with their values, and in between what was said."""

    entries: list[tuple[str, str]]


def record(url: str, seed: int) -> Recording:
    """A run of the child in this process, on the real store."""
    entries: list[tuple[str, str]] = []

    def heard(path: str, *, uri: bool = False) -> SQLiteDatabase:
        db = connect(path, uri=uri)
        db.set_trace_callback(lambda sql: entries.append(("sql", sql)))
        return db

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(core.stores.sqlite, "connect", heard)
        patch.setattr(child, "say", lambda line: entries.append(("said", line)))
        patch.setattr(core.stores.sqlite, "PRAGMAS", core.stores.sqlite.PRAGMAS)
        assert child.main(["--url", url, "--seed", str(seed), "--checkpoint", "60"]) == 0
    return Recording(entries)


class Cut(NamedTuple):
    """A store after a cut, and what had been said by then."""

    url: str
    said: list[str]

    def complaints(self, seed: int) -> list[str]:
        return oracle(seed).complaints(read(self.url), self.said)


def cuts(folder: Path, seed: int, sync: str = "FULL") -> list[Cut]:
    """Every moment of a run of the scenario of `seed` at which the power may go."""
    folder.mkdir(exist_ok=True)
    return PowerCuts(record(f"sqlite:///{folder}/record.db", seed), folder, random.Random(seed), sync).play()


@dataclass
class PowerCuts:
    """Plays a recording and cuts the power: before everything that is synced, and after everything that is said."""

    recording: Recording
    folder: Path
    chance: random.Random
    sync: str = "FULL"
    cuts: list[Cut] = field(default_factory=list)

    def play(self) -> list[Cut]:
        disk, said = Disk(), list[str]()
        disk.before_sync = lambda: self._cut(disk, said)
        with closing(apsw.Connection("store.db", vfs=disk.name)) as db:
            _prepare(db)
            for kind, text in self.recording.entries:
                if kind == "said":
                    said.append(text)
                    self._cut(disk, said)
                else:
                    db.execute(self._changed(text)).fetchall()
        return self.cuts

    def _changed(self, sql: str) -> str:
        return re.sub(r"(?<=synchronous = )\w+", self.sync, sql)

    def _cut(self, disk: Disk, said: list[str]) -> None:
        folder = self.folder / str(len(self.cuts))
        disk.cut(folder, self.chance.choice([0.0, 0.5, 0.9, 1.0]), self.chance)
        self.cuts.append(Cut(f"sqlite:///{folder}/store.db", list(said)))


def _prepare(db: apsw.Connection) -> None:
    """Alone with its files, WAL needs no shared memory."""
    db.execute("PRAGMA locking_mode = exclusive").fetchall()
    for name, choose in (("greatest", max), ("least", min)):
        db.create_scalar_function(name, _known(choose), 2, deterministic=True)


def _known(choose: Callable[..., Any]) -> Callable[[Any, Any], Any]:
    """Of two values, either of which may be NULL."""
    return lambda one, other: choose((value for value in (one, other) if value is not None), default=None)
