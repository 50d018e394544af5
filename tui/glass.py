"""What the terminal shows, cell by cell: of every frame only the cells that differ are sent.

Textual sends a changed line from its beginning, and a screen whose layout was looked at anew as a whole.
"""

from collections.abc import Container, Iterable, Iterator
from functools import partial
from itertools import groupby
from typing import NamedTuple, cast

from rich.cells import get_character_cell_size
from rich.color import ColorSystem
from rich.console import Console, RenderableType
from rich.segment import Segment
from textual._compositor import ChopsUpdate, CompositorUpdate, LayoutUpdate
from textual.strip import Strip

NEAR = 4
"""Cells that cost less to send again than to jump over."""


class Cell(NamedTuple):
    """A character, its colours as the terminal is told them, and which cell of the character this is."""

    text: str
    colours: str
    part: int = 0


Piece = tuple[int, int, Iterable[Segment]]
"""Line, column, and what is to be seen from there on."""


class Glass:
    """Forget everything with `clear` whenever somebody else may have written to the terminal, or its size changed."""

    def __init__(self) -> None:
        self.is_behind = False
        """Whether the last frame was shown in part."""
        self._lines: dict[int, list[Cell | None]] = {}
        self._left = 0

    def clear(self) -> None:
        self._lines.clear()

    def less(self, update: RenderableType | None, most: float, urgent: Container[int]) -> RenderableType | None:
        """The same update in fewer bytes, to be written now; as it is when it is none of lines.

        What is beyond `most` characters is left out, by whole lines. Those that are `urgent` come first, and then
        those that were left out the last time, so that none waits for ever.
        """
        if isinstance(update, ChopsUpdate):
            pieces = _spans(update)
        elif isinstance(update, LayoutUpdate):
            pieces = _lines(update)
        else:
            return update
        # Textual shows every CompositorUpdate, and says that it shows what Rich can render.
        return cast("RenderableType", _Frame(self, pieces, most, urgent))

    def show(self, pieces: Iterable[Piece], most: float, urgent: Container[int], system: ColorSystem) -> Iterator[str]:
        """What makes the terminal show them, see `less`."""
        first, self._left, self.is_behind = self._left, 0, False
        for y, x, segments in sorted(pieces, key=lambda piece: (piece[0] not in urgent, piece[0] < first, piece[0])):
            if most <= 0:
                self.is_behind, self._left = True, y
                return
            for part in self.draw(y, x, segments, system):
                most -= len(part)
                yield part

    def draw(self, y: int, x: int, segments: Iterable[Segment], system: ColorSystem) -> Iterator[str]:
        """What makes the terminal show `segments` there."""
        cells = _cells(segments, system)
        line = self._lines.setdefault(y, [])
        line += [None] * (x + len(cells) - len(line))
        for first, last in _runs(line[x : x + len(cells)], cells):
            yield f"\x1b[{y + 1};{x + first + 1}H"
            for colours, run in groupby(cells[first:last], key=lambda cell: cell.colours):
                text = "".join(cell.text for cell in run if not cell.part)
                yield f"\x1b[{colours}m{text}\x1b[0m" if colours else text
        line[x : x + len(cells)] = cells


class _Frame(CompositorUpdate):
    """What is left of an update, see `Glass.less`."""

    def __init__(self, glass: Glass, pieces: Iterable[Piece], most: float, urgent: Container[int]) -> None:
        self._show = partial(glass.show, pieces, most, urgent)

    def render_segments(self, console: Console) -> str:
        return "".join(self._show(console._color_system or ColorSystem.TRUECOLOR))


def _spans(update: ChopsUpdate) -> Iterator[Piece]:
    for y, x1, x2 in update.spans:
        for end, (x, strip) in zip(update.chop_ends[y], update.chops[y].items(), strict=True):
            first = max(x, x1)
            if strip is not None and x < x2 and end > x1:
                yield y, first, strip.crop(first - x, min(end, x2) - x)


def _lines(update: LayoutUpdate) -> Iterator[Piece]:
    for y, strips in enumerate(update.strips, update.region.y):
        yield y, update.region.x, (segment for strip in strips for segment in strip)


def _cells(segments: Iterable[Segment], system: ColorSystem) -> list[Cell]:
    cells: list[Cell] = []
    for text, style, _ in segments:
        colours = Strip.render_ansi(style, system) if style is not None else ""
        for character in text:
            width = get_character_cell_size(character)
            if width:
                cells += [Cell(character, colours, part) for part in range(width)]
            elif cells:
                cells[-1] = cells[-1]._replace(text=cells[-1].text + character)
    return cells


def _runs(old: list[Cell | None], new: list[Cell]) -> list[tuple[int, int]]:
    """Where they differ, from and to; no character is begun in its middle."""
    runs: list[tuple[int, int]] = []
    for at in (at for at, (before, after) in enumerate(zip(old, new, strict=True)) if before != after):
        start, end = runs.pop() if runs and at - runs[-1][1] < NEAR else (at - new[at].part, at)
        runs.append((start, max(end, at) + 1))
    return runs
