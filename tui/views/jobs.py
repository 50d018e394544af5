"""The table of jobs and the counters of one job."""

from collections.abc import Callable, Mapping

from core.events import JobChanged
from core.text import clean
from tui import text
from tui.query import Choice, Fields, order
from tui.state import History, Link, OtherJob, PastJob, ViewState
from tui.text import Glyphs
from tui.views.frame import Canvas, Column, Line, Listing, Span, View, choose, crop, head, row, words

WORDS = {
    "queued": "queue",
    "planning": "plan",
    "running": "run",
    "held": "hold",
    "waiting": "wait",
    "cancelling": "stopping",
    "complete": "done",
    "complete_with_gaps": "gaps",
    "waiting_quota": "quota",
    "failed": "fail",
    "cancelled": "cancel",
    "interrupted": "lost",
}
STYLES = {
    "running": "busy",
    "planning": "busy",
    "waiting": "warn",
    "held": "warn",
    "cancelling": "warn",
    "waiting_quota": "warn",
    "complete_with_gaps": "warn",
    "interrupted": "warn",
    "complete": "ok",
    "failed": "bad",
    "queued": "dim",
    "cancelled": "dim",
}
_RANK = {
    state: rank for rank, state in enumerate(("failed", "interrupted", "waiting", "running", "planning", "cancelling"))
}


COLUMNS = (
    Column("job", "JOB", 8, "|", 100, grow=1),
    Column("type", "TYPE", 14, "|", 75, grow=4),
    Column("interval", "INT", 3, "<", 70),
    Column("label", "LABEL", 10, "<", 45, grow=1),
    Column("state", "STATE", 10, "<", 98),
    Column("progress", "PROGRESS", 10, "<", 50, grow=2),
    Column("done", "DONE", 4, ">", 96),
    Column("windows", "WINDOWS", 11, ">", 25),
    Column("rows", "ROWS", 6, ">", 80),
    Column("rate", "ROWS/s", 6, ">", 85),
    Column("eta", "ETA", 8, ">", 82),
    Column("retries", "RETRY", 5, ">", 55),
    Column("gaps", "GAPS", 5, ">", 30),
    Column("waiting", "WAITING / ERROR", 12, "<", 65, grow=5),
)
FLEET_COLUMNS = (COLUMNS[0], Column("engine", "ENGINE", 12, "|", 97, grow=2), *COLUMNS[1:])

FIELDS: Fields[JobChanged] = {
    "job": lambda job: job.job,
    "engine": lambda job: f"{job.engine} {job.host}".rstrip() if isinstance(job, OtherJob) else "",
    "type": lambda job: job.data_type,
    "interval": lambda job: job.interval,
    "label": lambda job: job.label,
    "state": lambda job: f"{job.state} {WORDS.get(job.state, '')}",
    "progress": lambda job: job.windows_done / job.windows_total if job.windows_total else 0.0,
    "rows": lambda job: job.rows_fetched,
    "rate": lambda job: job.rows_per_second,
    "eta": lambda job: float("inf") if job.eta_seconds is None else job.eta_seconds,
    "retries": lambda job: job.retries,
    "gaps": lambda job: job.gaps_open,
    "created": lambda job: job.created,
    "waiting": lambda job: job.waiting or job.error,
    "urgency": lambda job: float(_rank(job)) * 1e11 - job.created,
}
SORTS = ("urgency", "created", "job", "type", "state", "progress", "rows", "rate", "eta", "retries", "gaps")
DEFAULT = Choice(sort="urgency")
PATIENCE_SECONDS = 3.0


def _rank(job: JobChanged) -> int:
    """What no engine tells of comes last, whatever became of it."""
    return 20 if isinstance(job, PastJob) else _RANK.get(job.state, 9 if job.is_final else 5)


def glyph_and_word(state: str, glyphs: Glyphs) -> str:
    return f"{glyphs.states.get(state, '?')} {WORDS.get(state) or clean(state, 40)}"


def line(job: JobChanged, width: int, glyphs: Glyphs, columns: tuple[Column, ...] = COLUMNS) -> Line:
    """One job in `width` cells."""
    style = STYLES.get(job.state, "plain")

    def cell(name: str, cells: int) -> tuple[str, str]:
        return _cell(job, name, cells, style, glyphs)

    return row(choose(columns, width), cell, glyphs)


def _cell(job: JobChanged, name: str, width: int, style: str, glyphs: Glyphs) -> tuple[str, str]:
    if name in _NUMBERS:
        return _NUMBERS[name](job), "dim" if job.is_final else "plain"
    if name == "progress":
        return text.bar(job.windows_done, job.windows_total, width, glyphs), style
    if name == "waiting":
        return _trouble(job)
    if name in {"retries", "gaps"}:
        number = job.retries if name == "retries" else job.gaps_open
        return text.count(number), "warn" if number else "dim"
    if name == "state":
        return glyph_and_word(job.state, glyphs), style
    return str(FIELDS[name](job)), {"job": "strong", "type": "plain", "engine": "accent"}.get(name, "dim")


def _trouble(job: JobChanged) -> tuple[str, str]:
    if job.waiting and not job.is_final:
        return job.waiting, "warn"
    return job.error, "bad" if job.error else "plain"


def _is_moving(job: JobChanged) -> bool:
    """As far as we know: the journal has no rates."""
    return not (job.is_final or job.state == "queued" or isinstance(job, OtherJob))


_NUMBERS: dict[str, Callable[[JobChanged], str]] = {
    "done": lambda job: text.percent(job.windows_done, job.windows_total),
    "windows": lambda job: f"{text.count(job.windows_done)}/{text.count(job.windows_total or None)}",
    "rows": lambda job: text.count(job.rows_fetched),
    "rate": lambda job: text.count(job.rows_per_second) if _is_moving(job) else "-",
    "eta": lambda job: text.eta(job.eta_seconds) if _is_moving(job) else "-",
}


def rows(jobs: Mapping[str, JobChanged], choice: Choice, width: int, glyphs: Glyphs) -> list[Line]:
    """The whole table below its head. Raises FilterError."""
    return [line(jobs[key], width, glyphs) for key in order(jobs, FIELDS, choice)]


NO_PAST: Mapping[str, JobChanged] = {}


def view(state: ViewState, listing: Listing, canvas: Canvas, past: Mapping[str, JobChanged] = NO_PAST) -> View:
    """The jobs pane, with what the journal has besides."""
    others = len(state.listed) - len(state.jobs)
    jobs = {**past, **state.listed} if past else state.listed
    is_unreachable = state.link.phase == "refused" or state.heard is None
    if is_unreachable and not others and not past:
        lines = _connecting(state.link, canvas)
        return View(title="Engine", keys=(), line=lambda _key: (), empty=lines)
    keys, choice, error = listing
    width, glyphs, *_ = canvas
    columns = FLEET_COLUMNS if others else COLUMNS
    title = f"Jobs {len(keys)} of {len(jobs)}" if choice.filter else f"Jobs {len(jobs)}"
    title += f", {others} of other engines" if others else ""
    title += f", {len(past)} of the journal" if past else ""
    trouble = state.link.reason if is_unreachable else ""
    trouble = trouble or ("other engines are not known" if state.fleet_trouble else "")
    arrow = glyphs.down if choice.descending else glyphs.up
    asides = [f"filter: {choice.filter}" if choice.filter else "", f"sort: {choice.sort} {arrow}"]
    return View(
        title=title,
        aside="  ".join(filter(None, asides)),
        note=error or trouble,
        keys=keys,
        line=lambda key: line(jobs[key], width, glyphs, columns),
        head=head(choose(columns, width), choice.sort, choice.descending, glyphs),
        empty=_empty(len(jobs), choice, width, glyphs),
    )


def _empty(hidden_jobs: int, choice: Choice, width: int, glyphs: Glyphs) -> tuple[Line, ...]:
    if hidden_jobs:
        hidden = f"No job matches {choice.filter!r} ({hidden_jobs} hidden): esc clears the filter"
        return (words(hidden, width, "dim", glyphs),)
    hints = (
        ("No jobs yet. Start one from another terminal:", "strong"),
        ("  tapewatch spot_ohlcv --pair_limit 50 --interval 1d", "accent"),
        ("  tapewatch futures_ohlcv --interval 1h", "accent"),
        ("  tapewatch batch --config batch_config.json", "accent"),
        ("It appears here by itself. `tapewatch demo` needs no key and no network.", "dim"),
    )
    return tuple(words(hint, width, style, glyphs) for hint, style in hints)


def _connecting(link: Link, canvas: Canvas) -> tuple[Line, ...]:
    """Why there is nothing to show: a reason only when it takes long, or is final until changed."""
    width, glyphs, _, now, _ = canvas
    refused = link.phase == "refused"
    first = "The engine cannot be used:" if refused else f"Connecting to the engine{glyphs.more}"
    lines = [words(first, width, "bad" if refused else "strong", glyphs)]
    if link.reason and (refused or now - link.since >= PATIENCE_SECONDS):
        lines += [words(part, width, "warn", glyphs) for part in text.wrap(link.reason, width)]
        lines.append(words("Trying again by itself; q quits.", width, "dim", glyphs))
    return tuple(lines)


def counters(job: JobChanged, rates: History, width: int, glyphs: Glyphs) -> list[Line]:
    """What one job has done, most important first: shown above its series and beside the table."""
    state = Span(glyph_and_word(job.state, glyphs), STYLES.get(job.state, "plain"))
    name = Span(
        text.fit(job.title, width - 12, "<", glyphs.more).rstrip(),
        "strong",
    )
    lines: list[Line] = [(name, Span("  "), state), _progress(job, width, glyphs)]
    if job.waiting or job.error:
        trouble, style = _trouble(job)
        lines += [words(part, width, style, glyphs) for part in text.wrap(trouble, width)[:3]]
    facts = [words(fact, width, "plain", glyphs) for fact in _facts(job)]
    if isinstance(job, OtherJob):
        owner = f"{job.series_total} series of {job.owner}: read-only here"
        lines += [words(part, width, "accent", glyphs) for part in text.wrap(owner, width)]
        return [crop(counter, width, glyphs) for counter in lines + facts[1:]]
    spark_width = min(60, max(0, width - 16))
    lines += facts[:3]
    curve = text.spark(rates.values, spark_width, glyphs)
    rate = f"{text.count(job.rows_per_second)} rows/s"
    lines.append((Span(text.fit(rate, 14), "plain"), Span(curve, "busy")))
    return [crop(counter, width, glyphs) for counter in lines + facts[3:]]


def _progress(job: JobChanged, width: int, glyphs: Glyphs) -> Line:
    numbers = f" {text.percent(job.windows_done, job.windows_total)} {text.grouped(job.windows_done)}"
    numbers += f"/{text.grouped(job.windows_total)} windows  ETA {text.eta(job.eta_seconds)}"
    room = max(4, min(40, width - len(numbers)))
    return (Span(text.bar(job.windows_done, job.windows_total, room, glyphs), "busy"), Span(numbers))


def _facts(job: JobChanged) -> tuple[str, ...]:
    return (
        f"series   {job.series_done} of {job.series_total} done, {job.series_failed} failed; "
        f"{job.windows_failed} windows failed",
        f"rows     {text.grouped(job.rows_fetched)} fetched: {text.grouped(job.rows_inserted)} new, "
        f"{text.grouped(job.rows_updated)} updated, {text.grouped(job.rows_unchanged)} unchanged",
        f"trouble  {job.retries} retries, {text.grouped(job.rows_quarantined)} rows in quarantine, "
        f"{job.gaps_open} gaps open",
        f"requests {text.grouped(job.requests)} of {text.grouped(job.requests_planned)} planned, "
        f"{job.metadata_requests} for metadata",
        f"started  {text.moment(job.started)}  last bar {text.moment(job.last_bar)}",
        f"run      {job.run_id}",
    )


def job_view(state: ViewState, key: str | None, canvas: Canvas, past: Mapping[str, JobChanged] = NO_PAST) -> View:
    """The counters of one job as a pane."""
    job = state.listed.get(key) or past.get(key) if key is not None else None
    if job is None:
        gone = f"Job {key} is not known any more." if key else "No job selected."
        return View("Job", (), lambda _key: (), empty=(words(gone, canvas.width, "dim", canvas.glyphs),))
    lines = counters(job, state.rates.get(job.job, History()), canvas.width, canvas.glyphs)
    return View(f"Job {job.job}", [str(at) for at in range(len(lines))], lambda at: lines[int(at)])
