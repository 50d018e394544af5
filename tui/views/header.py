"""The first line of every screen: alerts first, because a narrow terminal cuts the right end."""

from collections import Counter
from dataclasses import dataclass

from tui import text
from tui.state import ViewState
from tui.text import Glyphs
from tui.views import alerts, jobs, panels
from tui.views.frame import Line, Span, crop, width_of


@dataclass(frozen=True, slots=True)
class Moment:
    """What the header says besides the state: clocks, pause, the refresh rate and who may act.

    `now` is monotonic, `time` UTC epoch seconds; `paused` is for how many seconds, None while live.
    """

    now: float
    time: float
    paused: float | None = None
    held: int = 0
    refresh_hz: float = 4.0
    throttled: bool = False
    read_only: bool = False


def line(state: ViewState, moment: Moment, width: int, glyphs: Glyphs) -> Line:
    """The header in exactly `width` cells; less important parts are given up first."""
    parts = _parts(state, moment, glyphs)
    separator = Span(f" {glyphs.bar} ", "dim")
    clock = Span(text.clock(moment.time), "dim")
    for kept in range(len(parts), 0, -1):
        shown = sorted(parts[:kept])
        spans = [span for at, (_, line) in enumerate(shown) for span in ((separator, *line) if at else line)]
        for tail in (clock, Span("")) if kept == len(parts) or kept <= 3 else (Span(""),):
            blank = width - width_of(tuple(spans)) - width_of((tail,))
            if blank >= (2 if tail.text else 0):
                return (*spans, Span(" " * blank), tail)
    return crop(parts[0][1], width, glyphs)


def _parts(state: ViewState, moment: Moment, glyphs: Glyphs) -> list[tuple[int, Line]]:
    """Parts with their place in the line, the most important first."""
    parts = [(1, _link(state, moment)), (0, _alerts(state, glyphs)), (3, _jobs(state, glyphs))]
    if moment.paused is not None:
        paused = f"PAUSED {text.age(moment.paused)}, {text.count(moment.held)} held"
        parts.insert(0, (2, (Span(paused, "warn"),)))
    parts += [(4, line) for line in (_quota(state),) if line]
    parts += [(5, line) for line in (_engine(state),) if line]
    parts += [(6, (Span("read-only", "warn"),))] if moment.read_only else []
    rate = f"{moment.refresh_hz:g} Hz"
    parts.append((7, (Span(rate + (" (slowed)" if moment.throttled else ""), "dim"),)))
    parts += [(8, line) for line in (_where(state, glyphs),) if line]
    return parts


def _alerts(state: ViewState, glyphs: Glyphs) -> Line:
    firing = state.firing
    if not firing:
        return (
            (Span(f"{glyphs.states['done']} no alerts", "ok"),)
            if state.heard is not None
            else (Span("?", "dim"),)
        )
    worst = min(firing, key=alerts.rank)
    return (Span(alerts.summary(state, glyphs), alerts.STYLES.get(worst.level, "plain")),)


def _link(state: ViewState, moment: Moment) -> Line:
    word, data_age = state.freshness(moment.now)
    if word == "LIVE":
        return (Span("LIVE", "ok"), Span(f" {text.age(data_age)}", "dim"))
    if word in {"LAG", "STALE"}:
        return (Span(f"{word} {text.age(data_age)}", "warn" if word == "LAG" else "bad"),)
    retry = state.link.retry_at
    again = f" retry {max(0.0, retry - moment.now):.0f}s" if retry is not None else ""
    return (Span(word + again, "bad" if word == "DISCONNECTED" else "warn"),)


def _jobs(state: ViewState, glyphs: Glyphs) -> Line:
    if not state.jobs:
        return (Span("no jobs", "dim"),)
    numbers = Counter(job.state for job in state.jobs.values())
    return tuple(
        Span(f"{' ' if at else ''}{number} {jobs.WORDS.get(name, '?')}", jobs.STYLES.get(name, "plain"))
        for at, (name, number) in enumerate(
            (name, numbers[name]) for name in sorted(numbers, key=_state_order) if numbers[name]
        )
    )


def _state_order(state: str) -> int:
    order = ("failed", "running", "planning", "waiting", "held", "cancelling", "queued", "waiting_quota")
    return order.index(state) if state in order else len(order)


def _quota(state: ViewState) -> Line:
    if state.quota is None or not state.quota.windows:
        return ()
    worst = min(state.quota.windows, key=panels.share_left)
    left = text.percent(worst.remaining, worst.limit)
    return (
        Span(f"quota {left} {text.fit(worst.name, 6).strip()}", panels.quota_style(panels.share_left(worst))),
    )


def _engine(state: ViewState) -> Line:
    if state.engine is None:
        return ()
    sample = state.engine
    return (Span(f"cpu {sample.cpu_percent:.0f}% mem {text.size(sample.memory_bytes)}"),)


def _where(state: ViewState, glyphs: Glyphs) -> Line:
    if state.hello is None:
        return ()
    where = text.fit(f"{state.hello.source} > {state.hello.store}", 40, "|", glyphs.more)
    return (Span(where.strip(), "dim"),)
