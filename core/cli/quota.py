"""`quota`: what is left of the vendor's limits, how the month goes, and where its calls went."""

import csv
import io
import json
import time
from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from core.cli.arguments import same_name
from core.cli.context import data, settings
from core.cli.options import LookOutput, Output
from core.cli.stored import known, print_table

if TYPE_CHECKING:
    from core.config import Loaded
    from core.events import MonthUsage, QuotaSample, QuotaWindow
    from core.limits import Limit

NOT_OURS = "(not ours)"
NOT_KNOWN = (
    "the vendor's limits are not known: each answer tells them to the engine that asked, and none of yours runs now"
)
quota = typer.Typer(
    help="What is left of the vendor's limits, how many calls this month has taken, and where it is heading.",
    invoke_without_command=True,
)


class ReportOutput(StrEnum):
    """Form of a report."""

    text = "text"
    json = "json"
    csv = "csv"


class Standing(NamedTuple):
    """How an account stands. `source` is who told of the windows: engine, account (as engines keep it) or nobody."""

    account: str
    source: str
    windows: "Sequence[QuotaWindow]"
    month: "MonthUsage"


@quota.callback()
def look(context: typer.Context, output: LookOutput = Output.text) -> None:
    if context.invoked_subcommand is not None:
        return
    now = time.time()
    found = standing_object(standing(settings(announce=False), now), now)
    if output is not Output.text:
        data(json.dumps(found))
        return
    for line in standing_lines(found):
        data(line)


@quota.command("report")
def report(
    month: Annotated[str, typer.Option("--month", help="As in 2026-11. Default: this month.")] = "",
    by: Annotated[
        str,
        typer.Option(
            "--by",
            help="What to add up by: data_type, label, reason, day or account.",
            autocompletion=lambda: ["data_type", "label", "reason", "day", "account"],
        ),
    ] = "data_type",
    price: Annotated[float | None, typer.Option("--price", min=0, help="What one call costs, for the costs.")] = None,
    output: Annotated[ReportOutput, typer.Option("--output", help="What stdout gets.")] = ReportOutput.text,
) -> None:
    """Where the calls of a month went: calls, shares and, with a price, costs.

    Retries and calls that failed count, each under its reason. Of this month, calls that the vendor has counted for
    the account and nobody here has sent are a row of their own, as far as the vendor's figure is known.
    """
    from core.stores.opening import reading  # noqa: PLC0415
    from core.usage import GROUPINGS, month_of, not_ours, parse_month, parts  # noqa: PLC0415
    from core.windows import iso  # noqa: PLC0415

    [grouping] = known("by", (same_name(by),), GROUPINGS)
    now = time.time()
    span = parse_month(month) if month else month_of(now)
    loaded = settings(announce=False)
    with reading(loaded.database) as reader:
        counted = reader.usage(span)
    found = [*parts(counted, grouping)]
    vendors = _vendors_month(loaded, now) if span == month_of(now) else None
    others = None if vendors is None else not_ours(counted, *vendors)
    rows = [_row(grouping, name, calls, price) for name, calls in found]
    rows += [_row(grouping, NOT_OURS, others, price)] if others else []
    total = sum(row["calls"] for row in rows)
    for row in rows:
        row["share"] = round(row["calls"] / total, 4) if total else 0.0
    _print_report({"month": iso(span.start)[:7], "by": grouping, "calls": total, "price": price, "rows": rows}, output)


def _row(grouping: str, name: str, calls: int, price: float | None) -> dict[str, Any]:
    cost = None if price is None else round(calls * price, 6)
    return {grouping: name, "calls": calls, "share": 0.0, "cost": cost}


def _print_report(found: dict[str, Any], output: ReportOutput) -> None:
    if output is ReportOutput.json:
        data(json.dumps(found))
    elif output is ReportOutput.csv:
        _print_csv(found)
    elif not found["rows"]:
        data(f"no calls are recorded for {found['month']}")
    else:
        total = {found["by"]: "all", "calls": found["calls"], "share": 1.0, "cost": _total_cost(found)}
        print_table([_for_people(row, found["by"]) for row in (*found["rows"], total)])


def _total_cost(found: dict[str, Any]) -> float | None:
    return None if found["price"] is None else round(found["calls"] * found["price"], 6)


def _for_people(row: dict[str, Any], by: str) -> dict[str, Any]:
    from core.text import clean  # noqa: PLC0415

    shown = {by: clean(row[by]) or None, "calls": row["calls"], "share": f"{row['share']:.1%}"}
    return shown if row["cost"] is None else {**shown, "cost": f"{row['cost']:,.4f}"}


def _print_csv(found: dict[str, Any]) -> None:
    names = (found["by"], "calls", "share", "cost")
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(names)
    writer.writerows([_unevaluated(row[name]) for name in names] for row in found["rows"])
    data(text.getvalue().rstrip("\r\n"))


def _unevaluated(value: Any) -> Any:
    """A cell that no spreadsheet takes for a formula: labels are anybody's."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


def _vendors_month(loaded: "Loaded", now: float) -> tuple[str, int] | None:
    """The account, and how many calls of this month the vendor has counted for it; None while that is not known."""
    found = standing(loaded, now)
    month = next((window for window in found.windows if window.name == "month" and window.resets_at > now), None)
    return None if month is None else (found.account, month.limit - month.remaining)


def standing(loaded: "Loaded", now: float) -> Standing:
    """As the running engine knows it, else what the database has. Raises StoreError when there is none."""
    from core.events import QuotaWindow  # noqa: PLC0415
    from core.stores.opening import reading  # noqa: PLC0415
    from core.usage import outlook, since  # noqa: PLC0415

    sample = _sample(loaded)
    if sample is not None and sample.month is not None:
        source = "engine" if sample.windows else ""
        return Standing(sample.account, source, _rolled(sample.windows, now), sample.month)
    account = loaded.account
    with reading(loaded.database) as reader:
        days, limits = reader.calls_by_day(account, since(now)), reader.limits(account) or _elsewhere(loaded)
    windows = [QuotaWindow(each.name, each.limit, max(0, each.remaining), now + each.resets_at) for each in limits]
    month = outlook(days, now, loaded.settings.quota.month_budget, windows)
    return Standing(account, "account" if windows else "", windows, month)


def _elsewhere(loaded: "Loaded") -> "Sequence[Limit]":
    """What the file or the Redis knows that engines of the account share."""
    import asyncio  # noqa: PLC0415

    from core.app import known_limits  # noqa: PLC0415

    return asyncio.run(known_limits(loaded))


def _sample(loaded: "Loaded") -> "QuotaSample | None":
    from core.cli.engines import holder, snapshot  # noqa: PLC0415
    from core.events import QuotaSample  # noqa: PLC0415

    found = holder(loaded)
    events = snapshot(found) if found is not None else ()
    return next((event for event in events if isinstance(event, QuotaSample)), None)


def _rolled(windows: "Sequence[QuotaWindow]", now: float) -> "list[QuotaWindow]":
    """Those that have ended since are full again, as far as anybody knows."""
    from core.events import QuotaWindow  # noqa: PLC0415

    return [w if w.resets_at > now else QuotaWindow(w.name, w.limit, w.limit, now) for w in windows]


def standing_object(found: Standing, now: float) -> dict[str, Any]:
    """The object of `quota --output json`; the times in it are in ISO."""
    from core.windows import iso  # noqa: PLC0415

    month = found.month
    return {
        "account": found.account,
        "known_from": found.source,
        "windows": [_window(window, now) for window in found.windows],
        "month": {
            "month": iso(now)[:7],
            "calls": month.calls,
            "forecast": month.forecast,
            "budget": month.budget,
            "budget_used_up_at": None if month.budget_at is None else iso(month.budget_at),
            "limit_used_up_at": None if month.limit_at is None else iso(month.limit_at),
        },
    }


def _window(window: "QuotaWindow", now: float) -> dict[str, Any]:
    from core.windows import iso  # noqa: PLC0415

    return {
        "window": window.name,
        "used": window.limit - window.remaining,
        "left": window.remaining,
        "limit": window.limit,
        "resets_in": max(0, round(window.resets_at - now)),
        "resets_at": iso(window.resets_at),
    }


def standing_lines(found: dict[str, Any]) -> list[str]:
    """That object for people: a line a window, then the month in words."""
    lines = [
        f"{row['window']:8} {row['used']:>12,} used {row['left']:>12,} left of {row['limit']:>12,}, "
        f"resets in {span_words(row['resets_in'])}"
        for row in found["windows"]
    ]
    return [*(lines or [NOT_KNOWN]), *_month_lines(found["month"]), f"account: {found['account']}"]


def _month_lines(month: dict[str, Any]) -> list[str]:
    from core.text import counted  # noqa: PLC0415

    lines = [f"{month['month']}: {counted(month['calls'], 'call')} of ours, about {month['forecast']:,} by its end"]
    if month["limit_used_up_at"] is not None:
        lines.append(f"the vendor's month will be used up about {month['limit_used_up_at']}")
    if month["budget"] is not None:
        left, at = max(0, month["budget"] - month["calls"]), month["budget_used_up_at"]
        until = "" if at is None else f"; used up about {at}" if left else "; it is used up"
        lines.append(f"quota.month_budget: {left:,} of {counted(month['budget'], 'call')} left{until}")
    return lines


def span_words(seconds: int) -> str:
    """`17 s`, `12 min`, `5 h`, `3 d`: about how long."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
