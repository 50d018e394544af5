"""Stand-ins for what is outside of us, and generators of what may come from there. No mocks of our own code."""

import asyncio
import random
import socket
import struct
from collections.abc import Awaitable, Callable

POISON = (b"null", b"true", b"1e999", b"NaN", b'"', b"[", b"{", b"}", b"\\ud800", b"\x00", b"\xff", b"-", b"9" * 50)


def mutated(body: bytes, chance: random.Random) -> bytes:
    """`body` with one to four small wounds: bytes changed, cut out, doubled, or something odd put in."""
    wounded = bytearray(body)
    for _ in range(chance.randint(1, 4)):
        at, length = chance.randrange(len(wounded) + 1), chance.randint(1, 8)
        match chance.randrange(4):
            case 0:
                wounded[at : at + 1] = bytes([chance.randrange(256)])
            case 1:
                del wounded[at : at + length]
            case 2:
                wounded[at:at] = wounded[at : at + length]
            case _:
                wounded[at:at] = chance.choice(POISON)
    return bytes(wounded)


class ManualClock:
    """Monotonic seconds that pass when told to."""

    def __init__(self, now: float = 1_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def pass_(self, seconds: float) -> None:
        self.now += seconds


Action = Callable[[asyncio.StreamWriter], Awaitable[None]]


def answering(
    body: bytes = b'{"Data":[],"Err":{}}', status: str = "200 OK", length: int | None = None, **headers: str
) -> Action:
    """An ordinary answer; `length` is what it claims to be long, `headers` have _ for -."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body) if length is None else length}", "Connection: close"]
    lines += ["Content-Type: application/json"] if "Content_Type" not in headers else []
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return saying("\r\n".join(lines).encode() + b"\r\n\r\n" + body)


def saying(raw: bytes) -> Action:
    """Any bytes, then the end."""

    async def act(writer: asyncio.StreamWriter) -> None:
        writer.write(raw)
        await writer.drain()

    return act


class RawServer:
    """A server that breaks the protocol on request, one action a connection; `heads` are the requests it read."""

    def __init__(self, *actions: Action) -> None:
        self.heads: list[str] = []
        self.url = ""
        self.was_asked = asyncio.Event()
        self._actions = list(actions)
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> "RawServer":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            self.heads.append(head.decode())
            self.was_asked.set()
            # The last action repeats.
            action = self._actions.pop(0) if len(self._actions) > 1 else self._actions[0]
            await action(writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()


async def resetting(writer: asyncio.StreamWriter) -> None:
    """A connection reset instead of an answer."""
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def silent(_writer: asyncio.StreamWriter) -> None:
    """A connection that is accepted and never answered."""
    await asyncio.Event().wait()


def dripping(body: bytes, seconds: float) -> Action:
    """A body of one byte every `seconds`: no read ever waits long, and all of them for ever."""

    async def act(writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode())
        for byte in body:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(seconds)

    return act


def flooding(head: bytes, chunk: bytes) -> Action:
    """A body without an end."""

    async def act(writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        while True:
            writer.write(chunk)
            await writer.drain()

    return act
