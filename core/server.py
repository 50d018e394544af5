"""What an engine shows over HTTP, read-only: /metrics, /healthz (it goes on) and /readyz (it can work).

It listens on this machine only, or with a token. Whoever asks has to call it by a name that is its own, so that no
web page can read it through a browser; what is asked is small, soon over, and answered without details of defects.
"""

import asyncio
import hmac
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import cast

from aiohttp import web
from aiohttp.typedefs import Middleware

from core.addresses import LOOPBACK_NAMES, is_loopback, parse_address
from core.bus import Bus
from core.engine.engine import LEASES, Engine
from core.errors import ConfigError
from core.events import LogLine
from core.monitoring.health import Check, are_alive, can_commit
from core.monitoring.metrics import Metrics
from core.text import clean

MOST_CONNECTIONS = 32
ANSWER_SECONDS = 10.0
CONNECTION_SECONDS = 60.0
LOOK_SECONDS = 5.0
IDLE_SECONDS = 30.0
PROBE_EVERY_SECONDS = 5.0
LONGEST_LINE = 4_096
HEADERS = {"Server": "tapewatch", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}

# What others send that is no request is their matter: nothing of it is logged.
_UNHEARD = logging.getLogger(f"{__name__}.unheard")
_UNHEARD.addHandler(logging.NullHandler())
_UNHEARD.propagate = False

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class HttpAddress:
    """Where it listens. `token` is what requests have to carry, none if empty; `hosts` what else it may be called."""

    host: str
    port: int
    token: str = ""
    hosts: tuple[str, ...] = ()

    @property
    def names(self) -> frozenset[str]:
        return frozenset(name.lower().strip("[]") for name in (*LOOPBACK_NAMES, self.host, *self.hosts))


def http_address(listen: str, token: str = "", hosts: Sequence[str] = ()) -> HttpAddress:
    """Raises ConfigError for what is no address, and for one beyond this machine without a token."""
    try:
        host, port = parse_address(listen)
    except ValueError as error:
        raise ConfigError(f"--listen {clean(listen)!r}: {error}") from None
    if not is_loopback(host) and not token:
        raise ConfigError(
            f"--listen {clean(listen)}: beyond this machine only with a token; set TAPEWATCH_MONITORING_TOKEN or "
            "monitoring.token_file, or listen on 127.0.0.1"
        )
    return HttpAddress(host, port, token, tuple(hosts))


class HttpServer:
    """Serves one engine's metrics and health: as its service, or for as long as `listening`."""

    name = "http"

    def __init__(self, address: HttpAddress, metrics: Metrics) -> None:
        self.address = address
        self.port = 0
        self._metrics = metrics

    async def run(self, engine: Engine) -> None:
        """Until cancelled. Raises ConfigError when the address is taken: it is tried again then."""
        async with self.listening(engine) as where:
            engine.tools.bus.publish(LogLine(level="info", text=f"metrics and health at {where}", source=self.name))
            await asyncio.Event().wait()

    @asynccontextmanager
    async def listening(self, engine: Engine) -> AsyncIterator[str]:
        """The URL that it listens at. Raises ConfigError where it cannot."""
        runner = web.AppRunner(
            self._application(engine),
            access_log=None,
            logger=_UNHEARD,
            keepalive_timeout=IDLE_SECONDS,
            max_line_size=LONGEST_LINE,
            max_field_size=LONGEST_LINE,
        )
        await runner.setup()
        server = cast("web.Server", runner.server)
        sweeping = asyncio.create_task(_end_old(server))
        try:
            listener = await self._listen(server)
            self.port = listener.sockets[0].getsockname()[1]
            host = f"[{self.address.host}]" if ":" in self.address.host else self.address.host
            try:
                yield f"http://{host}:{self.port}"
            finally:
                listener.close()
        finally:
            sweeping.cancel()
            await runner.cleanup()

    async def _listen(self, server: web.Server) -> asyncio.Server:
        loop, address = asyncio.get_running_loop(), self.address

        def accept() -> asyncio.Protocol:
            return server() if len(server.connections) < MOST_CONNECTIONS else _Refused()

        try:
            return await loop.create_server(accept, address.host, address.port, backlog=MOST_CONNECTIONS)
        except OSError as error:
            what = clean(error.strerror or str(error))
            raise ConfigError(f"--listen {address.host}:{address.port}: {what}; choose another port") from error

    def _application(self, engine: Engine) -> web.Application:
        application = web.Application(middlewares=[_guard(self.address, _defect_log(engine.tools.bus))])
        health = _Health(engine)
        application.router.add_get("/metrics", self._show)
        application.router.add_get("/healthz", health.lives)
        application.router.add_get("/readyz", health.is_ready)
        return application

    async def _show(self, request: web.Request) -> web.StreamResponse:
        body, content_type = self._metrics.page(request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": content_type})


class _Health:
    """Answers of an engine about itself. However often it is asked, the store is written to now and then only."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._probing = asyncio.Lock()
        self._probe = Check("store", is_ok=True)
        self._probed_at = float("-inf")

    async def lives(self, _request: web.Request) -> web.StreamResponse:
        checks = are_alive(self._engine.tools.heartbeats, without=[LEASES])
        return _verdict([Check("loop", is_ok=True), *(check for check in checks if check.name != "loop")])

    async def is_ready(self, _request: web.Request) -> web.StreamResponse:
        leases = [check for check in are_alive(self._engine.tools.heartbeats) if check.name == LEASES]
        is_stopping = self._engine.stopped.is_set()
        stop = Check("engine", is_ok=not is_stopping, why="is about to stop" if is_stopping else "")
        warnings = [Check(name, is_ok=True, why=why) for name, why in self._engine.tools.warnings.items()]
        return _verdict([await self._can_commit(), *leases, stop, *warnings])

    async def _can_commit(self) -> Check:
        now = asyncio.get_running_loop().time
        async with self._probing:
            if now() - self._probed_at >= PROBE_EVERY_SECONDS:
                self._probe = await can_commit(self._engine.tools.store.probe)
                self._probed_at = now()
        return self._probe


def _verdict(checks: Sequence[Check]) -> web.Response:
    is_ok = all(check.is_ok for check in checks)
    told = [{"name": check.name, "ok": check.is_ok, "why": check.why} for check in checks]
    body = json.dumps({"status": "ok" if is_ok else "failing", "checks": told})
    return web.Response(status=200 if is_ok else 503, text=body + "\n", content_type="application/json")


def _defect_log(bus: Bus) -> Callable[[Exception], None]:
    def say(error: Exception) -> None:
        text = clean(f"defect: {type(error).__name__}: {error}", 400)
        bus.publish(LogLine(level="error", text=text, source=HttpServer.name))

    return say


def _guard(address: HttpAddress, say: Callable[[Exception], None]) -> Middleware:
    """Who may ask, how, and for how long; every answer goes through here."""

    @web.middleware
    async def guard(request: web.Request, handler: Answer) -> web.StreamResponse:
        response = _objection(address, request) or await _within_time(request, handler, say)
        response.headers.update(HEADERS)
        return response

    return guard


def _objection(address: HttpAddress, request: web.Request) -> web.Response | None:
    if _name(request.headers.get("Host", "")) not in address.names:
        return web.Response(status=421, text="this server is not called that; see monitoring.hosts\n")
    if address.token and not _is_token(request.headers.get("Authorization", ""), address.token):
        return web.Response(status=401, text="a token is needed\n", headers={"WWW-Authenticate": "Bearer"})
    if request.method not in {"GET", "HEAD"}:
        return web.Response(status=405, text="only GET and HEAD\n", headers={"Allow": "GET, HEAD"})
    if request.body_exists:
        return web.Response(status=413, text="no body is taken\n")
    return None


def _name(host: str) -> str:
    """What a Host header calls us, without the port."""
    name = host.rpartition("]")[0].lstrip("[") if host.startswith("[") else host.partition(":")[0]
    return name.lower()


def _is_token(authorization: str, token: str) -> bool:
    scheme, _, given = authorization.partition(" ")
    return hmac.compare_digest(given.strip().encode("utf-8", "replace"), token.encode()) and scheme.lower() == "bearer"


async def _within_time(request: web.Request, answer: Answer, say: Callable[[Exception], None]) -> web.StreamResponse:
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            return await answer(request)
    except web.HTTPException as error:
        return web.Response(status=error.status, text=f"{error.reason.lower()}\n")
    except TimeoutError:
        return web.Response(status=503, text=f"no answer within {ANSWER_SECONDS:g} s\n")
    except Exception as error:  # a task boundary: defects are for the log and not for whoever asks
        say(error)
        return web.Response(status=500, text="internal error\n")


class _Refused(asyncio.Protocol):
    """One connection too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.Transport", transport).abort()


async def _end_old(server: web.Server) -> None:
    """Connections end after a while, whether anything was asked or not; those that do not take their end are cut."""
    since: dict[web.RequestHandler, float] = {}
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        now = asyncio.get_running_loop().time()
        since = {connection: since.get(connection, now) for connection in server.connections}
        for connection, at in since.items():
            if now - at > CONNECTION_SECONDS + ANSWER_SECONDS:
                connection.force_close()
            elif now - at > CONNECTION_SECONDS:
                connection.close()
