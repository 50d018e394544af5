"""Which alerts are told on which channels. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from core.events import LEVELS, AlertChanged
from core.patterns import matcher

SELF_RULE = "delivery_failures"
"""The rule whose sources are channels: what is wrong with one is told on the others."""


@dataclass(frozen=True, slots=True)
class Route:
    """The channel hears of alerts whose rule and source match the globs, from the level on.

    What nobody has seen to within `escalate_after` seconds is told on `escalate_to` as well, "" for nowhere.
    """

    channel: str
    rule: str = "*"
    source: str = "*"
    level: str = LEVELS[0]
    escalate_after: float = 0.0
    escalate_to: str = ""

    def takes(self, alert: AlertChanged) -> bool:
        is_grave = LEVELS.index(alert.level) >= LEVELS.index(self.level)
        return is_grave and _matches(self.rule, alert.rule) and _matches(self.source, alert.source)


class Escalation(NamedTuple):
    """The channel is told when nobody has seen to an alert for so many seconds."""

    channel: str
    after: float


class Routes:
    """Routes in their order; without any nobody is told."""

    def __init__(self, routes: Sequence[Route] = ()) -> None:
        self._routes = routes
        self._escalating = [route for route in routes if route.escalate_to]

    def channels(self, alert: AlertChanged) -> tuple[str, ...]:
        """The channels that an alert is told on, each once.

        What is wrong with a channel goes to any other one where no route would have it.
        """
        if alert.rule != SELF_RULE:
            return _names([route for route in self._routes if route.takes(alert)])
        others = [route for route in self._routes if route.channel != alert.source]
        return _names([route for route in others if route.takes(alert)] or others)

    def escalations(self, alert: AlertChanged) -> list[Escalation]:
        """Where it is told as well when nobody sees to it."""
        about = alert.source if alert.rule == SELF_RULE else ""
        return [
            Escalation(route.escalate_to, route.escalate_after)
            for route in self._escalating
            if route.takes(alert) and about not in {route.channel, route.escalate_to}
        ]


def _names(routes: Sequence[Route]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(route.channel for route in routes))


@lru_cache(maxsize=10_000)
def _matches(pattern: str, text: str) -> bool:
    return bool(matcher(pattern)(text))
