"""The data types as commands, and `batch` and `plan`."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from core.cli import options as o
from core.cli.context import settings

EPILOG = """Examples:

  tapewatch {name} --interval 1d

  tapewatch {name} --interval 1m --start 2025-03-01 --end 2025-03-02 --dry_run

  tapewatch {name} {more} --output json
"""
MORE = {
    "spot_ohlcv": "--market kraken --instrument BTC-USD",
    "futures_ohlcv": "--market binance --instrument BTC-USDT-VANILLA-PERPETUAL",
    "indices_ohlcv": "--asset_limit 20 --market cadli",
}


def make_command(name: str) -> Callable[..., None]:
    """The command that ingests data type `name`."""

    def command(
        interval: o.Interval = "1d",
        pair_limit: o.PairLimit = None,
        market: o.Market = None,
        instrument: o.Instrument = None,
        start: o.Start = None,
        end: o.End = None,
        contract: o.Contract = None,
        groups: o.Groups = None,
        include_inactive: o.IncludeInactive = False,
        full_refresh: o.FullRefresh = False,
        yes: o.Yes = False,
        recheck: o.Recheck = 3,
        order: o.Order = "newest",
        max_requests: o.MaxRequests = None,
        parallel_workers: o.Workers = 16,
        dry_run: o.DryRun = False,
        enable_monitoring: o.Monitoring = False,
        enable_caching: o.Caching = True,
        label: o.Label = "",
        detach: o.Detach = False,
        output: o.OutputOption = o.Output.text,
    ) -> None:
        given = dict(locals())
        for word in ("name", "dry_run", "detach", "output", "enable_monitoring"):
            del given[word]
        _run([{"data_type": name, **given}], output, dry_run=dry_run, detach=detach)

    command.__name__ = name
    return command


def batch(
    file: Annotated[Path | None, typer.Argument(help="Batch file (JSON).")] = None,
    config: Annotated[Path | None, typer.Option("--config", help="The same, as an option.")] = None,
    continue_on_error: Annotated[
        bool, typer.Option("--continue_on_error", help="Go on with the next operation when one fails.")
    ] = False,
    dry_run: o.DryRun = False,
    enable_monitoring: o.Monitoring = False,
    detach: o.Detach = False,
    output: o.OutputOption = o.Output.text,
) -> None:
    """Run the operations of a JSON file, one after another."""
    from core.errors import ConfigError  # noqa: PLC0415

    path = file or config
    if path is None:
        raise ConfigError("name a batch file: tapewatch batch batch_config.json")
    _run(path, output, dry_run=dry_run, detach=detach, continue_on_error=continue_on_error)


def _run(source: "list[dict[str, Any]] | Path", output: o.Output, *, dry_run: bool, **how: Any) -> None:
    import asyncio  # noqa: PLC0415 - everything below is loaded by commands that run, not by --help

    from core.cli.execute import plan_operations, run_operations  # noqa: PLC0415
    from core.operations import make_operation, read_batch  # noqa: PLC0415

    is_batch = isinstance(source, Path)
    operations = read_batch(source) if isinstance(source, Path) else [make_operation(entry) for entry in source]
    loaded = settings()
    if dry_run:
        code = asyncio.run(plan_operations(loaded, operations, output))
    else:
        code = asyncio.run(run_operations(loaded, operations, output, is_batch=is_batch, **how))
    if code:
        raise typer.Exit(code)
