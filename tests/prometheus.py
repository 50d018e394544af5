"""A real Prometheus and a real Alertmanager on loopback, as Debian packages them, for one test each.

Their sample configurations are used as they are shipped, but for addresses and intervals: a test does not wait for
what operators do. Where they are not installed tests are skipped, unless NEEDED says that they have to be there.
"""

import json
import os
import re
import shutil
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

ROOT = Path(__file__).parents[1]
SAMPLES = ROOT / "sample_configs"
RULES = SAMPLES / "prometheus" / "tapewatch_rules.yml"
DASHBOARD = SAMPLES / "grafana" / "tapewatch.json"
NEEDED = "NEEDS_PROMETHEUS"
PROGRAMS = ("prometheus", "promtool", "prometheus-alertmanager", "amtool")

is_missing = any(shutil.which(name) is None for name in PROGRAMS)
needs_prometheus = pytest.mark.skipif(
    is_missing and not os.environ.get(NEEDED), reason="needs Debian's prometheus and prometheus-alertmanager"
)


def tool(*command: str | Path, given: str = "") -> str:
    """What promtool or amtool says; fails with it unless it exits with 0."""
    words = [str(word) for word in command]
    ended = subprocess.run(words, check=False, input=given, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, f"{command}: {ended.stdout}{ended.stderr}"
    return ended.stdout + ended.stderr


class Site:
    """A server that answers JSON over HTTP."""

    def __init__(self, url: str) -> None:
        self.url = url

    def get(self, path: str, **query: str) -> Any:
        """The answer, None while there is none."""
        with suppress(urllib.error.URLError, ConnectionError, TimeoutError):
            asked = f"{self.url}{path}" + (f"?{urlencode(query)}" if query else "")
            with urllib.request.urlopen(asked, timeout=5) as answer:  # noqa: S310 - loopback
                body = answer.read()
                return json.loads(body) if body.startswith((b"{", b"[")) else body.decode()
        return None

    @property
    def is_ready(self) -> bool:
        return self.get("/-/ready") is not None


class Prometheus(Site):
    def values(self, expression: str) -> list[float]:
        """What the expression gives now, without labels."""
        found = self.get("/api/v1/query", query=expression)
        return [float(each["value"][1]) for each in found["data"]["result"]] if found else []

    def alerts(self) -> dict[str, str]:
        """State by name: pending or firing."""
        found = self.get("/api/v1/alerts")
        return {each["labels"]["alertname"]: each["state"] for each in found["data"]["alerts"]} if found else {}


class Alertmanager(Site):
    def alerts(self) -> list[str]:
        """The names of those that are active."""
        found = self.get("/api/v2/alerts", active="true")
        return sorted(each["labels"]["alertname"] for each in found or [])


def prometheus_command(place: Path, port: int, target: str, alertmanager: str) -> list[str]:
    """Prometheus with the sample configuration, each second, scraping `target`; its files are in `place`."""
    text = (SAMPLES / "prometheus" / "prometheus.yml").read_text()
    text = re.sub(r"127\.0\.0\.1:9464", target, text)
    text = re.sub(r"127\.0\.0\.1:9093", alertmanager, text)
    (place / "prometheus.yml").write_text(re.sub(r"interval: 15s", "interval: 1s", text))
    shutil.copy(RULES, place / RULES.name)
    return [
        "prometheus",
        f"--config.file={place}/prometheus.yml",
        f"--storage.tsdb.path={place}/data",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    ]


def alertmanager_command(place: Path, port: int, receiver: str) -> list[str]:
    """Alertmanager with the sample configuration, telling `receiver`, without waiting for more to tell."""
    text = (SAMPLES / "prometheus" / "alertmanager.yml").read_text()
    text = text.replace("http://127.0.0.1:9095/", receiver)
    text = re.sub(r"group_wait: \d+s", "group_wait: 0s", text)
    (place / "alertmanager.yml").write_text(re.sub(r"group_interval: \w+", "group_interval: 1s", text))
    return [
        "prometheus-alertmanager",
        f"--config.file={place}/alertmanager.yml",
        f"--storage.path={place}/alertmanager",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
        "--log.level=warn",
    ]


class Receiver:
    """What a webhook was told, newest last."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.bodies: list[Mapping[str, Any]] = []

    def told(self, name: str, status: str) -> bool:
        """Whether an alert of that name was told to be firing, or resolved."""
        return any(
            alert["labels"]["alertname"] == name and alert["status"] == status
            for body in self.bodies
            for alert in body["alerts"]
        )


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A webhook on loopback that takes everything."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            receiver.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver = Receiver(f"http://127.0.0.1:{server.server_port}/")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def expressions(dashboard: Mapping[str, Any]) -> Sequence[str]:
    """Every query of a Grafana dashboard, with its variables filled in."""
    filled = {"$__rate_interval": "1m", "$job": "tapewatch", "$instance": ".*"}
    found = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    for name, value in filled.items():
        found = [each.replace(name, value) for each in found]
    return found


def metric_names(text: str) -> set[str]:
    """The metrics of ours that an expression or a file of rules is about."""
    return set(re.findall(r"\b(?:tapewatch|process)_\w+", text))
