"""What a plan costs, and what the store will know once it has run. Pure: time and room are passed in.

Bytes of a row were measured with `python -m tests.bench.sizes`: two years of hours of three instruments
from the sandbox, a database a data type, its size over its rows; on the wire a full page, gzipped.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

from core.coverage import Covered, SeriesState, missing, unsettle
from core.datasets import Dataset, SeriesKey, closed_until, page_seconds
from core.engine.ingest import settled_before
from core.limits import Limit
from core.operations import Operation
from core.planner import ListPlan, Plan, SeriesPlan
from core.records import in_groups
from core.windows import Window, clip, intersect, subtract

REQUESTS_PER_SECOND = 10


class RowBytes(NamedTuple):
    """Bytes of one row: gzipped on the wire, and in the store with its share of everything else."""

    wire: float
    disk: float


ROW_BYTES = {
    "spot_ohlcv": RowBytes(107, 156),
    "futures_ohlcv": RowBytes(113, 155),
    "futures_funding_rate": RowBytes(20, 90),
    "futures_open_interest": RowBytes(112, 217),
    "indices_ohlcv": RowBytes(103, 149),
}
# What a column more or less than those of the default groups makes, on the wire as on disk.
COLUMN_BYTES = 6.5
SMALLEST_ROW = RowBytes(10, 40)


@dataclass(frozen=True, slots=True)
class Cost:
    """What a part of a plan takes: calls, rows, bytes to transfer, bytes more in the store, minutes."""

    requests: int = 0
    metadata_requests: int = 0
    rows: int = 0
    wire_bytes: int = 0
    disk_bytes: int = 0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(
            self.requests + other.requests,
            self.metadata_requests + other.metadata_requests,
            self.rows + other.rows,
            self.wire_bytes + other.wire_bytes,
            self.disk_bytes + other.disk_bytes,
        )


def row_bytes(dataset: Dataset, groups: Iterable[str]) -> RowBytes:
    """About how large a row with `groups` is."""
    usual = ROW_BYTES[dataset.name]
    columns = len(in_groups(dataset.columns, groups)) - len(in_groups(dataset.columns, dataset.default_groups))
    more = COLUMN_BYTES * columns
    return RowBytes(max(SMALLEST_ROW.wire, usual.wire + more), max(SMALLEST_ROW.disk, usual.disk + more))


def cost_of(operation: Operation, part: SeriesPlan | ListPlan) -> Cost:
    """What asking for one series, or one list, takes. Rows that are stored already take room for new columns only.

    A list that was asked for to make the plan costs its call too: a run has to ask as well.
    """
    if isinstance(part, ListPlan):
        return Cost(metadata_requests=part.windows)
    groups = part.groups or operation.dataset.parse_groups(operation.groups)
    size = row_bytes(operation.dataset, groups)
    new = subtract(part.runs, [entry.window for entry in part.series.covered])
    new_rows = sum(part.grain.bars(span) for span in new)
    disk = new_rows * size.disk + _widening(operation.dataset, part, groups, new)
    return Cost(part.requests, 0, part.rows, round(part.rows * size.wire), round(disk))


def _widening(dataset: Dataset, part: SeriesPlan, groups: tuple[str, ...], new: list[Window]) -> float:
    """Bytes that the groups which no answer had so far add to stored rows."""
    held = frozenset[str]().union(*(entry.groups for entry in part.series.covered))
    columns = len(in_groups(dataset.columns, [name for name in groups if name not in held]))
    if not columns:
        return 0.0
    wider = subtract(intersect(part.runs, missing(part.span, groups, part.series.covered)), new)
    return COLUMN_BYTES * columns * sum(part.grain.bars(span) for span in wider)


def plan_cost(operation: Operation, plan: Plan) -> Cost:
    return sum((cost_of(operation, part) for part in plan.parts), Cost())


def minutes(requests: int, limits: Iterable[Limit] = ()) -> float:
    """How long `requests` take at ten a second, or as long as the vendor's limits stretch them."""
    waits = [limit.seconds * (requests - limit.remaining) / limit.limit for limit in limits]
    return max([requests / REQUESTS_PER_SECOND, *waits]) / 60


def afterwards(part: SeriesPlan, groups: tuple[str, ...], now: int) -> SeriesState:
    """What will be known of a series once `part` has run at server time `now` and everything came.

    A later operation of the same batch is planned on it, so that what both want is quoted once.
    """
    state, grain = part.series, part.grain
    closed_before = closed_until(now, grain)
    closed = [clip(run, Window(run.start, max(run.start, closed_before))) for run in part.runs]
    unsettled = list(state.unsettled)
    for run in closed:
        unsettled = unsettle(unsettled, run, settled_before(now, grain, is_dead=part.is_dead))
    listed = None if part.listed is None else grain.floor(part.listed)
    is_begun = any(run.start == listed for run in part.runs)
    audited = max((window.end for window in part.audits), default=None)
    return replace(
        state,
        history_start=listed if state.history_start is None and is_begun else state.history_start,
        covered=(*state.covered, *(Covered(frozenset(part.groups or groups), run) for run in closed if run.seconds)),
        gaps=tuple(gap for gap in state.gaps if subtract([gap.window], part.runs)),
        unsettled=tuple(unsettled),
        page_checked=now if _reads_newest_page(part, closed_before) else state.page_checked,
        audit_from=state.audit_from if audited is None else audited,
        audited_at=state.audited_at if audited is None else part.audited_at,
    )


def _reads_newest_page(part: SeriesPlan, closed_before: int) -> bool:
    start = part.series.history_start if part.series.history_start is not None else part.span.start
    newest = next((run for run in part.runs if run.end >= closed_before), None)
    return newest is not None and (newest.seconds >= page_seconds(part.grain) or newest.start <= start)


def without(plan: Plan, listed: Collection[SeriesKey]) -> Plan:
    """`plan` when the lists of `listed` have just been asked for by others."""
    lists = [replace(part, is_due=False) if part.series.key in listed else part for part in plan.lists]
    return replace(plan, lists=tuple(lists))
