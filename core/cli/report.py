"""Summaries, plans and progress for people and for scripts."""

import json
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from core.cli.context import data, words
from core.cli.options import Output
from core.events import CATALOG, AnyEvent, JobChanged, LogLine, RunSummary, WindowFailed, encode
from core.planner import BYTES_PER_ROW, ListPlan, Plan, SeriesPlan
from core.text import clean
from core.windows import iso

SUMMED = (
    "series windows requests metadata_requests retries rows_fetched rows_inserted rows_updated rows_unchanged "
    "rows_quarantined gaps_open"
).split()
WORST_FIRST = ("failed", "cancelled", "waiting_quota", "complete_with_gaps", "complete")
SECONDS_BETWEEN_LINES = 5.0
EXIT_CODES = {"complete": 0, "complete_with_gaps": 1, "waiting_quota": 75, "failed": 3, "cancelled": 1}


def batch_summary(summaries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One object for several operations: figures summed, the worst status, each summary inside."""
    total: dict[str, Any] = {"run_id": summaries[0]["run_id"] if summaries else "", "data_type": "batch"}
    statuses = {summary["status"] for summary in summaries}
    total["status"] = next((status for status in WORST_FIRST if status in statuses), "complete")
    for name in SUMMED:
        total[name] = sum(summary[name] for summary in summaries)
    total["cache"] = {name: sum(summary["cache"][name] for summary in summaries) for name in ("hits", "misses")}
    total["duration_seconds"] = round(sum(summary["duration_seconds"] for summary in summaries), 3)
    total["errors"] = [error for summary in summaries for error in summary["errors"]]
    total["operations"] = list(summaries)
    return total


def exit_code(summaries: Sequence[Mapping[str, Any]]) -> int:
    """0 complete, 1 partly, 3 failed, 75 try again later."""
    statuses = {summary["status"] for summary in summaries}
    if statuses <= {"complete"}:
        return 0
    if "failed" in statuses and not statuses & {"complete", "complete_with_gaps"}:
        return 3
    if "failed" not in statuses and "waiting_quota" in statuses:
        return 75
    return 1


def print_summary(summary: Mapping[str, Any], output: Output) -> None:
    if output is Output.jsonl:
        data(encode(RunSummary(time=time.time(), **summary)).decode())
        return
    if output is Output.json:
        data(json.dumps(summary))
        return
    for name in ("data_type", "status", *SUMMED, "duration_seconds"):
        data(f"{name:20} {summary[name]:,}" if isinstance(summary[name], int) else f"{name:20} {summary[name]}")
    for error in summary["errors"][:20]:
        data(f"{'error':20} {clean(error, 300)}")


def plan_object(plan: Plan, metadata_requests: int, data_type: str) -> dict[str, Any]:
    """The form in which `--dry_run` prints a plan; minutes are at ten requests a second.

    `metadata_requests` are those that making the plan took.
    """
    return {
        "data_type": data_type,
        "requests": plan.requests,
        "metadata_requests": metadata_requests + plan.metadata_requests,
        "windows": plan.windows,
        "rows": plan.rows,
        "bytes": plan.rows * BYTES_PER_ROW,
        "minutes": round(plan.requests / 600, 2),
        "reasons": plan.reasons(),
        "series": [_part_object(part) for part in plan.parts],
    }


def _part_object(part: SeriesPlan | ListPlan) -> dict[str, Any]:
    """One series of a plan, or one list: that has no span, and its rows are known once it has come."""
    span = part.span if isinstance(part, SeriesPlan) else None
    return {
        "series": str(part.series.key),
        "requests": part.requests,
        "rows": part.rows if isinstance(part, SeriesPlan) else 0,
        "start": iso(span.start) if span else "",
        "end": iso(span.end) if span else "",
        "reasons": sorted({fetch.reason for fetch in part.fetches()}),
    }


def print_plan(plan: Mapping[str, Any], output: Output) -> None:
    if output is not Output.text:
        data(json.dumps(plan))
        return
    for part in plan["series"]:
        reasons = ",".join(part["reasons"]) or "nothing missing"
        data(f"{part['series']:60} {part['requests']:>6} requests {part['rows']:>10,} rows  {part['start']}  {reasons}")
    data(
        f"{len(plan['series'])} series: {plan['requests']} requests ({plan['rows']:,} rows, about "
        f"{plan['bytes'] / 1e6:.1f} MB, {plan['minutes']:g} min), {plan['metadata_requests']} metadata requests"
    )


class Narrator:
    """Tells people on stderr what events say: a bar on a terminal, a line now and then otherwise."""

    def __init__(self, output: Output, *, is_silent: bool = False) -> None:
        self._is_silent = is_silent
        self._is_jsonl = output is Output.jsonl
        self._bar = None if self._is_jsonl or not sys.stderr.isatty() else _Bars()
        self._said: dict[str, tuple[float, str]] = {}

    def hear(self, event: AnyEvent) -> None:
        """Takes every event. When the reader of stdout has gone it falls silent: the work goes on."""
        if self._is_silent:
            return
        try:
            self._tell(event)
        except BrokenPipeError:
            self._is_silent = True
        except OSError as error:
            self._is_silent = True
            words(f"nothing more is printed, the work goes on: {error.strerror}")

    def _tell(self, event: AnyEvent) -> None:
        if self._is_jsonl:
            if not isinstance(event, RunSummary):
                data(encode(event).decode())
        elif isinstance(event, JobChanged):
            self._job(event)
        elif isinstance(event, WindowFailed):
            self._line(f"gave up {event.series} {iso(event.start)}: {clean(event.error)}")
        elif isinstance(event, LogLine) and (event.level in {"warning", "error"} or event.source == CATALOG):
            self._line(clean(event.text, 500))

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()

    def _job(self, job: JobChanged) -> None:
        if self._bar is not None:
            self._bar.show(job)
            return
        when, state = self._said.get(job.job, (0.0, ""))
        if job.state == state and job.time - when < SECONDS_BETWEEN_LINES:
            return
        self._said[job.job] = (job.time, job.state)
        words(describe(job))

    def _line(self, text: str) -> None:
        if self._bar is not None:
            self._bar.line(text)
        else:
            words(text)


def describe(job: JobChanged) -> str:
    """`spot_ohlcv 1d: running 12/50 windows, 31,000 rows (8,000/s), 2 retries, minute limit, 12 s`."""
    parts = [f"{job.windows_done}/{job.windows_total} windows, {job.rows_fetched:,} rows"]
    if job.rows_per_second:
        parts.append(f"{job.rows_per_second:,.0f} rows/s")
    if job.retries:
        parts.append(f"{job.retries} retries")
    if job.waiting:
        parts.append(f"waiting: {job.waiting}")
    return f"{job.data_type} {job.interval}: {job.state} " + ", ".join(parts)


class _Bars:
    """Progress bars on stderr, one a job."""

    def __init__(self) -> None:
        from rich.console import Console  # noqa: PLC0415 - only a terminal pays for rich
        from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn  # noqa: PLC0415

        self._tasks: dict[str, TaskID] = {}
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed}/{task.total}"),
            TextColumn("{task.fields[rows]:,} rows"),
            TextColumn("{task.fields[said]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            refresh_per_second=4,
        )
        self._progress.start()

    def show(self, job: JobChanged) -> None:
        if job.job not in self._tasks:
            name = f"{job.data_type} {job.interval}"
            self._tasks[job.job] = self._progress.add_task(name, total=None, rows=0, said="")
        self._progress.update(
            self._tasks[job.job],
            completed=job.windows_done,
            total=job.windows_total or None,
            rows=job.rows_fetched,
            said=job.waiting or job.state,
        )

    def line(self, text: str) -> None:
        from rich.text import Text  # noqa: PLC0415

        self._progress.console.print(Text(text))

    def close(self) -> None:
        self._progress.stop()
