"""Where the demo keeps its rows: a file of its own, or a PostgreSQL of its own."""

import shlex
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from core.config import Loaded, data_directory
from core.errors import StoreBusy
from core.servers import PostgresOptions, PostgresServer, postgres, reachable, running
from core.stores import sqlite_path
from core.stores.lock import describe, lock_path, read_holder

QUERY = "SELECT * FROM spot_ohlcv_1d ORDER BY ts DESC LIMIT 5"
GONE = "The database is gone: as root, PostgreSQL runs as nobody, who may not keep files in your home."


@dataclass(frozen=True, slots=True)
class DemoStore:
    """A fresh store. `now` says how to look into it during the demo, `later` after it."""

    url: str
    later: str
    now: str = ""


@contextmanager
def sqlite_store(given: Loaded, seed: int) -> Iterator[DemoStore]:
    """The demo's own file, made anew each time; a --db that was named is used as it is.

    Raises StoreBusy when an engine holds it: another demo is running.
    """
    own = data_directory() / f"demo-{seed}.db"
    path = Path(sqlite_path(given.settings.db)).absolute() if given.settings.db else own
    if (found := read_holder(lock_path(str(path)))) is not None:
        raise StoreBusy(f"{describe(found, path)}; end it first, or choose another --seed or --db")
    if not given.settings.db:
        for name in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
            name.unlink(missing_ok=True)
    yield DemoStore(f"sqlite:///{path}", f'The database is {path}\n  sqlite3 {path} "{QUERY}"')


@contextmanager
def postgres_store(seed: int) -> Iterator[DemoStore]:
    """A server as long as the demo, its data beside the demo's file, made anew each time.

    Raises StoreBusy when another demo runs it, ConfigError when there is no PostgreSQL to run.
    """
    own = data_directory() / f"demo-{seed}-postgres"
    if (pid := running(own)) is not None:
        raise StoreBusy(f"a PostgreSQL of the demo runs on {own} (pid {pid}); end it first, or choose another --seed")
    shutil.rmtree(own, ignore_errors=True)
    own.mkdir(mode=0o711)
    is_kept = reachable(own)
    options = PostgresOptions(
        directory=own if is_kept else None, is_durable=True, user="tapewatch", passfile=own / "passfile"
    )
    try:
        with postgres(options) as server:
            _make_tables(server.url())
            now = f"while the demo runs: {_look(server)}"
            yield DemoStore(server.url(), _again(server) if is_kept else GONE, now)
    finally:
        if not is_kept:
            shutil.rmtree(own)


def _make_tables(url: str) -> None:
    from core.stores.migrate import migrate  # noqa: PLC0415 - a demo on SQLite needs no asyncpg
    from core.stores.postgres import connected_database  # noqa: PLC0415

    with connected_database(url) as database:
        migrate(database, int(time.time()))


def _look(server: PostgresServer) -> str:
    return shlex.join([str(server.programs / "psql"), server.url(), "-c", QUERY])


def _again(server: PostgresServer) -> str:
    control = shlex.join([str(server.programs / "pg_ctl"), "-D", str(server.data)])
    flags = shlex.quote(f"-p {server.port} -c unix_socket_directories=")
    return (
        f"The database is in {server.data}; its server has ended with the demo. Start it again, look, end it:\n"
        f"  {control} -o {flags} -l {shlex.quote(str(server.log))} start\n"
        f"  {_look(server)}\n"
        f"  {control} stop"
    )
