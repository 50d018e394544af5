"""The fields of a form: a line to type in, or one of a few values to choose; each with its name beside it."""

from collections.abc import Sequence

from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, Static

from tui.widgets.line_input import LineInput


class KeyLine(Static):
    """The keys that do something now, each with what it does; a click on one is that key."""

    class Clicked(Message):
        """`key` was clicked."""

        def __init__(self, key: str) -> None:
            super().__init__()
            self.key = key

    keys: Sequence[tuple[str, str]] = ()

    def offer(self, keys: Sequence[tuple[str, str]]) -> None:
        """These; a narrow terminal does without the last of them."""
        self.keys = keys
        self.update(Content("  ".join(f"{key} {does}" for key, does in keys)))

    def on_click(self, event: events.Click) -> None:
        ends = 0
        for key, does in self.keys:
            ends += len(key) + len(does) + 3
            if event.x < ends:
                self.post_message(self.Clicked(key))
                return


class Chooser(Static, can_focus=True):
    """One of `values`: left and right change it, a letter goes to the next one that begins with it, a click too."""

    class Changed(Message):
        """Another value was chosen."""

    def __init__(self, values: Sequence[str], chosen: str, id: str) -> None:  # noqa: A002
        super().__init__(id=id)
        self._values = tuple(values)
        self.value = chosen

    def render(self) -> Content:
        return Content(f"< {self.value} >  {self._values.index(self.value) + 1} of {len(self._values)}")

    def on_key(self, event: events.Key) -> None:
        if event.key in {"left", "right", "space"}:
            self._step(-1 if event.key == "left" else 1)
        elif event.character and event.character.isalnum():
            self._go_to(event.character)
        else:
            return
        event.stop()

    def on_click(self) -> None:
        self._step(1)

    def _step(self, by: int) -> None:
        self._choose(self._values[(self._values.index(self.value) + by) % len(self._values)])

    def _go_to(self, letter: str) -> None:
        at = self._values.index(self.value) + 1
        following = (*self._values[at:], *self._values[:at])
        self._choose(next((value for value in following if value.startswith(letter)), self.value))

    def _choose(self, value: str) -> None:
        if value != self.value:
            self.value = value
            self.refresh()
            self.post_message(self.Changed())


class Entry(Horizontal):
    """A named field. `fault` marks it; the one that has the keys is marked too, by more than its colour."""

    def __init__(self, label: str, field: Input | Chooser) -> None:
        super().__init__(classes="entry")
        self.field = field
        self._label = label
        self._side = Static(classes="name")
        self._is_faulty = False

    @classmethod
    def line(cls, label: str, id: str, hint: str = "", value: str = "") -> "Entry":  # noqa: A002
        """A line to type in; `hint` is what it means when empty."""
        return cls(label, LineInput(value, placeholder=hint, id=id, select_on_focus=False))

    def compose(self) -> ComposeResult:
        yield self._side
        yield self.field

    def on_mount(self) -> None:
        self.mark(self._is_faulty)

    def on_descendant_focus(self) -> None:
        self.mark(self._is_faulty)

    def on_descendant_blur(self) -> None:
        self.mark(self._is_faulty)

    def mark(self, is_faulty: bool) -> None:
        """Whether something is wrong with it."""
        self._is_faulty = is_faulty
        sign = ">" if self.field.has_focus else " "
        self.set_class(is_faulty, "-faulty")
        self._side.update(Content(f"{sign}{self._label}{' !' if is_faulty else ''}"))
