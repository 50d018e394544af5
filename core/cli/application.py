"""The Typer application: commands in panels, errors in one sentence, exit codes as promised."""

import sys
from typing import Annotated

import typer
from click.exceptions import Abort, ClickException, Exit

from core.cli import dash, ingest, look
from core.cli.arguments import same_name, split_globals
from core.cli.context import remember, words
from core.cli.sandbox import EPILOG as SANDBOX_EPILOG
from core.cli.sandbox import sandbox

DATA_TYPES = {
    "spot_ohlcv": "Spot candles of the top pairs, or of the pairs named.",
    "futures_ohlcv": "Futures candles of the top perpetuals, or of the contracts named.",
    "indices_ohlcv": "Index candles (cadli) of the top assets.",
}
INGEST, LOOK, OPERATE, TRY = "Ingest", "Look", "Operate", "Try"

app = typer.Typer(
    name="tapewatch",
    no_args_is_help=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"token_normalize_func": same_name, "help_option_names": ["--help", "-h"]},
    epilog="Try it without a key: tapewatch demo",
)


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    db: Annotated[
        str | None, typer.Option("--db", help="Store: sqlite:///relative.db or sqlite:////absolute.db.")
    ] = None,
    cache: Annotated[str | None, typer.Option("--cache", help="Cache of listings: memory://.")] = None,
    base_url: Annotated[str | None, typer.Option("--base_url", help="The vendor's API, or a sandbox.")] = None,
    state: Annotated[str | None, typer.Option("--state", help="Directory for state.")] = None,
    config_file: Annotated[str | None, typer.Option("--config_file", help="Settings (TOML).")] = None,
    lock_wait: Annotated[float | None, typer.Option("--lock_wait", help="Seconds to wait for a busy store.")] = None,
    max_wait: Annotated[float | None, typer.Option("--max_wait", help="Seconds to wait for a limit.")] = None,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Ingest crypto market data into SQLite, keep it complete, and watch it happen.

    Without a command: the dashboard. Global options are accepted before and after any command.
    """
    if context.invoked_subcommand is None:
        dash.dash()


for _name, _help in DATA_TYPES.items():
    app.command(
        _name,
        help=_help,
        rich_help_panel=INGEST,
        epilog=ingest.EPILOG.format(name=_name, more=ingest.MORE[_name]),
    )(ingest.make_command(_name))
app.command("batch", rich_help_panel=INGEST)(ingest.batch)
app.command("status", rich_help_panel=LOOK)(look.status)
app.add_typer(look.jobs, name="jobs", rich_help_panel=LOOK)
app.add_typer(look.series, name="series", rich_help_panel=LOOK)
app.add_typer(look.config, name="config", rich_help_panel=OPERATE)
app.command("dash", rich_help_panel=OPERATE)(dash.dash)
app.command("engine", hidden=True)(dash.engine)
app.command("demo", rich_help_panel=TRY)(dash.demo)
app.command("sandbox", rich_help_panel=TRY, epilog=SANDBOX_EPILOG)(sandbox)


def run(arguments: list[str]) -> int:
    """Run one command line; the exit code."""
    from core.errors import TapewatchError  # noqa: PLC0415

    flags, rest = split_globals(arguments)
    remember(flags)
    try:
        result = app(rest, prog_name="tapewatch", standalone_mode=False)
    except Exit as end:
        return end.exit_code
    except Abort:
        return 130
    except ClickException as error:
        error.show()
        return 2
    except TapewatchError as error:
        words(f"error: {error}")
        return error.exit_code
    except BrokenPipeError:
        # The reader of our stdout went away; point it at nothing so that the exit flush is silent.
        sys.stdout = open("/dev/null", "w")  # noqa: SIM115
        return 0
    except KeyboardInterrupt:
        return 130
    return result if isinstance(result, int) else 0
