"""The second line of every screen: the screens by their keys, and the way from one of them to here."""

from rich.cells import cell_len

from core.text import clean
from tui import actions
from tui.text import Glyphs, fit
from tui.views.frame import Line, Span, crop, width_of

_NAMES = {kind: (Span(f" {key} ", "dim"), Span(name, "plain")) for kind, (key, name) in actions.TABS.items()}
_KEYS = {kind: (Span(f" {key}", "dim"),) for kind, (key, _) in actions.TABS.items()}


def line(kind: str, crumbs: tuple[str, ...], width: int, glyphs: Glyphs) -> Line:
    """In at most `width` cells; where they are too few for all names only this screen's stands beside its key."""
    crumbs = tuple(map(clean, crumbs))
    spans = tuple(span for _, part in _parts(kind, crumbs, width) for span in part)
    room = max(8, width - width_of(spans) - 3 * len(crumbs)) // max(1, len(crumbs))
    way = (Span(f" > {fit(crumb, room, '|', glyphs.more).rstrip()}", "strong") for crumb in crumbs)
    return crop((*spans, *way), width, glyphs)


def at(x: int, kind: str, crumbs: tuple[str, ...], width: int) -> str | None:
    """The screen whose name stands in that cell."""
    for name, part in _parts(kind, tuple(map(clean, crumbs)), width):
        if x < width_of(part):
            return name
        x -= width_of(part)
    return None


def _parts(kind: str, crumbs: tuple[str, ...], width: int) -> list[tuple[str, Line]]:
    here = tuple(span._replace(style="accent") for span in _NAMES.get(kind, ()))
    full = [(name, here if name == kind else part) for name, part in _NAMES.items()]
    if sum(width_of(part) for _, part in full) + sum(cell_len(crumb) + 3 for crumb in crumbs) <= width:
        return full
    return [(name, here if name == kind else part) for name, part in _KEYS.items()]
