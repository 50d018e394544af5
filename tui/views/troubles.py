"""What is wrong with one stored series: holes and suspect bars, closed bars that changed, and the quarantine."""

from collections.abc import Mapping

from tui import text
from tui.archive.series import Hole, Refused, Restatement
from tui.lookups import Answer
from tui.query import Choice, Fields
from tui.views.answers import About, table
from tui.views.chart import price
from tui.views.frame import Canvas, Column, Listing, View

HOLE_COLUMNS = (
    Column("start", "FROM", 16, "<", 100),
    Column("bars", "BARS", 5, ">", 90),
    Column("state", "STATE", 11, "<", 85),
    Column("cause", "CAUSE", 17, "<", 95),
    Column("words", "WHY", 20, "<", 60, grow=3),
    Column("next", "NEXT", 30, "<", 40, grow=2),
)
HOLE_FIELDS: Fields[Hole] = {
    "start": lambda hole: hole.start,
    "bars": lambda hole: hole.bars,
    "state": lambda hole: hole.state,
    "cause": lambda hole: hole.cause,
    "kind": lambda hole: hole.kind,
    "words": lambda hole: hole.words,
}
HOLES = About("Gaps and findings", "gap or finding", "No gap, no window given up, nothing suspect.")
RESTATED_COLUMNS = (
    Column("seen", "SEEN", 16, "<", 80),
    Column("bar", "BAR", 16, "<", 100),
    Column("column", "COLUMN", 8, "|", 95, grow=1),
    Column("old", "OLD", 10, ">", 90),
    Column("new", "NEW", 10, ">", 92),
    Column("change", "CHANGE", 8, ">", 50),
)
RESTATED_FIELDS: Fields[Restatement] = {
    "seen": lambda change: change.seen_at,
    "bar": lambda change: change.bar,
    "column": lambda change: change.column,
    "run": lambda change: change.run_id,
}
RESTATED = About("Restatements", "restatement", "No closed bar has changed after all.")
REFUSED_COLUMNS = (
    Column("id", "ID", 5, ">", 80),
    Column("start", "FROM", 16, "<", 95),
    Column("reason", "REASON", 14, "<", 100, grow=1),
    Column("state", "STATE", 10, "<", 90),
    Column("seen", "SEEN", 16, "<", 50),
    Column("detail", "DETAIL", 20, "<", 40, grow=3),
)
REFUSED_FIELDS: Fields[Refused] = {
    "id": lambda record: record.id,
    "start": lambda record: record.start,
    "reason": lambda record: record.reason,
    "state": lambda record: record.state,
    "seen": lambda record: record.last_seen,
    "detail": lambda record: record.detail,
}
REFUSED = About("Quarantine", "record", "The quarantine holds nothing of this series.")
NEWEST = Choice(sort="start", descending=True)
NEWEST_SEEN = Choice(sort="seen", descending=True)
_STATES = {"new": ("waiting", "warn"), "confirmed": ("done", "dim"), "given up": ("failed", "bad"),
           "warning": ("WARNING", "warn"), "info": ("INFO", "dim"), "open": ("waiting", "warn"),
           "filled": ("done", "dim"), "accepted": ("done", "dim")}  # fmt: skip


def holes_view(answer: Answer[Mapping[str, Hole]], listing: Listing, canvas: Canvas) -> View:
    """Gaps with their causes, windows that were given up, and what checks flagged."""
    return table(HOLES, answer, listing, canvas, HOLE_COLUMNS, _hole_cell)


def restated_view(answer: Answer[Mapping[str, Restatement]], listing: Listing, canvas: Canvas) -> View:
    return table(RESTATED, answer, listing, canvas, RESTATED_COLUMNS, _restated_cell)


def refused_view(answer: Answer[Mapping[str, Refused]], listing: Listing, canvas: Canvas) -> View:
    return table(REFUSED, answer, listing, canvas, REFUSED_COLUMNS, _refused_cell)


def state_words(state: str, canvas: Canvas) -> tuple[str, str]:
    """A state with its glyph, and its style."""
    glyph, style = _STATES.get(state, ("", "plain"))
    return f"{canvas.glyphs.states.get(glyph, '?')} {state}", style


def _hole_cell(hole: Hole, name: str, canvas: Canvas) -> tuple[str, str]:
    match name:
        case "start":
            return text.moment(hole.start), "strong"
        case "bars":
            return text.count(hole.bars), "plain"
        case "state":
            return state_words(hole.state, canvas)
    return str(getattr(hole, name)), "dim" if name == "next" else "plain"


def _restated_cell(change: Restatement, name: str, _canvas: Canvas) -> tuple[str, str]:
    match name:
        case "seen":
            return text.moment(change.seen_at), "dim"
        case "bar":
            return text.moment(change.bar), "strong"
        case "old" | "new":
            return value_words(getattr(change, name), 10), "plain"
        case "change":
            return percent_words(change.old, change.new), "warn"
    return change.column, "plain"


def _refused_cell(record: Refused, name: str, canvas: Canvas) -> tuple[str, str]:
    match name:
        case "id":
            return str(record.id), "dim"
        case "start":
            return text.moment(record.start), "strong"
        case "seen":
            return text.moment(record.last_seen), "dim"
        case "state":
            return state_words(record.state, canvas)
    return str(getattr(record, name)), "dim" if name == "detail" else "plain"


def value_words(value: float | str | None, width: int = 24) -> str:
    """A stored value in at most about `width` cells."""
    if value is None:
        return "none"
    return value if isinstance(value, str) else price(value, abs(value) / 10_000, width)


def percent_words(old: float | str | None, new: float | str | None) -> str:
    """By how much a number changed: `+0.42%`; `-` where that has no meaning, as between a gain and a loss."""
    if not isinstance(old, (int, float)) or not isinstance(new, (int, float)) or not old:
        return "-"
    if new and (new > 0) != (old > 0):
        return "-"
    change = 100 * (new - old) / abs(old)
    return f"{change:+.2f}%" if abs(change) < 1e4 else f"{change:+.0e}%"


def hole_facts(hole: Hole) -> list[tuple[str, str]]:
    """Everything about one hole, for the reader."""
    return [
        ("what", hole.kind),
        ("span", f"{text.moment(hole.start)} .. {text.moment(hole.end)}, {text.grouped(hole.bars)} bars"),
        ("cause", hole.cause),
        ("why", hole.words),
        ("state", hole.state),
        ("seen", f"{hole.sightings} times, {text.moment(hole.first_seen)} .. {text.moment(hole.last_seen)}"),
        ("next", hole.next),
    ]


def restated_facts(change: Restatement) -> list[tuple[str, str]]:
    return [
        ("bar", text.moment(change.bar)),
        ("column", change.column),
        ("old", str(change.old)),
        ("new", str(change.new)),
        ("change", percent_words(change.old, change.new)),
        ("seen", f"{text.moment(change.seen_at)} by run {change.run_id}"),
    ]


def refused_facts(record: Refused) -> list[tuple[str, str]]:
    """A record of the quarantine with the text as it came."""
    return [
        ("id", str(record.id)),
        ("what", "a row" if record.is_row else "a whole answer"),
        ("span", f"{text.moment(record.start)} .. {text.moment(record.end)}"),
        ("reason", record.reason),
        ("detail", record.detail),
        ("state", record.state),
        ("seen", f"{record.sightings} times, last {text.moment(record.last_seen)} by run {record.run_id}"),
        ("raw", record.raw),
    ]
