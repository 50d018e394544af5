"""What all full screens have in common: header, panes, filter line, footer."""

from collections.abc import Iterable
from typing import Any

from textual.app import ComposeResult
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Input

from tui.desk import Desk
from tui.query import Choice
from tui.tables import Table
from tui.widgets.bars import FooterBar, HeaderBar
from tui.widgets.pane import Pane


class LiveScreen(Screen[None], inherit_bindings=False):
    """A screen of panes. Subclasses fill `panes` (name -> pane) and `tables` (name -> table) and lay out."""

    AUTO_FOCUS = ""
    HORIZONTAL_BREAKPOINTS = [  # noqa: RUF012 - Textual declares it as an instance variable
        (0, "-tiny"),
        (60, "-narrow"),
        (76, "-normal"),
        (100, "-wide"),
        (160, "-huge"),
    ]
    VERTICAL_BREAKPOINTS = [  # noqa: RUF012
        (0, "-flat"),
        (14, "-short"),
        (20, "-medium"),
        (30, "-tall"),
        (50, "-vast"),
    ]
    kind = ""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self.desk = desk
        self.panes: dict[str, Pane] = {}
        self.tables: dict[str, Table[Any]] = {}
        self.header = HeaderBar(desk, id="header")
        self.footer = FooterBar(desk, id="footer")
        self.footer.screen_name = self.kind
        self.filter_line = Input(id="filter", compact=True, placeholder="words, field:text, field>1, !not")
        self.filter_line.cursor_blink = False

    def layout_panes(self) -> Iterable[Widget]:
        """Panes in their containers."""
        return self.panes.values()

    def compose(self) -> ComposeResult:
        yield self.header
        yield from self.layout_panes()
        yield self.filter_line
        yield self.footer

    def on_mount(self) -> None:
        self.filter_line.display = False
        self.set_focus(next(iter(self.panes.values())))

    def on_screen_resume(self) -> None:
        self.redraw()

    def redraw(self) -> None:
        """Paint what changed."""
        self.header.redraw()
        for pane in self.panes.values():
            pane.redraw()
        self.footer.redraw()

    @property
    def pane(self) -> Pane:
        """The pane that keys act on."""
        focused = self.focused
        return focused if isinstance(focused, Pane) else self._filtered_pane()

    def _filtered_pane(self) -> Pane:
        name = getattr(self, "_filtering", None)
        return self.panes[name] if name else next(iter(self.panes.values()))

    @property
    def table(self) -> Table[Any] | None:
        """The table in that pane, if it is one that can be filtered."""
        return self.tables.get(self.pane.id or "")

    def selected_job(self) -> str | None:
        """The job that actions act on."""
        return None

    def open_filter(self) -> bool:
        """Show the filter line for the current table; False when this pane has none."""
        table = self.table
        if table is None:
            return False
        self._filtering = self.pane.id
        self.filter_line.display = True
        self.filter_line.value = table.choice.filter
        self.filter_line.focus()
        return True

    def close(self) -> bool:
        """Close what is open, the innermost first: filter, then maximised pane. False when nothing was."""
        if self.filter_line.display or (self.table is not None and self.table.choice.filter):
            self._leave_filter()
            self._set_filter("")
            return True
        if self.has_class("-max"):
            self.toggle_maximised()
            return True
        return False

    def toggle_maximised(self) -> None:
        """Give the whole screen to the current pane, or take it back."""
        maximised = not self.has_class("-max")
        pane = self.pane
        self.set_class(maximised, "-max")
        for widget in (pane, pane.parent):
            if isinstance(widget, Widget) and widget is not self:
                widget.set_class(maximised, "-maxed")

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        if self.filter_line.display:
            self._set_filter(event.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self._leave_filter()

    def on_pane_cursor_moved(self, _message: Pane.CursorMoved) -> None:
        self.desk.moved_at = self.desk.clock.monotonic()

    def _leave_filter(self) -> None:
        pane = self._filtered_pane() if self.filter_line.display else self.pane
        self.filter_line.display = False
        pane.focus()

    def _set_filter(self, words: str) -> None:
        pane = self._filtered_pane() if self.filter_line.display else self.pane
        table = self.tables.get(pane.id or "")
        if table is not None:
            before = table.choice
            table.choose(Choice(words, before.sort, before.descending))
            pane.redraw()
