"""What a run shows of itself: /metrics while it runs, a file for node_exporter, pings, and how things went."""

import http.server
import json
import os
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from e2e_program import Program, until
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.parser import text_string_to_metric_families as parse_text

from core.servers import free_port

pytestmark = pytest.mark.slow

RANGE = ("--start", "2025-05-01", "--end", "2025-05-31")
CANDLES = ("spot_ohlcv", "--market", "kraken", "--instrument", "BTC-USD", *RANGE)


@contextmanager
def pinged(status: int = 200) -> Iterator[tuple[str, list[str]]]:
    """The URL of a dead man's switch, and the paths that were asked for."""
    paths: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            paths.append(self.path)
            self.send_response(status)
            self.end_headers()

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            paths.append(f"{self.path} {self.headers['DD-API-KEY']}")
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/ping/secret-id?x=1", paths
        server.shutdown()


def values(path: Path) -> dict[str, float]:
    return {
        f"{sample.name}{json.dumps(sample.labels)}": sample.value
        for family in parse_text(path.read_text())
        for sample in family.samples
    }


def test_a_run_leaves_its_metrics_in_a_file(tapewatch: Program, tmp_path: Path) -> None:
    file = tmp_path / "tapewatch.prom"
    summary = tapewatch.ingest(*CANDLES, "--metrics_file", str(file))
    found = values(file)
    assert found['tapewatch_rows_total{"data_type": "spot_ohlcv", "outcome": "inserted"}'] == summary["rows_inserted"]
    assert found['tapewatch_finished_jobs_total{"data_type": "spot_ohlcv", "outcome": "complete"}'] == 1
    assert found['tapewatch_last_success_timestamp_seconds{"data_type": "spot_ohlcv"}'] > 1e9
    part = '{"data_type": "spot_ohlcv", "interval": "1d", "market": "kraken"}'
    assert found[f"tapewatch_series{part}"] == 1
    assert found[f"tapewatch_freshness_seconds{part}"] > 0
    assert not any(name.startswith("process_") for name in found), "node_exporter has those"
    assert file.stat().st_mode & 0o777 == 0o644
    assert [each.name for each in tmp_path.iterdir() if "prom" in each.name] == [file.name], "nothing is left beside it"


def test_metrics_are_served_while_a_run_lasts(tapewatch: Program) -> None:
    slow = tapewatch.on(tapewatch.processes.sandbox(latency=300))
    port = free_port()
    listen = {"TAPEWATCH_MONITORING__LISTEN": f"127.0.0.1:{port}"}
    run = slow.start("spot_ohlcv", "--pair_limit", "20", "--interval", "1d", "--enable_monitoring", **listen)
    run.says(rf"metrics at http://127\.0\.0\.1:{port}/metrics")
    accept = {"Accept": "application/openmetrics-text"}

    def calls() -> float:
        request = urllib.request.Request(f"http://127.0.0.1:{port}/metrics", headers=accept)
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            families = list(text_string_to_metric_families(answer.read().decode()))
        return sum(s.value for f in families if f.name == "tapewatch_api_calls" for s in f.samples if "total" in s.name)

    assert until(calls, "calls on the page") >= 1
    for path in ("healthz", "readyz"):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=10) as answer:
            assert json.load(answer)["status"] == "ok"
    done = run.done()
    assert done.code == 0
    assert "statistics spot_ohlcv" in done.err


def test_a_port_that_is_taken_only_warns(tapewatch: Program) -> None:
    with pinged() as (url, _):
        port = url.split(":")[2].split("/")[0]
        taken = {"TAPEWATCH_MONITORING__LISTEN": f"127.0.0.1:{port}"}
        done = tapewatch(*CANDLES, "--enable_monitoring", code=0, **taken)
    assert "metrics are not served" in done.err


def test_beyond_this_machine_nothing_is_served_without_a_token(tapewatch: Program) -> None:
    open_to_all = {"TAPEWATCH_MONITORING__LISTEN": "0.0.0.0:0"}
    assert "only with a token" in tapewatch(*CANDLES, "--enable_monitoring", code=2, **open_to_all).err
    weak = {"TAPEWATCH_MONITORING_TOKEN": "short"}
    assert "16 or more" in tapewatch(*CANDLES, code=2, **weak).err


def test_a_run_pings_when_it_went_well_and_when_not(tapewatch: Program) -> None:
    with pinged() as (url, paths):
        tapewatch(*CANDLES, "--ping_url", url, code=0)
        assert paths == ["/ping/secret-id?x=1"]
        unknown = ("spot_ohlcv", "--market", "kraken", "--instrument", "NO-SUCH", *RANGE)
        assert tapewatch(*unknown, "--ping_url", url).code != 0
        assert paths[1:] == ["/ping/secret-id/fail?x=1"]


def test_a_ping_that_fails_only_warns_and_shows_no_secret(tapewatch: Program) -> None:
    with pinged(status=500) as (url, paths):
        done = tapewatch(*CANDLES, "--ping_url", url, code=0)
    assert len(paths) == 1
    assert "the ping to 127.0.0.1" in done.err
    assert "it answers 500" in done.err
    assert "secret-id" not in done.err
    away = tapewatch(*CANDLES, "--ping_url", f"http://127.0.0.1:{free_port()}/secret-id", code=0)
    assert "failed" in away.err
    assert "secret-id" not in away.err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--ping_url", "http://example.com/x"), "write https"),
        (("--ping_url", "nonsense"), "write https"),
        (("--metrics_file", "/no/such/place/x.prom"), "there is no directory"),
        (("--metrics_file", "/"), "cannot be written"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_starts(
    tapewatch: Program, options: tuple[str, ...], words: str
) -> None:
    done = tapewatch(*CANDLES, *options, code=2)
    assert words in done.err
    assert not tapewatch.db.exists()


def test_status_tells_how_things_went(tapewatch: Program) -> None:
    runs = [tapewatch.ingest(*CANDLES), tapewatch.ingest(*CANDLES, "--full_refresh", "--yes")]
    history = tapewatch("status", "--since", "24h", "--output", "json", code=0).json["history"]
    found = {(entry["operation"], entry["kind"]): entry for entry in history["performance"]}
    assert found["api", "history"]["count"] == sum(run["requests"] for run in runs)
    assert found["job", "spot_ohlcv"]["count"] == 2
    assert found["window", "spot_ohlcv"]["success_rate"] == 1.0
    assert 0 < found["api", "history"]["p50_seconds"] <= found["api", "history"]["p99_seconds"]
    rows = history["rows"]["spot_ohlcv"]
    assert rows["inserted"] == runs[0]["rows_inserted"]
    assert rows["unchanged"] == runs[1]["rows_unchanged"]
    text = tapewatch("status", "--since", "24h", code=0).out
    assert "api history" in text
    narrow = tapewatch("status", "--since", "24h", code=0, COLUMNS="40").out
    assert max(map(len, narrow.partition("\nsince ")[2].splitlines())) <= 40


def test_a_span_without_anything_says_so(tapewatch: Program) -> None:
    tapewatch("db", "migrate", code=0)
    assert "nothing was done since then" in tapewatch("status", "--since", "24h", code=0).out
    assert "how long ago" in tapewatch("status", "--since", "often", code=2).err
    assert "history" not in tapewatch("status", "--output", "json", code=0).json


def test_a_token_file_that_others_may_read_is_refused(tapewatch: Program, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("a-token-of-sixteen-or-more\n")
    file.chmod(0o644)
    named = {"TAPEWATCH_MONITORING__TOKEN_FILE": str(file)}
    assert "chmod 600" in tapewatch(*CANDLES, code=2, **named).err
    file.chmod(0o600)
    tapewatch(*CANDLES, code=0, **named)


def test_metrics_are_exported_with_a_secret_that_nobody_sees(tapewatch: Program) -> None:
    with pinged() as (url, sent):
        given = {
            "TAPEWATCH_MONITORING__OTLP_ENDPOINT": url.replace("/ping/secret-id?x=1", "/v1/metrics"),
            "TAPEWATCH_OTLP_HEADERS": "DD-API-KEY=very-secret",
        }
        done = tapewatch(*CANDLES, code=0, **given)
        shown = tapewatch("config", "show", code=0, **given)
    assert sent == ["/v1/metrics very-secret"], "once, at its end"
    assert "very-secret" not in done.err + done.out + shown.out + shown.err
    plain = {"TAPEWATCH_MONITORING__OTLP_ENDPOINT": "http://example.com/v1/metrics"}
    assert "only https" in tapewatch(*CANDLES, code=2, **plain).err


def test_other_systems_hear_through_a_hook(tapewatch: Program, tmp_path: Path) -> None:
    site, heard = tmp_path / "site", tmp_path / "heard"
    (site / "their-1.0.dist-info").mkdir(parents=True)
    (site / "their-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: their\nVersion: 1.0\n")
    (site / "their-1.0.dist-info" / "entry_points.txt").write_text("[tapewatch.hooks]\ntheirs = their:hear\n")
    (site / "their.py").write_text(
        f"def hear(done):\n    with open({str(heard)!r}, 'a') as file:\n"
        "        print(done.operation, done.kind, done.outcome, file=file)\n"
        "    if done.operation == 'window':\n        raise RuntimeError('broken')\n"
    )
    paths = os.pathsep.join(filter(None, (str(site), os.environ.get("PYTHONPATH", ""))))
    done = tapewatch(*CANDLES, code=0, PYTHONPATH=paths)
    lines = heard.read_text().splitlines()
    assert "api history ok" in lines
    assert lines[-1] == "window spot_ohlcv ok", "it is not called again after it failed"
    assert done.err.count("the hook theirs is not called any more: RuntimeError: broken") == 1
