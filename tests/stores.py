"""Stores of every kind for one test suite: the kinds, and where a test's own is, with the schema made.

A test that is about some of the kinds only says so: `@pytest.mark.parametrize("store_url", SQLITE, indirect=True)`.
"""

import itertools
import os
from collections.abc import Iterator
from contextlib import closing

import pytest

from core.servers import PostgresServer
from core.stores.database import Database
from core.stores.migrate import migrate
from core.stores.opening import is_postgres
from core.stores.postgres import connected_database
from core.stores.sqlite_connection import connect
from tests.services import GivenServer, run_sql

SQLITE = ("sqlite-file", "sqlite-memory")
KINDS = (*SQLITE, "postgres")
NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def postgres_template(postgres_server: PostgresServer | GivenServer) -> Iterator[str]:
    """The name of a database with the schema and nothing in it, to be copied."""
    name = f"tapewatch_template_{os.getpid()}"
    run_sql(postgres_server.url(), f"CREATE DATABASE {name}")
    url = postgres_server.url(name)
    with connected_database(url) as db:
        migrate(db, 0)
    # What is frozen and written out is copied in a tenth of the time.
    run_sql(url, "VACUUM FREEZE")
    run_sql(url, "CHECKPOINT")
    yield name
    run_sql(postgres_server.url(), f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def postgres_store_url(postgres_server: PostgresServer | GivenServer, postgres_template: str) -> Iterator[str]:
    """A PostgreSQL store that is this test's alone, with nothing in it."""
    name = f"tapewatch_store_{os.getpid()}_{next(NUMBERS)}"
    run_sql(postgres_server.url(), f"CREATE DATABASE {name} TEMPLATE {postgres_template}")
    yield postgres_server.url(name)
    run_sql(postgres_server.url(), f"DROP DATABASE {name} WITH (FORCE)")


def url_of(kind: str, request: pytest.FixtureRequest) -> str:
    """Where this test's own store of that kind is."""
    if kind == "postgres":
        return str(request.getfixturevalue("postgres_store_url"))
    return (
        f"sqlite:///{request.getfixturevalue('tmp_path')}/store.db" if kind == "sqlite-file" else "sqlite:///:memory:"
    )


@pytest.fixture(params=("sqlite-memory", "postgres"))
def store_url(request: pytest.FixtureRequest) -> str:
    """Where this test's own store is, of each database in turn."""
    return url_of(request.param, request)


@pytest.fixture
def database(store_url: str) -> Iterator[Database]:
    """A connection to this test's own store, of each database in turn; all that happens is one transaction."""
    if is_postgres(store_url):
        with connected_database(store_url) as db, db.transaction():
            yield db
        return
    with closing(connect(":memory:")) as file:
        migrate(file, 0)
        yield file
