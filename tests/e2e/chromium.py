"""A headless Chromium, told what to do by its DevTools protocol."""

import asyncio
import base64
import json
import os
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import pyte

PROGRAM = shutil.which("chromium")
IS_NEEDED = bool(os.environ.get("NEEDS_CHROMIUM"))
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0", "--window-size=1280,800")


class Page:
    """One tab with a terminal. `asked` are the addresses that it loaded."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.asked: list[str] = []
        self._socket = socket
        self._screen = pyte.Screen(80, 24)
        self._stream = pyte.ByteStream(self._screen)
        self._has_shown = asyncio.Event()
        self._number = 0
        self._answers: dict[int, asyncio.Future[Any]] = {}

    async def listen(self) -> None:
        async for message in self._socket:
            said = json.loads(message.data)
            if "id" in said:
                self._answers.pop(said["id"]).set_result(said.get("result", said.get("error")))
            else:
                self._note(said["method"], said["params"])

    def _note(self, method: str, params: dict[str, Any]) -> None:
        if method == "Network.requestWillBeSent":
            self.asked.append(params["request"]["url"])
        elif method == "Network.webSocketCreated":
            self.asked.append(params["url"])
            columns, lines = self.size
            self._screen.resize(lines, columns)
        elif method == "Network.webSocketFrameReceived" and params["response"]["opcode"] == 2:
            self._stream.feed(base64.b64decode(params["response"]["payloadData"]))
            self._has_shown.set()

    @property
    def shown(self) -> str:
        """What stands on its terminal."""
        return "\n".join(self._screen.display)

    async def do(self, method: str, **params: object) -> Any:
        self._number += 1
        answer = self._answers[self._number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": self._number, "method": method, "params": params})
        return await answer

    async def value(self, script: str) -> Any:
        found = await self.do("Runtime.evaluate", expression=script, returnByValue=True)
        return found["result"].get("value")

    async def until_shown(self, marker: str, seconds: float = 60.0) -> None:
        async with asyncio.timeout(seconds):
            while marker not in self.shown:
                self._has_shown.clear()
                await self._has_shown.wait()

    async def click_until_shown(self, column: int, row: int, marker: str) -> None:
        """Click again as users do: a click that came while a screen was changing is nobody's."""
        for _ in range(12):
            await self.click_cell(column, row)
            with suppress(TimeoutError):
                return await self.until_shown(marker, 5.0)
        raise AssertionError(f"{marker!r} is not shown: {self.shown}")

    async def click_cell(self, column: int, row: int) -> None:
        """A click in the middle of that cell of the terminal."""
        box = await self.value("(b => [b.x, b.y, b.width, b.height])(document.querySelector('.xterm-screen')"
                               ".getBoundingClientRect())")  # fmt: skip
        columns, rows = self.size
        x, y = box[0] + (column + 0.5) * box[2] / columns, box[1] + (row + 0.5) * box[3] / rows
        for kind in ("mousePressed", "mouseReleased"):
            await self.do("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    @property
    def size(self) -> tuple[int, int]:
        """Of the terminal, in cells."""
        address = next(url for url in self.asked if url.startswith("ws:"))
        width, height = re.findall(r"(?:width|height)=(\d+)", address)
        return int(width), int(height)


@asynccontextmanager
async def opened(address: str, folder: Path) -> AsyncIterator[Page]:
    """A Chromium with a profile of its own, on that address; it ends with the block."""
    command = [PROGRAM or "chromium", *FLAGS, f"--user-data-dir={folder}", "about:blank"]
    pipe = asyncio.subprocess.PIPE
    browser = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL, stderr=pipe)
    try:
        port = await _port(browser)
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{port}/json") as answer:
                target = next(each for each in await answer.json() if each["type"] == "page")
            async with session.ws_connect(target["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                page = Page(socket)
                listening = asyncio.create_task(page.listen())
                await page.do("Network.enable")
                await page.do("Page.navigate", url=address)
                yield page
                listening.cancel()
                await asyncio.gather(listening, return_exceptions=True)
    finally:
        browser.terminate()
        await browser.communicate()


async def _port(browser: asyncio.subprocess.Process) -> str:
    """Where it says that it listens."""
    assert browser.stderr is not None
    async with asyncio.timeout(60):
        async for line in browser.stderr:
            if found := re.search(rb"DevTools listening on ws://127\.0\.0\.1:(\d+)/", line):
                return found[1].decode()
    raise AssertionError("chromium ended")
