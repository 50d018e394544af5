"""Finding, starting and asking the engine that holds a store."""

import asyncio
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

from core.config import Loaded, state_directory
from core.control import Connection
from core.errors import EngineUnreachable
from core.stores import sqlite_path
from core.stores.lock import Holder, lock_path, read_holder

START_SECONDS = 15.0


def holder(loaded: Loaded) -> Holder | None:
    """The engine that holds the store now, if any."""
    return read_holder(lock_path(sqlite_path(loaded.database)))


@contextlib.asynccontextmanager
async def connected(loaded: Loaded) -> AsyncIterator[Connection]:
    """A connection to the running engine. Raises EngineUnreachable when there is none."""
    found = holder(loaded)
    if found is None:
        raise EngineUnreachable("no engine is running on this store; `tapewatch dash` starts one")
    connection = await Connection.open(Path(found.socket))
    try:
        yield connection
    finally:
        await connection.close()


async def ask(loaded: Loaded, command: str, **args: object) -> object:
    """One command to the running engine and its result."""
    async with connected(loaded) as connection:
        reading = asyncio.create_task(_read(connection))
        try:
            return await connection.command(command, **args)
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)


async def _read(connection: Connection) -> None:
    async for _ in connection.messages():
        pass


class EngineChild:
    """A dashboard's engine: a process of its own session, so that the terminal's Ctrl-C is not for it."""

    def __init__(self, loaded: Loaded, linger: float | None = None) -> None:
        self._loaded = loaded
        self._linger = linger
        self._process: subprocess.Popen[bytes] | None = None
        self.log = state_directory(loaded.settings) / "engine.log"

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    async def connect(self) -> Connection:
        """Attach to the engine that holds the store, starting one when there is none.

        Raises EngineUnreachable, naming the engine's log, when it does not come up.
        """
        deadline = time.monotonic() + START_SECONDS
        while True:
            found = holder(self._loaded)
            if found is not None:
                with contextlib.suppress(EngineUnreachable):
                    return await Connection.open(Path(found.socket))
            elif not self.is_running:
                self._start()
            if time.monotonic() > deadline or self._has_failed():
                raise EngineUnreachable(f"the engine did not start: {self._last_words()} (see {self.log})")
            await asyncio.sleep(0.05)

    def wait(self, timeout: float | None = None) -> None:
        if self._process is not None:
            self._process.wait(timeout)

    def signal(self, number: int) -> None:
        if self._process is not None and self.is_running:
            self._process.send_signal(number)

    def _start(self) -> None:
        settings = self._loaded.settings
        command = [sys.executable, "-m", "core.cli", "engine", "--db", self._loaded.database]
        command += ["--base_url", settings.base_url, "--cache", settings.cache]
        command += ["--max_wait", str(settings.engine.max_wait)]
        if self._loaded.path is not None:
            command += ["--config_file", str(self._loaded.path)]
        if self._linger is not None:
            command += ["--linger", str(self._linger)]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own program, a list, no shell
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=os.environ,
            )

    def _has_failed(self) -> bool:
        return self._process is not None and self._process.poll() not in {None, 0}

    def _last_words(self) -> str:
        try:
            lines = self.log.read_text("utf-8", "replace").strip().splitlines()
        except OSError:
            return "its log cannot be read"
        return lines[-1] if lines else "it said nothing"
