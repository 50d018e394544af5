"""`tapewatch demo`: a sandbox, an engine and a batch of all nine data types, on a dashboard or in plain lines."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any

from core.batch import make_batch
from core.cli.archive import archive_of
from core.cli.context import data, settings, words
from core.cli.demo_store import DemoStore, postgres_store, sqlite_store
from core.cli.engines import EngineChild
from core.cli.execute import Follower, Interrupts, as_summary
from core.cli.options import Output
from core.cli.report import Narrator, exit_code
from core.errors import ConfigError, TapewatchError
from core.events import RunSummary
from core.text import shown_url
from core.valkey import valkey

NOW = "2025-06-01T12:00:00Z"
LATENCY_MS = 60
LINGER_SECONDS = 5.0
OPERATIONS = (
    {"data_type": "asset_metadata", "asset_limit": 50},
    {"data_type": "exchange_metadata"},
    {"data_type": "spot_instruments"},
    {"data_type": "futures_instruments"},
    {"data_type": "spot_ohlcv", "interval": "1d", "pair_limit": 50},
    {"data_type": "futures_ohlcv", "interval": "1h", "pair_limit": 20},
    {"data_type": "futures_funding_rate", "interval": "1h", "pair_limit": 10},
    {"data_type": "futures_open_interest", "interval": "1d", "pair_limit": 10},
    {"data_type": "indices_ohlcv", "interval": "1d", "asset_limit": 40},
    {
        "data_type": "spot_ohlcv",
        "interval": "1m",
        "market": "kraken",
        "instrument": "BTC-USD,ETH-USD",
        "start": "2025-05-01",
    },
)
NEXT = """
{later}

With a key of your own:
  export TAPEWATCH_API_KEY=...
  tapewatch spot_ohlcv --pair_limit 50 --interval 1d --dry_run     what it would cost
  tapewatch spot_ohlcv --pair_limit 50 --interval 1d               fetch it
  tapewatch                                                        watch it
"""


def run_demo(seed: int, *, headless: bool, on_postgres: bool = False, on_redis: bool = False) -> int:
    """Run the demo of `seed`; the exit code."""
    with _unwinding_on_signals(), _store(seed, on_postgres) as store, _cache(on_redis) as cache:
        with demo_engine(seed, store.url, cache) as child:
            if store.now:
                words(store.now)
            code = asyncio.run(_headless(child)) if headless else _with_dashboard(child)
        data(NEXT.format(later=store.later))
    return code


def _store(seed: int, on_postgres: bool) -> AbstractContextManager[DemoStore]:
    return postgres_store(seed) if on_postgres else sqlite_store(settings(announce=False), seed)


@contextmanager
def _cache(on_redis: bool) -> Iterator[str]:
    """The URL of the demo's cache. Raises ConfigError when there is no Valkey to run."""
    if not on_redis:
        yield settings(announce=False).settings.cache
        return
    with valkey() as server:
        words(f"cache: Valkey at {server.url}; look into it: redis-cli -p {server.port} --scan --pattern 'tapewatch:*'")
        yield server.url


@contextmanager
def demo_engine(seed: int, url: str, cache: str = "memory://") -> Iterator[EngineChild]:
    """A sandbox, and an engine over the store at `url` that starts when it is first connected to."""
    given = settings(announce=False)
    with _sandbox(seed) as base_url:
        update = {"db": url, "base_url": base_url, "cache": cache}
        loaded = given.model_copy(update={"settings": given.settings.model_copy(update=update)})
        words(f"sandbox {base_url} seed {seed}, store {shown_url(url)}")
        child = EngineChild(loaded, LINGER_SECONDS)
        try:
            yield child
        finally:
            _end(child)


async def submit_jobs(child: EngineChild) -> list[str]:
    """Hand the demo's operations to the engine; the jobs' ids."""
    connection = await child.connect()
    follower = Follower(connection, Narrator(Output.text, is_silent=True))
    reading = asyncio.create_task(follower.read())
    try:
        return await follower.submit_batch(
            make_batch({"operations": [{**entry, "label": "demo"} for entry in OPERATIONS]})
        )
    finally:
        reading.cancel()
        await connection.close()


@contextmanager
def _unwinding_on_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP leave through every `finally`, so that the sandbox and the engine end too."""

    def leave(number: int, _frame: object) -> None:
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _with_dashboard(child: EngineChild) -> int:
    from tui.app import DashboardOptions, run_dashboard  # noqa: PLC0415 - a headless demo needs no Textual

    jobs = asyncio.run(submit_jobs(child))
    options = DashboardOptions(read_only=False, theme="dark", ascii=False, mouse=True, owns_engine=True)
    result = run_dashboard(child.connect, options, archive=archive_of(child.loaded))
    if int(result):
        return int(result)
    return asyncio.run(_finish(child, jobs)) if child.is_running else 0


async def _headless(child: EngineChild) -> int:
    return await _finish(child, await submit_jobs(child))


async def _finish(child: EngineChild, jobs: list[str]) -> int:
    """Follow the jobs to their end and print what they did; Ctrl-C stops them."""
    narrator = Narrator(Output.text)
    with Interrupts().watching() as interrupts:
        connection = await child.connect()
        follower = Follower(connection, narrator, jobs)
        reading = asyncio.create_task(follower.read())
        ended = asyncio.gather(*(follower.summary(job) for job in jobs), return_exceptions=True)
        stopped = asyncio.create_task(interrupts.event.wait())
        waits: set[asyncio.Future[Any]] = {ended, stopped}
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            if interrupts.number:
                words("stopping")
            with suppress(TapewatchError):
                await connection.command("stop")
            summaries = [as_summary(found) for found in await ended if isinstance(found, RunSummary)]
        finally:
            stopped.cancel()
            reading.cancel()
            narrator.close()
            await connection.close()
    _print_table(summaries)
    return interrupts.exit_code if interrupts.number else exit_code(summaries)


def _print_table(summaries: list[dict[str, Any]]) -> None:
    data(f"{'data type':22} {'status':20} {'series':>7} {'windows':>8} {'requests':>9} {'rows':>11} {'seconds':>8}")
    for found in summaries:
        data(
            f"{found['data_type']:22} {found['status']:20} {found['series']:>7} {found['windows']:>8} "
            f"{found['requests'] + found['metadata_requests']:>9} {found['rows_inserted']:>11,} "
            f"{found['duration_seconds']:>8.1f}"
        )


@contextmanager
def _sandbox(seed: int) -> Iterator[str]:
    """A sandbox process of a session of its own; its address. Ended on the way out."""
    command = [sys.executable, "-m", "core.cli", "sandbox", "--port", "0", "--seed", str(seed)]
    command += ["--now", NOW, "--latency", str(LATENCY_MS), "--until_eof"]
    process = subprocess.Popen(  # noqa: S603 - our own program, a list, no shell
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
        text=True,
        env=os.environ,
    )
    try:
        line = process.stdout.readline() if process.stdout else ""
        address = next((word for word in line.split() if word.startswith("http://")), "")
        if not address:
            raise ConfigError(f"the sandbox did not start: {line.strip() or 'it said nothing'}")
        yield address
    finally:
        process.terminate()
        process.wait(10)


def _end(child: EngineChild) -> None:
    """The engine was told to stop; give it a moment, then make sure."""
    deadline = time.monotonic() + 8
    while child.is_running and time.monotonic() < deadline:
        time.sleep(0.05)
    child.signal(signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        child.wait(5)
