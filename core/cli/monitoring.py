"""What a run shows of itself to others: /metrics while it runs, a file for node_exporter, a ping when it is over."""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from core.addresses import is_loopback
from core.cli.context import words
from core.errors import ConfigError, OutputError, TapewatchError
from core.text import clean

if TYPE_CHECKING:
    from core.app import App
    from core.monitoring.metrics import Metrics

FILE_SECONDS = 15.0
PING_SECONDS = 10.0
COUNT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Watched:
    """What was asked for. Raises ConfigError for what cannot be: who runs it hears of it before anything starts."""

    metrics_file: Path | None = None
    ping_url: str = ""

    def __post_init__(self) -> None:
        if self.metrics_file is not None:
            _check_file(self.metrics_file)
        if self.ping_url:
            _check_url(self.ping_url)


def _check_file(path: Path) -> None:
    if not path.parent.is_dir():
        raise ConfigError(f"--metrics_file {clean(str(path))}: there is no directory {clean(str(path.parent))}")
    if path.is_dir() or not os.access(path.parent, os.W_OK):
        raise ConfigError(f"--metrics_file {clean(str(path))}: it cannot be written there")


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        is_safe = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))
        is_right = bool(is_safe and parts.hostname) and parts.port != 0
    except ValueError:
        is_right = False
    if not is_right:
        raise ConfigError("--ping_url: write https://host/path; http only to this machine")


@asynccontextmanager
async def watching(app: "App", watched: Watched, *, is_served: bool) -> AsyncIterator[None]:
    """Show what the engine of `app` does for as long as this lasts. Raises ConfigError for an unsafe address."""
    async with AsyncExitStack() as stack:
        if is_served:
            await _serve(app, stack)
        if watched.metrics_file is not None:
            await stack.enter_async_context(_keeping(watched.metrics_file, app))
        yield


async def _serve(app: "App", stack: AsyncExitStack) -> None:
    http = app.measures.http()
    try:
        where = await stack.enter_async_context(http.listening(app.engine))
    except ConfigError as error:
        words(f"metrics are not served: {error}")
    else:
        words(f"metrics at {where}/metrics")


@asynccontextmanager
async def _keeping(path: Path, app: "App") -> AsyncIterator[None]:
    """The file has the metrics as of now and then, and as of the end."""
    metrics = app.measures.metrics
    writing = asyncio.create_task(_write_regularly(path, metrics))
    try:
        yield
    finally:
        writing.cancel()
        with suppress(asyncio.CancelledError):
            await writing
        with suppress(TapewatchError, TimeoutError):
            async with asyncio.timeout(COUNT_SECONDS):
                await app.measures.figures.count(app.engine)
        _write_or_say(path, metrics)


async def _write_regularly(path: Path, metrics: "Metrics") -> None:
    while True:
        await asyncio.sleep(FILE_SECONDS)
        _write_or_say(path, metrics)


def _write_or_say(path: Path, metrics: "Metrics") -> None:
    try:
        write_file(path, metrics.file())
    except OutputError as error:
        words(str(error))


def write_file(path: Path, content: bytes) -> None:
    """Replace a file as a whole: who reads it meanwhile reads the old one. Raises OutputError."""
    # Collectors read what ends as the file does; a name of ours that is left behind is not read.
    beside = path.with_name(f".{path.name}.{secrets.token_hex(3)}.tmp")
    try:
        with beside.open("xb") as file:
            file.write(content)
        beside.chmod(0o644)
        beside.replace(path)
    except OSError as error:
        with suppress(OSError):
            beside.unlink()
        raise OutputError(f"--metrics_file {clean(str(path))} cannot be written: {error.strerror}") from error


async def ping(url: str, *, is_success: bool) -> None:
    """Tell a dead man's switch how a run ended; a fault only warns. The URL is a key and never shown."""
    import aiohttp  # noqa: PLC0415 - few runs need it here

    parts = urlsplit(url)
    target = url if is_success else parts._replace(path=f"{parts.path.rstrip('/')}/fail").geturl()
    timeout = aiohttp.ClientTimeout(total=PING_SECONDS)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(target, allow_redirects=False) as got:
            fault = "" if got.status < 300 else f"it answers {got.status}"
    except TimeoutError:
        fault = f"no answer within {PING_SECONDS:g} s"
    except (aiohttp.ClientError, OSError, ValueError) as error:
        fault = type(error).__name__
    if fault:
        words(f"the ping to {clean(parts.netloc.rpartition('@')[2])} failed: {fault}")
