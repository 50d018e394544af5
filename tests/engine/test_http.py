"""What an engine shows over HTTP: metrics that parse, health that names what failed, and nothing to anybody else."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from engine_kit import Kit, ask
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from core import server as server_module
from core.engine.engine import Engine
from core.engine.evaluator import Evaluator, Sources
from core.engine.figures import EngineFigures
from core.errors import ConfigError, StoreUnavailable
from core.events import LogLine
from core.monitoring.metrics import Metrics
from core.server import MOST_CONNECTIONS, HttpServer, http_address

OPENMETRICS = {"Accept": "application/openmetrics-text; version=1.0.0"}
TOKEN = "a token of sixteen or more".replace(" ", "-")


@asynccontextmanager
async def serving(kit: Kit, token: str = "") -> AsyncIterator[tuple[Engine, str, aiohttp.ClientSession]]:
    figures = EngineFigures()
    metrics = Metrics(figures)
    kit.tools.telemetry.add(metrics.hear)
    server = HttpServer(http_address("127.0.0.1:0", token), metrics)
    async with (
        Engine("e", kit.tools, services=[figures]) as engine,
        server.listening(engine) as url,
        aiohttp.ClientSession() as session,
    ):
        await asyncio.sleep(2)
        yield engine, url, session


async def test_metrics_of_a_run_parse_and_agree_with_it(kit: Kit) -> None:
    kit.source.limits = {1: 20, 2_592_000: 100_000}
    async with serving(kit) as (engine, url, session):
        job = engine.submit(ask())
        await engine.wait(job)
        await asyncio.sleep(61)
        async with session.get(f"{url}/metrics", headers=OPENMETRICS) as answer:
            page = await answer.text()
            assert answer.status == 200
            assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Cache-Control"] == "no-store"
    found = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }
    inserted = ("data_type", "spot_ohlcv"), ("outcome", "inserted")
    assert found["tapewatch_rows_total", *inserted] == job.counters.rows_inserted == 60
    assert found["tapewatch_api_calls_total", ("endpoint", "history"), ("outcome", "ok")] == 1
    part = ("data_type", "spot_ohlcv"), ("interval", "1m"), ("market", "kraken")
    assert found["tapewatch_series", *part] == 1
    assert found["tapewatch_freshness_seconds", *part] == pytest.approx(7 * 3_600, rel=0.02)
    assert found["tapewatch_quota_limit_calls", ("limit", "month")] == 100_000
    assert found["tapewatch_quota_remaining_calls", ("limit", "month")] == 99_999
    assert {"tapewatch_build_info", "process_cpu_seconds_total"} <= {name for name, *_ in found}


async def test_the_older_text_is_there_too(kit: Kit) -> None:
    async with serving(kit) as (_, url, session), session.get(f"{url}/metrics") as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=")
        assert "# EOF" not in await answer.text()


async def test_health_of_an_engine_that_is_well(kit: Kit) -> None:
    async with serving(kit) as (_, url, session):
        for path in ("/healthz", "/readyz"):
            async with session.get(url + path) as answer:
                found = await answer.json()
                assert (answer.status, found["status"]) == (200, "ok"), found
                assert all(check["ok"] for check in found["checks"])


async def test_a_channel_that_does_not_work_is_a_warning(kit: Kit) -> None:
    async with serving(kit) as (engine, url, session):
        engine.tools.warnings["channel hook"] = "404"
        async with session.get(f"{url}/readyz") as answer:
            found = await answer.json()
            assert (answer.status, found["status"]) == (200, "ok")
    assert found["checks"][-1] == {"name": "channel hook", "ok": True, "why": "404"}


async def test_health_names_what_was_not_heard_of(kit: Kit) -> None:
    async with serving(kit) as (engine, url, session):
        engine.tools.heartbeats.beat("evaluator", 30)
        await asyncio.sleep(40)
        async with session.get(f"{url}/healthz") as answer:
            found = await answer.json()
            assert answer.status == 503
    failing = {check["name"]: check["why"] for check in found["checks"] if not check["ok"]}
    assert list(failing) == ["evaluator"]
    assert failing["evaluator"].startswith("has not been heard of for 4")


async def test_an_engine_that_cannot_commit_is_not_ready(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away() -> None:
        raise StoreUnavailable("the disk is\x1b[31mfull")

    async with serving(kit) as (_, url, session):
        monkeypatch.setattr(kit.store, "probe", away)
        async with session.get(f"{url}/readyz") as answer:
            found = await answer.json()
            assert answer.status == 503
        async with session.get(f"{url}/healthz") as alive:
            assert alive.status == 200, "to start it again would not help"
    assert [check for check in found["checks"] if not check["ok"]] == [
        {"name": "store", "ok": False, "why": "the disk is [31mfull"}
    ]


async def test_a_store_that_says_nothing_is_not_waited_for(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(kit) as (_, url, session):
        monkeypatch.setattr(kit.store, "probe", asyncio.Event().wait)
        async with session.get(f"{url}/readyz") as answer:
            assert answer.status == 503
            assert "has not committed within 2 s" in await answer.text()


async def test_asking_often_does_not_write_often(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    probes = []

    async def probe() -> None:
        probes.append(kit.clock.monotonic())

    async with serving(kit) as (_, url, session):
        monkeypatch.setattr(kit.store, "probe", probe)
        for _ in range(10):
            async with session.get(f"{url}/readyz") as answer:
                assert answer.status == 200
    assert len(probes) <= 2


@pytest.mark.parametrize(
    ("host", "status"),
    [("localhost", 200), ("127.0.0.1:9464", 200), ("[::1]:1", 200), ("evil.example", 421), ("", 421), ("x:y:z", 421)],
)
@pytest.mark.parametrize("path", ["/metrics", "/healthz", "/readyz", "/nothing"])
async def test_it_answers_to_its_own_names_only(kit: Kit, host: str, status: int, path: str) -> None:
    async with serving(kit) as (_, url, session), session.get(url + path, headers={"Host": host}) as answer:
        assert answer.status == (404 if path == "/nothing" and status == 200 else status)
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
async def test_it_only_shows(kit: Kit, method: str) -> None:
    async with serving(kit) as (_, url, session), session.request(method, f"{url}/metrics") as answer:
        assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")


async def test_heads_have_no_body(kit: Kit) -> None:
    async with serving(kit) as (_, url, session), session.head(f"{url}/metrics") as answer:
        assert (answer.status, await answer.read()) == (200, b"")


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        (f"Bearer {TOKEN}", 200),
        (f"bearer {TOKEN}", 200),
        (TOKEN, 401),
        ("Bearer wrong", 401),
        ("Bearer é", 401),
        ("", 401),
    ],
)
async def test_a_token_is_asked_for(kit: Kit, authorization: str, status: int) -> None:
    async with (
        serving(kit, TOKEN) as (_, url, session),
        session.get(f"{url}/metrics", headers={"Authorization": authorization}) as answer,
    ):
        assert answer.status == status


async def test_a_defect_is_told_without_its_details(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_self: Metrics, _accept: str) -> tuple[bytes, str]:
        raise ZeroDivisionError("secret details")

    monkeypatch.setattr(Metrics, "page", broken)
    async with serving(kit) as (_, url, session), session.get(f"{url}/metrics") as answer:
        assert (answer.status, await answer.text()) == (500, "internal error\n")
    [line] = [line for line in kit.said(LogLine) if line.source == "http"]
    assert "ZeroDivisionError" in line.text


@pytest.mark.slow
async def test_so_many_connections_and_no_more(kit: Kit) -> None:
    async with serving(kit) as (_, url, session):
        port = int(url.rpartition(":")[2])
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(MOST_CONNECTIONS)]
        await asyncio.sleep(1)
        with pytest.raises(aiohttp.ClientError):
            await session.get(f"{url}/healthz")
        await asyncio.sleep(server_module.CONNECTION_SECONDS + 30)
        async with session.get(f"{url}/healthz") as answer:
            assert answer.status == 200, "those that asked nothing were sent away"
        for _, writer in idle:
            writer.close()


@pytest.mark.parametrize("raw", [b"GET /metrics HTTP/1.1\r\nHost: " + b"a" * 9_000, b"\x00\xff nonsense\r\n\r\n"])
async def test_nonsense_is_refused_in_a_few_words(kit: Kit, raw: bytes) -> None:
    async with serving(kit) as (_, url, session):
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        writer.write(raw + b"\r\n\r\n")
        said = await asyncio.wait_for(reader.read(), 60)
        writer.close()
        assert said.startswith((b"HTTP/1.0 400", b"HTTP/1.1 400"))
        assert b"Traceback" not in said
        async with session.get(f"{url}/healthz") as answer:
            assert answer.status == 200


async def test_a_port_that_is_taken_is_told(kit: Kit) -> None:
    async with serving(kit) as (engine, url, _):
        again = HttpServer(http_address(url.removeprefix("http://")), Metrics(list))
        with pytest.raises(ConfigError, match="choose another port"):
            async with again.listening(engine):
                pass


@pytest.mark.parametrize("listen", ["0.0.0.0:9464", "[::]:9464", "192.168.1.5:80", "tapewatch.example:80"])
def test_beyond_this_machine_only_with_a_token(listen: str) -> None:
    with pytest.raises(ConfigError, match="only with a token"):
        http_address(listen)
    assert http_address(listen, TOKEN).port


@pytest.mark.parametrize("listen", ["", "9464", "127.0.0.1", "127.0.0.1:x", "http://127.0.0.1:1", "a:99999", "u@h:1"])
def test_what_is_no_address(listen: str) -> None:
    with pytest.raises(ConfigError, match="HOST:PORT"):
        http_address(listen)


@pytest.mark.slow
async def test_an_evaluator_that_hangs_fails_the_health_check(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    evaluator = Evaluator(Sources("host", own=lambda _: [], stored=lambda _vitals, _now: [], names=[]))
    server = HttpServer(http_address("127.0.0.1:0"), Metrics(list))
    async with (
        Engine("e", kit.tools, services=[evaluator]) as engine,
        server.listening(engine) as url,
        aiohttp.ClientSession() as session,
    ):
        await asyncio.sleep(40)
        async with session.get(f"{url}/healthz") as answer:
            assert answer.status == 200
            assert {"name": "alerts", "ok": True, "why": ""} in (await answer.json())["checks"]
        monkeypatch.setattr(evaluator, "evaluate", lambda _engine: asyncio.Event().wait())
        await asyncio.sleep(90)
        async with session.get(f"{url}/healthz") as answer:
            found = await answer.json()
            assert answer.status == 503
    assert [check["name"] for check in found["checks"] if not check["ok"]] == ["alerts"]
