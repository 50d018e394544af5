"""The dashboard in a browser of this machine, by textual-serve: one program for each tab, loopback only.

textual-serve asks nobody who they are. So whoever opens it brings a token once, by the address that is printed, and a
cookie from then on; a name that is not ours (DNS rebinding) and a page that is not ours (another site's script) are
refused, and the page may load nothing from elsewhere.
"""

import re
import secrets
import socket
from collections.abc import Awaitable, Callable

from aiohttp import web
from textual_serve.app_service import AppService
from textual_serve.server import Server, to_int

LOOPBACK = "127.0.0.1"
FOREIGN_FONT = re.compile(r"<link\s[^>]*googleapis[^>]*>")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class DashboardServer(Server):
    """Serves `command`, a shell's words, on a port of loopback, any free one for 0, until it is interrupted."""

    def __init__(self, command: str, port: int, tell: Callable[[str], object]) -> None:
        self._socket = socket.create_server((LOOPBACK, port))
        port = self._socket.getsockname()[1]
        super().__init__(command, LOOPBACK, port, title="Tapewatch")
        self._token = secrets.token_urlsafe(24)
        self._cookie = f"tapewatch-{port}"
        self._tell = tell

    @property
    def address(self) -> str:
        """What to open, with the token that lets its reader in."""
        return f"{self.public_url}/?token={self._token}"

    def run(self) -> None:
        """Returns when it was told to end by SIGINT or SIGTERM."""
        web.run_app(self._make_app(), sock=self._socket, print=None, access_log=None)

    async def on_startup(self, app: web.Application) -> None:
        self._tell(f"open {self.address}")

    async def handle_index(self, request: web.Request) -> web.StreamResponse:
        page: web.StreamResponse = await super().handle_index(request)
        if isinstance(page, web.Response):
            page.text = FOREIGN_FONT.sub("", page.text or "")
        return page

    async def handle_websocket(self, request: web.Request) -> web.WebSocketResponse:
        """One tab. Its program is waited for, which textual-serve leaves to chance."""
        tab = web.WebSocketResponse(heartbeat=15)
        await tab.prepare(request)
        program = AppService(
            self.command,
            write_bytes=tab.send_bytes,
            write_str=tab.send_str,
            close=tab.close,  # type: ignore[arg-type]
            download_manager=self.download_manager,
        )
        await program.start(*(to_int(request.query.get(name, ""), 80) for name in ("width", "height")))
        try:
            await self._process_messages(tab, program)
        finally:
            await program.stop()
            if program._process is not None:
                await program._process.wait()
        return tab

    async def _make_app(self) -> web.Application:
        app = await super()._make_app()
        app.middlewares.append(self._guard)
        app.on_response_prepare.append(self._shield)
        return app

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        origin = request.headers.get("Origin", self.public_url)
        if (f"http://{request.host}", origin) != (self.public_url, self.public_url):
            raise web.HTTPForbidden(text="this is another address than the one that was printed")
        if self._is(request.query.get("token", "")):
            welcome = web.HTTPSeeOther("/")
            welcome.set_cookie(self._cookie, self._token, httponly=True, samesite="Strict")
            raise welcome
        if not self._is(request.cookies.get(self._cookie, "")):
            raise web.HTTPForbidden(text="open the address that was printed, with its token")
        return await handler(request)

    def _is(self, token: str) -> bool:
        return secrets.compare_digest(token.encode(), self._token.encode())

    async def _shield(self, request: web.Request, response: web.StreamResponse) -> None:
        policy = f"default-src 'self' 'unsafe-inline' data:; connect-src 'self' ws://{request.host}"
        response.headers["Content-Security-Policy"] = f"{policy}; frame-ancestors 'none'"
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers["X-Content-Type-Options"] = "nosniff"
