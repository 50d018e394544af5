"""Tests of rules: made-up readings on a clock of their own, and what has to have become of alerts. Pure.

    rules = "rules.toml"          # beside this file; without it the rules that are in force
    every = "15s"                 # between two evaluations

    [[case]]
    name = "memory fills up"
    series = [{ reading = "memory", source = "host", values = "50x10 97x20 _x5 60" }]
    expect = [{ at = "5m", alert = "memory:host", state = "firing", level = "CRITICAL" }]

A value times a number is that many evaluations; _ is a reading with nothing to go by, and after its values a series is
gone. An alert that is not there is inactive.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any

import msgspec

from core.alerting import Reading
from core.alerting.book import Alerts
from core.alerting.rules import READINGS, Rules
from core.bus import Bus
from core.errors import ConfigError
from core.patterns import matcher
from core.text import clean

START = 1_700_000_000.0
LONGEST = 100_000
_SPAN = re.compile(r"([0-9]{1,6})([smhd])", re.ASCII)
_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_VALUE = re.compile(r"(-?[0-9]{1,15}(?:\.[0-9]{1,9})?|_|nan)(?:x([1-9][0-9]{0,5}))?", re.ASCII)


class Series(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Readings of a source, an evaluation each."""

    reading: str
    source: str
    values: str
    samples: int | None = None


class Expectation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an alert has to be like `at` a time after the beginning; `message` is a pattern."""

    at: str
    alert: str
    state: str
    level: str = ""
    message: str = "*"


class Case(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One beginning, and what comes of it."""

    name: str
    series: Annotated[list[Series], msgspec.Meta(min_length=1)]
    expect: Annotated[list[Expectation], msgspec.Meta(min_length=1)]


class Trial(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file of tests."""

    case: Annotated[list[Case], msgspec.Meta(min_length=1)]
    rules: str = ""
    every: str = "15s"


def make_trial(given: dict[str, Any], file: str) -> Trial:
    """Raises ConfigError naming the key that is wrong."""
    try:
        return msgspec.convert(given, Trial)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{file}: {clean(str(error))}") from None


def failures(trial: Trial, case: Case, rules: Rules) -> list[str]:
    """What is not as expected, in words. Raises ConfigError naming the case and what is wrong with it."""
    try:
        return list(_failures(case, rules, max(1, _seconds(trial.every))))
    except ConfigError as error:
        raise ConfigError(f"case {clean(case.name)!r}: {error}") from None


def _failures(case: Case, rules: Rules, every: int) -> Iterator[str]:
    series = [(each, _values(each)) for each in case.series]
    now = START
    book = Alerts(Bus(lambda: now), rules=rules)
    names = {each.reading for each in case.series}
    step = -1
    for expected in sorted(case.expect, key=lambda each: _seconds(each.at)):
        last = _seconds(expected.at) // every
        if last > LONGEST:
            raise ConfigError(f"at {expected.at}: that is more than {LONGEST:,} evaluations")
        while step < last:
            step += 1
            now = START + step * every
            book.observe(_readings(series, step, now), now, names)
            book.recorded(book.unrecorded())
        yield from _wrong(book, expected)


def _readings(series: Iterable[tuple[Series, Sequence[float | None]]], step: int, now: float) -> list[Reading]:
    return [
        Reading(each.reading, each.source, values[step], now, each.samples)
        for each, values in series
        if step < len(values)
    ]


def _wrong(book: Alerts, expected: Expectation) -> Iterator[str]:
    rule, _, source = expected.alert.partition(":")
    known = book.of_rule(rule).get(source)
    state, level = (known.alert.state, known.alert.level) if known else ("inactive", "")
    message = known.alert.message if known else ""
    where = f"at {expected.at} {clean(expected.alert)}"
    if state != expected.state or expected.level not in {"", level}:
        yield f"{where} is {f'{state} {level}'.strip()}, not {f'{expected.state} {expected.level}'.strip()}"
    elif not matcher(expected.message)(message):
        yield f"{where} says {clean(message)!r}"


def _values(series: Series) -> list[float | None]:
    if series.reading not in READINGS:
        raise ConfigError(f"there is no reading {clean(series.reading)!r}; there are {', '.join(READINGS)}")
    found: list[float | None] = []
    for word in series.values.split():
        match = _VALUE.fullmatch(word)
        if match is None:
            raise ConfigError(f"{clean(word)!r} is no value; write 50, 97.5x20, _ or nan")
        found += [None if match[1] == "_" else float(match[1])] * int(match[2] or 1)
        if len(found) > LONGEST:
            raise ConfigError(f"{series.reading}: more than {LONGEST:,} values")
    return found


def _seconds(text: str) -> int:
    match = _SPAN.fullmatch(text)
    if match is None:
        raise ConfigError(f"{clean(text)!r} is no length of time; write 15s, 5m, 2h or 1d")
    return int(match[1]) * _UNITS[match[2]]
