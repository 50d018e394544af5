"""Two days of a series beside each other: their figures with what changed, and their bars."""

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from core.datasets import FUTURES_FUNDING_RATE, FUTURES_OPEN_INTEREST
from core.windows import Window
from tui import text
from tui.archive.series import Bar
from tui.lookups import Answer
from tui.views.answers import missing, read_words
from tui.views.chart import Room, price
from tui.views.frame import Canvas, Column, Line, View, choose, head, row, words
from tui.views.stored import Name, picture
from tui.views.troubles import percent_words

DAY = 86_400
CONTEXT_DAYS = 30
STEPS = (60, 300, 900, 1_800, 3_600, 7_200, 14_400, DAY)
COLUMNS = (
    Column("what", "", 8, "<", 100),
    Column("older", "OLDER", 10, ">", 95),
    Column("newer", "NEWER", 10, ">", 96),
    Column("percent", "", 8, ">", 90),
    Column("change", "CHANGE", 12, ">", 50),
)


class Day(NamedTuple):
    """What a day of bars comes to; prices are None when no bar has any."""

    open: float | None
    high: float | None
    low: float | None
    close: float | None
    amount: float | None
    bars: int


def window_of(day: int, name: Name) -> Window:
    """What to read to compare the day that starts then with the one before; of daily bars with some more before."""
    return Window(day - (CONTEXT_DAYS if name.seconds >= DAY else 1) * DAY, day + DAY)


def split(bars: Sequence[Bar], day: int) -> tuple[list[Bar], list[Bar]]:
    """The bars of the day before `day`, and of `day`."""
    return [bar for bar in bars if day - DAY <= bar.start < day], [bar for bar in bars if day <= bar.start < day + DAY]


def total(bars: Sequence[Bar], *, adds: bool) -> Day:
    """Ascending bars as one; `adds` says that amounts add up, unlike an interest that is open."""
    amounts = [bar.amount for bar in bars if bar.amount is not None]
    opens = [bar.open for bar in bars if bar.open is not None]
    closes = [bar.close for bar in bars if bar.close is not None]
    highs = [value for bar in bars for value in (bar.high, bar.open, bar.close) if value is not None]
    lows = [value for bar in bars for value in (bar.low, bar.open, bar.close) if value is not None]
    amount = sum(amounts) if adds and amounts else amounts[-1] if amounts else None
    first, last = next(iter(opens), None), next(reversed(closes), None)
    return Day(first, max(highs, default=None), min(lows, default=None), last, amount, len(bars))


def folded(bars: Sequence[Bar], seconds: int, slots: int, *, adds: bool) -> tuple[list[Bar], int]:
    """The bars of a day as at most about `slots` longer ones, and how long those are."""
    step = next((step for step in STEPS if step >= seconds and DAY // step <= max(1, slots)), DAY)
    step = max(step, seconds)
    longer = []
    for start, group in groupby(bars, lambda bar: bar.start - bar.start % step):
        part = list(group)
        whole = total(part, adds=adds)
        longer.append(Bar(start, all(bar.is_closed for bar in part), *whole[:5]))
    return longer, step


def adds_up(name: Name) -> bool:
    return name.data_type != FUTURES_OPEN_INTEREST.name


def figures_view(name: Name, day: int | None, answer: Answer[Sequence[Bar]], canvas: Canvas) -> View:
    """Both days in figures."""
    if day is None or not answer.found:
        nothing = missing(answer, "No bar is stored in these two days: [ goes back, ] forward.")
        return View("Two days", (), lambda _key: (), empty=(words(nothing, canvas.width, "dim", canvas.glyphs),))
    older, newer = (total(part, adds=adds_up(name)) for part in split(answer.found, day))
    lines = dict(_figures(name, older, newer, canvas))
    named = {"older": _date(day - DAY), "newer": _date(day)}
    titles = tuple(column._replace(title=named.get(column.name, column.title)) for column in COLUMNS)
    return View(
        title=f"{_date(day)} and the day before",
        aside=read_words(answer, canvas),
        note=answer.trouble,
        keys=list(lines),
        line=lambda key: lines[key],
        head=head(choose(titles, canvas.width), "", descending=False, glyphs=canvas.glyphs),
    )


def _date(day: int) -> str:
    return text.moment(day)[:10]


def _figures(name: Name, older: Day, newer: Day, canvas: Canvas) -> Iterator[tuple[str, Line]]:
    is_rate = name.data_type == FUTURES_FUNDING_RATE.name
    for what in Day._fields:
        called = name.amount if what == "amount" else what
        shown = _counted if what in {"amount", "bars"} else _rate if is_rate else _price
        yield called, _figure(called, getattr(older, what), getattr(newer, what), shown, canvas)


def _figure(
    called: str, before: float | None, after: float | None, shown: Callable[[float | None], str], canvas: Canvas
) -> Line:
    change = None if before is None or after is None else after - before
    style = "dim" if not change else "ok" if change > 0 else "warn"
    cells = {
        "what": (called, "dim"),
        "older": (shown(before), "plain"),
        "newer": (shown(after), "strong"),
        "change": (_signed(change, shown(change)), style),
        "percent": (percent_words(before, after), style),
    }
    return row(choose(COLUMNS, canvas.width), lambda column, _width: cells[column], canvas.glyphs)


def _counted(value: float | None) -> str:
    if value is None or abs(value) >= 1e7:
        return text.count(value)
    return text.grouped(value) if not value % 1 or abs(value) >= 1_000 else price(value, 0.1)


def _price(value: float | None) -> str:
    return "-" if value is None else price(value, abs(value) / 10_000)


def _rate(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.4f}%"


def _signed(change: float | None, shown: str) -> str:
    return f"+{shown}" if change is not None and change > 0 else shown


def day_view(
    name: Name, day: int | None, answer: Answer[Sequence[Bar]], canvas: Canvas, height: int, *, newer: bool
) -> View:
    """One of the two days as a picture; of daily bars the weeks that lead up to it. Both have one scale of prices."""
    if day is None or not answer.found:
        return View("", (), lambda _key: (), empty=(words(missing(answer, ""), canvas.width, "dim", canvas.glyphs),))
    start = day if newer else day - DAY
    span = window_of(start, name)._replace(start=start) if name.seconds < DAY else None
    bars = [bar for bar in answer.found if bar.start < start + DAY and (span is None or bar.start >= start)]
    slots = canvas.width - 12 if name.is_column_chart else canvas.width // 2 - 6
    bars, step = folded(bars, name.seconds, slots, adds=adds_up(name))
    both = answer.found if span is None else [bar for part in split(answer.found, day) for bar in part]
    room = Room(canvas.width, height, canvas.glyphs, step, span, both)
    lines = picture(name, bars, room) if bars else []
    of = "" if step == name.seconds else f", bars of {text.age(step)}"
    return View(
        title=f"to {_date(start)}" if span is None else f"{_date(start)}{of}",
        keys=[str(at) for at in range(len(lines))],
        line=lambda key: lines[int(key)],
        empty=(words("No bar is stored of this day.", canvas.width, "dim", canvas.glyphs),),
    )
