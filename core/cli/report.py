"""Summaries, plans and progress for people and for scripts."""

import json
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from core.cli.context import data, words
from core.cli.options import Output
from core.events import CATALOG, STORE, AnyEvent, JobChanged, LogLine, RunSummary, WindowFailed, encode
from core.references import REFERENCES
from core.text import clean, counted
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
    total["cache"] = _summed(summaries, "cache", ("hits", "misses"))
    # They were handed in together, and each counts from then.
    total["duration_seconds"] = max((summary["duration_seconds"] for summary in summaries), default=0.0)
    total["errors"] = [error for summary in summaries for error in summary["errors"]]
    total["planned"] = _summed(summaries, "planned", ("requests", "metadata_requests", "rows"))
    total["up_to_date"] = sum(summary["up_to_date"] for summary in summaries)
    total["fresh_until"] = min(filter(None, (summary["fresh_until"] for summary in summaries)), default=None)
    total["operations"] = list(summaries)
    return total


def _summed(summaries: Sequence[Mapping[str, Any]], field: str, names: Sequence[str]) -> dict[str, int]:
    return {name: sum(summary[field][name] for summary in summaries) for name in names}


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
    elif output is Output.json:
        data(json.dumps(summary))
    elif "operations" in summary:
        _print_batch(summary)
    else:
        _print_one(summary)


def _print_one(summary: Mapping[str, Any]) -> None:
    for name in ("data_type", "status", *SUMMED, "duration_seconds"):
        data(f"{name:20} {summary[name]:,}" if isinstance(summary[name], int) else f"{name:20} {summary[name]}")
    data(f"{'planned':20} {_calls(summary['planned'])}, {counted(summary['planned']['rows'], 'row')}")
    _print_rest(summary, [summary])


def _print_batch(summary: Mapping[str, Any]) -> None:
    """A line an operation, what was planned beside what was done, then the sum."""
    heads = ("operation", "status", "planned", "sent", "rows planned", "rows fetched", "new", "up to date")
    widths = (36, 18, 10, 10, 14, 14, 12, 12)
    data(_row(heads, widths))
    for part in summary["operations"]:
        data(_row(_cells(title(part), part), widths))
    data(_row(_cells("sum", summary), widths))
    _print_rest(summary, summary["operations"])


def _cells(name: str, part: Mapping[str, Any]) -> list[str]:
    planned, up_to_date = part["planned"], f"{part['up_to_date']:,}/{part['series']:,}"
    figures = (_all_calls(planned), _all_calls(part), planned["rows"], part["rows_fetched"], part["rows_inserted"])
    cells = [f"{figure:,}" for figure in figures]
    if part["data_type"] in REFERENCES:
        cells[2] = "-"  # how long a list is nobody knows before it has come
    return [name, part["status"], *cells, up_to_date]


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    aligned = zip(cells, "<<>>>>>>", widths, strict=True)
    return " ".join(f"{cell:{side}{width}}" for cell, side, width in aligned)


def _print_rest(summary: Mapping[str, Any], parts: Sequence[Mapping[str, Any]]) -> None:
    for line in not_needed(parts):
        data(f"{'not needed':20} {line}")
    for error in summary["errors"][:20]:
        data(f"{'error':20} {clean(error, 300)}")


def title(summary: Mapping[str, Any]) -> str:
    """`spot_ohlcv 1d nightly`."""
    return " ".join(filter(None, (summary["data_type"], summary["interval"], summary["label"])))


def _all_calls(figures: Mapping[str, int]) -> int:
    return figures["requests"] + figures["metadata_requests"]


def _calls(figures: Mapping[str, int]) -> str:
    return f"{counted(figures['requests'], 'request')} and {figures['metadata_requests']:,} for metadata"


def not_needed(parts: Sequence[Mapping[str, Any]]) -> list[str]:
    """What did not have to be asked for, in words."""
    histories = [part for part in parts if part["data_type"] not in REFERENCES]
    up_to_date, series = (sum(part[name] for part in histories) for name in ("up_to_date", "series"))
    lines = []
    if up_to_date:
        asked = any(part["requests"] for part in histories)
        why = "only running and young bars were read again" if asked else "nothing had to be asked for"
        lines.append(f"{_part_of(up_to_date, series)} series {_were(series)} up to date: {why}")
    lists = [part for part in parts if part["data_type"] in REFERENCES]
    if fresh := sum(part["up_to_date"] for part in lists):
        until = min(filter(None, (part["fresh_until"] for part in lists)), default="")
        total = sum(part["series"] for part in lists)
        noun = "list" if total == 1 else "lists"
        line = f"{_part_of(fresh, total)} {noun} of metadata {_were(total)} fresh"
        lines.append(line + (f", until {until} at least" if until else ""))
    return lines


def _part_of(part: int, whole: int) -> str:
    """`the 1`, `all 3`, `2 of 3`."""
    if part < whole:
        return f"{part:,} of {whole:,}"
    return "the one" if whole == 1 else f"all {whole:,}"


def _were(number: int) -> str:
    return "was" if number == 1 else "were"


def print_statistics(parts: Sequence[Mapping[str, Any]]) -> None:
    """What `--enable_monitoring` says of each operation, on stderr."""
    for part in parts:
        if found := part.get("statistics"):
            words(f"statistics {title(part)}: {_statistics(found)}")


def _statistics(found: Mapping[str, Any]) -> str:
    return (
        f"{counted(found['requests'], 'request')}, {found['retries']:,} retries, "
        f"latency p50 {found['latency_p50_seconds'] * 1e3:,.0f} ms p95 {found['latency_p95_seconds'] * 1e3:,.0f} ms, "
        f"{found['rows_per_second']:,.0f} rows/s, {found['cache_hits']:,} cache hits, "
        f"{found['bytes'] / 1e6:,.2f} MB received, {found['cpu_seconds']:,.2f} CPU seconds, "
        f"peak memory {found['peak_memory_bytes'] / 1e6:,.0f} MB"
    )


def say_log(event: AnyEvent) -> None:
    """What is said while a plan is made, on stderr."""
    if isinstance(event, LogLine):
        words(clean(event.text, 500))


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
        elif isinstance(event, LogLine) and (event.level in {"warning", "error"} or event.source in {CATALOG, STORE}):
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
    parts = [f"{job.windows_done:,}/{job.windows_total:,} windows, {counted(job.rows_fetched, 'row')}"]
    if job.rows_per_second:
        parts.append(f"{job.rows_per_second:,.0f} rows/s")
    if job.retries:
        parts.append("1 retry" if job.retries == 1 else f"{job.retries:,} retries")
    if job.waiting:
        parts.append(f"waiting: {job.waiting}")
    return f"{job.title}: {job.state} " + ", ".join(parts)


class _Bars:
    """Progress bars on stderr, one a job."""

    def __init__(self) -> None:
        from rich.console import Console  # noqa: PLC0415 - only a terminal pays for rich
        from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn  # noqa: PLC0415

        self._tasks: dict[str, TaskID] = {}
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[windows]}"),
            TextColumn("{task.fields[rows]:,} rows"),
            TextColumn("{task.fields[said]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            refresh_per_second=4,
        )
        self._progress.start()

    def show(self, job: JobChanged) -> None:
        if job.job not in self._tasks:
            self._tasks[job.job] = self._progress.add_task(job.title, total=None, rows=0, windows="", said="")
        self._progress.update(
            self._tasks[job.job],
            completed=job.windows_done,
            total=job.windows_total or None,
            rows=job.rows_fetched,
            windows=f"{job.windows_done}/{job.windows_total or '?'}",
            said=job.waiting or job.state,
        )

    def line(self, text: str) -> None:
        from rich.text import Text  # noqa: PLC0415

        self._progress.console.print(Text(text))

    def close(self) -> None:
        self._progress.stop()
