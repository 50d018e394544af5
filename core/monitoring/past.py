"""The past as rules would have read it, as far as it is stored: minute by minute where anything happened. Pure.

Runs and restatements are kept for long, figures of minutes for two days. What a minute has follows from the hour before
it, and what alerts make of it from how long rules wait; else nothing changes. Engines are taken together: history does
not tell them apart.
"""

from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from core.alerting import Reading
from core.alerting.rehearsal import Moment
from core.alerting.rules import Rules
from core.history import Sample
from core.monitoring.rates import FINE, WINDOW_SECONDS
from core.monitoring.readings import failures, row_rates
from core.stores.vitals import HOUR, RUNS, Ran, Vitals
from core.telemetry import API, DATABASE

JOURNAL = frozenset({"consecutive_failures", "quarantine_rate", "restatement_rate"})
"""The readings that follow from runs and restatements."""
MEMORY = "tapewatch_host_memory_ratio"
SAMPLED = {API: "api_error_rate", DATABASE: "database_error_rate", MEMORY: "memory"}
"""The readings that follow from figures of minutes, by the figure."""
EVERYBODY = "engines"
MINUTE = 60
Changed = tuple[str, str, int, int]


class Past(NamedTuple):
    """`runs` in the order in which they ended, changes of bars by minute, and figures of minutes."""

    runs: Sequence[Ran] = ()
    changed: Sequence[Changed] = ()
    samples: Sequence[Sample] = ()

    @property
    def known_since(self) -> dict[str, int]:
        """When the figures of minutes begin, by reading, in UTC epoch seconds; not of those that have none."""
        begins: dict[str, int] = {}
        for sample in self.samples:
            if (name := SAMPLED.get(sample.name)) is not None:
                begins[name] = min(begins.get(name, sample.at), sample.at)
        return begins


def past_moments(past: Past, rules: Rules, until: float) -> Iterator[Moment]:
    """What there was for `rules` to read, ascending."""
    figures = _by_minute(past.samples)
    sampled = past.known_since.keys() - {"memory"}
    ended, seen, first = deque[Ran](maxlen=RUNS), 0, 0
    for now in _minutes(past, 2 + int(HOUR + _longest_wait(rules)) // MINUTE, until):
        while seen < len(past.runs) and (past.runs[seen].finished or 0.0) <= now:
            ended.appendleft(past.runs[seen])
            seen += 1
        while first < len(past.changed) and past.changed[first][2] <= now - HOUR:
            first += 1
        vitals = Vitals(runs=tuple(ended), restated=tuple(_restated(past.changed, first, now)))
        found = (*failures(vitals.runs, now), *row_rates(vitals, now), *_sampled(figures, sampled, now))
        yield Moment(float(now), found, JOURNAL | sampled)


def _restated(changed: Sequence[Changed], first: int, now: int) -> list[tuple[str, str, int]]:
    counts: Counter[tuple[str, str]] = Counter()
    while first < len(changed) and changed[first][2] <= now:
        data_type, interval, _, count = changed[first]
        counts[data_type, interval] += count
        first += 1
    return [(*place, count) for place, count in counts.items()]


def _sampled(figures: Mapping[int, list[Sample]], names: "set[str]", now: int) -> Iterator[Reading]:
    minutes = range(now - int(WINDOW_SECONDS), now, MINUTE)
    within = [sample for at in minutes for sample in figures.get(at, ())]
    for operation in (API, DATABASE):
        if SAMPLED[operation] in names:
            yield _rate(SAMPLED[operation], [sample for sample in within if sample.name == operation], now)
    for sample in figures.get(now - MINUTE, ()):
        if sample.name == MEMORY:
            yield Reading("memory", EVERYBODY, 100 * sample.newest, now)


def _rate(name: str, samples: Sequence[Sample], now: int) -> Reading:
    total = sum(sample.times for sample in samples)
    failed = sum(sample.times for sample in samples if sample.label("outcome") not in FINE)
    return Reading(name, EVERYBODY, 100 * failed / total if total else None, now, total, f"{failed:,} of {total:,}")


def _by_minute(samples: Sequence[Sample]) -> dict[int, list[Sample]]:
    found: dict[int, list[Sample]] = {}
    for sample in samples:
        if sample.name in SAMPLED:
            found.setdefault(sample.at, []).append(sample)
    return found


def _longest_wait(rules: Rules) -> float:
    """Seconds for which readings may have to say the same before an alert moves."""
    waits = [max(rule.for_seconds, rule.keep_seconds, rule.no_data_seconds) for rule in rules.rules.values()]
    return max(waits, default=0.0)


def _minutes(past: Past, span: int, until: float) -> Iterator[int]:
    """Those within `span` minutes after anything happened, as seconds, ascending."""
    times = {-int(-run.finished // MINUTE) for run in past.runs if run.finished is not None}
    times |= {minute // MINUTE for _, _, minute, _ in past.changed}
    times |= {sample.at // MINUTE for sample in past.samples}
    last = -1
    for time in sorted(times):
        for minute in range(max(last + 1, time), time + span):
            if minute * MINUTE > until:
                return
            yield minute * MINUTE
        last = time + span - 1
