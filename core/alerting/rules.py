"""A rule: what is looked at, how bad which figure is, and what is said about it. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from core.alerting import Reading
from core.events import LEVELS
from core.patterns import matcher
from core.windows import iso

ALERT, KEEP, OK = "alert", "keep", "ok"
NO_DATA = (ALERT, KEEP, OK)
PLACE = re.compile(r"\{([a-z_]+)\}")
PLACES = ("about", "level", "source", "threshold", "value")
INSTANCES, CONDITIONS = 2_000, 20_000

READINGS: Mapping[str, str] = {
    "anomaly": "percent of the series of a data type and market that are unusual for the hour of the week",
    "api_error_rate": "percent of the calls to the vendor that failed within 5 minutes",
    "consecutive_failures": "runs of a data type and interval that failed, one after the other",
    "data_freshness": "intervals by which the newest bar of a data type and market is overdue",
    "database_error_rate": "percent of the operations of the store that failed within 5 minutes",
    "delivery_failures": "notifications of a channel that wait for 5 minutes or were given up within the hour",
    "ingestion_latency": "minutes by which the newest bar of a data type and market is overdue",
    "memory": "percent of the memory of the host, or of the limit of the container, in use",
    "quarantine_rate": "percent of the rows of a data type and interval that were quarantined within the hour",
    "quota_forecast": "percent of the vendor's month that will be used by its end, as things go",
    "restatement_rate": "percent of the rows of a data type and interval that changed after all within the hour",
}
"""What rules can look at."""
WINDOWS: Mapping[str, float] = {
    "anomaly": 3_600.0,
    "api_error_rate": 300.0,
    "database_error_rate": 300.0,
    "quarantine_rate": 3_600.0,
    "restatement_rate": 3_600.0,
}
"""How far back figures look, in seconds; the others are as of now."""
SETTLING_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Level:
    """The level comes on at `threshold` or beyond, and goes once the value is on the right side of `clear`."""

    name: str
    threshold: float
    clear: float


FACTS = tuple(Level(name, number, number) for number, name in enumerate(LEVELS, 1))


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule; `levels` from the mildest to the gravest, at least one. Times are seconds.

    It looks at readings of the name `reading` whose source matches the glob `source`. `no_data` is one of NO_DATA;
    rates of fewer than `min_samples` and readings older than `max_age` (None: of any age) are no data. `causes` are the
    rules that explain it, `limit` is how many sources may be told apart. A condition has no figure: the engine states
    by itself that it holds, and how bad it is. The texts may hold PLACES in braces.
    """

    name: str
    summary: str = "{about}"
    runbook: str = ""
    levels: tuple[Level, ...] = FACTS
    is_above: bool = True
    is_condition: bool = False
    reading: str = ""
    source: str = "*"
    for_seconds: float = 0.0
    keep_seconds: float = 0.0
    no_data: str = KEEP
    no_data_seconds: float = 0.0
    min_samples: int = 0
    max_age: float | None = None
    causes: tuple[str, ...] = ()
    doing: str = ""
    command: str = ""
    unit: str = ""
    limit: int = INSTANCES

    @property
    def lingering_seconds(self) -> float:
        """How long after a fault is over the rule may still hold because of it: its figures look back on it."""
        settling = 0.0 if self.is_condition else SETTLING_SECONDS
        return WINDOWS.get(self.reading, 0.0) + self.keep_seconds + settling

    def is_beyond(self, level: Level, value: float) -> bool:
        """Whether a finite value is as bad as the level."""
        return value >= level.threshold if self.is_above else value <= level.threshold

    def is_over(self, level: Level, value: float) -> bool:
        """Whether a finite value is good enough for the level to go."""
        return value < level.clear if self.is_above else value > level.clear

    def rank(self, level: str) -> int:
        """The larger the graver; 0 for what is no level."""
        return LEVELS.index(level) + 1 if level in LEVELS else 0

    def covers(self, source: str) -> bool:
        return self.source == "*" or bool(matcher(self.source)(source))

    def says(self, reading: Reading, level: str) -> str:
        """The summary, of a reading at a level."""
        return self.filled(self.summary, reading.source, level, reading.value, reading.about)

    def filled(self, text: str, source: str, level: str = "", value: float | None = None, about: str = "") -> str:
        """`text` with its places filled; what fills them is taken as it is."""
        if "{" not in text:
            return text
        shown = {
            "about": about,
            "level": level,
            "source": source,
            "threshold": next((figure(each.threshold, self.unit) for each in self.levels if each.name == level), ""),
            "value": "no data" if value is None else figure(value, self.unit),
        }
        return PLACE.sub(lambda found: shown.get(found[1], found[0]), text).strip()


def figure(value: float, unit: str) -> str:
    """`12.5 %`, `3`, `1,200 min`, `1 run` of `runs`."""
    shown = f"{value:,.1f}".removesuffix(".0")
    return f"{shown} {unit.removesuffix('s') if shown == '1' else unit}".rstrip()


@dataclass(frozen=True, slots=True)
class Rules:
    """Rules by name, without those that are switched `off`, and which of them explain which."""

    rules: Mapping[str, Rule] = field(default_factory=dict)
    off: frozenset[str] = frozenset()
    causes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def of(self, name: str) -> Rule:
        """The rule of that name; what nobody has written about is a condition without words."""
        return self.rules.get(name) or Rule(name, is_condition=True, limit=CONDITIONS)

    def looking_at(self, reading: str) -> list[Rule]:
        return [rule for rule in self.rules.values() if rule.reading == reading]


def blind_text(rule: Rule, source: str, since: float) -> str:
    """What is said when there is nothing to go by."""
    return f"{rule.name}: there has been nothing to go by about {source} since {iso(since)}"
