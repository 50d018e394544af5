"""A line to type in. What is pasted may hold what a terminal obeys: it never gets there."""

from typing import Any

from textual.widgets import Input

from core.text import clean

LONGEST = 1_000


class LineInput(Input):
    """An `Input` of one row that holds clean text only, with a cursor that stands still."""

    def __init__(self, value: str = "", **options: Any) -> None:
        super().__init__(clean(value, LONGEST), compact=True, **options)
        self.cursor_blink = False

    def validate_value(self, value: str) -> str:
        cleaned = clean(value, LONGEST)
        # A blank at an end is being typed; everything else that is gone should not have been there.
        return value if cleaned == value.strip() else cleaned
