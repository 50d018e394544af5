"""The sandbox over HTTP on loopback. Imports aiohttp, so commands import it when they run."""

import asyncio
import contextlib
import gzip
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator

from aiohttp import web

from core.errors import ConfigError
from core.sandbox.gate import Gate
from core.sandbox.options import SandboxOptions, loopback
from core.sandbox.wire import Answer, Request

_GZIP_FROM = 1_024
_SEND_BUFFER = 4 * 1024 * 1024


@contextlib.asynccontextmanager
async def running(options: SandboxOptions) -> AsyncIterator[str]:
    """A sandbox for as long as the block runs; yields its base URL. Raises ConfigError."""
    with _log_writer(options) as log:
        app = _Mount(Gate(options, log), options)
        server = web.Server(app.handle, access_log=None)
        runner = web.ServerRunner(server, handle_signals=False, shutdown_timeout=0.2)
        await runner.setup()
        listener = _listen(options)
        try:
            await web.SockSite(runner, listener).start()
            host = f"[{options.host}]" if ":" in options.host else options.host
            yield f"http://{host}:{listener.getsockname()[1]}"
        finally:
            await runner.cleanup()


async def serve(options: SandboxOptions, ready: Callable[[str], None]) -> None:
    """Runs until SIGTERM or SIGINT; `ready` gets the base URL once requests are accepted."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with running(options) as url:
        ready(url)
        await stop.wait()


def _listen(options: SandboxOptions) -> socket.socket:
    host = loopback(options.host)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Inherited by accepted connections: a whole page then leaves in one write.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        listener.bind((host, options.port))
    except OSError as error:
        listener.close()
        raise ConfigError(f"--port: cannot listen on {host}:{options.port}: {error.strerror}") from error
    return listener


@contextlib.contextmanager
def _log_writer(options: SandboxOptions) -> Iterator[Callable[[str], None] | None]:
    if options.log is None:
        yield None
        return
    try:
        file = options.log.open("a", encoding="utf-8", buffering=1)
    except OSError as error:
        raise ConfigError(f"--log: cannot write {options.log}: {error.strerror}") from error
    with file:
        yield lambda line: _append(file.write, file.flush, line)


def _append(write: Callable[[str], int], flush: Callable[[], None], line: str) -> None:
    write(line)
    flush()


class _Mount:
    """Turns aiohttp's requests into ours and our answers into aiohttp's."""

    def __init__(self, gate: Gate, options: SandboxOptions) -> None:
        self._gate = gate
        self._options = options

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        answer = self._gate.answer(_received(request))
        pause = self._options.latency + answer.delivery.delay
        if pause:
            await asyncio.sleep(pause)
        return await self._send(request, answer)

    async def _send(self, request: web.BaseRequest, answer: Answer) -> web.StreamResponse:
        headers = dict(answer.headers)
        body = answer.body
        if len(body) > _GZIP_FROM and not self._options.canned and _takes_gzip(request):
            body = await asyncio.get_running_loop().run_in_executor(None, gzip.compress, body, 1)
            headers["Content-Encoding"] = "gzip"
        return web.Response(status=answer.status, headers=headers, body=body)


def _received(request: web.BaseRequest) -> Request:
    return Request(
        path=request.path,
        query=dict(request.query),
        method=request.method,
        headers={name.lower(): value for name, value in request.headers.items()},
        raw_path=request.raw_path,
    )


def _takes_gzip(request: web.BaseRequest) -> bool:
    return "gzip" in request.headers.get("Accept-Encoding", "").lower()
