"""The vocabulary of all views: spans, lines, columns that fit a width, and what one pane shows.

A *span* is text with the name of a style; a theme gives the names their colours. State is always told by
a glyph and a word as well, so nothing depends on colour. A pane builds only the lines it shows: a `View`
has the keys of all its rows and a function that draws one of them.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from rich.cells import cell_len

from tui.query import Choice
from tui.text import UNICODE, Glyphs, cut, fit, wrap

STYLES = ("plain", "ok", "warn", "bad", "busy", "dim", "strong", "accent")


class Span(NamedTuple):
    """Text and the name of its style, one of STYLES."""

    text: str
    style: str = "plain"


Line = tuple[Span, ...]


class Column(NamedTuple):
    """One column of a table. A higher `priority` is given up later; `grow` takes what is left."""

    name: str
    title: str
    width: int
    align: str = "<"
    priority: int = 0
    grow: int = 0


class Canvas(NamedTuple):
    """Where a view is drawn: cells and alphabet; and when: UTC epoch seconds and monotonic seconds.

    The vendor's clock is `vendor_ahead` seconds before ours.
    """

    width: int
    glyphs: Glyphs = UNICODE
    time: float = 0.0
    now: float = 0.0
    vendor_ahead: float = 0.0

    @property
    def vendor_time(self) -> float:
        """What bars are late by: UTC epoch seconds."""
        return self.time + self.vendor_ahead


class Listing(NamedTuple):
    """Keys of rows that pass a filter, in order; `error` says what is wrong with the filter."""

    keys: list[str]
    choice: Choice
    error: str = ""


Layout = tuple[tuple[Column, int], ...]


@dataclass(frozen=True, slots=True)
class View:
    """What one pane shows. `keys` name all rows in order, `line` draws the one with a key.

    `title` and `aside` stand at the left and right of the pane's first line; `empty` is shown when there
    are no keys; `note` replaces `aside` when something is wrong with what the operator asked for.
    """

    title: str
    keys: Sequence[str]
    line: Callable[[str], Line]
    aside: str = ""
    head: Line = ()
    empty: tuple[Line, ...] = ()
    note: str = ""


@lru_cache(maxsize=256)
def choose(columns: tuple[Column, ...], width: int) -> Layout:
    """The columns that fit `width` cells with one blank between them, and how wide each is.

    Those of the lowest priority are given up first; at least one always stays.
    """
    kept = list(columns)
    while len(kept) > 1 and sum(column.width + 1 for column in kept) - 1 > width:
        kept.remove(min(kept, key=lambda column: column.priority))
    left = max(0, width - sum(column.width + 1 for column in kept) + 1)
    shares = sum(column.grow for column in kept)
    widths = [column.width + (left * column.grow // shares if shares else 0) for column in kept]
    growing = [at for at, column in enumerate(kept) if column.grow]
    if growing:
        widths[growing[-1]] += left - sum(left * column.grow // shares for column in kept)
    if len(kept) == 1:
        widths = [min(widths[0], width)]
    return tuple(zip(kept, widths, strict=True))


def head(layout: Layout, sort: str, descending: bool, glyphs: Glyphs) -> Line:
    """The titles of the columns; an arrow marks the one that the table is sorted by."""
    arrow = glyphs.down if descending else glyphs.up
    return join((Span(_heading(column, width, column.name == sort, arrow, glyphs), "dim") for column, width in layout))


def _heading(column: Column, width: int, sorts: bool, arrow: str, glyphs: Glyphs) -> str:
    title = column.title
    if sorts:
        title = f"{title[: max(0, width - 1)]}{arrow}"
    return fit(title, width, ">" if column.align == ">" else "<", glyphs.more)


def row(layout: Layout, cell: Callable[[str, int], tuple[str, str]], glyphs: Glyphs) -> Line:
    """One line: `cell` gives text and style of a column by its name and width."""
    spans = []
    for column, width in layout:
        words, style = cell(column.name, width)
        spans.append(Span(fit(words, width, column.align, glyphs.more), style))
    return join(spans)


def join(spans: Iterable[Span]) -> Line:
    """Spans with a blank between them; neighbours of one style become one span."""
    joined: list[Span] = []
    for span in spans:
        if joined and joined[-1].style == span.style:
            joined[-1] = Span(f"{joined[-1].text} {span.text}", span.style)
        elif joined:
            joined[-1] = Span(joined[-1].text + " ", joined[-1].style)
            joined.append(span)
        else:
            joined.append(span)
    return tuple(joined)


def words(text: str, width: int, style: str = "plain", glyphs: Glyphs = UNICODE) -> Line:
    """A line of one style, cut to `width` but not padded."""
    return (Span(fit(text, width, "<", glyphs.more).rstrip(), style),)


def folded(text: str, canvas: Canvas, style: str = "dim") -> tuple[Line, ...]:
    """As many lines of one style as `text` takes: what a pane says when it has no rows."""
    return tuple(words(part, canvas.width, style, canvas.glyphs) for part in wrap(text, canvas.width))


def plain(line: Line) -> str:
    """The text of a line without its styles."""
    return "".join(span.text for span in line)


def width_of(line: Line) -> int:
    return sum(cell_len(span.text) for span in line)


def crop(line: Line, width: int, glyphs: Glyphs) -> Line:
    """At most `width` cells of a line whose text is clean already."""
    if width_of(line) <= width:
        return line
    kept: list[Span] = []
    for span in line:
        room = width - width_of(tuple(kept))
        if room <= 0:
            break
        if cell_len(span.text) >= room:
            kept.append(Span(cut(span.text, room, glyphs.more), span.style))
            break
        kept.append(span)
    return tuple(kept)
