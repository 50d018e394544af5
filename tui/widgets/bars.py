"""The first and the last line of a screen."""

from tui import actions
from tui.views import header
from tui.views.frame import Line, Span, width_of
from tui.widgets.pane import Lines


class HeaderBar(Lines):
    """Alerts, freshness, jobs, quota, engine, clock: always from the live state, never paused."""

    def redraw(self) -> None:
        if self.size.width:
            moment = self.desk.moment()
            self.paint([header.line(self.desk.state, moment, self.size.width, self.desk.glyphs)], fades=False)

    def on_resize(self) -> None:
        self.redraw()


class FooterBar(Lines):
    """What can be done here, from the table of actions; whole entries only."""

    screen_name = actions.OVERVIEW

    def redraw(self) -> None:
        if self.size.width:
            self.paint([self._line(self.size.width)], fades=False)

    def on_resize(self) -> None:
        self.redraw()

    def _line(self, width: int) -> Line:
        named = actions.footer(self.screen_name, self.desk.read_only)
        entries = [self._entry(action) for action in named]
        # The last two, help and quit, are what nobody may be left without.
        while len(entries) > 2 and sum(map(width_of, entries)) > width:
            del entries[-3]
        return tuple(span for entry in entries for span in entry)

    def _entry(self, action: actions.Action) -> Line:
        label = "resume" if action.id == "pause" and self.desk.paused else action.footer
        key = self.desk.glyphs.enter if action.id == "open" else self.plain(action.key)
        return (Span(f" {key}", "accent"), Span(f" {label} ", "dim"))

    def plain(self, key: str) -> str:
        """A key in the alphabet of the terminal."""
        if self.desk.glyphs.enter.isascii():
            return key.replace("↑", "up").replace("↓", "down")
        return key
