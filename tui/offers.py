"""What could be done now: which actions would do something to what is selected, and what they are called then.

A key whose action is not offered still answers, with words that say why not.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from core.alerting.silences import Silence
from core.events import AlertChanged, JobChanged, ScheduleChanged
from tui.actions import Action


@dataclass(frozen=True, slots=True)
class Selected:
    """What actions would act on; None where nothing of the kind is selected.

    `now` is UTC epoch seconds. `job` is one of the engine's own. `gaps` are those of the selected series, None when
    it is not known how many there are. `rows`: the pane has some, one of which has the cursor; `filtered` and
    `sorted`: it can be.
    """

    now: float
    job: JobChanged | None = None
    alert: AlertChanged | None = None
    silence: Silence | None = None
    schedule: ScheduleChanged | None = None
    series: str | None = None
    gaps: int | None = None
    rows: bool = False
    filtered: bool = False
    sorted: bool = False
    paused: bool = False


def label(action: Action, selected: Selected) -> str:
    """The short name of `action` where it would do something, its title when it has none, else empty."""
    named = _LABELS.get(action.id)
    return named(selected) if named else action.footer or action.title


def _cancel(selected: Selected) -> str:
    return "cancel" if selected.job and not selected.job.is_final else ""


def _hold(selected: Selected) -> str:
    if not selected.job or selected.job.is_final:
        return ""
    return "resume" if selected.job.state == "held" else "hold"


def _retry(selected: Selected) -> str:
    return "retry" if selected.job and selected.job.is_final and selected.job.state != "complete" else ""


def _again(selected: Selected) -> str:
    return "run again" if selected.job and selected.job.is_final else ""


def _repair(selected: Selected) -> str:
    return "repair" if selected.series is not None and selected.gaps != 0 else ""


def _ack(selected: Selected) -> str:
    return "ack" if selected.alert is not None and selected.alert.is_open and not selected.alert.acked_by else ""


def _take_back(selected: Selected) -> str:
    if selected.silence is not None:
        return "unsilence"
    if selected.alert is None or not selected.alert.is_open:
        return ""
    is_silenced = (selected.alert.silenced_until or 0.0) > selected.now
    return "unack" if selected.alert.acked_by else "unsilence" if is_silenced else ""


def _pause_schedule(selected: Selected) -> str:
    if selected.schedule is None:
        return ""
    return "hold" if selected.schedule.paused_since is None else "resume"


_LABELS: Mapping[str, Callable[[Selected], str]] = {
    "open": lambda selected: "open" if selected.rows else "",
    "filter": lambda selected: "filter" if selected.filtered else "",
    "sort": lambda selected: "sort" if selected.sorted else "",
    "pause": lambda selected: "resume" if selected.paused else "pause",
    "job.cancel": _cancel,
    "job.hold": _hold,
    "job.retry": _retry,
    "job.again": _again,
    "repair": _repair,
    "alert.ack": _ack,
    "alert.back": _take_back,
    "schedule.run": lambda selected: "run now" if selected.schedule is not None else "",
    "schedule.pause": _pause_schedule,
}
