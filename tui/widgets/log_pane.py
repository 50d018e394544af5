"""The log: it follows the newest line until the reader moves up, and then stays where they read."""

from tui.widgets.pane import Pane


class LogPane(Pane):
    """Keeps its place by line id, so lines that leave the ring do not move what is being read."""

    follow = True
    _held_at = 0

    def _place_cursor(self) -> None:
        keys = self.view.keys
        if self.follow and keys:
            self.cursor = keys[-1]
            self._index = len(keys) - 1
            self._top = max(0, len(keys) - self.page_rows)
            self._held_at = int(keys[-1])
            return
        super()._place_cursor()

    def _go(self, index: int) -> None:
        self.follow = index >= len(self.view.keys) - 1
        super()._go(index)

    def aside(self) -> str:
        """Whether it follows, besides the filter."""
        if self.view.note:
            return self.view.note
        if self.follow:
            state = f"follow {self.desk.glyphs.down}"
        else:
            newest = int(self.view.keys[-1]) if self.view.keys else self._held_at
            state = f"held, {max(0, newest - self._held_at)} new, G follows"
        return "  ".join(part for part in (self.view.aside, state) if part)
