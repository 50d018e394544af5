"""The first line of every screen: alerts first, because a narrow terminal cuts the right end."""

from collections import Counter
from dataclasses import dataclass

from core.text import counted
from tui import text
from tui.questions import TYPES
from tui.state import ViewState
from tui.text import Glyphs
from tui.views import alerts, jobs, panels, types
from tui.views.frame import Line, Span, crop, join, width_of

Part = tuple[int, tuple[Line, ...]]
DATA_PLACE, ENGINE_PLACE = 3, 6


@dataclass(frozen=True, slots=True)
class Moment:
    """What the header says besides the state: clocks, pause, the refresh rate and who may act.

    `now` is monotonic, `time` UTC epoch seconds; `paused` is for how many seconds, None while live. `slowness` says
    why the rate is not the one that was chosen; a rate of 0 is none.
    """

    now: float
    time: float
    paused: float | None = None
    held: int = 0
    refresh_hz: float = 4.0
    slowness: str = ""
    read_only: bool = False


def line(state: ViewState, moment: Moment, width: int, glyphs: Glyphs) -> Line:
    """The header in exactly `width` cells: the most important parts first get what room there is."""
    separator = Span(f" {glyphs.bar} ", "dim")
    clock = Span(text.clock(moment.time), "dim")
    room = width - (width_of((clock,)) + 2 if width >= 40 else 0)
    parts = _parts(state, moment, glyphs)
    kept = _kept(parts, room, 3)
    if not any(place == ENGINE_PLACE for place, _ in kept):
        kept = _kept([(place, forms if place == DATA_PLACE else forms[-1:]) for place, forms in parts], room, 3)
    spans: list[Span] = []
    for _, form in sorted(kept, key=lambda part: part[0]):
        spans += [separator, *form] if spans else form
    blank = width - width_of(tuple(spans)) - (width_of((clock,)) if width >= 40 else 0)
    return crop((*spans, Span(" " * max(0, blank)), clock), width, glyphs)


def _kept(parts: list[Part], room: int, gap: int) -> list[tuple[int, Line]]:
    """Of each part the longest form that there is room for."""
    kept: list[tuple[int, Line]] = []
    for place, forms in parts:
        for form in forms:
            needed = width_of(form) + (gap if kept else 0)
            if form and needed <= room:
                kept.append((place, form))
                room -= needed
                break
    return kept


def _parts(state: ViewState, moment: Moment, glyphs: Glyphs) -> list[Part]:
    """Parts with their place in the line and their forms, long and short; the most important first."""
    paused = ""
    if moment.paused is not None:
        paused = f"PAUSED {text.age(moment.paused)}, {text.count(moment.held)} held"
    rate = f"{moment.refresh_hz:g} Hz" + (f" ({moment.slowness})" if moment.slowness else "")
    slow = ((Span(moment.slowness, "warn"),),) if moment.slowness else ()
    pace = [(8, () if not moment.refresh_hz else ((Span(rate, "warn" if slow else "dim"),), *slow))]
    return [
        (0, (_alerts(state, glyphs),)),
        (1, (_link(state, moment),)),
        (2, ((Span(paused, "warn"),), (Span("PAUSED", "warn"),)) if paused else ()),
        *(pace if slow else []),
        (DATA_PLACE, types.summary(state.answer(TYPES), moment.time + state.vendor_ahead, glyphs)),
        (5, (_quota(state), _quota(state, short=True))),
        (4, (_jobs(state), _jobs(state, short=True))),
        (ENGINE_PLACE, (_engine(state),)),
        (7, ((Span("read-only", "warn"),),) if moment.read_only else ()),
        *([] if slow else pace),
        (9, (_where(state, glyphs),)),
    ]


def _alerts(state: ViewState, glyphs: Glyphs) -> Line:
    firing = state.firing
    if not firing:
        return (Span(f"{glyphs.states['done']} no alerts", "ok"),) if state.heard is not None else (Span("?", "dim"),)
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


_LIVELY = ("failed", "running", "waiting", "waiting_quota", "held", "planning", "cancelling", "queued")
_URGENT = ("failed", "running", "waiting")
_BRIEF = ("second", "minute")
_BRIEF_IS_LOW = 0.2


def _jobs(state: ViewState, *, short: bool = False) -> Line:
    """How many jobs are in each state, those that are over as one number; `short` has only three states."""
    listed = state.listed
    if not listed:
        return (Span("no jobs", "dim"),)
    numbers = Counter(job.state for job in listed.values())
    parts = [
        Span(f"{numbers[name]} {jobs.WORDS[name]}", jobs.STYLES.get(name, "plain"))
        for name in (_URGENT if short else _LIVELY)
        if numbers[name]
    ]
    over = sum(number for name, number in numbers.items() if name not in _LIVELY)
    if over and not short:
        parts.append(Span(f"{over} ended", "dim"))
    return join(parts or [Span(counted(len(listed), "job"), "dim")])


def _quota(state: ViewState, *, short: bool = False) -> Line:
    if state.quota is None or not state.quota.windows:
        return ()
    # A second's window empties and fills all the time; it is news only when it is nearly spent.
    telling = [w for w in state.quota.windows if w.name not in _BRIEF or panels.share_left(w) < _BRIEF_IS_LOW]
    worst = min(telling or state.quota.windows, key=panels.share_left)
    left = text.percent(worst.remaining, worst.limit)
    name = "" if short else f" {text.fit(worst.name, 6).strip()}"
    return (Span(f"quota {left}{name}", panels.quota_style(panels.share_left(worst))),)


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
