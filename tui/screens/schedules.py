"""What runs by itself: when next, and how it went."""

from core.events import ScheduleChanged
from tui import actions
from tui.desk import Desk
from tui.screens.live import LiveScreen
from tui.screens.modals import Reader
from tui.tables import Table
from tui.views import schedules
from tui.views.frame import Canvas, View
from tui.widgets.pane import Pane


class SchedulesScreen(LiveScreen):
    """All schedules of the engine, and everything about the one under the cursor."""

    kind = actions.SCHEDULES

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.schedule_table = Table(desk, "schedules", schedules.FIELDS, schedules.DEFAULT, schedules.SORTS)
        self.tables = {"schedules": self.schedule_table}
        self.panes = {
            "schedules": Pane(desk, self._schedules, id="schedules"),
            "this_schedule": Pane(desk, self._schedule, id="this_schedule", selectable=False),
        }

    def opens(self, pane: Pane) -> Reader | None:
        found = self.selected_schedule() if pane.id == "schedules" else None
        return Reader(self.desk, "Schedule", schedules.facts(found)) if found else None

    def selected_schedule(self) -> ScheduleChanged | None:
        return self.desk.state.schedules.get(self.panes["schedules"].cursor or "")

    def on_pane_cursor_moved(self, message: Pane.CursorMoved) -> None:
        super().on_pane_cursor_moved(message)
        self.panes["this_schedule"].redraw()

    def _schedules(self, canvas: Canvas) -> View:
        state = self.desk.shown
        return schedules.view(state, self.schedule_table.listing(state.schedules), canvas)

    def _schedule(self, canvas: Canvas) -> View:
        return schedules.one_view(self.desk.shown, self.panes["schedules"].cursor, canvas)
