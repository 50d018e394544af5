"""The composition root: the only module that knows concrete classes.

`open_app` acquires in order lock, store, cache, source, engine, socket, and lets go in reverse.
"""

import gc
import hashlib
import os
import random
import secrets
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from socket import gethostname
from typing import Any
from urllib.parse import urlsplit

from core.batch import Batch
from core.cache.opening import open_cache
from core.cache.read_through import ReadThrough
from core.cache.serialisers import serialiser
from core.clock import Clock, LoopClock
from core.config import Loaded
from core.control import ControlServer, Handler, clear_stale, runtime_directory
from core.engine.alerts import Alerts
from core.engine.batch import Quote, quote_batch
from core.engine.engine import Engine
from core.engine.ingest import Ingest
from core.engine.ledger import Ledger, OwnLedger, SharedLedger
from core.engine.permits import Permits
from core.engine.tools import RunnerOptions, Tools
from core.errors import ConfigError, StoreBusy
from core.events import PROTOCOL, AnyEvent, Bus, Hello, LogLine
from core.limits import Quota
from core.monitoring.checks import installed_checks
from core.monitoring.health import Sampler
from core.monitoring.quality import check_page
from core.sources import Source, open_source
from core.sources.http import HttpOptions
from core.stores import Store
from core.stores.lock import Holder, login_name
from core.stores.opening import engines_of, free_bytes, lock_of, open_store, open_to_plan, require_store
from core.stores.sql_store import SQLStore
from core.text import clean, shown_url

COLLECT_AFTER = 200_000
SWITCH_SECONDS = 0.002
LOOK_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class App:
    """A running engine with its store and socket."""

    engine: Engine
    bus: Bus
    server: ControlServer
    socket: Path


def key_fingerprint(key: str | None) -> str:
    """Names a key without showing it: engines of one account recognise each other by it."""
    return hashlib.sha256(key.encode()).hexdigest()[:16] if key else ""


@asynccontextmanager
async def open_app(loaded: Loaded, kind: str) -> AsyncIterator[App]:
    """An engine on the store of `loaded`. `kind` is command, dashboard or serve.

    Raises StoreBusy when another engine holds the store, StoreRefused and StoreError when it cannot be
    used, ConfigError for a cache or source that does not exist.
    """
    # A page is thousands of tuples without a cycle among them: scanning them costs a tenth of a run's CPU.
    gc.set_threshold(COLLECT_AFTER)
    # A thread that writes takes Python's lock a dozen times a page, and waits this long for it while others compute.
    sys.setswitchinterval(SWITCH_SECONDS)
    async with AsyncExitStack() as stack:
        name = secrets.token_hex(3)
        clear_stale(runtime_directory())
        socket = runtime_directory() / f"{name}.sock"
        holder = _holder(loaded, kind, socket, name)
        lock = lock_of(loaded.database)
        lock.acquire(holder)
        stack.callback(lock.release)
        clock = LoopClock()
        store = await open_store(loaded.database, clock.wall, name, loaded.settings.engine.lease_seconds)
        stack.push_async_callback(store.close)
        store.patience.is_over = True  # until the engine is there to say what is waited for
        await store.enter(holder, version("tapewatch"))
        tools = await _tools(loaded, store, stack, clock)
        engine = Engine(name, tools, loaded.settings.engine.concurrent_jobs)
        handle = _no_new_jobs(engine) if kind == "command" else engine.handle
        server = ControlServer(tools.bus, _hello(loaded, kind, name), handle)
        engine.sampler = _sampler(engine, server)
        await stack.enter_async_context(server.listening(socket))
        if loaded.settings.engine.group_readable_socket:
            # Connecting to a Unix socket takes the right to write to it; nothing that comes is read.
            emit_only = runtime_directory(shared=True) / f"{name}.sock"
            await stack.enter_async_context(server.listening(emit_only, read_only=True, mode=0o660))
        await stack.enter_async_context(engine)
        yield App(engine, tools.bus, server, socket)


async def quote(loaded: Loaded, batch: Batch, hear: Callable[[AnyEvent], None]) -> Quote:
    """What a run of `batch` would ask for; the store is only read, and not made when there is none.

    `hear` takes what is said on the way, as of names that are not listed.
    """
    async with AsyncExitStack() as stack:
        clock = LoopClock()
        store = await open_to_plan(loaded.database, clock.wall)
        stack.push_async_callback(store.close)
        store.patience.is_over = True
        tools = await _tools(loaded, store, stack, clock, keeps=False)
        tools.bus.listen(hear)
        return await quote_batch(batch, tools)


@asynccontextmanager
async def open_tools(loaded: Loaded) -> AsyncIterator[Tools]:
    """An engine's tools over the store as it is: read-only, beside whoever holds it. Raises StoreError without one."""
    require_store(loaded.database)
    async with AsyncExitStack() as stack:
        clock = LoopClock()
        store = await open_to_plan(loaded.database, clock.wall)
        stack.push_async_callback(store.close)
        store.patience.is_over = True
        yield await _tools(loaded, store, stack, clock, keeps=False)


@asynccontextmanager
async def held_store(loaded: Loaded) -> AsyncIterator[SQLStore]:
    """The store under its lock, for what no engine does: that waits for nothing. Raises StoreBusy and StoreError."""
    with holding(loaded):
        store = await open_store(loaded.database)
        store.patience.is_over = True
        try:
            yield store
        finally:
            await store.close()


@contextmanager
def holding(loaded: Loaded, wait: float = 0.0, say: Callable[[str], None] = lambda _: None) -> Iterator[None]:
    """The lock of the store, without the store. Raises StoreError, and StoreBusy when it is not free.

    A command ends by itself, and is waited for up to `wait` seconds, of which `say` hears.
    """
    lock, deadline = lock_of(loaded.database), time.monotonic() + wait
    while True:
        try:
            lock.acquire(_holder(loaded, "command", Path(), ""))
            break
        except StoreBusy as busy:
            if time.monotonic() >= deadline or any(engine.takes_jobs for engine in engines_of(loaded.database)):
                raise
            say(f"waiting: {busy}")
            say = lambda _: None  # noqa: E731 - once is enough
            time.sleep(LOOK_SECONDS)
    try:
        yield
    finally:
        lock.release()


async def _tools(loaded: Loaded, store: Store, stack: AsyncExitStack, clock: Clock, *, keeps: bool = True) -> Tools:
    settings = loaded.settings
    bus = Bus(clock.wall)
    quota, steady = Quota(), _steady(clock)
    book = store.book(_account(loaded))
    ledger = SharedLedger(quota, book, clock, steady) if book else OwnLedger(quota, clock, steady)
    stack.push_async_callback(ledger.close)
    source = _source(loaded, ledger, clock)
    stack.push_async_callback(source.close)
    options = RunnerOptions(
        max_wait=settings.engine.max_wait,
        budget_share=settings.quota.budget_share,
        listing_ttl=settings.source.listing_ttl,
        listing_ttls=settings.caching.ttl,
        stale_for=settings.caching.stale_for,
        audit_days=settings.history.audit_days,
        kept_seconds=settings.kept_seconds,
        checks=installed_checks() if settings.history.checks else {},
    )
    return Tools(
        source=source,
        cache=_cache(loaded, source, bus, stack, clock),
        store=store,
        permits=Permits(quota, settings.source.connections, clock, steady, ledger),
        ingest=Ingest(source, store, check_page, clock),
        bus=bus,
        alerts=Alerts(bus, await store.open_alerts()),
        clock=clock,
        chance=random.random,
        keeps=keeps,
        free_bytes=lambda: free_bytes(loaded.database),
        options=options,
    )


def _cache(loaded: Loaded, source: Source, bus: Bus, stack: AsyncExitStack, clock: Clock) -> ReadThrough:
    settings, secret = loaded.settings, loaded.cache_secret

    def say(text: str) -> None:
        bus.publish(LogLine(level="warning", text=clean(text), source="cache"))

    cache = open_cache(settings.cache, clock, say)
    stack.push_async_callback(cache.close)
    return ReadThrough(
        cache,
        clock,
        random.random,
        # Who shares a cache may ask different vendors, or a sandbox.
        namespace=f"{source.name}@{urlsplit(settings.base_url).netloc}:",
        origin=lambda: source.origin,
        form=serialiser(settings.caching.serialiser, is_shared=cache.is_shared, secret=secret),
        secret=secret,
    )


def _steady(clock: Clock) -> Callable[[], float]:
    """UTC epoch seconds that never go back: waits are durations, whatever an answer's Date or our clock say."""
    started = clock.wall() - clock.monotonic()
    return lambda: started + clock.monotonic()


def _account(loaded: Loaded) -> str:
    """Whose calls the vendor counts: a key's, or those of nobody in particular."""
    return f"{key_fingerprint(loaded.key) or 'no key'} at {urlsplit(loaded.settings.base_url).netloc}"


def _source(loaded: Loaded, ledger: Ledger, clock: Clock) -> Source:
    settings = loaded.settings.source
    http = HttpOptions(
        connections=settings.connections, total_timeout=settings.request_timeout, compress=settings.compress
    )

    return open_source(
        settings.name,
        base_url=loaded.settings.base_url,
        api_key=loaded.key,
        http=http,
        observe=ledger.observe,
        clock=clock,
    )


def _sampler(engine: Engine, server: ControlServer) -> Sampler:
    return Sampler(
        engine.tools.clock.monotonic,
        requests=lambda: engine.tools.source.calls,
        rows=lambda: engine.rows_fetched,
        in_flight=lambda: engine.tools.permits.quota.in_flight,
        clients=lambda: server.clients,
    )


def _no_new_jobs(engine: Engine) -> Handler:
    """A command's engine ends with its own jobs, so it takes no others."""

    async def handle(command: str, args: Mapping[str, Any]) -> object:
        if command in {"submit", "submit_batch", "retry"}:
            raise ConfigError("this engine belongs to a command and ends with it; start one with: tapewatch dash")
        return await engine.handle(command, args)

    return handle


def _holder(loaded: Loaded, kind: str, socket: Path, name: str) -> Holder:
    return Holder(
        name=name,
        host=gethostname(),
        user=login_name(),
        pid=os.getpid(),
        kind=kind,
        socket=str(socket),
        protocol=PROTOCOL,
        since=time.time(),
        source=loaded.settings.base_url,
        key=key_fingerprint(loaded.key),
    )


def _hello(loaded: Loaded, kind: str, name: str) -> Callable[[bool], Hello]:
    def hello(read_only: bool) -> Hello:
        return Hello(
            time=time.time(),
            protocol=PROTOCOL,
            engine=name,
            pid=os.getpid(),
            version=version("tapewatch"),
            store=shown_url(loaded.database),
            source=loaded.settings.base_url,
            kind=kind,
            read_only=read_only,
        )

    return hello
