"""How the parts of the whole are, who the engine is, and how long what it does takes."""

from collections.abc import Sequence

from core.events import EngineSample, Hello
from tui import text
from tui.archive.figures import Component, Past, Timing
from tui.lookups import Answer
from tui.state import ViewState
from tui.views import answers
from tui.views.frame import Canvas, Column, Line, Span, View, choose, crop, folded, head, row, words

HEALTH = {
    "ok": ("done", "ok"),
    "degraded": ("waiting", "warn"),
    "failing": ("failed", "bad"),
    "down": ("failed", "bad"),
    "unknown": ("queued", "dim"),
}
"""Of each health the name of its glyph and its style."""
TIMINGS = (
    Column("operation", "OPERATION", 12, "<", 100, grow=1),
    Column("kind", "OF", 10, "|", 95, grow=1),
    Column("times", "TIMES", 6, ">", 80),
    Column("success", "OK", 5, ">", 90),
    Column("p50", "HALF IN", 7, ">", 60),
    Column("p95", "95% IN", 7, ">", 85),
)
NAME_WIDTH = 9
IDLE = "Nothing was done in that time."


def view(state: ViewState, answer: Answer[Sequence[Component]], canvas: Canvas) -> View:
    """Components with what is wrong with them, then the engine's identity."""
    lines = [line for part in answer.found or () for line in _component(part, canvas)]
    if not lines:
        lines = [words(answers.missing(answer, "No parts are known."), canvas.width, "dim", canvas.glyphs)]
    lines += _identity(state.hello, state.engine, canvas) if state.hello else []
    return View(
        title="Health",
        aside=answers.read_words(answer, canvas),
        note=answer.trouble,
        keys=[str(at) for at in range(len(lines))],
        line=lambda key: lines[int(key)],
    )


def _component(part: Component, canvas: Canvas) -> list[Line]:
    width, glyphs, *_ = canvas
    glyph, style = HEALTH.get(part.health, ("queued", "plain"))
    state = f"{glyphs.states[glyph]} {text.fit(part.health, 9, '<', glyphs.more)}"
    name = Span(text.fit(part.name, NAME_WIDTH, "<", glyphs.more), "strong")
    room = max(8, width - NAME_WIDTH - 12)
    why = text.wrap(part.why, room)[:3] or [""]
    first: Line = (name, Span(f"{state} ", style), _why(why[0], glyphs.more, room))
    rest: list[Line] = [(Span(" " * (NAME_WIDTH + 12)), _why(each, glyphs.more, room)) for each in why[1:]]
    return [crop(line, width, glyphs) for line in (first, *rest)]


def _why(part: str, more: str, room: int) -> Span:
    return Span(text.fit(part, room, "<", more).rstrip(), "dim")


def _identity(hello: Hello, sample: EngineSample | None, canvas: Canvas) -> list[Line]:
    up = f", up {text.age(sample.uptime_seconds)}" if sample else ""
    facts = (
        ("pid", f"{hello.pid}, {hello.kind} engine {hello.engine}{up}"),
        ("version", f"{hello.version}, protocol {hello.protocol}" + (", read-only" if hello.read_only else "")),
        ("store", hello.store),
        ("source", hello.source),
    )
    more = canvas.glyphs.more
    return [
        (Span(text.fit(name, NAME_WIDTH), "dim"), Span(text.fit(value, max(1, canvas.width - NAME_WIDTH), "|", more)))
        for name, value in facts
    ]


def timings_view(answer: Answer[Past], canvas: Canvas) -> View:
    """How long calls, commits and all else took in the last hour."""
    timings = {f"{each.operation} {each.kind}": each for each in answer.found.timings} if answer.found else {}
    return View(
        title="Took, last 60 minutes",
        aside=answers.read_words(answer, canvas),
        note=answer.trouble,
        keys=list(timings),
        line=lambda key: _timing_line(timings[key], canvas),
        head=head(choose(TIMINGS, canvas.width), "", False, canvas.glyphs),
        empty=folded(answers.missing(answer, IDLE), canvas),
    )


def _timing_line(timing: Timing, canvas: Canvas) -> Line:
    def cell(name: str, _cells: int) -> tuple[str, str]:
        match name:
            case "success":
                return f"{100 * timing.success:.3g}%", "ok" if timing.success >= 1 else "warn"
            case "p50" | "p95":
                return text.took(getattr(timing, name)), "plain"
            case "times":
                return text.count(timing.times), "plain"
        return str(getattr(timing, name)), "strong" if name == "operation" else "plain"

    return row(choose(TIMINGS, canvas.width), cell, canvas.glyphs)
