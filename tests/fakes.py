"""Stand-ins for what is outside of us, and generators of what may come from there. No mocks of our own code."""

import asyncio
import random
import selectors
import socket
import struct
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any

from core.clock import Clock, LoopClock
from core.datasets import Dataset, SeriesKey
from core.errors import NothingBefore, RateLimited
from core.records import in_groups, row_type
from core.references import ASSET_METADATA, EXCHANGE_METADATA, LISTS
from core.sources import Instrument, Listing, Page, Row
from core.sources.listing import FEATURES, TRADES
from core.stores.sqlite import SQLiteStore
from core.windows import GRAINS, Window

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


class _JumpingSelector(selectors.DefaultSelector):
    """Jumps virtual time to the next timer once nothing real has happened for `threshold` seconds."""

    def __init__(self, threshold: float) -> None:
        super().__init__()
        self._threshold = threshold
        self.skipped = 0.0
        self.threads_at_work = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        ready = super().select(min(timeout, 0.01 if self.threads_at_work else self._threshold))
        if not ready and not self.threads_at_work:
            self.skipped += timeout
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop on which an hour of sleep takes a moment. Time does not jump while a thread is at work."""

    def __init__(self, threshold: float = 0.02) -> None:
        self._jumping = _JumpingSelector(threshold)
        super().__init__(self._jumping)

    def time(self) -> float:
        return super().time() + self._jumping.skipped

    @contextmanager
    def thread_at_work(self) -> Iterator[None]:
        self._jumping.threads_at_work += 1
        try:
            yield
        finally:
            self._jumping.threads_at_work -= 1


class SimulatedLoop(VirtualTimeLoop):
    """Nothing real counts: time passes in sleeps alone, so that a run without threads repeats itself exactly."""

    def __init__(self) -> None:
        super().__init__(0.0)

    def time(self) -> float:
        return self._jumping.skipped


def waited_for(store: SQLiteStore) -> SQLiteStore:
    """The same store; virtual time stands still while its thread works."""
    run = store._db.run

    async def run_and_be_seen(*args: Any) -> Any:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualTimeLoop)
        with loop.thread_at_work():
            return await run(*args)

    store._db.run = run_and_be_seen  # type: ignore[method-assign]
    return store


class VirtualClock(LoopClock):
    """The loop's time for everything: `wall` starts at `start` (UTC epoch seconds) and passes as the loop does."""

    def __init__(self, start: float) -> None:
        self._offset = start - self.monotonic()

    def wall(self) -> float:
        return self.monotonic() + self._offset

    def set_wall(self, now: float) -> None:
        """The machine's clock is set."""
        self._offset = now - self.monotonic()


@dataclass(frozen=True)
class Call:
    """One request as a FakeSource got it: `number` from 1, `nth` of its window from 1, `at` monotonic seconds."""

    number: int
    nth: int
    at: float
    what: str
    key: SeriesKey | None = None
    window: Window | None = None


Rows = list[Any]
Script = Callable[[Call], Exception | Callable[[Rows], Rows] | None]


def bar(key: SeriesKey, ts: int, version: int = 0) -> dict[str, float | int]:
    """The true bar of a series at `ts`: a pure function, OPEN is the CLOSE before; a version changes volumes."""
    step = GRAINS[key.interval].seconds

    def price(at: int) -> float:
        return 100.0 + zlib.crc32(f"{key.market}{key.instrument}{at}".encode()) % 1_000 / 8

    opening, closing = price(ts - step), price(ts)
    return {
        "open": opening,
        "high": max(opening, closing) + 1,
        "low": min(opening, closing) - 1,
        "close": closing,
        "volume": 1.5 + version,
        "total_trades": 3 + version,
    }


def details(true: Mapping[str, float | int], ts: int) -> dict[str, float | int]:
    """What goes with the true bar: sides that add up, trades and messages inside it. All other columns are 1."""
    sums = {"volume": true["volume"], "quote_volume": 1, "total_trades": true["total_trades"]}
    sides = {f"{name}_{side}": 0 for name in sums for side in ("sell", "unknown")}
    buys = {f"{name}_buy": total for name, total in sums.items()}
    told = [f"{moment}_{what}" for moment in ("first", "high", "low", "last") for what in ("trade", "message")]
    stamps = {f"{name}_timestamp": ts for name in told}
    return {
        **sides,
        **buys,
        **stamps,
        **{f"{name}_{end}": true["close"] for name in told for end in ("price", "value")},
    }


def row_of(data_type: str, **values: Any) -> Row:
    """A row of a list: what is not given is unknown."""
    return {**dict.fromkeys(LISTS[data_type].names), **values}


def instrument_row(data_type: str, entry: Instrument) -> Row:
    """The row of a list that `entry` is the view of."""
    base, quote = ("index_underlying", "quote_currency") if data_type == "futures_instruments" else ("base", "quote")
    values: dict[str, Any] = {base: entry.base, f"{base}_id": entry.base_id}
    values |= {quote: entry.quote, f"{quote}_id": entry.quote_id, TRADES[data_type]: entry.trades}
    values |= {"instrument": entry.name, "exchange_symbol": entry.exchange_symbol, "instrument_status": entry.status}
    values |= {"contract_expiration_ts": entry.expires}
    for feature, (has, name) in FEATURES[data_type].items():
        recorded = entry.recorded(feature)
        values[has] = recorded is not None
        if recorded is not None:
            values |= {f"first_{name}_timestamp": recorded.first, f"last_{name}_timestamp": recorded.last}
    row = row_of(data_type)
    return {**row, **{name: value for name, value in values.items() if name in row}}


class FakeSource:
    """A vendor in memory, with the real one's manners: what it has is `first` up to now without `holes`.

    `script` may turn a history call into an error, or change its rows. It counts calls in fixed windows of
    `limits` {seconds: cap}, says what is left in headers, and answers 429 beyond.
    """

    name = "coindesk"

    def __init__(self, clock: Clock, observe: Callable[[Mapping[str, str]], None] = lambda _headers: None) -> None:
        self.origin = ""
        self.calls = 0
        self.log: list[Call] = []
        self.first = 0
        self.last: int | None = None
        self.holes: set[int] = set()
        self.versions: dict[int, int] = {}
        self.latency: Callable[[], float] = lambda: 0.05
        self.script: Script = lambda _call: None
        self.limits: dict[int, int] = {}
        self.listed: dict[str, list[Instrument]] = {}
        self.lists: dict[SeriesKey, list[Row]] = {}
        self.assets: list[str] = ["BTC", "ETH", "SOL"]
        self.in_flight = 0
        self.most_in_flight = 0
        self.refused = 0
        self._clock = clock
        self._observe = observe
        self._used: dict[tuple[int, int], int] = {}
        self._asked: Counter[tuple[str, SeriesKey | None, Window | None]] = Counter()

    def now(self) -> float:
        return self._clock.wall()

    def history_calls(self) -> list[Call]:
        return [call for call in self.log if call.what == "history"]

    async def history(self, dataset: Dataset, key: SeriesKey, window: Window, groups: Sequence[str]) -> Page:
        call = self._called("history", key, window)
        async with self._travelling():
            verdict = self.script(call)
            if isinstance(verdict, Exception):
                raise verdict
            rows = self._rows(dataset, key, window, groups)
        return Page(verdict(rows) if verdict else rows, int(self.now()), constants=lambda: self._constants(key))

    def assume(self, now: float) -> None: ...

    async def listing(self, key: SeriesKey) -> Listing:
        """`what` in the log is the data type. Rows are those of `lists`, else made of `listed` and `assets`."""
        rows = [dict(row) for row in self.lists[key]] if key in self.lists else self._listed_rows(key)
        await self._listing(key.data_type, None, key)
        total = len(self.assets) if key.data_type == ASSET_METADATA.name else len(rows)
        return Listing(rows, int(self.now()), total)

    def _listed_rows(self, key: SeriesKey) -> list[Row]:
        if key.data_type == ASSET_METADATA.name:
            page = int(key.instrument)
            found = [row_of(key.data_type, id=at, symbol=name) for at, name in enumerate(self.assets)]
            return found[(page - 1) * 100 : page * 100]
        listed = self.listed.get(key.market, []) if key.data_type != EXCHANGE_METADATA.name else []
        return [instrument_row(key.data_type, entry) for entry in listed]

    async def rate_limit(self) -> None:
        await self._listing("rate_limit", None)

    async def close(self) -> None: ...

    async def _listing(self, what: str, found: Any, key: SeriesKey | None = None) -> Any:
        call = self._called(what, key)
        async with self._travelling():
            verdict = self.script(call)
            if isinstance(verdict, Exception):
                raise verdict
        return found

    def _called(self, what: str, key: SeriesKey | None = None, window: Window | None = None) -> Call:
        if not self.log:  # a test has begun to count anew
            self._asked.clear()
        self._asked[what, key, window] += 1
        call = Call(len(self.log) + 1, self._asked[what, key, window], self._clock.monotonic(), what, key, window)
        self.log.append(call)
        self.calls += 1
        return call

    @asynccontextmanager
    async def _travelling(self) -> AsyncIterator[None]:
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        at = self.now()
        headers = self._count(at)
        try:
            await self._clock.sleep(self.latency())
            self.origin = self.origin or "fake"
            self._observe(headers)
            if "Retry-After" in headers:
                raise RateLimited("over the limit", float(headers["Retry-After"]))
            yield
        finally:
            self.in_flight -= 1

    def _count(self, at: float) -> dict[str, str]:
        slots = {seconds: (seconds, int(at // seconds)) for seconds in self.limits}
        left = {seconds: cap - self._used.get(slots[seconds], 0) - 1 for seconds, cap in self.limits.items()}
        waits = {seconds: seconds - int(at) % seconds for seconds in self.limits}
        over = [waits[seconds] for seconds, rest in left.items() if rest < 0]
        if not over:
            for slot in slots.values():
                self._used[slot] = self._used.get(slot, 0) + 1
        self.refused += bool(over)
        return {
            "Date": formatdate(at, usegmt=True),
            "X-RateLimit-Limit": ", ".join(["0", *(f"{cap};window={s}" for s, cap in self.limits.items())]),
            "X-RateLimit-Remaining-All": ", ".join(["0", *(f"{max(0, rest)};window={s}" for s, rest in left.items())]),
            "X-RateLimit-Reset-All": ", ".join(["0", *(f"{wait};window={s}" for s, wait in waits.items())]),
            **({"Retry-After": str(max(over))} if over else {}),
        }

    def _rows(self, dataset: Dataset, key: SeriesKey, window: Window, groups: Sequence[str]) -> Rows:
        """Counted back from the newest bar there is, as the vendor does."""
        grain = GRAINS[key.interval]
        newest = min(self.now(), self.now() if self.last is None else self.last)
        last = min(window.end - grain.seconds, grain.floor(int(newest)))
        first = grain.floor(self.first)
        if last < first:
            raise NothingBefore(f"No {grain.unit} entries available on or before {last}", first)
        start = max(first, last - (grain.bars(window) - 1) * grain.seconds)
        stamps = range(start, last + 1, grain.seconds)
        return [self.row(dataset, key, ts, groups) for ts in stamps if ts not in self.holes]

    def row(self, dataset: Dataset, key: SeriesKey, ts: int, groups: Sequence[str]) -> Any:
        columns = in_groups(dataset.columns, groups)
        true = bar(key, ts, self.versions.get(ts, 0))
        true = {**details(true, ts), **true}
        values = {column.name: column.kind(true.get(column.name, 1)) for column in columns}
        identity = {"market": key.market, "instrument": f"X-{key.instrument}", "mapped_instrument": key.instrument}
        return row_type(columns)(timestamp=ts, unit=GRAINS[key.interval].unit, **identity, **values)

    def _constants(self, key: SeriesKey) -> dict[str, Any]:
        return {"exchange_symbol": f"X-{key.instrument}", "instrument": key.instrument, "type": "954"}
