"""Closes gaps: one job a data type and interval with any, and what became of them in the end."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

import msgspec

from core.batch import Batch
from core.causes import FAILED_FETCH
from core.cli.context import data, words
from core.cli.execute import execute, plan_operations, print_to_end
from core.cli.options import Output
from core.cli.report import batch_summary
from core.cli.stored import print_table
from core.config import Loaded
from core.datasets import SeriesKey
from core.engine.repair import repairs
from core.stores.opening import reading
from core.stores.reading import Reader
from core.stores.selection import Selection
from core.windows import GRAINS, Window, intersect, subtract


class Hole(NamedTuple):
    """Missing bars of a series: a gap, or a window that was given up."""

    series_id: int
    key: SeriesKey
    window: Window
    cause: str


@dataclass(slots=True)
class Tally:
    """What became of the holes of one cause; `new` bars were found missing by the repair itself."""

    gaps: int = 0
    closed: int = 0
    bars_closed: int = 0
    bars_open: int = 0
    bars_new: int = 0


@dataclass(slots=True)
class Outcome:
    """Tallies by cause, and their sum."""

    total: Tally = field(default_factory=Tally)
    by_cause: dict[str, Tally] = field(default_factory=lambda: defaultdict(Tally))

    def add(self, cause: str, **figures: int) -> None:
        for tally in (self.total, self.by_cause[cause]):
            for name, figure in figures.items():
                setattr(tally, name, getattr(tally, name) + figure)


async def repair(
    loaded: Loaded, selection: Selection, output: Output, *, every: bool, max_requests: int | None, dry_run: bool
) -> int:
    """Ask again for the holes of the selected series; the exit code."""
    with reading(loaded.database) as reader:
        before = holes(reader, selection)
    batch = Batch(
        operations=repairs((hole.key for hole in before), every=every),
        continue_on_error=True,
        max_requests=max_requests,
    )
    if dry_run and batch.operations:
        return await plan_operations(loaded, batch, output, is_batch=True)
    code, summaries = 0, []
    if batch.operations:
        ended = await execute(loaded, batch, output)
        code, summaries = ended.code, ended.summaries
        with reading(loaded.database) as reader:
            _report(summaries, became(before, holes(reader, selection)), output)
    else:
        _report(summaries, Outcome(), output)
    return code


def holes(reader: Reader, selection: Selection) -> list[Hole]:
    """Gaps and failed windows of the selected series."""
    gaps = [Hole(each.series_id, each.key, each.gap.window, each.explanation.cause) for each in reader.gaps(selection)]
    failed = [Hole(each.series_id, each.key, each.window, FAILED_FETCH) for each in reader.failed(selection)]
    return gaps + failed


def became(before: Sequence[Hole], after: Sequence[Hole]) -> Outcome:
    """How much of what was missing is there now, by the cause that it was missing for."""
    outcome = Outcome()
    left, known = _windows(after), _windows(before)
    for hole in before:
        still = _bars(hole, intersect([hole.window], left[hole.series_id]))
        bars = _bars(hole, [hole.window])
        outcome.add(hole.cause, gaps=1, closed=int(not still), bars_closed=bars - still, bars_open=still)
    for hole in after:
        if new := _bars(hole, subtract([hole.window], known[hole.series_id])):
            outcome.add(hole.cause, bars_new=new)
    return outcome


def _windows(found: Sequence[Hole]) -> dict[int, list[Window]]:
    by_series: dict[int, list[Window]] = defaultdict(list)
    for hole in found:
        by_series[hole.series_id].append(hole.window)
    return by_series


def _bars(hole: Hole, windows: Sequence[Window]) -> int:
    return sum(map(GRAINS[hole.key.interval].bars, windows))


def _report(summaries: Sequence[dict[str, Any]], outcome: Outcome, output: Output) -> None:
    """With JSON the summary of the batch, `repair` in it; else the summary, and a table."""
    found: dict[str, Any] = {**asdict(outcome.total), "by_cause": {k: asdict(v) for k, v in outcome.by_cause.items()}}
    if output is Output.json:
        data(msgspec.json.encode({**batch_summary(summaries), "repair": found}).decode())
        return
    if output is Output.jsonl:
        data(msgspec.json.encode({"event": "repair", **found}).decode())
    if summaries:
        print_to_end(batch_summary(summaries), output)
    if output is Output.jsonl:
        return
    if outcome.by_cause:
        rows = [{"cause": cause, **asdict(tally)} for cause, tally in sorted(outcome.by_cause.items())]
        print_table([*rows, {"cause": "all", **asdict(outcome.total)}])
    else:
        data("no gaps")
    if outcome.total.bars_open:
        words("see: tapewatch gaps explain --all; confirmed gaps and those of dead instruments take --all")
