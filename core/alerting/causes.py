"""Which alerts explain others: one cause, one message. Pure.

    clock_skew > vendor_unavailable > key_refused > quarantine_rate > data_freshness
    store_unavailable > database_error_rate, data_freshness, run_failed ...

A cause explains what is of a rule below it and no graver than itself, so that a warning never hides what is critical.
It does so while it is open, and after that for as long as the figures of the other look back on that time: what is over
by then is never told, and what is not is told then.
"""

from collections.abc import Iterable, Mapping

from core.alerting.rules import Rules
from core.events import LEVELS, AlertChanged

CAUSES: Mapping[str, tuple[str, ...]] = {
    "vendor_unavailable": ("clock_skew",),
    "key_refused": ("vendor_unavailable",),
    "api_error_rate": ("key_refused",),
    "quarantine_rate": ("key_refused",),
    "retries_exhausted": ("key_refused", "store_unavailable"),
    "run_failed": ("key_refused", "store_unavailable"),
    "consecutive_failures": ("run_failed",),
    "data_freshness": ("quarantine_rate", "run_failed"),
    "ingestion_latency": ("data_freshness",),
    "database_error_rate": ("store_unavailable",),
    "task_failed": ("store_unavailable",),
}
# What goes wrong in one place explains what is wrong there; other causes are of what every place depends on.
LOCAL = frozenset({"quarantine_rate", "run_failed", "data_freshness"})


class Causes:
    """The alerts that may explain others, found by rule and place: cheap to ask of ten thousand.

    A cause that is over explains for as long as the figures that it explains still look back on it.
    """

    def __init__(self, alerts: Iterable[AlertChanged], rules: Rules, now: float) -> None:
        self._rules = rules
        self._now = now
        self._above: dict[str, list[str]] = {}
        self._found: dict[tuple[str, str], list[AlertChanged]] = {}
        wanted = explaining_rules(rules)
        for alert in alerts:
            if alert.rule in wanted and (alert.is_open or alert.resolved is not None):
                self._keep((alert.rule, alert.source if alert.rule in LOCAL else ""), alert)

    def explaining(self, alert: AlertChanged) -> AlertChanged | None:
        """The nearest one up the tree; of several one that is open, and of those the gravest."""
        if not self._found:
            return None
        for rule in self._ancestors(alert.rule):
            places = _around(alert.source) if rule in LOCAL else [""]
            found = [cause for place in places for cause in self._found.get((rule, place), ())]
            for cause in found:
                if _rank(cause) >= _rank(alert) and self._lasts(cause, alert):
                    return cause
        return None

    def _lasts(self, cause: AlertChanged, alert: AlertChanged) -> bool:
        """Whether the cause is open, or was while what `alert` goes by was counted."""
        since = 0.0 if cause.is_open else self._now - (cause.resolved or 0.0)
        return cause.is_open or since < self._rules.of(alert.rule).lingering_seconds

    def _keep(self, place: tuple[str, str], alert: AlertChanged) -> None:
        """One of each level that is open, and one that ended last."""
        found = self._found.setdefault(place, [])
        like = next((each for each in found if (each.is_open, each.level) == (alert.is_open, alert.level)), None)
        if like is None:
            found.append(alert)
            found.sort(key=lambda each: (not each.is_open, -_rank(each)))
        elif (alert.resolved or 0.0) > (like.resolved or 0.0):
            found[found.index(like)] = alert

    def _ancestors(self, rule: str) -> list[str]:
        if rule not in self._above:
            self._above[rule] = _ancestors(rule, self._rules.causes)
        return self._above[rule]


def explaining_rules(rules: Rules) -> set[str]:
    """Those that explain any other."""
    return {rule for above in rules.causes.values() for rule in above}


def _rank(alert: AlertChanged) -> int:
    return LEVELS.index(alert.level)


def _ancestors(rule: str, causes: Mapping[str, tuple[str, ...]]) -> list[str]:
    """The rules up the tree, nearest first; who goes in a circle gets round once."""
    found = [rule]
    for name in found:
        found += [cause for cause in causes.get(name, ()) if cause not in found]
    return found[1:]


def _around(source: str) -> list[str]:
    """`a/b/c`, and the places that it is in: `a/b`, `a`."""
    parts = source.split("/")
    return ["/".join(parts[:length]) for length in range(len(parts), 0, -1)]
