"""A real Prometheus scrapes a real engine, an alert of the sample rules fires by a real Alertmanager, and resolves."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from e2e_program import Processes, Program, until

from core.servers import free_port
from tests.prometheus import (
    DASHBOARD,
    RULES,
    Alertmanager,
    Prometheus,
    Receiver,
    alertmanager_command,
    expressions,
    metric_names,
    needs_prometheus,
    prometheus_command,
    receiving,
    tool,
)

CANDLES = ("spot_ohlcv", "--pair_limit", "3", "--interval", "1d")
SLOW_TO_START = 60.0
# What an engine has only once something has gone wrong, or once it has a key with a month to forecast.
SELDOM = {"tapewatch_task_restarts_total", "tapewatch_outbox_messages", "tapewatch_rate_limit_wait_seconds_total"}

pytestmark = [needs_prometheus, pytest.mark.timeout(300)]


class Site:
    """An engine with its sandbox, watched from outside."""

    def __init__(self, processes: Processes, folder: Path, receiver: Receiver) -> None:
        self.vendor = processes.sandbox(limits="free")
        self.program = Program(processes, folder / "store.db", self.vendor)
        port = free_port()
        self.engine = self.program.start("serve", "--listen", f"127.0.0.1:{port}")
        self.engine.says(r"metrics and health at")
        self.address = f"127.0.0.1:{port}"
        ports = free_port(), free_port()
        watched = f"127.0.0.1:{ports[1]}"
        self.alertmanager = Alertmanager(f"http://{watched}")
        self.prometheus = Prometheus(f"http://127.0.0.1:{ports[0]}")
        commands = [
            alertmanager_command(folder, ports[1], receiver.url),
            prometheus_command(folder, ports[0], self.address, watched),
        ]
        self.processes = processes
        for command in commands:
            processes.run(command, {})
        until(lambda: self.alertmanager.is_ready and self.prometheus.is_ready, "both are ready", SLOW_TO_START)

    def page(self) -> str:
        found = Prometheus(f"http://{self.address}").get("/metrics")
        assert isinstance(found, str)
        return found


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


@pytest.fixture
def site(processes: Processes, tmp_path: Path, receiver: Receiver) -> Site:
    return Site(processes, tmp_path, receiver)


@pytest.mark.slow
def test_what_an_engine_shows_is_scraped_and_told(site: Site, receiver: Receiver) -> None:
    prometheus = site.prometheus
    assert site.program.ingest(*CANDLES)["status"] == "complete"
    until(lambda: prometheus.values('up{job="tapewatch"}') == [1.0], "the engine is scraped", SLOW_TO_START)
    until(lambda: prometheus.values("sum(tapewatch_api_calls_total)") > [0.0], "its calls are known")
    assert prometheus.values('sum(tapewatch_rows_total{outcome="inserted"})') > [1_000.0]
    assert "tapewatch_build_info" in site.page()
    tool("promtool", "check", "metrics", given=site.page())
    asked = metric_names(RULES.read_text()) | metric_names(" ".join(expressions(json.loads(DASHBOARD.read_text()))))
    shown = metric_names(site.page())
    assert {name for name in asked if not name.startswith("tapewatch:")} - shown <= SELDOM

    # Nobody answers at the vendor's address: the engine notices, its alert is a metric, and a sample rule fires.
    site.vendor.process.kill()
    failing = site.program.start(*CANDLES, "--full_refresh", "--yes", "--detach")
    failing.done()
    until(lambda: prometheus.alerts().get("TapewatchCritical") == "firing", "TapewatchCritical fires", 120)
    until(lambda: "TapewatchCritical" in site.alertmanager.alerts(), "Alertmanager has it")
    until(lambda: receiver.told("TapewatchCritical", "firing"), "it is told")
    assert not receiver.told("TapewatchCritical", "resolved")
    site.processes.sandbox(limits="free", port=urlsplit(site.vendor.url).port)
    until(lambda: "TapewatchCritical" not in prometheus.alerts(), "it resolves", 120)
    until(lambda: receiver.told("TapewatchCritical", "resolved"), "that is told", 120)


@pytest.mark.slow
def test_an_engine_that_is_gone_is_seen(site: Site) -> None:
    prometheus = site.prometheus
    until(lambda: prometheus.values('up{job="tapewatch"}') == [1.0], "the engine is scraped", SLOW_TO_START)
    site.engine.signal(signal.SIGTERM)
    assert site.engine.done().code == 0
    until(lambda: prometheus.values('up{job="tapewatch"}') == [0.0], "it is gone", SLOW_TO_START)
    until(lambda: prometheus.alerts().get("TapewatchDown") == "pending", "TapewatchDown waits for two minutes")
