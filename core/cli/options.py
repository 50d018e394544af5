"""Options that several commands share, declared once."""

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from core.options import CHOICES

SELECTION = "What"
STORED = "What is stored already"
RUNNING = "How it runs"


class Output(StrEnum):
    """Form of what stdout gets."""

    text = "text"
    json = "json"
    jsonl = "jsonl"


def _completing(name: str) -> Callable[[], list[str]]:
    """What shells offer for the values of an option."""
    return lambda: list(CHOICES[name])


Interval = Annotated[
    str,
    typer.Option(
        "--interval",
        "--timeframe",
        "--granularity",
        help="Bar length: 1d, 1h or 1m.",
        autocompletion=_completing("interval"),
        rich_help_panel=SELECTION,
    ),
]
PairLimit = Annotated[
    int | None,
    typer.Option(
        "--pair_limit",
        "--asset_limit",
        help="At most N series, best ranked first. Default: 100 of spot, 50 of others.",
        rich_help_panel=SELECTION,
    ),
]
AssetLimit = Annotated[
    int | None,
    typer.Option("--asset_limit", help="The first N assets by volume. Default: 100.", rich_help_panel=SELECTION),
]
Market = Annotated[
    list[str] | None,
    typer.Option(
        "--market",
        "--exchange",
        "--exchanges",
        "--specific_market",
        help="Markets, repeated or comma separated.",
        rich_help_panel=SELECTION,
    ),
]
Instrument = Annotated[
    list[str] | None,
    typer.Option(
        "--instrument",
        "--instruments",
        "--symbol",
        "--specific_instrument",
        help="Instruments, by mapped or the exchange's own id, or by /REGEX/.",
        rich_help_panel=SELECTION,
    ),
]
Series = Annotated[
    list[str] | None,
    typer.Option(
        "--series",
        metavar="NAME|@FILE",
        help="Series by name (market/instrument), or @FILE with one a line.",
        rich_help_panel=SELECTION,
    ),
]
Universe = Annotated[
    str | None, typer.Option("--universe", help="The series of a stored universe.", rich_help_panel=SELECTION)
]
Contract = Annotated[
    str | None,
    typer.Option(
        "--contract",
        help="perpetual or expiring. Default: perpetual.",
        autocompletion=_completing("contract"),
        rich_help_panel=SELECTION,
    ),
]
MinGrade = Annotated[
    str | None,
    typer.Option(
        "--min_grade",
        help="Markets of at least this benchmark grade: AA, A, BB, B, C, D, E, F.",
        autocompletion=_completing("min_grade"),
        rich_help_panel=SELECTION,
    ),
]
ExchangeType = Annotated[
    str,
    typer.Option(
        "--exchange_type",
        help="Exchanges of which kind: spot, futures or all.",
        autocompletion=_completing("exchange_type"),
        rich_help_panel=SELECTION,
    ),
]
Start = Annotated[
    str | None,
    typer.Option(
        "--start",
        help="UTC date or time, or 'listing'. Default: listing for 1d, 365 days for 1h, 7 for 1m.",
        rich_help_panel=SELECTION,
    ),
]
End = Annotated[
    str | None,
    typer.Option("--end", help="UTC date or time, exclusive. Default: now.", rich_help_panel=SELECTION),
]
Groups = Annotated[
    str | None, typer.Option("--groups", help="Field groups to fetch, or ALL.", rich_help_panel=SELECTION)
]
IncludeInactive = Annotated[
    bool, typer.Option("--include_inactive", help="Also delisted and expired.", rich_help_panel=SELECTION)
]
FullRefresh = Annotated[
    bool,
    typer.Option(
        "--full_refresh", help="Ask again for what is stored; needs --start or --yes.", rich_help_panel=STORED
    ),
]
RefreshAll = Annotated[
    bool,
    typer.Option("--full_refresh", help="Ask for all of it, however fresh it is.", rich_help_panel=STORED),
]
Yes = Annotated[bool, typer.Option("--yes", help="Confirm what costs a lot.", rich_help_panel=STORED)]
Recheck = Annotated[int, typer.Option("--recheck", help="Closed bars that are read again.", rich_help_panel=STORED)]
Repair = Annotated[
    str | None,
    typer.Option(
        "--repair",
        help="Ask for nothing but gaps and failed windows: open, or all (confirmed and delisted ones too).",
        autocompletion=_completing("repair"),
        rich_help_panel=STORED,
    ),
]
Order = Annotated[
    str,
    typer.Option(
        "--order", help="newest or oldest first.", autocompletion=_completing("order"), rich_help_panel=RUNNING
    ),
]
MaxRequests = Annotated[
    int | None,
    typer.Option("--max_requests", help="Allow this many calls instead of the default share.", rich_help_panel=RUNNING),
]
Workers = Annotated[
    int, typer.Option("--parallel_workers", help="Requests of this job at once, at most.", rich_help_panel=RUNNING)
]
DryRun = Annotated[
    bool,
    typer.Option("--dry_run", help="Print the plan and its cost, fetch nothing.", rich_help_panel=RUNNING),
]
Monitoring = Annotated[
    bool,
    typer.Option(
        "--enable_monitoring",
        help="Serve /metrics meanwhile, print statistics of every operation at the end.",
        rich_help_panel=RUNNING,
    ),
]
Caching = Annotated[
    bool,
    typer.Option("--enable_caching/--disable_caching", help="Take listings from the cache.", rich_help_panel=RUNNING),
]
Label = Annotated[str, typer.Option("--label", help="A name for the run in the journal.", rich_help_panel=RUNNING)]
Detach = Annotated[
    bool,
    typer.Option("--detach", help="Hand over to the running engine and return.", rich_help_panel=RUNNING),
]
MetricsFile = Annotated[
    Path | None,
    typer.Option(
        "--metrics_file",
        metavar="FILE.prom",
        help="Keep metrics in a file for node_exporter's textfile collector.",
        rich_help_panel=RUNNING,
    ),
]
PingUrl = Annotated[
    str,
    typer.Option(
        "--ping_url",
        metavar="URL",
        help="Ask for URL when all went well, for URL/fail else, as dead man's switches take it.",
        rich_help_panel=RUNNING,
    ),
]
OutputOption = Annotated[Output, typer.Option("--output", help="What stdout gets.", rich_help_panel=RUNNING)]
LookOutput = Annotated[Output, typer.Option("--output", help="What stdout gets.")]

# Every option of an operation: how its flag is declared, and its default.
FLAGS: dict[str, tuple[Any, Any]] = {
    "interval": (Interval, "1d"),
    "pair_limit": (PairLimit, None),
    "market": (Market, None),
    "instrument": (Instrument, None),
    "series": (Series, None),
    "universe": (Universe, None),
    "contract": (Contract, None),
    "min_grade": (MinGrade, None),
    "exchange_type": (ExchangeType, "all"),
    "start": (Start, None),
    "end": (End, None),
    "groups": (Groups, None),
    "include_inactive": (IncludeInactive, False),
    "full_refresh": (FullRefresh, False),
    "yes": (Yes, False),
    "recheck": (Recheck, 3),
    "repair": (Repair, None),
    "order": (Order, "newest"),
    "max_requests": (MaxRequests, None),
    "parallel_workers": (Workers, 64),
    "enable_caching": (Caching, True),
    "enable_monitoring": (Monitoring, False),
    "label": (Label, ""),
}
# What a flag is for metadata, where it means something else.
METADATA_FLAGS: dict[str, tuple[Any, Any]] = {"pair_limit": (AssetLimit, None), "full_refresh": (RefreshAll, False)}
# What metadata calls an option that has another name there, for what is said of its value.
METADATA_NAMES = {"pair_limit": "asset_limit"}
# How a command runs, whatever it does.
COMMAND_FLAGS: dict[str, tuple[Any, Any]] = {
    "dry_run": (DryRun, False),
    "detach": (Detach, False),
    "metrics_file": (MetricsFile, None),
    "ping_url": (PingUrl, ""),
    "output": (OutputOption, Output.text),
}
