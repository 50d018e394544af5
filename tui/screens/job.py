"""One job: its counters, its series, its part of the log."""

from collections.abc import Sequence
from typing import Any

from textual.screen import Screen

from tui import actions
from tui.desk import Desk
from tui.journal import RUNS, job_of, past_jobs, series_lookup, series_of
from tui.lookups import Lookup
from tui.screens.job_series import JobSeriesScreen
from tui.screens.live import LiveScreen
from tui.state import OtherJob
from tui.tables import Table
from tui.views import jobs, log, series
from tui.views.frame import Canvas, View
from tui.widgets.log_pane import LogPane
from tui.widgets.pane import Pane

OTHERS = "Once it has ended: tapewatch jobs show {run}"


class JobScreen(LiveScreen):
    """What an operator sees after enter on a job."""

    kind = actions.JOB
    section = actions.JOBS

    def __init__(self, desk: Desk, job: str) -> None:
        super().__init__(desk)
        self.job = job
        self.series_table = Table(desk, f"series:{job}", series.FIELDS, series.DEFAULT, series.SORTS)
        self.log_table = Table(desk, f"log:{job}", log.FIELDS, log.DEFAULT, ())
        self.tables = {"series": self.series_table, "job_log": self.log_table}
        self.panes = {
            "series": Pane(desk, self._series, id="series"),
            "counters": Pane(desk, self._counters, id="counters", selectable=False),
            "job_log": LogPane(desk, self._log, id="job_log", anchored=True),
        }

    def layout_panes(self) -> list[Pane]:
        return [self.panes["counters"], self.panes["series"], self.panes["job_log"]]

    def crumbs(self) -> tuple[str, ...]:
        return (self.job,)

    def lookups(self) -> Sequence[Lookup[object]]:
        state = self.desk.shown
        job = job_of(state, self.job)
        is_told = job is None or (state.series.get(self.job) and self.job in state.jobs)
        return (RUNS,) if is_told or job is None else (RUNS, series_lookup(job.run_id))

    def opens(self, pane: Pane) -> Screen[Any] | None:
        if pane.id == "series" and pane.cursor:
            return JobSeriesScreen(self.desk, self.job, pane.cursor)
        return super().opens(pane)

    def selected_job(self) -> str | None:
        return self.job if self.job in self.desk.state.listed else None

    def _counters(self, canvas: Canvas) -> View:
        return jobs.job_view(self.desk.shown, self.job, canvas, past_jobs(self.desk.shown))

    def _series(self, canvas: Canvas) -> View:
        known = series_of(self.desk.shown, self.job)
        is_others = isinstance(job_of(self.desk.shown, self.job), OtherJob)
        missing = OTHERS.format(run=self.job) if is_others else series.MISSING
        return series.view(known, self.series_table.listing(known), canvas, missing)

    def _log(self, canvas: Canvas) -> View:
        lines = [entry for entry in self.desk.shown.log if entry.job == self.job]
        return log.view(lines, self.log_table.choice, canvas)
