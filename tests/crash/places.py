"""Where stores are made for trials: files that are copied, databases that are made from a template."""

import asyncio
import itertools
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from core.stores.sqlite import SQLiteStore
from tests.crash.child import migrate_postgres
from tests.services import run_script, run_sql

SERVERS = itertools.count()
DISCONNECT_OTHERS = (
    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
)
# Deleting a few rows is quicker than truncating many tables; as a replica nobody asks in which order.
EMPTY = """
SET session_replication_role = replica;
DO $$
DECLARE name text;
BEGIN
    FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'tapewatch' AND tablename <> 'migration' LOOP
        EXECUTE format('DELETE FROM tapewatch.%I', name);
    END LOOP;
END $$
"""


@dataclass
class SQLitePlaces:
    """Implements `Places` for files in a folder."""

    folder: Path
    name: str = "sqlite"
    calls: tuple[str, ...] = ("pwrite64", "write", "fdatasync", "fsync", "ftruncate", "rename", "unlink")
    errors: tuple[tuple[str, str], ...] = (
        *(("pwrite64", "ENOSPC"), ("pwrite64", "EIO"), ("fdatasync", "EIO")),
        *(("ftruncate", "EIO"), ("unlink", "EIO")),
    )
    options: tuple[str, ...] = ("--checkpoint", "60")

    def __post_init__(self) -> None:
        self._numbers = itertools.count()
        self._prepared = self.folder / "prepared.db"
        asyncio.run(_prepare(f"sqlite:///{self._prepared}"))

    def fresh(self, *, is_bare: bool = False) -> str:
        path = self.folder / f"{next(self._numbers)}.db"
        if not is_bare:
            shutil.copy(self._prepared, path)
        return f"sqlite:///{path}"

    def drop(self, url: str) -> None:
        path = Path(url.removeprefix("sqlite:///"))
        for file in path.parent.glob(f"{path.name}*"):
            file.unlink()


class Server(Protocol):
    """A PostgreSQL that databases may be made on."""

    def url(self, database: str = ...) -> str: ...


@dataclass
class PostgresPlaces:
    """Implements `Places` for databases of a server."""

    server: Server
    name: str = "postgres"
    calls: tuple[str, ...] = ("sendto", "recvfrom", "write")
    errors: tuple[tuple[str, str], ...] = (("sendto", "ECONNRESET"), ("sendto", "EPIPE"), ("recvfrom", "ECONNRESET"))
    options: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self._prefix = f"crash_{os.getpid()}_{next(SERVERS)}"
        self._numbers = itertools.count()
        self._template = self._create()
        migrate_postgres(self._template)
        self._idle: list[str] = []
        self._bare: set[str] = set()

    def fresh(self, *, is_bare: bool = False) -> str:
        """A database that was emptied is as good as a new one, and there at once."""
        if is_bare:
            url = self._create()
            self._bare.add(url)
            return url
        return self._idle.pop() if self._idle else self._create(f" TEMPLATE {_database(self._template)}")

    def drop(self, url: str) -> None:
        """What a dead client had begun ends here, too."""
        if url in self._bare:
            self._bare.remove(url)
            self._destroy(url)
        else:
            run_script(url, DISCONNECT_OTHERS)
            run_script(url, EMPTY)
            self._idle.append(url)

    def close(self) -> None:
        for url in (*self._idle, self._template):
            self._destroy(url)

    def _create(self, template: str = "") -> str:
        name = f"{self._prefix}_{next(self._numbers)}"
        run_sql(self.server.url(), f"CREATE DATABASE {name}{template}")
        return self.server.url(name)

    def _destroy(self, url: str) -> None:
        run_sql(self.server.url(), f"DROP DATABASE {_database(url)} WITH (FORCE)")


def _database(url: str) -> str:
    return urlsplit(url).path[1:]


async def _prepare(url: str) -> None:
    await (await SQLiteStore.open(url)).close()
