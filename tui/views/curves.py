"""Figures over time as columns of blocks, one or more lines high; where nothing is known there is a blank."""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from tui import text
from tui.archive.figures import Past
from tui.lookups import Answer
from tui.views import answers
from tui.views.frame import Canvas, Line, Span, View, crop, folded

Values = tuple[float | None, ...]
NAME_WIDTH, VALUE_WIDTH = 9, 7
TOP_FROM = 60


def fitted(values: Values, width: int) -> list[float | None]:
    """`values` in `width` columns: the mean of those that fall into one, and one in several where there are fewer."""
    length = len(values)
    found: list[float | None] = []
    for at in range(max(0, width) if length else 0):
        part = values[at * length // width : max(at * length // width + 1, (at + 1) * length // width)]
        known = [value for value in part if value is not None and math.isfinite(value)]
        found.append(sum(known) / len(known) if known else None)
    return found


@lru_cache(maxsize=64)  # most of them change once a minute
def columns(values: Values, width: int, height: int, blocks: str, top: float | None = None) -> tuple[str, ...]:
    """`height` lines from the top down, of `blocks` from the lowest to a full one.

    `top` is the value of a full column, the highest one when it is not given.
    """
    shown = fitted(values, width)
    highest = top if top is not None else max((value for value in shown if value is not None), default=0.0)
    heights = [None if value is None else _steps(value, highest, height * len(blocks)) for value in shown]
    floors = reversed(range(height))
    return tuple("".join(_block(each, floor, blocks) for each in heights) for floor in floors)


def _steps(value: float, highest: float, most: int) -> int:
    """How many parts of a column; what is there at all has one, so that nothing and little differ."""
    return 1 if highest <= 0 else max(1, round(most * min(1.0, max(0.0, value / highest))))


def _block(height: int | None, floor: int, blocks: str) -> str:
    inside = 0 if height is None else max(0, min(len(blocks), height - floor * len(blocks)))
    return blocks[inside - 1] if inside else " "


class Figure(NamedTuple):
    """A curve by its name: what it is called, how a value is written, and the value of a full column."""

    curve: str
    title: str
    write: Callable[[float], str]
    top: float | None = None


FIGURES = (
    Figure("cpu", "cpu", lambda value: f"{value:.0f}%", 100.0),
    Figure("memory", "memory", text.size),
    Figure("lag", "loop lag", lambda value: f"{value:.0f}ms"),
    Figure("database", "database", lambda value: f"{value:.0f}ms"),
    Figure("files", "files", text.count),
    Figure("host_memory", "host mem", lambda value: f"{value:.0f}%", 100.0),
    Figure("calls", "calls/s", lambda value: f"{value:.2f}"),
    Figure("rows", "rows/s", text.count),
)
EMPTY = "Nothing is kept yet: an engine writes its figures down once a minute."


def past_view(answer: Answer[Past], title: str, height: int, canvas: Canvas) -> View:
    """All figures of a span of time, each `height` lines high."""
    curves = answer.found.curves if answer.found else {}
    known = [figure for figure in FIGURES if any(value is not None for value in curves.get(figure.curve, ()))]
    lines = [line for figure in known for line in _drawn(figure, curves[figure.curve], height, canvas)]
    return View(
        title=title,
        aside=answers.read_words(answer, canvas),
        note=answer.trouble,
        keys=[str(at) for at in range(len(lines))],
        line=lambda key: lines[int(key)],
        empty=folded(answers.missing(answer, EMPTY), canvas),
    )


def _drawn(figure: Figure, values: Values, height: int, canvas: Canvas) -> list[Line]:
    write = figure.write
    known = [value for value in values if value is not None]
    has_top = canvas.width >= TOP_FROM
    width = canvas.width - NAME_WIDTH - VALUE_WIDTH - 1 - (has_top * (VALUE_WIDTH + 1))
    head = [Span(text.fit(figure.title, NAME_WIDTH), "dim"), Span(text.fit(write(known[-1]), VALUE_WIDTH, ">") + " ")]
    tail = [Span(text.fit(write(max(known)), VALUE_WIDTH + 1, ">"), "dim")] if has_top else []
    blank = Span(" " * (NAME_WIDTH + VALUE_WIDTH + 1))
    drawn = columns(values, width, height, canvas.glyphs.spark, figure.top)
    lines: list[Line] = [(*head, Span(drawn[0], "busy"), *tail)]
    lines += [(blank, Span(row, "busy")) for row in drawn[1:]]
    return [crop(line, canvas.width, canvas.glyphs) for line in lines]
