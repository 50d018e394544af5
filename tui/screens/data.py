"""What is stored: every series, in figures or by month."""

from collections.abc import Sequence
from typing import Any

from textual.screen import Screen

from tui import actions
from tui.archive.series import StoredSeries
from tui.desk import Desk
from tui.lookups import Lookup
from tui.screens.asked import COVERAGES, SERIES, paced
from tui.screens.live import LiveScreen
from tui.screens.stored import StoredScreen
from tui.tables import Table
from tui.views import data, heat
from tui.views.frame import Canvas, View
from tui.widgets.pane import Pane


class DataScreen(LiveScreen):
    """Every stored series: how much of it there is, how late it is, and which of its months are there."""

    kind = actions.DATA

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.by_month = False
        fields = data.fields(desk.vendor_time)
        self.table_of_series: Table[StoredSeries] = Table(desk, "stored", fields, data.DEFAULT, data.SORTS)
        self.tables = {"stored": self.table_of_series}
        self.panes = {"stored": Pane(desk, self._view, id="stored")}

    def lookups(self) -> Sequence[Lookup[object]]:
        asked = (SERIES, COVERAGES) if self.by_month else (SERIES,)
        return [paced(lookup, self.desk.state) for lookup in asked]

    def selected_series(self) -> str | None:
        pane = self.panes["stored"]
        return pane.cursor if pane.view.keys else None

    def opens(self, _pane: Pane) -> Screen[Any] | None:
        series = self.selected_series()
        return StoredScreen(self.desk, series) if series else None

    def action_months(self) -> None:
        """The same rows, as months or as figures."""
        self.by_month = not self.by_month
        self.post_message(self.ShowsOther())

    def _view(self, canvas: Canvas) -> View:
        answer = self.desk.answer(SERIES)
        listing = self.table_of_series.listing(answer.found or {})
        if self.by_month and answer.found:
            return heat.list_view(self.desk.answer(COVERAGES), listing, canvas)
        return data.view(answer, listing, canvas)
