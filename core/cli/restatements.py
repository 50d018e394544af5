"""`restatements`: closed bars that the vendor changed after all."""

from typing import Annotated

import typer

from core.cli.context import settings
from core.cli.options import LookOutput, Output
from core.cli.stored import DataTypes, Instruments, Intervals, Markets, keys, selected, show, stored_keys

COLUMNS = ("seen_at", "series", "bar", "column", "old", "new", "run_id")


def restatements(
    since: Annotated[str, typer.Option("--since", help="A UTC date or time, or how long ago: 7d, 12h.")] = "7d",
    series: Annotated[list[str] | None, typer.Option("--series", help="Only these, by full or old name.")] = None,
    data_type: DataTypes = None,
    market: Markets = None,
    instrument: Instruments = None,
    interval: Intervals = None,
    output: LookOutput = Output.text,
) -> None:
    """When which column of which closed bar changed, from what to what, and the run that saw it."""
    import time  # noqa: PLC0415
    from dataclasses import replace  # noqa: PLC0415

    from core.stores.opening import reading  # noqa: PLC0415
    from core.windows import iso, parse_since  # noqa: PLC0415

    chosen, asked = selected(data_type, market, instrument, interval), keys(series)
    with reading(settings(announce=False).database) as reader:
        # Changes are stamped with the vendor's time.
        after = parse_since(since, reader.vendor_time(time.time()))
        found = reader.restated(replace(chosen, series=stored_keys(reader, asked)), after)
    rows = [
        {
            "seen_at": iso(change.seen_at),
            "series": str(change.key),
            "bar": iso(change.ts),
            "column": change.column,
            "old": change.old,
            "new": change.new,
            "run_id": change.run_id,
        }
        for change in found
    ]
    show(rows, output, COLUMNS, f"no closed bar has changed since {iso(after)}")
