"""One alert: all that is known of it, what became of it, and who was told."""

from collections.abc import Callable, Mapping

from core.events import AlertChanged
from core.text import counted
from tui import text
from tui.archive.alerts import AlertChange, AlertPast, Notice
from tui.lookups import Answer
from tui.views import alerts, answers
from tui.views.frame import Canvas, Column, Line, Span, View, choose, folded, head, row

NAME_WIDTH = 9
CHANGES = (
    Column("time", "TIME", 16, "<", 90),
    Column("level", "LEVEL", 7, "<", 60),
    Column("state", "STATE", 12, "<", 95),
    Column("value", "VALUE", 8, ">", 40),
    Column("message", "WHAT", 10, "<", 100, grow=1),
)
NOTICES = (
    Column("time", "TIME", 16, "<", 90),
    Column("channel", "CHANNEL", 10, "|", 100, grow=1),
    Column("kind", "WHAT", 8, "<", 80),
    Column("state", "STATE", 12, "<", 95),
    Column("attempts", "TRIES", 5, ">", 40),
    Column("error", "ERROR", 8, "<", 60, grow=3),
)
OUTCOMES = {
    "waiting": ("waiting", "busy"),
    "sent": ("done", "ok"),
    "suppressed": ("held", "dim"),
    "dead": ("failed", "bad"),
}
NOT_TOLD = "Nobody was told: no channel takes it, or something keeps it quiet."


def facts(alert: AlertChanged, known: Mapping[str, AlertChanged], time: float) -> list[tuple[str, str]]:
    """Everything about one alert that is so, the most urgent first; `known` are all, `time` is UTC epoch seconds."""
    explained = [each.alert for each in known.values() if each.inhibited_by == alert.alert and each.is_open]
    facts = [
        ("message", alert.message),
        ("engine", alert.doing),
        ("next", alert.command),
        ("state", f"{alerts.standing(alert, time)}, {alert.level}" + (", flapping" if alert.is_flapping else "")),
        ("because", _because(alert, known)),
        ("explains", f"{counted(len(explained), 'alert')}: {', '.join(explained)}" if explained else ""),
        ("acked", f"by {alert.acked_by} until {text.moment(alert.acked_until)}" if alert.acked_by else ""),
        ("silenced", f"until {text.moment(alert.silenced_until)}" if alert.silenced_until else ""),
        ("since", f"{text.moment(alert.since)}, {text.age(time - alert.since)} ago"),
        ("told", text.moment(alert.fired) if alert.fired else ""),
        ("over", text.moment(alert.resolved) if alert.resolved and not alert.is_open else ""),
        ("times", str(alert.count)),
        ("value", "" if alert.value is None else f"{alert.value:g}"),
        ("rule", alert.rule),
        ("source", alert.source),
        ("alert", alert.alert),
        ("incident", alert.incident),
    ]
    return [(name, value) for name, value in facts if value]


def _because(alert: AlertChanged, known: Mapping[str, AlertChanged]) -> str:
    cause = known.get(alert.inhibited_by)
    return f"{alert.inhibited_by}: {cause.message}" if cause else alert.inhibited_by


def facts_view(
    alert: AlertChanged | None, known: Mapping[str, AlertChanged], canvas: Canvas, title: str = "This alert"
) -> View:
    """Those facts as a pane, folded to its width."""
    width, _, time, *_ = canvas
    lines: list[Line] = []
    for name, value in facts(alert, known, time) if alert else ():
        style = "accent" if name == "next" else "strong" if name == "message" else "plain"
        for at, part in enumerate(text.wrap(value, max(8, width - NAME_WIDTH - 1))):
            lines.append((Span(text.fit(name if at == 0 else "", NAME_WIDTH) + " ", "dim"), Span(part, style)))
    nothing = "No alert selected." if alert is None else ""
    aside = alerts.standing(alert, time) if alert else ""
    return View(
        title=title,
        aside=aside,
        keys=[str(at) for at in range(len(lines))],
        line=lambda key: lines[int(key)],
        empty=folded(nothing, canvas),
    )


def changes_view(answer: Answer[AlertPast], canvas: Canvas) -> View:
    """What became of it, newest first."""
    changes = {str(at): change for at, change in enumerate(answer.found.changes)} if answer.found else {}

    def line(key: str) -> Line:
        return _change_line(changes[key], canvas)

    return _past_view("History", CHANGES, changes, line, answer, canvas, "Nothing is kept of it.")


def _change_line(change: AlertChange, canvas: Canvas) -> Line:
    def cell(name: str, _cells: int) -> tuple[str, str]:
        match name:
            case "time":
                return text.moment(change.time), "dim"
            case "value":
                return "" if change.value is None else f"{change.value:.4g}", "plain"
            case "state":
                word = alerts.SPOKEN_STATES.get(change.state, change.state)
                return f"{canvas.glyphs.states.get(word, '?')} {word}", alerts.STYLES.get(change.level, "plain")
        return str(getattr(change, name)), "plain"

    return row(choose(CHANGES, canvas.width), cell, canvas.glyphs)


def notices_view(answer: Answer[AlertPast], canvas: Canvas) -> View:
    """What was sent to whom, newest first."""
    notices = {str(at): notice for at, notice in enumerate(answer.found.notices)} if answer.found else {}

    def line(key: str) -> Line:
        return _notice_line(notices[key], canvas)

    return _past_view("Told", NOTICES, notices, line, answer, canvas, NOT_TOLD)


def _notice_line(notice: Notice, canvas: Canvas) -> Line:
    glyph, style = OUTCOMES.get(notice.state, ("", "plain"))

    def cell(name: str, _cells: int) -> tuple[str, str]:
        match name:
            case "time":
                return text.moment(notice.ended or notice.created), "dim"
            case "state":
                return f"{canvas.glyphs.states.get(glyph, '?')} {notice.state}", style
            case "error":
                return notice.error, "bad" if notice.error else "dim"
        return str(getattr(notice, name)), "strong" if name == "channel" else "plain"

    return row(choose(NOTICES, canvas.width), cell, canvas.glyphs)


def _past_view(
    title: str,
    columns: tuple[Column, ...],
    rows: Mapping[str, object],
    line: Callable[[str], Line],
    answer: Answer[AlertPast],
    canvas: Canvas,
    empty: str,
) -> View:
    return View(
        title=f"{title} {len(rows)}",
        aside=answers.read_words(answer, canvas),
        note=answer.trouble,
        keys=list(rows),
        line=line,
        head=head(choose(columns, canvas.width), "", False, canvas.glyphs),
        empty=folded(answers.missing(answer, empty), canvas),
    )


def change_facts(change: AlertChange) -> list[tuple[str, str]]:
    """One change in full, for the reader."""
    value = "-" if change.value is None else f"{change.value:g}"
    return [
        ("time", text.moment(change.time)),
        ("level", change.level),
        ("state", change.state),
        ("value", value),
        ("what", change.message),
    ]


def notice_facts(notice: Notice) -> list[tuple[str, str]]:
    """One notice in full, for the reader."""
    return [
        ("channel", notice.channel),
        ("what", f"{notice.kind}, {notice.level}"),
        ("state", f"{notice.state} after {counted(notice.attempts, 'attempt')} that failed"),
        ("created", text.moment(notice.created)),
        ("ended", text.moment(notice.ended)),
        ("error", notice.error),
    ]
