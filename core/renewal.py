"""What a running engine takes over of settings that have changed, all of it or nothing, and what takes a restart."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from core.alerting.rule_files import rules_of
from core.alerting.rules import Rules
from core.channels import open_outlets
from core.config import Loaded
from core.engine.evaluator import Evaluator
from core.engine.tools import Tools
from core.errors import gathered
from core.lookout import evaluated_ago
from core.notify.delivery import Delivery, Outlets

TAKEN_OVER = ("alerts.", "serve.schedules")
_BESIDE = {
    "api_key": "the API key",
    "secret": "the secret of the cache",
    "monitoring_token": "the token of monitoring",
    "otlp_headers": "the headers of OTLP",
}


@dataclass(frozen=True, slots=True)
class Renewed:
    """Rules and outlets as they are to be, read and opened; `every` is seconds between two evaluations."""

    rules: Rules
    outlets: Outlets
    every: float


class Renewal:
    """Of an engine that was started with `loaded`."""

    def __init__(self, loaded: Loaded, tools: Tools, evaluator: Evaluator, delivery: Delivery) -> None:
        self._loaded = loaded
        self._tools = tools
        self._evaluator = evaluator
        self._delivery = delivery

    def read(self, loaded: Loaded) -> Renewed:
        """Nothing is changed yet. Raises ConfigError with everything that is wrong, a line a problem."""
        ago: Callable[[], float | None] = partial(evaluated_ago, self._evaluator, self._tools.clock)
        rules, outlets = gathered(
            lambda: rules_of(loaded.rules_file),
            lambda: open_outlets(loaded, self._tools.bus, self._tools.clock, ago),
        )
        return Renewed(rules, outlets, loaded.settings.alerts.every)

    async def take_over(self, new: Renewed) -> None:
        """From now on these; what a channel is just sending is waited for."""
        self._evaluator.every = new.every
        self._tools.alerts.rules = new.rules
        self._tools.alerts.channels = new.outlets.routes.channels
        self._tools.alerts.escalations = new.outlets.routes.escalations
        await self._delivery.replace(new.outlets)

    def takes_restart(self, loaded: Loaded) -> list[str]:
        """What is other than the engine was started with and stays so until it is started again, by its names."""
        before, after = dict(_flat(self._loaded.settings.model_dump())), dict(_flat(loaded.settings.model_dump()))
        names = [*before, *(name for name in after if name not in before)]
        settings = [name for name in names if before.get(name) != after.get(name) and not name.startswith(TAKEN_OVER)]
        beside = [words for name, words in _BESIDE.items() if getattr(self._loaded, name) != getattr(loaded, name)]
        return [*settings, *beside]


def _flat(values: Mapping[str, Any], under: str = "") -> Iterator[tuple[str, Any]]:
    """Settings by their dotted names."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{under}{name}.")
        else:
            yield f"{under}{name}", value
