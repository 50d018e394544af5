"""Why a series is as far as it is: what is expected of it, what stands in the way, and what happens next. Pure.

Only what is known is said. Facts come from the store, from the lock beside it, and from the engine that
holds it, if one does; without one the quota is unknown.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from core.causes import NOT_LISTED, Explanation, Listed, outlook
from core.coverage import Gap, SeriesState
from core.datasets import SETTLE_SECONDS, SeriesKey, closed_until
from core.events import JobChanged, QuotaSample, SeriesChanged
from core.stores import RunRecord, RunSeries
from core.stores.explain_sql import FailedWindow
from core.stores.lock import Holder
from core.windows import GRAINS, Grain, iso

SHOWN_GAPS = 3


class Asked(NamedTuple):
    """The newest run that the series was in, and how it went for it."""

    run: RunRecord
    series: RunSeries


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of one series at `now` (UTC epoch seconds).

    `state` is None when it is not stored; `gaps` and `failed` are its holes; `kept_seconds` is the retention
    of its data type and interval. `holder` has the store's lock, or where engines share the store a lease on the
    series: `leased` names that one. `job`, `progress` and `quota` are what it says, `progress` of this series in `job`.
    """

    key: SeriesKey
    now: int
    state: SeriesState | None = None
    gaps: tuple[tuple[Gap, Explanation], ...] = ()
    failed: tuple[FailedWindow, ...] = ()
    listed: Listed | None = None
    asked: Asked | None = None
    kept_seconds: int | None = None
    holder: Holder | None = None
    leased: str = ""
    job: JobChanged | None = None
    progress: SeriesChanged | None = None
    quota: QuotaSample | None = None

    @property
    def grain(self) -> Grain:
        return GRAINS[self.key.interval]

    @property
    def last_bar(self) -> int | None:
        return None if self.state is None else self.state.last_bar

    @property
    def is_dead(self) -> bool:
        return self.listed is not None and not self.listed.is_active

    @property
    def expected(self) -> int:
        """Start of the newest bar that is closed by now, or the instrument's last one."""
        newest = closed_until(self.now, self.grain) - self.grain.seconds
        if self.is_dead and self.listed is not None and self.listed.ends is not None:
            return min(newest, self.grain.floor(self.listed.ends))
        return newest

    @property
    def behind(self) -> int:
        """How many closed bars are newer than the last one that is stored; 0 when nothing is."""
        if self.last_bar is None:
            return 0
        return max(0, (self.expected - self.last_bar) // self.grain.seconds)

    @property
    def is_running(self) -> bool:
        return self.job is not None and not self.job.is_final


class Blocker(NamedTuple):
    """One thing in the way: `what` names its kind; `since` and `until` in UTC epoch seconds, None if unknown."""

    what: str
    words: str
    since: int | None = None
    until: int | None = None


class Answer(NamedTuple):
    """`status`: current, behind, ended (a dead instrument, complete) or never_ingested; the rest as in Facts.

    `since` is when the first bar that is missing could have been asked for; `next_at` when what is said in
    `next` happens, None when it takes somebody to do it: then `command` is what to run.
    """

    status: str
    last_bar: int | None
    expected: int
    behind: int
    since: int | None
    blockers: list[Blocker]
    next: str
    next_at: int | None
    command: str


def explain(facts: Facts) -> Answer:
    blockers = list(_blockers(facts))
    next_words, next_at, command = _next(facts, blockers)
    return Answer(
        status=_status(facts),
        last_bar=facts.last_bar,
        expected=facts.expected,
        behind=facts.behind,
        since=_since(facts),
        blockers=blockers,
        next=next_words,
        next_at=next_at,
        command=command,
    )


def _status(facts: Facts) -> str:
    if facts.last_bar is None:
        return "never_ingested"
    if facts.behind:
        return "behind"
    return "ended" if facts.is_dead else "current"


def _since(facts: Facts) -> int | None:
    if facts.last_bar is None or not facts.behind:
        return None
    return facts.last_bar + 2 * facts.grain.seconds + SETTLE_SECONDS[facts.grain]


def _blockers(facts: Facts) -> Iterator[Blocker]:
    """What stands in the way, the weightiest first."""
    yield from _of_series(facts)
    yield from _of_engine(facts)
    yield from _of_last_run(facts)
    yield from _of_holes(facts)
    if (facts.behind or facts.last_bar is None) and not facts.is_running and not facts.leased:
        yield Blocker(
            "schedule", "nothing asks for it now: it takes a command, or a schedule of `serve`", _last_asked(facts)
        )


def _of_series(facts: Facts) -> Iterator[Blocker]:
    state, listed = facts.state, facts.listed
    if state is None:
        yield Blocker("never_ingested", "the series is not in the store: it was never asked for")
    elif state.last_bar is None and state.pruned_before is None:
        yield Blocker("never_ingested", "the series is known, but no closed bar of it was ever stored")
    if state is not None and state.blocked is not None:
        yield Blocker("blocked", f"the series must not be written: {state.blocked}")
    if listed is not None and not listed.is_active:
        ends = "" if listed.ends is None else f"; its last record is of {iso(listed.ends)}"
        yield Blocker("instrument_status", f"the metadata calls the instrument {listed.status}{ends}", listed.ends)
    if state is not None and state.pruned_before is not None:
        words = f"bars before {iso(state.pruned_before)} were kept once and are not bought again"
        yield Blocker("retention", words)


def _of_engine(facts: Facts) -> Iterator[Blocker]:
    yield from _of_quota(facts.quota, facts.now)
    progress, job = facts.progress, facts.job
    if progress is not None and facts.is_running and progress.retries and progress.error:
        until = progress.retry_at if progress.retry_at is not None and progress.retry_at > facts.now else None
        words = f"{progress.retries} retries so far: {progress.error}"
        yield Blocker("retry", words, None, None if until is None else round(until))
    elif job is not None and facts.is_running and job.waiting:
        yield Blocker("waiting", f"job {job.job} waits: {job.waiting}")
    if job is not None and job.state == "held":
        yield Blocker("held", f"job {job.job} is held; let it go on with: tapewatch jobs resume {job.job}")
    if facts.leased and not facts.is_running:
        yield Blocker("leased", f"engine {facts.leased} works on the series; whoever else wants to waits for it")
        return
    holder = facts.holder
    if holder is not None and not holder.takes_jobs and not facts.is_running:
        words = f"a {holder.kind} of user {holder.user} (pid {holder.pid}) holds the store and takes no other jobs"
        yield Blocker("store_busy", words, round(holder.since))


def _of_quota(quota: QuotaSample | None, now: int) -> Iterator[Blocker]:
    for window in quota.windows if quota is not None else ():
        if window.remaining <= 0 and window.resets_at > now:
            words = f"the vendor's {window.name} limit of {window.limit:,} calls is used up"
            yield Blocker("quota", words, None, round(window.resets_at))


def _of_last_run(facts: Facts) -> Iterator[Blocker]:
    if facts.asked is None or facts.is_running:
        return
    run, series = facts.asked
    ended = None if run.finished is None else round(run.finished)
    error = next(iter(run.summary.get("errors", [])), "")
    if run.state in {"failed", "waiting_quota", "cancelled"}:
        yield Blocker("last_run", f"the last run ({run.run_id}) was {run.state}: {error or 'without an error'}", ended)
    elif series.state == "failed":
        yield Blocker("last_run", f"the last run ({run.run_id}) failed for this series: {series.error}", ended)


def _of_holes(facts: Facts) -> Iterator[Blocker]:
    for failed in facts.failed[-SHOWN_GAPS:]:
        span = f"{iso(failed.window.start)}..{iso(failed.window.end)}"
        yield Blocker("failed_fetch", f"{span} was given up: {failed.error}", failed.first_seen)
    newest = [entry for entry in facts.gaps if facts.last_bar is None or entry[0].window.end > facts.last_bar]
    for gap, told in newest[-SHOWN_GAPS:]:
        words = f"{iso(gap.window.start)}..{iso(gap.window.end)} is a gap ({told.cause}): {told.words}"
        yield Blocker("gap", words, gap.first_seen, gap.next_check)


def _last_asked(facts: Facts) -> int | None:
    if facts.asked is None or facts.asked.run.finished is None:
        return None
    return round(facts.asked.run.finished)


Next = tuple[str, int | None, str]


def _next(facts: Facts, blockers: Iterable[Blocker]) -> Next:
    """What happens next, when, and what to run."""
    found = {blocker.what: blocker for blocker in reversed(list(blockers))}
    if facts.is_running:
        waits = found.get("quota") or found.get("retry")
        job = facts.job.job if facts.job is not None else ""
        return f"job {job} asks for it", waits.until if waits else None, "tapewatch jobs follow"
    if (hindered := _next_of_hindered(facts, found)) is not None:
        return hindered
    if facts.behind or facts.last_bar is None:
        return _next_of_missing(facts, found.get("gap"))
    if facts.is_dead:
        return "nothing: a dead instrument costs no more requests", None, ""
    closes = facts.expected + 2 * facts.grain.seconds
    askable = closes + SETTLE_SECONDS[facts.grain]
    words = f"the next bar closes at {iso(closes)} and can be asked for from {iso(askable)} on"
    return words, askable, command_for(facts.key)


def _next_of_hindered(facts: Facts, found: Collection[str]) -> Next | None:
    """For what no command that asks for the series gets past."""
    if "blocked" in found:
        anew = f"tapewatch series drop {facts.key}"
        return "nothing, until the stored series is dropped to begin anew: see tapewatch changes", None, anew
    if "leased" in found:
        return f"engine {facts.leased} asks for it", None, "tapewatch status"
    if "store_busy" in found:
        return "a command waits until the store is free (--lock_wait)", None, command_for(facts.key)
    if facts.listed is not None and facts.listed.status == NOT_LISTED:
        return "nothing: what is not listed any more is not asked for", None, ""
    return None


def _next_of_missing(facts: Facts, hole: Blocker | None) -> Next:
    if hole is None:
        return "nothing by itself", None, command_for(facts.key)
    gap = next(gap for gap, _ in facts.gaps if gap.next_check == hole.until)
    return outlook(gap, ""), gap.next_check, f"tapewatch gaps repair {facts.key}"


def command_for(key: SeriesKey) -> str:
    """The command that asks for a series."""
    return f"tapewatch {key.data_type} --interval {key.interval} --market {key.market} --instrument {key.instrument}"
