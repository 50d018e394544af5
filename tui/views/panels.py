"""The small panes: cache tiers, the vendor's quota windows, the engine and its host."""

from core.events import CacheSample, QuotaWindow
from tui import text
from tui.state import History, ViewState
from tui.text import Glyphs
from tui.views.frame import Canvas, Line, Span, View, crop, words

QUOTA_WARN, QUOTA_BAD = 0.2, 0.05


def cache_view(state: ViewState, canvas: Canvas) -> View:
    """Hit rate, size and evictions of each cache tier."""
    width, glyphs, *_ = canvas
    caches = state.caches

    def line(key: str) -> Line:
        return cache_line(caches[key], state.hit_rates.get(key, History()), width, glyphs)

    nothing = (words("No cache in use.", width, "dim", glyphs),)
    return View(title="Cache", aside="hits", keys=sorted(caches), line=line, empty=nothing)


def cache_line(cache: CacheSample, recent: History, width: int, glyphs: Glyphs) -> Line:
    asked = cache.hits + cache.misses
    bar_width = max(0, min(20, width - 22))
    spark_width = max(0, min(24, width - bar_width - 36))
    spans = [
        Span(text.fit(cache.tier, 7, "<", glyphs.more), "strong"),
        Span(" " + text.bar(cache.hits, asked, bar_width, glyphs), "busy"),
        Span(text.fit(text.percent(cache.hits, asked), 5, ">")),
        Span(text.fit(text.size(cache.bytes), 7, ">"), "dim"),
    ]
    if spark_width:
        spans.append(Span(f"  {text.spark(recent.values, spark_width, glyphs, 100.0)}", "busy"))
        spans.append(Span(f"  {text.count(cache.evictions)} evicted", "dim"))
    if cache.is_away:
        spans.append(Span("  away", "warn"))
    return crop(tuple(spans), width, glyphs)


def quota_view(state: ViewState, canvas: Canvas) -> View:
    """What is left of each of the vendor's limits, the scarcest first."""
    width, glyphs, now, _ = canvas
    windows = {window.name: window for window in state.quota.windows} if state.quota else {}
    keys = sorted(windows, key=lambda name: share_left(windows[name]))

    def line(key: str) -> Line:
        return quota_line(windows[key], width, glyphs, now)

    nothing = (words("Unknown until the vendor has answered once.", width, "dim", glyphs),)
    return View(title="Quota", aside="left", keys=keys, line=line, empty=nothing)


def share_left(window: QuotaWindow) -> float:
    return window.remaining / window.limit if window.limit > 0 else 0.0


def quota_style(left: float) -> str:
    return "bad" if left < QUOTA_BAD else "warn" if left < QUOTA_WARN else "ok"


def quota_line(window: QuotaWindow, width: int, glyphs: Glyphs, now: float) -> Line:
    left = share_left(window)
    style = quota_style(left)
    glyph = {"bad": glyphs.states["failed"], "warn": glyphs.states["waiting"]}.get(style, " ")
    bar_width = max(0, min(14, width - 22))
    spans = (
        Span(f"{glyph} ", style),
        Span(text.fit(window.name, 6, "<", glyphs.more), "strong"),
        Span(" " + text.bar(window.remaining, window.limit, bar_width, glyphs), style),
        Span(text.fit(text.percent(window.remaining, window.limit), 5, ">"), style),
        Span(text.fit(text.count(window.remaining), 6, ">")),
        Span(f"  resets in {text.age(window.resets_at - now)}", "dim"),
    )
    return crop(spans if width >= 50 else spans[:-1], width, glyphs)


def engine_view(state: ViewState, canvas: Canvas) -> View:
    """CPU and memory of the engine and its host, and how busy the engine is."""
    lines = dict(_engine_lines(state, canvas)) if state.engine else {}
    nothing = (words("No sample from the engine yet.", canvas.width, "dim", canvas.glyphs),)
    aside = f"up {text.age(state.engine.uptime_seconds)}" if state.engine else ""
    return View(title="Engine", aside=aside, keys=list(lines), line=lambda key: lines[key], empty=nothing)


def _engine_lines(state: ViewState, canvas: Canvas) -> list[tuple[str, Line]]:
    sample = state.engine
    if sample is None:
        return []
    measured: tuple[tuple[str, str, str, float | None], ...] = (
        ("cpu", f"{sample.cpu_percent:.0f}%", "cpu_percent", 100.0),
        ("memory", text.size(sample.memory_bytes), "memory_bytes", None),
        ("host cpu", f"{sample.host_cpu_percent:.0f}%", "host_cpu_percent", 100.0),
        ("host mem", f"{sample.host_memory_percent:.0f}%", "host_memory_percent", 100.0),
        ("rows/s", text.count(sample.rows_per_second), "rows_per_second", None),
        ("req/s", f"{sample.requests_per_second:.1f}", "requests_per_second", None),
        ("loop lag", f"{sample.loop_lag_ms:.0f}ms", "loop_lag_ms", 50.0),
    )
    lines = [
        (name, _vital(name, value, spark_of(state, history, top, canvas), canvas))
        for name, value, history, top in measured
    ]
    hits = sum(cache.hits for cache in state.caches.values())
    asked = hits + sum(cache.misses for cache in state.caches.values())
    lines.insert(2, ("hits", _vital("cache hit", text.percent(hits, asked), "", canvas)))
    others = f"{sample.in_flight} in flight, {sample.open_files} files, {sample.clients} clients"
    return [*lines, ("others", words(others, canvas.width, "dim", canvas.glyphs))]


def spark_of(state: ViewState, history: str, top: float | None, canvas: Canvas) -> str:
    """The recent past of one vital sign, as wide as there is room."""
    values = state.vitals.get(history, History()).values
    return text.spark(values, max(0, min(60, canvas.width - 17)), canvas.glyphs, top)


def _vital(name: str, value: str, curve: str, canvas: Canvas) -> Line:
    spans = (Span(text.fit(name, 9), "dim"), Span(text.fit(value, 6, ">")), Span("  " + curve, "busy"))
    return crop(spans, canvas.width, canvas.glyphs)
