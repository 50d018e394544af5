"""The vendor's limits in full: what is left of each, where the month is heading, and what the calls were for."""

from functools import partial
from typing import NamedTuple

from core.events import MonthUsage, QuotaWindow
from tui import text
from tui.archive.figures import Share, Spent
from tui.lookups import Answer
from tui.query import Choice, Fields
from tui.state import ViewState
from tui.views import answers
from tui.views.curves import columns
from tui.views.frame import Canvas, Column, Line, Listing, Span, View, choose, crop, folded, head, row, words
from tui.views.panels import quota_style, share_left

LIMITS = (
    Column("name", "LIMIT", 6, "<", 100),
    Column("left", "LEFT", 5, ">", 98),
    Column("bar", "", 8, "<", 40, grow=1),
    Column("remaining", "CALLS", 6, ">", 90),
    Column("used", "USED", 6, ">", 70),
    Column("limit", "OF", 6, ">", 60),
    Column("resets", "RESETS IN", 9, ">", 95),
    Column("at", "AT", 16, "<", 20),
)
SPENT = (
    Column("by", "BY", 9, "<", 70),
    Column("name", "WHAT", 12, "|", 100, grow=2),
    Column("today", "TODAY", 6, ">", 80),
    Column("month", "MONTH", 6, ">", 90),
    Column("share", "SHARE", 5, ">", 85),
    Column("bar", "", 8, "<", 30, grow=1),
)
TITLES = {"reason": "reason", "data_type": "data type", "label": "label"}
GLYPHS = {"bad": "failed", "warn": "waiting", "ok": "done"}
UNKNOWN = "Unknown until the vendor has answered once."
NO_CALLS = "No call is recorded for this month."


def limits_view(state: ViewState, canvas: Canvas) -> View:
    """A row a limit, the scarcest first."""
    windows = {window.name: window for window in state.quota.windows} if state.quota else {}
    return View(
        title="Limits",
        aside=text.fit(state.quota.account, 30, "<", canvas.glyphs.more).strip() if state.quota else "",
        keys=sorted(windows, key=lambda name: share_left(windows[name])),
        line=lambda key: _limit_line(windows[key], canvas),
        head=head(choose(LIMITS, canvas.width), "", False, canvas.glyphs),
        empty=folded(UNKNOWN, canvas),
    )


def _limit_line(window: QuotaWindow, canvas: Canvas) -> Line:
    return row(choose(LIMITS, canvas.width), partial(_limit_cell, window, canvas), canvas.glyphs)


def _limit_cell(window: QuotaWindow, canvas: Canvas, name: str, cells: int) -> tuple[str, str]:
    style = quota_style(share_left(window))
    match name:
        case "name":
            return window.name, "strong"
        case "left":
            return text.percent(window.remaining, window.limit), style
        case "bar":
            drawn = text.bar(window.remaining, window.limit, cells - 2, canvas.glyphs)
            return f"{canvas.glyphs.states[GLYPHS[style]]} {drawn}", style
        case "resets":
            return text.age(window.resets_at - canvas.time), "plain"
        case "at":
            return text.moment(window.resets_at), "dim"
    used = window.limit - window.remaining
    return text.count(used if name == "used" else getattr(window, name)), "plain"


def forecast_view(state: ViewState, answer: Answer[Spent], canvas: Canvas) -> View:
    """Where the month is heading: calls of ours, a budget on them, the vendor's limit; and what each day took."""
    month = state.quota.month if state.quota else None
    lines = _month_lines(month, canvas) if month else []
    lines += _day_lines(answer.found, canvas) if answer.found else []
    return View(
        title="This month",
        aside=answers.read_words(answer, canvas),
        note=answer.trouble,
        keys=[str(at) for at in range(len(lines))],
        line=lambda key: lines[int(key)],
        empty=folded(answers.missing(answer, NO_CALLS), canvas),
    )


def _month_lines(month: MonthUsage, canvas: Canvas) -> list[Line]:
    ours = f"ours     {text.grouped(month.calls)} calls, about {text.grouped(month.forecast)} by its end"
    found = [(ours, "plain")]
    if month.budget is not None:
        left = max(0, month.budget - month.calls)
        until = f", lasts to {text.moment(month.budget_at)}" if month.budget_at else ""
        style = "bad" if not left else "warn" if month.budget_at else "plain"
        found.append((f"budget   {text.grouped(left)} of {text.grouped(month.budget)} left{until}", style))
    if month.limit_at is not None:
        found.append((f"vendor   the month's limit is used up about {text.moment(month.limit_at)}", "warn"))
    return [words(line, canvas.width, style, canvas.glyphs) for line, style in found]


def _day_lines(spent: Spent, canvas: Canvas) -> list[Line]:
    today = words(f"today    {text.grouped(spent.today)} calls", canvas.width, "plain", canvas.glyphs)
    width = min(len(spent.days) * 2, max(0, canvas.width - 9))
    drawn = columns(tuple(spent.days), width, 2, canvas.glyphs.spark)
    titles = ("by day", f"max {text.count(max(spent.days, default=0))}")
    days = [
        crop((Span(f"{title:9}", "dim"), Span(each, "busy")), canvas.width, canvas.glyphs)
        for title, each in zip(titles, drawn, strict=True)
    ]
    return [today, *days]


class Taken(NamedTuple):
    """A share of the calls, and what it is a share by."""

    by: str
    share: Share


FIELDS: Fields[Taken] = {
    "by": lambda taken: TITLES.get(taken.by, taken.by),
    "name": lambda taken: taken.share.name,
    "today": lambda taken: taken.share.today,
    "month": lambda taken: taken.share.month,
    "group": lambda taken: list(TITLES).index(taken.by) * 1e12 - taken.share.month,
}
SORTS = ("group", "name", "today", "month")
DEFAULT = Choice(sort="group")


def taken_of(answer: Answer[Spent]) -> dict[str, Taken]:
    """All shares, by what they are by and their name."""
    shares = answer.found.shares if answer.found else {}
    return {f"{by}:{share.name}": Taken(by, share) for by, each in shares.items() for share in each}


def spent_view(answer: Answer[Spent], listing: Listing, canvas: Canvas) -> View:
    """What the calls of this month were for, by reason, by data type and by label."""
    keys, choice, error = listing
    rows = taken_of(answer)
    month = answer.found.month if answer.found else 0
    hidden = f"Nothing matches {choice.filter!r} ({len(rows)} hidden): esc clears the filter"
    nothing = hidden if rows else answers.missing(answer, NO_CALLS)
    filtered = f"filter: {choice.filter}" if choice.filter else ""
    return View(
        title="What used the quota",
        aside="  ".join(filter(None, (filtered, answers.read_words(answer, canvas)))),
        note=error or answer.trouble,
        keys=keys,
        line=lambda key: _spent_line(rows[key], month, canvas),
        head=head(choose(SPENT, canvas.width), choice.sort, choice.descending, canvas.glyphs),
        empty=folded(nothing, canvas),
    )


def _spent_line(taken: Taken, month: int, canvas: Canvas) -> Line:
    by, share = taken

    def cell(name: str, cells: int) -> tuple[str, str]:
        match name:
            case "by":
                return TITLES.get(by, by), "dim"
            case "name":
                return share.name or "(none)", "strong"
            case "bar":
                return text.bar(share.month, month, cells, canvas.glyphs), "busy"
            case "share":
                return text.percent(share.month, month), "plain"
        return text.count(getattr(share, name)), "plain"

    return row(choose(SPENT, canvas.width), cell, canvas.glyphs)
