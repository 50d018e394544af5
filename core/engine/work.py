"""What differs between jobs of histories and jobs of reference lists. The runner does the rest for both."""

from collections.abc import Sequence
from typing import Protocol

from core.coverage import SeriesState
from core.engine.catalog import take_in
from core.engine.claims import Wish
from core.engine.ingest import Outcome, Request
from core.engine.job import Job, SeriesProgress
from core.engine.permits import AT_ONCE
from core.engine.tools import Tools
from core.events import GapFound, LogLine
from core.operations import regex_of
from core.planner import Fetch, SeriesPlan, due
from core.stores import Written
from core.windows import Window, intersect, iso


class Work(Protocol):
    """One family of data types. `calls` is the counter that its calls count in, retries excepted."""

    calls: str

    async def perform(self, entry: SeriesProgress, fetch: Fetch) -> Outcome:
        """One call and what becomes of its answer. Raises SourceError and StoreError."""
        ...

    def wish(self, entry: SeriesProgress, fetch: Fetch) -> Wish:
        """What a call asks for, as other jobs may want it too."""
        ...

    def is_pointless(self, entry: SeriesProgress, fetch: Fetch) -> bool:
        """Whether an answer that came after the plan was made spares this call."""
        ...

    def due(self, fetch: Fetch) -> float:
        """By when a call should be answered, in UTC epoch seconds; the earliest goes first."""
        ...

    def span(self, fetch: Fetch) -> Window:
        """The time that a call is about, in UTC epoch seconds."""
        ...

    def name(self, entry: SeriesProgress, fetch: Fetch) -> str:
        """What a call is about, in words."""
        ...

    async def judge(self) -> int:
        """How much is missing that nothing explains, counted and said at the end of the job."""
        ...


def work_of(job: Job, tools: Tools) -> Work:
    return ListWork(job, tools) if job.operation.is_metadata else HistoryWork(job, tools)


class HistoryWork:
    """Windows of series of bars."""

    calls = "requests"

    def __init__(self, job: Job, tools: Tools) -> None:
        self._job = job
        self._tools = tools

    async def perform(self, entry: SeriesProgress, fetch: Fetch) -> Outcome:
        request = Request(
            fetch=fetch,
            dataset=self._job.operation.dataset,
            groups=self._groups(entry, fetch),
            state=entry.state,
            plan=_series_plan(entry),
            run_id=self._job.run_id,
        )
        return await self._tools.ingest.window(request)

    def wish(self, entry: SeriesProgress, fetch: Fetch) -> Wish:
        return Wish(entry.state.id, fetch.window, frozenset(self._groups(entry, fetch)))

    def _groups(self, entry: SeriesProgress, fetch: Fetch) -> tuple[str, ...]:
        operation = self._job.operation
        return _series_plan(entry).groups_of(fetch.window, operation.dataset.parse_groups(operation.groups))

    def is_pointless(self, entry: SeriesProgress, fetch: Fetch) -> bool:
        """The history turned out to start after this window."""
        start = entry.state.history_start
        return start is not None and fetch.window.end <= start

    def due(self, fetch: Fetch) -> float:
        return due(fetch, self._tools.source.now())

    def span(self, fetch: Fetch) -> Window:
        return fetch.window

    def name(self, entry: SeriesProgress, fetch: Fetch) -> str:
        return f"{entry.state.key} {iso(fetch.window.start)}..{iso(fetch.window.end)}"

    async def judge(self) -> int:
        """Count the holes that are left; GapFound is said now, when no later answer can explain them."""
        await self._prune()
        entries = list(self._job.progress.values())
        await self._move_audits_on(entries)
        states = [entry.state for entry in entries]
        await self._tools.store.explain(states)
        fresh = await self._tools.store.series(self._tools.source.name, [state.key for state in states])
        return sum(self._judge(entry, state) for entry, state in zip(entries, fresh, strict=True))

    async def _move_audits_on(self, entries: Sequence[SeriesProgress]) -> None:
        """Commits can tell only of the oldest page that it was audited: the others may come in any order."""
        for entry in entries:
            plan = _series_plan(entry)
            if plan.audits and plan.audited_at and entry.windows_done == entry.windows_total:
                await self._tools.store.audited(entry.state, plan.audits[-1].end, plan.audited_at)

    async def _prune(self) -> None:
        """Let go of bars that are older than is kept, by the vendor's clock and by no other."""
        operation, tools = self._job.operation, self._tools
        kept = tools.options.kept_seconds.get((operation.data_type, operation.interval))
        if kept is None or not tools.source.origin:
            return
        before = operation.grain.floor(int(tools.source.now()) - kept)
        if gone := await tools.store.prune(operation.data_type, operation.interval, before):
            text = f"{gone:,} bars before {iso(before)} were older than is kept, and are gone"
            tools.bus.publish(LogLine(level="info", text=text, source=operation.title, job=self._job.id))

    def _judge(self, entry: SeriesProgress, state: SeriesState) -> int:
        unexplained = 0
        for gap in state.gaps:
            if not intersect([gap.window], [_series_plan(entry).span]):
                continue
            self._job.counters.gaps_open += 1
            unexplained += not gap.is_explained
            self._tools.bus.publish(
                GapFound(
                    job=self._job.id,
                    series=str(state.key),
                    start=gap.window.start,
                    end=gap.window.end,
                    cause=gap.cause,
                )
            )
        return unexplained


class ListWork:
    """Lists of reference data, each asked for as a whole or by pages."""

    calls = "metadata_requests"

    def __init__(self, job: Job, tools: Tools) -> None:
        self._job = job
        self._tools = tools

    async def perform(self, entry: SeriesProgress, fetch: Fetch) -> Outcome:
        listing = await self._tools.source.listing(entry.state.key)
        done = await take_in(self._job, self._tools, entry.state, listing)
        written = Written(done.series, done.inserted, done.updated, done.unchanged, quarantined=done.quarantined)
        fetched = len(listing.rows) + len(listing.rejected)
        return Outcome(done.series, fetched, written, listing.rejected)

    def wish(self, entry: SeriesProgress, fetch: Fetch) -> Wish:
        return Wish(entry.state.id, fetch.window, frozenset())

    def is_pointless(self, entry: SeriesProgress, fetch: Fetch) -> bool:
        return False

    def due(self, fetch: Fetch) -> float:
        return AT_ONCE

    def span(self, fetch: Fetch) -> Window:
        """A list is of the moment it is asked for."""
        now = int(self._tools.source.now())
        return Window(now, now)

    def name(self, entry: SeriesProgress, fetch: Fetch) -> str:
        return str(entry.state.key)

    async def judge(self) -> int:
        """How many instruments that were named are on none of the markets."""
        named = [name for name in self._job.operation.instrument if regex_of(name) is None]
        entries = self._job.progress.values()
        if not named or any(entry.windows_failed for entry in entries):
            return 0
        source, found = self._tools.source.name, set()
        for entry in entries:
            for entity in await self._tools.store.entities(source, entry.state.key, named):
                found |= {entity.row["instrument"], entity.row["exchange_symbol"]} if entity.is_listed else set()
        missing = [name for name in dict.fromkeys(named) if name not in found]
        markets = ", ".join(entry.state.key.market for entry in entries)
        for name in missing:
            self._job.add_error(f"--instrument {name}: {markets} lists no such instrument")
        return len(missing)


def _series_plan(entry: SeriesProgress) -> SeriesPlan:
    assert isinstance(entry.plan, SeriesPlan)  # noqa: S101 - the plan of a job of histories has no lists
    return entry.plan
