"""The keys in as many columns as fit, then what the glyphs and the filter words mean."""

from collections.abc import Iterable, Sequence

from tui.text import Glyphs, fit
from tui.views import jobs
from tui.views.frame import Canvas, Line, Span, View, crop

Entry = tuple[str, str, str]
COLUMN_WIDTH = 52
_FILTERS = (
    ("kraken btc", "rows with both words anywhere"),
    ("state:run", "a field that contains a text"),
    ("rows>1000", "a number above (or < below)"),
    ("!fail", "rows without it"),
)


def view(entries: Sequence[Entry], canvas: Canvas) -> View:
    """Help for `entries` of (group, key, what it does)."""
    width, glyphs, *_ = canvas
    columns = max(1, min(3, width // COLUMN_WIDTH))
    blocks = _blocks(entries, glyphs)
    heights = _split(blocks, columns)
    height = max(map(len, heights))
    lines = [crop(_beside(heights, at, width // columns, glyphs), width, glyphs) for at in range(height)]
    return View("Help", [str(at) for at in range(len(lines))], lambda at: lines[int(at)], aside="esc closes")


def _blocks(entries: Sequence[Entry], glyphs: Glyphs) -> list[list[Line]]:
    groups = list(dict.fromkeys(group for group, _, _ in entries))
    blocks = [_block(group, ((key, does) for name, key, does in entries if name == group)) for group in groups]
    states = ((glyphs.states.get(state, "?"), f"{word}: {state}") for state, word in jobs.WORDS.items())
    return [*blocks, _block("States", states), _block("Filter", _FILTERS)]


def _block(title: str, entries: Iterable[tuple[str, str]]) -> list[Line]:
    lines: list[Line] = [(Span(title, "strong"),)]
    lines += [(Span(fit(f"  {key}", 13), "accent"), Span(does)) for key, does in entries]
    return [*lines, ()]


def _split(blocks: list[list[Line]], columns: int) -> list[list[Line]]:
    """Blocks in columns of about the same height, in reading order."""
    share = sum(map(len, blocks)) / columns
    filled: list[list[Line]] = [[] for _ in range(columns)]
    at = 0
    for block in blocks:
        if at < columns - 1 and len(filled[at]) + len(block) / 2 > share:
            at += 1
        filled[at] += block
    return filled


def _beside(columns: list[list[Line]], at: int, width: int, glyphs: Glyphs) -> Line:
    spans: list[Span] = []
    for column in columns:
        line = crop(column[at], width - 1, glyphs) if at < len(column) else ()
        used = sum(len(span.text) for span in line)
        spans += [*line, Span(" " * (width - used))]
    return tuple(spans)
