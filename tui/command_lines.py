"""Ready command lines: what a row of the dashboard is called in a shell."""

import shlex
from collections.abc import Mapping
from typing import Any

from core.operations import Operation, make_operation
from core.text import clean
from tui.state import OtherJob, ViewState

_SAY_SERIES = "tapewatch why"


def of_row(pane: str, key: str, state: ViewState) -> str:
    """For the row with that key of a pane; empty where there is none to give."""
    if pane in {"jobs", "all_jobs"} and (job := state.listed.get(key)) is not None:
        return f"tapewatch jobs show {_quoted(job.run_id if isinstance(job, OtherJob) else job.job)}"
    if pane in {"alerts", "all_alerts"} and (alert := state.alerts.get(key)) is not None:
        return clean(alert.command, 500) or f"tapewatch alerts ack {_quoted(alert.incident or alert.alert)}"
    if pane in {"stored", "series"}:
        return f"{_SAY_SERIES} {_quoted(key)}"
    if pane == "schedules":
        return "tapewatch status"
    return ""


def of_stored(pane: str, series: str, key: str) -> str:
    """For the row with that key of a pane about one stored series."""
    name = _quoted(series)
    if pane == "holes" and key:
        return f"tapewatch gaps explain {name}"
    if pane == "restated" and key:
        return f"tapewatch restatements --since 2009-01-01 --series {name}"
    if pane == "refused" and key.isdigit():
        return f"tapewatch quarantine show {key}"
    return f"{_SAY_SERIES} {name}"


def of_operation(operation: Operation) -> str:
    """The command that does the same."""
    usual = make_operation({"data_type": operation.data_type}).given()
    flags = [_flag(name, value) for name, value in _differing(operation.given(), usual).items()]
    return " ".join(["tapewatch", operation.data_type, *flags])


def of_batch(path: str, max_requests: int | None) -> str:
    return f"tapewatch batch {_quoted(path)}" + (f" --max_requests {max_requests}" if max_requests else "")


def _differing(given: Mapping[str, Any], usual: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if name != "data_type" and value != usual.get(name)}


def _flag(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return f"--{name}" if value else f"--{name.replace('enable', 'disable')}"
    return f"--{name} {_quoted(','.join(value) if isinstance(value, list | tuple) else str(value))}"


def _quoted(text: str) -> str:
    return shlex.quote(clean(text, 2_000))
