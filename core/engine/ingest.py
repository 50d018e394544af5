"""One window end to end: ask, check, commit. No loop, no retries, no limits."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

from core.clock import Clock
from core.coverage import Absence, SeriesState, absent
from core.datasets import Dataset, SeriesKey, closed_until, page_seconds
from core.errors import Malformed, NothingBefore
from core.failpoints import failpoint
from core.planner import PROBE, RECHECK_HORIZON_SECONDS, Fetch, SeriesPlan
from core.sources import Page, RejectedRow, Source
from core.stores import FINAL, Commit, Store, Written
from core.windows import Grain, Window, clip, intersect, iso, subtract

PAGES_IN_MEMORY = 16


class CheckedPage(Protocol):
    """What the quality gate returns; `core.monitoring.quality.Checked` is one."""

    @property
    def columns(self) -> tuple[str, ...]: ...
    @property
    def rows(self) -> list[tuple[Any, ...]]: ...
    @property
    def rejected(self) -> list[RejectedRow]: ...
    @property
    def surplus(self) -> int: ...
    @property
    def repeats(self) -> int: ...


Check = Callable[[Dataset, SeriesKey, Sequence[str], Window, Page, str | None], CheckedPage]


class Outcome(NamedTuple):
    """What became of one window. `probe` is one more call that settles where the history starts."""

    state: SeriesState
    fetched: int = 0
    written: Written | None = None
    rejected: Sequence[RejectedRow] = ()
    probe: Fetch | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """The window of one series to ingest, in the light of its plan and of what is known by now."""

    fetch: Fetch
    dataset: Dataset
    groups: tuple[str, ...]
    state: SeriesState
    plan: SeriesPlan
    run_id: str


class Ingest:
    """Takes windows from `source` into `store` through the quality gate `check`."""

    def __init__(self, source: Source, store: Store, check: Check, clock: Clock) -> None:
        self._source = source
        self._store = store
        self._check = check
        self._clock = clock
        # Answers are ordered by when they were asked for, on one clock that never goes back.
        self._epoch = clock.wall() - clock.monotonic()
        # Decoded pages are what memory goes to: few of them wait for the writer at any time.
        self._pages = asyncio.Semaphore(PAGES_IN_MEMORY)
        self._origin = ""

    async def window(self, request: Request) -> Outcome:
        """Raises SourceError and StoreError; nothing is written then."""
        sent_at = int((self._epoch + self._clock.monotonic()) * 1000)
        key, window = request.state.key, request.fetch.window
        try:
            page = await self._source.history(request.dataset, key, window, request.groups)
        except NothingBefore as answer:
            await self.confirm_origin()
            return await self._before_history(request, answer)
        await self.confirm_origin()
        async with self._pages:
            checked = self._check(request.dataset, key, request.groups, window, page, request.state.exchange_symbol)
            failpoint("after_validate")
            commit = make_commit(request, page, checked, sent_at)
            # Bars from before the window were not asked for; what was said twice is unchanged the second time.
            fetched = len(page.rows) + len(page.rejected) - checked.surplus
            del page  # memory is what limits how many wait here, and the answer is most of it
            written = await self._store.commit(commit)
        written = replace(written, unchanged=written.unchanged + checked.repeats)
        probe = _probe(request, written.state, checked.rows)
        return Outcome(written.state, fetched, written, checked.rejected, probe)

    async def confirm_origin(self) -> None:
        """Refuse to mix the vendor's data with a sandbox's. Raises StoreRefused."""
        if self._source.origin and self._source.origin != self._origin:
            await self._store.claim_origin(self._source.origin)
            self._origin = self._source.origin

    async def _before_history(self, request: Request, answer: NothingBefore) -> Outcome:
        """A 404 that names the first bar. It settles the start only when it can be true."""
        first = request.fetch.grain.floor(answer.first)
        if not request.fetch.window.end <= first <= self._source.now():
            raise Malformed(f"the vendor has nothing here, and its first bar is {answer.first}", "odd_first")
        state = await self._store.settle_start(request.state, first)
        if state is None:
            raise Malformed(f"the vendor's first bar is {iso(first)}, yet older ones are stored", "odd_first")
        return Outcome(state)


def make_commit(request: Request, page: Page, checked: CheckedPage, sent_at: int) -> Commit:
    """What the store has to write for one checked page."""
    grain, window = request.fetch.grain, request.fetch.window
    closed_before = closed_until(page.server_time, grain)
    answered = clip(window, Window(window.start, max(window.start, closed_before)))
    return Commit(
        series=request.state,
        dataset=request.dataset,
        groups=request.groups,
        columns=checked.columns,
        window=window,
        rows=checked.rows,
        closed_before=closed_before,
        known_at=page.server_time,
        sent_at=sent_at,
        covered=answered if answered.seconds else None,
        absences=_absences(request, answered, page, checked, grain),
        rejected=checked.rejected,
        constants={} if request.state.has_constants else page.constants(),
        history_start=_settled_start(request, checked.rows),
        run_id=request.run_id,
        settled_before=settled_before(page.server_time, grain, is_dead=request.plan.is_dead),
        is_page=_is_newest_page(request, closed_before),
        audits=bool(intersect([window], request.plan.audits)),
    )


def settled_before(now: int, grain: Grain, *, is_dead: bool) -> int:
    """Bars that begin before this are final: the vendor revises no bar that closed longer ago, nor a dead one."""
    return FINAL if is_dead else grain.floor(now - RECHECK_HORIZON_SECONDS)


def _is_newest_page(request: Request, closed_before: int) -> bool:
    """Whether the newest closed bars are read as a full page, or all there are."""
    window, plan = request.fetch.window, request.plan
    is_full = window.seconds >= page_seconds(plan.grain) or window.start <= (
        request.state.history_start or plan.span.start
    )
    return is_full and window.end >= closed_before


def _absences(request: Request, answered: Window, page: Page, checked: CheckedPage, grain: Grain) -> list[Absence]:
    """Closed slots without a usable row, each run with its cause and with what the answer said around it."""
    start = max(answered.start, request.state.history_start or answered.start)
    expected = clip(answered, Window(start, max(start, answered.end)))
    if _fills(checked.rows, expected, grain):
        return []
    holes = absent(expected, (row[0] for row in checked.rows), grain)
    spoiled = _spoiled(holes, checked.rejected, request.fetch)
    evidence = _evidence(request, page, checked)
    return [
        *(Absence(part, "rejected", evidence) for part in spoiled),
        *(Absence(part, "absent", evidence) for part in subtract(holes, spoiled)),
    ]


def _fills(rows: Sequence[tuple[Any, ...]], expected: Window, grain: Grain) -> bool:
    """Whether `rows`, which ascend on the grid, leave no slot out: then the last is as far on as there are slots."""
    count = grain.bars(expected)
    return len(rows) >= count > 0 and (rows[0][0], rows[count - 1][0]) == (
        expected.start,
        expected.end - grain.seconds,
    )


def _spoiled(holes: list[Window], rejected: Sequence[RejectedRow], fetch: Fetch) -> list[Window]:
    """The slots of `holes` that the answer had rows for, only unusable ones.

    Where no more slots are missing than rows came with an impossible time, those rows are them.
    """
    grain = fetch.grain
    slots = [ts for ts in _slots(rejected, grain) if fetch.window.start <= ts < fetch.window.end]
    named = intersect(holes, [Window(ts, ts + grain.seconds) for ts in slots])
    lost = sum(map(grain.bars, subtract(holes, named)))
    return holes if lost <= len(rejected) - len(slots) else named


def _slots(rejected: Sequence[RejectedRow], grain: Grain) -> Iterator[int]:
    """The bars that rejected rows would be: rows come in order, so one without a time follows those before it."""
    behind: Counter[int] = Counter()
    for row in rejected:
        if row.ts is not None:
            yield grain.floor(row.ts)
        elif row.after is not None:
            behind[row.after] += 1
            yield grain.floor(row.after) + behind[row.after] * grain.seconds


def _evidence(request: Request, page: Page, checked: CheckedPage) -> str:
    """What an answer with holes looked like: the window asked for and why, the rows that came, where they end.

    `ends` is its newest bar when the vendor filled it up with bars older than the window.
    """
    stamps = [row[0] for row in checked.rows]
    said: dict[str, Any] = {
        "window": list(request.fetch.window),
        "reason": request.fetch.reason,
        "rows": len(stamps),
        "first": min(stamps, default=None),
        "last": max(stamps, default=None),
        "rejected": dict(Counter(row.reason for row in checked.rejected)),
    }
    sent = [row.timestamp for row in page.rows]
    if sent and min(sent) < request.fetch.window.start:
        said["ends"] = max(sent)
    return json.dumps(said)


def _settled_start(request: Request, rows: list[tuple[Any, ...]]) -> int | None:
    """The metadata's first bar is believed once the first bar returned carries that time."""
    if request.state.history_start is not None or request.plan.listed is None or not rows:
        return None
    listed = request.fetch.grain.floor(request.plan.listed)
    return listed if rows[0][0] == listed else None


def _probe(request: Request, state: SeriesState, rows: list[tuple[Any, ...]]) -> Fetch | None:
    """One bar before the first one returned, when the oldest page of a plan begins late without a reason."""
    fetch, grain = request.fetch, request.fetch.grain
    is_oldest = fetch.window.start == request.plan.span.start
    if fetch.reason == PROBE or not is_oldest or not rows or state.history_start is not None:
        return None
    first = rows[0][0]
    if first <= fetch.window.start:
        return None
    return Fetch(state, Window(first - grain.seconds, first), PROBE)
