"""A quote as the object that `--dry_run --output json` prints and the control socket answers."""

from collections.abc import Mapping
from typing import Any

from core.engine.batch import Quote
from core.engine.budget import Need, is_too_much
from core.engine.quote import Cost, cost_of, minutes, plan_cost
from core.limits import Limit
from core.planner import ListPlan, SeriesPlan
from core.text import clean
from core.windows import Window, iso

LISTED_SERIES = 200
SUMMED = ("requests", "metadata_requests", "windows", "rows", "bytes", "bytes_on_disk")


def quote_object(quote: Quote, *, is_batch: bool) -> dict[str, Any]:
    """The quote as JSON: figures, each series with its own, and what there is to spend.

    `bytes` are those to transfer, `bytes_on_disk` those more in the store. A batch has the sum, and each
    operation in `operations`.
    """
    plans = [_plan_object(need, quote.limits) for need in quote.needs]
    total = _batch_object(plans, quote.limits) if is_batch else plans[0]
    return {**total, **_means(total, quote)}


def answer_of(quote: Quote) -> dict[str, Any]:
    """The same of a batch for a client: of the series the first LISTED_SERIES, beside how many there are.

    `errors` are what was found missing on the way.
    """
    found = quote_object(quote, is_batch=True)
    told = [{name: value for name, value in each.items() if name != "series"} for each in found["operations"]]
    errors = dict.fromkeys(clean(error, 400) for need in quote.needs for error in need.job.errors)
    series = {"series": found["series"][:LISTED_SERIES], "series_total": len(found["series"])}
    return {**found, **series, "operations": told, "errors": list(errors)}


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
        "month": {"left": quote.month_left, "is_enough": quote.month_left is None or calls <= quote.month_left},
        "disk": {
            "free_bytes": free,
            "share": None if free is None else _share(total["bytes_on_disk"], free),
            "is_enough": not is_too_much(total["bytes_on_disk"], free),
        },
    }


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole > 0 else None
