"""A quote in words, made of the object that `--dry_run` prints: what it costs, and what there is to spend."""

from collections.abc import Mapping
from typing import Any

from core.text import counted
from core.usage import MONTH_BUDGET


def title_of(operation: Mapping[str, Any]) -> str:
    return " ".join(filter(None, (operation["data_type"], operation["interval"], operation["label"])))


def totals(figures: Mapping[str, Any]) -> str:
    return (
        f"{counted(figures['requests'], 'request')} ({counted(figures['rows'], 'row')}, "
        f"about {_megabytes(figures['bytes'])} to transfer, {_megabytes(figures['bytes_on_disk'])} on disk, "
        f"{figures['minutes']:g} min), {counted(figures['metadata_requests'], 'metadata request')}"
    )


def means(quote: Mapping[str, Any]) -> list[str]:
    lines = [
        f"{window['window']}: {_percent(window['share'])} of the {window['remaining']:,} calls that are left"
        for window in quote["quota"]
    ]
    disk, budget = quote["disk"], quote["budget"]
    if disk["free_bytes"] is not None:
        more = "" if disk["is_enough"] else "; a run is refused, as it may take 80 %"
        lines.append(f"disk: {_percent(disk['share'])} of the {_megabytes(disk['free_bytes'])} that are free{more}")
    if quote["month"]["left"] is not None:
        refused = "" if quote["month"]["is_enough"] else ", and the run is refused; --max_requests does not change that"
        lines.append(f"month: {MONTH_BUDGET} leaves {counted(quote['month']['left'], 'call')}{refused}")
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
