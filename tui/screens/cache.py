"""What is cached, what is left of the vendor's limits, and what its calls were for."""

from collections.abc import Sequence

from textual.containers import Horizontal
from textual.widget import Widget

from tui import actions
from tui.desk import Desk
from tui.lookups import Lookup
from tui.questions import HOURS, SPENT
from tui.screens.live import LiveScreen
from tui.tables import Table
from tui.views import cache, quota
from tui.views.frame import Canvas, View
from tui.widgets.pane import Pane


class CacheScreen(LiveScreen):
    """Every vendor call counts: which were saved, which are left, what took them."""

    kind = actions.CACHE

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.spent_table = Table(desk, "spent", quota.FIELDS, quota.DEFAULT, quota.SORTS)
        self.tables = {"spent": self.spent_table}
        self.panes = {
            "spent": Pane(desk, self._spent, id="spent"),
            "limits": Pane(desk, self._limits, id="limits", selectable=False),
            "forecast": Pane(desk, self._forecast, id="forecast", selectable=False),
            "tiers": Pane(desk, self._tiers, id="tiers", selectable=False),
            "hit_rates": Pane(desk, self._rates, id="hit_rates", selectable=False),
            "kinds": Pane(desk, self._kinds, id="kinds", selectable=False),
        }

    def layout_panes(self) -> list[Widget]:
        panes = self.panes
        return [
            panes["tiers"],
            Horizontal(panes["hit_rates"], panes["kinds"], id="cache_more"),
            Horizontal(panes["limits"], panes["forecast"], id="quota_row"),
            panes["spent"],
        ]

    def lookups(self) -> Sequence[Lookup[object]]:
        return (SPENT, HOURS)

    def _tiers(self, canvas: Canvas) -> View:
        return cache.tiers_view(self.desk.shown, canvas)

    def _rates(self, canvas: Canvas) -> View:
        return cache.rates_view(self.desk.shown, self.desk.shown.answer(HOURS), canvas)

    def _kinds(self, canvas: Canvas) -> View:
        return cache.kinds_view(self.desk.shown, canvas)

    def _limits(self, canvas: Canvas) -> View:
        return quota.limits_view(self.desk.shown, canvas)

    def _forecast(self, canvas: Canvas) -> View:
        return quota.forecast_view(self.desk.shown, self.desk.shown.answer(SPENT), canvas)

    def _spent(self, canvas: Canvas) -> View:
        answer = self.desk.shown.answer(SPENT)
        return quota.spent_view(answer, self.spent_table.listing(quota.taken_of(answer)), canvas)
