"""Fixtures of real servers: one PostgreSQL for a worker of the suite, a fresh database for a test.

`TAPEWATCH_TEST_POSTGRES` names a server to be used instead, by the DSN of somebody who may create databases.
Tests that stop or crash a server have one of their own: `mortal_postgres`.
"""

import asyncio
import itertools
import os
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
import redis

from core.servers import PostgresServer, postgres
from core.valkey import ValkeyServer, valkey

GIVEN = "TAPEWATCH_TEST_POSTGRES"
NUMBERS = itertools.count()


class GivenServer:
    """A server that somebody else runs: what tests need of a PostgresServer that they share."""

    def __init__(self, dsn: str) -> None:
        self._dsn = urlsplit(dsn)

    def url(self, database: str = "") -> str:
        """The DSN with another database, or as it was given."""
        return self._dsn._replace(path=f"/{database}").geturl() if database else self._dsn.geturl()


def run_sql(url: str, statement: str, *values: Any) -> list[asyncpg.Record]:
    """The rows of one statement, on a connection of its own. For tests without a loop; within one it works too."""
    return on_connection(url, lambda connection: connection.fetch(statement, *values))


def run_script(url: str, statements: str) -> None:
    """Any number of statements, in one transaction unless they say otherwise."""
    on_connection(url, lambda connection: connection.execute(statements))


def on_connection(url: str, work: Callable[[asyncpg.Connection], Awaitable[Any]]) -> Any:
    """What `work` gives, done on a connection of its own."""

    async def connected() -> Any:
        connection = await asyncpg.connect(url)
        try:
            return await work(connection)
        finally:
            await connection.close()

    # In a thread, so that the loop of an async test is left alone.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, connected()).result()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer | GivenServer]:
    """The server that all tests of this process share; not for stopping."""
    if given := os.environ.get(GIVEN):
        yield GivenServer(given)
        return
    with postgres() as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: PostgresServer | GivenServer) -> Iterator[str]:
    """The DSN of an empty database that is this test's alone, and dropped after it whoever is still connected."""
    name = f"tapewatch_test_{os.getpid()}_{next(NUMBERS)}"
    run_sql(postgres_server.url(), f"CREATE DATABASE {name}")
    yield postgres_server.url(name)
    run_sql(postgres_server.url(), f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def mortal_postgres() -> Iterator[PostgresServer]:
    """A server of this test's own, to be stopped, crashed and started again."""
    with postgres() as server:
        yield server


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[ValkeyServer]:
    """One for a worker of the suite; a test that needs it empty has `redis_url`."""
    with valkey() as server:
        yield server


@pytest.fixture
def redis_url(valkey_server: ValkeyServer) -> str:
    """An empty database of the shared Valkey."""
    with redis.Redis.from_url(valkey_server.url) as client:
        client.flushall()
    return valkey_server.url


@pytest.fixture
def mortal_valkey() -> Iterator[ValkeyServer]:
    """One that a test may kill, hang and make read-only."""
    with valkey() as server:
        yield server
