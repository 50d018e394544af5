"""The table of stored series."""

from collections.abc import Callable, Mapping

from tui import text
from tui.archive.series import StoredSeries
from tui.lookups import Answer
from tui.query import Choice, Fields
from tui.views.answers import About, table
from tui.views.frame import Canvas, Column, Listing, View

COLUMNS = (
    Column("type", "TYPE", 12, "|", 85, grow=3),
    Column("market", "MARKET", 9, "<", 95, grow=1),
    Column("instrument", "INSTRUMENT", 12, "|", 100, grow=3),
    Column("interval", "INT", 3, "<", 96),
    Column("rows", "ROWS", 6, ">", 80),
    Column("first", "FIRST", 10, "<", 50),
    Column("last", "LAST", 16, "<", 60),
    Column("age", "AGE", 5, ">", 70),
    Column("late", "LATE BY", 11, "<", 90),
    Column("gaps", "GAPS", 5, ">", 88),
)
SORTS = ("type", "market", "instrument", "interval", "rows", "first", "last", "age", "late", "gaps")
DEFAULT = Choice(sort="type")
OLD_BARS = 3
ABOUT = About("Stored series", "series", "Nothing is stored yet: a job of a data type fills this.")


def fields(wall: Callable[[], float]) -> Fields[StoredSeries]:
    """What the table is filtered and sorted by; ages are seconds and bars at the time that `wall` shows."""
    return {
        "type": lambda series: series.data_type,
        "market": lambda series: series.market,
        "instrument": lambda series: series.instrument,
        "interval": lambda series: series.interval,
        "rows": lambda series: series.rows,
        "first": lambda series: series.first_bar or 0,
        "last": lambda series: series.last_bar or 0,
        "age": lambda series: float("inf") if series.ends is None else wall() - series.ends,
        "late": lambda series: _late(series, wall()),
        "gaps": lambda series: series.gaps,
    }


def _late(series: StoredSeries, time: float) -> float:
    late = series.late(time)
    return float("inf") if late is None else late


def view(answer: Answer[Mapping[str, StoredSeries]], listing: Listing, canvas: Canvas) -> View:
    """The pane of all stored series."""
    return table(ABOUT, answer, listing, canvas, COLUMNS, cell)


def cell(series: StoredSeries, name: str, canvas: Canvas) -> tuple[str, str]:
    if name == "late":
        return lateness(series, canvas)
    if name in _SHOWN:
        return _SHOWN[name](series), "warn" if name == "gaps" and series.gaps else "dim" if name in _DIM else "plain"
    if name == "age":
        return text.age(None if series.ends is None else canvas.vendor_time - series.ends), "dim"
    return str(getattr(series, "data_type" if name == "type" else name)), "strong" if name == "instrument" else "dim"


_DIM = {"first", "gaps"}
_SHOWN: dict[str, Callable[[StoredSeries], str]] = {
    "rows": lambda series: text.count(series.rows),
    "first": lambda series: text.moment(series.first_bar)[:10],
    "last": lambda series: text.moment(series.last_bar),
    "gaps": lambda series: text.count(series.gaps),
}


def lateness(series: StoredSeries, canvas: Canvas) -> tuple[str, str]:
    """How many bars could have followed the newest one, and whether that is many."""
    late = series.late(canvas.vendor_time)
    if late is None:
        return "no bar yet", "dim"
    if series.has_ended:
        return "ended", "dim"
    if not late:
        return "on time", "ok"
    words = f"{text.count(late)} bar{'' if late == 1 else 's'}"
    return (f"{canvas.glyphs.states['waiting']} {words}", "warn") if late > OLD_BARS else (words, "plain")
