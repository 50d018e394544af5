"""Coverage by month as shades: the years of one series, and the newest months of many.

A shade tells the share of the bars that are stored, a mark beside or in its place that a gap is in that month: a new
one, or one with an explanation. A month that was not asked for has a shade of its own.
"""

from collections.abc import Mapping
from dataclasses import replace

from core.datasets import closed_until
from core.windows import GRAINS
from tui import text
from tui.archive.series import Coverage
from tui.coverage import Share, month_of, months_of, share_of
from tui.lookups import Answer
from tui.text import Glyphs
from tui.views.answers import About, listed, missing, order_words, read_words
from tui.views.frame import Canvas, Line, Listing, Span, View, crop, words

UNICODE_SHADES, ASCII_SHADES = "█▓▒░·", "#+=-."
GAP, EXPLAINED = "!", "~"
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
ABOUT = About("Coverage by month of series", "series", "Nothing is stored yet: a job of a data type fills this.")
NO_MONTHS = "Nothing was asked for yet, so no month is covered."


def shade(share: Share | None, glyphs: Glyphs) -> tuple[str, str]:
    """A glyph and its style: all, most (90 %), half, some or none of the bars are stored."""
    shades = ASCII_SHADES if glyphs.full.isascii() else UNICODE_SHADES
    if share is None:
        return " ", "dim"
    if share.stored == share.expected:
        return shades[0], "ok"
    if share.unasked == share.expected:
        return shades[4], "dim"
    part = share.stored / share.expected
    return shades[1 if part >= 0.9 else 2 if part >= 0.5 else 3], "busy"


def mark(share: Share | None) -> tuple[str, str]:
    """Whether there is a gap in a month."""
    if share is None or not (share.gaps or share.explained):
        return " ", "dim"
    return (GAP, "bad") if share.gaps else (EXPLAINED, "dim")


def legend(glyphs: Glyphs) -> str:
    shades = ASCII_SHADES if glyphs.full.isascii() else UNICODE_SHADES
    names = ("all", "90%", "half", "less", "not asked")
    told = " ".join(f"{glyph} {name}" for glyph, name in zip(shades, names, strict=True))
    return f"{GAP} gap {EXPLAINED} explained  {told}"


def until(seconds: int, time: float) -> int:
    """The end of the newest bar that could be stored at that time (UTC epoch seconds)."""
    grain = next((grain for grain in GRAINS.values() if grain.seconds == seconds), GRAINS["1d"])
    return closed_until(int(time), grain)


def years_view(answer: Answer[Coverage], canvas: Canvas) -> View:
    """One series, a line a year, the newest first."""
    coverage = answer.found
    months = range(0) if coverage is None else months_of(coverage)
    years = (
        [str(year) for year in range(months.start // 12, -(-months.stop // 12))][::-1] if coverage and months else []
    )
    cells = max(2, min(5, (canvas.width - 9) // 12))

    def line(key: str) -> Line:
        if coverage is None or not key.isdigit():
            return words(legend(canvas.glyphs), canvas.width, "dim", canvas.glyphs)
        return _year(coverage, int(key), cells, canvas)

    return View(
        title="Coverage by month",
        aside=read_words(answer, canvas),
        note=answer.trouble,
        keys=[*years, "legend"] if years else [],
        line=line,
        head=_month_names(cells, canvas),
        empty=(words(missing(answer, NO_MONTHS), canvas.width, "dim", canvas.glyphs),),
    )


def _month_names(cells: int, canvas: Canvas) -> Line:
    names = "".join(name[: 1 if cells < 4 else 3].ljust(cells) for name in MONTHS)
    return crop((Span(f"{'':5}{names}", "dim"),), canvas.width, canvas.glyphs)


def _year(coverage: Coverage, year: int, cells: int, canvas: Canvas) -> Line:
    end = until(coverage.seconds, canvas.vendor_time)
    shares = [share_of(coverage, 12 * year + month, end) for month in range(12)]
    spans = [Span(f"{year} ", "dim")]
    for share in shares:
        (drawn, style), (marked, alarm) = shade(share, canvas.glyphs), mark(share)
        spans += [Span(drawn * max(1, cells - 2), style), Span(marked.ljust(cells - max(1, cells - 2)), alarm)]
    known = [share for share in shares if share is not None]
    whole = text.percent(sum(share.stored for share in known), sum(share.expected for share in known))
    return crop((*spans, Span(f"{whole:>4}", "plain")), canvas.width, canvas.glyphs)


def list_view(answer: Answer[Mapping[str, Coverage]], listing: Listing, canvas: Canvas) -> View:
    """Many series, one a line, the newest month at the right."""
    coverages = answer.found or {}
    names = max(12, min(48, canvas.width // 2 if canvas.width < 70 else canvas.width // 3))
    newest = month_of(canvas.vendor_time)
    months = range(newest - max(0, canvas.width - names - 2), newest + 1)

    def line(key: str) -> Line:
        name = Span(text.fit(key, names, "|", canvas.glyphs.more) + " ", "strong")
        coverage = coverages.get(key)
        return (name, *_strip(coverage, months, canvas)) if coverage else (name, Span("not read yet", "dim"))

    view = listed(ABOUT, answer, listing, canvas, line, _year_names(months, names, listing, canvas))
    return replace(view, aside=legend(canvas.glyphs))


def _strip(coverage: Coverage, months: range, canvas: Canvas) -> list[Span]:
    end, spans = until(coverage.seconds, canvas.vendor_time), list[Span]()
    for month in months:
        share = share_of(coverage, month, end)
        drawn, style = mark(share)
        if drawn == " ":
            drawn, style = shade(share, canvas.glyphs)
        if spans and spans[-1].style == style:
            spans[-1] = Span(spans[-1].text + drawn, style)
        else:
            spans.append(Span(drawn, style))
    return spans


def _year_names(months: range, names: int, listing: Listing, canvas: Canvas) -> Line:
    """Each year above its January."""
    filtered, ordered = order_words(listing.choice, canvas)
    cells = [" "] * len(months)
    for at, month in enumerate(months):
        if month % 12 == 0 and at + 4 <= len(months):
            cells[at : at + 4] = str(month // 12)
    return (Span(text.fit(filtered or ordered, names) + " ", "dim"), Span("".join(cells), "dim"))
