"""What rules would have told of a stretch of the past. Pure: readings go through the same machines as live ones."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from core.alerting import Reading
from core.alerting.book import Alerts
from core.alerting.rules import Rules
from core.bus import Bus
from core.events import LEVELS, AlertChanged


class Moment(NamedTuple):
    """What there was to read at a time (UTC epoch seconds), and the names of which that is every source."""

    at: float
    readings: tuple[Reading, ...]
    complete: frozenset[str]


@dataclass(frozen=True, slots=True)
class Firing:
    """One incident of an alert. `ended` is None when it was not over by the end; `level` is the gravest it had."""

    alert: AlertChanged
    level: str
    fired: float
    ended: float | None


def rehearsed(rules: Rules, moments: Iterable[Moment]) -> list[Firing]:
    """What would have fired, in its order; `moments` ascend."""
    now = 0.0
    bus = Bus(lambda: now)
    book = Alerts(bus, rules=rules)
    incidents: dict[str, Firing] = {}
    for moment in moments:
        now = moment.at
        book.observe(moment.readings, now, moment.complete)
        changes = book.unrecorded()
        for change in changes:
            _take(incidents, change.alert)
        book.recorded(changes)
    return sorted(incidents.values(), key=lambda firing: (firing.fired, firing.alert.alert))


def _take(incidents: dict[str, Firing], alert: AlertChanged) -> None:
    if not alert.incident:
        return
    before = incidents.get(alert.incident)
    if alert.is_open:
        level = alert.level if before is None else max(before.level, alert.level, key=LEVELS.index)
        fired = before.fired if before else alert.fired or alert.since
        incidents[alert.incident] = Firing(alert, level, fired, None)
    elif before is not None and before.ended is None:
        incidents[alert.incident] = Firing(before.alert, before.level, before.fired, alert.resolved)


def blind(rules: Rules, known: Collection[str]) -> Iterator[tuple[str, str]]:
    """The rules that cannot be rehearsed, and why: of the readings `known` there is a history."""
    for rule in rules.rules.values():
        if rule.is_condition:
            yield rule.name, "the engine states it by itself; what it stated is in tapewatch alerts --all"
        elif rule.reading not in known:
            yield rule.name, f"no history of {rule.reading} is stored"
