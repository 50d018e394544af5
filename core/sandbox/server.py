"""The sandbox over HTTP on loopback. Imports aiohttp, so commands import it when they run."""

import asyncio
import contextlib
import gzip
import signal
import socket
import struct
from collections.abc import AsyncIterator, Callable, Iterator

from aiohttp import web

from core.errors import ConfigError
from core.sandbox.gate import Gate
from core.sandbox.options import SandboxOptions, loopback
from core.sandbox.wire import Answer, Request

_GZIP_FROM = 1_024
_DRIPS = 20
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
        delivery = answer.delivery
        pause = self._options.latency + delivery.delay
        if pause:
            await asyncio.sleep(pause)
        if delivery.reset:
            return _hang_up(request)
        headers, body = await self._encoded(request, answer)
        if delivery.cut is None and not delivery.drip:
            return web.Response(status=answer.status, headers=headers, body=body)
        return await _piecemeal(request, answer, headers, body)

    async def _encoded(self, request: web.BaseRequest, answer: Answer) -> tuple[dict[str, str], bytes]:
        headers, body = dict(answer.headers), answer.body
        if len(body) > _GZIP_FROM and not self._options.canned and _takes_gzip(request):
            # Large pages take tens of milliseconds, in which other requests can be answered.
            body = await asyncio.get_running_loop().run_in_executor(None, gzip.compress, body, 1)
            headers["Content-Encoding"] = "gzip"
        return headers, body


async def _piecemeal(
    request: web.BaseRequest, answer: Answer, headers: dict[str, str], body: bytes
) -> web.StreamResponse:
    """Sends the body in drips, or only a part of it before the connection is dropped."""
    response = web.StreamResponse(status=answer.status, headers=headers)
    response.content_length = len(body)
    await response.prepare(request)
    cut = answer.delivery.cut
    sent = body if cut is None else body[: int(len(body) * cut)]
    drips = _DRIPS if answer.delivery.drip else 1
    step = max(1, -(-len(sent) // drips))
    for start in range(0, len(sent), step):
        await asyncio.sleep(answer.delivery.drip / drips)
        await response.write(sent[start : start + step])
    if cut is not None and request.transport is not None:
        request.transport.close()
    return response


def _hang_up(request: web.BaseRequest) -> web.StreamResponse:
    """Resets the connection; the response is for aiohttp and reaches nobody."""
    transport = request.transport
    if transport is not None:
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    return web.Response()


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
