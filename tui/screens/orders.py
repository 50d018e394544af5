"""Ordering work: fields, the plan that they mean with its cost, and only then the start."""

from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Input, Static
from textual.worker import Worker

from core.batch import read_batch
from core.datasets import DATA_TYPES
from core.errors import ConfigError, TapewatchError
from core.options import CHOICES
from core.text import clean, counted
from tui import command_lines, forms
from tui.desk import Desk
from tui.screens.live import LiveScreen
from tui.screens.modals import Modal
from tui.views import quote
from tui.views.frame import Canvas, View
from tui.views.quote import ASKING, EDITING, QUOTED, STARTING, Ordered
from tui.widgets.entries import Chooser, Entry, KeyLine
from tui.widgets.pane import Pane

Ask = Callable[..., Awaitable[object]]
"""A command to the engine: its name and arguments; raises TapewatchError with the engine's words."""
READ_ONLY = "read-only: nothing can be started from here"
NO_ANSWER = "the engine's answer is not understood: use one version of both"


class Call(NamedTuple):
    """A command and its arguments."""

    command: str
    args: Mapping[str, Any]


class Order(NamedTuple):
    """What is wanted, in words, how the engine is asked for its cost, and how it is told to begin."""

    name: str
    cost: Call
    start: Call
    command_line: str = ""


NOTHING = Order("", Call("", {}), Call("", {}))


class OrderScreen(Modal[str], inherit_bindings=False):
    """Enter shows what it costs, enter again starts it; the result says what was started, if anything was."""

    BINDINGS: ClassVar[list[BindingType]] = [
        # Keys that come faster than they are handled go to the field that has the focus by then: it moves at once.
        Binding("tab", "next", show=False, priority=True),
        Binding("shift+tab", "previous", show=False, priority=True),
        Binding("down", "down", show=False, priority=True),
        Binding("up", "up", show=False, priority=True),
        Binding("pagedown,ctrl+d", "scroll(6)", show=False),
        Binding("pageup,ctrl+u", "scroll(-6)", show=False),
        Binding("enter", "go", show=False),
        Binding("escape", "back", show=False),
    ]
    HORIZONTAL_BREAKPOINTS = LiveScreen.HORIZONTAL_BREAKPOINTS
    VERTICAL_BREAKPOINTS = LiveScreen.VERTICAL_BREAKPOINTS
    AUTO_FOCUS = "Input, Chooser"

    def __init__(self, desk: Desk, ask: Ask, title: str) -> None:
        super().__init__()
        self.desk = desk
        self.ordered = Ordered()
        self.entries: dict[str, Entry] = {}
        self.plan = Pane(desk, self._view, id="plan", selectable=False)
        self.keys = KeyLine(id="keys")
        self._ask = ask
        self._heading = title
        self._order = NOTHING
        self._checked: dict[str, str] = {}

    def order(self) -> Order:
        """What the fields mean. Raises ConfigError, a line a problem."""
        raise NotImplementedError

    def check(self) -> tuple[Mapping[str, str], str]:
        """What is wrong so far by the name of the field, and the command line that does the same."""
        return {}, ""

    def compose(self) -> ComposeResult:
        with Vertical(id="box", classes="-order"):
            yield Static(Content(clean(self._heading, 200)), id="heading")
            yield from self.entries.values()
            yield self.plan
            yield self.keys

    def on_mount(self) -> None:
        self.changed()
        self.opened()

    def opened(self) -> None:
        """It has just come up."""

    def value(self, name: str) -> str:
        return self.entries[name].field.value

    @property
    def values(self) -> dict[str, str]:
        """What is typed and chosen, by the name of the field."""
        return {name: entry.field.value for name, entry in self.entries.items()}

    def changed(self) -> None:
        """Something else was typed: the plan that was shown is not this order's any more."""
        self._checked = self.values
        self.workers.cancel_group(self, "plan")
        problems, command = self.check()
        for name, entry in self.entries.items():
            entry.mark(name in problems)
        words = tuple(f"{forms.LABELS.get(name, name)}: {problem}" for name, problem in problems.items())
        self._show(Ordered(problems=words, command=command))

    def redraw(self) -> None:
        self.plan.redraw()

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        if self.values != self._checked:
            self.changed()

    def on_chooser_changed(self, event: Chooser.Changed) -> None:
        event.stop()
        if self.values != self._checked:
            self.changed()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.action_go()

    def on_key_line_clicked(self, message: KeyLine.Clicked) -> None:
        {"enter": self.action_go, "esc": self.action_back, "tab": self.action_next}.get(message.key, lambda: None)()

    def action_next(self) -> None:
        self.focus_next()

    def action_previous(self) -> None:
        self.focus_previous()

    def action_down(self) -> None:
        if self.plan.has_focus:
            self.plan.move(1)
        else:
            self.focus_next()

    def action_up(self) -> None:
        if self.plan.has_focus:
            self.plan.move(-1)
        else:
            self.focus_previous()

    def action_scroll(self, rows: int) -> None:
        self.plan.move(rows)

    def action_back(self) -> None:
        if self.ordered.phase == EDITING:
            self.dismiss("")
        elif self.ordered.phase != STARTING:
            self.changed()

    def action_go(self) -> None:
        """From the fields to the plan, from the plan to the start."""
        if self.desk.read_only:
            self._show(Ordered(problems=(READ_ONLY,)))
        elif self.ordered.phase == EDITING:
            self._ask_for_cost()
        elif self.ordered.phase == QUOTED and quote.refusal(self.ordered.quote):
            self.entries["max_requests"].field.focus()
        elif self.ordered.phase == QUOTED:
            self._show(Ordered(STARTING, since=self.desk.clock.monotonic()))
            self._work(self._start, "start")

    def _ask_for_cost(self) -> None:
        try:
            self._order = self.order()
        except ConfigError as error:
            self._show(Ordered(problems=tuple(str(error).splitlines())))
            return
        self._show(Ordered(ASKING, since=self.desk.clock.monotonic()))
        self._work(self._quote, "plan")

    def _work(self, work: Callable[[], Coroutine[None, None, None]], group: str) -> Worker[None]:
        return self.run_worker(work, group=group, exclusive=True)

    async def _quote(self) -> None:
        order = self._order
        try:
            found = await self._ask(order.cost.command, **order.cost.args)
        except (TapewatchError, OSError) as error:
            self._fail(error)
            return
        if not (isinstance(found, dict) and quote.is_understood(found)):
            self._fail(TapewatchError(NO_ANSWER))
            return
        self.plan.move_to("first")
        self._show(Ordered(QUOTED, quote=found, command=order.command_line))

    async def _start(self) -> None:
        order = self._order
        try:
            answer = await self._ask(order.start.command, **order.start.args)
        except (TapewatchError, OSError) as error:
            self._fail(error)
            return
        jobs = answer.get("jobs", []) if isinstance(answer, dict) else []
        self.dismiss(f"started {order.name}: {', '.join(map(str, jobs[:3]))}{', ...' if jobs[3:] else ''}")

    def _fail(self, error: Exception) -> None:
        self._show(Ordered(problems=tuple(str(error).splitlines()) or (type(error).__name__,)))

    def _show(self, ordered: Ordered) -> None:
        self.ordered = ordered
        self.keys.offer(_keys(ordered))
        self.plan.redraw()

    def _view(self, canvas: Canvas) -> View:
        return quote.view(self.ordered, canvas)


def _keys(ordered: Ordered) -> Sequence[tuple[str, str]]:
    """What can be pressed now, and what it does, the most wanted first."""
    if ordered.phase == QUOTED and quote.refusal(ordered.quote):
        return (("esc", "change it"), ("enter", "calls at most"), ("PgDn", "more"))
    return {
        QUOTED: (("enter", "start"), ("esc", "change it"), ("PgDn", "more")),
        ASKING: (("esc", "stop waiting"),),
        STARTING: (),
    }.get(ordered.phase, (("enter", "plan"), ("esc", "close"), ("tab", "next"), ("left/right", "choose")))


class JobForm(OrderScreen):
    """One operation: data type, interval, which series, from when to when."""

    def __init__(self, desk: Desk, ask: Ask) -> None:
        super().__init__(desk, ask, "Start a job")
        labels = forms.LABELS
        self.entries = {
            "data_type": Entry(labels["data_type"], Chooser(tuple(DATA_TYPES), "spot_ohlcv", "data_type")),
            "interval": Entry(labels["interval"], Chooser(CHOICES["interval"], "1d", "interval")),
        }
        self.entries |= {name: Entry.line(label, name) for name, label in labels.items() if name not in self.entries}

    def check(self) -> tuple[Mapping[str, str], str]:
        data_type, interval = self.value("data_type"), self.value("interval")
        for name, entry in self.entries.items():
            entry.display = forms.takes(data_type, name)
            if isinstance(entry.field, Input):
                entry.field.placeholder = forms.hint(name, data_type, interval)
        operation, problems = forms.read(self.values)
        return problems, command_lines.of_operation(operation) if operation is not None else ""

    def order(self) -> Order:
        operation, problems = forms.read(self.values)
        if operation is None:
            raise ConfigError("\n".join(f"{forms.LABELS.get(name, name)}: {text}" for name, text in problems.items()))
        args = {"operations": [operation.given()]}
        line = command_lines.of_operation(operation)
        return Order(operation.title, Call("quote", args), Call("submit_batch", args), line)


class BatchForm(OrderScreen):
    """A batch file, read and checked here: relative paths are those of the shell that started the dashboard."""

    def __init__(self, desk: Desk, ask: Ask) -> None:
        super().__init__(desk, ask, "Run a batch file")
        self.entries = {
            "file": Entry.line("file", "file", "batch_config.json, or .toml"),
            "max_requests": Entry.line(forms.LABELS["max_requests"], "max_requests", "the usual share of what is left"),
        }

    def check(self) -> tuple[Mapping[str, str], str]:
        number = self.value("max_requests").strip()
        problems = {"max_requests": "write a number"} if number and not number.isdecimal() else {}
        file = self.value("file").strip()
        limit = None if problems or not number else int(number)
        return problems, command_lines.of_batch(file, limit) if file and not problems else ""

    def order(self) -> Order:
        problems, line = self.check()
        if not line:
            raise ConfigError(f"calls at most: {problems['max_requests']}" if problems else "file: name a batch file")
        path, number = Path(self.value("file").strip()).expanduser(), self.value("max_requests").strip()
        batch = read_batch(path).with_flags(
            continue_on_error=False, max_requests=int(number) if number else None, enable_monitoring=False
        )
        name = f"{path.name} ({counted(len(batch.operations), 'operation')})"
        return Order(name, Call("quote", batch.given()), Call("submit_batch", batch.given()), line)


class RepairForm(OrderScreen):
    """The gaps and failed windows of some stored series, or of all: what asking again costs comes first."""

    def __init__(self, desk: Desk, ask: Ask, series: Sequence[str] = ()) -> None:
        super().__init__(desk, ask, f"Repair the gaps of {', '.join(series) or 'all stored series'}")
        self._series = list(series)
        self.entries = {
            "gaps": Entry("gaps", Chooser(("open", "all"), "open", "gaps")),
            "max_requests": Entry.line(forms.LABELS["max_requests"], "max_requests", "the usual share of what is left"),
        }

    def opened(self) -> None:
        self.action_go()

    def check(self) -> tuple[Mapping[str, str], str]:
        number = self.value("max_requests").strip()
        return ({"max_requests": "write a number"} if number and not number.isdecimal() else {}), ""

    def order(self) -> Order:
        problems, _ = self.check()
        if problems:
            raise ConfigError(f"calls at most: {problems['max_requests']}")
        args: dict[str, Any] = {"series": self._series, "all": self.value("gaps") == "all"}
        if number := self.value("max_requests").strip():
            args["max_requests"] = int(number)
        return Order("a repair", Call("repair", {**args, "dry_run": True}), Call("repair", args))
