"""The first screen: jobs, and round them what an operator has to know about the engine."""

from collections.abc import Iterable
from typing import Any

from textual.containers import Horizontal
from textual.screen import Screen
from textual.widget import Widget

from core.events import AlertChanged
from tui import actions
from tui.desk import Desk
from tui.questions import TYPES
from tui.screens.alerts import AlertScreen
from tui.screens.job import JobScreen
from tui.screens.live import LiveScreen
from tui.tables import Table
from tui.views import alerts, jobs, log, panels, types
from tui.views.frame import Canvas, View
from tui.widgets.log_pane import LogPane
from tui.widgets.pane import Pane


class OverviewScreen(LiveScreen):
    """Everything at once; panes fold away by priority as the terminal gets smaller."""

    kind = actions.OVERVIEW

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.job_table = Table(desk, "jobs", jobs.FIELDS, jobs.DEFAULT, jobs.SORTS)
        self.alert_table = Table(desk, "alerts", alerts.FIELDS, alerts.DEFAULT, alerts.SORTS)
        self.log_table = Table(desk, "log", log.FIELDS, log.DEFAULT, ())
        self.tables = {"jobs": self.job_table, "alerts": self.alert_table, "log": self.log_table}
        self.panes = {
            "jobs": Pane(desk, self._jobs, id="jobs"),
            "selected": Pane(desk, self._selected, id="selected", selectable=False),
            "alerts": Pane(desk, self._alerts, id="alerts"),
            "types": Pane(desk, self._types, id="types", selectable=False),
            "quota": Pane(desk, self._quota, id="quota", selectable=False),
            "cache": Pane(desk, self._cache, id="cache", selectable=False),
            "engine": Pane(desk, self._engine, id="engine", selectable=False),
            "log": LogPane(desk, self._log, id="log", anchored=True),
        }

    def layout_panes(self) -> Iterable[Widget]:
        panes = self.panes
        yield Horizontal(panes["jobs"], panes["selected"], id="top")
        yield Horizontal(panes["alerts"], panes["types"], panes["quota"], id="middle")
        yield Horizontal(panes["cache"], panes["engine"], id="lower")
        yield panes["log"]

    def opens(self, pane: Pane) -> Screen[Any] | None:
        if pane.id == "jobs" and (job := self.selected_job()):
            return JobScreen(self.desk, job)
        if pane.id == "alerts" and (alert := self.selected_alert()):
            return AlertScreen(self.desk, alert.alert)
        return super().opens(pane)

    def selected_job(self) -> str | None:
        cursor = self.panes["jobs"].cursor
        return cursor if cursor in self.desk.state.listed else None

    def selected_alert(self) -> AlertChanged | None:
        pane = self.panes["alerts"]
        return self.desk.shown.alerts.get(pane.cursor or "") if pane.has_focus else None

    def on_pane_cursor_moved(self, message: Pane.CursorMoved) -> None:
        super().on_pane_cursor_moved(message)
        if message.pane.id == "jobs":
            self.panes["selected"].redraw()

    def _jobs(self, canvas: Canvas) -> View:
        state = self.desk.shown
        return jobs.view(state, self.job_table.listing(state.listed), canvas)

    def _selected(self, canvas: Canvas) -> View:
        return jobs.job_view(self.desk.shown, self.panes["jobs"].cursor, canvas)

    def _alerts(self, canvas: Canvas) -> View:
        state = self.desk.shown
        return alerts.view(state, self.alert_table.listing(state.alerts), canvas)

    def _log(self, canvas: Canvas) -> View:
        return log.view(self.desk.shown.log, self.log_table.choice, canvas)

    def _types(self, canvas: Canvas) -> View:
        state = self.desk.shown
        return types.view(state.answer(TYPES), state.listed, canvas)

    def _quota(self, canvas: Canvas) -> View:
        return panels.quota_view(self.desk.shown, canvas)

    def _cache(self, canvas: Canvas) -> View:
        return panels.cache_view(self.desk.shown, canvas)

    def _engine(self, canvas: Canvas) -> View:
        return panels.engine_view(self.desk.shown, canvas)
