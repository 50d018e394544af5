"""Stores of every kind for one test suite: the kinds, and where a test's own is, with the schema made.

A test that is about some of the kinds only says so: `@pytest.mark.parametrize("store_url", SQLITE, indirect=True)`.
"""

import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from core.servers import PostgresServer, free_port
from core.stores.database import Database
from core.stores.migrate import migrate
from core.stores.opening import is_postgres
from core.stores.postgres import connected_database
from core.stores.sqlite_connection import connect
from tests.services import GivenServer, run_sql

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
        migrate(file, 0)
        yield file
