"""The fault proxy: what each toxic does to a stream, on virtual time, and what becomes of real connections."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator
from functools import partial

import pytest

from tests.fakes import VirtualTimeLoop
from tests.fault_proxy import (
    FLUSH,
    Bandwidth,
    CutAt,
    FaultProxy,
    Frontend,
    Latency,
    LimitData,
    Link,
    ResetPeer,
    Slicer,
    SlowClose,
    Timeout,
    Toxic,
    Toxics,
    is_commit,
    last_statement,
)

END = b"end"
RESET = b"reset"
PATIENCE = 30


class Stream:
    """One direction on virtual time: what is said into it, and when what of it arrives."""

    def __init__(self, *toxics: Toxic) -> None:
        self.toxics = Toxics()
        self.toxics.all = list(toxics)
        self.reader = asyncio.StreamReader()
        self.link = Link(self.reader, self, self.toxics, self._end)  # type: ignore[arg-type]
        self.arrived: list[tuple[float, bytes]] = []
        self._start = asyncio.get_running_loop().time()
        self._task = asyncio.create_task(self.link.run())

    def write(self, data: bytes) -> None:
        passed = asyncio.get_running_loop().time() - self._start
        self.arrived.append((round(passed, -1), data))

    def write_eof(self) -> None:
        self.write(END)

    async def drain(self) -> None: ...

    def _end(self, is_reset: bool) -> None:
        self.write(RESET if is_reset else END)
        self._task.cancel()

    async def end(self) -> list[tuple[float, bytes]]:
        await asyncio.gather(self._task, return_exceptions=True)
        return self.arrived


def virtually(work: Callable[[], Awaitable[object]]) -> object:
    with asyncio.Runner(loop_factory=partial(VirtualTimeLoop, 0.002)) as runner:
        return runner.run(work())  # type: ignore[arg-type]


def carried(toxic: Toxic, *chunks: bytes) -> object:
    """What arrives when `chunks` are said a thousand seconds apart, and then the end."""

    async def work() -> list[tuple[float, bytes]]:
        stream = Stream(toxic)
        for chunk in chunks:
            stream.reader.feed_data(chunk)
            await asyncio.sleep(1_000)
        stream.reader.feed_eof()
        return await stream.end()

    return virtually(work)


@pytest.mark.parametrize(
    ("toxic", "arrives"),
    [
        (Toxic(), [(0, b"abcd"), (1_000, b"ef"), (2_000, END)]),
        (Latency(2_500), [(2_500, b"abcd"), (3_500, b"ef"), (3_500, END)]),
        (
            Bandwidth(0.01),
            [(100 * n, b"abcdef"[n - 1 : n]) for n in range(1, 5)] + [(1_100, b"e"), (1_200, b"f"), (2_000, END)],
        ),
        (SlowClose(7_000), [(0, b"abcd"), (1_000, b"ef"), (9_000, END)]),
        (Timeout(), [(2_000, END)]),
        (Timeout(500), [(500, END)]),
        (ResetPeer(1_500), [(0, b"abcd"), (1_000, b"ef"), (1_500, RESET)]),
        (Slicer(3, 250), [(0, b"abc"), (250, b"d"), (1_000, b"ef"), (2_000, END)]),
        (LimitData(5), [(0, b"abcd"), (1_000, b"e"), (1_000, END)]),
        (LimitData(4), [(0, b"abcd"), (0, END)]),
    ],
)
def test_what_a_toxic_does(toxic: Toxic, arrives: list[tuple[float, bytes]]) -> None:
    assert carried(toxic, b"abcd", b"ef") == arrives


def test_toxics_stand_in_a_row() -> None:
    async def work() -> list[tuple[float, bytes]]:
        stream = Stream(Latency(1_000), Slicer(2))
        stream.reader.feed_data(b"abcd")
        stream.reader.feed_eof()
        return await stream.end()

    assert virtually(work) == [(1_000, b"ab"), (1_000, b"cd"), (1_000, END)]


def test_what_a_toxic_held_back_goes_on_when_it_is_removed() -> None:
    async def work() -> list[tuple[float, bytes]]:
        stream = Stream(Bandwidth(0.001), SlowClose(50_000))
        stream.reader.feed_data(b"ab")
        await asyncio.sleep(500)
        await stream.toxics.change([])
        stream.reader.feed_eof()
        return await stream.end()

    assert virtually(work) == [(500, b"a"), (500, b"b"), (500, END)]


def test_a_toxic_acts_on_what_is_open_already() -> None:
    async def work() -> list[tuple[float, bytes]]:
        stream = Stream()
        stream.reader.feed_data(b"ab")
        await asyncio.sleep(500)
        await stream.toxics.change([ResetPeer(100)])
        return await stream.end()

    assert virtually(work) == [(0, b"ab"), (600, RESET)]


# What clients of PostgreSQL say.


def message(kind: bytes, *texts: bytes) -> bytes:
    body = b"".join(text + b"\0" for text in texts)
    return kind + (len(body) + 4).to_bytes(4, "big") + body


def untyped(code: int, body: bytes = b"") -> bytes:
    return (len(body) + 8).to_bytes(4, "big") + code.to_bytes(4, "big") + body


ENCRYPTION = untyped(80877103)
STARTUP = untyped(3 << 16, b"user\0app\0\0")
SIMPLE = [ENCRYPTION, STARTUP, message(b"Q", b"BEGIN;"), message(b"d", b"COMMIT"), message(b"Q", b"COMMIT;")]
EXTENDED = [
    STARTUP,
    message(b"P", b"s1", b"SELECT 1") + message(b"P", b"s2", b"COMMIT"),
    message(b"B", b"", b"s1") + message(b"E", b""),
    message(b"B", b"", b"s2"),
    message(b"E", b""),
    message(b"S"),
]


@pytest.mark.parametrize("size", [1, 7, 1_000])
@pytest.mark.parametrize(
    ("said", "statements"),
    [(SIMPLE, ["BEGIN", "COMMIT"]), (EXTENDED, ["SELECT 1", "COMMIT"])],
    ids=["simple", "extended"],
)
def test_statements_are_told_from_what_carries_them(said: list[bytes], statements: list[str], size: int) -> None:
    frontend, stream = Frontend(), b"".join(said)
    found = [pair for at in range(0, len(stream), size) for pair in frontend.feed(stream[at : at + size])]
    assert b"".join(whole for whole, _ in found) == stream
    assert [statement for _, statement in found if statement is not None] == statements


@pytest.mark.parametrize("query", [b"COMMIT", b"commit;", b"end work ; ", b"INSERT INTO t VALUES (1); COMMIT;\n"])
def test_what_commits(query: bytes) -> None:
    assert is_commit(last_statement(query))


@pytest.mark.parametrize("query", [b"", b";", b"COMMIT; SELECT 1", b"ROLLBACK", b"COMMIT PREPARED 'a'", b"committed"])
def test_what_does_not(query: bytes) -> None:
    assert not is_commit(last_statement(query))


def cut(said: list[bytes], toxic: CutAt, answers: bool) -> list[bytes]:
    """What the server hears of a client that is cut."""

    async def work() -> list[bytes]:
        stream, back = Stream(toxic), Stream()
        stream.link.other = back.link
        for chunk in said:
            stream.reader.feed_data(chunk)
            await asyncio.sleep(1)
        if answers:
            back.reader.feed_data(b"done")
        stream.reader.feed_eof()
        heard = await stream.end()
        back.reader.feed_eof()
        assert [data for _, data in await back.end()] == [END]
        return [data for _, data in heard]

    return virtually(work)  # type: ignore[return-value]


@pytest.mark.parametrize(("said", "parts"), [(SIMPLE, 4), (EXTENDED, 6)], ids=["simple", "extended"])
def test_cut_before_it_is_forwarded(said: list[bytes], parts: int) -> None:
    toxic = CutAt(is_commit, is_forwarded=False)
    heard = cut(said, toxic, answers=False)
    assert len(heard) == parts + 1
    assert heard[-1] == RESET
    assert b"".join(heard[:-1]) == b"".join(said).split(said[-1] if said is SIMPLE else said[-2] + said[-1])[0]
    assert (toxic.matched, toxic.cuts, toxic.happened.is_set()) == (1, 1, True)


@pytest.mark.parametrize(
    ("said", "last"), [(SIMPLE, SIMPLE[-1]), (EXTENDED, EXTENDED[-2] + FLUSH)], ids=["simple", "extended"]
)
def test_cut_when_the_server_has_answered(said: list[bytes], last: bytes) -> None:
    heard = cut(said, CutAt(is_commit, is_forwarded=True), answers=True)
    assert heard[-2:] == [last, RESET]


def test_the_second_of_three_is_cut() -> None:
    toxic = CutAt(is_commit, is_forwarded=False, skip=1)
    assert cut([STARTUP, *[message(b"Q", b"COMMIT")] * 2], toxic, answers=False)[-2:] == [
        message(b"Q", b"COMMIT"),
        RESET,
    ]
    assert cut([STARTUP, message(b"Q", b"COMMIT")], toxic, answers=False)[-1] == END
    assert (toxic.matched, toxic.cuts) == (3, 1)
    toxic.arm()
    assert cut([STARTUP, message(b"Q", b"COMMIT")], toxic, answers=False)[-1] == RESET


def test_what_was_said_before_the_toxic_came_is_no_matter() -> None:
    async def work() -> list[tuple[float, bytes]]:
        stream = Stream()
        stream.reader.feed_data(STARTUP + message(b"Q", b"BEGIN"))
        await asyncio.sleep(1)
        await stream.toxics.change([CutAt(is_commit, is_forwarded=False)])
        stream.reader.feed_data(message(b"Q", b"COMMIT"))
        return await stream.end()

    assert virtually(work) == [(0, STARTUP + message(b"Q", b"BEGIN")), (0, RESET)]


# Real connections.


class Ends:
    """A client and the server's side of its connection, with a proxy between."""

    def __init__(self, proxy: FaultProxy, listener: socket.socket) -> None:
        self.client = socket.create_connection(("127.0.0.1", proxy.port), PATIENCE)
        self.server, _ = listener.accept()
        self.server.settimeout(PATIENCE)

    def close(self) -> None:
        self.client.close()
        self.server.close()


def heard(end: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size and (more := end.recv(size)):
        data += more
    return data


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as made:
        made.settimeout(PATIENCE)
        yield made


@pytest.fixture
def proxy(listener: socket.socket) -> Iterator[FaultProxy]:
    with FaultProxy(listener.getsockname()[1]) as made:
        yield made


@pytest.fixture
def ends(proxy: FaultProxy, listener: socket.socket) -> Iterator[Ends]:
    made = Ends(proxy, listener)
    yield made
    made.close()


def test_both_ways_and_each_end_for_itself(proxy: FaultProxy, ends: Ends) -> None:
    sent = bytes(range(256)) * 200
    proxy.add(Slicer(1_000), "up")
    proxy.add(Slicer(77), "down")
    ends.client.sendall(sent)
    assert heard(ends.server, len(sent)) == sent
    ends.client.shutdown(socket.SHUT_WR)
    assert ends.server.recv(1) == b""
    ends.server.sendall(sent)
    assert heard(ends.client, len(sent)) == sent
    ends.server.close()
    assert ends.client.recv(1) == b""


def test_a_reset_is_one_at_both_ends(proxy: FaultProxy, ends: Ends) -> None:
    assert proxy.connections == 1
    proxy.add(ResetPeer())
    for end in (ends.client, ends.server):
        with pytest.raises(ConnectionResetError):
            end.recv(1)


def test_a_limit_closes_in_good_order(proxy: FaultProxy, ends: Ends) -> None:
    proxy.add(LimitData(3), "up")
    ends.client.sendall(b"abcdef")
    assert heard(ends.server, 10) == b"abc"
    assert ends.client.recv(1) == b""


def test_a_timeout_loses_what_is_sent_and_closes(proxy: FaultProxy, ends: Ends) -> None:
    proxy.add(Timeout(0.01), "up")
    assert ends.client.recv(1) == b""
    assert ends.server.recv(1) == b""


def test_a_removed_toxic_lets_go(proxy: FaultProxy, ends: Ends) -> None:
    slow, quiet = proxy.add(Latency(10_000)), proxy.add(Timeout(), "up")
    ends.server.sendall(b"late")
    ends.client.sendall(b"lost")
    proxy.remove(slow)
    assert heard(ends.client, 4) == b"late"
    proxy.remove(quiet)
    ends.client.sendall(b"found")
    assert ends.server.recv(100).endswith(b"found")


def test_down_refuses_and_comes_back_on_the_same_port(proxy: FaultProxy, ends: Ends, listener: socket.socket) -> None:
    proxy.take_down()
    with pytest.raises(ConnectionResetError):
        ends.client.recv(1)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", proxy.port), PATIENCE)
    assert proxy.connections == 0
    proxy.bring_up()
    again = Ends(proxy, listener)
    again.client.sendall(b"ab")
    assert heard(again.server, 2) == b"ab"
    again.close()


def test_a_failover_leads_elsewhere(proxy: FaultProxy, ends: Ends) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        proxy.retarget(other.getsockname()[1])
        with pytest.raises(ConnectionResetError):
            ends.client.recv(1)
        Ends(proxy, other).close()


def test_a_server_that_is_away_closes(proxy: FaultProxy, listener: socket.socket) -> None:
    listener.close()
    with socket.create_connection(("127.0.0.1", proxy.port), PATIENCE) as client:
        assert client.recv(1) == b""


def test_the_address_of_a_database_behind_it(proxy: FaultProxy) -> None:
    assert proxy.url("postgresql://me:p%40ss@db:5432/x?a=b") == f"postgresql://me:p%40ss@127.0.0.1:{proxy.port}/x?a=b"
    assert proxy.url("redis://localhost/0") == f"redis://127.0.0.1:{proxy.port}/0"
