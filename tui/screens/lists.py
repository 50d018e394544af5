"""The screens that are one list: help."""

from tui import actions
from tui.desk import Desk
from tui.screens.live import LiveScreen
from tui.views import help  # noqa: A004 - named after its screen
from tui.views.frame import Canvas, View
from tui.widgets.pane import Pane


class HelpScreen(LiveScreen):
    """All keys, from the table of actions."""

    kind = actions.HELP

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.panes = {"help": Pane(desk, self._view, id="help", selectable=False)}

    def _view(self, canvas: Canvas) -> View:
        entries = [(action.group, self.footer.plain(action.key), action.title) for action in self.desk.options.actions]
        return help.view(entries, canvas)
