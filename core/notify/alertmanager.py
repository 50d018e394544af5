"""Alerts for Prometheus' Alertmanager, which groups and routes them by itself. It forgets what it is not told again."""

from collections.abc import Sequence

import msgspec

from core.alerting.messages import Message, plain
from core.clock import Clock
from core.events import AlertChanged
from core.notify.post import Poster
from core.windows import iso

PATH = "/api/v2/alerts"
FORGOTTEN_SECONDS = 300.0
AT_ONCE = 100


class AlertmanagerChannel:
    forgets = True

    def __init__(self, name: str, poster: Poster, clock: Clock) -> None:
        self.name = name
        self._poster = poster
        self._clock = clock

    async def send(self, message: Message) -> None:
        await self._post(message.alerts)

    async def keep(self, alerts: Sequence[AlertChanged]) -> None:
        await self._post(alerts)

    async def check(self) -> None:
        await self._poster.check()

    async def close(self) -> None: ...

    async def _post(self, alerts: Sequence[AlertChanged]) -> None:
        until = self._clock.wall() + FORGOTTEN_SECONDS
        for start in range(0, len(alerts), AT_ONCE):
            body = msgspec.json.encode([_posted(alert, until) for alert in alerts[start : start + AT_ONCE]])
            await self._poster.post(body, {}, PATH)


def _posted(alert: AlertChanged, until: float) -> dict[str, object]:
    """An alert is the same for Alertmanager while its labels are: of another level it is another one, and the one
    before ends by itself."""
    texts = {"summary": plain(alert.message, 500), "doing": plain(alert.doing), "command": plain(alert.command)}
    value = "" if alert.value is None else f"{alert.value:g}"
    labels = {"alertname": plain(alert.rule), "source": plain(alert.source), "job": "tapewatch"}
    return {
        "labels": {**{name: text for name, text in labels.items() if text}, "severity": alert.level.lower()},
        "annotations": {name: text for name, text in {**texts, "value": value}.items() if text},
        "startsAt": iso(alert.fired or alert.since),
        "endsAt": iso(until if alert.is_open or alert.resolved is None else alert.resolved),
    }
