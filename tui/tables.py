"""A table's rows as the operator wants them: its fields, what was chosen for it, its remembered order."""

from collections.abc import Mapping
from typing import Generic, TypeVar

from tui.desk import Desk
from tui.query import Choice, Fields, Filter, Ordering
from tui.views.frame import Listing

Row = TypeVar("Row")


class Table(Generic[Row]):
    """Filter and sort order of one table; they outlive the screen that shows it."""

    def __init__(self, desk: Desk, name: str, fields: Fields[Row], default: Choice, sorts: tuple[str, ...]) -> None:
        self.name = name
        self.sorts = sorts
        self._desk = desk
        self._fields = fields
        self._default = default
        self._ordering: Ordering[Row] = Ordering(fields)

    @property
    def choice(self) -> Choice:
        return self._desk.choice(self.name, self._default)

    def choose(self, choice: Choice) -> None:
        self._desk.choose(self.name, choice)

    def filter(self, words: str) -> None:
        """Show what passes `words` only. Raises FilterError, and changes nothing, when they cannot be understood."""
        before = self.choice
        Filter.parse(words, self._fields)
        self.choose(Choice(words, before.sort, before.descending))

    def listing(self, rows: Mapping[str, Row]) -> Listing:
        """The rows that pass, in order; the order holds still under a moving cursor and while paused."""
        hold = self._desk.is_moving or self._desk.paused
        keys = self._ordering.keys(rows, self.choice, self._desk.clock.monotonic(), hold)
        return Listing(keys, self.choice, self._ordering.error)
