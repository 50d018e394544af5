"""A book of alerts on a clock of its own, and what it said."""

from dataclasses import dataclass, field
from typing import Any

from core.alerting import Entry, Reading
from core.alerting.book import Alerts
from core.alerting.rules import Level, Rule, Rules
from core.bus import Bus
from core.events import AlertChanged, AnyEvent

START = 1_750_000_000.0
LEVELS = (Level("WARNING", 5, 5), Level("ERROR", 10, 10), Level("CRITICAL", 25, 25))
PLAIN = Rule("r", "{value} of {source}", "book", LEVELS, reading="figure")


@dataclass
class Desk:
    """`said` are the events, `told` the entries for channels, in their order."""

    rules: tuple[Rule, ...] = (PLAIN,)
    channels: tuple[str, ...] = ("log",)
    now: float = START
    said: list[AlertChanged] = field(default_factory=list)
    alerts: Alerts = field(init=False)

    def __post_init__(self) -> None:
        self.open_book()

    def open_book(self, known: Any = ()) -> None:
        """A new one, as after a restart."""
        bus = Bus(lambda: self.now)
        bus.listen(self._hear)
        rules = Rules({rule.name: rule for rule in self.rules})
        self.alerts = Alerts(bus, known, rules, lambda _alert: self.channels)

    def _hear(self, event: AnyEvent) -> None:
        if isinstance(event, AlertChanged):
            self.said.append(event)

    def see(self, value: float | None, source: str = "s", wait: float = 15.0) -> None:
        """One evaluation of one reading, after a while."""
        self.now += wait
        self.alerts.observe([Reading("figure", source, value, self.now)], self.now)

    @property
    def told(self) -> list[Entry]:
        return [entry for change in self.alerts.unrecorded() for entry in change.entries]

    @property
    def kinds(self) -> list[str]:
        return [entry.kind for entry in self.told]

    @property
    def states(self) -> list[str]:
        return [alert.state for alert in self.said]
