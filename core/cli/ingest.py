"""The data types as commands, and `batch`."""

from collections.abc import Callable
from inspect import Parameter, Signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from core.cli import options as o
from core.cli.context import settings
from core.options import OPTIONS

if TYPE_CHECKING:
    from core.batch import Batch


class Words(NamedTuple):
    """What `--help` says of a data type: one line, and what its examples are called with."""

    summary: str
    examples: tuple[str, ...]


PERPETUAL = "--market binance --instrument BTC-USDT-VANILLA-PERPETUAL"
WORDS = {
    "spot_ohlcv": Words(
        "Spot candles of the top pairs, or of the pairs named.",
        (
            "--pair_limit 50 --interval 1d",
            "--interval 1m --start 2025-03-01 --end 2025-03-02 --dry_run",
            "--market kraken --instrument BTC-USD --output json",
            "--series @pairs.txt --interval 1h",
        ),
    ),
    "futures_ohlcv": Words(
        "Futures candles of the top perpetuals, or of the contracts named.",
        (
            "--interval 1d",
            f"{PERPETUAL} --interval 1h --start 2025-01-01",
            "--contract expiring --include_inactive --dry_run",
        ),
    ),
    "futures_funding_rate": Words(
        "Funding rates of the top perpetuals, or of the contracts named.",
        ("--interval 1h --pair_limit 20", f"{PERPETUAL} --interval 1m --start 2025-03-01 --dry_run"),
    ),
    "futures_open_interest": Words(
        "Open interest of the top perpetuals, or of the contracts named.",
        ("--interval 1h --pair_limit 20", f"{PERPETUAL} --interval 1d --start listing --output json"),
    ),
    "indices_ohlcv": Words(
        "Index candles (cadli) of the top assets.",
        ("--asset_limit 100 --market cadli", "--interval 1h --instrument BTC-USD,ETH-USD --dry_run"),
    ),
    "asset_metadata": Words(
        "What the top assets are, with every change dated.",
        ("--asset_limit 200", "--full_refresh --output json"),
    ),
    "exchange_metadata": Words(
        "What the exchanges are, their benchmark grades among it, with every change dated.",
        ("--exchange_type spot", "--full_refresh --output json"),
    ),
    "spot_instruments": Words(
        "Spot pairs of the markets: since when, until when, under which names; every change dated.",
        ("--market kraken,coinbase", "--full_refresh --include_inactive --output json"),
    ),
    "futures_instruments": Words(
        "Futures contracts of the markets: terms, lifetimes, names; every change dated.",
        ("--market binance", "--full_refresh --include_inactive --output json"),
    ),
}
BATCH_EPILOG = """Examples:

  tapewatch batch batch_config.json

  tapewatch batch --config sample_configs/batch_daily.json --continue_on_error

  tapewatch batch nightly.toml --dry_run --output json
"""


def epilog(name: str) -> str:
    """The examples of command `name`."""
    return "\n\n".join(["Examples:", *(f"  tapewatch {name} {words}" for words in WORDS[name].examples)])


def make_command(name: str) -> Callable[..., None]:
    """The command that ingests data type `name`, with the options that it takes and no others."""
    own, own_names = ({}, {}) if "interval" in OPTIONS[name] else (o.METADATA_FLAGS, o.METADATA_NAMES)
    flags = {option: own.get(option) or o.FLAGS[option] for option in o.FLAGS if option in OPTIONS[name]}

    def command(
        dry_run: bool, detach: bool, metrics_file: Path | None, ping_url: str, output: o.Output, **given: Any
    ) -> None:
        from core.batch import Batch, with_series_files  # noqa: PLC0415
        from core.operations import make_operation  # noqa: PLC0415

        called = {own_names.get(option, option): value for option, value in given.items()}
        operation = make_operation(with_series_files({"data_type": name, **called}, Path()))
        how = How(output, dry_run, detach, metrics_file, ping_url)
        _run(Batch(operations=(operation,)), how)

    command.__name__ = name
    _declare(command, {**flags, **o.COMMAND_FLAGS})
    return command


def _declare(command: Callable[..., None], flags: dict[str, tuple[Any, Any]]) -> None:
    """Give `command` the signature that Typer reads the flags from."""
    parameters = [
        Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=kind)
        for name, (kind, default) in flags.items()
    ]
    command.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {name: kind for name, (kind, _) in flags.items()}


def batch(
    file: Annotated[Path | None, typer.Argument(help="Batch file (JSON or TOML).")] = None,
    config: Annotated[Path | None, typer.Option("--config", help="The same, as an option.")] = None,
    continue_on_error: Annotated[
        bool,
        typer.Option(
            "--continue_on_error",
            help="Let a failed operation stop only what depends on it.",
            rich_help_panel=o.RUNNING,
        ),
    ] = False,
    max_requests: o.MaxRequests = None,
    dry_run: o.DryRun = False,
    enable_monitoring: o.Monitoring = False,
    detach: o.Detach = False,
    metrics_file: o.MetricsFile = None,
    ping_url: o.PingUrl = "",
    output: o.OutputOption = o.Output.text,
) -> None:
    """Run the operations of a file: prerequisites first, the rest side by side, under one budget.

    The file is checked as a whole before anything starts. When an operation fails, those that run go on
    and those that have not started are cancelled; with --continue_on_error only those that need its
    metadata are.
    """
    from core.batch import read_batch  # noqa: PLC0415
    from core.errors import ConfigError  # noqa: PLC0415

    path = file or config
    if file and config:
        raise ConfigError(f"name one batch file, {file} or --config {config}")
    if path is None:
        raise ConfigError("name a batch file: tapewatch batch batch_config.json")
    given = read_batch(path).with_flags(
        continue_on_error=continue_on_error, max_requests=max_requests, enable_monitoring=enable_monitoring
    )
    _run(given, How(output, dry_run, detach, metrics_file, ping_url), is_batch=True)


class How(NamedTuple):
    """How a command runs, as it was told to."""

    output: o.Output
    is_dry: bool
    is_detached: bool
    metrics_file: Path | None
    ping_url: str


def _run(batch: "Batch", how: How, *, is_batch: bool = False) -> None:
    import asyncio  # noqa: PLC0415 - everything below is loaded by commands that run, not by --help

    from core.cli.execute import plan_operations, run_operations  # noqa: PLC0415
    from core.cli.monitoring import Watched  # noqa: PLC0415

    watched = Watched(how.metrics_file, how.ping_url)
    loaded = settings()
    if how.is_dry:
        code = asyncio.run(plan_operations(loaded, batch, how.output, is_batch=is_batch))
    else:
        running = run_operations(loaded, batch, how.output, watched, is_batch=is_batch, detach=how.is_detached)
        code = asyncio.run(running)
    if code:
        raise typer.Exit(code)
