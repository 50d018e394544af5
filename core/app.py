"""The composition root: the only module that knows concrete classes.

`open_app` acquires in order lock, store, cache, source, engine, socket, and lets go in reverse.
"""

import gc
import os
import random
import secrets
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from socket import gethostname
from urllib.parse import urlsplit

from core.alerting.book import Alerts
from core.alerting.flaps import HOUR
from core.alerting.rule_files import rules_of
from core.batch import Batch
from core.books import FILE, open_book
from core.bus import Bus
from core.cache.opening import open_cache
from core.cache.read_through import ReadThrough
from core.cache.serialisers import serialiser
from core.channels import open_outlets, routes
from core.clock import Clock, LoopClock
from core.config import Loaded, key_fingerprint, state_place
from core.control import ControlServer, clear_stale, runtime_directory
from core.engine.baselines import Baselines
from core.engine.batch import Quote, quote_batch
from core.engine.commands import Commands
from core.engine.engine import Engine, Service
from core.engine.ingest import Ingest
from core.engine.ledger import Ledger, OwnBook
from core.engine.permits import Permits
from core.engine.prices import Prices, price_schedules
from core.engine.scheduler import Scheduler
from core.engine.tools import RunnerOptions, Tools
from core.errors import StoreBusy, TapewatchError
from core.events import PROTOCOL, AnyEvent, Hello, LogLine
from core.heartbeats import Heartbeats
from core.ledger import Book, read_limits
from core.limits import Limit, LiveShare, Quota
from core.lookout import anomaly_watch, evaluated_ago, open_evaluator
from core.manners import Manners
from core.measures import Measures
from core.monitoring.checks import installed_checks
from core.monitoring.health import Sampler
from core.monitoring.quality import check_page
from core.notify.delivery import Delivery
from core.renewal import Renewal
from core.schedule import Schedule
from core.settings import AUTO, OWN
from core.sources import Source, open_source
from core.sources.http import HttpOptions
from core.sources.measured import MeasuredSource
from core.stores import Store
from core.stores.lock import Holder, login_name
from core.stores.opening import (
    engines_of,
    free_bytes,
    is_postgres,
    lock_of,
    open_store,
    open_to_plan,
    require_store,
)
from core.stores.sql_store import SQLStore
from core.telemetry import Telemetry
from core.text import clean, shown_url
from core.usage import Usage, since

COLLECT_AFTER = 200_000
SWITCH_SECONDS = 0.002
LOOK_SECONDS = 0.2
QUOTA_FILE = "quota.db"


@dataclass(frozen=True, slots=True)
class App:
    """A running engine with its store and socket."""

    engine: Engine
    bus: Bus
    server: ControlServer
    socket: Path
    measures: Measures
    renewal: Renewal


@dataclass(frozen=True, slots=True)
class Daemon:
    """What a long-running engine does beside its jobs: its schedules, and `services` of the process."""

    scheduler: Scheduler
    services: Sequence[Service] = ()


@asynccontextmanager
async def open_app(loaded: Loaded, kind: str, daemon: Daemon | None = None) -> AsyncIterator[App]:
    """An engine on the store of `loaded`. `kind` is command, dashboard or serve, which has the services of a `daemon`.

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
        # What is usual is learned bar by bar: a command would have to learn all of it anew.
        watch = anomaly_watch(tools.bus) if loaded.settings.monitoring.anomalies and kind != "command" else None
        tools = replace(tools, watch=watch)
        measures = Measures(loaded, tools, is_daemon=daemon is not None)
        scheduler = daemon.scheduler if daemon else None
        followed = (lambda: scheduler.followed(clock.wall())) if scheduler else dict
        evaluator = open_evaluator(loaded, tools, followed, watch)
        outlets = open_outlets(loaded, tools.bus, clock, partial(evaluated_ago, evaluator, clock))
        delivery = Delivery(outlets, tools)
        stack.push_async_callback(delivery.close)
        services = [*measures.services, evaluator, delivery, *([Baselines(watch)] if watch else [])]
        services += [daemon.scheduler, *daemon.services] if daemon else []
        engine = Engine(name, tools, loaded.settings.engine.concurrent_jobs, services)
        commands = Commands(engine, scheduler, takes_jobs=kind != "command")
        server = ControlServer(tools.bus, _hello(loaded, kind, name), commands.handle)
        engine.sampler = _sampler(engine, server)
        await stack.enter_async_context(server.listening(socket))
        if loaded.settings.engine.group_readable_socket:
            # Connecting to a Unix socket takes the right to write to it; nothing that comes is read.
            emit_only = runtime_directory(shared=True) / f"{name}.sock"
            await stack.enter_async_context(server.listening(emit_only, read_only=True, mode=0o660))
        await stack.enter_async_context(engine)
        try:
            yield App(engine, tools.bus, server, socket, measures, Renewal(loaded, tools, evaluator, delivery))
        finally:
            engine.stopped.set()
        await evaluator.evaluate(engine)  # who ends after a minute has looked once at least
        with suppress(TapewatchError):  # who cannot write leaves the journal to the end of the engine
            await engine.flush()
            await delivery.drain(engine)


async def quote(loaded: Loaded, batch: Batch, hear: Callable[[AnyEvent], None]) -> Quote:
    """What a run of `batch` would ask for; the store is only read, and not made when there is none.

    `hear` takes what is said on the way, as of names that are not listed.
    """
    async with _planning_tools(loaded) as tools:
        tools.bus.listen(hear)
        return await quote_batch(batch, tools)


async def price(loaded: Loaded, schedules: Sequence[Schedule], hear: Callable[[AnyEvent], None]) -> Prices:
    """What `schedules` cost for as long as they run; the store is only read. `hear` as in `quote`."""
    async with _planning_tools(loaded) as tools:
        tools.bus.listen(hear)
        return await price_schedules(schedules, tools)


@asynccontextmanager
async def open_tools(loaded: Loaded) -> AsyncIterator[Tools]:
    """An engine's tools over the store as it is: read-only, beside whoever holds it. Raises StoreError without one."""
    require_store(loaded.database)
    async with _planning_tools(loaded) as tools:
        yield tools


@asynccontextmanager
async def _planning_tools(loaded: Loaded) -> AsyncIterator[Tools]:
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
    quota, steady, account = Quota(_manners(loaded)), _steady(clock), loaded.account
    book = _book(loaded, store, stack, clock, _warning(bus, "quota"))
    ledger = Ledger(quota, book or OwnBook(steady), clock, steady)
    stack.push_async_callback(ledger.close)
    live, patience = LiveShare(settings.quota.live_share), settings.engine.max_outage
    usage = Usage(account, settings.quota.month_budget)
    usage.learn(await store.calls_by_day(account, since(clock.wall())))
    permits = Permits(quota, settings.source.connections, clock, steady, ledger, live, patience, usage)
    telemetry = Telemetry()
    source = MeasuredSource(_source(loaded, permits, clock), telemetry, clock)
    stack.push_async_callback(source.close)
    options = RunnerOptions(
        max_wait=settings.engine.max_wait,
        budget_share=settings.quota.budget_share,
        listing_ttl=settings.source.listing_ttl,
        listing_ttls=settings.caching.ttl,
        stale_for=settings.caching.stale_for,
        revalidate_for=settings.caching.revalidate_for,
        refused_for=settings.caching.refused_for,
        audit_days=settings.history.audit_days,
        kept_seconds=settings.kept_seconds,
        checks=installed_checks() if settings.history.checks else {},
    )
    return Tools(
        source=source,
        cache=_cache(loaded, source, bus, stack, clock),
        store=store,
        permits=permits,
        ingest=Ingest(source, store, check_page, clock),
        bus=bus,
        alerts=await _alerts(loaded, store, bus, clock.wall()),
        clock=clock,
        chance=random.random,
        keeps=keeps,
        free_bytes=lambda: free_bytes(loaded.database),
        options=options,
        telemetry=telemetry,
        heartbeats=Heartbeats(clock.monotonic),
    )


def _manners(loaded: Loaded) -> Manners:
    quota = loaded.settings.quota
    return Manners(quota.share, quota.reserve_month, quota.max_per_second)


def _cache(loaded: Loaded, source: Source, bus: Bus, stack: AsyncExitStack, clock: Clock) -> ReadThrough:
    settings, secret = loaded.settings, loaded.cache_secret
    cache = open_cache(settings.cache, clock, _warning(bus, "cache"))
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


def _warning(bus: Bus, source: str) -> Callable[[str], None]:
    def say(text: str) -> None:
        bus.publish(LogLine(level="warning", text=clean(text, 400), source=source))

    return say


def _steady(clock: Clock) -> Callable[[], float]:
    """UTC epoch seconds that never go back: waits are durations, whatever an answer's Date or our clock say."""
    started = clock.wall() - clock.monotonic()
    return lambda: started + clock.monotonic()


async def _alerts(loaded: Loaded, store: Store, bus: Bus, now: float) -> Alerts:
    told = routes(loaded)
    return Alerts(
        bus, await store.kept_alerts(now - HOUR), rules_of(loaded.rules_file), told.channels, told.escalations
    )


def _book(
    loaded: Loaded, store: Store | None, stack: AsyncExitStack, clock: Clock, say: Callable[[str], None]
) -> Book | None:
    """Where this process counts its calls together with others, None when it counts alone."""
    where, account = loaded.settings.quota.ledger, loaded.account
    if where == OWN:
        return None
    # A role that may only read cannot count in its database.
    if where == AUTO and is_postgres(loaded.database):
        return store.book(account) if store else None
    book = open_book(
        FILE if where == AUTO else where,
        account,
        secrets.token_hex(3),
        file=state_place(loaded.settings) / QUOTA_FILE,
        clock=clock,
        say=say,
    )
    stack.push_async_callback(book.close)
    return book


async def known_limits(loaded: Loaded) -> Sequence[Limit]:
    """What engines know to be left of the account where no database of theirs keeps it, with the seconds until each
    limit resets in place of the time.

    Costs no call and claims none; nothing while nobody knows, or each engine counts alone. Raises StoreError.
    """
    async with AsyncExitStack() as stack:
        book = _book(loaded, None, stack, LoopClock(), lambda _: None)
        return [] if book is None else await read_limits(book)


def _source(loaded: Loaded, permits: Permits, clock: Clock) -> Source:
    settings = loaded.settings.source
    http = HttpOptions(
        connections=settings.connections, total_timeout=settings.request_timeout, compress=settings.compress
    )

    return open_source(
        settings.name,
        base_url=loaded.settings.base_url,
        api_key=loaded.key,
        http=http,
        observe=permits.observe,
        clock=clock,
    )


def _sampler(engine: Engine, server: ControlServer) -> Sampler:
    return Sampler(
        engine.tools.clock.monotonic,
        requests=lambda: engine.tools.source.calls,
        rows=lambda: engine.rows_fetched,
        in_flight=lambda: engine.tools.permits.quota.in_flight,
        clients=lambda: server.clients,
        vendor_ahead=lambda: engine.tools.source.now() - engine.tools.clock.wall(),
    )


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
