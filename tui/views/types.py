"""Data types: how fresh each is, how much of it is there, and how far the jobs are that fetch it now."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from core.events import JobChanged
from core.text import counted
from tui import text
from tui.archive.figures import StoredType
from tui.lookups import Answer
from tui.text import Glyphs
from tui.views import answers
from tui.views.frame import Canvas, Column, Line, Span, View, choose, folded, head, join, row

OLD_BARS = 3
COLUMNS = (
    Column("type", "TYPE", 10, "|", 100, grow=2),
    Column("interval", "INT", 3, "<", 95),
    Column("age", "AGE", 7, "<", 98),
    Column("gaps", "GAPS", 4, ">", 90),
    Column("series", "SERIES", 6, ">", 60),
    Column("rows", "ROWS", 6, ">", 40),
    Column("jobs", "JOBS", 4, ">", 50),
    Column("bar", "PROGRESS", 8, "<", 55, grow=1),
    Column("done", "DONE", 4, ">", 80),
    Column("rate", "ROWS/s", 6, ">", 70),
)
EMPTY = "Nothing is stored yet: a job of a data type fills this."


@dataclass(frozen=True, slots=True)
class Ingestor:
    """A data type and interval: what is stored of it, None before anything is, and the jobs at work on it."""

    data_type: str
    interval: str
    stored: StoredType | None
    jobs: int
    windows_done: int
    windows_total: int
    rows_per_second: float


def is_late(stored: StoredType, time: float) -> bool:
    """Whether several bars could have followed the newest one by then (UTC epoch seconds)."""
    age = stored.age(time)
    return age is not None and age > OLD_BARS * stored.seconds


def ingestors(stored: Iterable[StoredType], jobs: Iterable[JobChanged]) -> dict[str, Ingestor]:
    """All that is stored or being fetched, by data type and interval."""
    at_work: dict[tuple[str, str], list[JobChanged]] = {}
    for job in jobs:
        if not job.is_final:
            at_work.setdefault((job.data_type, job.interval), []).append(job)
    known = {(each.data_type, each.interval): each for each in stored}
    return {" ".join(key): _ingestor(*key, known.get(key), at_work.get(key, ())) for key in sorted({*known, *at_work})}


def _ingestor(data_type: str, interval: str, stored: StoredType | None, jobs: Sequence[JobChanged]) -> Ingestor:
    return Ingestor(
        data_type=data_type,
        interval=interval,
        stored=stored,
        jobs=len(jobs),
        windows_done=sum(job.windows_done for job in jobs),
        windows_total=sum(job.windows_total for job in jobs),
        rows_per_second=sum(job.rows_per_second for job in jobs),
    )


def view(answer: Answer[Sequence[StoredType]], jobs: Mapping[str, JobChanged], canvas: Canvas) -> View:
    """The pane of data types."""
    rows = ingestors(answer.found or (), jobs.values())
    late = sum(is_late(each.stored, canvas.vendor_time) for each in rows.values() if each.stored)
    return View(
        title=f"Data {counted(len(rows), 'type')}" + (f", {late} late" if late else ""),
        aside=answers.read_words(answer, canvas),
        note=answer.trouble,
        keys=sorted(rows, key=lambda key: _urgency(rows[key], canvas.vendor_time)),
        line=lambda key: _line(rows[key], canvas),
        head=head(choose(COLUMNS, canvas.width), "", False, canvas.glyphs),
        empty=folded(answers.missing(answer, EMPTY), canvas),
    )


def _urgency(ingestor: Ingestor, time: float) -> tuple[bool, bool, str, str]:
    """What is late comes first, what has no bars yet last."""
    stored = ingestor.stored
    is_empty = stored is None or stored.last_bar is None
    return not (stored and is_late(stored, time)), is_empty, ingestor.data_type, ingestor.interval


def _line(ingestor: Ingestor, canvas: Canvas) -> Line:
    return row(choose(COLUMNS, canvas.width), partial(_cell, ingestor, canvas), canvas.glyphs)


def _cell(ingestor: Ingestor, canvas: Canvas, name: str, cells: int) -> tuple[str, str]:
    is_busy = bool(ingestor.jobs)
    match name:
        case "type":
            return ingestor.data_type, "strong"
        case "interval":
            return ingestor.interval, "dim"
        case "age":
            return _age(ingestor.stored, canvas)
        case "gaps" | "series" | "rows":
            number = getattr(ingestor.stored, name) if ingestor.stored else None
            return text.count(number), "warn" if name == "gaps" and number else "plain"
    shown = {
        "jobs": text.count(ingestor.jobs),
        "bar": text.bar(ingestor.windows_done, ingestor.windows_total, cells, canvas.glyphs),
        "done": text.percent(ingestor.windows_done, ingestor.windows_total),
        "rate": text.count(ingestor.rows_per_second),
    }
    return (shown[name], "busy") if is_busy else ("", "dim")


def _age(stored: StoredType | None, canvas: Canvas) -> tuple[str, str]:
    """A glyph besides the age, since being late is told by more than a colour."""
    age = stored.age(canvas.vendor_time) if stored else None
    if stored is None or age is None:
        return "- none", "dim"
    is_old = is_late(stored, canvas.vendor_time)
    glyph = canvas.glyphs.states["waiting" if is_old else "done"]
    return f"{glyph} {text.age(age)}", "warn" if is_old else "ok"


def summary(answer: Answer[Sequence[StoredType]], time: float, glyphs: Glyphs) -> tuple[Line, ...]:
    """`late 1/4 gaps 5`, and without gaps: how many data types are late, the gaps of all; none while unknown."""
    if not answer.found:
        return ()
    late = sum(is_late(each, time) for each in answer.found)
    gaps = sum(each.gaps for each in answer.found)
    fresh = Span(f"late {late}/{len(answer.found)}", "warn") if late else Span(f"{glyphs.states['done']} fresh", "ok")
    return (join((fresh, Span(f"gaps {text.count(gaps)}", "warn"))), (fresh,)) if gaps else ((fresh,),)
