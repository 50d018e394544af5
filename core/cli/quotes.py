"""What `--dry_run` prints: a quote for people and for scripts."""

import json
from collections.abc import Mapping
from typing import Any

from core.cli.context import data
from core.cli.options import Output
from core.cli.stored import print_table
from core.engine.batch import Quote
from core.engine.budget import Need, is_too_much
from core.engine.quote import Cost, cost_of, minutes, plan_cost
from core.limits import Limit
from core.planner import ListPlan, SeriesPlan
from core.text import counted
from core.windows import Window, iso

SUMMED = ("requests", "metadata_requests", "windows", "rows", "bytes", "bytes_on_disk")


def quote_object(quote: Quote, *, is_batch: bool) -> dict[str, Any]:
    """The quote as JSON: figures, each series with its own, and what there is to spend.

    `bytes` are those to transfer, `bytes_on_disk` those more in the store. A batch has the sum, and each
    operation in `operations`.
    """
    plans = [_plan_object(need, quote.limits) for need in quote.needs]
    total = _batch_object(plans, quote.limits) if is_batch else plans[0]
    return {**total, **_means(total, quote)}


def _batch_object(plans: list[dict[str, Any]], limits: list[Limit]) -> dict[str, Any]:
    total: dict[str, Any] = {"data_type": "batch", "operations": plans}
    total |= {name: sum(plan[name] for plan in plans) for name in SUMMED}
    total["minutes"] = round(minutes(total["requests"] + total["metadata_requests"], limits), 2)
    total["series"] = [part for plan in plans for part in plan["series"]]
    return total


def _plan_object(need: Need, limits: list[Limit]) -> dict[str, Any]:
    job, plan = need
    cost = plan_cost(job.operation, plan)
    taken = job.counters.metadata_requests
    return {
        "data_type": job.operation.data_type,
        "interval": job.operation.interval,
        "label": job.operation.label,
        **_figures(cost, plan.windows, limits),
        "metadata_requests": cost.metadata_requests + taken,
        "reasons": plan.reasons(),
        "series": [_part_object(part, cost_of(job.operation, part)) for part in plan.parts],
    }


def _figures(cost: Cost, windows: int, limits: list[Limit]) -> dict[str, Any]:
    return {
        "requests": cost.requests,
        "metadata_requests": cost.metadata_requests,
        "windows": windows,
        "rows": cost.rows,
        "bytes": cost.wire_bytes,
        "bytes_on_disk": cost.disk_bytes,
        "minutes": round(minutes(cost.requests + cost.metadata_requests, limits), 2),
    }


def _part_object(part: SeriesPlan | ListPlan, cost: Cost) -> dict[str, Any]:
    """One series of a plan, or one list: that has no span, and its rows are known once it has come.

    The span of a series is that of the calls; when there is none to send, what was wanted.
    """
    span = _asked(part) if isinstance(part, SeriesPlan) else None
    return {
        "series": str(part.series.key),
        "requests": cost.requests + cost.metadata_requests,
        "rows": cost.rows,
        "bytes": cost.wire_bytes,
        "bytes_on_disk": cost.disk_bytes,
        "minutes": round(minutes(cost.requests + cost.metadata_requests), 2),
        "start": iso(span.start) if span else "",
        "end": iso(span.end) if span else "",
        "reasons": sorted(part.reasons()),
    }


def _asked(part: SeriesPlan) -> Window:
    return Window(part.runs[-1].start, part.runs[0].end) if part.runs else part.span


def _means(total: Mapping[str, Any], quote: Quote) -> dict[str, Any]:
    """What there is to spend, as far as it is known, and which share of it the plan takes."""
    calls = total["requests"] + total["metadata_requests"]
    allowed, by = quote.allowed or (None, "nothing: the vendor has not said yet what is left")
    free = quote.free_bytes
    return {
        "quota": [
            {
                "window": limit.name,
                "limit": limit.limit,
                "remaining": limit.remaining,
                "share": _share(calls, limit.remaining),
            }
            for limit in quote.limits
        ],
        "budget": {"requests": allowed, "by": by, "is_enough": allowed is None or total["requests"] <= allowed},
        "disk": {
            "free_bytes": free,
            "share": None if free is None else _share(total["bytes_on_disk"], free),
            "is_enough": not is_too_much(total["bytes_on_disk"], free),
        },
    }


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole > 0 else None


def print_quote(quote: Mapping[str, Any], output: Output) -> None:
    if output is not Output.text:
        data(json.dumps(quote))
        return
    if quote["series"]:
        print_table([_row(part) for part in quote["series"]])
    for operation in quote.get("operations", ()):
        data(f"{_title(operation)}: {_totals(operation)}")
    data(f"{counted(len(quote['series']), 'series')}: {_totals(quote)}")
    for line in _words(quote):
        data(line)


def _row(part: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "series": part["series"],
        "requests": part["requests"],
        "rows": part["rows"],
        "MB_on_disk": round(part["bytes_on_disk"] / 1e6, 1),
        "minutes": part["minutes"],
        "start": part["start"] or None,
        "why": ",".join(part["reasons"]) or "nothing missing",
    }


def _title(operation: Mapping[str, Any]) -> str:
    return " ".join(filter(None, (operation["data_type"], operation["interval"], operation["label"])))


def _totals(figures: Mapping[str, Any]) -> str:
    return (
        f"{counted(figures['requests'], 'request')} ({counted(figures['rows'], 'row')}, "
        f"about {_megabytes(figures['bytes'])} to transfer, {_megabytes(figures['bytes_on_disk'])} on disk, "
        f"{figures['minutes']:g} min), {counted(figures['metadata_requests'], 'metadata request')}"
    )


def _words(quote: Mapping[str, Any]) -> list[str]:
    lines = [
        f"{window['window']}: {_percent(window['share'])} of the {window['remaining']:,} calls that are left"
        for window in quote["quota"]
    ]
    disk, budget = quote["disk"], quote["budget"]
    if disk["free_bytes"] is not None:
        more = "" if disk["is_enough"] else "; a run is refused, as it may take 80 %"
        lines.append(f"disk: {_percent(disk['share'])} of the {_megabytes(disk['free_bytes'])} that are free{more}")
    if budget["requests"] is None:
        lines.append("budget: not known until the vendor has said what is left; --max_requests N sets one")
    elif budget["is_enough"]:
        lines.append(f"budget: a run may send {counted(budget['requests'], 'request')} ({budget['by']})")
    else:
        lines.append(
            f"budget: a run may send {counted(budget['requests'], 'request')} ({budget['by']}) and is refused; "
            f"--max_requests {quote['requests']} allows it"
        )
    return lines


def _percent(share: float | None) -> str:
    return "more than 100 %" if share is None else f"{share * 100:.1f} %"


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
