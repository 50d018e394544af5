"""The first lines of a screen, and its last one."""

from collections.abc import Callable, Iterable

from textual import events

from tui import actions
from tui.actions import Action
from tui.desk import Desk
from tui.views import header, tabs
from tui.views.frame import Line, Span, width_of
from tui.widgets.pane import Lines

Offered = Callable[[Iterable[Action]], Iterable[tuple[Action, str]]]


class HeaderBar(Lines):
    """Alerts, freshness, jobs, quota, engine, clock: always from the live state, never paused."""

    def draw(self) -> None:
        line = header.line(self.desk.state, self.desk.moment(), self.room.width, self.desk.glyphs)
        self.paint([line], fades=False)


class TabBar(Lines):
    """The screens by their keys, which one this is, and how one came here. A click on a name goes there."""

    kind = actions.OVERVIEW
    crumbs: tuple[str, ...] = ()

    def draw(self) -> None:
        self.paint([tabs.line(self.kind, self.crumbs, self.room.width, self.desk.glyphs)], fades=False)

    async def on_click(self, event: events.Click) -> None:
        kind = tabs.at(event.x, self.kind, self.crumbs, self.room.width)
        if kind is not None:
            await self.app.run_action(f"go('{kind}')")


class FooterBar(Lines):
    """What can be done here and now, from the table of actions; whole entries only."""

    screen_name = actions.OVERVIEW

    def __init__(self, desk: Desk, offered: Offered, *, id: str) -> None:  # noqa: A002 - Textual's name
        """`offered`: which actions would do something, and what they are called then."""
        super().__init__(desk, id=id)
        self._offered = offered

    def draw(self) -> None:
        self.paint([self._line(self.room.width)], fades=False)

    def _line(self, width: int) -> Line:
        named = actions.footer(self.desk.options.actions, self.screen_name, self.desk.read_only)
        entries = [self._entry(action, label) for action, label in self._offered(named)]
        # The last two, help and quit, are what nobody may be left without.
        while len(entries) > 2 and sum(map(width_of, entries)) > width:
            del entries[-3]
        return tuple(span for entry in entries for span in entry)

    def _entry(self, action: Action, label: str) -> Line:
        key = self.desk.glyphs.enter if action.keys == "enter" else self.plain(action.key)
        return (Span(f" {key}", "accent"), Span(f" {label} ", "dim"))

    def plain(self, key: str) -> str:
        """A key in the alphabet of the terminal."""
        if self.desk.glyphs.enter.isascii():
            return key.replace("↑", "up").replace("↓", "down")
        return key
