"""Tables of what the store was asked: the same title, the same words while there is nothing, for all of them."""

from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeVar

from tui import text
from tui.lookups import Answer
from tui.query import Choice
from tui.views.frame import Canvas, Column, Line, Listing, View, choose, head, row, words

Row = TypeVar("Row")
CellOf = Callable[[Row, str, Canvas], tuple[str, str]]
READING = "Reading ..."


class About(NamedTuple):
    """What a table is of: its title, what one row of it is called, and what to say when there is none."""

    title: str
    thing: str
    nothing: str


def table(
    about: About,
    answer: Answer[Mapping[str, Row]],
    listing: Listing,
    canvas: Canvas,
    columns: tuple[Column, ...],
    cell: CellOf[Row],
) -> View:
    """The rows of an answer, those on the screen only drawn by `cell` (row, name of the column, canvas)."""
    found = answer.found or {}

    def line(key: str) -> Line:
        return row(choose(columns, canvas.width), lambda name, _width: cell(found[key], name, canvas), canvas.glyphs)

    return listed(about, answer, listing, canvas, line, head_of(columns, listing.choice, canvas))


def listed(
    about: About,
    answer: Answer[Mapping[str, Row]],
    listing: Listing,
    canvas: Canvas,
    line: Callable[[str], Line],
    heading: Line,
) -> View:
    """As `table`, with lines of another kind."""
    keys, choice, error = listing
    found = answer.found or {}
    return View(
        title=f"{about.title} {len(keys)} of {len(found)}" if choice.filter else f"{about.title} {len(keys)}",
        aside="  ".join(filter(None, (*order_words(choice, canvas), read_words(answer, canvas)))),
        note=error or answer.trouble,
        keys=keys,
        line=line,
        head=heading,
        empty=(words(_nothing(about, answer, choice), canvas.width, "dim", canvas.glyphs),),
    )


def head_of(columns: tuple[Column, ...], choice: Choice, canvas: Canvas) -> Line:
    return head(choose(columns, canvas.width), choice.sort, choice.descending, canvas.glyphs)


def order_words(choice: Choice, canvas: Canvas) -> tuple[str, str]:
    """How a table is filtered and sorted."""
    arrow = canvas.glyphs.down if choice.descending else canvas.glyphs.up
    return f"filter: {choice.filter}" if choice.filter else "", f"sort: {choice.sort} {arrow}"


def read_words(answer: Answer[object], canvas: Canvas) -> str:
    """How old an answer is."""
    return "" if answer.found is None else f"read {text.age(canvas.now - answer.at)} ago"


def missing(answer: Answer[object], nothing: str) -> str:
    """Why there is nothing to show."""
    if answer.trouble:
        return f"Unknown: {answer.trouble}"
    return READING if answer.found is None else nothing


def _nothing(about: About, answer: Answer[Mapping[str, Row]], choice: Choice) -> str:
    if answer.found:
        return f"No {about.thing} matches {choice.filter!r} ({len(answer.found)} hidden): esc clears the filter"
    return missing(answer, about.nothing)
