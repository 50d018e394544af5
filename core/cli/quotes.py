"""What `--dry_run` prints: a quote for people and for scripts."""

import json
from collections.abc import Mapping
from typing import Any

from core.cli.context import data
from core.cli.options import Output
from core.cli.stored import print_table
from core.quotation import means, title_of, totals
from core.text import counted


def print_quote(quote: Mapping[str, Any], output: Output) -> None:
    if output is not Output.text:
        data(json.dumps(quote))
        return
    if quote["series"]:
        print_table([_row(part) for part in quote["series"]])
    for operation in quote.get("operations", ()):
        data(f"{title_of(operation)}: {totals(operation)}")
    data(f"{counted(len(quote['series']), 'series')}: {totals(quote)}")
    for line in means(quote):
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
