"""A TCP proxy that spoils what passes: Toxiproxy's eight toxics, and a cut around a statement of PostgreSQL.

    with FaultProxy(server.port) as proxy:
        proxy.add(Latency(0.5))                      # of what the server says
        cut = proxy.add(CutAt(is_commit, is_forwarded=True), "up")
        client(proxy.url(server.url()))

It lives in a thread of its own, so that tests without a loop, tests on virtual time and tests of other processes
drive it by plain calls, which return when the change is in force. Toxics act on connections that are open too;
they stand in a row, what was added first acts first. When the server cannot be reached, a client's connection
is accepted and closed.
"""

import asyncio
import socket
import struct
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import suppress
from typing import Any, Literal, Self, TypeVar
from urllib.parse import urlsplit

from core.servers import free_port

Direction = Literal["up", "down"]  # from client to server, from server to client
T = TypeVar("T", bound="Toxic")
Onward = Callable[[bytes], Awaitable[None]]
CHUNK = 65_536
QUEUE = 64
LINGER_NOT = struct.pack("ii", 1, 0)
STEP_SECONDS = 0.05
PATIENCE = 30
PROTOCOL_3 = 3
ENCRYPTION_REQUEST = 8  # bytes, and all that a client says before it introduces itself
FLUSH = b"H\0\0\0\4"


class Toxic:
    """Passes everything on as it is. Toxics change one of three moments of one direction of a connection."""

    async def carry(self, data: bytes, link: "Link", onward: Onward) -> None:
        """Hand on what becomes of `data`, when its time has come."""
        await onward(data)

    async def finish(self, link: "Link") -> None:
        """Before the other side is told that no more data comes."""

    async def haunt(self, link: "Link") -> None:
        """Beside the data, for as long as both the toxic and the connection last."""


class Latency(Toxic):
    """Everything arrives `seconds` later; the throughput stays."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    async def carry(self, data: bytes, link: "Link", onward: Onward) -> None:
        await link.pause(self, link.arrived + self.seconds)
        await onward(data)


class Bandwidth(Toxic):
    """So many bytes a second and no more."""

    def __init__(self, rate: float) -> None:
        self.rate = rate

    async def carry(self, data: bytes, link: "Link", onward: Onward) -> None:
        step = max(1, int(self.rate * STEP_SECONDS))
        for piece in pieces(data, step):
            await link.pause(self, link.time() + len(piece) / self.rate)
            await onward(piece)


class SlowClose(Toxic):
    """The end of the data is told `seconds` later."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    async def finish(self, link: "Link") -> None:
        await link.pause(self, link.time() + self.seconds)


class Timeout(Toxic):
    """Nothing passes, and what is sent is lost; the connection is closed after `seconds`, with 0 never."""

    def __init__(self, seconds: float = 0) -> None:
        self.seconds = seconds

    async def carry(self, data: bytes, link: "Link", onward: Onward) -> None:
        pass

    async def haunt(self, link: "Link") -> None:
        if self.seconds:
            await asyncio.sleep(self.seconds)
            link.end()


class ResetPeer(Toxic):
    """The connection is reset (RST) after `seconds`."""

    def __init__(self, seconds: float = 0) -> None:
        self.seconds = seconds

    async def haunt(self, link: "Link") -> None:
        await asyncio.sleep(self.seconds)
        link.end(is_reset=True)


class Slicer(Toxic):
    """Data comes in pieces of `size` bytes, `seconds` apart."""

    def __init__(self, size: int, seconds: float = 0) -> None:
        self.size = size
        self.seconds = seconds

    async def carry(self, data: bytes, link: "Link", onward: Onward) -> None:
        for piece in pieces(data, self.size):
            await onward(piece)
            await link.pause(self, link.time() + self.seconds)


class LimitData(Toxic):
    """After `size` bytes of a connection it is closed."""

    def __init__(self, size: int) -> None:
        self.size = size

    async def carry(self, data: bytes, link: "Link", onward: Onward) -> None:
        left = link.notes.setdefault(self, self.size)
        link.notes[self] = left - len(data)
        await onward(data[:left])
        if left <= len(data):
            link.end()


class CutAt(Toxic):
    """Resets a connection around a statement of PostgreSQL's protocol; a toxic of the direction "up".

    With `is_forwarded` the server carries the statement out, and the client never hears of it; otherwise the server
    never hears of it. The first `skip` that match pass, the next `times` are cut, later ones pass again; `matched`
    and `cuts` count them, `happened` is set from the first cut on. TLS cannot be looked into; statements that
    were prepared before the toxic was added are not known (asyncpg keeps them): add it early, with `times=0`.
    """

    def __init__(self, matches: Callable[[str], bool], *, is_forwarded: bool, skip: int = 0, times: int = 1) -> None:
        self.is_forwarded = is_forwarded
        self.matched = 0
        self.cuts = 0
        self.happened = threading.Event()
        self._matches = matches
        self._due = range(skip, skip + times)

    def arm(self, *, skip: int = 0, times: int = 1) -> None:
        """Cut again: of those that match from now on, so many after so many."""
        self._due = range(self.matched + skip, self.matched + skip + times)

    async def carry(self, data: bytes, link: "Link", onward: Onward) -> None:
        for message, statement in self._frontend(link).feed(data):
            if not self._is_due(statement):
                await onward(message)
                continue
            if self.is_forwarded:
                await self._forward(message, link, onward)
            self.cuts += 1
            self.happened.set()
            link.end(is_reset=True)
            return

    def _frontend(self, link: "Link") -> "Frontend":
        known: Frontend = link.notes.setdefault(self, Frontend(has_started=link.passed > ENCRYPTION_REQUEST))
        return known

    def _is_due(self, statement: str | None) -> bool:
        if statement is None or not self._matches(statement):
            return False
        self.matched += 1
        return self.matched - 1 in self._due

    async def _forward(self, message: bytes, link: "Link", onward: Onward) -> None:
        """Returns once the server has answered: then it has done it. A client that prepared would flush later."""
        answered = link.other.swallow()
        await onward(message + FLUSH if message.startswith(b"E") else message)
        await answered.wait()


def is_commit(statement: str) -> bool:
    """Whether a transaction ends well here."""
    words = statement.upper().split()
    return bool(words) and words[0] in {"COMMIT", "END"} and "PREPARED" not in words


class Frontend:
    """What a client of PostgreSQL says, in whole messages, with the statement of those that carry one out.

    A query of several statements counts as its last one.
    """

    def __init__(self, *, has_started: bool = False) -> None:
        self._rest = b""
        self._has_started = has_started
        self._statements: dict[bytes, str] = {}
        self._portals: dict[bytes, str] = {}

    def feed(self, data: bytes) -> Iterator[tuple[bytes, str | None]]:
        """The messages that are complete by now; what is not is kept for the next time."""
        self._rest += data
        while len(self._rest) >= (size := self._size()):
            message, self._rest = self._rest[:size], self._rest[size:]
            yield message, self._statement(message)

    def _size(self) -> int:
        """Of the message that begins here; while its length is not known, more than there is."""
        kind = 1 if self._has_started else 0
        head = self._rest[kind : kind + 4]
        return kind + int.from_bytes(head, "big") if len(head) == 4 else len(self._rest) + 1

    def _statement(self, message: bytes) -> str | None:
        if not self._has_started:
            # Requests for encryption and cancellation have codes above all protocol versions.
            self._has_started = int.from_bytes(message[4:6], "big") == PROTOCOL_3
            return None
        match message[:1], message[5:].split(b"\0", 2):
            case b"Q", [query, *_]:
                return last_statement(query)
            case b"P", [name, query, *_]:
                self._statements[name] = last_statement(query)
            case b"B", [portal, name, *_]:
                self._portals[portal] = self._statements.get(name, "")
            case b"E", [portal, *_]:
                return self._portals.get(portal, "")
        return None


def last_statement(query: bytes) -> str:
    return query.decode("utf-8", "replace").rstrip("; \t\r\n").rsplit(";", 1)[-1].strip()


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


class Toxics:
    """Those of one direction, in their order."""

    def __init__(self) -> None:
        self.all: list[Toxic] = []
        self._changed = asyncio.Event()

    async def change(self, toxics: list[Toxic]) -> None:
        """A coroutine, so that it happens on the connections' loop."""
        self.all = toxics
        self._changed.set()
        self._changed = asyncio.Event()

    async def until_changed(self) -> None:
        await self._changed.wait()


class Link:
    """One direction of a connection. `arrived` is the loop's time at which the data in hand came in, `passed` how
    much came before it; `notes` are what toxics remember of this connection.
    """

    other: "Link"

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        toxics: Toxics,
        end: Callable[[bool], None],
    ) -> None:
        self.arrived = 0.0
        self.passed = 0
        self.notes: dict[Toxic, Any] = {}
        self._reader = reader
        self._writer = writer
        self._toxics = toxics
        self._end = end
        self._queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(QUEUE)
        self._swallowed: asyncio.Event | None = None
        self._is_over = False

    async def run(self) -> None:
        """Until all data has passed."""
        haunting = asyncio.create_task(self._haunt())
        reading = asyncio.create_task(self._read())
        try:
            await self._write()
        finally:
            haunting.cancel()
            reading.cancel()
            await asyncio.gather(haunting, reading, return_exceptions=True)

    def end(self, *, is_reset: bool = False) -> None:
        """Both directions, at once; what is waiting here does not pass any more."""
        self._is_over = True
        self._end(is_reset)

    def swallow(self) -> asyncio.Event:
        """From now on nothing passes; the event tells of the first data, or the end, that would have passed."""
        self._swallowed = asyncio.Event()
        return self._swallowed

    def time(self) -> float:
        return asyncio.get_running_loop().time()

    async def pause(self, toxic: Toxic, until: float) -> None:
        """Wait for the loop's time `until`, or until `toxic` is removed."""
        with suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                while toxic in self._toxics.all:
                    await self._toxics.until_changed()

    async def _read(self) -> None:
        data = b"."
        while data:
            try:
                data = await self._reader.read(CHUNK)
            except OSError:
                self.end(is_reset=True)
                return
            await self._queue.put((self.time(), data))

    async def _write(self) -> None:
        while not self._is_over and (data := await self._next()):
            if self._swallowed is None:
                await self._pass(data, self._toxics.all)
                self.passed += len(data)
        if self._is_over:
            return
        for toxic in self._toxics.all:
            await toxic.finish(self)
        with suppress(OSError):
            self._writer.write_eof()

    async def _next(self) -> bytes:
        """Empty at the end."""
        self.arrived, data = await self._queue.get()
        if self._swallowed is not None:
            self._swallowed.set()
        return data

    async def _pass(self, data: bytes, toxics: list[Toxic]) -> None:
        if toxics:
            first, *later = toxics
            await first.carry(data, self, lambda changed: self._pass(changed, later))
            return
        try:
            self._writer.write(data)
            await self._writer.drain()
        except OSError:
            self.end(is_reset=True)

    async def _haunt(self) -> None:
        """Lets every toxic do what it does beside the data, from when it is added until it is removed."""
        tasks: dict[Toxic, asyncio.Task[None]] = {}
        try:
            while True:
                for toxic in tasks.keys() - set(self._toxics.all):
                    tasks.pop(toxic).cancel()
                for toxic in self._toxics.all:
                    if toxic not in tasks:
                        tasks[toxic] = asyncio.create_task(toxic.haunt(self))
                await self._toxics.until_changed()
        finally:
            for task in tasks.values():
                task.cancel()
            await asyncio.gather(*tasks.values(), return_exceptions=True)


class Connection:
    """A client's connection and ours to the server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._client = reader, writer
        self._writers = [writer]
        self._task: asyncio.Task[None] | None = None

    def start(self, target: tuple[str, int], toxics: dict[Direction, Toxics]) -> "asyncio.Task[None]":
        self._task = asyncio.create_task(self._run(target, toxics))
        return self._task

    def end(self, is_reset: bool) -> None:
        if is_reset:
            for writer in self._writers:
                with suppress(OSError):  # closed before
                    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
                writer.transport.abort()
        if self._task is not None:
            self._task.cancel()

    async def _run(self, target: tuple[str, int], toxics: dict[Direction, Toxics]) -> None:
        try:
            with suppress(OSError):
                reader, writer = await asyncio.open_connection(*target)
                self._writers.append(writer)
                await self._link(reader, writer, toxics)
        finally:
            for writer in self._writers:
                writer.close()

    async def _link(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, toxics: dict[Direction, Toxics]
    ) -> None:
        up = Link(self._client[0], writer, toxics["up"], self.end)
        down = Link(reader, self._client[1], toxics["down"], self.end)
        up.other, down.other = down, up
        async with asyncio.TaskGroup() as both:
            both.create_task(up.run())
            both.create_task(down.run())


class FaultProxy:
    """In front of a server on the loopback, on a `port` of its own that it keeps when it is down."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self.port = free_port()
        self._target = host, port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault-proxy", daemon=True)
        self._server: asyncio.Server | None = None
        self._connections: dict[asyncio.Task[None], Connection] = {}
        self._toxics: dict[Direction, Toxics] = {"up": Toxics(), "down": Toxics()}

    def __enter__(self) -> Self:
        self._thread.start()
        self.bring_up()
        return self

    def __exit__(self, *_: object) -> None:
        self.take_down()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
        self._loop.close()

    def url(self, dsn: str) -> str:
        """The same DSN, through this proxy."""
        parts = urlsplit(dsn)
        user = f"{parts.netloc.rpartition('@')[0]}@" if "@" in parts.netloc else ""
        return parts._replace(netloc=f"{user}127.0.0.1:{self.port}").geturl()

    @property
    def connections(self) -> int:
        """How many are open now."""
        return len(self._connections)

    def add(self, toxic: T, direction: Direction = "down") -> T:
        """The same toxic, now in force."""
        toxics = self._toxics[direction]
        self._call(toxics.change([*toxics.all, toxic]))
        return toxic

    def remove(self, *removed: Toxic) -> None:
        """These toxics; without any, all. What they hold back goes on at once."""
        for toxics in self._toxics.values():
            self._call(toxics.change([found for found in toxics.all if removed and found not in removed]))

    def cut(self) -> None:
        """Reset every connection; new ones are welcome."""
        self._call(self._end_all())

    def take_down(self) -> None:
        """Toxiproxy's "down": every connection is reset, new ones are refused."""
        self._call(self._close())

    def bring_up(self) -> None:
        """After `take_down`, on the same port."""
        self._call(self._listen())

    def retarget(self, port: int, host: str = "127.0.0.1") -> None:
        """A failover: connections are reset, new ones lead to another server."""
        self._target = host, port
        self.cut()

    def _call(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(reader, writer)
        task = connection.start(self._target, self._toxics)
        self._connections[task] = connection
        task.add_done_callback(self._connections.pop)

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
        await self._end_all()

    async def _end_all(self) -> None:
        found = dict(self._connections)
        for connection in found.values():
            connection.end(is_reset=True)
        await asyncio.gather(*found, return_exceptions=True)
