"""One stored series: its chart, its months, and what is wrong with it."""

from collections.abc import Iterable, Sequence
from typing import Any

from textual.containers import Horizontal
from textual.screen import Screen
from textual.widget import Widget

from tui import actions, command_lines
from tui.archive.series import Bar, Hole, Refused, Restatement
from tui.desk import Desk
from tui.lookups import Lookup
from tui.screens.asked import (
    FOLLOWED,
    QUIET,
    SERIES,
    bars_of,
    coverage_of,
    holes_of,
    is_fed,
    paced,
    refused_of,
    restatements_of,
)
from tui.screens.compare import CompareScreen
from tui.screens.live import LiveScreen
from tui.screens.modals import Reader
from tui.tables import Table
from tui.views import heat, stored, troubles
from tui.views.frame import Canvas, Line, View
from tui.widgets.pane import Pane

PICTURES, LISTS = ("chart", "months"), ("holes", "restated", "refused")


class StoredScreen(LiveScreen):
    """What an operator sees after enter on a series.

    Where there is little room one picture and one list are shown, or only what has the focus: `-away` are the others.
    Where there is some more there are two lists, without the one that is `-last`.
    """

    kind = actions.STORED
    section = actions.DATA

    def __init__(self, desk: Desk, series: str) -> None:
        super().__init__(desk)
        self.series = series
        self.name_parts = stored.Name.parse(series)
        self._drawing = Drawing()
        self._tables()
        self.panes = {
            "extent": Pane(desk, self._extent, id="extent", selectable=False),
            "chart": Pane(desk, self._chart, id="chart", selectable=False),
            "months": Pane(desk, self._months, id="months", selectable=False),
            "holes": Pane(desk, self._holes, id="holes"),
            "restated": Pane(desk, self._restated, id="restated"),
            "refused": Pane(desk, self._refused, id="refused"),
        }
        self.panes["extent"].can_focus = False
        for name in ("months", "restated", "refused"):
            self.panes[name].add_class("-away", update=False)
        self.panes["refused"].add_class("-last", update=False)

    def _tables(self) -> None:
        desk, name = self.desk, self.series
        self.hole_table: Table[Hole] = Table(
            desk, f"holes:{name}", troubles.HOLE_FIELDS, troubles.NEWEST, tuple(troubles.HOLE_FIELDS)
        )
        self.restated_table: Table[Restatement] = Table(
            desk, f"restated:{name}", troubles.RESTATED_FIELDS, troubles.NEWEST_SEEN, tuple(troubles.RESTATED_FIELDS)
        )
        self.refused_table: Table[Refused] = Table(
            desk, f"refused:{name}", troubles.REFUSED_FIELDS, troubles.NEWEST_SEEN, tuple(troubles.REFUSED_FIELDS)
        )
        self.tables = {"holes": self.hole_table, "restated": self.restated_table, "refused": self.refused_table}

    def layout_panes(self) -> Iterable[Widget]:
        yield self.panes["extent"]
        yield Horizontal(*(self.panes[name] for name in PICTURES), id="picture")
        yield Horizontal(*(self.panes[name] for name in LISTS), id="lists", classes="-behind")

    def on_mount(self) -> None:
        self.filter_line.display = False
        self.set_focus(self.panes["chart"])

    def crumbs(self) -> tuple[str, ...]:
        return (self.series,)

    def copied(self) -> str:
        return self.series

    def selected_series(self) -> str | None:
        return self.series

    def command_line(self) -> str:
        pane = self.pane
        return command_lines.of_stored(pane.id or "", self.series, pane.cursor or "" if pane.view.keys else "")

    def lookups(self) -> Sequence[Lookup[object]]:
        state, name = self.desk.state, self.series
        every = FOLLOWED if is_fed(state) else QUIET
        often = (bars_of(name, every), paced(SERIES, state), holes_of(name, every), coverage_of(name, every))
        return (*often, restatements_of(name, 3 * every), refused_of(name, 3 * every))

    @property
    def known(self) -> stored.Known:
        """What was read of the series by now."""
        answer, name = self.desk.answer, self.series
        return stored.Known(
            answer(SERIES),
            answer(coverage_of(name)),
            answer(holes_of(name)),
            answer(restatements_of(name)),
            answer(refused_of(name)),
        )

    def _extent(self, canvas: Canvas) -> View:
        return stored.facts_view(self.series, self.known, self.desk.shown, canvas)

    def _chart(self, canvas: Canvas) -> View:
        answer = self.desk.answer(bars_of(self.series))
        height = self.panes["chart"].page_rows
        return stored.chart_view(self.name_parts, answer, canvas, height, self._drawing)

    def _months(self, canvas: Canvas) -> View:
        return heat.years_view(self.known.coverage, canvas)

    def _holes(self, canvas: Canvas) -> View:
        answer = self.known.holes
        return troubles.holes_view(answer, self.hole_table.listing(answer.found or {}), canvas)

    def _restated(self, canvas: Canvas) -> View:
        answer = self.known.restated
        return troubles.restated_view(answer, self.restated_table.listing(answer.found or {}), canvas)

    def _refused(self, canvas: Canvas) -> View:
        answer = self.known.refused
        return troubles.refused_view(answer, self.refused_table.listing(answer.found or {}), canvas)

    def opens(self, pane: Pane) -> Screen[Any] | None:
        key, known = pane.cursor or "", self.known
        if pane.id == "holes" and key in (holes := known.holes.found or {}):
            return Reader(self.desk, "Gap or finding", troubles.hole_facts(holes[key]))
        if pane.id == "restated" and key in (restated := known.restated.found or {}):
            return Reader(self.desk, "Restatement", troubles.restated_facts(restated[key]))
        if pane.id == "refused" and key in (refused := known.refused.found or {}):
            return Reader(self.desk, "Quarantine", troubles.refused_facts(refused[key]))
        return None

    def action_compare(self) -> None:
        """Two days of the series side by side."""
        self.app.push_screen(CompareScreen(self.desk, self.series))

    def focus_next(self, selector: Any = Pane) -> Widget | None:
        return self._step(1)

    def focus_previous(self, selector: Any = Pane) -> Widget | None:
        return self._step(-1)

    def _step(self, step: int) -> Widget:
        """Focus the next pane, which is shown then even where there is no room for all; a maximised one stays so."""
        names = (*PICTURES, *LISTS)
        here = names.index(self.pane.id) if self.pane.id in names else 0
        was_maximised = self.has_class("-max")
        if was_maximised:
            self.toggle_maximised()
        after = names[(here + step) % len(names)]
        self._show(after)
        self.set_focus(self.panes[after])
        if was_maximised:
            self.toggle_maximised()
        return self.panes[after]

    def _show(self, name: str) -> None:
        """Give up other panes for this one."""
        for other in PICTURES if name in PICTURES else LISTS:
            mark(self.panes[other], "-away", other != name)
        for other in LISTS[1:] if name in LISTS[1:] else ():
            mark(self.panes[other], "-last", other != name)
        for halves in self.query("#picture, #lists"):
            mark(halves, "-behind", (halves.id == "lists") != (name in LISTS))


def mark(widget: Widget, name: str, is_so: bool) -> None:
    """Set a class, at no cost when it was set before: styles are reckoned anew for every change."""
    if widget.has_class(name) != is_so:
        widget.set_class(is_so, name)


class Drawing:
    """A picture, drawn anew only when there are other bars or there is other room."""

    def __init__(self) -> None:
        self._bars: Sequence[Bar] | None = None
        self._room = (0, 0, "")
        self._lines: list[Line] = []

    def __call__(self, name: stored.Name, bars: Sequence[Bar], canvas: Canvas, height: int) -> list[Line]:
        room = (canvas.width, height, canvas.glyphs.full)
        if bars is not self._bars or room != self._room:
            self._lines = stored.draw(name, bars, canvas, height)
            self._bars, self._room = bars, room
        return self._lines
