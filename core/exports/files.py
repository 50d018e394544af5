"""Files that appear whole or not at all: written out of sight, then moved to their places, the manifest last."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

from core.errors import ConfigError, OutputError

MANIFEST = "_manifest.json"  # readers of data sets skip names that begin like this
OWN_MANIFEST = "{name}.manifest.json"


def partition_path(values: Mapping[str, str], extension: str) -> str:
    """`market=kraken/instrument=BTC-USD/month=2025-01.csv`: a folder a key, the last one the file.

    Whatever could mean something to a file system is written as %XX, as Hive does it.
    """
    return "/".join(f"{key}={quote(value, safe='')}" for key, value in values.items()) + f".{extension}"


class OutputFile:
    """What a writer writes to: it counts and digests the bytes. A `lasting` one survives a power cut."""

    def __init__(self, file: BinaryIO, *, lasting: bool = True) -> None:
        self._file = file
        self._lasting = lasting
        self._digest = hashlib.sha256()
        self.size = 0
        self.closed = False

    def write(self, data: bytes) -> int:
        self._digest.update(data)
        self.size += len(data)
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def end(self) -> None:
        """Nothing more comes."""
        self._file.flush()
        if self._lasting:
            os.fsync(self._file.fileno())
            self._file.close()


class Place:
    """Where an export goes: a file, or a folder of files. Nothing is there before `publish`.

    Raises ConfigError when something is in the way and `force` is not given, OutputError when the place
    cannot be written to.
    """

    def __init__(self, out: str, name: str, *, is_folder: bool, force: bool) -> None:
        path = Path(out)
        self.is_folder = is_folder or out.endswith("/") or path.is_dir()
        self.root = path if self.is_folder else path.parent
        self.name = name if self.is_folder else path.name
        self.manifest = MANIFEST if self.is_folder else OWN_MANIFEST.format(name=self.name)
        self._files: list[str] = []
        self._open: BinaryIO | None = None
        self._check(force)

    @property
    def path(self) -> Path:
        """The file or the folder."""
        return self.root if self.is_folder else self.root / self.name

    def _check(self, force: bool) -> None:
        above = self.root.parent if self.is_folder else self.root
        if not above.is_dir():
            raise ConfigError(f"--out: the directory {above} does not exist; create it first")
        if self.is_folder and self.root.exists() and not self.root.is_dir():
            raise ConfigError(f"--out: {self.root} is a file; an export in parts needs a directory")
        there = any(self.path.glob("*")) if self.is_folder else self.path.exists()
        if there and not force:
            what = "is not empty" if self.is_folder else "exists"
            raise ConfigError(f"--out: {self.path} {what}; --force replaces what an export left there")

    @contextmanager
    def staged(self) -> Iterator["Place"]:
        """A hidden folder beside the place, gone at the end whatever happens."""
        beside = self.root if self.root.is_dir() else self.root.parent
        with written(self.path):
            self._stage = Path(tempfile.mkdtemp(prefix=".export-", suffix=".part", dir=beside))
            try:
                yield self
            finally:
                if self._open is not None:
                    self._open.close()
                shutil.rmtree(self._stage, ignore_errors=True)

    def open(self, relative: str) -> OutputFile:
        """A new file, once the one before has ended."""
        path = self._stage / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        self._files.append(relative)
        self._open = path.open("xb")
        return OutputFile(self._open)

    def publish(self, manifest: Mapping[str, Any]) -> None:
        """Move all files to their places; what an earlier export left there and this one has not goes."""
        text = json.dumps(manifest, indent=2) + "\n"
        with (self._stage / self.manifest).open("xb") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
        stale = self._listed() - set(self._files)
        (self.root / self.manifest).unlink(missing_ok=True)
        for relative in self._files:
            target = self.root / relative
            target.parent.mkdir(parents=True, exist_ok=True)
            (self._stage / relative).replace(target)
        for relative in stale:
            (self.root / relative).unlink(missing_ok=True)
        for folder in {(self.root / relative).parent for relative in self._files}:
            _sync_folder(folder)
        self.root.mkdir(exist_ok=True)
        (self._stage / self.manifest).replace(self.root / self.manifest)
        _sync_folder(self.root)

    def _listed(self) -> set[str]:
        """The files that the manifest in place names, as far as they lie in here."""
        try:
            files = json.loads((self.root / self.manifest).read_bytes())["files"]
            named = {str(file["path"]) for file in files}
        except (OSError, ValueError, LookupError, TypeError):
            return set()
        inside = {name for name in named if not Path(name).is_absolute() and ".." not in Path(name).parts}
        return {name for name in inside if (self.root / name).is_file()}


@contextmanager
def written(place: Path) -> Iterator[None]:
    """What the system says about writing, in our words."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(f"--out: cannot write to {place}: {error.strerror or error}") from error


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
