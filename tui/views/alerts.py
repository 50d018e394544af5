"""The list of alerts: firing ones first, the gravest and newest on top."""

from core.events import AlertChanged
from tui import text
from tui.query import Choice, Fields
from tui.state import ViewState
from tui.text import Glyphs
from tui.views.frame import Canvas, Column, Line, Listing, View, choose, head, row, words

LEVELS = ("CRITICAL", "ERROR", "WARNING", "INFO")
SHORT = {"CRITICAL": "CRIT", "ERROR": "ERROR", "WARNING": "WARN", "INFO": "INFO"}
STYLES = {"CRITICAL": "bad", "ERROR": "bad", "WARNING": "warn", "INFO": "busy"}

COLUMNS = (
    Column("level", "LEVEL", 7, "<", 100),
    Column("state", "STATE", 8, "<", 40),
    Column("since", "SINCE", 5, ">", 90),
    Column("count", "TIMES", 5, ">", 30),
    Column("rule", "RULE", 20, "|", 60),
    Column("source", "SOURCE", 30, "|", 50),
    Column("message", "MESSAGE", 10, "<", 95, grow=1),
)
FIELDS: Fields[AlertChanged] = {
    "level": lambda alert: alert.level,
    "state": lambda alert: alert.state,
    "since": lambda alert: alert.since,
    "rule": lambda alert: alert.rule,
    "source": lambda alert: alert.source,
    "message": lambda alert: alert.message,
    "count": lambda alert: alert.count,
    "urgency": lambda alert: (alert.state != "firing") * 1e13 + rank(alert) * 1e11 - alert.since,
}
SORTS = ("urgency", "level", "since", "rule", "source", "count")
DEFAULT = Choice(sort="urgency")


def rank(alert: AlertChanged) -> int:
    """0 for the gravest level."""
    return LEVELS.index(alert.level) if alert.level in LEVELS else len(LEVELS)


def line(alert: AlertChanged, width: int, glyphs: Glyphs, now: float) -> Line:
    """One alert in `width` cells; `now` is UTC epoch seconds."""
    firing = alert.state == "firing"
    style = STYLES.get(alert.level, "plain") if firing else "dim"

    def cell(name: str, _cells: int) -> tuple[str, str]:
        match name:
            case "level":
                glyph = glyphs.states.get(alert.level, "?") if firing else glyphs.states["done"]
                return f"{glyph} {SHORT.get(alert.level, alert.level)}", style
            case "since":
                return text.age(now - alert.since), "dim"
            case "count":
                return f"x{text.count(alert.count)}" if alert.count > 1 else "", "dim"
            case "message":
                return alert.message, "plain" if firing else "dim"
        return str(getattr(alert, name)), "strong" if name == "rule" and firing else "dim"

    return row(choose(COLUMNS, width), cell, glyphs)


def view(state: ViewState, listing: Listing, canvas: Canvas) -> View:
    """The alerts pane."""
    keys, choice, error = listing
    width, glyphs, now, _ = canvas
    alerts = state.alerts
    return View(
        title=f"Alerts {summary(state, glyphs)}",
        aside=f"filter: {choice.filter}" if choice.filter else f"{len(alerts)} known" if alerts else "",
        note=error,
        keys=keys,
        line=lambda key: line(alerts[key], width, glyphs, now),
        head=head(choose(COLUMNS, width), choice.sort, choice.descending, glyphs),
        empty=(words(_nothing(state, choice), width, "dim", glyphs),),
    )


def _nothing(state: ViewState, choice: Choice) -> str:
    if state.alerts:
        return f"No alert matches {choice.filter!r} ({len(state.alerts)} hidden): esc clears the filter"
    return "No alerts." if state.heard is not None else "Unknown: no engine yet."


def summary(state: ViewState, glyphs: Glyphs) -> str:
    """`✖1 ▲2`: firing alerts by gravity."""
    firing = state.firing
    grave = sum(alert.level in {"CRITICAL", "ERROR"} for alert in firing)
    warnings = sum(alert.level == "WARNING" for alert in firing)
    parts = [f"{glyphs.states[level]}{number}" for level, number in (("ERROR", grave), ("WARNING", warnings)) if number]
    return " ".join(parts) or ("none firing" if not firing else f"{len(firing)} info")


def facts(alert: AlertChanged) -> list[tuple[str, str]]:
    """Everything about one alert, for the reader."""
    return [
        ("level", alert.level),
        ("state", alert.state),
        ("rule", alert.rule),
        ("since", text.moment(alert.since)),
        ("times", str(alert.count)),
        ("source", alert.source),
        ("alert", alert.alert),
        ("message", alert.message),
    ]
