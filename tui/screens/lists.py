"""The screens that are one list: alerts, log and help."""

from tui import actions
from tui.desk import Desk
from tui.screens.live import LiveScreen
from tui.tables import Table
from tui.views import alerts, help, log  # noqa: A004 - named after its screen
from tui.views.frame import Canvas, View
from tui.widgets.log_pane import LogPane
from tui.widgets.pane import Pane


class AlertsScreen(LiveScreen):
    """All alerts, firing ones first."""

    kind = actions.ALERTS

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.alert_table = Table(desk, "alerts", alerts.FIELDS, alerts.DEFAULT, alerts.SORTS)
        self.tables = {"all_alerts": self.alert_table}
        self.panes = {"all_alerts": Pane(desk, self._view, id="all_alerts")}

    def _view(self, canvas: Canvas) -> View:
        state = self.desk.shown
        return alerts.view(state, self.alert_table.listing(state.alerts), canvas)


class LogScreen(LiveScreen):
    """The whole ring of log lines."""

    kind = actions.LOG

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.log_table = Table(desk, "log", log.FIELDS, log.DEFAULT, ())
        self.tables = {"all_log": self.log_table}
        self.panes = {"all_log": LogPane(desk, self._view, id="all_log", anchored=True)}

    def _view(self, canvas: Canvas) -> View:
        return log.view(self.desk.shown.log, self.log_table.choice, canvas)


class HelpScreen(LiveScreen):
    """All keys, from the table of actions."""

    kind = actions.HELP

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.panes = {"help": Pane(desk, self._view, id="help", selectable=False)}

    def _view(self, canvas: Canvas) -> View:
        entries = [(action.group, self.footer.plain(action.key), action.title) for action in actions.ACTIONS]
        return help.view(entries, canvas)
