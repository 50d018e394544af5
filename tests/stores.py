"""Stores of every kind for one test suite: the kinds, and where a test's own is, with the schema made.

A test that is about some of the kinds only says so: `@pytest.mark.parametrize("store_url", SQLITE, indirect=True)`.
"""

import itertools
import os
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from core.servers import PostgresServer, free_port
from core.stores.database import Database
from core.stores.migrate import Migration, migrate, migrations
from core.stores.opening import is_postgres
from core.stores.postgres import connected_database
from core.stores.sqlite_connection import connect
from tests.services import GivenServer, on_connection, run_sql

SQLITE = ("sqlite-file", "sqlite-memory")
KINDS = (*SQLITE, "postgres", "pgbouncer")
NUMBERS = itertools.count()
# Fewer connections than a store has lines, so that they change hands.
POOLER = """\
[databases]
* = {server}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 2
max_client_conn = 100
log_connections = 0
log_disconnections = 0
log_stats = 0
"""


# What a test may have changed beside rows: whoever changed any of it leaves a database that is not used again.
SHAPE = """
WITH spaces AS (SELECT * FROM pg_namespace WHERE nspname NOT LIKE 'pg\\_%' AND nspname <> 'information_schema')
SELECT md5(string_agg(fact, ',' ORDER BY fact)) FROM (
    SELECT concat_ws(' ', nspname, nspacl) AS fact FROM spaces
    UNION ALL SELECT concat_ws(' ', relnamespace, relname, relkind, relacl) FROM pg_class
        WHERE relnamespace IN (SELECT oid FROM spaces)
    UNION ALL SELECT concat_ws(' ', attrelid, attname, atttypid, attnotnull) FROM pg_attribute
        JOIN pg_class AS c ON c.oid = attrelid WHERE c.relkind = 'r' AND relnamespace IN (SELECT oid FROM spaces)
    UNION ALL SELECT concat_ws(' ', conrelid, conname) FROM pg_constraint WHERE connamespace IN (SELECT oid FROM spaces)
    UNION ALL SELECT CAST(d AS text) FROM pg_default_acl AS d
    UNION ALL SELECT CAST(s AS text) FROM pg_db_role_setting AS s JOIN pg_database AS d ON d.oid = s.setdatabase
        WHERE d.datname = current_database()
    UNION ALL SELECT concat_ws(' ', version, sha256) FROM tapewatch.migration
) AS facts (fact)
"""
USED = (
    "SELECT relname FROM pg_class WHERE relnamespace = CAST('tapewatch' AS regnamespace) AND relkind = 'r' "
    "AND relname <> 'migration' AND pg_relation_size(oid) > 0"
)
RESTART = (
    "SELECT setval(CAST(format('%I.%I', schemaname, sequencename) AS regclass), 1, false) FROM pg_sequences "
    "WHERE schemaname = 'tapewatch'"
)
BUSY = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE datname = current_database() AND pid <> pg_backend_pid() AND state <> 'idle'"
)
BYTES = "SELECT pg_database_size(current_database())"
# To empty more than this takes longer than to make a database.
MOST_BYTES = 4_000_000


class Databases:
    """PostgreSQL stores for one test after the other: copies of a template, emptied and used again."""

    def __init__(self, server: PostgresServer | GivenServer) -> None:
        self._server = server
        self._template = f"tapewatch_template_{os.getpid()}"
        self._clean: list[str] = []
        run_sql(server.url(), f"CREATE DATABASE {self._template}")
        url = server.url(self._template)
        with connected_database(url) as db:
            migrate(db, 0)
        # What is frozen and written out is copied in a tenth of the time.
        run_sql(url, "VACUUM FREEZE")
        run_sql(url, "CHECKPOINT")
        self._shape = on_connection(url, _look)
        self._most_bytes = run_sql(url, BYTES)[0][0] + MOST_BYTES

    @contextmanager
    def lent(self) -> Iterator[str]:
        """The URL of a store with nothing in it, for one user."""
        name = self._clean.pop() if self._clean else self._made()
        yield self._server.url(name)
        if self._is_emptied(name):
            self._clean.append(name)
        else:
            self._drop(name)

    def close(self) -> None:
        for name in (*self._clean, self._template):
            self._drop(name)

    def _made(self) -> str:
        name = f"tapewatch_store_{os.getpid()}_{next(NUMBERS)}"
        run_sql(self._server.url(), f"CREATE DATABASE {name} TEMPLATE {self._template}")
        return name

    def _drop(self, name: str) -> None:
        run_sql(self._server.url(), f"DROP DATABASE {name} WITH (FORCE)")

    def _is_emptied(self, name: str) -> bool:
        async def work(connection: asyncpg.Connection) -> bool:
            if await _look(connection) != self._shape or await connection.fetchval(BYTES) > self._most_bytes:
                return False
            await _empty(connection)
            return True

        try:
            return bool(on_connection(self._server.url(name), work))
        except asyncpg.PostgresError:
            return False


async def _look(connection: asyncpg.Connection) -> Any:
    return await connection.fetchval(SHAPE)


async def _empty(connection: asyncpg.Connection) -> None:
    """Rows are where they would be in new tables afterwards, and get the same numbers."""
    await connection.execute(BUSY)
    tables = [f"tapewatch.{table}" for (table,) in await connection.fetch(USED)]
    # In whatever order: what keeps references right is not asked.
    deleting = "".join(f"DELETE FROM {table}; " for table in tables)
    await connection.execute(f"SET session_replication_role TO replica; {deleting}{RESTART}")
    if tables:
        await connection.execute(f"VACUUM {', '.join(tables)}")


@pytest.fixture(scope="session")
def postgres_databases(postgres_server: PostgresServer | GivenServer) -> Iterator[Databases]:
    databases = Databases(postgres_server)
    yield databases
    databases.close()


@pytest.fixture
def postgres_store_url(postgres_databases: Databases) -> Iterator[str]:
    """A PostgreSQL store that is this test's alone, with nothing in it."""
    with postgres_databases.lent() as url:
        yield url


@pytest.fixture(scope="session")
def pooler_address(postgres_server: PostgresServer | GivenServer) -> Iterator[str]:
    """Host and port of a PgBouncer in transaction mode, before the server that all tests share."""
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        pytest.skip("there is no PgBouncer here: apt-get install pgbouncer")
    server, port = urlsplit(postgres_server.url()), free_port()
    facts = {"host": server.hostname, "port": server.port, "user": server.username, "password": server.password}
    given = " ".join(f"{name}={value}" for name, value in facts.items() if value)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        settings = Path(folder) / "pgbouncer.ini"
        settings.write_text(POOLER.format(server=given, port=port))
        # Root has to say who it is to be instead.
        account = ["-u", "nobody"] if os.geteuid() == 0 else []
        with subprocess.Popen([program, *account, settings], stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            said = list(itertools.takewhile(lambda line: "process up" not in line, process.stderr))
            assert process.poll() is None, said
            yield f"127.0.0.1:{port}"
            process.terminate()


def url_of(kind: str, request: pytest.FixtureRequest) -> str:
    """Where this test's own store of that kind is."""
    if kind == "sqlite-file":
        return f"sqlite:///{request.getfixturevalue('tmp_path')}/store.db"
    if kind == "sqlite-memory":
        return "sqlite:///:memory:"
    pooler = request.getfixturevalue("pooler_address") if kind == "pgbouncer" else None
    url: str = request.getfixturevalue("postgres_store_url")
    return url if pooler is None else pooled(url, pooler)


def rounds(url: str, wanted: int) -> int:
    """How many rounds a long random test has: PostgreSQL takes its time for each, and has a fifth of them."""
    return wanted // 5 if is_postgres(url) else wanted


def pooled(url: str, pooler: str) -> str:
    """The same database through a pooler."""
    parts = urlsplit(url)
    return parts._replace(netloc=f"{parts.username}@{pooler}", query="pooler=transaction").geturl()


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
        migrate_by_copy(file, 0)
        yield file


@pytest.fixture(autouse=True, scope="session")
def _copied_in_memory() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("core.stores.sqlite.migrate", migrate_by_copy)
        yield


def migrate_by_copy(db: Database, now: int) -> list[Migration]:
    """As `migrate`. A new store in memory is a copy of one that was migrated, in a tenth of the time."""
    assert isinstance(db, sqlite3.Connection)
    _, _, path = db.execute("PRAGMA database_list").fetchone()
    if path or db.relations():
        return migrate(db, now)
    with closing(sqlite3.connect(":memory:")) as template:
        template.deserialize(_migrated())
        template.backup(db)
    db.execute("UPDATE migration SET applied_at = ?", (now,))
    return migrations()


@cache
def _migrated() -> bytes:
    """A new store in memory, as it would be in a file."""
    with closing(connect(":memory:")) as db:
        migrate(db, 0)
        return db.serialize()


class Wall:
    """A clock for stamps; `now` is UTC epoch seconds, 2025-06-15 at first."""

    def __init__(self, now: float = 1_750_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now
