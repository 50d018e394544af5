"""Two days of one stored series."""

from collections.abc import Iterable, Sequence
from functools import partial

from textual.containers import Horizontal
from textual.widget import Widget

from tui import actions, command_lines
from tui.archive.series import Bar
from tui.desk import Desk
from tui.lookups import Lookup
from tui.screens.asked import SERIES, bars_in, paced
from tui.screens.live import LiveScreen
from tui.views import days
from tui.views.frame import Canvas, View
from tui.views.stored import Name
from tui.widgets.pane import Pane


class CompareScreen(LiveScreen):
    """The newest day that has a closed bar and the one before it, until other days are chosen."""

    kind = actions.COMPARE
    section = actions.DATA

    def __init__(self, desk: Desk, series: str) -> None:
        super().__init__(desk)
        self.series = series
        self.name_parts = Name.parse(series)
        self.back = 0
        self.panes = {
            "figures": Pane(desk, self._figures, id="figures", selectable=False),
            "older": Pane(desk, partial(self._picture, "older"), id="older", selectable=False),
            "newer": Pane(desk, partial(self._picture, "newer"), id="newer", selectable=False),
        }

    def layout_panes(self) -> Iterable[Widget]:
        yield self.panes["figures"]
        yield Horizontal(self.panes["older"], self.panes["newer"], id="days")

    def crumbs(self) -> tuple[str, ...]:
        return (self.series, "two days")

    def copied(self) -> str:
        return self.series

    def command_line(self) -> str:
        return command_lines.of_stored("", self.series, "")

    def lookups(self) -> Sequence[Lookup[object]]:
        series = paced(SERIES, self.desk.state)
        return (series,) if self.day is None else (self._asked(), series)

    @property
    def day(self) -> int | None:
        """The start of the newer day in UTC epoch seconds; None while it is not known."""
        known = (self.desk.answer(SERIES).found or {}).get(self.series)
        if known is None or known.last_bar is None:
            return None
        return known.last_bar // days.DAY * days.DAY - self.back * days.DAY

    def action_move_day(self, back: int) -> None:
        """So many days further back, to the newest one at most."""
        self.back = max(0, self.back + back)
        self.post_message(self.ShowsOther())

    def _asked(self) -> Lookup[Sequence[Bar]]:
        return bars_in(self.series, days.window_of(self.day or 0, self.name_parts))

    def _figures(self, canvas: Canvas) -> View:
        return days.figures_view(self.name_parts, self.day, self.desk.answer(self._asked()), canvas)

    def _picture(self, which: str, canvas: Canvas) -> View:
        height = self.panes[which].page_rows
        answer = self.desk.answer(self._asked())
        return days.day_view(self.name_parts, self.day, answer, canvas, height, newer=which == "newer")
