"""Rules as data: the defaults, what a file may change, and that every fault is named with its remedy."""

import random
from pathlib import Path
from typing import Any

import pytest

from core.alerting import Reading
from core.alerting.rule_files import LARGEST_FILE, default_rules, make_rules, parse, read_rules
from core.alerting.rules import READINGS, Rule
from core.errors import ConfigError

MINE = {
    "summary": "{value} of {source}",
    "runbook": "wiki/mine",
    "reading": "memory",
    "above": {"WARNING": 1, "ERROR": 2},
}


def made(**rules: dict[str, Any]) -> dict[str, Rule]:
    return dict(make_rules({"rules": rules}, "a.toml").rules)


def complaint(**rules: Any) -> str:
    with pytest.raises(ConfigError) as raised:
        make_rules({"rules": rules}, "a.toml")
    return str(raised.value)


def thresholds(rule: Rule) -> dict[str, float]:
    return {level.name: level.threshold for level in rule.levels}


@pytest.mark.parametrize(
    ("name", "figures", "samples"),
    [
        ("api_error_rate", (5, 10, 25), 20),
        ("database_error_rate", (2, 5, 15), 20),
        ("ingestion_latency", (5, 10, 30), 0),
        ("memory", (80, 90, 95), 0),
        ("consecutive_failures", (3, 5, 10), 0),
        ("data_freshness", (1, 2, 4), 0),
    ],
)
def test_the_defaults_are_the_promised_ones(name: str, figures: tuple[int, ...], samples: int) -> None:
    rule = default_rules().rules[name]
    assert thresholds(rule) == dict(zip(("WARNING", "ERROR", "CRITICAL"), figures, strict=True))
    assert rule.min_samples == samples


def test_every_default_says_what_to_do_and_every_reading_has_a_rule() -> None:
    page = (Path(__file__).parents[2] / "docs" / "alerts.md").read_text("utf-8")
    for name, rule in default_rules().rules.items():
        assert rule.doing
        assert rule.command
        assert rule.runbook == f"docs/alerts.md#{name}"
        assert f"\n## {name}\n" in page
    assert {rule.reading for rule in default_rules().rules.values() if not rule.is_condition} == set(READINGS)


def test_a_file_changes_a_default_in_part() -> None:
    rule = made(memory={"for": "5m", "no_data": "keep"})["memory"]
    assert (rule.for_seconds, rule.no_data) == (300.0, "keep")
    assert thresholds(rule) == {"WARNING": 80, "ERROR": 90, "CRITICAL": 95}


def test_other_thresholds_do_not_keep_the_old_clear_thresholds() -> None:
    rule = made(memory={"above": {"ERROR": 50}})["memory"]
    assert [(level.name, level.threshold, level.clear) for level in rule.levels] == [("ERROR", 50, 50)]


def test_a_default_is_switched_off_and_a_rule_is_added() -> None:
    rules = make_rules({"rules": {"memory": {"enabled": False}, "mine": MINE}}, "a.toml")
    assert "memory" not in rules.rules
    assert "memory" in rules.off
    assert [rule.name for rule in rules.looking_at("memory")] == ["mine"]


def test_conditions_can_be_worded_and_held() -> None:
    rule = made(run_failed={"keep_firing_for": "5m", "doing": "Ask Ann"})["run_failed"]
    assert (rule.is_condition, rule.keep_seconds, rule.doing) == (True, 300.0, "Ask Ann")


def test_a_cause_is_added_to_the_tree() -> None:
    rules = make_rules({"rules": {"mine": {**MINE, "cause": "memory"}}}, "a.toml")
    assert rules.causes["mine"] == ("memory",)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"abov": {}}, "rules.mine.abov: there is no such key; did you mean 'above'?"),
        ({"above": {"WARNING": 3, "ERROR": 2}}, "rules.mine.above: the thresholds have to rise from WARNING to ERROR"),
        ({"above": {"WARNING": 2, "ERROR": 2}}, "the thresholds have to rise"),
        ({"above": {"WARN": 3}}, "rules.mine.above.WARN: there is no such level; did you mean 'WARNING'?"),
        ({"above": {"WARNING": float("nan")}}, "rules.mine.above.WARNING: write a finite number"),
        ({"above": {"WARNING": float("inf")}}, "rules.mine.above.WARNING: write a finite number"),
        ({"above": {"WARNING": 10**400}}, "rules.mine.above"),
        ({"above": {"WARNING": "5"}}, "rules.mine.above: expected `float`, got `str`"),
        ({"above": {}}, "rules.mine: write either above or below"),
        ({"below": {"WARNING": 1}}, "rules.mine: write either above or below"),
        ({"clear": {"WARNING": 2}}, "rules.mine.clear.WARNING: write a number on the right side of 1"),
        ({"clear": {"INFO": 2}}, "rules.mine.clear.INFO: above has no INFO"),
        ({"clear": {"WARNING": 0.9, "ERROR": 0.8}}, "rules.mine.above: the thresholds have to rise"),
        ({"for": "soon"}, "rules.mine.for: write a length of time"),
        ({"for": "99d"}, "rules.mine.for: write a length of time"),
        ({"for": 5}, "rules.mine.for: expected `str`, got `int`"),
        ({"runbook": ""}, "rules.mine.runbook: say where it is written what to do"),
        ({"summary": ""}, "rules.mine.summary: say what is wrong"),
        ({"summary": "{valeu}"}, "rules.mine.summary: there is no {valeu}; did you mean 'value'?"),
        ({"reading": "memry"}, "rules.mine.reading: there is no reading 'memry'; did you mean 'memory'?"),
        ({"no_data": "panic"}, "rules.mine.no_data: invalid enum value 'panic'"),
        ({"min_samples": -1}, "rules.mine.min_samples: expected `int` >= 0"),
        ({"limit": 10**9}, "rules.mine.limit: expected `int` <= "),
        ({"source": "*a" * 20}, "rules.mine.source: write 8 stars at most"),
        ({"cause": "vendor_gone"}, "rules.mine.cause: there is no rule 'vendor_gone'"),
        ({"condition": True}, "rules.mine: there is no condition of that name"),
    ],
)
def test_every_fault_is_named(changes: dict[str, Any], said: str) -> None:
    assert f"a.toml: {said}" in complaint(mine={**MINE, **changes}) or said in complaint(mine={**MINE, **changes})


def test_causes_in_a_circle_are_refused() -> None:
    first, second = ({**MINE, "cause": other} for other in ("b", "a"))
    assert "a.toml: rules.a.cause: b is explained by a itself" in complaint(a=first, b=second)
    assert "is explained by" in complaint(vendor_unavailable={"cause": "run_failed"})


def test_everything_is_told_at_once() -> None:
    assert len(complaint(memory={"x": 1, "y": 2}, Bad={}).splitlines()) == 3


def test_what_is_no_table_of_rules() -> None:
    for given in ({"rules": 3}, {"rules": {"memory": 3}}, {"rulez": {}}):
        with pytest.raises(ConfigError, match=r"write each rule as a table|there is no such key"):
            make_rules(given, "a.toml")


def test_a_summary_takes_what_fills_it_as_it_is() -> None:
    rule = Rule("r", "{source} {value} {about}", unit="%")
    assert rule.says(Reading("r", "{about}", 12.34, 0.0, about="{value}"), "ERROR") == "{about} 12.3 % {value}"


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "alerts.toml"
    path.write_text('[rules.memory]\nfor = "2m"\n', "utf-8")
    assert read_rules(path).rules["memory"].for_seconds == 120.0


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"\xff", "it is no TOML"),
        (b"[rules", "it is no TOML"),
        (b"#" * (LARGEST_FILE + 1), "it is larger than 1 MiB"),
        (b"a" + b".a" * 100_000 + b" = 1", "a line is longer than"),
        (b"\n".join([b"x = ["] + [b"[" * 1_900] * 20), "it is no TOML"),
        (b"x = " + b"9" * 1_900 + b"\ny = " + b"1" * 1_990, "there is no such key"),
    ],
)
def test_no_file_hurts(raw: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "alerts.toml"
    path.write_bytes(raw)
    with pytest.raises(ConfigError, match=said):
        read_rules(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"alerts\.rules: .*gone\.toml cannot be read: No such file"):
        read_rules(tmp_path / "gone.toml")


def test_mutated_files_are_rules_or_refused(seed: int) -> None:
    from core.alerting import rule_files
    from tests.fakes import mutated

    chance = random.Random(seed)
    whole = (Path(rule_files.__file__).parent / "default_rules.toml").read_bytes()
    outcomes = set()
    for _ in range(150):
        raw = mutated(whole, chance)
        try:
            make_rules(parse(raw), "a.toml")
            outcomes.add("rules")
        except (ConfigError, rule_files.Unreadable):
            outcomes.add("refused")
    assert outcomes == {"rules", "refused"}
