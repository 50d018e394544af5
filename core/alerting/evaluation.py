"""How rules move alerts, given readings. Pure."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Protocol

from core.alerting import Reading
from core.alerting.incidents import Known, Move
from core.alerting.rules import Rule, Rules, blind_text
from core.alerting.states import MISSES, NO_DATA, Machine, usable
from core.text import clean

EVERYTHING = "*"


class AlertView(Protocol):
    """What is known of alerts."""

    rules: Rules

    def ruled(self) -> list[str]:
        """The rules of which anything is known."""
        ...

    def of_rule(self, rule: str) -> Mapping[str, Known]:
        """What is known of a rule, by source."""
        ...


def evaluated(alerts: AlertView, readings: Sequence[Reading], complete: Collection[str], now: float) -> Iterator[Move]:
    """How alerts move by `readings`. Of the names in `complete` those are of every source that there is.

    Between two moves alerts may change.
    """
    by_name: dict[str, list[Reading]] = {name: [] for name in complete}
    for reading in readings:
        by_name.setdefault(reading.name, []).append(reading)
    for name, found in by_name.items():
        for rule in alerts.rules.looking_at(name):
            yield from _of_rule(alerts, rule, [each for each in found if rule.covers(each.source)], now)
            if name in complete:
                yield from gone(alerts, rule, {each.source for each in found}, now)
    yield from _unruled(alerts, now)


def failing(alerts: AlertView, rule: Rule, reason: str, now: float) -> Iterator[Move]:
    """How alerts move when the readings of a rule could not be had: what fires goes on."""
    known = alerts.of_rule(rule.name)
    for source, (alert, memory) in known.items():
        if source != EVERYTHING:
            yield Move(rule, source, alert.message, memory.machine.held(), alert.value, is_read=True)
    machine = known[EVERYTHING].memory.machine if EVERYTHING in known else Machine()
    text = f"{rule.name} cannot be evaluated: {clean(reason, 300)}"
    yield Move(rule, EVERYTHING, text, machine.missed(now), is_read=True)


def gone(alerts: AlertView, rule: Rule, sources: Collection[str], now: float) -> Iterator[Move]:
    """What is about something that is not there any more, such as a series that was dropped, is over after a while."""
    for source, known in [*alerts.of_rule(rule.name).items()]:
        if source not in sources and source != EVERYTHING and known.memory.is_read:
            yield _ended(rule, known, now)


def _of_rule(alerts: AlertView, rule: Rule, readings: Sequence[Reading], now: float) -> Iterator[Move]:
    """Of sources that there is no room for, one alert tells."""
    known = alerts.of_rule(rule.name)
    fresh = [reading for reading in readings if reading.source not in known]
    left_out = {reading.source for reading in fresh[max(0, rule.limit - len(known.keys() - {EVERYTHING})) :]}
    for reading in readings:
        if reading.source not in left_out:
            yield _read(rule, reading, known.get(reading.source), now)
    if left_out:
        text = f"{rule.name} has more than {rule.limit:,} sources; {len(left_out):,} are not looked at"
        yield Move(rule, EVERYTHING, text, Machine(misses=MISSES, since=now), is_read=True)
    elif EVERYTHING in known:
        yield Move(rule, EVERYTHING, known[EVERYTHING].alert.message, Machine(), is_read=True)


def _read(rule: Rule, reading: Reading, before: Known | None, now: float) -> Move:
    value = usable(reading, rule, now)
    machine = (before.memory.machine if before else Machine()).read(rule, value, now)
    if value is not None:
        message = rule.says(reading, machine.level(rule))
    elif machine.state == NO_DATA:
        message = blind_text(rule, reading.source, machine.since or now)
    else:
        message = before.alert.message if before else blind_text(rule, reading.source, now)
    return Move(rule, reading.source, clean(message, 500), machine, value, is_read=True)


def _unruled(alerts: AlertView, now: float) -> Iterator[Move]:
    """What is of a rule that is switched off, and what went by readings under one that is gone, is over."""
    for name in [name for name in alerts.ruled() if alerts.rules.of(name).is_condition]:
        rule, is_off = alerts.rules.of(name), name in alerts.rules.off
        for known in [*alerts.of_rule(name).values()]:
            if known.memory.is_read or is_off:
                yield Move(rule, known.alert.source, known.alert.message, Machine(), is_read=True)


def _ended(rule: Rule, known: Known, now: float) -> Move:
    machine = known.memory.machine.cleared(rule, now)
    return Move(rule, known.alert.source, known.alert.message, machine, known.alert.value, is_read=True)
