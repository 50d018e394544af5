"""The way to the engine: over a real socket, through backoff, and for engines that misbehave."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from dashboard_fakes import FakeConnection, FakeEngine, hello, job

from core.bus import Bus
from core.control import Connection, ControlServer
from core.errors import EngineGone, EngineUnreachable, TapewatchError
from core.events import Hello, Message, Snapshot
from tui.app import Dashboard, DashboardOptions
from tui.client import LONGEST_WAIT, EngineLink
from tui.state import Link


class Ear:
    """Keeps what a link says, and lets a test wait for it."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.links: list[Link] = []
        self.news = asyncio.Event()

    def heard(self, message: Message) -> None:
        self.messages.append(message)
        self.news.set()

    def link_changed(self, link: Link) -> None:
        self.links.append(link)
        self.news.set()

    async def until(self, condition: Any) -> None:
        async with asyncio.timeout(10):
            while not condition():
                self.news.clear()
                await self.news.wait()


class Enough(Exception):
    """Ends a link that would go on for ever."""


async def test_waiting_grows_to_five_seconds() -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 6:
            raise Enough

    async def nobody() -> Connection:
        raise EngineUnreachable("nobody")

    ear = Ear()
    with pytest.raises(Enough):
        await EngineLink(nobody, ear, lambda: 100.0, sleep).run()
    assert waits == [0.5, 1.0, 2.0, 4.0, LONGEST_WAIT, LONGEST_WAIT]
    assert (ear.links[0].phase, ear.links[0].reason, ear.links[0].retry_at) == ("connecting", "nobody", 100.5)


class BrokenConnection(FakeConnection):
    async def messages(self) -> AsyncIterator[Message]:
        raise RuntimeError("not a message")
        yield


async def test_an_engine_that_talks_nonsense_is_left_and_asked_again() -> None:
    connection = BrokenConnection(FakeEngine())
    ear = Ear()

    async def connect() -> BrokenConnection:
        return connection

    async def sleep(_seconds: float) -> None:
        raise Enough

    link = EngineLink(connect, ear, lambda: 0.0, sleep)
    with pytest.raises(Enough):
        await link.run()
    assert ear.links[-1].phase == "lost"
    assert "RuntimeError: not a message" in ear.links[-1].reason
    assert connection.closed
    with pytest.raises(EngineUnreachable):
        await link.command("stop")


async def test_over_a_socket(tmp_path: Path) -> None:
    path = tmp_path / "e.sock"
    bus = Bus(lambda: 1.0)
    bus.publish(job(1))
    asked: list[tuple[str, dict[str, Any]]] = []

    async def handle(name: str, args: dict[str, Any]) -> object:
        asked.append((name, args))
        if name == "retry":
            raise TapewatchError("nothing failed")
        if name == "submit":
            raise EngineGone("about to end")
        return {"ok": True}

    def greet(_read_only: bool) -> Hello:
        return hello()

    async def connect() -> Connection:
        return await Connection.open(path)

    ear = Ear()
    link = EngineLink(connect, ear, lambda: 0.0)
    server = ControlServer(bus, greet, handle)
    async with asyncio.timeout(20):
        async with server.listening(path):
            task = asyncio.create_task(link.run())
            await ear.until(lambda: any(isinstance(message, Snapshot) for message in ear.messages))
            assert isinstance(ear.messages[0], Hello)
            assert await link.command("hold", job="j-0001") == {"ok": True}
            with pytest.raises(TapewatchError, match="nothing failed"):
                await link.command("retry", job="j-0001")
            with pytest.raises(EngineGone, match="about to end"):
                await link.command("submit")
            assert asked == [("hold", {"job": "j-0001"}), ("retry", {"job": "j-0001"}), ("submit", {})]
        await ear.until(lambda: ear.links[-1].phase == "lost")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_the_dashboard_on_a_socket_with_its_own_timers(tmp_path: Path) -> None:
    path = tmp_path / "e.sock"
    bus = Bus(lambda: 1.0)
    server = ControlServer(bus, lambda _read_only: hello(), _agree)
    painted = asyncio.Event()

    class Watched(Dashboard):
        def repaint(self) -> None:
            super().repaint()
            painted.set()

    async def connect() -> Connection:
        return await Connection.open(path)

    async with asyncio.timeout(20), server.listening(path):
        app = Watched(connect, DashboardOptions(refresh_hz=50.0))
        async with app.run_test(size=(80, 24)) as pilot:
            bus.publish(job(1))
            while "j-0001" not in app.desk.state.jobs:
                painted.clear()
                await painted.wait()
            await pilot.pause()
            assert any("j-0001" in line for line in app.screen.query_one("#jobs").text_lines())  # type: ignore[attr-defined]


async def _agree(_name: str, _args: dict[str, Any]) -> object:
    return None
