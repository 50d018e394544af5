"""Questions and readers that stand in front of a screen."""

from typing import ClassVar, TypeVar

from textual import events
from textual.app import ComposeResult
from textual.await_complete import AwaitComplete
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from core.text import clean
from tui.desk import Desk
from tui.text import fit, wrap
from tui.views.frame import Canvas, Line, Span, View, words
from tui.widgets.pane import Pane

Answer = TypeVar("Answer")
READER_WIDTH = 70


class Modal(ModalScreen[Answer]):
    """Is answered once: a second key that comes before it is gone is for nobody."""

    _is_answered = False

    def dismiss(self, result: Answer | None = None) -> AwaitComplete:
        if self._is_answered:
            return AwaitComplete()
        self._is_answered = True
        return super().dismiss(result)


class Question(Modal[str], inherit_bindings=False):
    """A sentence and the keys that answer it; esc answers with nothing.

    `answers` are (key, what it does); the key is the result.
    """

    AUTO_FOCUS = ""

    def __init__(self, question: str, answers: tuple[tuple[str, str], ...]) -> None:
        super().__init__()
        self.question = question
        self._answers = answers

    def compose(self) -> ComposeResult:
        keys = "\n".join(f"{key:>6}  {does}" for key, does in (*self._answers, ("esc", "stay")))
        with Vertical(id="box"):
            yield Static(Content(clean(self.question, 300)), id="question")
            yield Static(Content(keys), id="answers")

    def on_click(self, event: events.Click) -> None:
        """A click on a line of the answers is its key."""
        shown = self.query_one("#answers")
        line = event.screen_y - shown.region.y
        if event.widget is shown and 0 <= line <= len(self._answers):
            event.stop()
            self.dismiss([*dict(self._answers), ""][line])

    def on_key(self, event: events.Key) -> None:
        """The answer is for nobody else: without this the screen below would hear the key too."""
        if event.key in {"escape", *dict(self._answers)}:
            event.stop()
            self.dismiss("" if event.key == "escape" else event.key)


class Picker(Modal[str], inherit_bindings=False):
    """Choose one of many by typing a part of it; `choices` are (result, title, hint)."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", show=False),
        Binding("down,tab", "move(1)", show=False),
        Binding("escape", "leave", show=False),
    ]
    AUTO_FOCUS = "Input"

    def __init__(self, desk: Desk, title: str, choices: list[tuple[str, str, str]]) -> None:
        super().__init__()
        self._title = title
        self._choices = choices
        self._line = Input(id="pick", compact=True, placeholder="type a part of it")
        self._line.cursor_blink = False
        self.list = Pane(desk, self._view, id="picks")
        self.list.can_focus = False

    def compose(self) -> ComposeResult:
        with Vertical(id="box", classes="-list"):
            yield self._line
            yield self.list

    def on_mount(self) -> None:
        self.list.redraw()

    def action_move(self, rows: int) -> None:
        self.list.move(rows)

    def action_leave(self) -> None:
        self.dismiss("")

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self.list.redraw()
        self.list.move_to("first")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.dismiss(self.list.cursor if self.list.view.keys else "")

    def on_pane_row_opened(self, message: Pane.RowOpened) -> None:
        self.dismiss(message.pane.cursor or "")

    def _view(self, canvas: Canvas) -> View:
        wanted = self._line.value.lower().split()
        fitting = [choice for choice in self._choices if _has(f"{choice[1]} {choice[0]}", wanted)]
        fitting.sort(key=lambda choice: not choice[1].lower().startswith("".join(wanted[:1])))
        shown = {key: (title, hint) for key, title, hint in fitting}

        def line(key: str) -> Line:
            title, hint = shown[key]
            width = max(1, canvas.width - 12)
            return (Span(fit(title, width, "<", canvas.glyphs.more)), Span(fit(hint, 11, ">"), "accent"))

        nothing = (words("nothing like it", canvas.width, "dim", canvas.glyphs),)
        return View(self._title, list(shown), line, empty=nothing)


def _has(text: str, wanted: list[str]) -> bool:
    return all(word in text.lower() for word in wanted)


class Reader(Modal[None], inherit_bindings=False):
    """All fields of one thing in full, folded to the width."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", show=False),
        Binding("down,j", "move(1)", show=False),
        Binding("escape,q,enter", "leave", show=False),
    ]
    AUTO_FOCUS = ""

    def __init__(self, desk: Desk, title: str, facts: list[tuple[str, str]]) -> None:
        super().__init__()
        self._title = title
        self._facts = facts
        self.list = Pane(desk, self._view, id="facts", selectable=False)

    def compose(self) -> ComposeResult:
        with Vertical(id="box", classes="-list"):
            yield self.list

    def on_mount(self) -> None:
        self.set_focus(self.list)

    def action_move(self, rows: int) -> None:
        self.list.move(rows)

    def action_leave(self) -> None:
        self.dismiss(None)

    def _view(self, canvas: Canvas) -> View:
        lines: list[Line] = []
        for name, value in self._facts:
            parts = wrap(value, max(8, canvas.width - 10)) or ["-"]
            lines += [(Span(fit(name if at == 0 else "", 9), "dim"), Span(part)) for at, part in enumerate(parts)]
        return View(self._title, [str(at) for at in range(len(lines))], lambda at: lines[int(at)], aside="esc closes")
