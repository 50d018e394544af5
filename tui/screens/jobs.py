"""All jobs in full width, and everything about the one under the cursor."""

from collections.abc import Sequence

from tui import actions
from tui.desk import Desk
from tui.journal import RUNS, job_of, past_jobs
from tui.lookups import Lookup
from tui.screens.job import JobScreen
from tui.screens.live import LiveScreen
from tui.tables import Table
from tui.views import jobs
from tui.views.frame import Canvas, View
from tui.widgets.pane import Pane


class JobsScreen(LiveScreen):
    """Every job of this engine, and of others on the same database."""

    kind = actions.JOBS

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.job_table = Table(desk, "jobs", jobs.FIELDS, jobs.DEFAULT, jobs.SORTS)
        self.tables = {"all_jobs": self.job_table}
        self.panes = {
            "all_jobs": Pane(desk, self._jobs, id="all_jobs"),
            "this_job": Pane(desk, self._job, id="this_job", selectable=False),
        }

    def lookups(self) -> Sequence[Lookup[object]]:
        return (RUNS,)

    def opens(self, pane: Pane) -> JobScreen | None:
        job = pane.cursor if pane.id == "all_jobs" else None
        return JobScreen(self.desk, job) if job and job_of(self.desk.shown, job) else None

    def selected_job(self) -> str | None:
        cursor = self.panes["all_jobs"].cursor
        return cursor if cursor in self.desk.state.listed else None

    def on_pane_cursor_moved(self, message: Pane.CursorMoved) -> None:
        super().on_pane_cursor_moved(message)
        self.panes["this_job"].redraw()

    def _jobs(self, canvas: Canvas) -> View:
        state = self.desk.shown
        past = past_jobs(state)
        return jobs.view(state, self.job_table.listing({**past, **state.listed}), canvas, past)

    def _job(self, canvas: Canvas) -> View:
        return jobs.job_view(self.desk.shown, self.panes["all_jobs"].cursor, canvas, past_jobs(self.desk.shown))
