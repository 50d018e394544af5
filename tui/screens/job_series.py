"""One series within one job: its counters, what went wrong with it, its part of the log."""

from collections.abc import Sequence
from typing import Any

from textual.screen import Screen

from tui import actions
from tui.desk import Desk
from tui.journal import job_of, series_lookup, series_of
from tui.lookups import Lookup
from tui.screens.live import LiveScreen
from tui.screens.modals import Reader
from tui.state import OtherJob
from tui.tables import Table
from tui.views import job_series, log
from tui.views.frame import Canvas, View
from tui.widgets.log_pane import LogPane
from tui.widgets.pane import Pane

FINE = "Nothing went wrong with it while this dashboard listened. What is missing of it now: tapewatch why {series}"
BEFORE = "What went wrong with it did before this dashboard listened. What is missing of it now: tapewatch why {series}"
OTHERS = "What happened to it only its engine told. What is missing of it now: tapewatch why {series}"


class JobSeriesScreen(LiveScreen):
    """What an operator sees after enter on a series of a job."""

    kind = actions.JOB_SERIES
    section = actions.JOBS

    def __init__(self, desk: Desk, job: str, series: str) -> None:
        super().__init__(desk)
        self.job = job
        self.series = series
        self.log_table = Table(desk, f"log:{job}:{series}", log.FIELDS, log.DEFAULT, ())
        self.tables = {"series_log": self.log_table}
        self.panes = {
            "troubles": Pane(desk, self._troubles, id="troubles"),
            "progress": Pane(desk, self._progress, id="progress", selectable=False),
            "series_log": LogPane(desk, self._log, id="series_log", anchored=True),
        }

    def layout_panes(self) -> list[Pane]:
        return [self.panes["progress"], self.panes["troubles"], self.panes["series_log"]]

    def crumbs(self) -> tuple[str, ...]:
        return (self.job, self.series)

    def lookups(self) -> Sequence[Lookup[object]]:
        job = job_of(self.desk.shown, self.job)
        return () if job is None or self.desk.shown.series.get(self.job) else (series_lookup(job.run_id),)

    def opens(self, pane: Pane) -> Screen[Any] | None:
        known = self.desk.shown.troubles.get((self.job, self.series), ())
        at = int(pane.cursor) if pane.id == "troubles" and pane.cursor else len(known)
        if at < len(known):
            return Reader(self.desk, "Window", job_series.trouble_facts(known[at]))
        return super().opens(pane)

    def command_line(self) -> str:
        return f"tapewatch why {self.series}"

    def selected_series(self) -> str:
        return self.series

    def selected_job(self) -> str | None:
        return self.job if self.job in self.desk.state.listed else None

    def _progress(self, canvas: Canvas) -> View:
        job = job_of(self.desk.shown, self.job)
        waiting = job.waiting if job and not job.is_final else ""
        return job_series.counters_view(series_of(self.desk.shown, self.job).get(self.series), waiting, canvas)

    def _troubles(self, canvas: Canvas) -> View:
        missing = self._nothing_told().format(series=self.series)
        known = self.desk.shown.troubles.get((self.job, self.series), ())
        return job_series.troubles_view(known, canvas, missing)

    def _nothing_told(self) -> str:
        """Why no trouble of it is known here."""
        if isinstance(job_of(self.desk.shown, self.job), OtherJob):
            return OTHERS
        found = series_of(self.desk.shown, self.job).get(self.series)
        return BEFORE if found is not None and found.windows_failed else FINE

    def _log(self, canvas: Canvas) -> View:
        lines = job_series.lines_of(self.desk.shown.log, self.job, self.series)
        return log.view(lines, self.log_table.choice, canvas)
