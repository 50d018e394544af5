"""The benchmark itself: what it makes of measurements, and, slowly, that every contender still works."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.bench import kept, report
from tests.bench.contenders import AGAIN, OURS, PEERS, Contender
from tests.bench.experiments import EXPERIMENTS, SECTIONS
from tests.bench.rounds import Goal, Measurement, Outcome, chains

FLOOR = Contender("floor", "floor", lambda _: [])
SLOWER = Contender("slower floor", "floor", lambda _: [])
EXPERIMENT = replace(EXPERIMENTS[0], contenders=(OURS, AGAIN, FLOOR, SLOWER), goals=(Goal("floor", 0.85),), rounds=2)


def taking(*seconds: float) -> list[Measurement]:
    """Rounds of a million rows each."""
    return [Measurement(1_000_000, each, 3.0, 1.0, 100.0, 80_000_000) for each in seconds]


def outcome(*seconds: float) -> Outcome:
    runs = {OURS: taking(*seconds), AGAIN: taking(1, 1), FLOOR: taking(1, 2), SLOWER: taking(9, 9)}
    return Outcome(EXPERIMENT, runs)


def test_what_keeps_a_database_follows_what_made_it() -> None:
    assert chains(EXPERIMENT.contenders) == [[OURS, AGAIN], [FLOOR], [SLOWER]]


def test_ratios_are_taken_within_a_round_and_to_the_fastest_of_a_family() -> None:
    [verdict] = outcome(2, 2).verdicts()
    assert verdict.against == FLOOR
    assert verdict.ratios == [0.5, 1.0]


@pytest.mark.parametrize(("seconds", "met"), [((1, 2), "met"), ((4, 4), "**not met**")])
def test_the_report_says_which_goals_are_met(seconds: tuple[int, int], met: str) -> None:
    assert f"| at least 0.85 | {met} |" in report.goals_table([outcome(*seconds)])


def test_a_goal_over_what_failed_is_left_out_and_the_failure_told() -> None:
    found = outcome(1, 1)
    found.failures[OURS] = "ended with 2: no such option"
    assert found.verdicts() == []
    assert "Tapewatch failed: ended with 2: no such option" in report.about(found)


def test_the_chart_has_a_bar_for_each_contender() -> None:
    background = 1
    assert report.svg([outcome(1, 1)]).count("<rect") == background + len(EXPERIMENT.contenders)


def test_what_was_measured_is_kept_until_it_is_measured_anew(tmp_path: Path) -> None:
    place, other = tmp_path / "kept.json", replace(EXPERIMENT, title="another")
    first, second = replace(outcome(1, 2), said_of="revision 1"), replace(outcome(3, 4), said_of="revision 2")
    kept.keep(first, place)
    kept.keep(replace(second, experiment=other), place)
    assert kept.kept([EXPERIMENT, other], place) == [first, replace(second, experiment=other)]
    kept.keep(second, place)
    assert kept.kept([EXPERIMENT], place) == [second]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_contender_loads_what_it_should() -> None:
    """Those of others only where `make bench` has installed them."""
    sections = [section for section in SECTIONS if PEERS.exists() or section not in {"peers", "latency"}]
    command = [sys.executable, "-m", "tests.bench", "--quick", "--only", ",".join(sections)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
def test_metrics_cost_next_to_nothing() -> None:
    command = [sys.executable, "-m", "tests.bench.monitoring"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "| met |" in done.stdout
