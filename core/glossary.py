"""What every table and column means, and its unit: the words of `describe` and of export manifests.

The words are in `glossary.txt`, as rules, because most columns are regular.
"""

import re
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from core.datasets import DATA_TYPES, Dataset
from core.references import Reference
from core.windows import GRAINS

TIME_UNITS = {"UTC epoch seconds", "UTC epoch milliseconds", "UTC epoch seconds with fraction"}
_WORDS: dict[str | None, str] = {
    None: "in the bar, its start included",
    "high": "highest",
    "low": "lowest",
    "open": "start",
    "close": "end",
    "_message": "in the bar's own updates",
    "buy": "whose taker bought",
    "sell": "whose taker sold",
    "unknown": "of unknown side",
    "top_tier": "on exchanges of the top tier",
    "direct": "in the pair itself, without conversions",
    "top_tier_direct": "in the pair itself, on exchanges of the top tier",
    "funding_rate": "funding rates",
    "open_interest": "open interest",
    "polling_backfill": "polling, past included",
    "24_hour": "24 hours",
    "7_day": "7 days",
    "30_day": "30 days",
    "mkt_cap": "market value",
    "with_issues": "with issues",
    "mint": "made",
    "burn": "destroyed",
    "max": "that can ever exist",
    "issued": "issued so far",
    "total": "in all",
    "circulating": "in circulation",
    "future": "still to come",
    "burnt": "destroyed",
    "done": "answered",
}


class Term(NamedTuple):
    """What a column holds. `group` is the vendor's field group; empty for what is ours, or always there."""

    unit: str
    group: str
    meaning: str


class _Rule(NamedTuple):
    columns: re.Pattern[str]
    unit: str
    meaning: str


class _Section(NamedTuple):
    tables: re.Pattern[str]
    about: str
    rules: list[_Rule]


def about(table: str) -> str:
    """What a table or view holds, in one line. Raises KeyError when it is none of ours."""
    data_type, interval = _parts(table)
    found = DATA_TYPES.get(data_type)
    if found is None:
        return _first_about(table)
    if isinstance(found, Reference):
        return f"{found.title}: an entity a row, those that are gone included."
    return f"{found.title}: bars of {interval}." if interval else f"{found.title}: the rows behind its views."


def term(table: str, column: str) -> Term:
    """What `column` of `table` holds. Raises KeyError when nothing is written about it."""
    for pattern, unit, meaning in _rules(table):
        if found := pattern.fullmatch(column):
            words = [_WORDS.get(part) or part for part in found.groups()]
            return Term(unit, _groups(table).get(column, ""), meaning.format(*words))
    raise KeyError(f"{table}.{column}: write about it in core/glossary.txt")


@cache
def _rules(table: str) -> list[_Rule]:
    """All that may apply to a table, in order."""
    return [rule for section in _sections() if section.tables.fullmatch(table) for rule in section.rules]


def _first_about(table: str) -> str:
    for section in _sections():
        if section.about and section.tables.fullmatch(table):
            return section.about
    raise KeyError(f"{table}: write about it in core/glossary.txt")


@cache
def _sections() -> tuple[_Section, ...]:
    text = (files("core") / "glossary.txt").read_text("utf-8")
    parts = re.split(r"^\[(.*)\](.*)$", text, flags=re.MULTILINE)[1:]
    return tuple(
        _Section(re.compile(tables), about.strip(), [_rule(line) for line in lines.splitlines() if line])
        for tables, about, lines in zip(parts[::3], parts[1::3], parts[2::3], strict=True)
    )


def _rule(line: str) -> _Rule:
    # A pattern may have bars of its own, without spaces around.
    pattern, unit, meaning = line.split(" | ")
    return _Rule(re.compile(pattern), unit, meaning)


def _parts(table: str) -> tuple[str, str]:
    """Data type and interval that a view is named after; no interval for a table."""
    name, _, interval = table.rpartition("_")
    return (name, interval) if interval in GRAINS else (table, "")


@cache
def _groups(table: str) -> dict[str, str]:
    """The vendor's field group of each column that is in one."""
    found = DATA_TYPES.get(_parts(table)[0])
    if found is None:
        return {}
    constants = found.constants if isinstance(found, Dataset) else ()
    # ENTRY is our word for fields that are always there.
    groups = {column.name: column.group for column in (*constants, *found.columns) if column.group != "ENTRY"}
    derived = found.derived if isinstance(found, Dataset) else ()
    return groups | {name: groups[column] for name, column in derived}
