"""A few lines to fill in, in front of a screen."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Input, Static

from core.text import clean
from tui.screens.modals import Modal
from tui.widgets.line_input import LineInput

Values = Mapping[str, str]
KEYS = "enter saves   tab next line   up, down choose   esc leaves"


@dataclass(frozen=True, slots=True)
class Field:
    """One line of a form; up and down go through its `choices`, if it has any. `hint` stands where nothing is typed."""

    name: str
    value: str = ""
    hint: str = ""
    choices: tuple[str, ...] = ()


class Form(Modal[dict[str, str] | None], inherit_bindings=False):
    """Fields, and below them what they amount to; None when the operator leaves it.

    `trouble` says what is wrong with the values, "" when nothing is; `remark` what they mean, at every key.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "step(-1)", show=False),
        Binding("down", "step(1)", show=False),
        Binding("tab", "go(1)", show=False),
        Binding("shift+tab", "go(-1)", show=False),
        Binding("escape", "leave", show=False),
    ]
    AUTO_FOCUS = ""

    def __init__(
        self,
        title: str,
        fields: Sequence[Field],
        trouble: Callable[[Values], str],
        remark: Callable[[Values], str],
        first: str = "",
    ) -> None:
        super().__init__()
        self._title = title
        self._fields = fields
        self._trouble = trouble
        self._remark = remark
        self._first = first or fields[0].name
        self._lines = {
            each.name: LineInput(each.value, id=f"field_{each.name}", placeholder=each.hint) for each in fields
        }
        self.verdict = Static(id="verdict")

    def compose(self) -> ComposeResult:
        with Vertical(id="box", classes="-form"):
            yield Static(Content(clean(self._title, 300)), id="question")
            for field in self._fields:
                with Horizontal(classes="row"):
                    yield Static(Content(field.name), classes="label")
                    yield self._lines[field.name]
                    yield Static(Content("  ".join(field.choices)), classes="choices")
            yield self.verdict
            yield Static(Content(KEYS), id="answers")

    def on_mount(self) -> None:
        self.set_focus(self._lines[self._first])
        self._say(self._remark(self.values))

    @property
    def values(self) -> dict[str, str]:
        return {name: line.value for name, line in self._lines.items()}

    def action_go(self, lines: int) -> None:
        names = [field.name for field in self._fields]
        self.set_focus(self._lines[names[(self._place() + lines) % len(names)]])

    def action_step(self, lines: int) -> None:
        field = self._fields[self._place()]
        if not field.choices:
            self.action_go(lines)
            return
        line = self._lines[field.name]
        known = field.choices.index(line.value) if line.value in field.choices else -lines if lines > 0 else 0
        line.value = field.choices[(known + lines) % len(field.choices)]
        line.cursor_position = len(line.value)

    def _place(self) -> int:
        focused = [at for at, field in enumerate(self._fields) if self._lines[field.name] is self.focused]
        return focused[0] if focused else 0

    def action_leave(self) -> None:
        self.dismiss(None)

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self._say(self._remark(self.values))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        trouble = self._trouble(self.values)
        if trouble:
            self._say(trouble, is_wrong=True)
        else:
            self.dismiss(self.values)

    def _say(self, words: str, *, is_wrong: bool = False) -> None:
        self.verdict.update(Content(clean(words, 400)))
        self.verdict.set_class(is_wrong, "-wrong")
