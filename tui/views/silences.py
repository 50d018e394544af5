"""Silences: who wants to hear nothing of what, for how long, and how much that is."""

from collections.abc import Collection, Iterable, Mapping, Sequence

from core.alerting.silences import Silence
from core.events import AlertChanged
from core.text import counted
from tui import text
from tui.lookups import Answer
from tui.views import answers
from tui.views.frame import Canvas, Column, Line, View, choose, folded, head, row

COLUMNS = (
    Column("left", "LEFT", 5, ">", 100),
    Column("matches", "OPEN", 4, ">", 90),
    Column("rule", "RULE", 12, "|", 95, grow=1),
    Column("source", "SOURCE", 10, "|", 80, grow=1),
    Column("level", "LEVEL", 8, "<", 30),
    Column("author", "BY", 8, "|", 50),
    Column("until", "UNTIL", 16, "<", 20),
    Column("comment", "COMMENT", 8, "<", 60, grow=2),
)
ENDING = 900.0
NONE = "Nothing is silenced: Z on an alert silences what is like it, for a while."


def covered(silence: Silence, alerts: Iterable[AlertChanged]) -> list[AlertChanged]:
    """The open alerts that it matches."""
    return [alert for alert in alerts if alert.is_open and silence.matches(alert)]


def counts(silences: Iterable[Silence], alerts: Collection[AlertChanged]) -> dict[str, int]:
    """How many open alerts each of them covers, by its id."""
    return {each.silence: len(covered(each, alerts)) for each in silences}


def view(answer: Answer[Sequence[Silence]], covers: Mapping[str, int], canvas: Canvas) -> View:
    """The pane of silences in force, what ends first first; `covers` is how many open alerts each matches."""
    time = canvas.time
    silences = {each.silence: each for each in answer.found or () if each.until > time}
    idle = sum(not covers.get(key) for key in silences)

    def line(key: str) -> Line:
        return _line(silences[key], covers.get(key, 0), canvas)

    return View(
        title=f"Silences {len(silences)}" + (f", {idle} matching nothing" if idle else ""),
        aside=answers.read_words(answer, canvas),
        note=answer.trouble,
        keys=list(silences),
        line=line,
        head=head(choose(COLUMNS, canvas.width), "", False, canvas.glyphs),
        empty=folded(answers.missing(answer, NONE), canvas),
    )


def _line(silence: Silence, matches: int, canvas: Canvas) -> Line:
    left = silence.until - canvas.time

    def cell(name: str, _cells: int) -> tuple[str, str]:
        match name:
            case "left":
                return text.age(left), "warn" if left < ENDING else "plain"
            case "matches":
                return (str(matches), "plain") if matches else ("none", "warn")
            case "until":
                return text.moment(silence.until), "dim"
        return str(getattr(silence, name)), "strong" if name == "rule" else "dim"

    return row(choose(COLUMNS, canvas.width), cell, canvas.glyphs)


def facts(silence: Silence, alerts: Iterable[AlertChanged], time: float) -> list[tuple[str, str]]:
    """All of one silence, for the reader."""
    matching = [alert.alert for alert in covered(silence, alerts)]
    return [
        ("silence", silence.silence),
        ("rule", silence.rule),
        ("source", silence.source),
        ("level", silence.level),
        ("by", silence.author),
        ("comment", silence.comment),
        ("since", text.moment(silence.created)),
        ("until", f"{text.moment(silence.until)}, in {text.age(silence.until - time)}"),
        ("covers", f"{counted(len(matching), 'open alert')} {', '.join(matching)}".strip()),
    ]
