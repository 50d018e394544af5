"""`verify`: is the stored history true? Against the vendor, or by itself."""

from typing import TYPE_CHECKING, Annotated

import typer

from core.cli.context import settings
from core.cli.options import DryRun, MaxRequests, Output, OutputOption
from core.cli.stored import DataTypes, Instruments, Intervals, Markets, in_store, keys, selected

if TYPE_CHECKING:
    from core.windows import Window

LATEST = 2**62
EPILOG = """Examples:

  tapewatch verify --offline

  tapewatch verify spot_ohlcv/kraken/BTC-USD/1m --start 2025-06-01 --end 2025-06-08

  tapewatch verify --reconcile --max_requests 20 --output json
"""
SPANS = "Which bars"
HOW = "Compared with what"


def verify(
    series: Annotated[list[str] | None, typer.Argument(help="Only these series, by full name.")] = None,
    data_type: DataTypes = None,
    market: Markets = None,
    instrument: Instruments = None,
    interval: Intervals = None,
    start: Annotated[
        str | None, typer.Option("--start", help="First bar, UTC date or time.", rich_help_panel=SPANS)
    ] = None,
    end: Annotated[
        str | None, typer.Option("--end", help="UTC date or time, exclusive.", rich_help_panel=SPANS)
    ] = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="The store alone: checks and intervals, no call.", rich_help_panel=HOW)
    ] = False,
    reconcile: Annotated[
        bool,
        typer.Option("--reconcile", help="Offline, then the pages with bars that contradict.", rich_help_panel=HOW),
    ] = False,
    max_requests: MaxRequests = None,
    dry_run: DryRun = False,
    output: OutputOption = Output.text,
) -> None:
    """Compare stored closed bars with the vendor's answers, or with one another, and write nothing.

    By default every stored page is asked for again, within the same budget as a run. --offline runs the
    quality checks and holds days against their hours and hours against their minutes; --reconcile then asks
    only for pages with hours (or days) that do not add up. Exit 0 when all is well, 1 when bars differ,
    contradict one another or look wrong, or when some could not be compared.
    """
    import asyncio  # noqa: PLC0415

    from core.cli.verification import Request, run  # noqa: PLC0415
    from core.errors import ConfigError  # noqa: PLC0415

    if offline and reconcile:
        raise ConfigError("--offline asks nothing of the vendor, --reconcile does: choose one of them")
    chosen, window = selected(data_type, market, instrument, interval, keys(series)), _window(start, end)
    loaded = settings()
    request = Request(
        in_store(chosen, loaded.database),
        window,
        is_offline=offline,
        reconciles=reconcile,
        max_requests=max_requests,
        is_dry=dry_run,
    )
    if code := asyncio.run(run(loaded, request, output)):
        raise typer.Exit(code)


def _window(start: str | None, end: str | None) -> "Window":
    """The bars that begin in `start`..`end`. Raises ConfigError for what is no time, or no span."""
    from core.errors import ConfigError  # noqa: PLC0415
    from core.windows import Window, parse_time  # noqa: PLC0415

    window = Window(parse_time(start) if start else -LATEST, parse_time(end) if end else LATEST)
    if window.start >= window.end:
        raise ConfigError(f"--start {start} is not before --end {end}")
    return window
