"""Samples for Prometheus, Alertmanager and Grafana, in the eyes of their own tools."""

import json
from pathlib import Path

from tests.prometheus import DASHBOARD, SAMPLES, expressions, needs_prometheus, tool

PROMETHEUS = SAMPLES / "prometheus"


@needs_prometheus
def test_promtool_finds_no_fault() -> None:
    assert "1 rule files found" in tool("promtool", "check", "config", PROMETHEUS / "prometheus.yml")
    assert "rules found" in tool("promtool", "check", "rules", PROMETHEUS / "tapewatch_rules.yml")


@needs_prometheus
def test_rules_fire_and_clear_when_they_should() -> None:
    assert "SUCCESS" in tool("promtool", "test", "rules", PROMETHEUS / "tapewatch_rules_test.yml")


@needs_prometheus
def test_amtool_finds_no_fault() -> None:
    assert "SUCCESS" in tool("amtool", "check-config", PROMETHEUS / "alertmanager.yml")


@needs_prometheus
def test_every_query_of_the_dashboard_can_be_asked(tmp_path: Path) -> None:
    asked = expressions(json.loads(DASHBOARD.read_text()))
    assert len(asked) > 20
    rules = [{"record": f"panel:{number}", "expr": text} for number, text in enumerate(asked)]
    # What is JSON is YAML.
    (tmp_path / "rules.yml").write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    assert f"{len(asked)} rules found" in tool("promtool", "check", "rules", tmp_path / "rules.yml")


def test_panels_of_the_dashboard_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24, panel["title"]
        taken |= cells
