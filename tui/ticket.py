"""The overview as text, for a ticket: every pane of it one below the other, with all its rows."""

from collections.abc import Iterator
from dataclasses import replace

from rich.cells import cell_len

from tui.archive import Archive
from tui.desk import Desk
from tui.lookups import Librarian
from tui.questions import TYPES
from tui.screens.overview import OverviewScreen
from tui.text import fit
from tui.views import header
from tui.views.frame import Line, Span, View, crop, plain
from tui.widgets.log_pane import LogPane
from tui.widgets.pane import Pane

OF_THE_CURSOR = "selected"
MOST_ROWS = 100
NEWEST_LINES = 20


def overview_text(desk: Desk, width: int, archive: Archive | None = None) -> Iterator[str]:
    """What the overview shows of `desk.state`, in lines of at most `width` cells without trailing blanks.

    What it shows of the store is asked of `archive`; where that fails the pane says why.
    """
    screen = OverviewScreen(desk)
    if archive is not None:
        librarian = Librarian(archive, desk.answered, desk.clock.monotonic)
        librarian.want((*screen.lookups(), TYPES))
        librarian.turn()
    moment = replace(desk.moment(), refresh_hz=0.0)
    yield plain(header.line(desk.state, moment, width, desk.glyphs)).rstrip()
    for name, pane in screen.panes.items():
        if name != OF_THE_CURSOR:
            yield ""
            yield from _pane_text(desk, pane, width)


def _pane_text(desk: Desk, pane: Pane, width: int) -> Iterator[str]:
    view = pane.build(desk.canvas(width))
    yield _title(view, width, desk)
    for line in _lines(view, is_log=isinstance(pane, LogPane)):
        yield plain(crop(line, width, desk.glyphs)).rstrip()


def _title(view: View, width: int, desk: Desk) -> str:
    flat, more = desk.glyphs.frame[4], desk.glyphs.more
    title = fit(f"{flat * 2} {view.title} ", width, "<", more).rstrip() + " "
    aside = f" {view.note or view.aside} {flat * 2}" if view.note or view.aside else ""
    fill = flat * (width - cell_len(title + aside))
    return fit(title + fill + aside, width, "<", more).rstrip()


def _lines(view: View, *, is_log: bool) -> Iterator[Line]:
    """The newest of the log and the first of everything else; how many were left out."""
    if not view.keys:
        yield from view.empty
        return
    keys = view.keys[-NEWEST_LINES:] if is_log else view.keys[:MOST_ROWS]
    if view.head:
        yield view.head
    yield from (view.line(key) for key in keys)
    if len(view.keys) > len(keys):
        yield (Span(f"and {len(view.keys) - len(keys):,} more", "dim"),)
