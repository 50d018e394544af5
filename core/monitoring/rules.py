"""What the numbers of one row must say for the row to be possible, derived from the data type's columns.

Two kinds of rules. Those that the vendor documents hold for every row: fields are there, amounts are not
negative, HIGH and LOW enclose OPEN and CLOSE (OPEN is the CLOSE before, so it may lie outside the trades'
own range). Others are inferred from samples: buy, sell and unknown sides add up to the total, and the
trades or messages that a bar reports lie inside its range and its time. A row that breaks one of those is
in doubt; a page most of whose rows do casts doubt on the rule instead.

Rows are tuples `(ts, *values)` in the order of `Rules.names`; an absent value is None.
"""

from collections.abc import Callable, Sequence
from functools import cache
from itertools import compress
from math import isclose
from operator import add, attrgetter, le, lt
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

Row = tuple[Any, ...]
Columns = Sequence[Sequence[Any]]


class Enclosed(NamedTuple):
    """`low <= inner <= high`, as places in a row."""

    low: int
    inner: int
    high: int


class Rules(NamedTuple):
    """The rules for a choice of columns, as places in a row; `values` makes a row of a decoded one.

    `marks`, `stamps` and what is told `beside` belong to trades or messages: all of them are absent from an idle bar.
    """

    names: tuple[str, ...]
    values: Callable[[Any], Row]
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
        values=attrgetter("timestamp", *at),
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
        if None not in (total, *sides) and not isclose(total, sum(sides)):
            return "sides_do_not_add_up"
    for places in rules.marks:
        low, mark, high = (row[at] for at in places)
        if None not in (low, mark, high) and not low <= mark <= high:
            return "trade_outside_range"
    if any(row[at] is not None and not row[0] <= row[at] < row[0] + seconds for at in rules.stamps):
        return "trade_outside_bar"
    return None


def are_bounded(columns: Columns, rules: Rules) -> bool:
    """Whether every single value of these may be, column by column, as `core.bounds` has it.

    False, or a TypeError, may also mean that an absent value kept this from being told.
    """
    return (
        all(min(columns[at]) >= 0 for at in rules.amounts)
        and all(min(columns[at]) > 0 for at, _ in rules.positive)
        and all(_are_amounts(columns[at]) for at in rules.adaptive)
        and all(max(columns[at]) <= LARGEST_INTEGER for at in rules.integers if at not in rules.stamps)
    )


def are_sound(columns: Columns, rules: Rules, seconds: int) -> bool:
    """Whether the values of no row contradict each other, column by column (the first one holds the times).

    False, or a TypeError, may also mean that an absent value kept this from being told.
    """
    return (
        all(_is_enclosed(*(columns[at] for at in places)) for places in rules.ranges)
        and all(_add_up(*(columns[at] for at in places)) for places in rules.sums)
        and (not rules.stamps or _are_told_soundly(columns, rules, seconds))
    )


def _are_amounts(column: Sequence[float | None]) -> bool:
    return min(filter(None, column), default=0) >= 0


def _is_enclosed(low: Sequence[float], inner: Sequence[float], high: Sequence[float]) -> bool:
    return all(map(le, low, inner)) and all(map(le, inner, high))


def _add_up(total: Sequence[float], *sides: Sequence[float]) -> bool:
    first, *others = [side for side in sides if any(side)] or sides[:1]
    for other in others:
        first = tuple(map(add, first, other))
    # Counts add up exactly; comparing them so is the cheaper look.
    return first == total or all(map(isclose, total, first))


def _are_told_soundly(columns: Columns, rules: Rules, seconds: int) -> bool:
    """The same for what idle bars lack: absent all at once, else where it belongs."""
    is_busy = [stamp is not None for stamp in columns[rules.stamps[0]]]
    idle = is_busy.count(False)
    if any(columns[at].count(None) != idle for at in rules.told):
        return False

    @cache
    def busy(at: int) -> Sequence[Any]:
        return list(compress(columns[at], is_busy)) if idle else columns[at]

    starts = busy(0)
    ends = [start + seconds for start in starts]
    return (
        all(all(map(le, starts, stamps)) and all(map(lt, stamps, ends)) for stamps in map(busy, rules.stamps))
        and all(_is_enclosed(*map(busy, places)) for places in rules.marks)
        and all(min(busy(at), default=0) >= 0 for at in rules.beside)
    )
