"""Which database a URL means. What only one of them needs is imported when it is asked for."""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

from core.errors import StoreError
from core.stores import sqlite_path
from core.stores.leases import LEASE_SECONDS
from core.stores.lock import EngineLock, Holder, lock_path, read_holder
from core.stores.reading import Reader
from core.stores.sql_store import SQLStore
from core.stores.sqlite import SQLiteStore, reading_file

Wall = Callable[[], float]


def is_postgres(url: str) -> bool:
    return urlsplit(url).scheme in {"postgresql", "postgres"}


async def open_store(
    url: str, wall: Wall = time.time, name: str = "", lease_seconds: float = LEASE_SECONDS
) -> SQLStore:
    """The store at `url`, for the engine `name` to write to, with leases that last so long.

    Raises ConfigError for a URL of no database we know, StoreError as `Store`.
    """
    if is_postgres(url):
        from core.stores.postgres import PostgresStore  # noqa: PLC0415

        return await PostgresStore.open(url, wall, name=name, lease_seconds=lease_seconds)
    return await SQLiteStore.open(url, wall)


async def open_to_plan(url: str, wall: Wall = time.time) -> SQLStore:
    """The store at `url`, only to look."""
    if is_postgres(url):
        from core.stores.postgres import PostgresStore  # noqa: PLC0415

        return await PostgresStore.open_to_plan(url, wall)
    return await SQLiteStore.open_to_plan(url, wall)


@contextmanager
def reading(url: str) -> Iterator[Reader]:
    """A Reader of the store at `url`. Raises StoreError when there is none, StoreRefused when it is not ours."""
    if is_postgres(url):
        from core.stores.postgres import reading_database  # noqa: PLC0415

        with reading_database(url) as db:
            yield Reader(db)
        return
    with reading_file(sqlite_path(url)) as db:
        yield Reader(db)


class Unlocked:
    """The lock of a database that any number of engines may work on."""

    def acquire(self, holder: Holder) -> None:
        """Leases on single series do it."""

    def release(self) -> None:
        """Nobody waits."""


def lock_of(url: str) -> EngineLock | Unlocked:
    """What an engine has to hold before it opens the store at `url`."""
    return Unlocked() if is_postgres(url) else EngineLock(sqlite_path(url))


def engines_of(url: str) -> list[Holder]:
    """The engines that are at work on the store at `url`; of a PostgreSQL database those of other hosts too.

    Raises StoreError when it cannot be asked.
    """
    if is_postgres(url):
        from core.stores.lease_sql import read_engines  # noqa: PLC0415
        from core.stores.postgres import reading_database  # noqa: PLC0415

        with reading_database(url) as db:
            return [engine for engine in read_engines(db) if engine.is_alive]
    found = read_holder(lock_path(sqlite_path(url)))
    return [] if found is None else [found]


def is_there(url: str) -> bool:
    """Whether there may be a store at `url`; of a database only asking tells."""
    return is_postgres(url) or Path(sqlite_path(url)).is_file()


def require_store(url: str) -> None:
    """Raises StoreError when there is no store to look at."""
    if not is_there(url):
        raise StoreError(f"there is no store at {sqlite_path(url)} yet; `tapewatch demo` makes one to try")


def free_bytes(url: str) -> int | None:
    """The room on the disk that holds the store, None where nobody here can tell."""
    if not is_postgres(url):
        with suppress(OSError):
            return shutil.disk_usage(Path(sqlite_path(url)).absolute().parent).free
    return None
