"""Alerts as they are listed: which ones are wanted, and what else is so about each. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from core.alerting import Change
from core.alerting.causes import Causes
from core.alerting.incidents import restored
from core.alerting.rules import Rules
from core.alerting.silences import ANY, Silence, is_silenced
from core.events import LEVELS, AlertChanged
from core.patterns import matcher


@dataclass(frozen=True, slots=True)
class Wanted:
    """Alerts of `level` or graver whose rule and source match the patterns (* any text, ? one character)."""

    level: str = LEVELS[0]
    rule: str = ANY
    source: str = ANY

    def has(self, alert: AlertChanged) -> bool:
        patterns = ((self.rule, alert.rule), (self.source, alert.source))
        return _rank(alert) >= LEVELS.index(self.level) and all(matcher(pattern)(text) for pattern, text in patterns)


def listed(kept: Iterable[Change], silences: Sequence[Silence], rules: Rules, now: float) -> list[AlertChanged]:
    """Open alerts, the gravest first, then the others, the newest first; with silences, causes and words of `rules`."""
    alerts = [_restored(change, rules, now) for change in kept]
    causes = Causes(alerts, rules, now)
    found = [_told(alert, silences, causes, now) if alert.is_open else alert for alert in alerts]
    return sorted(found, key=_order)


def _restored(change: Change, rules: Rules, now: float) -> AlertChanged:
    alert, memory = restored(change, rules.of(change.alert.rule))
    is_acked = alert.is_open and (alert.acked_until or 0.0) > now
    acked = {} if is_acked else {"acked_by": "", "acked_until": None}
    return msgspec.structs.replace(alert, is_flapping=memory.telling.is_flapping(now), **acked)


def _told(alert: AlertChanged, silences: Sequence[Silence], causes: Causes, now: float) -> AlertChanged:
    silence, cause = is_silenced(alert, silences, now), causes.explaining(alert)
    return msgspec.structs.replace(
        alert, silenced_until=silence.until if silence else None, inhibited_by=cause.alert if cause else ""
    )


def _order(alert: AlertChanged) -> tuple[float, ...]:
    if alert.is_open:
        return 0, -_rank(alert), -alert.since
    return 1, -(alert.resolved or alert.since)


def _rank(alert: AlertChanged) -> int:
    return LEVELS.index(alert.level) if alert.level in LEVELS else 0
