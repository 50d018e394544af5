"""One stored series: what it is in a few lines, and its chart."""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from core.datasets import FUTURES_FUNDING_RATE, FUTURES_OPEN_INTEREST
from core.windows import GRAINS
from tui import text
from tui.archive.series import Bar, Coverage, Hole, Refused, Restatement, StoredSeries
from tui.lookups import Answer
from tui.state import ViewState
from tui.views import chart, data
from tui.views.answers import missing, read_words
from tui.views.frame import Canvas, Line, Span, View, width_of, words
from tui.views.series import STYLES, WORDS
from tui.views.troubles import percent_words

KINDS = {FUTURES_FUNDING_RATE.name: "Funding rate", FUTURES_OPEN_INTEREST.name: "Open interest"}
"""What is drawn as columns; all else as candles."""
NO_BARS = "No bar is stored yet: they come with the first answers of a job."
UNKNOWN = "The series is not stored: was it dropped meanwhile? Esc goes back."


class Name(NamedTuple):
    """The parts of a series' full name, as far as it has them."""

    data_type: str
    market: str = ""
    instrument: str = ""
    interval: str = ""

    @classmethod
    @lru_cache(maxsize=256)
    def parse(cls, series: str) -> "Name":
        return cls(*(series.split("/") + [""] * 3)[:4])

    @property
    def seconds(self) -> int:
        """How long a bar is; a day when the interval is none of ours."""
        return GRAINS.get(self.interval, GRAINS["1d"]).seconds

    @property
    def is_column_chart(self) -> bool:
        return self.data_type in KINDS

    @property
    def amount(self) -> str:
        """What `Bar.amount` is."""
        return {FUTURES_FUNDING_RATE.name: "updates", FUTURES_OPEN_INTEREST.name: "in quote"}.get(
            self.data_type, "volume"
        )


class Known(NamedTuple):
    """What was read of a series."""

    series: Answer[Mapping[str, StoredSeries]]
    coverage: Answer[Coverage]
    holes: Answer[Mapping[str, Hole]]
    restated: Answer[Mapping[str, Restatement]]
    refused: Answer[Mapping[str, Refused]]


def facts_view(name: str, known: Known, state: ViewState, canvas: Canvas) -> View:
    """How far it is, what is missing, and which job is at it."""
    stored = (known.series.found or {}).get(name)
    pairs = [*_extent(stored, canvas), *_troubles(known), *_work(name, state)] if stored else []
    lines = flow(pairs, canvas)
    return View(
        title=name,
        aside=read_words(known.series, canvas),
        note=known.series.trouble,
        keys=[str(at) for at in range(len(lines))],
        line=lambda key: lines[int(key)],
        empty=(words(missing(known.series, UNKNOWN), canvas.width, "dim", canvas.glyphs),),
    )


Fact = tuple[str, str, str]


def _extent(stored: StoredSeries, canvas: Canvas) -> list[Fact]:
    late, style = data.lateness(stored, canvas)
    return [
        ("last", text.moment(stored.last_bar), "strong"),
        ("late by" if stored.late(canvas.vendor_time) else "", late, style),
        ("rows", text.grouped(stored.rows), "plain"),
        ("first", text.moment(stored.first_bar), "plain"),
    ]


def _troubles(known: Known) -> list[Fact]:
    holes = (known.holes.found or {}).values()
    new = sum(hole.state == "new" for hole in holes)
    counts = (
        ("new gaps", new if known.holes.found is not None else None, "warn"),
        ("confirmed", sum(hole.state == "confirmed" for hole in holes) or None, "plain"),
        ("given up", sum(hole.kind == "given up" for hole in holes) or None, "bad"),
        ("suspect", sum(hole.kind == "suspect" for hole in holes) or None, "warn"),
        ("restated", len(known.restated.found or ()) or None, "plain"),
        ("quarantined", len(known.refused.found or ()) or None, "warn"),
    )
    return [(name, text.count(count), style if count else "ok") for name, count, style in counts if count is not None]


def _work(name: str, state: ViewState) -> list[Fact]:
    """What jobs do with the series now."""
    found = []
    for job, series in state.series.items():
        if name in series and job in state.jobs and not state.jobs[job].is_final:
            at = series[name]
            done = f"{WORDS.get(at.state, at.state)} {text.percent(at.windows_done, at.windows_total)}"
            found.append((f"job {job}", done, STYLES.get(at.state, "plain")))
    return found


def flow(pairs: Sequence[Fact], canvas: Canvas) -> list[Line]:
    """Names and values one after the other, in as many lines as it takes."""
    lines: list[Line] = []
    for name, value, style in pairs:
        part = (Span(f"{name} " if name else "", "dim"), Span(text.fit(value, len(value), "<"), style))
        if lines and width_of(lines[-1]) + 3 + width_of(part) <= canvas.width:
            lines[-1] = (*lines[-1], Span("   "), *part)
        else:
            lines.append(part)
    return lines


Draw = Callable[[Name, Sequence[Bar], Canvas, int], list[Line]]


def chart_view(name: Name, answer: Answer[Sequence[Bar]], canvas: Canvas, height: int, draw: Draw) -> View:
    """The newest bars in `height` lines, which `draw` draws."""
    bars = answer.found or ()
    lines = draw(name, bars, canvas, height) if bars else []
    newest = last_words(name, bars[-1]) if bars else ""
    return View(
        title=f"{KINDS.get(name.data_type, 'Candles')} {name.interval}",
        aside=newest if bars else read_words(answer, canvas),
        note=answer.trouble,
        keys=[str(at) for at in range(len(lines))],
        line=lambda key: lines[int(key)],
        empty=(words(missing(answer, NO_BARS), canvas.width, "dim", canvas.glyphs),),
    )


def draw(name: Name, bars: Sequence[Bar], canvas: Canvas, height: int) -> list[Line]:
    """The picture of the newest of `bars` alone."""
    return picture(name, bars, chart.Room(canvas.width, height, canvas.glyphs, name.seconds))


def picture(name: Name, bars: Sequence[Bar], room: chart.Room) -> list[Line]:
    """Bars as that data type is drawn."""
    if name.is_column_chart:
        is_rate = name.data_type == FUTURES_FUNDING_RATE.name
        return chart.columns(bars, room, signed=is_rate, percent=is_rate)
    return chart.candles(bars, room, name.amount)


def last_words(name: Name, bar: Bar) -> str:
    """The newest bar in words."""
    if bar.close is None:
        return f"{text.moment(bar.start)} without a value"
    if name.data_type == FUTURES_FUNDING_RATE.name:
        return f"{text.moment(bar.start)}  {100 * bar.close:.4f}%"
    change = percent_words(bar.open, bar.close)
    running = "" if bar.is_closed else " (open)"
    return (
        f"{text.moment(bar.start)}{running}  {chart.price(bar.close)}  {change}  {name.amount} {text.count(bar.amount)}"
    )
