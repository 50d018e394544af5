"""The list of alerts: open ones first, the gravest and newest on top, each below the one that explains it."""

from collections.abc import Iterable, Mapping
from functools import partial

from core.events import AlertChanged
from tui import text
from tui.query import Choice, Fields
from tui.state import ViewState
from tui.text import Glyphs
from tui.views.frame import Canvas, Column, Line, Listing, View, choose, folded, head, row

LEVELS = ("CRITICAL", "ERROR", "WARNING", "INFO")
SHORT = {"CRITICAL": "CRIT", "ERROR": "ERROR", "WARNING": "WARN", "INFO": "INFO"}
STYLES = {"CRITICAL": "bad", "ERROR": "bad", "WARNING": "warn", "INFO": "busy"}
SPOKEN_STATES = {"no_data": "no data", "inactive": "resolved"}
QUIET = frozenset({"acked", "silenced", "explained"})
URGENCY = "urgency"

COLUMNS = (
    Column("level", "LEVEL", 7, "<", 100),
    Column("state", "STATE", 12, "<", 92),
    Column("since", "SINCE", 5, ">", 90),
    Column("count", "TIMES", 5, ">", 30),
    Column("rule", "RULE", 20, "|", 60),
    Column("source", "SOURCE", 19, "|", 50, grow=1),
    Column("message", "MESSAGE", 12, "<", 95, grow=3),
    Column("cause", "BECAUSE OF", 14, "|", 20, grow=1),
)
FIELDS: Fields[AlertChanged] = {
    "level": lambda alert: alert.level,
    "state": lambda alert: f"{standing(alert)} {alert.state}",
    "since": lambda alert: alert.since,
    "rule": lambda alert: alert.rule,
    "source": lambda alert: alert.source,
    "message": lambda alert: alert.message,
    "cause": lambda alert: alert.inhibited_by,
    "acked": lambda alert: alert.acked_by,
    "count": lambda alert: alert.count,
    URGENCY: lambda alert: (not alert.is_open) * 1e13 + rank(alert) * 1e11 - alert.since,
}
SORTS = (URGENCY, "level", "state", "since", "rule", "source", "count")
DEFAULT = Choice(sort=URGENCY)


def rank(alert: AlertChanged) -> int:
    """0 for the gravest level."""
    return LEVELS.index(alert.level) if alert.level in LEVELS else len(LEVELS)


def standing(alert: AlertChanged, now: float = 0.0) -> str:
    """Its state in a word: what keeps an open alert from being told comes before how it is."""
    if alert.is_open:
        if (alert.silenced_until or 0.0) > now:
            return "silenced"
        if alert.inhibited_by:
            return "explained"
        if alert.acked_by and (alert.acked_until or 0.0) > now:
            return "acked"
    return SPOKEN_STATES.get(alert.state, alert.state)


def style_of(alert: AlertChanged, now: float = 0.0) -> str:
    """As grave as its level while it is told."""
    return "dim" if not alert.is_open or standing(alert, now) in QUIET else STYLES.get(alert.level, "plain")


def as_tree(keys: Iterable[str], alerts: Mapping[str, AlertChanged]) -> dict[str, int]:
    """The same keys with what an alert explains right below it, and how deep; what goes in a circle stays on top."""
    listed = dict.fromkeys(keys)
    below: dict[str, list[str]] = {}
    for key in listed:
        cause = alerts[key].inhibited_by
        if cause in listed and cause != key:
            below.setdefault(cause, []).append(key)
    explained = {key for found in below.values() for key in found}
    depths: dict[str, int] = {}
    for top in (*(key for key in listed if key not in explained), *listed):
        _descend(top, below, depths)
    return depths


def _descend(top: str, below: Mapping[str, list[str]], depths: dict[str, int]) -> None:
    waiting = [(top, 0)]
    while waiting:
        key, depth = waiting.pop()
        if key not in depths:
            depths[key] = depth
            waiting += [(found, depth + 1) for found in reversed(below.get(key, ()))]


def line(alert: AlertChanged, width: int, glyphs: Glyphs, now: float, depth: int = 0) -> Line:
    """One alert in `width` cells, `depth` below what explains it; `now` is UTC epoch seconds."""
    return row(choose(COLUMNS, width), partial(_cell, alert, glyphs, now, depth), glyphs)


def _cell(alert: AlertChanged, glyphs: Glyphs, now: float, depth: int, name: str, _cells: int) -> tuple[str, str]:
    style = style_of(alert, now)
    if name in {"level", "state"}:
        word = alert.level if name == "level" else standing(alert, now)
        return f"{glyphs.states.get(word, '?')} {SHORT.get(word, word)}", style
    if name == "message":
        return f"{_branch(depth, glyphs)}{alert.message}", "plain" if alert.is_open else "dim"
    shown = {
        "since": text.age(now - alert.since),
        "count": f"x{text.count(alert.count)}" if alert.count > 1 else "",
        "cause": alert.inhibited_by,
    }
    words = shown[name] if name in shown else str(FIELDS[name](alert))
    return words, "strong" if name == "rule" and style != "dim" else "dim"


def _branch(depth: int, glyphs: Glyphs) -> str:
    return f"{' ' * 2 * (min(depth, 4) - 1)}{glyphs.branch} " if depth else ""


def view(state: ViewState, listing: Listing, canvas: Canvas) -> View:
    """The alerts pane."""
    keys, choice, error = listing
    width, glyphs, now, *_ = canvas
    alerts = state.alerts
    is_tree = choice.sort == URGENCY and not choice.descending
    depths = as_tree(keys, alerts) if is_tree else dict.fromkeys(keys, 0)
    return View(
        title=f"Alerts {summary(state, glyphs)}",
        aside=f"filter: {choice.filter}" if choice.filter else f"{len(alerts)} known" if alerts else "",
        note=error or (state.link.reason if state.heard is None else ""),
        keys=list(depths),
        line=lambda key: line(alerts[key], width, glyphs, now, depths[key]),
        head=head(choose(COLUMNS, width), choice.sort, choice.descending, glyphs),
        empty=folded(_nothing(state, choice), canvas),
    )


def _nothing(state: ViewState, choice: Choice) -> str:
    if state.alerts:
        return f"No alert matches {choice.filter!r} ({len(state.alerts)} hidden): esc clears the filter"
    return "No alerts." if state.heard is not None else f"Unknown: {state.link.reason or 'no engine yet.'}"


def summary(state: ViewState, glyphs: Glyphs) -> str:
    """`✖1 ▲2`: open alerts by gravity; `unknown` before any engine told."""
    firing = state.firing
    grave = sum(alert.level in {"CRITICAL", "ERROR"} for alert in firing)
    warnings = sum(alert.level == "WARNING" for alert in firing)
    parts = [f"{glyphs.states[level]}{number}" for level, number in (("ERROR", grave), ("WARNING", warnings)) if number]
    nothing = "unknown" if state.heard is None else "none firing"
    return " ".join(parts) or (f"{len(firing)} info" if firing else nothing)
