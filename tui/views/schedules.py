"""The table of schedules, and everything about one of them."""

from core.events import ScheduleChanged
from tui import text
from tui.query import Choice, Fields
from tui.state import ViewState
from tui.text import Glyphs
from tui.views.frame import Canvas, Column, Line, Listing, Span, View, choose, head, row, words

STATES = {"off": ("queued", "dim"), "paused": ("held", "warn"), "running": ("running", "busy"), "on": ("done", "ok")}
"""State in words -> the glyph of which state, and the style."""
OUTCOMES = {
    "claimed": ("running", "run", "busy"),
    "running": ("running", "run", "busy"),
    "done": ("done", "done", "ok"),
    "failed": ("failed", "fail", "bad"),
    "skipped": ("waiting", "skip", "warn"),
}


def state_of(schedule: ScheduleChanged) -> str:
    """One of STATES."""
    if schedule.last_state in {"claimed", "running"}:
        return "running"
    if schedule.paused_since is not None:
        return "paused"
    return "on" if schedule.is_enabled else "off"


def _note(schedule: ScheduleChanged) -> str:
    return paused(schedule) if schedule.paused_since is not None else schedule.last_note


def paused(schedule: ScheduleChanged) -> str:
    """Who paused it, until when and why."""
    until = f"until {text.moment(schedule.paused_until)}" if schedule.paused_until else "until it is resumed"
    return f"paused by {schedule.paused_by} {until}" + (f": {schedule.comment}" if schedule.comment else "")


COLUMNS = (
    Column("schedule", "SCHEDULE", 12, "|", 100, grow=2),
    Column("state", "STATE", 9, "<", 98),
    Column("next", "NEXT", 6, ">", 96),
    Column("cron", "CRON (UTC)", 14, "<", 60, grow=1),
    Column("last", "LAST", 6, ">", 85),
    Column("outcome", "ENDED", 6, "<", 90),
    Column("what", "WHAT", 14, "<", 50, grow=3),
    Column("note", "NOTE", 12, "<", 70, grow=5),
)
FIELDS: Fields[ScheduleChanged] = {
    "schedule": lambda schedule: schedule.schedule,
    "state": state_of,
    "next": lambda schedule: float("inf") if schedule.next_run is None else schedule.next_run,
    "last": lambda schedule: schedule.last_tick or 0,
    "outcome": lambda schedule: schedule.last_state,
    "what": lambda schedule: schedule.what,
    "note": _note,
}
SORTS = ("next", "schedule", "state", "last", "outcome")
DEFAULT = Choice(sort="next")


def line(schedule: ScheduleChanged, width: int, glyphs: Glyphs, time: float) -> Line:
    """One schedule in `width` cells at that time (UTC epoch seconds)."""
    state = state_of(schedule)
    glyph, style = STATES[state]
    ended, word, outcome = OUTCOMES.get(schedule.last_state, ("queued", "-", "dim"))
    cells = {
        "schedule": (schedule.schedule, "strong"),
        "state": (f"{glyphs.states[glyph]} {state}", style),
        "next": (text.age(None if schedule.next_run is None else schedule.next_run - time), "plain"),
        "cron": (schedule.cron, "dim"),
        "last": (text.age(None if schedule.last_tick is None else time - schedule.last_tick), "dim"),
        "outcome": (f"{glyphs.states[ended]} {word}" if schedule.last_state else "-", outcome),
        "what": (schedule.what, "dim"),
        "note": (_note(schedule), "warn" if state == "paused" else "bad" if schedule.last_state == "failed" else "dim"),
    }
    return row(choose(COLUMNS, width), lambda name, _cells: cells[name], glyphs)


def view(state: ViewState, listing: Listing, canvas: Canvas) -> View:
    """The pane of all schedules."""
    keys, choice, error = listing
    width, glyphs, time, *_ = canvas
    known = state.schedules
    arrow = glyphs.down if choice.descending else glyphs.up
    asides = [f"filter: {choice.filter}" if choice.filter else "", f"sort: {choice.sort} {arrow}"]
    return View(
        title=f"Schedules {len(keys)} of {len(known)}" if choice.filter else f"Schedules {len(known)}",
        aside="  ".join(filter(None, asides)),
        note=error,
        keys=keys,
        line=lambda key: line(known[key], width, glyphs, time),
        head=head(choose(COLUMNS, width), choice.sort, choice.descending, glyphs),
        empty=tuple(words(part, width, "dim", glyphs) for part in text.wrap(_nothing(state, choice), width)),
    )


def _nothing(state: ViewState, choice: Choice) -> str:
    if state.schedules:
        return f"No schedule matches {choice.filter!r} ({len(state.schedules)} hidden): esc clears the filter"
    if state.heard is None:
        return "Unknown: no engine yet."
    return "This engine runs no schedules: tapewatch serve --schedules FILE starts one that does."


def facts(schedule: ScheduleChanged) -> list[tuple[str, str]]:
    """Everything about one schedule."""
    ended = f", ended {text.moment(schedule.last_finished)}" if schedule.last_finished else ""
    last = f"{text.moment(schedule.last_tick)} {schedule.last_state}{ended}" if schedule.last_state else "never"
    return [
        ("schedule", schedule.schedule),
        ("state", f"{state_of(schedule)}{f', {paused(schedule)}' if schedule.paused_since is not None else ''}"),
        ("next run", f"{text.moment(schedule.next_run)} UTC" if schedule.next_run else "none to come"),
        ("cron", f"{schedule.cron} (UTC)"),
        ("last", last),
        ("note", schedule.last_note),
        ("what", schedule.what),
    ]


def one_view(state: ViewState, key: str | None, canvas: Canvas) -> View:
    """Everything about the schedule under the cursor, as a pane."""
    schedule = state.schedules.get(key) if key is not None else None
    if schedule is None:
        empty = (words("No schedule selected.", canvas.width, "dim", canvas.glyphs),)
        return View("Schedule", (), lambda _key: (), empty=empty)
    lines: list[Line] = []
    for name, value in facts(schedule)[1:]:
        parts = text.wrap(value, max(8, canvas.width - 10)) or ["-"]
        lines += [(Span(f"{name if at == 0 else '':<10}", "dim"), Span(part)) for at, part in enumerate(parts)]
    title = f"Schedule {schedule.schedule}"
    return View(title, [str(at) for at in range(len(lines))], lambda at: lines[int(at)])
