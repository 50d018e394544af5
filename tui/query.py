"""Filters and sort orders of a table: pure, and cheap enough for ten thousand rows once a second.

A filter is words that must all match: `kraken` (anywhere), `state:run` (in one field), `rows>1000`,
`!fail` (must not match). Fields hold text or numbers; case does not matter.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

Row = TypeVar("Row")
Value = str | float
Fields = Mapping[str, Callable[[Row], Value]]


class FilterError(ValueError):
    """A filter that cannot be understood; the text says which word and what would be right."""


@dataclass(frozen=True, slots=True)
class Filter(Generic[Row]):
    """A parsed filter. An empty one lets everything pass."""

    text: str
    tests: tuple[Callable[[Row], bool], ...]

    @classmethod
    def parse(cls, text: str, fields: "Fields[Row]") -> "Filter[Row]":
        """Raises FilterError naming a field that does not exist, or a number that is none."""
        return cls(text, tuple(_word_test(word, fields) for word in text.lower().split()))

    def passes(self, row: Row) -> bool:
        return all(test(row) for test in self.tests)


def _word_test(word: str, fields: "Fields[Row]") -> Callable[[Row], bool]:
    if word.startswith("!") and len(word) > 1:
        inner = _word_test(word[1:], fields)
        return lambda row: not inner(row)
    for sign in (":", ">", "<"):
        name, found, wanted = word.partition(sign)
        if found and name.isidentifier():
            return _field_test(name, sign, wanted, fields)
    readers = tuple(fields.values())
    return lambda row: any(word in str(read(row)).lower() for read in readers)


def _field_test(name: str, sign: str, wanted: str, fields: "Fields[Row]") -> Callable[[Row], bool]:
    if name not in fields:
        raise FilterError(f"no field {name!r}; there are {', '.join(fields)}")
    read = fields[name]
    if sign == ":":
        return lambda row: wanted in str(read(row)).lower()
    try:
        bound = float(wanted)
    except ValueError:
        raise FilterError(f"{name}{sign}{wanted}: a number is needed after {sign}") from None
    above = sign == ">"
    return lambda row: _number(read(row)) > bound if above else _number(read(row)) < bound


def _number(value: Value) -> float:
    return value if isinstance(value, (int, float)) else 0.0


@dataclass(frozen=True, slots=True)
class Choice:
    """What an operator chose for one table: filter text, sort field and direction."""

    filter: str = ""
    sort: str = ""
    descending: bool = False

    def sorted_by(self, field: str) -> "Choice":
        """With another field, or the other direction when it is the same."""
        return Choice(self.filter, field, not self.descending if field == self.sort else False)


def order(rows: Mapping[str, Row], fields: "Fields[Row]", choice: Choice) -> list[str]:
    """Keys of the rows that pass, sorted; ties by key, so that nothing jumps. Raises FilterError."""
    passing: Filter[Row] = Filter.parse(choice.filter, fields)
    keys = sorted(key for key, row in rows.items() if passing.passes(row))
    read = fields.get(choice.sort)
    if read is not None:
        keys.sort(key=lambda key: _sortable(read(rows[key])), reverse=choice.descending)
    return keys


def _sortable(value: Value) -> tuple[int, float, str]:
    if isinstance(value, str):
        return (1, 0.0, value.lower())
    return (0, value if value == value else float("-inf"), "")  # noqa: PLR0124 - NaN has no place in an order


class Ordering(Generic[Row]):
    """Remembers an order so that rows do not jump: sorted again at most once a second, and not
    while the operator has just moved the cursor. Rows that vanish leave at once, new ones come at the
    end until the next sort. A filter that is not understood leaves the last good one in place.
    """

    def __init__(self, fields: "Fields[Row]") -> None:
        self.error = ""
        self._fields = fields
        self._choice: Choice | None = None
        self._good_filter = ""
        self._sorted_at = float("-inf")
        self._keys: list[str] = []
        self._known: set[str] = set()
        self._rows: object = None

    def keys(self, rows: Mapping[str, Row], choice: Choice, now: float, hold: bool = False) -> list[str]:
        if rows is self._rows and choice == self._choice:
            return self._keys
        if choice != self._choice or (now - self._sorted_at >= 1.0 and not hold):
            self._sort(rows, choice, now)
            self._rows = rows
        elif rows.keys() != self._known:
            self._join(rows, choice)
        return self._keys

    def _sort(self, rows: Mapping[str, Row], choice: Choice, now: float) -> None:
        self._keys = self._ordered(rows, choice)
        self._known = set(rows)
        self._choice, self._sorted_at = choice, now

    def _join(self, rows: Mapping[str, Row], choice: Choice) -> None:
        fresh = {key: row for key, row in rows.items() if key not in self._known}
        self._keys = [key for key in self._keys if key in rows] + self._ordered(fresh, choice)
        self._known = set(rows)

    def _ordered(self, rows: Mapping[str, Row], choice: Choice) -> list[str]:
        try:
            keys = order(rows, self._fields, choice)
        except FilterError as error:
            self.error = str(error)
            return order(rows, self._fields, Choice(self._good_filter, choice.sort, choice.descending))
        self.error, self._good_filter = "", choice.filter
        return keys
