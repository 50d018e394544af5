"""The databases that programs write into: empty for each of them, looked at afterwards."""

import asyncio
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

import asyncpg
import psutil

from core.servers import PostgresOptions, PostgresServer

# Durable, and large enough that its own housekeeping is not what is measured; the same for every program.
SETTINGS = {"shared_buffers": "1GB", "max_wal_size": "4GB", "autovacuum": "off"}
OPTIONS = PostgresOptions(is_durable=True, settings=SETTINGS)
NAME = "bench"


class Database(Protocol):
    """`url` is where programs write to."""

    url: str

    def renew(self) -> None:
        """Make it empty."""
        ...

    def settle(self) -> None:
        """Let what earlier programs left to write reach the disk, so that the next does not pay for it."""
        ...

    def size(self) -> int:
        """Bytes on disk."""
        ...

    def count(self, table: str) -> int:
        """Rows of a table."""
        ...

    def cpu_seconds(self) -> float:
        """What the server has used so far, in all its processes."""
        ...


class SQLiteFile:
    def __init__(self, place: Path) -> None:
        self.path = place / "sqlite" / "bench.db"
        self.url = f"sqlite:///{self.path}"

    def renew(self) -> None:
        """Others know nothing of WAL; the file remembers it for them. Some put further files beside it."""
        shutil.rmtree(self.path.parent, ignore_errors=True)
        self.path.parent.mkdir()
        with closing(sqlite3.connect(self.path)) as db:
            db.execute("PRAGMA journal_mode = WAL")

    def settle(self) -> None:
        os.sync()

    def size(self) -> int:
        return self.path.stat().st_size

    def count(self, table: str) -> int:
        with closing(sqlite3.connect(self.path)) as db:
            return int(db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])

    def cpu_seconds(self) -> float:
        return 0.0


class Postgres:
    """A database of a server that runs as long as the benchmark does."""

    def __init__(self, server: PostgresServer) -> None:
        self.server = server
        self.url = server.url(NAME)

    def renew(self) -> None:
        asyncio.run(self._do(self.server.url(), f"DROP DATABASE IF EXISTS {NAME} WITH (FORCE)"))
        asyncio.run(self._do(self.server.url(), f"CREATE DATABASE {NAME}"))

    def settle(self) -> None:
        asyncio.run(self._do(self.server.url(), "CHECKPOINT"))

    def size(self) -> int:
        return int(asyncio.run(self._do(self.url, "SELECT pg_database_size(current_database())")))

    def count(self, table: str) -> int:
        """Ours are in a schema of their own, those of others in the usual one."""
        return int(asyncio.run(self._do(self.url, f"SELECT count(*) FROM {table}")))

    def version(self) -> str:
        return str(asyncio.run(self._do(self.server.url(), "SHOW server_version")))

    def cpu_seconds(self) -> float:
        """The postmaster adds up those that have ended."""
        postmaster = psutil.Process(self.server.pid)
        times = [sum(postmaster.cpu_times()[:4])]
        for child in postmaster.children():
            try:
                times.append(sum(child.cpu_times()[:2]))
            except psutil.NoSuchProcess:
                continue
        return sum(times)

    @staticmethod
    async def _do(url: str, statement: str) -> Any:
        connection = await asyncpg.connect(url, server_settings={"search_path": "tapewatch, public"})
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()
