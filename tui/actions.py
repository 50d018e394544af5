"""Everything an operator can do, in one table: bindings, footer, palette and help come from it."""

from dataclasses import dataclass

from textual.binding import Binding, BindingType

OVERVIEW, JOB, ALERTS, LOG, HELP = "overview", "job", "alerts", "log", "help"
_LISTS = (OVERVIEW, JOB, ALERTS, LOG)


@dataclass(frozen=True, slots=True)
class Action:
    """One thing to do. `scopes` are the screens where it works, all when empty; `footer` is its short
    name there, empty for none. `acts` marks what changes the engine's work: refused when read-only.
    """

    id: str
    keys: str
    does: str
    title: str
    group: str
    scopes: tuple[str, ...] = ()
    footer: str = ""
    acts: bool = False
    shown: str = ""
    urgent: bool = False

    @property
    def key(self) -> str:
        """How its keys are shown."""
        return self.shown or self.keys.replace(",", " ")

    def works_on(self, screen: str) -> bool:
        return not self.scopes or screen in self.scopes


ACTIONS = (
    Action("move.up", "up,k", "move(-1)", "up", "Move", shown="↑ k"),
    Action("move.down", "down,j", "move(1)", "down", "Move", footer="move", shown="↓ j"),
    Action("move.first", "g,home", "move_to('first')", "first row", "Move"),
    Action("move.last", "G,end", "move_to('last')", "last row; in the log: follow", "Move"),
    Action("move.half_up", "ctrl+u", "page(-0.5)", "half a page up", "Move", shown="^u"),
    Action("move.half_down", "ctrl+d", "page(0.5)", "half a page down", "Move", shown="^d"),
    Action("move.page_up", "pageup", "page(-1.0)", "a page up", "Move", shown="PgUp"),
    Action("move.page_down", "pagedown", "page(1.0)", "a page down", "Move", shown="PgDn"),
    Action("pane.next", "tab", "next_pane", "next pane", "Move", shown="Tab"),
    Action("pane.previous", "shift+tab", "previous_pane", "previous pane", "Move", shown="S-Tab"),
    Action("open", "enter", "open", "open the row: series of a job, full text of a line", "Look", _LISTS, "open"),
    Action("back", "escape", "back", "back: closes filter, maximised pane, screen", "Look", shown="Esc"),
    Action(
        "filter",
        "slash",
        "filter",
        "filter: words, field:text, field>1, !not",
        "Look",
        _LISTS,
        "filter",
        shown="/",
    ),
    Action("sort", "s", "sort", "sort by a column", "Look", (OVERVIEW, JOB, ALERTS), "sort"),
    Action("sort.flip", "S", "flip", "reverse the sort order", "Look", (OVERVIEW, JOB, ALERTS)),
    Action("pause", "space", "pause", "pause and resume the display", "Look", footer="pause", shown="Space"),
    Action("maximise", "e", "maximise", "maximise the pane", "Look", _LISTS, "max"),
    Action("copy", "y", "copy", "copy the id of the row to the terminal's clipboard", "Look", _LISTS),
    Action("job.cancel", "x", "cancel_job", "cancel the job", "Act", (OVERVIEW, JOB), "cancel", acts=True),
    Action("job.hold", "p", "hold_job", "hold or resume the job", "Act", (OVERVIEW, JOB), "hold", acts=True),
    Action("job.retry", "r", "retry_job", "retry what failed", "Act", (OVERVIEW, JOB), "retry", acts=True),
    Action("screen.overview", "1", "go('overview')", "overview", "Screens"),
    Action("screen.job", "2", "go('job')", "series of the selected job", "Screens"),
    Action("screen.alerts", "3", "go('alerts')", "alerts", "Screens"),
    Action("screen.log", "4", "go('log')", "log", "Screens"),
    Action("help", "question_mark", "go('help')", "this help", "Screens", footer="help", shown="?"),
    Action("palette", "ctrl+p", "palette", "command palette", "Screens", shown="^p"),
    Action("rate.faster", "plus,equals_sign", "rate(1)", "refresh more often", "Display", shown="+"),
    Action("rate.slower", "minus", "rate(-1)", "refresh less often", "Display", shown="-"),
    Action("theme", "t", "theme", "next theme", "Display"),
    Action("repaint", "ctrl+l", "repaint", "repaint the whole screen", "Display", shown="^l"),
    Action("quit", "q", "leave", "back; on the overview quit", "Leave", footer="quit"),
    Action(
        "quit.now",
        "Q,ctrl+c",
        "leave_now",
        "quit at once, the engine works on",
        "Leave",
        shown="Q ^c",
        urgent=True,
    ),
)
BY_ID = {action.id: action for action in ACTIONS}


def bindings() -> list[BindingType]:
    """One binding for each key, with the id by which a user may remap it."""
    return [
        _binding(action, key, f"{action.id}.{number}" if number else action.id)
        for action in ACTIONS
        for number, key in enumerate(action.keys.split(","))
    ]


def _binding(action: Action, key: str, name: str) -> Binding:
    priority = action.urgent and key.startswith("ctrl")
    return Binding(key, action.does, action.title, show=False, id=name, priority=priority)


def footer(screen: str, read_only: bool) -> list[Action]:
    """What the footer of `screen` names, in order."""
    named = [action for action in ACTIONS if action.footer and action.works_on(screen)]
    return [action for action in named if not (read_only and action.acts)]
