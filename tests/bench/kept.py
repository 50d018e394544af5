"""Measurements outlive their run: a part can be measured anew, and what a run had before it ended is not lost."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.bench.rounds import Experiment, Measurement, Outcome

PLACE = Path(__file__).with_name("measurements.json")
DASHBOARD = "dashboard"


def keep(outcome: Outcome, place: Path = PLACE) -> None:
    """Instead of what was measured of the experiment before."""
    runs = {contender.name: [asdict(run) for run in outcome.runs[contender]] for contender in outcome.finished()}
    failures = {contender.name: words for contender, words in outcome.failures.items()}
    _put(outcome.experiment.title, {"said_of": outcome.said_of, "runs": runs, "failures": failures}, place)


def keep_dashboard(lines: Sequence[str], place: Path = PLACE) -> None:
    _put(DASHBOARD, list(lines), place)


def kept(experiments: Sequence[Experiment], place: Path = PLACE) -> list[Outcome]:
    """What was measured of them, in their order; contenders that have gone since are left out."""
    found = _read(place)
    return [_outcome(experiment, found[experiment.title]) for experiment in experiments if experiment.title in found]


def kept_dashboard(place: Path = PLACE) -> list[str]:
    lines: list[str] = _read(place).get(DASHBOARD, [])
    return lines


def _outcome(experiment: Experiment, found: dict[str, Any]) -> Outcome:
    by_name = {contender.name: contender for contender in experiment.contenders}
    runs = {
        by_name[name]: [Measurement(**run) for run in taken] for name, taken in found["runs"].items() if name in by_name
    }
    failures = {by_name[name]: words for name, words in found["failures"].items() if name in by_name}
    return Outcome(experiment, runs, failures, found["said_of"])


def _read(place: Path) -> dict[str, Any]:
    return json.loads(place.read_text()) if place.exists() else {}


def _put(title: str, value: object, place: Path) -> None:
    found = {**_read(place), title: value}
    text = json.dumps(found, indent=1, sort_keys=True)
    place.write_text(text + "\n")
