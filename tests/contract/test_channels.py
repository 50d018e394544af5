"""Channels over real HTTP on loopback and real programs: what each answer means, and what never gets out."""

import asyncio
import base64
import hashlib
import hmac
import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from core.alerting import Entry
from core.alerting.messages import Message, compose, message_id, trial
from core.bus import Bus
from core.clock import LoopClock
from core.errors import ChannelAway, ChannelGone, ChannelRefused, ConfigError, DeliveryError
from core.events import AlertChanged, AnyEvent, LogLine, Rang
from core.notify import Channel
from core.notify.opening import ChannelOptions, open_channel, shown
from core.notify.post import Poster, PostOptions, is_public, retry_after
from tests.fakes import RawServer, answering, dripping, flooding, resetting, saying, silent

NOW = 1_750_000_000.0
KEY = bytes(range(32))
SECRET = "whsec_" + base64.b64encode(KEY).decode()
TOKEN = "T0K3N-in-the-path"
LOCAL = PostOptions(allow_private=True, timeout=5)
MESSAGE = trial("hook", NOW)


def opened(url: str, bus: Bus | None = None, **fields: Any) -> Channel:
    options = ChannelOptions(**{"name": "hook", "url": url, "secret": SECRET, "post": LOCAL, **fields})
    return open_channel(options, bus or Bus(lambda: NOW), LoopClock())


def hook(server: RawServer, **fields: Any) -> Channel:
    return opened(f"{server.url}/hooks/{TOKEN}", **fields)


class Inbox:
    """A web server that takes everything and keeps it."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str], bytes]] = []

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        app = web.Application(client_max_size=10_000_000)
        app.router.add_post("/{path:.*}", self._take)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        assert site._server is not None
        port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
        yield f"http://127.0.0.1:{port}"
        await runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        self.requests.append((request.path, dict(request.headers), await request.read()))
        return web.Response(text="ok")


async def test_a_webhook_is_signed_as_the_specification_says() -> None:
    inbox = Inbox()
    async with inbox.serving() as url:
        channel = opened(f"{url}/in")
        await channel.send(MESSAGE)
        await channel.send(MESSAGE)
        await channel.close()
    for path, headers, body in inbox.requests:
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        wanted = base64.b64encode(hmac.digest(KEY, signed, hashlib.sha256)).decode()
        assert (path, headers["webhook-signature"]) == ("/in", f"v1,{wanted}")
        assert headers["Content-Type"] == "application/json"
        assert int(headers["webhook-timestamp"]) > NOW
    assert {headers["webhook-id"] for _, headers, _ in inbox.requests} == {MESSAGE.id}
    data = json.loads(inbox.requests[0][2])
    assert (data["type"], data["data"]["count"], data["data"]["message"]) == ("tapewatch.alerts", 1, MESSAGE.id)


@pytest.mark.parametrize("status", ["200 OK", "201 Created", "204 No Content"])
async def test_success_is_success(status: str) -> None:
    async with RawServer(answering(b"", status)) as server:
        await hook(server).send(MESSAGE)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        *((f"{status} X", ChannelAway) for status in (408, 425, 429, 500, 502, 503, 504, 599)),
        ("410 Gone", ChannelGone),
        *((f"{status} X", ChannelRefused) for status in (400, 401, 403, 404, 405, 413, 422)),
        *((f"{status} X", ChannelRefused) for status in (300, 301, 302, 304, 307, 308)),
    ],
)
async def test_a_status_says_who_acts(status: str, error: type[DeliveryError]) -> None:
    body = b"" if status.startswith("304") else TOKEN.encode()
    async with RawServer(answering(body, status, Location="http://127.0.0.1:1/")) as server:
        with pytest.raises(error, match=status[:3]) as caught:
            await hook(server).send(MESSAGE)
    assert type(caught.value) is error
    assert TOKEN not in str(caught.value)
    assert len(server.heads) == 1


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("120", 120), ("86400", 3_600), ("-5", 0), ("soon", 0), ("", 0), ("9" * 400, 3_600), ("٣", 3),
     ("Sun, 15 Jun 2025 15:07:40 GMT", 60), ("Sun, 15 Jun 1925 15:07:40 GMT", 0)],
)  # fmt: skip
def test_who_says_when_is_believed_for_an_hour(text: str, seconds: float) -> None:
    assert retry_after(text, NOW) == seconds


async def test_a_time_comes_with_the_error() -> None:
    async with RawServer(answering(b"", "429 Too Many", Retry_After="77")) as server:
        with pytest.raises(ChannelAway) as caught:
            await hook(server).send(MESSAGE)
    assert caught.value.retry_after == 77


BROKEN: dict[str, Callable[..., Any]] = {
    "reset": resetting,
    "silent": silent,
    "garbage": saying(b"\x00\xff" * 100),
    "nothing": saying(b""),
    "endless head": flooding(b"HTTP/1.1 200 OK\r\n", b"X-A: " + b"a" * 4_000 + b"\r\n"),
    "slow body": dripping(b"x" * 5_000, 0.2),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_a_broken_receiver_is_tried_again_later(name: str) -> None:
    async with RawServer(BROKEN[name]) as server:
        if name == "slow body":  # what is read of an answer is not waited for to its end
            return await hook(server, post=PostOptions(allow_private=True, timeout=1)).send(MESSAGE)
        with pytest.raises(ChannelAway) as caught:
            await hook(server, post=PostOptions(allow_private=True, timeout=1)).send(MESSAGE)
    assert TOKEN not in str(caught.value)
    return None


async def test_of_a_huge_answer_little_is_read() -> None:
    async with RawServer(flooding(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65_536)) as server:
        await hook(server).send(MESSAGE)


async def test_a_server_that_is_not_there_is_tried_again_later() -> None:
    async with RawServer(silent) as server:
        url = server.url
    with pytest.raises(ChannelAway, match=r"^127\.0\.0\.1: Connection refused$"):
        await opened(f"{url}/{TOKEN}").send(MESSAGE)


class Names:
    """A resolver whose answers change, as those of a rebinding attacker do."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked += 1
        return [self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]]


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.1.2.3", "192.168.0.1", "172.16.9.9", "169.254.169.254", "100.64.0.1", "0.1.2.3", "::1", "::",
     "fe80::1", "fe80::1%eth0", "fc00::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "224.0.0.1",
     "255.255.255.255"],
)  # fmt: skip
async def test_nothing_is_sent_to_an_address_of_ours(address: str) -> None:
    assert not is_public(address)
    names = Names(address)
    channel = opened(f"https://hooks.example/{TOKEN}", post=PostOptions(resolve=names))
    with pytest.raises(ChannelRefused, match=r"^hooks\.example is an address of this machine"):
        await channel.send(MESSAGE)
    with pytest.raises(ChannelRefused):
        await channel.check()


@pytest.mark.parametrize("address", ["1.1.1.1", "2606:4700::1111", "::ffff:1.1.1.1"])
def test_a_public_address_is_one(address: str) -> None:
    assert is_public(address)


async def test_a_name_is_resolved_once_an_attempt_and_connected_to_as_it_was_looked_at() -> None:
    """The first answer is public, the second would be loopback: it is never asked for."""
    async with RawServer(answering(b"")) as server:
        port = server.url.rpartition(":")[2]
        names = Names("192.0.2.1", "127.0.0.1")
        poster = Poster(f"http://hooks.example:{port}/", LoopClock(), PostOptions(True, 1.0, names))
        with pytest.raises(ChannelAway):
            await poster.post(b"{}", {})
        assert (names.asked, server.heads) == (1, [])
        await poster.post(b"{}", {})
        assert names.asked == 2
        assert f"Host: hooks.example:{port}" in server.heads[0]


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://hooks.example/x", "only https is used"),
        ("https://127.0.0.1/x", "address of this machine"),
        ("https://[::1]/x", "address of this machine"),
        ("https://user:pass@hooks.example/x", "without a user"),
        ("https:///x", "https://host/path"),
        ("https://hooks.example:0/x", "https://host/path"),
        ("alertmanager+http://hooks.example", "only https is used"),
    ],
)
def test_a_url_is_refused_by_the_name_of_its_channel(url: str, says: str) -> None:
    with pytest.raises(ConfigError, match=rf"^alerts\.channels\.hook: .*{says}") as caught:
        opened(url, post=PostOptions())
    assert "pass" not in str(caught.value)


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_c2hvcnQ=", "whsec_***", SECRET.removeprefix("whsec_")])
def test_a_webhook_without_a_proper_secret_is_refused(secret: str) -> None:
    with pytest.raises(ConfigError, match="TAPEWATCH_CHANNEL_HOOK_SECRET") as caught:
        opened("https://hooks.example/x", secret=secret)
    assert len(secret) < 10 or secret not in str(caught.value)


def test_what_is_secret_is_not_shown() -> None:
    options = ChannelOptions("hook", f"https://hooks.example/{TOKEN}", SECRET)
    channel = open_channel(options, Bus(lambda: NOW), LoopClock())
    for text in (repr(options), repr(channel), repr(vars(channel)["_poster"]), shown(options)):
        assert TOKEN not in text
        assert SECRET not in text
    assert shown(options) == "https hooks.example"


async def test_alertmanager_is_told_when_it_began_and_that_it_goes_on() -> None:
    inbox = Inbox()
    async with inbox.serving() as url:
        channel = opened(f"alertmanager+{url}")
        await channel.send(
            message(alert(), alert(state="resolved", resolved=NOW + 60, incident="i2", source='a"\n\x1b'))
        )
        await channel.keep([alert()])
        await channel.check()
    assert [path for path, _, _ in inbox.requests] == ["/api/v2/alerts"] * 2
    first, second = json.loads(inbox.requests[0][2])
    assert first["labels"] == {"alertname": "slow", "severity": "error", "source": "book", "job": "tapewatch"}
    assert first["startsAt"] == "2025-06-15T15:06:40Z"
    assert first["endsAt"] > first["startsAt"]
    assert second["endsAt"] == "2025-06-15T15:07:40Z"
    assert second["labels"]["source"] == "a”"
    assert channel.forgets


async def test_many_alerts_are_many_requests_for_alertmanager() -> None:
    inbox = Inbox()
    async with inbox.serving() as url:
        await opened(f"alertmanager+{url}").send(message(*(alert(incident=f"i{number}") for number in range(250))))
    assert [len(json.loads(body)) for _, _, body in inbox.requests] == [100, 100, 50]


def alert(**fields: Any) -> AlertChanged:
    given = {"alert": "slow:book", "rule": "slow", "level": "ERROR", "state": "firing", "since": NOW - 60,
             "message": "it is slow", "source": "book", "incident": "i1", "sequence": 1, "fired": NOW}  # fmt: skip
    return AlertChanged(**{**given, **fields})


def message(*alerts: AlertChanged) -> Message:
    entries = [Entry("hook", "ERROR:slow", "fired", each, NOW, NOW) for each in alerts]
    return compose(message_id(entries), entries)


async def test_the_log_and_the_bell_reach_whoever_looks_on() -> None:
    bus, events = Bus(lambda: NOW), list[AnyEvent]()
    bus.listen(events.append)
    for url in ("log://", "bell://"):
        channel = opened(url, bus)
        await channel.check()
        await channel.send(message(alert(level="WARNING")))
    line, bell = events
    assert isinstance(line, LogLine)
    assert (line.level, line.source) == ("warning", "alerts:hook")
    assert line.text == "WARNING fired: slow, book; WARNING fired: it is slow, book, since 2025-06-15T15:06:40Z"
    assert isinstance(bell, Rang)
    assert (bell.channel, bell.level, bell.text) == ("hook", "WARNING", "WARNING fired: slow, book")


HOSTILE = "\x1b[2J\x07\n\"a' <b>@all</b> \ud800 `x` [y](z) \u202e"
ACTS = set("\x1b\x07\"'<>@`[]\u202e\ud800")


async def test_hostile_labels_reach_no_receiver(tmp_path: Path) -> None:
    told = message(alert(**dict.fromkeys(["alert", "rule", "source", "message", "doing", "command"], HOSTILE)))
    inbox, bus, events = Inbox(), Bus(lambda: NOW), list[AnyEvent]()
    bus.listen(events.append)
    out = tmp_path / "out"
    async with inbox.serving() as url:
        for kind in (f"{url}/hook", f"alertmanager+{url}", "log://", "bell://"):
            await opened(kind, bus).send(told)
        await opened(url.replace("http", "json")).send(told)
    await opened("command://", program=[sys.executable, "-c", COPIES, str(out)]).send(told)
    sent = [text for _, _, body in inbox.requests for text in _texts(json.loads(body))]
    said = [event.text for event in events if isinstance(event, LogLine | Rang)]
    assert len(inbox.requests) == 3
    assert len(said) == 2
    for text in (*sent, *said, out.read_text("utf-8")):
        assert not ACTS & set(text), text
    assert not [text for text in said if "\n" in text]


COPIES = "import sys; open(sys.argv[1], 'wb').write(sys.stdin.buffer.read())"


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for part in parts for text in _texts(part)]


WRITES = "import os, sys; open(sys.argv[1], 'w').write(repr((sys.stdin.read(), sys.argv[2:], dict(os.environ))))"


async def test_a_program_gets_the_message_and_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAPEWATCH_API_KEY", TOKEN)
    monkeypatch.setenv("CCDATA_API_KEY", TOKEN)
    out = tmp_path / "out"
    channel = opened("command://", program=[sys.executable, "-c", WRITES, str(out), "{subject}", "$(x) {subject}"])
    await channel.check()
    await channel.send(MESSAGE)
    found = out.read_text("utf-8")
    text, arguments, environ = eval(found)  # noqa: S307 - what the line above wrote
    assert text == f"{MESSAGE.subject}\n\n{MESSAGE.text}\n"
    assert arguments == [MESSAGE.subject, "$(x) {subject}"]
    assert TOKEN not in found
    assert "PATH" in environ


@pytest.mark.parametrize(
    ("code", "says"), [("raise SystemExit(3)", "ended with 3"), ("import time; time.sleep(60)", "did not end within")]
)
async def test_a_program_that_fails_is_run_again_later(code: str, says: str) -> None:
    channel = opened("command://", program=[sys.executable, "-c", code], post=PostOptions(timeout=1))
    with pytest.raises(ChannelAway, match=says):
        await channel.send(MESSAGE)


async def test_a_program_that_is_not_there_is_said_at_the_start() -> None:
    channel = opened("command://", program=["/no/such/program"])
    for attempt in (channel.check(), channel.send(MESSAGE)):
        with pytest.raises(ChannelRefused, match="there is no such program"):
            await attempt
    with pytest.raises(ConfigError, match="command:// needs a program"):
        opened("command://")


async def test_apprise_speaks_to_its_service() -> None:
    inbox = Inbox()
    async with inbox.serving() as url:
        channel = opened(url.replace("http", "json") + f"/{TOKEN}")
        await channel.send(MESSAGE)
    [(path, _, body)] = inbox.requests
    sent = json.loads(body)
    assert path == f"/{TOKEN}"
    assert (sent["title"], sent["message"]) == (MESSAGE.subject, MESSAGE.text)


async def test_a_service_of_apprise_that_is_away_is_tried_again_without_a_word_about_its_url(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    async with RawServer(answering(b"", "500 X")) as server:
        channel = opened(server.url.replace("http", "json") + f"/{TOKEN}")
        with pytest.raises(ChannelAway, match="does not take the message") as caught:
            await channel.send(MESSAGE)
    said = "".join([str(caught.value), repr(channel), caplog.text, *capfd.readouterr()])
    assert TOKEN not in said


def test_a_url_of_apprise_comes_from_where_secrets_are_kept() -> None:
    with pytest.raises(ConfigError, match="TAPEWATCH_CHANNEL_HOOK_URL") as caught:
        opened(f"slack://{TOKEN}", is_private=False)
    assert TOKEN not in str(caught.value)
    with pytest.raises(ConfigError, match="Apprise does not know") as caught:
        opened(f"nosuchservice://{TOKEN}")
    assert TOKEN not in str(caught.value)


async def test_who_stops_waiting_leaves_no_program_behind(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    os.mkfifo(mark)
    child_code = f"import os, time; open({str(mark)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child_code!r}])"
    sending = asyncio.create_task(opened("command://", program=[sys.executable, "-c", code]).send(MESSAGE))
    child = await asyncio.to_thread(mark.read_text)
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    async with asyncio.timeout(30):
        while _is_running(child):  # noqa: ASYNC110 - a process of somebody else's ends when it does
            await asyncio.sleep(0.01)


def _is_running(pid: str) -> bool:
    """A process that has ended and that nobody has asked about yet does not run."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
