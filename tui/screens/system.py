"""The engine's process and its host, how they were, and the whole log."""

from collections.abc import Sequence

from textual.containers import Horizontal
from textual.widget import Widget

from tui import actions
from tui.desk import Desk
from tui.lookups import Lookup
from tui.questions import COMPONENTS, HOURS, MINUTES
from tui.screens.live import LiveScreen
from tui.tables import Table
from tui.views import curves, health, log, panels
from tui.views.frame import Canvas, View
from tui.widgets.log_pane import LogPane
from tui.widgets.pane import Pane


class SystemScreen(LiveScreen):
    """How the engine is and was, how its parts are, and what it says."""

    kind = actions.SYSTEM

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.log_table = Table(desk, "log", log.FIELDS, log.DEFAULT, ())
        self.tables = {"all_log": self.log_table}
        self.panes = {
            "all_log": LogPane(desk, self._log, id="all_log", anchored=True),
            "vitals": Pane(desk, self._vitals, id="vitals", selectable=False),
            "health": Pane(desk, self._health, id="health", selectable=False),
            "minutes": Pane(desk, self._minutes, id="minutes", selectable=False),
            "hours": Pane(desk, self._hours, id="hours", selectable=False),
            "timings": Pane(desk, self._timings, id="timings", selectable=False),
        }

    def layout_panes(self) -> list[Widget]:
        panes = self.panes
        return [
            Horizontal(panes["vitals"], panes["health"], id="now_row"),
            Horizontal(panes["minutes"], panes["hours"], panes["timings"], id="past_row"),
            panes["all_log"],
        ]

    def lookups(self) -> Sequence[Lookup[object]]:
        return (COMPONENTS, MINUTES, HOURS)

    def _log(self, canvas: Canvas) -> View:
        return log.view(self.desk.shown.log, self.log_table.choice, canvas)

    def _vitals(self, canvas: Canvas) -> View:
        return panels.engine_view(self.desk.shown, canvas)

    def _health(self, canvas: Canvas) -> View:
        return health.view(self.desk.shown, self.desk.shown.answer(COMPONENTS), canvas)

    def _minutes(self, canvas: Canvas) -> View:
        return curves.past_view(self.desk.shown.answer(MINUTES), "Last 60 minutes", self._height("minutes"), canvas)

    def _hours(self, canvas: Canvas) -> View:
        return curves.past_view(self.desk.shown.answer(HOURS), "Last 48 hours", self._height("hours"), canvas)

    def _timings(self, canvas: Canvas) -> View:
        return health.timings_view(self.desk.shown.answer(MINUTES), canvas)

    def _height(self, pane: str) -> int:
        """Of one figure, so that all of them fill the pane where it is high enough."""
        return max(1, self.panes[pane].page_rows // len(curves.FIGURES))
