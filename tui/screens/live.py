"""What all full screens have in common: header, panes, filter line, footer."""

from collections.abc import Iterable, Sequence
from typing import Any

from textual._styles_cache import StylesCache
from textual.app import ComposeResult
from textual.message import Message
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Input

from core.alerting.silences import Silence
from core.events import AlertChanged, ScheduleChanged
from tui import offers
from tui.actions import Action
from tui.desk import Desk
from tui.lookups import Lookup
from tui.offers import Selected
from tui.query import Choice
from tui.screens.asked import SERIES
from tui.screens.modals import Reader
from tui.state import OtherJob
from tui.tables import Table
from tui.views import log
from tui.widgets.bars import FooterBar, HeaderBar, TabBar
from tui.widgets.command_line import CommandLine
from tui.widgets.line_input import LineInput
from tui.widgets.log_pane import LogPane
from tui.widgets.pane import Pane


class LiveScreen(Screen[None], inherit_bindings=False):
    """A screen of panes. Subclasses fill `panes` (name -> pane) and `tables` (name -> table) and lay out."""

    class ShowsOther(Message):
        """The screen shows something else now, of which other things have to be asked."""

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
    section = ""
    """The tab that this screen is found under, itself when empty."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self.desk = desk
        self.panes: dict[str, Pane] = {}
        self.tables: dict[str, Table[Any]] = {}
        self.header = HeaderBar(desk, id="header")
        self.tabs = TabBar(desk, id="tabs")
        self.tabs.kind = self.section or self.kind
        self.footer = FooterBar(desk, self.offered, id="footer")
        self.footer.screen_name = self.kind
        self.filter_line = LineInput(id="filter", placeholder="words, field:text, field>1, !not")
        self.command = CommandLine(desk)

    def layout_panes(self) -> Iterable[Widget]:
        """Panes in their containers."""
        return self.panes.values()

    def compose(self) -> ComposeResult:
        # Textual looks at breakpoints after the first layout, which would be shown as one for all sizes.
        width, height = self.app.size
        self.add_class(_reached(width, self.HORIZONTAL_BREAKPOINTS), _reached(height, self.VERTICAL_BREAKPOINTS))
        yield self.header
        yield self.tabs
        yield from self.layout_panes()
        yield self.filter_line
        yield self.command
        yield self.footer

    def on_mount(self) -> None:
        self.filter_line.display = False
        maximised = self.panes.get(self.desk.maximised.get(self.kind, ""))
        self.set_focus(maximised or next(iter(self.panes.values())))
        if maximised:
            self.toggle_maximised()

    def crumbs(self) -> tuple[str, ...]:
        """What was opened, one in the other, to come here from the tab."""
        return ()

    def opens(self, pane: Pane) -> Screen[Any] | None:
        """What enter on the row under the cursor of `pane` leads to: in a log the line in full."""
        if not isinstance(pane, LogPane):
            return None
        found = next((entry for entry in self.desk.shown.log if str(entry.id) == pane.cursor), None)
        return Reader(self.desk, "Log line", log.facts(found)) if found else None

    def copied(self) -> str | None:
        """What `y` copies."""
        return self.pane.cursor

    def command_line(self) -> str:
        """A ready command about the row under the cursor, where only the screen can tell; else empty."""
        return ""

    def lookups(self) -> Sequence[Lookup[object]]:
        """What this screen shows of the store, the most urgent first."""
        return ()

    def on_screen_resume(self) -> None:
        self.desk.tab = self.section or self.kind
        self.redraw()

    def on_unmount(self) -> None:
        # Textual remembers the colours of 1,024 widgets by the widgets' own caches: every line that any
        # of them drew would stay for as long, some 30 MB.
        StylesCache.get_inner_outer.cache_clear()

    def redraw(self) -> None:
        """Paint what changed."""
        self.set_class(self.desk.lean, "-lean")
        self.header.redraw()
        self.tabs.crumbs = self.crumbs()
        self.tabs.redraw()
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

    def selected_series(self) -> str | None:
        """The stored series that actions act on."""
        return None

    def selected_alert(self) -> AlertChanged | None:
        """The alert that actions act on."""
        return None

    def selected_silence(self) -> Silence | None:
        """The silence that actions act on, before any alert."""
        return None

    def selected_schedule(self) -> ScheduleChanged | None:
        """The schedule that actions act on."""
        return None

    def offered(self, among: Iterable[Action]) -> list[tuple[Action, str]]:
        """Those that would do something to what is selected, and what they are called then."""
        selected = self._selection()
        return [(action, label) for action in among if (label := offers.label(action, selected))]

    def _selection(self) -> Selected:
        series, table = self.selected_series(), self.table
        job = self.desk.state.listed.get(self.selected_job() or "")
        stored = (self.desk.answer(SERIES).found or {}).get(series or "")
        return Selected(
            now=self.desk.clock.wall(),
            job=None if isinstance(job, OtherJob) else job,
            alert=self.selected_alert(),
            silence=self.selected_silence(),
            schedule=self.selected_schedule(),
            series=series,
            gaps=stored.gaps if stored else None,
            rows=bool(self.pane.view.keys) and self.pane.selectable,
            filtered=table is not None,
            sorted=table is not None and bool(table.sorts),
            paused=self.desk.paused,
        )

    def open_filter(self) -> bool:
        """Show the filter line for the current table; False when this pane has none."""
        table = self.table
        if table is None:
            return False
        self._filtering = self.pane.id
        self.filter_line.display = True
        self.filter_line.value = table.choice.filter
        self.set_focus(self.filter_line)
        return True

    def command_mode(self, is_on: bool) -> None:
        """Show the command line as it is, or put it away."""
        self.command.display = is_on
        if is_on:
            self.set_focus(self.command.line)
        else:
            self.set_focus(self.pane)

    def close(self) -> bool:
        """Close what is open, the innermost first: command line, filter, maximised pane. False when nothing was."""
        if self.command.display:
            self.command_mode(False)
            return True
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
        self.desk.maximised.pop(self.kind, None)
        if maximised:
            self.desk.maximised[self.kind] = pane.id or ""
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
        self.set_focus(pane)

    def _set_filter(self, words: str) -> None:
        pane = self._filtered_pane() if self.filter_line.display else self.pane
        table = self.tables.get(pane.id or "")
        if table is not None:
            before = table.choice
            table.choose(Choice(words, before.sort, before.descending))
            pane.redraw()


def _reached(length: int, breakpoints: Sequence[tuple[int, str]]) -> str:
    """The class of the last breakpoint that is not beyond `length`."""
    return [name for least, name in breakpoints if length >= least][-1]
