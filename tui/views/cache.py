"""The cache in full: its tiers, how often they had what was asked, and which lists cost what."""

from collections.abc import Mapping
from functools import partial

from core.events import CacheSample
from core.text import counted
from tui import text
from tui.archive.figures import Past
from tui.lookups import Answer
from tui.state import History, ViewState
from tui.views import answers
from tui.views.curves import columns
from tui.views.frame import Canvas, Column, Line, Span, View, choose, crop, folded, head, row

TIERS = (
    Column("tier", "TIER", 7, "<", 100, grow=1),
    Column("state", "STATE", 8, "<", 85),
    Column("rate", "HIT", 4, ">", 98),
    Column("hits", "HITS", 6, ">", 90),
    Column("misses", "MISS", 6, ">", 88),
    Column("entries", "VALUES", 6, ">", 70),
    Column("bytes", "SIZE", 6, ">", 95),
    Column("evictions", "EVICTED", 7, ">", 60),
    Column("errors", "ERRORS", 6, ">", 65),
    Column("p50", "HALF IN", 7, ">", 30),
    Column("p99", "99% IN", 7, ">", 40),
)
KINDS = (
    Column("kind", "LISTS OF", 12, "|", 100, grow=2),
    Column("rate", "HIT", 4, ">", 98),
    Column("hits", "HITS", 5, ">", 90),
    Column("misses", "CALLED", 6, ">", 95),
    Column("joined", "JOINED", 6, ">", 70),
    Column("stale_hits", "STALE", 5, ">", 80),
    Column("poisoned", "BAD", 4, ">", 60),
    Column("refused", "REFUSED", 7, ">", 50),
)
TROUBLE = frozenset({"stale_hits", "poisoned", "refused"})
NO_LISTS = "No list was asked for since the engine started."


def tiers_view(state: ViewState, canvas: Canvas) -> View:
    """A row a tier, the nearest first."""
    tiers = state.caches
    return View(
        title=f"Cache {counted(len(tiers), 'tier')}" if tiers else "Cache",
        aside="since the engine started" if tiers else "",
        keys=list(tiers),
        line=lambda key: _tier_line(tiers[key], canvas),
        head=head(choose(TIERS, canvas.width), "", False, canvas.glyphs),
        empty=folded(_no_cache(state), canvas),
    )


def _no_cache(state: ViewState) -> str:
    return "No cache in use." if state.heard is not None else f"Unknown: {state.link.reason or 'no engine yet.'}"


def _tier_line(tier: CacheSample, canvas: Canvas) -> Line:
    return row(choose(TIERS, canvas.width), partial(_tier_cell, tier, canvas), canvas.glyphs)


def _tier_cell(tier: CacheSample, canvas: Canvas, name: str, _cells: int) -> tuple[str, str]:
    match name:
        case "tier":
            return tier.tier, "strong"
        case "state":
            glyph, word, style = ("waiting", "away", "warn") if tier.is_away else ("done", "ok", "ok")
            return f"{canvas.glyphs.states[glyph]} {word}", style
        case "rate":
            return text.percent(tier.hits, tier.hits + tier.misses), "plain"
        case "bytes":
            return text.size(tier.bytes), "plain"
        case "p50" | "p99":
            return text.took(tier.latency_p50 if name == "p50" else tier.latency_p99), "dim"
    number = getattr(tier, name)
    return text.count(number), "bad" if name == "errors" and number else "plain"


def rates_view(state: ViewState, hours: Answer[Past], canvas: Canvas) -> View:
    """The hit rate of each tier: since this dashboard listens, and over two days."""
    lines: dict[str, Line] = {}
    curves = hours.found.curves if hours.found else {}
    tiers = dict.fromkeys((*state.caches, *(name.removeprefix("hits/") for name in curves if name.startswith("hits/"))))
    for tier in tiers:
        recent = state.hit_rates.get(tier, History()).values
        lines[f"{tier} now"] = _rate_line(tier, "2 min", recent[-120:], canvas)
        lines[f"{tier} hours"] = _rate_line("", "48 h", curves.get(f"hits/{tier}", ()), canvas)
    return View(
        title="Hit rate",
        aside=answers.read_words(hours, canvas),
        note=hours.trouble,
        keys=list(lines),
        line=lambda key: lines[key],
        empty=folded(answers.missing(hours, "Nothing was asked yet."), canvas),
    )


def _rate_line(tier: str, span: str, values: tuple[float | None, ...], canvas: Canvas) -> Line:
    known = [value for value in values if value is not None]
    newest = f"{known[-1]:.0f}%" if known else "-"
    [drawn] = columns(values, canvas.width - 20, 1, canvas.glyphs.spark, 100.0)
    spans = (
        Span(text.fit(tier, 7, "<", canvas.glyphs.more), "strong"),
        Span(text.fit(span, 6, ">"), "dim"),
        Span(text.fit(newest, 5, ">") + "  "),
        Span(drawn, "busy"),
    )
    return crop(spans, canvas.width, canvas.glyphs)


def kinds_view(state: ViewState, canvas: Canvas) -> View:
    """How the lists of each data type were got, what was called for most first."""
    kinds: Mapping[str, Mapping[str, int]] = {
        name: counts for tier in state.caches.values() for name, counts in tier.kinds.items()
    }
    keys = sorted(kinds, key=lambda name: (-kinds[name].get("misses", 0), name))
    return View(
        title=f"Lists of {len(kinds)} data types" if kinds else "Lists",
        keys=keys,
        line=lambda key: row(choose(KINDS, canvas.width), partial(_kind_cell, key, kinds[key]), canvas.glyphs),
        head=head(choose(KINDS, canvas.width), "", False, canvas.glyphs),
        empty=folded(NO_LISTS, canvas),
    )


def _kind_cell(kind: str, counts: Mapping[str, int], name: str, _cells: int) -> tuple[str, str]:
    if name == "kind":
        return kind, "strong"
    if name == "rate":
        hits = counts.get("hits", 0)
        return text.percent(hits, hits + counts.get("misses", 0)), "plain"
    number = counts.get(name, 0)
    return text.count(number), "warn" if number and name in TROUBLE else "plain" if number else "dim"
