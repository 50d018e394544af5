"""A list that costs what it shows: rows are drawn by line, and only lines that changed are painted.

The cursor belongs to a key, never to a position. A pane that cannot be drawn says so and the others go on.
"""

from collections.abc import Callable, Sequence
from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Region, Size
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from tui.desk import Desk
from tui.text import fit, wrap
from tui.views.frame import STYLES, Canvas, Line, Span, View, crop, width_of, words

WHEEL_ROWS = 3


class Lines(Widget):
    """Draws lines of spans, and repaints those that differ from the last time."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"lines--{style}" for style in (*STYLES, "cursor", "frame", "title")}

    def __init__(self, desk: Desk, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self.desk = desk
        self.painted_lines = 0
        self.room = Size()
        """The size that is drawn for: Textual's own is looked up in the layout each time."""
        self._lines: list[Line] = []
        self._styles: dict[str, Style] = {}
        self._was_old = False
        self._drawn_for = Size()

    def redraw(self) -> None:
        """Draw for the size it has now; nothing while it has none."""
        self.room = self.size
        if self.room.area:
            self.draw()

    def draw(self) -> None:
        """Fill `room`, by `paint`."""
        raise NotImplementedError

    def paint(self, lines: list[Line], *, fades: bool = True) -> None:
        """Show `lines`; `fades` draws them dimmed while the data is old."""
        is_old = fades and self.desk.is_old
        resized, self._drawn_for = self.room != self._drawn_for, self.room
        everything = resized or is_old != self._was_old or len(lines) != len(self._lines)
        changed = [y for y, line in enumerate(lines) if everything or line != self._lines[y]]
        self._lines, self._was_old = lines, is_old
        self.painted_lines += len(changed)
        if resized:
            return  # Textual is about to show all of it
        if everything:
            self.refresh()
        elif changed:
            self.refresh(*(Region(0, y, self.room.width, 1) for y in changed))

    def render_lines(self, crop: Region) -> list[Strip]:
        # Its Resize comes after the first frame of that size, which would be an empty one. What it shows may depend
        # on the cursor of another pane that has a new size too.
        if self.size != self._drawn_for:
            getattr(self.screen, "redraw", self.redraw)()
        return super().render_lines(crop)

    def render_line(self, y: int) -> Strip:
        line = self._lines[y] if y < len(self._lines) else ()
        strip = Strip([Segment(span.text, self._style(span.style)) for span in line])
        return strip.adjust_cell_length(self.room.width, self._style("plain")).simplify()

    def text_lines(self) -> list[str]:
        """What is on the screen, as text."""
        return ["".join(span.text for span in line) for line in self._lines]

    def on_hide(self) -> None:
        # What it shows is old when it is shown again.
        self._drawn_for = Size()
        self.refresh()

    def notify_style_update(self) -> None:
        self._styles.clear()
        super().notify_style_update()

    def _style(self, name: str) -> Style:
        if self._was_old and name not in {"cursor", "frame", "title"}:
            name = "dim"
        style = self._styles.get(name)
        if style is None:
            style = self._styles[name] = self.get_component_rich_style(f"lines--{name}")
        return style


class Pane(Lines, can_focus=True):
    """A titled list with a cursor that follows its key."""

    class RowOpened(Message):
        """A row was clicked when it already had the cursor."""

        def __init__(self, pane: "Pane") -> None:
            super().__init__()
            self.pane = pane

    class CursorMoved(Message):
        """The cursor is on another row."""

        def __init__(self, pane: "Pane") -> None:
            super().__init__()
            self.pane = pane

    def __init__(
        self,
        desk: Desk,
        build: Callable[[Canvas], View],
        *,
        id: str,  # noqa: A002
        selectable: bool = True,
        anchored: bool = False,
    ) -> None:
        super().__init__(desk, id=id)
        self.cursor: str | None = None
        self.view = View("", (), lambda _key: ())
        self.build = build
        self.selectable = selectable
        self.framed = False
        self._anchored = anchored
        self._index = 0
        self._top = 0

    @property
    def page_rows(self) -> int:
        """How many rows fit below title and head."""
        return max(0, self.room.height - 1 - bool(self.view.head) - self.framed)

    @property
    def cursor_line(self) -> int:
        """The line of the screen that has the cursor."""
        return self.region.y + 1 + bool(self.view.head) + self._index - self._top

    def draw(self) -> None:
        """Build the view anew and paint what changed; nothing while hidden."""
        if not self.is_on_screen:
            return
        whole = self.app.size
        self.framed = whole.width >= 100 and whole.height >= 30
        inner = self.room.width - (3 if self.framed else 1)
        try:
            self.view = self.build(self.desk.canvas(inner))
            self._place_cursor()
            body = self._body(inner)
        except Exception as error:
            self.view = View(f"{self.id}", (), lambda _key: ())
            broken = f"this pane failed: {type(error).__name__}: {error}"
            body = [(False, words(part, inner, "bad", self.desk.glyphs)) for part in wrap(broken, inner)]
        self.paint(self._dressed(body, inner))

    def move(self, rows: int) -> None:
        self._go(self._index + rows)

    def page(self, share: float) -> None:
        self.move(int(share * max(1, self.page_rows)) or (1 if share > 0 else -1))

    def move_to(self, where: str) -> None:
        self._go(0 if where == "first" else len(self.view.keys) - 1)

    def select(self, key: str) -> None:
        self.cursor = key
        self.redraw()

    def _go(self, index: int) -> None:
        keys = self.view.keys
        if not keys:
            return
        # A list without a cursor moves by its first row, and no further than until the last one is seen.
        seen = 1 if self.selectable else max(1, self.page_rows)
        self._index = max(0, min(len(keys) - seen, index))
        self.cursor = keys[self._index]
        if not self.selectable:
            self._top = self._index
        self.redraw()
        self.post_message(self.CursorMoved(self))

    def _place_cursor(self) -> None:
        keys = self.view.keys
        before = self._index
        if not keys:
            self._index, self._top = 0, 0
            return
        self._index = self._find(keys)
        self.cursor = keys[self._index]
        if self._anchored:
            self._top += self._index - before
        self._keep_visible(len(keys))

    def _find(self, rows: Sequence[str]) -> int:
        if self._index < len(rows) and rows[self._index] == self.cursor:
            return self._index
        if self.cursor is not None and self.cursor in rows:
            return rows.index(self.cursor)
        return min(self._index, len(rows) - 1)

    def _keep_visible(self, rows: int) -> None:
        page = max(1, self.page_rows)
        if self.selectable:
            self._top = max(min(self._top, self._index), self._index - page + 1)
        self._top = max(0, min(self._top, rows - page))

    def _body(self, width: int) -> list[tuple[bool, Line]]:
        view = self.view
        lines: list[tuple[bool, Line]] = [(False, view.head)] if view.head else []
        if not view.keys:
            return [*lines, *((False, line) for line in view.empty)]
        shown = view.keys[self._top : self._top + self.page_rows]
        return lines + [(self.selectable and key == self.cursor, view.line(key)) for key in shown]

    def _dressed(self, body: list[tuple[bool, Line]], inner: int) -> list[Line]:
        """Body lines below the title, with marker and frame, for exactly the pane's height."""
        (width, height), framed, focused = self.room, self.framed, self.has_focus
        room, frame = max(0, height - 1 - framed), self.desk.glyphs.frame
        side = (Span(frame[5], self._frame_style),) if framed else ()
        dressed = [self._title(width)]
        for selected, line in (body + [(False, ())] * room)[:room]:
            dressed.append((*side, *self._row(line, inner, selected, focused), *side))
        if framed:
            flat = frame[4] * max(0, width - 2)
            dressed.append((Span(frame[3] + flat + frame[2], self._frame_style),))
        return dressed[:height]

    @property
    def _frame_style(self) -> str:
        return "accent" if self.has_focus else "frame"

    def _row(self, line: Line, inner: int, selected: bool, focused: bool) -> Line:
        cropped = crop(line, inner, self.desk.glyphs)
        padding = " " * max(0, inner - width_of(cropped))
        if selected and focused:
            return (Span(">" + "".join(span.text for span in cropped) + padding, "cursor"),)
        return (Span(">" if selected else " ", "accent"), *cropped, Span(padding))

    def _title(self, width: int) -> Line:
        more, frame = self.desk.glyphs.more, self.desk.glyphs.frame
        flat = frame[4]
        left, right = (frame[0], frame[1]) if self.framed else (flat, flat)
        title = f" {fit(self.view.title, max(0, width - 6), '<', more).strip()} "
        room = width - cell_len(title) - 5
        words_right = self.aside() if room > 8 else ""
        aside = f" {fit(words_right, room - 2, '<', more).strip()} " if words_right else ""
        fill = flat * max(0, width - 3 - cell_len(title + aside))
        style, note = self._frame_style, "bad" if self.view.note else "dim"
        head = (Span(left + flat, style), Span(title, "accent" if self.has_focus else "title"))
        return crop((*head, Span(fill, style), Span(aside, note), Span(right, style)), width, self.desk.glyphs)

    def aside(self) -> str:
        """What stands at the right end of the title."""
        return self.view.note or self.view.aside

    def on_focus(self) -> None:
        self.redraw()

    def on_blur(self) -> None:
        self.redraw()

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self.move(WHEEL_ROWS)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self.move(-WHEEL_ROWS)

    def on_click(self, event: events.Click) -> None:
        row = self._top + event.y - 1 - bool(self.view.head)
        if not self.selectable or event.y < 1 + bool(self.view.head) or row >= len(self.view.keys):
            return
        if self.view.keys[row] == self.cursor:
            self.post_message(self.RowOpened(self))
        else:
            self._go(row)
