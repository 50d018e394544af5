"""The state machine of one alert: a latch for each level, one for readings that are missing, and a count of failures.

    inactive -> pending -> firing -> recovering -> over
    no_data   there has been nothing to go by for a while, and the rule says that this is no good news
    error     the rule could not be evaluated three times running, which resolves nothing

A level comes on when readings have been beyond its threshold for a while, and goes when they have been on the right
side of its clear threshold for a while. Pure: times are UTC epoch seconds and passed in.
"""

from dataclasses import replace
from math import isfinite

import msgspec

from core.alerting import Reading
from core.alerting.rules import ALERT, OK, Level, Rule

INACTIVE, PENDING, FIRING, RECOVERING, NO_DATA, ERROR = "inactive pending firing recovering no_data error".split()
MISSES = 3


class Latch(msgspec.Struct, frozen=True, array_like=True):
    """On or off, and since when everything has said that it should be the other way round; None when nothing does."""

    is_on: bool = False
    since: float | None = None

    def pushed(self, says_other: bool, now: float, wait: float) -> "Latch":
        """After a reading: it turns over once every reading for `wait` seconds has said so."""
        if not says_other:
            return Latch(self.is_on)
        since = now if self.since is None else min(self.since, now)
        return Latch(not self.is_on) if now - since >= wait else Latch(self.is_on, since)


OFF = Latch()


class Machine(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where an alert is, by latches of levels. `since` is when it left `inactive`, `misses` are failures in a row."""

    latches: dict[str, Latch] = {}
    blind: Latch = OFF
    misses: int = 0
    since: float | None = None

    @property
    def state(self) -> str:
        on = [latch for latch in self.latches.values() if latch.is_on]
        if self.misses >= MISSES:
            return ERROR
        if self.blind.is_on:
            return NO_DATA
        if on:
            return RECOVERING if all(latch.since is not None for latch in on) else FIRING
        is_turning = any(latch.since is not None for latch in (self.blind, *self.latches.values()))
        return PENDING if is_turning or self.misses else INACTIVE

    def level(self, rule: Rule) -> str:
        """The gravest that is on, else the gravest that is coming on; the mildest for what is blind or failing."""
        on = [level.name for level in rule.levels if self._latch(level).is_on]
        coming = [level.name for level in rule.levels if self._latch(level).since is not None]
        return (on or coming or [rule.levels[0].name])[-1]

    def _latch(self, level: Level) -> Latch:
        return self.latches.get(level.name, OFF)

    def read(self, rule: Rule, value: float | None, now: float) -> "Machine":
        """After an evaluation; None is nothing to go by, which never clears anything unless the rule says so."""
        if value is None and rule.no_data != OK:
            return self._without_data(rule, now)
        latches = {level.name: self._pushed(rule, level, value, now) for level in rule.levels}
        blind = self.blind.pushed(self.blind.is_on, now, rule.keep_seconds)
        return _since(Machine(latches, blind, 0, self.since), now)

    def missed(self, now: float) -> "Machine":
        """After an evaluation that failed."""
        return _since(Machine(_held(self.latches), self.blind, self.misses + 1, self.since), now)

    def held(self) -> "Machine":
        """After an evaluation that others count as failed."""
        return msgspec.structs.replace(self, latches=_held(self.latches))

    def cleared(self, rule: Rule, now: float) -> "Machine":
        """After an evaluation that found nothing to be wrong, whatever the rule says about missing data."""
        return self.read(replace(rule, no_data=OK), None, now)

    def _without_data(self, rule: Rule, now: float) -> "Machine":
        says_other = rule.no_data == ALERT and not self.blind.is_on
        blind = self.blind.pushed(says_other, now, rule.no_data_seconds)
        return _since(Machine(_held(self.latches), blind, 0, self.since), now)

    def _pushed(self, rule: Rule, level: Level, value: float | None, now: float) -> Latch:
        latch = self._latch(level)
        if latch.is_on:
            return latch.pushed(value is None or rule.is_over(level, value), now, rule.keep_seconds)
        return latch.pushed(value is not None and rule.is_beyond(level, value), now, rule.for_seconds)


def _held(latches: dict[str, Latch]) -> dict[str, Latch]:
    """What is on stays on, and has to be seen over for the whole time again; what comes on goes on waiting."""
    return {name: Latch(is_on=True) if latch.is_on else latch for name, latch in latches.items()}


def _since(machine: Machine, now: float) -> Machine:
    if machine.state == INACTIVE:
        return msgspec.structs.replace(machine, latches={}, since=None)
    return machine if machine.since is not None else msgspec.structs.replace(machine, since=now)


def usable(reading: Reading, rule: Rule, now: float) -> float | None:
    """The value of a reading, None when there is nothing to go by: not finite, too old, or of too few samples."""
    value, samples = reading.value, reading.samples
    if value is None or not isfinite(value) or not isfinite(reading.at):
        return None
    is_old = rule.max_age is not None and now - reading.at > rule.max_age
    is_thin = samples is not None and samples < rule.min_samples
    return None if is_old or is_thin else float(value)


def firing_at(level: str, rule: Rule, since: float) -> Machine:
    """One that has been firing at `level` since then, of which nothing else is known."""
    on = {each.name: Latch(is_on=True) for each in rule.levels if rule.rank(each.name) <= rule.rank(level)}
    return Machine(on or {rule.levels[0].name: Latch(is_on=True)}, since=since)
