"""Which database a URL means. What only one of them needs is imported when it is asked for."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from core.stores import Store, sqlite_path
from core.stores.reading import Reader
from core.stores.sqlite import SQLiteStore, reading_file

Wall = Callable[[], float]


def is_postgres(url: str) -> bool:
    return urlsplit(url).scheme in {"postgresql", "postgres"}


async def open_store(url: str, wall: Wall = time.time) -> Store:
    """The store at `url`, to write to. Raises ConfigError for a URL of no database we know, StoreError as `Store`."""
    if is_postgres(url):
        from core.stores.postgres import PostgresStore  # noqa: PLC0415

        return await PostgresStore.open(url, wall)
    return await SQLiteStore.open(url, wall)


async def open_to_plan(url: str, wall: Wall = time.time) -> Store:
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
