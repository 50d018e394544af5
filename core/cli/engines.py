"""Finding, starting and asking the engine that holds a store."""

import asyncio
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

from core.config import Loaded, key_fingerprint, state_directory
from core.control import Connection
from core.errors import EngineUnreachable
from core.events import PROTOCOL, AnyEvent, Snapshot
from core.stores.lock import Holder, login_name
from core.stores.opening import engines_of, is_postgres, reading

START_SECONDS = 15.0
SNAPSHOT_SECONDS = 5.0


def holder(loaded: Loaded) -> Holder | None:
    """The engine that holds the store now, if any; of those side by side one here that takes jobs like ours.

    Without a loop: it may have to ask the database.
    """
    found = engines_of(loaded.database)
    if is_postgres(loaded.database):
        found = [engine for engine in found if engine.takes_jobs and _is_ours(loaded, engine)]
    return next(iter(found), None)


def _is_ours(loaded: Loaded, engine: Holder) -> bool:
    """Whether it is one that we would start ourselves."""
    ours = (True, login_name(), loaded.settings.base_url, key_fingerprint(loaded.key))
    return (engine.is_here, engine.user, engine.source, engine.key) == ours


def engine_of(loaded: Loaded, job: str) -> Holder | None:
    """The engine that runs `job` (a job or a run id), if it is at work; any one of ours where nobody knows it.

    Raises EngineUnreachable when it is on another host.
    """
    if is_postgres(loaded.database):
        with reading(loaded.database) as reader:
            owner = next((run.engine for run in reader.runs(10_000) if run.is_called(job)), "")
        found = next((engine for engine in engines_of(loaded.database) if engine.name == owner), None)
        if found is not None and not found.is_here:
            raise EngineUnreachable(f"job {job} is of an engine on {found.host} (pid {found.pid}); ask there")
        if found is not None:
            return found
    return nearest(loaded)


def nearest(loaded: Loaded) -> Holder | None:
    """An engine on the store that can be asked from here, one that takes jobs before one that does not.

    Raises EngineUnreachable when all there are are on other hosts.
    """
    found = engines_of(loaded.database)
    here = sorted((engine for engine in found if engine.is_here), key=lambda engine: not engine.takes_jobs)
    if found and not here:
        places = ", ".join(sorted({f"{engine.host} (pid {engine.pid})" for engine in found}))
        raise EngineUnreachable(f"the engines on the store are on other hosts: {places}; ask there")
    return next(iter(here), None)


async def find(loaded: Loaded) -> Holder | None:
    """As `holder`, beside a running loop."""
    return await asyncio.to_thread(holder, loaded)


@contextlib.asynccontextmanager
async def connected(loaded: Loaded, job: str | None = None) -> AsyncIterator[Connection]:
    """A connection to the running engine, or to that of `job`. Raises EngineUnreachable when there is none."""
    found = await asyncio.to_thread(nearest if job is None else partial(engine_of, job=job), loaded)
    if found is None:
        raise EngineUnreachable("no engine is running on this store; `tapewatch dash` starts one")
    connection = await open_connection(found)
    try:
        yield connection
    finally:
        await connection.close()


async def open_connection(found: Holder) -> Connection:
    """A connection to that engine. Raises EngineUnreachable, saying whose it is when it is not for us."""
    if found.protocol != PROTOCOL:
        raise EngineUnreachable(
            f"the engine on the store (pid {found.pid}, user {found.user}) speaks version {found.protocol} of the "
            f"protocol, this command {PROTOCOL}: use the Tapewatch that started it, or end it first"
        )
    try:
        return await Connection.open(Path(found.socket))
    except EngineUnreachable as error:
        if found.user != login_name():
            raise EngineUnreachable(
                f"the engine on the store (pid {found.pid}) is user {found.user}'s: ask as that user"
            ) from error
        raise


def snapshot(engine: Holder) -> tuple[AnyEvent, ...]:
    """How things stand with an engine of this machine; nothing when it cannot be asked."""
    if not engine.is_here:
        return ()
    try:
        return asyncio.run(_snapshot(engine))
    except (EngineUnreachable, TimeoutError):
        return ()


async def _snapshot(engine: Holder) -> tuple[AnyEvent, ...]:
    async with asyncio.timeout(SNAPSHOT_SECONDS):
        connection = await open_connection(engine)
        try:
            async for message in connection.messages():
                if isinstance(message, Snapshot):
                    return message.events
        finally:
            await connection.close()
    return ()


async def ask(loaded: Loaded, command: str, **args: object) -> object:
    """One command to the running engine, or that of the `job` among `args`, and its result."""
    job = args.get("job")
    async with connected(loaded, None if job is None else str(job)) as connection:
        reading = asyncio.create_task(_read(connection))
        try:
            return await connection.command(command, **args)
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)


async def _read(connection: Connection) -> None:
    async for _ in connection.messages():
        pass


def surroundings(loaded: Loaded) -> dict[str, str]:
    """The environment that gives a program of ours these settings, besides their file.

    Not flags: others can read those, and there may be passwords in them.
    """
    settings = loaded.settings
    return {
        "TAPEWATCH_DB": loaded.database,
        "TAPEWATCH_BASE_URL": settings.base_url,
        "TAPEWATCH_CACHE": settings.cache,
        "TAPEWATCH_STATE": settings.state,
        "TAPEWATCH_ENGINE__MAX_WAIT": str(settings.engine.max_wait),
        "TAPEWATCH_CACHING__WARM_ON_START": str(settings.caching.warm_on_start),
    }


class EngineChild:
    """A dashboard's engine: a process of its own session, so that the terminal's Ctrl-C is not for it."""

    def __init__(self, loaded: Loaded, linger: float | None = None) -> None:
        self.loaded = loaded
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
            found = await find(self.loaded)
            if found is not None:
                with contextlib.suppress(EngineUnreachable):
                    return await open_connection(found)
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
        command = [sys.executable, "-m", "core.cli", "engine"]
        if self.loaded.path is not None:
            command += ["--config_file", str(self.loaded.path)]
        if self._linger is not None:
            command += ["--linger", str(self._linger)]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own program, a list, no shell
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, **surroundings(self.loaded)},
            )

    def _has_failed(self) -> bool:
        return self._process is not None and self._process.poll() not in {None, 0}

    def _last_words(self) -> str:
        try:
            lines = self.log.read_text("utf-8", "replace").strip().splitlines()
        except OSError:
            return "its log cannot be read"
        return lines[-1] if lines else "it said nothing"
