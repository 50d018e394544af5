"""Runs a verification and prints what it found: for people the first lines of each kind, for scripts all of it."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from core.app import open_tools
from core.cli.context import data, words
from core.cli.options import Output
from core.cli.stored import print_table
from core.config import Loaded
from core.engine.tools import Tools
from core.engine.verify import Deviation, Verdict, Verifier
from core.errors import QuotaExhausted, TapewatchError
from core.monitoring.checks import installed_checks
from core.monitoring.offline import Looked, Suspicion, look_through
from core.monitoring.quality import check_page
from core.monitoring.reconcile import Guilty, rereads
from core.planner import Plan
from core.stores.selection import Selection
from core.text import clean, counted
from core.windows import Window, iso

MOST_LINES = 50
REQUESTS_PER_MINUTE = 600

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Request:
    """What to verify: the closed bars of a selection that begin in `window`, and against what."""

    selection: Selection
    window: Window
    is_offline: bool = False
    reconciles: bool = False
    max_requests: int | None = None
    is_dry: bool = False

    @property
    def mode(self) -> str:
        return "offline" if self.is_offline else "reconcile" if self.reconciles else "vendor"


async def run(loaded: Loaded, request: Request, output: Output) -> int:
    """Verify and print; the exit code. Raises StoreError without a store, BudgetRefused for a plan that is too dear."""
    async with open_tools(loaded) as tools:
        looked = await _look(tools, request) if request.is_offline or request.reconciles else Looked()
        verifier = Verifier(tools, check_page, request.max_requests)
        plan = await _plan(verifier, request, looked)
        if request.is_dry:
            _print_plan(request, plan, output)
            return 0
        verdict = await verifier.run(plan) if plan.requests else Verdict()
    report = _report(request, plan, looked, verdict)
    _print(report, output)
    return exit_code(report, verdict.failure)


async def _look(tools: Tools, request: Request) -> Looked:
    looked = await look_through(tools.store, request.selection, request.window, installed_checks())
    for name, defect in looked.defects.items():
        words(f"the check {clean(name)} is defective: {type(defect).__name__}: {clean(str(defect))}")
    return looked


async def _plan(verifier: Verifier, request: Request, looked: Looked) -> Plan:
    if request.is_offline:
        return Plan(())
    if request.reconciles:
        return await verifier.plan_windows(rereads(looked.guilty))
    return await verifier.plan(request.selection, request.window)


def _print_plan(request: Request, plan: Plan, output: Output) -> None:
    """The calls that a verification would send; it asks for no metadata."""
    quote: Row = {
        "mode": request.mode,
        "requests": plan.requests,
        "metadata_requests": 0,
        "windows": plan.windows,
        "rows": plan.rows,
        "minutes": round(plan.requests / REQUESTS_PER_MINUTE, 2),
        "series": [
            {"series": str(part.series.key), "requests": part.requests, "rows": part.rows} for part in plan.series
        ],
    }
    if output is not Output.text:
        data(json.dumps(quote))
        return
    if plan.series:
        print_table(quote["series"])
    calls, rows = counted(plan.requests, "request"), counted(plan.rows, "row")
    data(f"{len(plan.series):,} series: {calls} ({rows}, {quote['minutes']:g} min)")


def exit_code(report: Row, failure: TapewatchError | None) -> int:
    """0 all is well, 1 something is wrong with bars or with some calls, 3 and 75 when nothing could be compared."""
    if failure is not None:
        return failure.exit_code
    return {"equal": 0, "failed": TapewatchError.exit_code}.get(report["status"], 1)


def _report(request: Request, plan: Plan, looked: Looked, verdict: Verdict) -> Row:
    errors = [*verdict.errors, *([clean(str(verdict.failure))] if verdict.failure else [])]
    report: Row = {
        "mode": request.mode,
        "status": "",
        "series": looked.series or len(plan.series),
        "bars_checked": looked.bars,
        "bars_compared": verdict.bars,
        "requests_planned": plan.requests,
        "requests": verdict.requests,
        "retries": verdict.retries,
        "differing": verdict.differing,
        "unusable": verdict.unusable,
        "differences": [_difference(each) for each in verdict.deviations],
        "contradictions": [_contradiction(each, _is_confirmed(each, plan, verdict)) for each in looked.guilty],
        "findings": [_finding(each) for each in looked.findings],
        "errors": errors,
    }
    return {**report, "status": _status(report, verdict.failure)}


def _status(report: Row, failure: TapewatchError | None) -> str:
    if failure is not None:
        return "waiting_quota" if isinstance(failure, QuotaExhausted) else "failed"
    if report["errors"] and not report["bars_compared"]:
        return "failed"
    is_suspect = any(finding["level"] == "warning" for finding in report["findings"])
    if report["differing"] or report["contradictions"] or is_suspect:
        return "different"
    return "incomplete" if report["errors"] or report["unusable"] else "equal"


def _difference(each: Deviation) -> Row:
    time = iso(each.ts)
    return {"series": str(each.key), "time": time, "column": each.column, "stored": each.stored, "vendor": each.fresh}


def _is_confirmed(each: Guilty, plan: Plan, verdict: Verdict) -> bool | None:
    """Whether the vendor's answer repeats what is stored of a contradiction; None when it was not asked."""
    if not plan.requests or verdict.errors or verdict.failure:
        return None
    start, end = each.window
    return not any(found.key == each.reread and start <= found.ts < end for found in verdict.deviations)


def _contradiction(each: Guilty, is_confirmed: bool | None) -> Row:
    return {
        "series": str(each.key),
        "start": iso(each.window.start),
        "end": iso(each.window.end),
        "against": each.fine,
        "suspect": each.suspect or None,
        "confirmed": is_confirmed,
        "columns": [{"column": name, "stored": stored, "composed": made} for name, stored, made in each.differences],
    }


def _finding(each: Suspicion) -> Row:
    key, (check, window, level, detail) = each
    span = {"start": iso(window.start), "end": iso(window.end)}
    return {"series": str(key), "check": check, **span, "level": level, "detail": detail}


def _print(report: Row, output: Output) -> None:
    if output is not Output.text:
        data(json.dumps(report))
        return
    for kind, line in LINES.items():
        rows = report[kind]
        for row in rows[:MOST_LINES]:
            data(line(row))
        if len(rows) > MOST_LINES:
            data(f"... and {len(rows) - MOST_LINES:,} more {kind}; --output json has them all")
    calls, suspect = counted(report["requests"], "request"), counted(len(report["findings"]), "finding")
    data(
        f"{report['status']}: {report['series']:,} series, {report['bars_checked']:,} bars checked ({suspect}), "
        f"{report['bars_compared']:,} compared with {calls}, {report['differing']:,} differ"
    )
    if report["differing"]:
        data("nothing was written: take the vendor's bars in with --full_refresh over their range")


def _difference_line(row: Row) -> str:
    return f"{row['series']}  {row['time']}  {row['column']}: stored {row['stored']}, the vendor has {row['vendor']}"


def _contradiction_line(row: Row) -> str:
    columns = ", ".join(f"{one['column']} {one['stored']:.12g} is not {one['composed']:.12g}" for one in row["columns"])
    suspect = f"; suspect: {row['suspect']}" if row["suspect"] else ""
    confirmed = "; the vendor says the same" if row["confirmed"] else ""
    return f"{row['series']}  {row['start']}  against {row['against']}: {columns}{suspect}{confirmed}"


def _finding_line(row: Row) -> str:
    return f"{row['series']}  {row['start']} .. {row['end']}  {row['level']} {row['check']}: {row['detail']}"


LINES: dict[str, Callable[[Any], str]] = {
    "differences": _difference_line,
    "contradictions": _contradiction_line,
    "findings": _finding_line,
    "errors": str,
}
