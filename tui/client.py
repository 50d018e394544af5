"""The one way to the engine: connects, listens, and connects again when the engine goes away.

It reports to a `Listener` and never touches a widget. Waiting grows from half a second to five. Of other engines
there is only what their database knows, which is looked at now and then.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Protocol

from core.errors import ConfigError, EngineUnreachable, TapewatchError
from core.events import PROTOCOL, Hello, Message
from tui.state import Link, OtherJob

FIRST_WAIT = 0.5
LONGEST_WAIT = 5.0
MESSAGES_PER_TURN = 200
FLEET_SECONDS = 5.0


class Connection(Protocol):
    """A client's end of the control socket, as `core.control.Connection` is one."""

    hello: Hello

    def messages(self) -> AsyncIterator[Message]:
        """Everything the engine says until it goes away; the first message is a Snapshot."""

    async def command(self, name: str, **args: object) -> object:
        """The engine's result. Raises TapewatchError with the engine's words."""

    async def close(self) -> None:
        """Hang up; the engine works on."""


Connect = Callable[[], Awaitable[Connection]]
ReadFleet = Callable[[], Sequence[OtherJob]]
"""What all engines on the database do. May block, and raises TapewatchError."""


class Listener(Protocol):
    """Who is told."""

    def heard(self, message: Message) -> None:
        """One message, a Hello first."""

    def link_changed(self, link: Link) -> None:
        """The way to the engine opened, closed or waits."""


class EngineLink:
    """Keeps one connection alive for as long as `run` runs."""

    def __init__(
        self,
        connect: Connect,
        listener: Listener,
        now: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._connect = connect
        self._listener = listener
        self._now = now
        self._sleep = sleep
        self._connection: Connection | None = None

    async def run(self) -> None:
        """Never returns; ends by cancellation, which hangs up."""
        wait = FIRST_WAIT
        while True:
            phase, reason, was_online = await self._once()
            wait = FIRST_WAIT if was_online else wait
            now = self._now()
            self._listener.link_changed(Link(phase, now, reason, now + wait))
            await self._sleep(wait)
            wait = min(LONGEST_WAIT, wait * 2)

    async def command(self, name: str, **args: object) -> object:
        """Raises EngineUnreachable while there is no engine, else what the engine says."""
        if self._connection is None:
            raise EngineUnreachable("not connected to an engine")
        return await self._connection.command(name, **args)

    async def _once(self) -> tuple[str, str, bool]:
        """Phase, reason and whether we were online, when one attempt is over."""
        try:
            connection = await self._connect()
        except ConfigError as error:
            return "refused", str(error), False
        except (TapewatchError, OSError) as error:
            return "connecting", str(error) or type(error).__name__, False
        try:
            return await self._follow(connection)
        finally:
            self._connection = None
            await connection.close()

    async def _follow(self, connection: Connection) -> tuple[str, str, bool]:
        theirs = connection.hello.protocol
        if theirs != PROTOCOL:
            reason = f"the engine speaks protocol {theirs}, this dashboard {PROTOCOL}: use one version"
            return "refused", reason, False
        self._connection = connection
        self._listener.link_changed(Link("online", self._now()))
        self._listener.heard(connection.hello)
        try:
            await self._listen(connection)
        except Exception as error:
            return "lost", f"the connection broke: {type(error).__name__}: {error}", True
        return "lost", "the engine went away", True

    async def _listen(self, connection: Connection) -> None:
        number = 0
        async for message in connection.messages():
            self._listener.heard(message)
            number += 1
            if number % MESSAGES_PER_TURN == 0:
                # A full buffer is read without suspending: keys need their turn.
                await asyncio.sleep(0)


class FleetWatch:
    """Reads what the fleet does on a thread of its own: a database may take its time, and who leaves does not wait.

    `tell` is called on that thread, with the jobs or why they are not known.
    """

    def __init__(self, read: ReadFleet, tell: Callable[[Sequence[OtherJob], str], object]) -> None:
        self._read = read
        self._tell = tell
        self._is_over = threading.Event()

    def start(self) -> None:
        threading.Thread(target=self._run, name="fleet", daemon=True).start()

    def stop(self) -> None:
        self._is_over.set()

    def _run(self) -> None:
        while not self._is_over.is_set():
            try:
                found, trouble = self._read(), ""
            except Exception as error:
                found, trouble = (), str(error) or type(error).__name__
            if not self._is_over.is_set():
                self._tell(found, trouble)
            self._is_over.wait(FLEET_SECONDS)
