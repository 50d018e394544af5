"""Rules from TOML: the defaults that come with the program, and a file that changes them, adds to them or switches off.

    [rules.memory]                  # a default, in part
    above = { WARNING = 70, ERROR = 80, CRITICAL = 90 }
    [rules.gaps_open]
    enabled = false

Everything that is wrong is told at once, a line a problem, with file, rule, key and what would be right.
"""

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.resources import files
from itertools import pairwise
from math import isfinite
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from core.alerting.causes import CAUSES
from core.alerting.rules import CONDITIONS, FACTS, INSTANCES, KEEP, PLACE, PLACES, READINGS, Level, Rule, Rules
from core.alerting.silences import LONGEST_PATTERN, MOST_STARS
from core.errors import ConfigError
from core.events import LEVELS
from core.text import clean, nearest

LARGEST_FILE, LONGEST_LINE, MOST_RULES = 1024 * 1024, 2_000, 500
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)
_SPAN = re.compile(r"([0-9]{1,6})([smhd])", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
LONGEST_SPAN = 30 * 86_400
_Text = Annotated[str, msgspec.Meta(max_length=500)]
_Figures = dict[str, float]
_KEYS: dict[str, Any] = {
    "above": _Figures,
    "below": _Figures,
    "cause": _Text,
    "clear": _Figures,
    "command": _Text,
    "condition": bool,
    "doing": _Text,
    "enabled": bool,
    "for": _Text,
    "keep_firing_for": _Text,
    "limit": Annotated[int, msgspec.Meta(ge=1, le=CONDITIONS)],
    "max_age": _Text,
    "min_samples": Annotated[int, msgspec.Meta(ge=0, le=1_000_000)],
    "no_data": Literal["alert", "keep", "ok"],
    "no_data_for": _Text,
    "reading": _Text,
    "runbook": _Text,
    "source": Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_PATTERN)],
    "summary": _Text,
    "unit": Annotated[str, msgspec.Meta(max_length=20)],
}
_OF_CONDITIONS = {"cause", "command", "condition", "doing", "enabled", "keep_firing_for", "runbook", "limit"}


class Faults:
    """What is wrong with one file."""

    def __init__(self, file: str) -> None:
        self._file = file
        self.said: list[str] = []

    def add(self, where: str, text: str) -> None:
        self.said.append(f"{self._file}: {clean(where, 120)}: {text}")


@cache
def default_rules() -> Rules:
    """Those that come with the program."""
    return make_rules({}, "the defaults")


def rules_of(path: Path | None) -> Rules:
    """As `read_rules`, the defaults alone without a file."""
    return default_rules() if path is None else read_rules(path)


def read_rules(path: Path) -> Rules:
    """The defaults as the file at `path` changes them. Raises ConfigError with everything that is wrong."""
    return make_rules(read_toml(path, "alerts.rules: "), str(path))


def read_toml(path: Path, what: str = "") -> dict[str, Any]:
    """What the file at `path` says. Raises ConfigError, which begins with `what` the file is for."""
    try:
        with path.open("rb") as file:
            return parse(file.read(LARGEST_FILE + 1))
    except OSError as error:
        raise ConfigError(f"{what}{path} cannot be read: {error.strerror}") from error
    except Unreadable as error:
        raise ConfigError(f"{what}{path}: {error}") from error


class Unreadable(Exception):
    """No TOML that could hold rules."""


def parse(raw: bytes) -> dict[str, Any]:
    """What a file says. Bytes that would take the parser long, or all of the stack, are no rules."""
    if len(raw) > LARGEST_FILE:
        raise Unreadable("it is larger than 1 MiB")
    # Keys with many dots cost the square of their length.
    if any(len(line) > LONGEST_LINE for line in raw.splitlines()):
        raise Unreadable(f"a line is longer than {LONGEST_LINE:,} bytes")
    try:
        return tomllib.loads(raw.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"it is no TOML: {clean(str(error))}") from error


@cache
def _default_tables() -> Mapping[str, dict[str, Any]]:
    text = (files("core.alerting") / "default_rules.toml").read_text("utf-8")
    return dict(tomllib.loads(text)["rules"])


def make_rules(given: Mapping[str, Any], file: str) -> Rules:
    """The defaults as what a file says changes them. Raises ConfigError with everything that is wrong."""
    faults, defaults = Faults(file), _default_tables()
    for key in given:
        if key != "rules":
            faults.add(key, f"there is no such key{nearest(key, ['rules'])}; write rules as [rules.name]")
    tables = given.get("rules", {})
    if not isinstance(tables, dict) or not all(isinstance(table, dict) for table in tables.values()):
        faults.add("rules", "write each rule as a table, [rules.name]")
        tables = {}
    if len(tables) > MOST_RULES:
        faults.add("rules", f"{len(tables):,} rules are more than {MOST_RULES}")
        tables = {}
    names = [*defaults, *(name for name in tables if name not in defaults)]
    made = [_rule(name, defaults.get(name, {}), tables.get(name, {}), faults) for name in names]
    rules = {rule.name: rule for rule in made if rule is not None}
    causes = _causes(rules, names, faults)
    if faults.said:
        raise ConfigError("\n".join(faults.said[:50]))
    return Rules(rules, frozenset(names) - frozenset(rules), causes)


def _rule(name: str, default: Mapping[str, Any], own: Mapping[str, Any], faults: Faults) -> Rule | None:
    """None for one that is switched off, or wrong."""
    where = f"rules.{name}"
    if not _NAME.fullmatch(name):
        faults.add(where, "write a name of small letters, digits and _, such as my_rule")
        return None
    known = dict(_known(where, _merged(default, own), faults))
    if known.get("enabled") is False:
        return None
    before = len(faults.said)
    make = _condition if known.get("condition") else _rule_of_figures
    rule = make(name, known, _Spans(where, known, faults), faults)
    return rule if len(faults.said) == before else None


def _merged(default: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Other thresholds come with clear thresholds of their own."""
    is_other = any(key in own for key in ("above", "below"))
    dropped = {"above", "below", "clear"} if is_other else set()
    return {**{key: value for key, value in default.items() if key not in dropped}, **own}


def _known(where: str, table: Mapping[str, Any], faults: Faults) -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if key not in _KEYS:
            faults.add(f"{where}.{key}", f"there is no such key{nearest(key, _KEYS)}")
            continue
        try:
            yield key, msgspec.convert(value, _KEYS[key])
        except msgspec.ValidationError as error:
            faults.add(f"{where}.{key}", clean(str(error)).lower())


class _Spans:
    """The lengths of time of one rule, in seconds."""

    def __init__(self, where: str, known: Mapping[str, Any], faults: Faults) -> None:
        self._where = where
        self._known = known
        self._faults = faults

    def of(self, key: str, default: float) -> float:
        text = self._known.get(key)
        if text is None:
            return default
        found = _SPAN.fullmatch(text.strip())
        seconds = int(found[1]) * _SECONDS[found[2]] if found else -1
        if not 0 <= seconds <= LONGEST_SPAN:
            self._faults.add(f"{self._where}.{key}", "write a length of time up to 30d, such as 30s, 5m, 2h or 1d")
            return default
        return float(seconds)


def _condition(name: str, known: Mapping[str, Any], spans: _Spans, faults: Faults) -> Rule:
    where = f"rules.{name}"
    for key in sorted(known.keys() - _OF_CONDITIONS):
        faults.add(f"{where}.{key}", f"a condition has {', '.join(sorted(_OF_CONDITIONS))}")
    if name not in _default_tables():
        faults.add(where, f"there is no condition of that name{nearest(name, _default_tables())}")
    return Rule(
        name,
        is_condition=True,
        levels=FACTS,
        keep_seconds=spans.of("keep_firing_for", 0.0),
        limit=known.get("limit", CONDITIONS),
        **_texts(where, known, faults),
    )


def _rule_of_figures(name: str, known: Mapping[str, Any], spans: _Spans, faults: Faults) -> Rule:
    where = f"rules.{name}"
    reading = known.get("reading", name)
    if reading not in READINGS:
        faults.add(f"{where}.reading", f"there is no reading {clean(reading, 40)!r}{nearest(reading, READINGS)}")
    if not known.get("summary"):
        faults.add(f"{where}.summary", "say what is wrong, in a sentence such as '{value} of the calls failed'")
    if known.get("source", "").count("*") > MOST_STARS:
        faults.add(f"{where}.source", f"write {MOST_STARS} stars at most")
    wait = spans.of("for", 0.0)
    return Rule(
        name,
        summary=known.get("summary", ""),
        levels=_levels(where, known, faults),
        is_above="below" not in known,
        reading=reading,
        source=known.get("source", "*"),
        for_seconds=wait,
        keep_seconds=spans.of("keep_firing_for", 0.0),
        no_data=known.get("no_data", KEEP),
        no_data_seconds=spans.of("no_data_for", wait),
        min_samples=known.get("min_samples", 0),
        max_age=spans.of("max_age", 0.0) or None,
        unit=known.get("unit", ""),
        limit=known.get("limit", INSTANCES),
        **_texts(where, known, faults),
    )


def _texts(where: str, known: Mapping[str, Any], faults: Faults) -> dict[str, Any]:
    if not known.get("runbook"):
        faults.add(f"{where}.runbook", "say where it is written what to do, as a link or the name of a page")
    texts = {key: clean(known.get(key, ""), 500) for key in ("doing", "command", "runbook")}
    for key in ("summary", *texts):
        for place in PLACE.findall(known.get(key, "")):
            if place not in PLACES:
                faults.add(
                    f"{where}.{key}", f"there is no {{{place}}}{nearest(place, PLACES)}; write {', '.join(PLACES)}"
                )
    return {**texts, "causes": (known["cause"],) if known.get("cause") else ()}


def _levels(where: str, known: Mapping[str, Any], faults: Faults) -> tuple[Level, ...]:
    given = [key for key in ("above", "below") if key in known]
    if len(given) != 1 or not known[given[0]]:
        faults.add(where, "write either above or below, as in above = { WARNING = 5, ERROR = 10, CRITICAL = 25 }")
        return ()
    key, clear = given[0], known.get("clear", {})
    for table, figures in ((key, known[key]), ("clear", clear)):
        for name, value in figures.items():
            if name not in LEVELS:
                faults.add(f"{where}.{table}.{name}", f"there is no such level{nearest(name, LEVELS)}")
            elif not isfinite(value):
                faults.add(f"{where}.{table}.{name}", "write a finite number")
    levels = [Level(name, known[key][name], clear.get(name, known[key][name])) for name in LEVELS if name in known[key]]
    _check_order(where, key, levels, faults)
    for name in clear:
        if name in LEVELS and name not in known[key]:
            faults.add(f"{where}.clear.{name}", f"{key} has no {name}")
    return tuple(levels)


def _check_order(where: str, key: str, levels: list[Level], faults: Faults) -> None:
    """What is graver is further out, and a level is over on the right side of its threshold."""
    sign = 1 if key == "above" else -1
    for mild, grave in pairwise(levels):
        if sign * mild.threshold >= sign * grave.threshold or sign * mild.clear > sign * grave.clear:
            order = "rise" if sign > 0 else "fall"
            faults.add(f"{where}.{key}", f"the thresholds have to {order} from {mild.name} to {grave.name}")
    for level in levels:
        if sign * level.clear > sign * level.threshold:
            faults.add(f"{where}.clear.{level.name}", f"write a number on the right side of {level.threshold:g}")


def _causes(rules: Mapping[str, Rule], names: Iterable[str], faults: Faults) -> dict[str, tuple[str, ...]]:
    causes = {**CAUSES, **{rule.name: (*CAUSES.get(rule.name, ()), *rule.causes) for rule in rules.values()}}
    known = {*names, *CAUSES}
    for rule in rules.values():
        for cause in rule.causes:
            if cause not in known:
                faults.add(f"rules.{rule.name}.cause", f"there is no rule {clean(cause, 40)!r}{nearest(cause, known)}")
            elif _leads_back(rule.name, causes):
                faults.add(f"rules.{rule.name}.cause", f"{cause} is explained by {rule.name} itself")
    return causes


def _leads_back(rule: str, causes: Mapping[str, tuple[str, ...]]) -> bool:
    seen, waiting = set[str](), list(causes.get(rule, ()))
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += causes.get(name, ())
    return rule in seen
