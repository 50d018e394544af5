"""One line to type a command in, with completion, history, and what is wrong with it."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, Static

from core.text import clean
from tui import commands
from tui.desk import Desk
from tui.widgets.line_input import LineInput

EXAMPLE = "jobs state:fail, silence RULE 2h; tab completes"


class CommandLine(Vertical):
    """Hidden until it is opened; what was typed goes out as `Entered`, and stays to be put right if it is refused."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "complete(1)", show=False),
        Binding("shift+tab", "complete(-1)", show=False),
        Binding("up", "recall(-1)", show=False),
        Binding("down", "recall(1)", show=False),
    ]

    class Entered(Message):
        """A line to carry out."""

        def __init__(self, line: str) -> None:
            super().__init__()
            self.line = line

    def __init__(self, desk: Desk) -> None:
        super().__init__(id="command")
        self.desk = desk
        self.line = LineInput(id="command_input", placeholder=EXAMPLE)
        self.hint = Static(id="command_hint")
        self._found: list[str] = []
        self._at = 0
        self._recalled = 0

    def compose(self) -> ComposeResult:
        yield self.hint
        yield Horizontal(Static(Content(":"), id="colon"), self.line)

    def on_mount(self) -> None:
        self.display = False

    def open(self) -> None:
        self._recalled = len(self.desk.commands)
        self.line.value = ""
        self.display = True
        self._explain()
        self.screen.set_focus(self.line)

    def refuse(self, why: str) -> None:
        """Say what is wrong with the line, which stays."""
        self.hint.update(Content(clean(why, 300)))
        self.hint.add_class("-wrong")

    def action_complete(self, step: int) -> None:
        """The next line that this may become, round and round."""
        if self.line.value not in self._found:
            self._found = commands.candidates(self.line.value, self.desk.state)
            self._at = -1 if step > 0 else 0
        if self._found:
            self._at = (self._at + step) % len(self._found)
            self._put(self._found[self._at])

    def action_recall(self, step: int) -> None:
        """What was typed before, or after it again."""
        self._recalled = max(0, min(len(self.desk.commands), self._recalled + step))
        known = [*self.desk.commands, ""]
        self._put(known[self._recalled])

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self._explain()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.post_message(self.Entered(event.value))

    def _put(self, line: str) -> None:
        self.line.value = line
        self.line.cursor_position = len(line)

    def _explain(self) -> None:
        self.hint.remove_class("-wrong")
        self.hint.update(Content(clean(commands.hint(self.line.value, self.desk.state), 300)))
