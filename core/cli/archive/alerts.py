"""Alerts and silences."""

import time
from collections.abc import Sequence

from core.alerting.silences import Silence
from core.cli.archive.part import Part
from core.events import AlertChanged
from core.stores.alerts import Logged
from core.stores.outbox import Sent
from tui.archive.alerts import AlertChange, AlertPast, Notice


class AlertPart(Part):
    """Answers `tui.archive.alerts.AlertArchive`."""

    def alert_past(self, alert: str) -> AlertPast:
        with self.reading() as reader:
            changes, sent = reader.alert_past(alert)
        return AlertPast([_change(each) for each in changes], [_notice(each) for each in sent])

    def open_alerts(self) -> Sequence[AlertChanged]:
        with self.reading() as reader:
            return reader.alerts()

    def silences(self) -> Sequence[Silence]:
        with self.reading() as reader:
            return reader.silences(time.time())


def _change(logged: Logged) -> AlertChange:
    alert = logged.alert
    return AlertChange(alert.time, alert.level, alert.state, alert.value, alert.message)


def _notice(sent: Sent) -> Notice:
    return Notice(
        channel=sent.channel,
        kind=sent.kind,
        level=sent.level,
        state=sent.state,
        attempts=sent.attempts,
        created=sent.created,
        ended=sent.ended,
        error=sent.error,
    )
