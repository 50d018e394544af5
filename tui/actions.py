"""Everything an operator can do, in one table: bindings, footer, palette and help come from it."""

from collections.abc import Iterable
from dataclasses import dataclass

from textual.binding import Binding, BindingType

OVERVIEW, JOBS, DATA, ALERTS, CACHE, SYSTEM = "overview", "jobs", "data", "alerts", "cache", "system"
SCHEDULES = "schedules"
JOB, JOB_SERIES, STORED, COMPARE, ALERT, HELP = "job", "job_series", "stored", "compare", "alert", "help"
TABS = {
    OVERVIEW: ("1", "Overview"),
    JOBS: ("2", "Jobs"),
    DATA: ("3", "Data"),
    ALERTS: ("4", "Alerts"),
    CACHE: ("5", "Cache"),
    SCHEDULES: ("6", "Schedules"),
    SYSTEM: ("7", "System"),
}
"""The screens that a key leads to from everywhere, with that key and their name."""
_LISTS = (*TABS, JOB, JOB_SERIES, STORED, ALERT)
_PANES = (*_LISTS, COMPARE)
_FILTERED = (*TABS, JOB, JOB_SERIES, STORED)
_OF_ALERTS = (OVERVIEW, ALERTS, ALERT)
_OF_JOBS = (OVERVIEW, JOBS, JOB, JOB_SERIES)
_OF_SERIES = (DATA, STORED, JOB_SERIES)
_SORTED = (OVERVIEW, JOBS, JOB, DATA, STORED, ALERTS, CACHE, SCHEDULES)
_OPENED = tuple(screen for screen in _LISTS if screen != CACHE)


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
    Action("open", "enter", "open", "open the row: series of a job, full text of a line", "Look", _OPENED, "open"),
    Action("back", "escape", "back", "back: closes filter, maximised pane, screen", "Look", shown="Esc"),
    Action(
        "filter",
        "slash",
        "filter",
        "filter: words, field:text, field>1, !not",
        "Look",
        _FILTERED,
        "filter",
        shown="/",
    ),
    Action("sort", "s", "sort", "sort by a column", "Look", _SORTED, "sort"),
    Action("sort.flip", "S", "flip", "reverse the sort order", "Look", _SORTED),
    Action("pause", "space", "pause", "pause and resume the display", "Look", footer="pause", shown="Space"),
    Action("months", "m", "screen.months", "coverage by month, and back", "Look", (DATA,), "months"),
    Action("compare", "c", "screen.compare", "compare two days of the series", "Look", (STORED,), "compare"),
    Action(
        "day.before",
        "left_square_bracket",
        "screen.move_day(1)",
        "compare the days before",
        "Look",
        (COMPARE,),
        "day before",
        shown="[",
    ),
    Action(
        "day.after",
        "right_square_bracket",
        "screen.move_day(-1)",
        "compare the days after",
        "Look",
        (COMPARE,),
        "day after",
        shown="]",
    ),
    Action("maximise", "e", "maximise", "maximise the pane", "Look", _PANES, "max"),
    Action("copy", "y", "copy", "copy the id of the row to the terminal's clipboard", "Look", _PANES),
    Action("copy.command", "Y", "copy_command", "copy a command line for the row", "Look", _PANES),
    Action("job.cancel", "x", "cancel_job", "cancel the job", "Act", _OF_JOBS, "cancel", acts=True),
    Action("job.hold", "p", "hold_job", "hold or resume the job", "Act", _OF_JOBS, "hold", acts=True),
    Action("job.retry", "r", "retry_job", "retry the series that failed", "Act", _OF_JOBS, "retry", acts=True),
    Action("job.again", "", "retry_all", "run all of the job again", "Act", _OF_JOBS, acts=True, shown="^p"),
    Action("repair", "R", "repair", "repair the gaps of the series", "Act", _OF_SERIES, "repair", acts=True),
    Action("repair.all", "", "repair_all", "repair the gaps of all series", "Act", tuple(TABS), acts=True, shown="^p"),
    Action("cache.warm", "w", "warm_cache", "fill the cache", "Act", (CACHE,), "warm", acts=True),
    Action("cache.clear", "C", "clear_cache", "clear the cache", "Act", (CACHE,), "clear", acts=True),
    Action("schedule.run", "r", "run_schedule", "run the schedule now", "Act", (SCHEDULES,), "run now", acts=True),
    Action("schedule.pause", "p", "pause_schedule", "pause or resume it", "Act", (SCHEDULES,), "hold", acts=True),
    Action("alert.ack", "a", "ack", "acknowledge the alert", "Act", _OF_ALERTS, "ack", acts=True),
    Action("alert.silence", "Z", "silence", "silence what is like the alert", "Act", _OF_ALERTS, "silence", acts=True),
    Action(
        "alert.back", "u", "take_back", "unacknowledge, or end the silence", "Act", _OF_ALERTS, "take back", acts=True
    ),
    Action("job.new", "n", "new_job", "start a job: a form, its plan and cost", "Act", tuple(TABS), "new", acts=True),
    Action("batch", "b", "run_batch", "run a batch file, after its plan and cost", "Act", tuple(TABS), acts=True),
    *(Action(f"screen.{kind}", key, f"go('{kind}')", name.lower(), "Screens") for kind, (key, name) in TABS.items()),
    Action("command", "colon", "command", "command line", "Screens", footer="cmd", shown=":"),
    Action("help", "question_mark", "go('help')", "this help", "Screens", footer="help", shown="?"),
    Action("palette", "ctrl+p", "palette", "command palette", "Screens", shown="^p"),
    Action("rate.faster", "plus,equals_sign", "rate(1)", "refresh more often", "Display", shown="+"),
    Action("rate.slower", "minus", "rate(-1)", "refresh less often", "Display", shown="-"),
    Action("lean", "L", "lean", "lean: once a second and fewer panes, for slow links", "Display"),
    Action("local_time", "z", "local_time", "times in UTC or in this machine's zone", "Display"),
    Action("theme", "t", "theme", "next theme", "Display"),
    Action("repaint", "ctrl+l", "repaint", "repaint the whole screen", "Display", shown="^l"),
    Action("suspend", "ctrl+z", "suspend_process", "to the shell; `fg` comes back", "Leave", shown="^z"),
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


def bindings(table: Iterable[Action] = ACTIONS) -> list[BindingType]:
    """One binding for each key. What has no key is in the palette."""
    return [
        _binding(action, key, f"{action.id}.{number}" if number else action.id)
        for action in table
        for number, key in enumerate(filter(None, action.keys.split(",")))
    ]


def _binding(action: Action, key: str, name: str) -> Binding:
    priority = action.urgent and key.startswith("ctrl")
    return Binding(key, action.does, action.title, show=False, id=name, priority=priority)


def acts_on(name: str, screen: str) -> bool:
    """Whether what `name` does belongs to `screen`: a key may do different things on different screens."""
    scopes = _ACTING.get(name)
    return not scopes or screen in scopes


_ACTING = {action.does: action.scopes for action in ACTIONS if action.acts}


def footer(table: Iterable[Action], screen: str, read_only: bool) -> list[Action]:
    """What of `table` the footer of `screen` names, in order."""
    named = [action for action in table if action.footer and action.works_on(screen)]
    return [action for action in named if not (read_only and action.acts)]
