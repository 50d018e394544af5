"""What an operator orders about alerts: acknowledge, silence, and take either back."""

from typing import TYPE_CHECKING

from core.alerting.silences import Silence, is_silenced
from core.events import AlertChanged
from core.text import counted
from tui.questions import SILENCES
from tui.screens.alert_forms import ack_form, ack_order, silence_form, silence_order
from tui.screens.modals import Question
from tui.views.silences import covered

if TYPE_CHECKING:
    from tui.operator import OperatorApp

NO_ALERT = "no alert selected: 4 lists them"


def acknowledge(app: "OperatorApp") -> None:
    """Ask for how long, and say it to the engine."""
    alert = _open_alert(app)
    if alert is None:
        return

    def answered(values: dict[str, str] | None) -> None:
        if values is not None:
            app.order("ack", alert.alert, alert=alert.alert, by=app.desk.options.user, **ack_order(values))

    app.push_screen(ack_form(alert), answered)


def silence(app: "OperatorApp") -> None:
    """Ask what is to be silenced for how long, beginning with what is like the selected alert."""
    if not app.may_act():
        return
    alert = app.live.selected_alert() if app.live else None
    author = app.desk.options.user

    def answered(values: dict[str, str] | None) -> None:
        if values is not None:
            app.order("silence", f"{values['rule']} {values['source']}", author=author, **silence_order(values))

    known = list(app.desk.state.alerts.values())
    app.push_screen(silence_form(alert, known, author, app.desk.clock.wall()), answered)


def take_back(app: "OperatorApp") -> None:
    """End the selected silence, or what keeps the selected alert quiet: its acknowledgement first."""
    if not app.may_act():
        return
    given = app.live.selected_silence() if app.live else None
    if given is not None:
        _end(app, given)
        return
    alert = _open_alert(app)
    if alert is None:
        return
    if alert.acked_by:
        app.order("unack", alert.alert, alert=alert.alert, by=app.desk.options.user)
        return
    given = is_silenced(alert, app.desk.state.answer(SILENCES).found or (), app.desk.clock.wall())
    if given is not None:
        _end(app, given)
    else:
        app.say(f"{alert.alert} is neither acknowledged nor silenced", "warning")


def _end(app: "OperatorApp", given: Silence) -> None:
    """Others may rely on it: ask first."""
    matching = counted(len(covered(given, app.desk.state.alerts.values())), "open alert")
    question = f"End the silence of {given.rule} {given.source}, by {given.author}? It covers {matching}."

    def answered(answer: str | None) -> None:
        if answer == "y":
            app.order("unsilence", given.silence, silence=given.silence)

    app.push_screen(Question(question, (("y", "end this silence"),)), answered)


def _open_alert(app: "OperatorApp") -> AlertChanged | None:
    """The selected one, if anything can be done about it; else it is said why not."""
    if not app.may_act():
        return None
    alert = app.live.selected_alert() if app.live else None
    if alert is None:
        app.say(NO_ALERT, "warning")
    elif not alert.is_open:
        app.say(f"{alert.alert} is over", "warning")
        return None
    return alert
