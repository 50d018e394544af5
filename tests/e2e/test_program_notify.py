"""Notifications of the program as it runs: a webhook is told of a run that failed, and of the next one that did not."""

import base64
import hashlib
import hmac
import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from e2e_program import Program

from core.servers import free_port

pytestmark = pytest.mark.slow

CANDLES = (
    "spot_ohlcv",
    "--market",
    "kraken",
    "--instrument",
    "BTC-USD",
    "--start",
    "2025-05-01",
    "--end",
    "2025-05-31",
)
KEY = bytes(range(32))
SECRET = "whsec_" + base64.b64encode(KEY).decode()
TOKEN = "T0K3N"


class Hook(http.server.ThreadingHTTPServer):
    """Takes messages whose signature is right, once told to; `status` is what it answers."""

    status = 200

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.ids: list[str] = []
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Hook

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        name = self.headers["webhook-id"]
        signed = f"{name}.{self.headers['webhook-timestamp']}.".encode() + body
        wanted = "v1," + base64.b64encode(hmac.digest(KEY, signed, hashlib.sha256)).decode()
        status = self.server.status if self.headers["webhook-signature"] == wanted else 401
        if status == 200:
            self.server.bodies.append(json.loads(body)["data"])
        self.server.ids.append(name)
        self.send_response(status)
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@contextmanager
def hooked(tmp_path: Path, program: Program) -> Iterator[Hook]:
    """A receiver, which `program` is configured to tell of errors."""
    with Hook() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        settings = tmp_path / "channels.toml"
        settings.write_text('[alerts.channels.ops]\nlevel = "ERROR"\nallow_private = true\n', "utf-8")
        program.env |= {
            "TAPEWATCH_CHANNEL_OPS_URL": f"http://127.0.0.1:{server.server_address[1]}/{TOKEN}",
            "TAPEWATCH_CHANNEL_OPS_SECRET": SECRET,
            "TAPEWATCH_ENGINE__MAX_OUTAGE": "1",
        }
        yield server
        server.shutdown()


def run(program: Program, tmp_path: Path, **env: str) -> str:
    done = program("--config-file", str(tmp_path / "channels.toml"), *CANDLES, **env)
    assert TOKEN not in done.out + done.err
    assert SECRET not in done.out + done.err
    return done.out + done.err


def nowhere() -> str:
    return f"http://127.0.0.1:{free_port()}"


def test_a_run_that_fails_is_told_before_it_ends_and_the_next_one_says_that_it_is_over(
    tapewatch: Program, tmp_path: Path
) -> None:
    with hooked(tmp_path, tapewatch) as hook:
        run(tapewatch, tmp_path, TAPEWATCH_BASE_URL=nowhere())
        told = {alert["rule"]: alert for body in hook.bodies for alert in body["alerts"]}
        assert told["run_failed"]["what"] == "fired"
        assert told["run_failed"]["command"] == "tapewatch jobs list"
        hook.bodies.clear()
        run(tapewatch, tmp_path)
    ended = {alert["rule"]: alert["what"] for body in hook.bodies for alert in body["alerts"]}
    assert ended["run_failed"] == "resolved"
    assert tapewatch.store.one("SELECT count(*) FROM outbox WHERE state <> 'sent'") == 0


def test_what_a_run_could_not_tell_the_next_one_does_with_the_same_id(tapewatch: Program, tmp_path: Path) -> None:
    with hooked(tmp_path, tapewatch) as hook:
        hook.status = 503
        said = run(tapewatch, tmp_path, TAPEWATCH_BASE_URL=nowhere())
        assert "channel ops: the receiver answers 503" in said
        assert hook.bodies == []
        waiting = hook.ids[0]
        hook.status = 200
        run(tapewatch, tmp_path)
    assert hook.bodies[0]["message"] == waiting
    assert {alert["what"] for body in hook.bodies for alert in body["alerts"]} >= {"fired", "resolved"}
    for column in ("error", "body", "message"):
        rows = tapewatch.store.all(f"SELECT {column} AS text FROM outbox")
        assert not [row for row in rows if TOKEN in row["text"]]


def test_a_killed_run_tells_once_more_and_with_the_same_id(tapewatch: Program, tmp_path: Path) -> None:
    with hooked(tmp_path, tapewatch) as hook:
        run(tapewatch, tmp_path, TAPEWATCH_BASE_URL=nowhere(), TAPEWATCH_FAILPOINT="after_post")
        assert len(hook.bodies) == 1
        run(tapewatch, tmp_path)
    assert hook.bodies[1] == hook.bodies[0]
    assert hook.ids.count(hook.ids[0]) == 2


def test_a_channel_without_a_secret_is_refused_by_name(tapewatch: Program, tmp_path: Path) -> None:
    with hooked(tmp_path, tapewatch):
        done = tapewatch(
            "--config-file", str(tmp_path / "channels.toml"), *CANDLES, code=2, TAPEWATCH_CHANNEL_OPS_SECRET=""
        )
    assert "alerts.channels.ops: a webhook needs a secret" in done.err
    assert TOKEN not in done.err
