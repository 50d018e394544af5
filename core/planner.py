"""What is missing, in which order it is asked for, and what that costs. Pure: time is passed in.

Missing work of a series is its wanted span minus what is covered, plus gaps whose next check is due,
plus the tail (running bars and the newest closed ones, read again because calls are billed and rows
are not), plus bars that were last read before they were final, plus what the rolling audit is due.
Spans that touch are one run; a run is cut into pages of the vendor's cap from its newest end.
"""

import math
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from core.coverage import SeriesState, missing
from core.datasets import DATASETS, SETTLE_SECONDS, SeriesKey, closed_until, page_seconds
from core.windows import GRAINS, Grain, Window, bundle, clip, intersect, pages, subtract

RECHECK_HORIZON_SECONDS = 7_200
PAGE_CHECK_SECONDS = 86_400
EARLIEST_BAR = 1_279_324_800  # 2010-07-17, the day before Bitcoin's first market opened
BACKFILL, TAIL, GAP, PROBE, RECHECK, AUDIT = "backfill", "tail", "gap", "probe", "recheck", "audit"
LISTING = "listing"
MOST_REFUSALS = 2
_END = 2**62


@dataclass(frozen=True, slots=True)
class Policy:
    """How a plan treats what is stored.

    `recheck` closed bars are read again; `full_refresh` asks for everything whatever is covered. With
    `audit_days` every page of the stored history is read again once in so many days.
    """

    groups: tuple[str, ...]
    recheck: int = 3
    newest_first: bool = True
    full_refresh: bool = False
    audit_days: int | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """One series and the span of it that is asked for.

    `listed` and `last` are the metadata's first and last record, if known; a dead instrument (delisted,
    expired) gets one last sweep, then costs nothing.
    """

    key: SeriesKey
    start: int | None = None
    end: int | None = None
    listed: int | None = None
    last: int | None = None
    is_dead: bool = False


class Audit(NamedTuple):
    """Pages of the stored history to be read again, and up to when (UTC epoch seconds) that is all that is due."""

    windows: tuple[Window, ...] = ()
    until: int | None = None


NO_AUDIT = Audit()


class Fetch(NamedTuple):
    """One call: `window` of `series`, and why.

    `attempt` counts tries, `sends` calls (a refusal for a limit is a call, not a try), `tried` the seconds
    spent on tries, waits excepted.
    """

    series: SeriesState
    window: Window
    reason: str
    attempt: int = 1
    sends: int = 0
    tried: float = 0.0

    @property
    def grain(self) -> Grain:
        return GRAINS[self.series.key.interval]


def due(fetch: Fetch, now: float) -> float:
    """By when a call should be answered (UTC epoch seconds): before the next bar is final, if it is for the newest one
    of a series that is followed; what is history already can wait for ever."""
    newest = closed_until(int(now), fetch.grain)
    if fetch.window.end < newest or not fetch.series.covered:
        return math.inf
    return newest + fetch.grain.seconds + SETTLE_SECONDS[fetch.grain]


@dataclass(frozen=True, slots=True)
class SeriesPlan:
    """The runs of missing work of one series, newest first.

    `span` is what was wanted, on the grid; `listed` the metadata's first bar, if known; `groups` what is
    asked for, None for what the operation says; `richer` runs are of bars with more groups than that, which
    are read with all of theirs. Once all `audits` are read the audit is done up to `audited_at`.
    """

    series: SeriesState
    span: Window
    runs: tuple[Window, ...]
    backfill: tuple[Window, ...]
    gaps: tuple[Window, ...]
    newest_first: bool = True
    listed: int | None = None
    rechecks: tuple[Window, ...] = ()
    audits: tuple[Window, ...] = ()
    audited_at: int | None = None
    richer: tuple[Window, ...] = ()
    is_dead: bool = False
    groups: tuple[str, ...] | None = None

    @property
    def grain(self) -> Grain:
        return GRAINS[self.series.key.interval]

    @property
    def requests(self) -> int:
        size = page_seconds(self.grain)
        return sum(math.ceil(run.seconds / size) for run in self.runs)

    @property
    def windows(self) -> int:
        return self.requests

    @property
    def rows(self) -> int:
        return sum(self.grain.bars(run) for run in self.runs)

    def groups_of(self, window: Window, asked: tuple[str, ...]) -> tuple[str, ...]:
        """With which groups the page `window` is asked for when the operation says `asked`."""
        asked = self.groups or asked
        if not intersect([window], self.richer):
            return asked
        found = (entry.groups for entry in self.series.covered if intersect([entry.window], [window]))
        known = frozenset(asked).union(*found)
        return tuple(group for group in DATASETS[self.series.key.data_type].groups if group in known)

    def fetches(self) -> Iterator[Fetch]:
        """The calls, lazily, in order."""
        runs = self.runs if self.newest_first else reversed(self.runs)
        for run in runs:
            for page in pages(run, page_seconds(self.grain), newest_first=self.newest_first):
                yield Fetch(self.series, page, self._reason(page))

    def _reason(self, page: Window) -> str:
        return next((reason for reason, spans in self._causes if intersect([page], spans)), TAIL)

    @property
    def _causes(self) -> tuple[tuple[str, tuple[Window, ...]], ...]:
        """What makes a call necessary, the weightiest reason first."""
        return (BACKFILL, self.backfill), (GAP, self.gaps), (AUDIT, self.audits), (RECHECK, self.rechecks)

    def reasons(self) -> Counter[str]:
        """Calls by reason, by arithmetic: a plan of a million calls is not walked."""
        found: Counter[str] = Counter()
        size = page_seconds(self.grain)
        for run in self.runs:
            left = [Window(0, math.ceil(run.seconds / size))]
            for reason, spans in self._causes:
                touched = [_page_numbers(run, span, size) for span in intersect([run], spans)]
                found[reason] += _total(intersect(left, touched))
                left = subtract(left, touched)
            found[TAIL] += _total(left)
        return +found


@dataclass(frozen=True, slots=True)
class ListPlan:
    """One list of reference data: its `page` is asked for with one call when it is due, else not at all.

    One that is `answered` was asked for while the plan was made.
    """

    series: SeriesState
    page: Window
    is_due: bool = True
    is_answered: bool = False

    @property
    def requests(self) -> int:
        return int(self.is_due)

    @property
    def windows(self) -> int:
        return int(self.is_due or self.is_answered)

    def fetches(self) -> Iterator[Fetch]:
        if self.is_due:
            yield Fetch(self.series, self.page, LISTING)

    def reasons(self) -> Counter[str]:
        return Counter({LISTING: self.windows} if self.windows else {})


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything one operation will ask for: histories, or lists of reference data."""

    series: tuple[SeriesPlan, ...]
    lists: tuple[ListPlan, ...] = ()

    @property
    def parts(self) -> "tuple[SeriesPlan | ListPlan, ...]":
        return (*self.series, *self.lists)

    @property
    def series_ids(self) -> set[int]:
        """The series and lists that it is about."""
        return {part.series.id for part in self.parts}

    def only(self, series_ids: Container[int]) -> "Plan":
        """The part of it that is about these."""
        series = tuple(part for part in self.series if part.series.id in series_ids)
        return Plan(series, tuple(part for part in self.lists if part.series.id in series_ids))

    @property
    def requests(self) -> int:
        """Calls for histories."""
        return sum(part.requests for part in self.series)

    @property
    def metadata_requests(self) -> int:
        """Calls for lists."""
        return sum(part.requests for part in self.lists)

    @property
    def windows(self) -> int:
        return sum(part.windows for part in self.parts)

    @property
    def rows(self) -> int:
        return sum(part.rows for part in self.series)

    def fetches(self) -> Iterator[Fetch]:
        """All calls, one page of every series in turn, so that no series waits for another's past."""
        return round_robin([part.fetches() for part in self.parts])

    def reasons(self) -> dict[str, int]:
        """Calls by reason."""
        return dict(sum((part.reasons() for part in self.parts), Counter[str]()))


def _page_numbers(run: Window, span: Window, size: int) -> Window:
    """Which pages of `run`, counted back from its newest end, `span` of it touches."""
    return Window((run.end - span.end) // size, (run.end - span.start - 1) // size + 1)


def _total(numbers: Iterable[Window]) -> int:
    return sum(window.end - window.start for window in numbers)


def plan_series(wanted: Wanted, series: SeriesState, policy: Policy, now: int) -> SeriesPlan:
    """What to ask for of one series at server time `now` (UTC epoch seconds).

    A dead instrument is swept once, after its last bar has closed: when nothing of it is missing or
    unsettled, nothing is asked, whatever gaps it has. The vendor may have forgotten it altogether: a sweep that
    was refused is tried once more, later on only by a repair.
    """
    grain = GRAINS[wanted.key.interval]
    span = wanted_span(wanted, series, grain, now)
    can_wait = wanted.is_dead and series.covered and not policy.full_refresh and span.end > closed_until(now, grain)
    is_forgotten = wanted.is_dead and series.refusals >= MOST_REFUSALS and not policy.full_refresh
    if not span.seconds or can_wait or is_forgotten:
        return SeriesPlan(series, span, (), (), (), policy.newest_first, wanted.listed, is_dead=wanted.is_dead)
    past = clip(span, Window(span.start, max(span.start, closed_until(now, grain))))
    backfill = [past] if policy.full_refresh else missing(past, policy.groups, series.covered)
    rechecks = intersect(series.unsettled, [span])
    due = intersect([gap.window for gap in series.gaps if gap.next_check <= now], [span])
    audits, audited_at = audit(past, series, policy, grain, now)
    newest = tail(span, grain, policy.recheck, now, is_page=_is_page_due(series, now))
    if wanted.is_dead and not backfill and not rechecks:
        due, audits, newest = [], (), Window(span.end, span.end)
    richer = _richer(rechecks, series, policy, grain.floor(now - RECHECK_HORIZON_SECONDS), is_dead=wanted.is_dead)
    usual = subtract([*backfill, *due, *rechecks, *audits, newest], richer)
    return SeriesPlan(
        series,
        span,
        runs=tuple(sorted([*usual, *richer], reverse=True)),
        backfill=tuple(backfill),
        gaps=tuple(due),
        newest_first=policy.newest_first,
        listed=wanted.listed,
        rechecks=tuple(rechecks),
        audits=audits,
        audited_at=audited_at,
        richer=tuple(richer),
        is_dead=wanted.is_dead,
    )


def _richer(
    young: Sequence[Window], series: SeriesState, policy: Policy, final_before: int, *, is_dead: bool
) -> list[Window]:
    """Bars that were read too young with more groups than are asked for now, and are final by now.

    A narrower answer would leave their other columns as they were then.
    """
    wider = [entry.window for entry in series.covered if not entry.groups <= set(policy.groups)]
    final = young if is_dead else subtract(young, [Window(final_before, _END)])
    return intersect(final, wider)


def plan_repair(series: SeriesState, gaps: Sequence[Window], failed: Sequence[Window], now: int) -> SeriesPlan:
    """What it takes to close `gaps` and to read the windows that were given up, and nothing else.

    It takes as few calls as hold them all; each goes as far as the bars next to what it is for, if there is
    room, which shows whether a gap lies inside of an answer. All groups that are stored are asked for.
    """
    grain = GRAINS[series.key.interval]
    span = wanted_span(Wanted(series.key), series, grain, now)
    backfill = intersect(failed, [span])
    broken = bundle([*backfill, *intersect(gaps, [span])], page_seconds(grain))
    asked = frozenset[str]().union(*(entry.groups for entry in series.covered))
    return SeriesPlan(
        series,
        span,
        runs=tuple(clip(run, span) for run in _with_neighbours(broken, grain)),
        backfill=tuple(backfill),
        gaps=tuple(intersect(gaps, [span])),
        groups=tuple(group for group in DATASETS[series.key.data_type].groups if group in asked) or None,
    )


def _with_neighbours(pieces: Sequence[Window], grain: Grain) -> Iterator[Window]:
    """`pieces`, newest first, each with one more bar at either end where its page has room and none is asked twice."""
    newer = None
    for piece in pieces:
        start, end = piece
        if piece.seconds + 2 * grain.seconds <= page_seconds(grain):
            start, end = start - grain.seconds, end + grain.seconds
        newer = Window(start, end if newer is None else min(end, newer.start))
        yield newer


def _is_page_due(series: SeriesState, now: int) -> bool:
    return series.page_checked is not None and now - series.page_checked >= PAGE_CHECK_SECONDS


def audit(past: Window, series: SeriesState, policy: Policy, grain: Grain, now: int) -> Audit:
    """The pages of the stored history that are due to be read again, oldest first, round after round.

    As many as the share of `audit_days` that has passed since the last one asks for, the first time one; none
    before a series has anything settled to audit.
    """
    if policy.audit_days is None or not past.seconds:
        return NO_AUDIT
    page = page_seconds(grain)
    pages_of_all = math.ceil(past.seconds / page)
    period = policy.audit_days * 86_400
    since = now - period // pages_of_all - 1 if series.audited_at is None else series.audited_at
    due = min(pages_of_all, (now - since) * pages_of_all // period)
    # What is not yet a whole page is due later, not lost.
    paid = since + due * period // pages_of_all if due < pages_of_all else now
    start = max(past.start, series.audit_from or past.start)
    start = past.start if start >= past.end else start
    chosen = clip(Window(start, start + due * page), past)
    return Audit(tuple(intersect([chosen], [entry.window for entry in series.covered])), paid)


def wanted_span(wanted: Wanted, series: SeriesState, grain: Grain, now: int) -> Window:
    """The span on the grid that exists to be asked for: from the history's start to the running bar."""
    known_start = series.history_start if series.history_start is not None else wanted.listed
    starts = [start for start in (wanted.start, known_start) if start is not None]
    start = grain.floor(max(starts)) if starts else grain.floor(EARLIEST_BAR)
    if series.pruned_before is not None:
        start = max(start, grain.ceil(series.pruned_before))
    ends = [grain.floor(now) + grain.seconds]
    if wanted.end is not None:
        ends.append(grain.ceil(wanted.end))
    if wanted.last is not None:
        ends.append(grain.floor(wanted.last) + grain.seconds)
    return Window(start, max(start, min(ends)))


def tail(span: Window, grain: Grain, recheck: int, now: int, *, is_page: bool = False) -> Window:
    """Running bars, the last `recheck` closed ones and all that closed within the horizon, inside `span`.

    With `is_page` a full page of them: it costs the same one call.
    """
    running_end = grain.floor(now) + grain.seconds
    if recheck == 0:
        return clip(Window(closed_until(now, grain), running_end), span)
    starts = [closed_until(now, grain) - recheck * grain.seconds, grain.floor(now - RECHECK_HORIZON_SECONDS)]
    if is_page:
        starts.append(running_end - page_seconds(grain))
    return clip(Window(min(starts), running_end), span)


def round_robin(sources: Sequence[Iterator[Fetch]]) -> Iterator[Fetch]:
    """One of each in turn until all are exhausted."""
    waiting = list(sources)
    while waiting:
        still_waiting = []
        for source in waiting:
            if (fetch := next(source, None)) is not None:
                yield fetch
                still_waiting.append(source)
        waiting = still_waiting
