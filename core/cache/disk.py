"""A cache in a directory, shared by the processes of one user: diskcache, with bytes in it and nothing else.

diskcache keeps objects by pickle, and who can write its database could have us run code (CVE-2025-69872). Here
nothing is ever unpickled: what is not bytes is unreadable, and the directory is ours alone.
"""

import asyncio
import os
import secrets
import sqlite3
import stat
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import diskcache
from diskcache.core import MODE_BINARY, MODE_RAW, UNKNOWN

from core.errors import CacheUnavailable, ConfigError
from core.patterns import matcher

T = TypeVar("T")
MAX_BYTES = 256 * 1024 * 1024
LOCK_SECONDS = 1.0
# Keys of ours that are no values.
GENERATION, CLAIM = "\x00generation", "\x00claim:"
_OWN = "\x00"
_FAILURES = (OSError, sqlite3.Error, diskcache.Timeout)


class _BytesDisk(diskcache.Disk):  # type: ignore[misc]
    """Keys are text, values bytes; small counters are numbers, which SQLite itself keeps."""

    def get(self, key: Any, raw: bool) -> Any:
        if not raw or not isinstance(key, str):
            raise sqlite3.DataError("a key that is no text")
        return key

    def store(self, value: Any, read: bool, key: Any = UNKNOWN) -> Any:
        if not isinstance(value, bytes | int):
            raise TypeError("a value that is not bytes")
        return super().store(value, read, key)

    def fetch(self, mode: int, filename: str | None, value: Any, read: bool) -> Any:
        is_elsewhere = filename is not None and (os.path.isabs(filename) or ".." in Path(filename).parts)
        if mode not in {MODE_RAW, MODE_BINARY} or read or is_elsewhere:
            raise sqlite3.DataError("a value that is not bytes")
        return super().fetch(mode, filename, value, read)

    def remove(self, file_path: str) -> None:
        """Only what lies in our directory, whatever the database says."""
        if Path(self._directory).resolve() in Path(self._directory, file_path).resolve().parents:
            super().remove(file_path)


class DiskCache:
    """Implements `core.cache.Far` in `directory`, which it makes. Raises ConfigError for one that others can write.

    SQLite waits for the disk: everything happens in a thread of its own.
    """

    tier = "disk"
    budget = 2.0

    def __init__(self, directory: Path, max_bytes: int = MAX_BYTES) -> None:
        _make_private(directory)
        self._directory = directory
        self._max_bytes = max_bytes
        self._cache: Any = None
        self._token = secrets.token_bytes(8)
        self._thread = ThreadPoolExecutor(1, "disk cache")

    async def get(self, key: str) -> bytes | None:
        return await self._run(lambda cache: _read(cache, key)[0])

    async def set(self, key: str, value: bytes, ttl: float, tags: Collection[str] = ()) -> None:
        await self._run(lambda cache: cache.set(key, value, expire=ttl, tag=_joined(tags)))

    async def delete(self, key: str) -> None:
        await self._run(lambda cache: (cache.delete(key), cache.incr(GENERATION)))

    async def drop(self, pattern: str) -> int:
        matches = matcher(pattern)
        return await self._run(lambda cache: _drop(cache, [key for key in cache if matches(key)]))

    async def drop_tag(self, tag: str) -> int:
        mark = _joined([tag]) or ""

        def drop(cache: Any) -> int:
            return _drop(cache, [key for key in cache if mark in _read(cache, key)[1]])

        return await self._run(drop)

    async def clear(self) -> None:
        await self.drop("*")

    async def claim(self, key: str, seconds: float) -> bool:
        return bool(await self._run(lambda cache: cache.add(CLAIM + key, self._token, expire=seconds)))

    async def release(self, key: str) -> None:
        await self._run(lambda cache: _release(cache, CLAIM + key, self._token))

    async def generation(self) -> int:
        return int(await self._run(lambda cache: cache.get(GENERATION, 0)))

    async def clean(self) -> tuple[int, int]:
        def clean(cache: Any) -> tuple[int, int]:
            cache.expire()
            cache.cull()
            return sum(not key.startswith(_OWN) for key in cache), cache.volume()

        return await self._run(clean)

    async def close(self) -> None:
        self._thread.submit(self._close)
        await asyncio.to_thread(self._thread.shutdown)

    async def _run(self, work: Callable[[Any], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._work, work)
        except (*_FAILURES, ValueError, TypeError, RuntimeError) as error:
            raise CacheUnavailable(f"{self._directory}: {error}") from error

    def _work(self, work: Callable[[Any], T]) -> T:
        """A database that is none any more is made anew: all of it can be fetched again."""
        try:
            return work(self._opened())
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError | sqlite3.DataError):
                raise
            self._close()
            for name in self._directory.glob("cache.db*"):
                name.unlink()
            return work(self._opened())

    def _opened(self) -> Any:
        if self._cache is None:
            self._cache = diskcache.Cache(
                str(self._directory), disk=_BytesDisk, timeout=LOCK_SECONDS, size_limit=self._max_bytes
            )
        return self._cache

    def _close(self) -> None:
        cache, self._cache = self._cache, None
        if cache is not None:
            cache.close()


def _read(cache: Any, key: str) -> tuple[bytes | None, str]:
    """A value with its tags; what is not bytes goes."""
    try:
        value, tag = cache.get(key, tag=True)
    except sqlite3.DataError:
        cache.delete(key)
        return None, ""
    return (value if isinstance(value, bytes) else None), tag or ""


def _release(cache: Any, key: str, token: bytes) -> None:
    """Only who holds a claim may give it back: it may have run out, and be another's by now."""
    with cache.transact():
        if cache.get(key) == token:
            cache.delete(key)


def _joined(tags: Collection[str]) -> str | None:
    """`|a|b|`: diskcache has room for one tag."""
    return f"|{'|'.join(tags)}|" if tags else None


def _drop(cache: Any, keys: Collection[str]) -> int:
    gone = [key for key in keys if not key.startswith(_OWN)]
    for key in gone:
        cache.delete(key)
    cache.incr(GENERATION)
    return len(gone)


def _make_private(directory: Path) -> None:
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = directory.lstat()
    except OSError as error:
        raise ConfigError(f"--cache disk://{directory}: {error.strerror or error}") from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise ConfigError(
            f"--cache disk://{directory}: it must be a directory of yours that nobody else can write; chmod 700"
        )
