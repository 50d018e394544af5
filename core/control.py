"""The engine's Unix socket: events out and commands in, one JSON object a line, both ends.

An engine never waits for a client: each has a bounded queue, on overflow it gets a `lost` line and a
new snapshot. A second socket may be opened that only emits; who may read it is decided by its file
mode, so "read-only for another Unix user" is enforced by the kernel and by us reading nothing there.

A socket path may have 107 bytes, so sockets lie in a short private runtime directory and the store's
lock file names them.
"""

import asyncio
import contextlib
import os
import socket
import stat
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec

from core import events
from core.bus import Bus, Subscription
from core.errors import ConfigError, EngineGone, TapewatchError
from core.events import PROTOCOL, Hello, Lost, Message, Reply

MAX_LINE = 16 * 1024 * 1024
CLIENT_QUEUE = 2_048
STALLED_CLIENT_SECONDS = 30.0
LONGEST_RUNTIME_DIRECTORY = 60
COMMANDS_AT_ONCE = 16


class Command(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a client sends: `id` comes back in the reply."""

    id: int
    command: str
    args: dict[str, Any] = {}


Handler = Callable[[str, dict[str, Any]], Awaitable[object]]


def runtime_directory(*, shared: bool = False) -> Path:
    """A directory of ours, short enough for socket paths, made when absent: mode 0700, 0750 when `shared`.

    Raises ConfigError when somebody else owns it, or it cannot be made.
    """
    base, name = Path(tempfile.gettempdir()), f"tapewatch-{os.getuid()}"
    given = os.environ.get("XDG_RUNTIME_DIR", "")
    # Nobody else can reach into the user's runtime directory, and a session without a login may lack it.
    if given and len(given) < LONGEST_RUNTIME_DIRECTORY and os.access(given, os.W_OK) and not shared:
        base, name = Path(given), "tapewatch"
    path = base / (name + "-shared" * shared)
    try:
        path.mkdir(mode=0o700, exist_ok=True)
        info = path.lstat()
    except OSError as error:
        raise ConfigError(f"{path} cannot be used for sockets: {error.strerror}; set XDG_RUNTIME_DIR") from error
    if info.st_uid != os.getuid() or not stat.S_ISDIR(info.st_mode):
        raise ConfigError(f"{path} belongs to another user; set XDG_RUNTIME_DIR to a directory of your own")
    path.chmod(0o750 if shared else 0o700)
    return path


def clear_stale(directory: Path) -> None:
    """Remove the sockets of engines that were killed: nobody answers on them."""
    for path in directory.glob("*.sock"):
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(path))
            except ConnectionRefusedError:
                path.unlink(missing_ok=True)
            except OSError:
                continue


class ControlServer:
    """Serves one engine's bus on a socket and passes commands to `handle`."""

    def __init__(self, bus: Bus, hello: Callable[[bool], Hello], handle: Handler) -> None:
        self._bus = bus
        self._hello = hello
        self._handle = handle
        self._clients: set[asyncio.Task[None]] = set()

    @property
    def clients(self) -> int:
        return len(self._clients)

    @contextlib.asynccontextmanager
    async def listening(self, path: Path, *, read_only: bool = False, mode: int = 0o600) -> AsyncIterator[None]:
        """Accept clients on `path` until the block ends, then disconnect them and remove the socket."""
        path.unlink(missing_ok=True)
        accept = self._accept_read_only if read_only else self._accept
        # The mode is set before anyone can connect: bind happens under this umask.
        before = os.umask(0o177)
        try:
            server = await asyncio.start_unix_server(accept, path, limit=MAX_LINE)
        finally:
            os.umask(before)
        path.chmod(mode)
        try:
            yield
        finally:
            server.close()
            for task in list(self._clients):
                task.cancel()
            await asyncio.gather(*self._clients, return_exceptions=True)
            path.unlink(missing_ok=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._serve(reader, writer, read_only=False)

    async def _accept_read_only(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._serve(reader, writer, read_only=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, read_only: bool) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a stream callback always runs in a task
        self._clients.add(task)
        try:
            with self._bus.subscribe(CLIENT_QUEUE) as subscription:
                await self._talk(reader, writer, subscription, read_only)
        except (OSError, asyncio.IncompleteReadError, ValueError, TimeoutError):
            pass  # the client went away, or talks something else: its own affair
        except asyncio.CancelledError:
            if not task.cancelling():
                raise
        finally:
            self._clients.discard(task)
            writer.transport.abort()

    async def _talk(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        subscription: Subscription,
        read_only: bool,
    ) -> None:
        await _write(writer, [self._hello(read_only), self._bus.snapshot()])
        emit = asyncio.create_task(self._emit(writer, subscription))
        obey = asyncio.create_task(_until_closed(reader) if read_only else self._obey(reader, writer))
        try:
            done, _ = await asyncio.wait({emit, obey}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in (emit, obey):
                task.cancel()
            await asyncio.gather(emit, obey, return_exceptions=True)

    async def _emit(self, writer: asyncio.StreamWriter, subscription: Subscription) -> None:
        while True:
            batch: list[events.Event] = list(await subscription.next_batch())
            if lost := subscription.take_lost():
                batch = [Lost(count=lost, seq=self._bus.seq), self._bus.snapshot()]
            await _write(writer, batch)

    async def _obey(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Commands begin in their order. None waits for one that takes long, such as a quote."""
        places = asyncio.Semaphore(COMMANDS_AT_ONCE)

        async def answer(line: bytes) -> None:
            # A client that does not take its answer is noticed by what is emitted to it.
            with contextlib.suppress(OSError):
                await _write(writer, [await self._reply(line)])
            places.release()

        async with asyncio.TaskGroup() as commands:
            # Of a client that went away, or talks something else, what it has ordered is done.
            with contextlib.suppress(OSError, ValueError):
                while line := await reader.readline():
                    await places.acquire()
                    commands.create_task(answer(line))

    async def _reply(self, line: bytes) -> Reply:
        try:
            command = msgspec.json.decode(line, type=Command)
        except msgspec.DecodeError as error:
            return Reply(id=0, ok=False, error=f"not a command: {error}")
        try:
            result = await self._handle(command.command, command.args)
        except TapewatchError as error:
            return Reply(id=command.id, ok=False, error=str(error), is_leaving=isinstance(error, EngineGone))
        except Exception as error:  # a task boundary: a defect ends one command, in words
            return Reply(id=command.id, ok=False, error=f"defect: {type(error).__name__}: {error}")
        return Reply(id=command.id, ok=True, result=result)


async def _until_closed(reader: asyncio.StreamReader) -> None:
    while await reader.read(4096):
        pass


async def _write(writer: asyncio.StreamWriter, batch: list[events.Event]) -> None:
    writer.write(b"".join(events.encode(event) + b"\n" for event in batch))
    async with asyncio.timeout(STALLED_CLIENT_SECONDS):
        await writer.drain()


class Connection:
    """A client's end. `messages()` must be read for replies to arrive."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, hello: Hello) -> None:
        self.hello = hello
        self._reader = reader
        self._writer = writer
        self._next_id = 0
        self._replies: dict[int, asyncio.Future[Reply]] = {}
        self._is_gone = False

    @classmethod
    async def open(cls, path: Path) -> "Connection":
        """Raises EngineGone when nobody answers, ConfigError when it speaks another protocol."""
        try:
            reader, writer = await asyncio.open_unix_connection(path, limit=MAX_LINE)
            async with asyncio.timeout(5):
                hello = events.decode(await reader.readline())
        except (OSError, TimeoutError, msgspec.DecodeError, ValueError) as error:
            raise EngineGone(f"no engine answers on {path}: {error or type(error).__name__}") from error
        if not isinstance(hello, Hello) or hello.protocol != PROTOCOL:
            writer.close()
            theirs = hello.protocol if isinstance(hello, Hello) else "something else"
            raise ConfigError(
                f"the engine on {path} speaks protocol {theirs}, this program {PROTOCOL}: use one version"
            )
        return cls(reader, writer, hello)

    async def messages(self) -> AsyncIterator[Message]:
        """Everything the engine says, replies excepted, until it goes away."""
        try:
            while line := await self._reader.readline():
                message = events.decode(line)
                if isinstance(message, Reply):
                    self._settle(message)
                else:
                    yield message
        except (OSError, ValueError):
            return
        finally:
            self._is_gone = True
            for waiting in self._replies.values():
                if not waiting.done():
                    waiting.set_exception(EngineGone("the engine went away before it answered"))

    async def command(self, name: str, **args: object) -> object:
        """The engine's result. Raises TapewatchError with its words when it refuses, EngineGone when it ends."""
        if self._is_gone:
            raise EngineGone("the engine has gone away")
        self._next_id += 1
        waiting: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._replies[self._next_id] = waiting
        try:
            self._writer.write(msgspec.json.encode(Command(self._next_id, name, args)) + b"\n")
            await self._writer.drain()
            reply = await waiting
        except OSError as error:
            raise EngineGone(f"the engine went away: {error}") from error
        finally:
            self._replies.pop(self._next_id, None)
        if not reply.ok:
            raise (EngineGone if reply.is_leaving else TapewatchError)(reply.error)
        return reply.result

    async def close(self) -> None:
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    def _settle(self, reply: Reply) -> None:
        waiting = self._replies.get(reply.id)
        if waiting is not None and not waiting.done():
            waiting.set_result(reply)
