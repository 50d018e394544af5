"""One series within one job: how far it is, and all that went wrong with it."""

from collections.abc import Sequence
from functools import partial

from core.events import SeriesChanged
from core.text import counted
from tui import text
from tui.state import LogEntry, Trouble
from tui.views import series
from tui.views.frame import Canvas, Column, Line, Span, View, choose, crop, folded, head, row, words

KINDS = {
    "failed": ("failed", "given up", "bad"),
    "retry": ("waiting", "retry", "warn"),
    "gap": ("queued", "gap", "warn"),
    "quarantine": ("cancelled", "quarantine", "warn"),
}
"""Of each kind of trouble its glyph's name, its word and its style."""
COLUMNS = (
    Column("time", "TIME", 9, "<", 80),
    Column("kind", "WHAT", 12, "<", 100),
    Column("start", "FROM", 16, "<", 60),
    Column("end", "TO", 16, "<", 50),
    Column("words", "WHY", 10, "<", 90, grow=1),
)


def counters_view(known: SeriesChanged | None, waiting: str, canvas: Canvas) -> View:
    """How far it is; `waiting` says what its job waits for."""
    width, glyphs, *_ = canvas
    if known is None:
        gone = "Nothing is known of it any more."
        return View("Series", (), lambda _key: (), empty=folded(gone, canvas))
    lines = [crop(line, width, glyphs) for line in _counters(known, waiting, canvas)]
    keys = [str(at) for at in range(len(lines))]
    return View(series.short_name(known.series), keys, lambda at: lines[int(at)], aside=known.reason)


def _counters(known: SeriesChanged, waiting: str, canvas: Canvas) -> list[Line]:
    width, glyphs, time, *_ = canvas
    style = series.STYLES.get(known.state, "plain")
    done, total = known.windows_done, known.windows_total
    numbers = f" {text.percent(done, total)} {text.grouped(done)}/{text.grouped(total)} windows"
    bar = Span(text.bar(done, total, max(4, min(40, width - len(numbers))), glyphs), style)
    name = Span(text.fit(known.series, max(8, width - 12), "|", glyphs.more).rstrip() + "  ", "strong")
    lines: list[Line] = [(name, Span(series.glyph_and_word(known.state, glyphs), style)), (bar, Span(numbers))]
    for name_of, why, how in (("error", known.error, "bad"), ("waits", waiting, "warn")):
        lines += [(Span(f"{name_of:9}", "dim"), Span(part, how)) for part in text.wrap(why, max(8, width - 9))[:4]]
    facts = (
        f"windows  {counted(known.windows_failed, 'window')} given up, {counted(known.retries, 'time')} asked again",
        f"retry    {_retry(known, time)}",
        f"rows     {text.grouped(known.rows)}, last bar {text.moment(known.last_bar)}",
        f"why      {known.reason}" if known.reason else "",
    )
    return lines + [words(fact, width, "plain", glyphs) for fact in facts if fact]


def _retry(known: SeriesChanged, time: float) -> str:
    if known.retry_at is None:
        return "none is due"
    at, left = text.clock(known.retry_at), known.retry_at - time
    return f"at {at}, in {text.age(left)}" if left > 0 else f"was at {at}"


def troubles_view(troubles: Sequence[Trouble], canvas: Canvas, missing: str) -> View:
    """What went wrong, newest first; `missing` says why there is nothing."""
    by_key = {str(at): trouble for at, trouble in reversed(list(enumerate(troubles)))}
    return View(
        title=f"Windows {len(by_key)}",
        keys=list(by_key),
        line=lambda key: _trouble_line(by_key[key], canvas),
        head=head(choose(COLUMNS, canvas.width), "", False, canvas.glyphs),
        empty=folded(missing, canvas),
    )


def _trouble_line(trouble: Trouble, canvas: Canvas) -> Line:
    return row(choose(COLUMNS, canvas.width), partial(_trouble_cell, trouble, canvas), canvas.glyphs)


def _trouble_cell(trouble: Trouble, canvas: Canvas, name: str, _cells: int) -> tuple[str, str]:
    glyph, word, style = KINDS[trouble.kind]
    match name:
        case "time":
            return text.clock(trouble.time), "dim"
        case "kind":
            return f"{canvas.glyphs.states[glyph]} {word}", style
        case "words":
            return trouble.words, "plain"
    return text.moment(trouble.start if name == "start" else trouble.end), "dim"


def trouble_facts(trouble: Trouble) -> list[tuple[str, str]]:
    """One of them in full, for the reader."""
    return [
        ("time", f"{text.moment(trouble.time)} ({text.clock(trouble.time)})"),
        ("what", KINDS[trouble.kind][1]),
        ("from", text.moment(trouble.start)),
        ("to", text.moment(trouble.end)),
        ("why", trouble.words),
    ]


def lines_of(log: Sequence[LogEntry], job: str, name: str) -> list[LogEntry]:
    """The log lines of a job that are about one of its series."""
    return [entry for entry in log if entry.job == job and (entry.source == name or name in entry.text)]
