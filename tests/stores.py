"""Stores of every kind for one test suite: the kinds, where a test's own is, and a store that is made there."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from core.stores.migrate import migrate
from core.stores.opening import is_postgres, open_store
from core.stores.sql_store import SQLStore

KINDS = ("sqlite-file", "sqlite-memory", "postgres")


def url_of(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a test's own store of this kind is; there is nothing yet."""
    if kind == "postgres":
        return str(request.getfixturevalue("postgres_url"))
    return f"sqlite:///{tmp_path}/store.db" if kind == "sqlite-file" else "sqlite:///:memory:"


def make(url: str) -> None:
    """The schema of a PostgreSQL store; a file makes its own when it is opened."""
    if is_postgres(url):
        from core.stores.postgres import connected_database

        with connected_database(url) as db:
            migrate(db, 0)


async def open_made(url: str, wall: Callable[[], float]) -> SQLStore:
    """The store at `url`, made first where there is none."""
    await asyncio.to_thread(make, url)  # with a loop of its own
    store = await open_store(url, wall)
    assert isinstance(store, SQLStore)
    return store
