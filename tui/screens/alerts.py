"""The screens of alerts: all of them with what is silenced, and one of them in full."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from textual.containers import Horizontal
from textual.screen import Screen
from textual.widget import Widget

from core.alerting.silences import Silence
from core.events import AlertChanged
from tui import actions
from tui.archive.alerts import AlertPast
from tui.desk import Desk
from tui.lookups import Lookup
from tui.questions import OPEN_ALERTS, SILENCES
from tui.screens.live import LiveScreen
from tui.screens.modals import Reader
from tui.state import ViewState
from tui.tables import Table
from tui.views import alert, alerts, silences
from tui.views.frame import Canvas, View
from tui.widgets.pane import Pane


class AlertsScreen(LiveScreen):
    """All alerts, open ones first, the one under the cursor in full, and the silences in force."""

    kind = actions.ALERTS

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.alert_table = Table(desk, "alerts", alerts.FIELDS, alerts.DEFAULT, alerts.SORTS)
        self.tables = {"all_alerts": self.alert_table}
        self._counted: tuple[object, object, Mapping[str, int]] = (None, None, {})
        self.panes = {
            "all_alerts": Pane(desk, self._alerts, id="all_alerts"),
            "this_alert": Pane(desk, self._alert, id="this_alert", selectable=False),
            "silences": Pane(desk, self._silences, id="silences"),
        }

    def layout_panes(self) -> list[Widget]:
        below = Horizontal(self.panes["this_alert"], self.panes["silences"], id="about_alerts")
        return [self.panes["all_alerts"], below]

    def lookups(self) -> Sequence[Lookup[object]]:
        return (SILENCES,) if self.desk.shown.heard is not None else (OPEN_ALERTS, SILENCES)

    @property
    def _as_known(self) -> ViewState:
        """What is shown; before any engine has told anything, with the alerts that the store has."""
        state = self.desk.shown
        found = state.answer(OPEN_ALERTS).found
        if state.heard is not None or not found:
            return state
        return replace(state, alerts={each.alert: each for each in found})

    def selected_alert(self) -> AlertChanged | None:
        return self._as_known.alerts.get(self.panes["all_alerts"].cursor or "")

    def selected_silence(self) -> Silence | None:
        """The one under the cursor, while its pane has the focus."""
        pane = self.panes["silences"]
        found = self.desk.shown.answer(SILENCES).found or ()
        return next((each for each in found if pane.has_focus and each.silence == pane.cursor), None)

    def on_pane_cursor_moved(self, message: Pane.CursorMoved) -> None:
        super().on_pane_cursor_moved(message)
        self.panes["this_alert"].redraw()

    def opens(self, pane: Pane) -> Screen[Any] | None:
        selected = self.selected_alert()
        if pane.id == "all_alerts" and selected is not None:
            return AlertScreen(self.desk, selected.alert, selected)
        given = self.selected_silence() if pane.id == "silences" else None
        if given is None:
            return None
        return Reader(
            self.desk, "Silence", silences.facts(given, self._as_known.alerts.values(), self.desk.clock.wall())
        )

    def command_line(self) -> str:
        selected = self.selected_alert()
        return selected.command if selected else ""

    def _alerts(self, canvas: Canvas) -> View:
        state = self._as_known
        return alerts.view(state, self.alert_table.listing(state.alerts), canvas)

    def _alert(self, canvas: Canvas) -> View:
        return alert.facts_view(self.selected_alert(), self._as_known.alerts, canvas)

    def _silences(self, canvas: Canvas) -> View:
        state = self._as_known
        return silences.view(state.answer(SILENCES), self._covers(state), canvas)

    def _covers(self, state: ViewState) -> Mapping[str, int]:
        """How many open alerts each silence covers; counted anew only when either has changed."""
        found, known = state.answer(SILENCES).found or (), state.alerts
        if self._counted[0] is not found or self._counted[1] is not known:
            self._counted = (found, known, silences.counts(found, known.values()))
        return self._counted[2]


class AlertScreen(LiveScreen):
    """One alert: what is so, what the engine does, what to try, what became of it and who was told."""

    kind = actions.ALERT
    section = actions.ALERTS

    def __init__(self, desk: Desk, key: str, known: AlertChanged | None = None) -> None:
        """`known` is how the store has it."""
        super().__init__(desk)
        self.key = key
        self._past: Lookup[AlertPast] = Lookup(f"alert {key}", lambda archive: archive.alert_past(key), every=5.0)
        self._last = desk.shown.alerts.get(key, known)
        self.panes = {
            "alert_facts": Pane(desk, self._facts, id="alert_facts", selectable=False),
            "changes": Pane(desk, self._changes, id="changes"),
            "notices": Pane(desk, self._notices, id="notices"),
        }

    def layout_panes(self) -> list[Widget]:
        return [self.panes["alert_facts"], Horizontal(self.panes["changes"], self.panes["notices"], id="alert_past")]

    def crumbs(self) -> tuple[str, ...]:
        return (self.key,)

    def lookups(self) -> Sequence[Lookup[object]]:
        return (self._past, SILENCES)

    def selected_alert(self) -> AlertChanged | None:
        """It stays as it was last, once the engine has forgotten it."""
        self._last = self.desk.shown.alerts.get(self.key, self._last)
        return self._last

    def opens(self, pane: Pane) -> Reader | None:
        past, at = self.desk.shown.answer(self._past).found, int(pane.cursor or 0)
        if past is not None and pane.id == "changes" and at < len(past.changes):
            return Reader(self.desk, "Change", alert.change_facts(past.changes[at]))
        if past is not None and pane.id == "notices" and at < len(past.notices):
            return Reader(self.desk, "Told", alert.notice_facts(past.notices[at]))
        return None

    def command_line(self) -> str:
        return self._last.command if self._last else ""

    def _facts(self, canvas: Canvas) -> View:
        return alert.facts_view(self.selected_alert(), self.desk.shown.alerts, canvas, self.key)

    def _changes(self, canvas: Canvas) -> View:
        return alert.changes_view(self.desk.shown.answer(self._past), canvas)

    def _notices(self, canvas: Canvas) -> View:
        return alert.notices_view(self.desk.shown.answer(self._past), canvas)
