"""What is stored against what the vendor says now. Nothing is written, whatever comes out.

The windows are a plan like any other: quoted before, sent within the limits, tried again by error class.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from core.coverage import Covered, SeriesState
from core.datasets import DATASETS, SeriesKey
from core.engine.budget import Budget, Need
from core.engine.ingest import Check, CheckedPage
from core.engine.job import Job
from core.engine.metadata import MeteredListings, metered_listings
from core.engine.tools import Tools
from core.errors import Malformed, NothingBefore, Rejected, TapewatchError, Transient, Unauthorized
from core.findings import Bars
from core.operations import Operation
from core.planner import Fetch, Plan, SeriesPlan
from core.records import in_groups
from core.sources import Page
from core.stores.bars import StoredSeries
from core.stores.selection import Selection
from core.text import clean
from core.usage import VERIFY, Purpose
from core.windows import Window, clip, intersect, iso, merge

WORKERS = 8
BAR = "bar"
MOST_KEPT = 100_000


class Deviation(NamedTuple):
    """A column that differs, or `bar` where only the store or only the vendor has one at `ts`."""

    key: SeriesKey
    ts: int
    column: str
    stored: Any
    fresh: Any


@dataclass(slots=True)
class Verdict:
    """`bars` were compared; `differing` counts bars, of whose deviations at most MOST_KEPT are kept.

    `unusable` are rows of the vendor's answers that did not pass the quality gate.
    """

    bars: int = 0
    differing: int = 0
    unusable: int = 0
    requests: int = 0
    retries: int = 0
    deviations: list[Deviation] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    failure: TapewatchError | None = None


class Verifier:
    """Compares with the source of `tools`; `check` is the quality gate that answers have to pass."""

    def __init__(self, tools: Tools, check: Check, max_requests: int | None = None) -> None:
        self._tools = replace(tools, free_bytes=lambda: None)
        self._check = check
        self._budget = Budget(max_requests)
        self._verdict = Verdict()
        self._refused: set[SeriesKey] = set()

    async def plan(self, selection: Selection, span: Window) -> Plan:
        """All stored closed bars of the selected series within `span`, as far as they were asked for."""
        found = await self._tools.store.stored(selection)
        states = await self._states([each.key for each in found])
        spans = [clip(each.span, span) for each in found]
        parts = [_part(state, intersect(_covered(state), [span])) for state, span in zip(states, spans, strict=True)]
        return Plan(tuple(part for part in parts if part.runs))

    async def plan_windows(self, wanted: Mapping[SeriesKey, Sequence[Window]]) -> Plan:
        """Just these windows, one call each: none is longer than a page."""
        states = await self._states(list(wanted))
        return Plan(tuple(_part(state, windows) for state, windows in zip(states, wanted.values(), strict=True)))

    async def _states(self, keys: Sequence[SeriesKey]) -> list[SeriesState]:
        return await self._tools.store.series(self._tools.source.name, keys, create=False)

    async def run(self, plan: Plan) -> Verdict:
        """Raises BudgetRefused when `plan` costs more than it may; else the verdict says what went wrong."""
        await self._budget.check(_needs(plan), self._tools, lambda _waiting: None)
        metered = metered_listings(self._tools, lambda _waiting: None)
        fetches = plan.fetches()
        async with asyncio.TaskGroup() as group:
            for _ in range(WORKERS):
                group.create_task(self._work(metered, fetches))
        self._verdict.requests, self._verdict.retries = metered.calls - metered.retries, metered.retries
        self._verdict.deviations.sort(key=lambda each: each[:3])
        return self._verdict

    async def _work(self, metered: MeteredListings, fetches: Iterator[Fetch]) -> None:
        """Answers that are paid for are compared, also when another worker has met the end of it all."""
        for fetch in fetches:
            if fetch.series.key in self._refused:
                continue
            if self._verdict.failure is not None:
                return
            try:
                await self._compare(metered, fetch)
            except TapewatchError as error:
                self._note(fetch, error)

    def _note(self, fetch: Fetch, error: TapewatchError) -> None:
        """A window or a series that cannot be compared, or what ends the whole verification."""
        if isinstance(error, Unauthorized) or not isinstance(error, Malformed | Transient | Rejected):
            self._verdict.failure = self._verdict.failure or error
            return
        if isinstance(error, Rejected):
            self._refused.add(fetch.series.key)
        where = f"{fetch.series.key} {iso(fetch.window.start)}..{iso(fetch.window.end)}"
        self._verdict.errors.append(f"{where}: {clean(str(error), 300)}")

    async def _compare(self, metered: MeteredListings, fetch: Fetch) -> None:
        state, groups = fetch.series, _groups(fetch.series, fetch.window)
        purpose = Purpose(state.key.data_type, VERIFY)
        fresh = await metered.call(lambda: self._ask(state, fetch.window, groups), purpose)
        names = tuple(column.name for column in in_groups(DATASETS[state.key.data_type].columns, groups))
        series = StoredSeries(state.id, state.key, fetch.window)
        stored = await self._tools.store.bars(series, fetch.window, names)
        found = list(deviations(stored, fresh, state.covered))
        self._verdict.bars += len(stored.ts)
        self._verdict.unusable += len(fresh.rejected)
        self._verdict.differing += len({each.ts for each in found})
        self._verdict.deviations += found[: MOST_KEPT - len(self._verdict.deviations)]

    async def _ask(self, state: SeriesState, window: Window, groups: tuple[str, ...]) -> CheckedPage:
        dataset = DATASETS[state.key.data_type]
        try:
            page = await self._tools.source.history(dataset, state.key, window, groups)
        except NothingBefore:
            page = Page([], 0)
        await self._tools.ingest.confirm_origin()
        return self._check(dataset, state.key, groups, window, page, state.exchange_symbol)


def _covered(state: SeriesState) -> list[Window]:
    return merge(entry.window for entry in state.covered)


def _groups(state: SeriesState, window: Window) -> tuple[str, ...]:
    """The groups that any bar of `window` was asked for with, in the vendor's order."""
    asked = [entry.groups for entry in state.covered if intersect([entry.window], [window])]
    known = frozenset[str]().union(*asked)
    return tuple(group for group in DATASETS[state.key.data_type].groups if group in known)


def _part(state: SeriesState, windows: Sequence[Window]) -> SeriesPlan:
    runs = tuple(sorted(windows, reverse=True))
    span = Window(runs[-1].start, runs[0].end) if runs else Window(0, 0)
    return SeriesPlan(state, span, runs, (), (), rechecks=runs)


def _needs(plan: Plan) -> list[Need]:
    """The plan by data type and interval, as budgets count it."""
    by_title: dict[tuple[str, str], list[SeriesPlan]] = {}
    for part in plan.series:
        by_title.setdefault((part.series.key.data_type, part.series.key.interval), []).append(part)
    return [
        Need(Job(VERIFY, "", Operation(data_type=data_type, interval=interval), 0.0), Plan(tuple(parts)))
        for (data_type, interval), parts in by_title.items()
    ]


def deviations(stored: Bars, fresh: CheckedPage, covered: Sequence[Covered]) -> Iterator[Deviation]:
    """Where stored bars and an answer differ, in the columns that a bar was asked for with.

    What the answer has in an unusable form is not compared.
    """
    group_of = {column.name: column.group for column in stored.dataset.columns}
    unusable = {row.ts for row in fresh.rejected}
    before = dict(zip(stored.ts, zip(*(stored.values(name) for name in fresh.columns), strict=True), strict=True))
    after = {row[0]: row[1:] for row in fresh.rows}
    for ts in sorted((before.keys() | after.keys()) - unusable):
        old, new = before.get(ts), after.get(ts)
        if old is None or new is None:
            yield Deviation(stored.key, ts, BAR, *(None if values is None else "present" for values in (old, new)))
        elif old != new:
            asked = frozenset[str]().union(*(groups for groups, window in covered if window.start <= ts < window.end))
            pairs = zip(fresh.columns, old, new, strict=True)
            yield from (
                Deviation(stored.key, ts, name, a, b) for name, a, b in pairs if a != b and group_of[name] in asked
            )
