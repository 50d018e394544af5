"""The small panes: cache tiers, the vendor's quota windows, the engine and its host."""

from core.events import CacheSample, MonthUsage, QuotaWindow
from core.text import counted
from tui import text
from tui.state import HISTORY, History, ViewState
from tui.text import Glyphs
from tui.views.frame import Canvas, Line, Span, View, crop, folded, words

QUOTA_WARN, QUOTA_BAD = 0.2, 0.05
QUOTA_USED_FROM = 42


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
    """What is left of each of the vendor's limits, the scarcest first, then how the month goes."""
    width, glyphs, now, *_ = canvas
    windows = {window.name: window for window in state.quota.windows} if state.quota else {}
    month = state.quota.month if state.quota else None
    outlook = month_lines(month, width, glyphs) if month and (windows or month.calls) else {}
    keys = [*sorted(windows, key=lambda name: share_left(windows[name])), *outlook]

    def line(key: str) -> Line:
        return outlook[key] if key in outlook else quota_line(windows[key], width, glyphs, now)

    nothing = folded("Unknown until the vendor has answered once.", canvas)
    aside = f"month to {text.count(month.forecast)}" if month and outlook else "left"
    return View(title="Quota", aside=aside, keys=keys, line=line, empty=nothing)


def month_lines(month: MonthUsage, width: int, glyphs: Glyphs) -> dict[str, Line]:
    """Our calls so far and by the end of the month, and when a bound on them is reached."""
    ours = f"ours {text.count(month.calls)}, {text.count(month.forecast)} by end"
    lines = {"(ours)": words(ours, width, "dim", glyphs)}
    if month.budget is not None:
        left = max(0, month.budget - month.calls)
        style = "bad" if not left else "warn" if month.budget_at is not None else "dim"
        lines["(budget)"] = words(f"budget {text.count(left)}{_until(month.budget_at, width)}", width, style, glyphs)
    if month.limit_at is not None:
        lines["(limit)"] = words(f"month's limit{_until(month.limit_at, width)}", width, "warn", glyphs)
    return lines


def _until(at: float | None, width: int) -> str:
    if at is None:
        return " left"
    return f" lasts to {text.moment(at)}" if width >= QUOTA_USED_FROM else f" to {text.moment(at)[5:10]}"


def share_left(window: QuotaWindow) -> float:
    return window.remaining / window.limit if window.limit > 0 else 0.0


def quota_style(left: float) -> str:
    return "bad" if left < QUOTA_BAD else "warn" if left < QUOTA_WARN else "ok"


def quota_line(window: QuotaWindow, width: int, glyphs: Glyphs, now: float) -> Line:
    left = share_left(window)
    style = quota_style(left)
    glyph = {"bad": glyphs.states["failed"], "warn": glyphs.states["waiting"]}.get(style, " ")
    used, resets = text.count(window.limit - window.remaining), text.age(window.resets_at - now)
    rest = f"{used:>6} used {resets:>6}" if width >= QUOTA_USED_FROM else f"{resets:>6}"
    room = width - 19 - len(rest)
    spans = (
        Span(glyph if room < 0 else f"{glyph} ", style),
        Span(text.fit(window.name, 6, "<", glyphs.more), "strong"),
        Span(" " + text.bar(window.remaining, window.limit, min(14, room - 1), glyphs) if room > 4 else "", style),
        Span(text.fit(text.percent(window.remaining, window.limit), 5, ">"), style),
        Span(text.fit(text.count(window.remaining), 6, ">")),
        Span(rest, "dim"),
    )
    return crop(spans, width, glyphs)


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
    others = f"{sample.in_flight} in flight, {sample.open_files} files, {counted(sample.clients, 'client')}"
    return [*lines, ("others", words(others, canvas.width, "dim", canvas.glyphs))]


def spark_of(state: ViewState, history: str, top: float | None, canvas: Canvas) -> str:
    """The recent past of one vital sign, as wide as there is room."""
    values = state.vitals.get(history, History()).values
    return text.spark(values, max(0, min(HISTORY, canvas.width - 17)), canvas.glyphs, top)


def _vital(name: str, value: str, curve: str, canvas: Canvas) -> Line:
    spans = (Span(text.fit(name, 9), "dim"), Span(text.fit(value, 6, ">")), Span("  " + curve, "busy"))
    return crop(spans, canvas.width, canvas.glyphs)
