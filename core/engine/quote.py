"""What a plan costs, and what the store will know once it has run. Pure: time and room are passed in."""

from dataclasses import replace

from core.coverage import Covered, SeriesState, unsettle
from core.datasets import closed_until, page_seconds
from core.engine.ingest import settled_before
from core.operations import Operation
from core.planner import SeriesPlan
from core.windows import Window, clip, subtract

# Measured: see disk_bytes.
DISK_BYTES_PER_ROW = {
    "spot_ohlcv": 150,
    "futures_ohlcv": 150,
    "futures_funding_rate": 100,
    "futures_open_interest": 150,
    "indices_ohlcv": 120,
}


def disk_bytes(operation: Operation, rows: int) -> int:
    """About how many bytes `rows` take in the store."""
    return rows * DISK_BYTES_PER_ROW.get(operation.data_type, 0)


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
        audited_at=state.audited_at if audited is None else now,
    )


def _reads_newest_page(part: SeriesPlan, closed_before: int) -> bool:
    start = part.series.history_start if part.series.history_start is not None else part.span.start
    newest = next((run for run in part.runs if run.end >= closed_before), None)
    return newest is not None and (newest.seconds >= page_seconds(part.grain) or newest.start <= start)
