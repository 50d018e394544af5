"""Alerts: what happened to them, who was told, and who silenced what."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from core.alerting.silences import Silence
from core.events import AlertChanged


@dataclass(frozen=True, slots=True)
class AlertChange:
    """What became of an alert at `time` (UTC epoch seconds)."""

    time: float
    level: str
    state: str
    value: float | None
    message: str


@dataclass(frozen=True, slots=True)
class Notice:
    """What was told on a channel, or is to be: `state` is waiting, sent, suppressed or dead.

    Times are UTC epoch seconds, `ended` None while it waits.
    """

    channel: str
    kind: str
    level: str
    state: str
    attempts: int
    created: float
    ended: float | None
    error: str


@dataclass(frozen=True, slots=True)
class AlertPast:
    """The newest changes and notices of one alert, newest first."""

    changes: Sequence[AlertChange]
    notices: Sequence[Notice]


class AlertArchive(Protocol):
    """What is kept of alerts."""

    def alert_past(self, alert: str) -> AlertPast:
        """What happened to one alert."""

    def open_alerts(self) -> Sequence[AlertChanged]:
        """Those that are not over, as the store has them."""

    def silences(self) -> Sequence[Silence]:
        """Those in force, what ends first comes first."""
