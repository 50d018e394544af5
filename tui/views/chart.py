"""Charts of bars: candles over their volume, or columns, drawn of half blocks and box characters.

A bar stands where its time is, so a slot without one is a blank column. A candle that rose is hollow, one that
fell is filled; colour says the same.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from core.windows import Window
from tui import text
from tui.archive.series import Bar
from tui.text import Glyphs
from tui.views.frame import Line, Span

NOTHING, WICK, BODY = range(3)
LABEL_ROWS = 4
MIN_PLOT = 6
WIDEST = 6
_WICKS = {(NOTHING, NOTHING): " ", (WICK, WICK): "│", (WICK, NOTHING): "╵", (NOTHING, WICK): "╷"}
_TOP, _BOTTOM = ((NOTHING, BODY), (WICK, BODY)), ((BODY, NOTHING), (BODY, WICK))
FILLED = {**_WICKS, (BODY, BODY): "█", **dict.fromkeys(_TOP, "▄"), **dict.fromkeys(_BOTTOM, "▀")}
HOLLOW = {**_WICKS, (BODY, BODY): "║", **dict.fromkeys(_TOP, "╥"), **dict.fromkeys(_BOTTOM, "╨")}
FLAT = {**_WICKS, **dict.fromkeys((*_TOP, *_BOTTOM, (BODY, BODY)), "─")}
_IN_ASCII = str.maketrans("│╵╷█▄▀║╥╨─◀┤", "|'.###OOO-<|")


class Cell(NamedTuple):
    """One character of a picture and its style."""

    text: str = " "
    style: str = "dim"


@dataclass(frozen=True, slots=True)
class Scale:
    """Values from `low` to `high` on `rows` lines of two halves each, the highest at the top."""

    low: float
    high: float
    rows: int

    def half(self, value: float) -> int:
        """Which half line a value lies in, 0 at the top."""
        share = (self.high - value) / (self.high - self.low)
        if not math.isfinite(share):
            return self.rows
        return min(2 * self.rows - 1, max(0, round(share * (2 * self.rows - 1))))

    def value(self, row: int) -> float:
        """The value in the middle of a line."""
        return self.high - (2 * row + 0.5) / max(1, 2 * self.rows - 1) * (self.high - self.low)

    @classmethod
    def of(cls, values: Iterable[float], rows: int) -> "Scale":
        """Fits all finite `values`; not empty even when they are all one."""
        known = [value for value in values if math.isfinite(value)] or [0.0]
        low, high = min(known), max(known)
        room = (high - low) or abs(high) * 0.01 or 1.0
        return cls(low, high, rows) if high > low else cls(low - room / 2, high + room / 2, rows)


class Frame(NamedTuple):
    """How a picture of `width` by `height` cells is divided."""

    plot: int
    axis: int
    prices: int
    amounts: int


class Room(NamedTuple):
    """Where a chart is drawn: cells and alphabet; and how long a bar is.

    It has room for the bars of `span`, or for as many of the newest as there are cells, and for the values of
    `scaled_to` beside its own.
    """

    width: int
    height: int
    glyphs: Glyphs
    seconds: int
    span: Window | None = None
    scaled_to: Sequence[Bar] = ()


def candles(bars: Sequence[Bar], room: Room, amount: str) -> list[Line]:
    """Open, high, low and close of bars over what was traded, which `amount` names on the axis."""
    frame = _frame(room, has_amounts=room.height >= 9)
    shown, _ = _placed(bars, room, frame.plot, 2)
    drawn = {x: bar for x, bar in shown.items() if _is_drawn(bar)}
    scale = Scale.of((value for bar in (*drawn.values(), *room.scaled_to) for value in _prices(bar)), frame.prices)
    prices = _blank(frame.plot, frame.prices)
    for x, bar in drawn.items():
        _paint_candle(prices, x, bar, scale)
    labels = _labels(scale, [bar.close for bar in drawn.values()][-1:], frame.axis)
    amounts = _amounts(shown, frame, room.glyphs)
    if amounts:
        top = text.count(max(map(_amount, shown.values()), default=0.0))
        labels |= {frame.prices: Cell(f" {top}"), frame.prices + 1: Cell(f" {amount}")}
    return _finish(prices + amounts, labels, shown, frame, room)


def columns(bars: Sequence[Bar], room: Room, *, signed: bool, percent: bool) -> list[Line]:
    """The closing values of bars as columns: from zero up and down when `signed`, else from below."""
    frame = _frame(room, has_amounts=False)
    placed, wide = _placed(bars, room, frame.plot, 1)
    shown = {x: bar for x, bar in placed.items() if _is_drawn(bar)}
    values = {x: bar.close or 0.0 for x, bar in shown.items()}
    others = [bar.close for bar in room.scaled_to if bar.close is not None]
    scale = Scale.of((*values.values(), *others, *([0.0] if signed else ())), frame.prices)
    base = scale.half(0.0) if signed else 2 * frame.prices - 1
    picture = _blank(frame.plot, frame.prices)
    if signed:
        picture[base // 2] = [Cell("─")] * frame.plot
    for left, value in values.items():
        for x in range(left, left + wide) if value or not signed else ():
            _paint_column(picture, x, value, scale, base, signed=signed)
    labels = _labels(scale, list(values.values())[-1:], frame.axis, percent=percent)
    return _finish(picture, labels, shown, frame, room)


def _placed(bars: Sequence[Bar], room: Room, width: int, narrowest: int) -> tuple[dict[int, Bar], int]:
    """Where bars stand in so many cells, by the leftmost cell of each, and how many cells it has at least."""
    slots = max(1, width // narrowest)
    if room.span is not None:
        first, slots = room.span.start, min(slots, -(-room.span.seconds // room.seconds))
        used = slots
    elif not bars:
        return {}, narrowest
    else:
        first = max(bars[0].start, bars[-1].start - (slots - 1) * room.seconds)
        used = 1 + (bars[-1].start - first) // room.seconds
    wide = min(WIDEST, max(narrowest, width // used))
    places = {(bar.start - first) // room.seconds: bar for bar in bars}
    return {wide * slot: bar for slot, bar in places.items() if 0 <= slot < slots}, wide


def _blank(width: int, height: int) -> "Picture":
    return [[Cell()] * width for _ in range(height)]


def _frame(room: Room, *, has_amounts: bool) -> Frame:
    width, height = room.width, room.height
    axis = 11 if width >= 40 + MIN_PLOT else 9 if width >= 24 else 0
    amounts = max(2, height // 5) if has_amounts else 0
    return Frame(max(1, width - axis), axis, max(1, height - amounts - (height > 2)), amounts)


def _is_drawn(bar: Bar) -> bool:
    return bar.close is not None and math.isfinite(bar.close)


def _prices(bar: Bar) -> tuple[float, ...]:
    given = (bar.open, bar.high, bar.low, bar.close)
    return tuple(value for value in given if value is not None and math.isfinite(value))


def direction(bar: Bar) -> int:
    """1 when it rose, -1 when it fell, else 0."""
    if bar.open is None or bar.close is None:
        return 0
    return (bar.close > bar.open) - (bar.close < bar.open)


STYLES = {1: "ok", 0: "plain", -1: "warn"}


Picture = list[list[Cell]]


def _paint_candle(picture: Picture, x: int, bar: Bar, scale: Scale) -> None:
    way, close = direction(bar), bar.close or 0.0
    opens = close if bar.open is None else bar.open
    top, bottom = scale.half(max(_prices(bar))), scale.half(min(_prices(bar)))
    upper, lower = sorted((scale.half(opens), scale.half(close)))

    def part(half: int) -> int:
        return BODY if upper <= half <= lower else WICK if top <= half <= bottom else NOTHING

    glyphs, style = {1: HOLLOW, 0: FLAT, -1: FILLED}[way], STYLES[way]
    for row in range(top // 2, bottom // 2 + 1):
        picture[row][x] = Cell(glyphs[part(2 * row), part(2 * row + 1)], style)


def _amount(bar: Bar) -> float:
    """What was traded, as far as it can be drawn."""
    return bar.amount if bar.amount is not None and 0 < bar.amount < math.inf else 0.0


def _amounts(shown: dict[int, Bar], frame: Frame, glyphs: Glyphs) -> Picture:
    """What was traded as columns of eighths; the largest fills all lines."""
    picture, steps = _blank(frame.plot, frame.amounts), len(glyphs.spark)
    top = max(map(_amount, shown.values()), default=0.0)
    for x, bar in shown.items() if picture else ():
        levels = math.ceil(steps * frame.amounts * (_amount(bar) / top)) if top else 0
        for up in range(-(-levels // steps)):
            glyph = glyphs.spark[min(steps, levels - steps * up) - 1]
            picture[frame.amounts - 1 - up][x] = Cell(glyph, STYLES[direction(bar)])
    return picture


def _paint_column(picture: Picture, x: int, value: float, scale: Scale, base: int, *, signed: bool) -> None:
    upper, lower = sorted((scale.half(value), base))
    style = STYLES[(value > 0) - (value < 0)] if signed else "busy"
    for row in range(upper // 2, lower // 2 + 1):
        halves = upper <= 2 * row <= lower, upper <= 2 * row + 1 <= lower
        picture[row][x] = Cell("█" if all(halves) else "▀" if halves[0] else "▄", style)


def _labels(scale: Scale, newest: Sequence[float | None], width: int, *, percent: bool = False) -> dict[int, Cell]:
    """What stands on the axis, by line: values at even distances, and where the newest one is."""
    factor = 100.0 if percent else 1.0
    step = (scale.high - scale.low) / max(1, scale.rows) * LABEL_ROWS * factor
    sign = "%" if percent else ""

    def label(value: float) -> str:
        return price(value * factor, step, width - 2 - len(sign)) + sign

    labels = {row: Cell(f"┤{label(scale.value(row))}") for row in range(0, scale.rows, LABEL_ROWS)}
    for value in newest:
        labels[scale.half(value or 0.0) // 2] = Cell(f"◀{label(value or 0.0)}", "strong")
    return labels


def price(value: float, step: float = 0.0, width: int = 12) -> str:
    """A value with as many decimals as tell it from one that is `step` away, in at most `width` cells if it can."""
    if not math.isfinite(value):
        return "-"
    finest = abs(step) or abs(value) / 1000
    decimals = min(12, max(0, 1 - math.floor(math.log10(finest)))) if 0 < finest < math.inf else 0
    forms = [f"{value:,.{places}f}" for places in range(decimals, -1, -1) if places or abs(value) >= 100]
    return next((form for form in forms if len(form) <= width), f"{value:.3g}")


def _finish(picture: Picture, labels: dict[int, Cell], columns: dict[int, Bar], frame: Frame, room: Room) -> list[Line]:
    """A picture with its axes."""
    lines = []
    for row, cells in enumerate(picture):
        label = labels.get(row, Cell(""))
        axis = Cell(label.text[: frame.axis].ljust(frame.axis), label.style)
        lines.append(_line([*cells, axis], room.glyphs))
    if room.height > len(picture):
        lines.append(_line(times(columns, room.seconds, frame.plot), room.glyphs))
    return lines


def _line(cells: Iterable[Cell], glyphs: Glyphs) -> Line:
    """Cells as spans, neighbours of one style together; a blank takes the style of what it follows."""
    runs: list[tuple[str, list[str]]] = []
    for drawn, style in cells:
        if not runs or (runs[-1][0] != style and drawn != " "):
            runs.append((style, []))
        runs[-1][1].append(drawn)
    table = _IN_ASCII if glyphs.full.isascii() else {}
    return tuple(Span("".join(drawn).translate(table), style) for style, drawn in runs)


def times(columns: dict[int, Bar], seconds: int, width: int) -> list[Cell]:
    """The line below a picture: UTC times under their bars, as many as there is room for."""
    pattern = _pattern(seconds)
    cells, free = [Cell()] * width, 0
    for x, bar in columns.items():
        words = pattern(bar.start)
        if x >= free and x + len(words) <= width:
            cells[x : x + len(words)] = map(Cell, words)
            free = x + len(words) + 4
    return cells


def _pattern(seconds: int) -> Callable[[int], str]:
    form = "%Y-%m-%d" if seconds >= 86_400 else "%m-%d %H:%M" if seconds >= 3_600 else "%H:%M"

    def words(time: int) -> str:
        try:
            return datetime.fromtimestamp(time, UTC).strftime(form)
        except (ValueError, OverflowError, OSError):
            return "-"

    return words
