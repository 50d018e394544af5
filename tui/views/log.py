"""The log: lines by id, so that a reader who scrolled up keeps the line that is under the cursor."""

from collections.abc import Sequence

from tui import text
from tui.query import Choice, Fields, Filter, FilterError
from tui.state import LogEntry
from tui.text import Glyphs
from tui.views.frame import Canvas, Line, Span, View, words

LEVELS = {"debug": "DEBUG", "info": "INFO", "warning": "WARN", "error": "ERROR"}
STYLES = {"debug": "dim", "info": "plain", "warning": "warn", "error": "bad"}
FIELDS: Fields[LogEntry] = {
    "level": lambda entry: entry.level,
    "source": lambda entry: entry.source,
    "job": lambda entry: entry.job,
    "text": lambda entry: entry.text,
}
DEFAULT = Choice()


def line(entry: LogEntry, width: int, glyphs: Glyphs) -> Line:
    """One line in `width` cells: time, level, where, what."""
    style = STYLES.get(entry.level, "plain")
    level = LEVELS.get(entry.level, entry.level)
    stamp = Span(text.clock(entry.time)[:8] + " ", "dim")
    if width < 60:
        return (stamp, Span(text.fit(f"{level} {entry.text}", width - 9, "<", glyphs.more), style))
    source_width = 14 if width < 150 else 24
    source = Span(text.fit(_source(entry.source), source_width, "|", glyphs.more) + " ", "dim")
    message = text.fit(entry.text, width - 16 - source_width, "<", glyphs.more)
    return (stamp, Span(text.fit(level, 6), style), source, Span(message, style))


def _source(source: str) -> str:
    parts = source.split("/")
    return "/".join(parts[1:3]) if len(parts) == 4 else source


def select(log: Sequence[LogEntry], choice: Choice) -> tuple[list[LogEntry], str]:
    """The lines that pass, oldest first, and what is wrong with the filter (then all pass)."""
    if not choice.filter:
        return list(log), ""
    try:
        passing: Filter[LogEntry] = Filter.parse(choice.filter, FIELDS)
    except FilterError as error:
        return list(log), str(error)
    return [entry for entry in log if passing.passes(entry)], ""


def view(log: Sequence[LogEntry], choice: Choice, canvas: Canvas) -> View:
    """The log pane."""
    width, glyphs, *_ = canvas
    entries, error = select(log, choice)
    by_key = {str(entry.id): entry for entry in entries}
    nothing = f"No line matches {choice.filter!r}: esc clears the filter" if log else "Nothing happened yet."
    return View(
        title=f"Log {len(entries)} of {len(log)}" if choice.filter else "Log",
        aside=f"filter: {choice.filter}" if choice.filter else "",
        note=error,
        keys=list(by_key),
        line=lambda key: line(by_key[key], width, glyphs),
        empty=(words(nothing, width, "dim", glyphs),),
    )


def facts(entry: LogEntry) -> list[tuple[str, str]]:
    """Everything about one line, for the reader."""
    return [
        ("time", f"{text.moment(entry.time)} ({text.clock(entry.time)})"),
        ("level", entry.level),
        ("source", entry.source),
        ("job", entry.job),
        ("text", entry.text),
    ]
