"""The sandbox as a process and over HTTP."""

import gzip
import http.client
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest

from core.errors import ConfigError
from core.sandbox.options import SandboxOptions, moment
from core.sandbox.server import running

NOW = moment("2025-06-15T12:34:56")
DAYS = "/spot/v1/historical/days?market=kraken&instrument=BTC-USD"


@pytest.mark.slow
def test_the_command_serves_logs_and_ends(tmp_path: Path) -> None:
    log = tmp_path / "calls.jsonl"
    command = [
        sys.executable,
        "-m",
        "core.cli",
        "sandbox",
        "--now",
        "2025-06-15T12:34:56",
        "--seed",
        "3",
        "--log",
        str(log),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline().split()
        assert line[:3] == ["sandbox", "ready", "at"]
        assert line[4] == "seed=3"
        connection = http.client.HTTPConnection(urlsplit(line[3]).netloc, timeout=20)
        connection.request("GET", DAYS + "&limit=2000", headers={"Accept-Encoding": "gzip"})
        answer = connection.getresponse()
        rows = json.loads(gzip.decompress(answer.read()))["Data"]
        assert len(rows) == 2_000
        assert answer.getheader("Date") == "Sun, 15 Jun 2025 12:34:56 GMT"
        assert answer.getheader("Content-Encoding") == "gzip"
        assert answer.getheader("X-Tapewatch-Sandbox") == "seed=3"
        logged = json.loads(log.read_text())
        assert (logged["path"], logged["status"]) == (DAYS + "&limit=2000", 200)
        # The connection stays open: an idle client must not hold up the end.
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0
        connection.close()


@pytest.mark.parametrize(
    "arguments",
    [
        ["--host", "192.0.2.1"], ["--limits", "some"], ["--now", "then"], ["--faults", "/none.json"],
        ["--scenario", "/none.json"], ["--revisions", "2"], ["--replay", ".", "--revisions", "0.1"],
    ],
)  # fmt: skip
def test_mistakes_end_with_two_and_a_sentence(arguments: list[str]) -> None:
    environment = {**os.environ, "COLUMNS": "200"}
    done = subprocess.run(
        [sys.executable, "-m", "core.cli", "sandbox", *arguments],
        capture_output=True, text=True, timeout=30, check=False, env=environment,
    )  # fmt: skip
    assert done.returncode == 2
    assert arguments[0] in done.stderr
    assert "Traceback" not in done.stderr


async def test_a_port_in_use_is_reported() -> None:
    async with running(SandboxOptions()) as url:
        port = urlsplit(url).port
        assert port is not None
        with pytest.raises(ConfigError, match=str(port)):
            async with running(SandboxOptions(port=port)):
                pass


async def test_faults_of_the_connection(tmp_path: Path) -> None:
    rules = tmp_path / "faults.json"
    rules.write_text(
        json.dumps(
            [
                {"calls": [1], "reset": True},
                {"calls": [2], "cut": 0.5},
                {"calls": [3], "slow": 0.05},
                {"calls": [4], "truncate": 0.5},
            ]
        )
    )
    options = SandboxOptions(now=NOW, faults=rules, log=tmp_path / "log.jsonl", latency=0.001)
    async with running(options) as url, aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientError):
            await (await session.post(url + DAYS)).read()
        with pytest.raises(aiohttp.ClientPayloadError):
            await (await session.get(url + DAYS)).read()
        slow = await (await session.get(url + DAYS)).json()
        assert len(slow["Data"]) == 30
        with pytest.raises(json.JSONDecodeError):
            await (await session.get(url + DAYS)).json()
        plain = await session.get(url + "/info/v1/version", headers={"Accept-Encoding": "identity"})
        assert "Content-Encoding" not in plain.headers
        await plain.read()
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 5


async def test_all_kinds_of_answers_over_http(tmp_path: Path) -> None:
    events = tmp_path / "scenario.toml"
    events.write_text(
        '[[events]]\nat = 2025-06-15T12:00:00Z\nevent = "rename"\nkind = "futures"\nmarket = "binance"\n'
        'instrument = "ETH-USDT-VANILLA-PERPETUAL"\nto = "ETHER-USDT-VANILLA-PERPETUAL"\n'
    )
    options = SandboxOptions(now=NOW, skew=-30, scenario=events, revisions=0.01)
    query = "?market=binance&limit=200&instrument="
    async with running(options) as url, aiohttp.ClientSession(url) as session:
        for path, names in (("funding-rate", "MAPPED_INSTRUMENT,INTERVAL_MS"), ("open-interest", "OPEN_MARK_PRICE")):
            page = f"/futures/v1/historical/{path}/minutes{query}ETHER-USDT-VANILLA-PERPETUAL"
            answer = await session.get(page)
            rows = (await answer.json())["Data"]
            assert answer.headers["Date"] == "Sun, 15 Jun 2025 12:34:26 GMT"
            assert len(rows) == 200
            assert set(names.split(",")) <= set(rows[0])
            table = await session.get(page + "&response_format=CSV&aggregate=5")
            assert table.content_type == "text/csv"
            assert len((await table.text()).splitlines()) == 201
        gone = await session.get(f"/futures/v1/historical/hours{query}ETH-USDT-VANILLA-PERPETUAL")
        assert gone.status == 404
        old = await session.get("/futures/v1/markets?market=binance")
        assert old.headers["Deprecation"] == "true"
        assert list((await old.json())["Data"]) == ["binance"]
        assets = await (await session.get("/asset/v2/metadata?assets=BTC,NOPE")).json()
        assert list(assets["Data"]) == ["BTC"]
        assert assets["Warn"]["other_info"]["values"]
