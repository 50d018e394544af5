"""Alerts as states: what fires, since when, and when it is over. The rules over metrics come on top."""

from collections.abc import Iterable

import msgspec

from core.events import AlertChanged, Bus

SKEW_SECONDS = 30.0
STOPPED_SECONDS = 86_400.0


class Alerts:
    """Open alerts by rule and source; each change is published once and left to be recorded."""

    def __init__(self, bus: Bus, known: Iterable[AlertChanged] = ()) -> None:
        self._bus = bus
        self._open = {alert.alert: alert for alert in known if alert.state == "firing"}
        self._unrecorded: dict[str, AlertChanged] = {}
        for alert in self._open.values():
            bus.publish(alert)

    def fire(self, rule: str, level: str, source: str, message: str, now: float) -> None:
        """The condition holds; firing again counts up and keeps `since`."""
        key = f"{rule}:{source}"
        before = self._open.get(key)
        alert = AlertChanged(
            alert=key,
            rule=rule,
            level=level,
            state="firing",
            since=before.since if before else now,
            message=message,
            source=source,
            count=before.count + 1 if before else 1,
        )
        self._change(key, alert)

    def resolve(self, rule: str, source: str) -> None:
        """The condition is over; nothing happens when it was not firing."""
        key = f"{rule}:{source}"
        if (before := self._open.get(key)) is not None:
            self._change(key, msgspec.structs.replace(before, state="resolved"))
            del self._open[key]

    def firing(self, rule: str) -> list[str]:
        """The sources for which `rule` holds."""
        return [alert.source for alert in self._open.values() if alert.rule == rule]

    def unrecorded(self) -> list[AlertChanged]:
        """What changed and is not in the journal yet."""
        return list(self._unrecorded.values())

    def recorded(self, alerts: Iterable[AlertChanged]) -> None:
        """These are in the journal now, unless they changed again meanwhile."""
        for alert in alerts:
            if self._unrecorded.get(alert.alert) is alert:
                del self._unrecorded[alert.alert]

    def _change(self, key: str, alert: AlertChanged) -> None:
        stamped = self._bus.publish(alert)
        assert isinstance(stamped, AlertChanged)  # noqa: S101 - the bus stamps, it does not convert
        self._open[key] = stamped
        self._unrecorded[key] = stamped


def judge_clock(alerts: Alerts, source: str, skew: float, now: float) -> None:
    """Say when this machine's clock is `skew` seconds behind the vendor's; what is closed goes by the vendor's.

    Beyond a day it is no clock that runs, but a sandbox's that was stopped.
    """
    if SKEW_SECONDS < abs(skew) < STOPPED_SECONDS:
        side = "behind" if skew > 0 else "ahead of"
        alerts.fire(
            "clock_skew", "WARNING", source, f"this machine's clock is {abs(skew):.0f} s {side} the vendor's", now
        )
    else:
        alerts.resolve("clock_skew", source)
