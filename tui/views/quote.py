"""A plan and its cost, for the pane in which a job is ordered."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from core.quotation import means, title_of, totals
from core.text import counted
from tui import text
from tui.text import Glyphs
from tui.views.frame import Canvas, Line, Span, View

EDITING, ASKING, QUOTED, STARTING = "editing", "asking", "quoted", "starting"
SPINNER = ("|", "/", "-", "\\")


@dataclass(frozen=True, slots=True)
class Ordered:
    """How far an order is: EDITING, ASKING what it costs `since` (monotonic seconds), QUOTED or STARTING.

    `problems` are sentences; `command` does the same in a shell.
    """

    phase: str = EDITING
    problems: tuple[str, ...] = ()
    quote: Mapping[str, Any] = field(default_factory=dict)
    since: float = 0.0
    command: str = ""


def refusal(quote: Mapping[str, Any]) -> str:
    """Why a run would be refused, empty when it would not."""
    if not quote["budget"]["is_enough"]:
        return f"it takes {counted(quote['requests'], 'call')}: allow as many by `calls at most`"
    if not quote["month"]["is_enough"]:
        return "the month's budget has too little left"
    return "" if quote["disk"]["is_enough"] else "the disk has too little room"


def is_understood(found: object) -> bool:
    """Whether it is an answer to `quote` that can be shown."""
    try:
        return isinstance(found, dict) and refusal(found) is not None and bool(_plan(found, 80, text.UNICODE))
    except (KeyError, TypeError, ValueError, AttributeError):
        return False


def view(order: Ordered, canvas: Canvas) -> View:
    """What is wrong, what is waited for, or the plan."""
    width, glyphs = canvas.width, canvas.glyphs
    lines = [
        line for problem in order.problems for line in _folded(problem, width, "bad", f"{glyphs.states['failed']} ")
    ]
    if order.phase in {ASKING, STARTING}:
        lines += _waiting(order, canvas)
    elif order.phase == QUOTED:
        lines += _plan(order.quote, width, glyphs)
    if order.command and order.phase != ASKING:
        lines += _folded(order.command, width, "accent", "$ ")
    title = "Not yet" if order.problems else "Starting" if order.phase == STARTING else "Plan"
    return View(title, [str(at) for at in range(len(lines))], lambda at: lines[int(at)], aside=_aside(order))


def _aside(order: Ordered) -> str:
    if order.phase == QUOTED:
        return "refused as it is" if refusal(order.quote) else "enter starts it"
    return "enter: plan and cost" if order.phase == EDITING else "esc stops waiting"


def _waiting(order: Ordered, canvas: Canvas) -> list[Line]:
    seconds = max(0.0, canvas.now - order.since)
    turn = SPINNER[int(seconds) % len(SPINNER)]
    what = "the engine works out what it costs" if order.phase == ASKING else "the engine takes it"
    return _folded(f"{turn} {what}: {text.age(seconds)}", canvas.width, "busy")


def _plan(quote: Mapping[str, Any], width: int, glyphs: Glyphs) -> list[Line]:
    refused = refusal(quote)
    lines = _folded(refused, width, "bad", f"{glyphs.states['failed']} ") if refused else []
    lines += _folded(f"{counted(quote['series_total'], 'series')}: {totals(quote)}", width, "strong")
    if len(quote["operations"]) > 1:
        lines += [part for each in quote["operations"] for part in _folded(f"{title_of(each)}: {totals(each)}", width)]
    *left, budget = means(quote)
    lines += [part for each in (budget, *left) for part in _folded(each, width)]
    lines += [part for each in quote["errors"] for part in _folded(each, width, "warn", f"{glyphs.states['WARNING']} ")]
    lines += [_series(each, width, glyphs) for each in quote["series"]]
    more = quote["series_total"] - len(quote["series"])
    return lines + (_folded(f"and {counted(more, 'series')} more", width, "dim") if more else [])


def _series(part: Mapping[str, Any], width: int, glyphs: Glyphs) -> Line:
    why = ",".join(part["reasons"]) or "nothing missing"
    span = f"{part['start'][:10]} .. {part['end'][:10]}  " if part["start"] else ""
    name_width = max(12, min(44, width - 30))
    rest = f" {text.count(part['requests']):>5} req {text.count(part['rows']):>5} rows  "
    more = span + why if width >= 76 else why
    room = max(0, width - name_width - len(rest))
    return (
        Span(text.fit(part["series"], name_width, "|", glyphs.more), "plain"),
        Span(rest, "dim"),
        Span(text.fit(more, room, "<", glyphs.more).rstrip(), "dim"),
    )


def _folded(words: str, width: int, style: str = "plain", mark: str = "") -> list[Line]:
    """`words` in lines, the first of which begins with `mark`."""
    parts = text.wrap(words, max(8, width - len(mark)))
    return [(Span((mark if at == 0 else " " * len(mark)) + part, style),) for at, part in enumerate(parts)]
