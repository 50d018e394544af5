"""What the numbers of one row must say for the row to be possible, derived from the data type's columns.

Two kinds of rules. Those that the vendor documents hold for every row: fields are there, amounts are not
negative, HIGH and LOW enclose OPEN and CLOSE (OPEN is the CLOSE before, so it may lie outside the trades'
own range). Others are inferred from samples: buy, sell and unknown sides add up to the total, and the
trades or messages that a bar reports lie inside its range and its time. A row that breaks one of those is
in doubt; a page most of whose rows do casts doubt on the rule instead.

Rows are tuples `(ts, *values)` in the order of `Rules.names`; an absent value is None.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from math import isclose
from typing import Any, NamedTuple

from core.bounds import (
    ABSENT_WHEN_IDLE,
    LARGEST_INTEGER,
    MUST_BE_POSITIVE,
    is_adaptive,
    is_amount,
    is_required,
    must_be_positive,
)
from core.datasets import Dataset
from core.records import in_groups

# A figure is the end of a name: `open_quote`. Beside it, how the trades or messages of the bar report it.
FIGURES = {
    "": ("trade_price", "message_value"),
    "_settlement": ("message_settlement",),
    "_mark_price": ("message_mark_price",),
    "_quote": ("message_quote",),
}
MOMENTS = ("first", "high", "low", "last")
SIDES = ("buy", "sell", "unknown")

CLOSE_TO = 1e-9  # of the total, as far as sums may be from it

Row = tuple[Any, ...]


class Enclosed(NamedTuple):
    """`low <= inner <= high`, as places in a row."""

    low: int
    inner: int
    high: int


class Rules(NamedTuple):
    """The rules for a choice of columns, as places in a row.

    `marks`, `stamps` and what is told `beside` belong to trades or messages: all of them are absent from an idle bar.
    """

    names: tuple[str, ...]
    required: tuple[int, ...]
    amounts: tuple[int, ...]
    adaptive: tuple[int, ...]
    positive: tuple[tuple[int, str], ...]
    integers: tuple[int, ...]
    ranges: tuple[Enclosed, ...]
    sums: tuple[tuple[int, ...], ...]
    marks: tuple[Enclosed, ...]
    stamps: tuple[int, ...]
    beside: tuple[int, ...]
    is_signed: bool

    @property
    def told(self) -> set[int]:
        return {*self.stamps, *self.beside, *(mark.inner for mark in self.marks)}


@cache
def rules_for(dataset: Dataset, groups: tuple[str, ...]) -> Rules:
    """The rules that can be told from the columns of `groups`."""
    columns = in_groups(dataset.columns, groups)
    at = {column.name: place for place, column in enumerate(columns, 1)}
    always = [column for column in columns if column.group not in ABSENT_WHEN_IDLE]
    required = [column for column in columns if is_required(column)]
    marks = _marks(at)
    stamps = [place for name, place in at.items() if name.endswith("_timestamp")]
    elsewhere = {*stamps, *(mark.inner for mark in marks), *(at[column.name] for column in always)}
    return Rules(
        names=tuple(at),
        required=tuple(at[column.name] for column in required),
        amounts=tuple(at[column.name] for column in required if is_amount(column)),
        adaptive=tuple(at[column.name] for column in columns if is_adaptive(column)),
        positive=tuple(
            (at[name], reason)
            for name, reason in MUST_BE_POSITIVE.items()
            if name in at and must_be_positive(dataset, name)
        ),
        integers=tuple(at[column.name] for column in columns if column.kind is int),
        ranges=tuple(_enclosed(at, f"{edge}{figure}", figure) for figure in FIGURES for edge in _edges(at, figure)),
        sums=tuple(sides for name in at if len(sides := _sides(at, name)) > 1),
        marks=tuple(marks),
        stamps=tuple(stamps),
        beside=tuple(place for place in at.values() if dataset.positive and place not in elsewhere),
        is_signed=not dataset.positive,
    )


def _edges(at: dict[str, int], figure: str) -> tuple[str, ...]:
    return ("close", "open") if f"open{figure}" in at else ()


def _enclosed(at: dict[str, int], inner: str, figure: str) -> Enclosed:
    return Enclosed(at[f"low{figure}"], at[inner], at[f"high{figure}"])


def _sides(at: dict[str, int], name: str) -> tuple[int, ...]:
    parts = [f"{name}_{side}" for side in SIDES]
    return (at[name], *(at[part] for part in parts)) if all(part in at for part in parts) else ()


def _marks(at: dict[str, int]) -> list[Enclosed]:
    names = [
        (f"{moment}_{told}", figure) for figure, tellings in FIGURES.items() for told in tellings for moment in MOMENTS
    ]
    return [_enclosed(at, name, figure) for name, figure in names if name in at and f"low{figure}" in at]


def fault(row: Row, rules: Rules) -> str | None:
    """The documented rule that `row` breaks, or None. Numbers are finite by decoding."""
    if any(row[at] is None for at in rules.required):
        return "missing_field"
    marks = () if rules.is_signed else (mark.inner for mark in rules.marks)
    if any(row[at] is not None and row[at] < 0 for at in (*rules.amounts, *rules.adaptive, *rules.beside, *marks)):
        return "negative_amount"
    if any(row[at] is not None and not 0 <= row[at] <= LARGEST_INTEGER for at in rules.integers):
        return "integer_range"
    for at, reason in rules.positive:
        if row[at] <= 0:
            return reason
    return _range_fault(row, rules)


def _range_fault(row: Row, rules: Rules) -> str | None:
    for low, inner, high in rules.ranges:
        if not row[low] <= row[inner] <= row[high]:
            edge = rules.names[inner - 1].partition("_")[0]
            return f"{edge}_outside_range"
    return None


def doubt(row: Row, rules: Rules, seconds: int) -> str | None:
    """The inferred rule that a possible `row` of a bar of `seconds` breaks, or None, as for what was not asked for."""
    for places in rules.sums:
        total, *sides = (row[at] for at in places)
        if None not in (total, *sides) and not isclose(total, sum(sides), rel_tol=CLOSE_TO):
            return "sides_do_not_add_up"
    for places in rules.marks:
        low, mark, high = (row[at] for at in places)
        if None not in (low, mark, high) and not low <= mark <= high:
            return "trade_outside_range"
    if any(row[at] is not None and not row[0] <= row[at] < row[0] + seconds for at in rules.stamps):
        return "trade_outside_bar"
    return None


def are_bounded(rows: Sequence[Row], rules: Rules) -> bool:
    """Whether every single value of these may be, as `core.bounds` has it.

    False, or a TypeError, may also mean that an absent value kept this from being told.
    """
    return bool(_predicates(rules).are_bounded(rows, 0))


def are_sound(rows: Sequence[Row], rules: Rules, seconds: int) -> bool:
    """Whether the values of no row of a bar of `seconds` contradict each other.

    False, or a TypeError, may also mean that an absent value kept this from being told.
    """
    return bool(_predicates(rules).are_sound(rows, seconds))


class _Predicates(NamedTuple):
    are_bounded: Callable[..., Any]
    are_sound: Callable[..., Any]


@cache
def _predicates(rules: Rules) -> _Predicates:
    """The rules as two functions over many rows, compiled from text as dataclasses do it.

    A look at a page of bars takes a third of what a comparison of whole columns, one after the other, does.
    """
    return _Predicates(_predicate(rules, _bounds(rules)), _predicate(rules, _contradictions(rules)))


def _predicate(rules: Rules, conditions: Iterable[str]) -> Callable[..., Any]:
    text = (
        f"def are_so(rows, seconds):\n"
        f"    for {', '.join(('ts', *rules.names))}, in rows:\n"
        f"        end = ts + seconds\n"
        f"        if not ({' and '.join(conditions) or True}):\n"
        f"            return False\n"
        f"    return True"
    )
    scope: dict[str, Any] = {}
    exec(text, scope)  # noqa: S102 - of names that our own table of columns has
    return scope["are_so"]  # type: ignore[no-any-return]


def _bounds(rules: Rules) -> Iterator[str]:
    names = ("ts", *rules.names)
    yield from (f"{names[at]} >= 0" for at in rules.amounts)
    yield from (f"{names[at]} > 0" for at, _ in rules.positive)
    yield from (f"({names[at]} is None or {names[at]} >= 0)" for at in rules.adaptive)
    yield from (f"{names[at]} <= {LARGEST_INTEGER}" for at in rules.integers if at not in rules.stamps)


def _contradictions(rules: Rules) -> Iterator[str]:
    """What holds between values; stricter than `doubt` by a hair, which is a look at each row where it is not so."""
    names = ("ts", *rules.names)
    yield from (_enclosure(names, places) for places in rules.ranges)
    for places in rules.sums:
        total, *sides = (names[at] for at in places)
        sum_of = " + ".join(sides)
        yield f"({total} == {sum_of} or abs({total} - ({sum_of})) <= {CLOSE_TO} * {total})"
    if rules.stamps:
        told = " is ".join([*(names[at] for at in sorted(rules.told)), "None"])
        yield f"({told} or {' and '.join(_tellings(rules, names))})"


def _tellings(rules: Rules, names: Sequence[str]) -> Iterator[str]:
    """What bars that are not idle have: all of it, each where it belongs."""
    yield from (f"ts <= {names[at]} < end" for at in rules.stamps)
    yield from (_enclosure(names, places) for places in rules.marks)
    yield from (f"{names[at]} >= 0" for at in rules.beside)


def _enclosure(names: Sequence[str], places: Enclosed) -> str:
    low, inner, high = (names[at] for at in places)
    return f"{low} <= {inner} <= {high}"
