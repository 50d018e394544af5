"""The table of the series of one job."""

from collections.abc import Callable, Mapping

from core.events import SeriesChanged
from core.text import clean
from tui import text
from tui.query import Choice, Fields, order
from tui.text import Glyphs
from tui.views.frame import Canvas, Column, Line, Listing, View, choose, head, row, words

STYLES = {"waiting": "dim", "running": "busy", "done": "ok", "gaps": "warn", "failed": "bad", "left": "dim"}
WORDS = {"waiting": "wait", "running": "run", "done": "done", "gaps": "gaps", "failed": "fail", "left": "left"}
GLYPHS = {"waiting": "queued", "left": "cancelled"}
_URGENT = {state: rank for rank, state in enumerate(("failed", "gaps", "running"))}

COLUMNS = (
    Column("series", "SERIES", 22, "|", 100, grow=2),
    Column("state", "STATE", 6, "<", 98),
    Column("progress", "PROGRESS", 8, "<", 50, grow=2),
    Column("done", "DONE", 4, ">", 96),
    Column("windows", "WINDOWS", 11, ">", 40),
    Column("rows", "ROWS", 6, ">", 90),
    Column("retries", "RETRY", 5, ">", 60),
    Column("last", "LAST BAR", 16, "<", 70),
    Column("reason", "REASON", 8, "<", 30),
    Column("error", "ERROR", 16, "<", 80, grow=4),
)

FIELDS: Fields[SeriesChanged] = {
    "series": lambda series: series.series,
    "state": lambda series: f"{series.state} {WORDS.get(series.state, '')}",
    "progress": lambda series: series.windows_done / series.windows_total if series.windows_total else 0.0,
    "rows": lambda series: series.rows,
    "retries": lambda series: series.retries,
    "last": lambda series: series.last_bar or 0,
    "reason": lambda series: series.reason,
    "error": lambda series: series.error,
    "urgency": lambda series: _URGENT.get(series.state, len(_URGENT)),
}
SORTS = ("urgency", "series", "state", "progress", "rows", "retries", "last", "error")
DEFAULT = Choice(sort="urgency")
MISSING = "No series yet: they come with the plan."


def glyph_and_word(state: str, glyphs: Glyphs) -> str:
    return f"{glyphs.states.get(GLYPHS.get(state, state), '?')} {WORDS.get(state) or clean(state, 40)}"


def line(series: SeriesChanged, width: int, glyphs: Glyphs) -> Line:
    """One series in `width` cells."""

    def cell(name: str, cells: int) -> tuple[str, str]:
        return _cell(series, name, cells, glyphs)

    return row(choose(COLUMNS, width), cell, glyphs)


def _cell(series: SeriesChanged, name: str, width: int, glyphs: Glyphs) -> tuple[str, str]:
    if name in _NUMBERS:
        return _NUMBERS[name](series), "plain"
    if name == "progress":
        drawn = text.bar(series.windows_done, series.windows_total, width, glyphs)
        return drawn, STYLES.get(series.state, "plain")
    if name == "retries":
        return text.count(series.retries), "warn" if series.retries else "dim"
    if name == "state":
        return glyph_and_word(series.state, glyphs), STYLES.get(series.state, "plain")
    names = {"series": (short_name(series.series), "strong"), "error": (series.error, "bad")}
    return names.get(name) or (series.reason, "dim")


_NUMBERS: dict[str, Callable[[SeriesChanged], str]] = {
    "done": lambda series: text.percent(series.windows_done, series.windows_total),
    "windows": lambda series: f"{text.count(series.windows_done)}/{text.count(series.windows_total or None)}",
    "rows": lambda series: text.count(series.rows),
    "last": lambda series: text.moment(series.last_bar),
}


def short_name(series: str) -> str:
    """Market and instrument: the rest is the same for all series of a job."""
    parts = series.split("/")
    return "/".join(parts[1:3]) if len(parts) == 4 else series


def rows(series: Mapping[str, SeriesChanged], choice: Choice, width: int, glyphs: Glyphs) -> list[Line]:
    """The whole table below its head. Raises FilterError."""
    return [line(series[key], width, glyphs) for key in order(series, FIELDS, choice)]


def view(series: Mapping[str, SeriesChanged], listing: Listing, canvas: Canvas, missing: str = MISSING) -> View:
    """The pane of one job's series; `missing` says why there are none."""
    keys, choice, error = listing
    width, glyphs, *_ = canvas
    arrow = glyphs.down if choice.descending else glyphs.up
    asides = [f"filter: {choice.filter}" if choice.filter else "", f"sort: {choice.sort} {arrow}"]
    if series:
        nothing = f"No series matches {choice.filter!r} ({len(series)} hidden): esc clears the filter"
    else:
        nothing = missing
    return View(
        title=f"Series {len(keys)} of {len(series)}" if choice.filter else f"Series {len(series)}",
        aside="  ".join(filter(None, asides)),
        note=error,
        keys=keys,
        line=lambda key: line(series[key], width, glyphs),
        head=head(choose(COLUMNS, width), choice.sort, choice.descending, glyphs),
        empty=(words(nothing, width, "dim", glyphs),),
    )
