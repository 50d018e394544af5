"""The Typer application: commands in panels, errors in one sentence, exit codes as promised."""

import errno
import re
import sys
import traceback
from inspect import cleandoc
from typing import Annotated, Any

import typer
import typer.core
import typer.main
from click.exceptions import ClickException

from core.cli import dash, examples, ingest, look, transfer
from core.cli.alerts import alerts
from core.cli.arguments import same_name, split_globals
from core.cli.cache import cache
from core.cli.changes import changes
from core.cli.context import leave, remember, words
from core.cli.database import database
from core.cli.describe import describe
from core.cli.export import EPILOG as EXPORT_EPILOG
from core.cli.export import export
from core.cli.gaps import gaps
from core.cli.options import LookOutput, Output
from core.cli.quarantine import quarantine
from core.cli.quota import quota
from core.cli.restatements import restatements
from core.cli.sandbox import EPILOG as SANDBOX_EPILOG
from core.cli.sandbox import sandbox
from core.cli.series import series
from core.cli.serve import EPILOG as SERVE_EPILOG
from core.cli.serve import serve
from core.cli.status import status
from core.cli.universe import universe
from core.cli.verify import EPILOG as VERIFY_EPILOG
from core.cli.verify import verify
from core.cli.why import EPILOG as WHY_EPILOG
from core.cli.why import why
from core.text import clean

INGEST, LOOK, REPAIR, OPERATE, TRY = "Ingest", "Look", "Repair", "Operate", "Try"

PLANNED = (*ingest.WORDS, "batch", "gaps", "verify")
FULL_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}


class Argument(typer.core.TyperArgument):
    """Typer 0.20 gives an argument its help before Click 8.5 takes it away again; here it has the last word."""

    def __init__(self, *, help: str | None = None, **attributes: Any) -> None:  # noqa: A002 - Typer's name
        super().__init__(help=help, **attributes)
        self.help = help


typer.main.TyperArgument = Argument  # type: ignore[attr-defined]

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
    cache: Annotated[
        str | None, typer.Option("--cache", help="Cache of listings: memory://, disk:///path, redis://.")
    ] = None,
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


for _name, _words in ingest.WORDS.items():
    app.command(_name, help=_words.summary, rich_help_panel=INGEST, epilog=ingest.epilog(_name))(
        ingest.make_command(_name)
    )
app.command("batch", rich_help_panel=INGEST, epilog=ingest.BATCH_EPILOG)(ingest.batch)
app.command("status", rich_help_panel=LOOK)(status)
app.command("why", rich_help_panel=LOOK, epilog=WHY_EPILOG)(why)
app.add_typer(alerts, name="alerts", rich_help_panel=LOOK)
app.add_typer(look.jobs, name="jobs", rich_help_panel=LOOK)
app.add_typer(series, name="series", rich_help_panel=LOOK)
app.command("export", rich_help_panel=LOOK, epilog=EXPORT_EPILOG)(export)
app.command("describe", rich_help_panel=LOOK)(describe)
app.command("restatements", rich_help_panel=LOOK)(restatements)
app.command("changes", rich_help_panel=LOOK)(changes)
app.add_typer(universe, name="universe", rich_help_panel=OPERATE)
app.add_typer(gaps, name="gaps", rich_help_panel=REPAIR)
app.command("verify", rich_help_panel=REPAIR, epilog=VERIFY_EPILOG)(verify)
app.add_typer(quarantine, name="quarantine", rich_help_panel=REPAIR)
app.add_typer(cache, name="cache", rich_help_panel=OPERATE)
app.add_typer(quota, name="quota", rich_help_panel=OPERATE, epilog=examples.epilog("quota"))
app.add_typer(look.config, name="config", rich_help_panel=OPERATE)
database.command("diff")(transfer.diff)
database.command("copy")(transfer.copy)
app.add_typer(database, name="db", rich_help_panel=OPERATE)
app.command("serve", rich_help_panel=OPERATE, epilog=SERVE_EPILOG)(serve)
app.command("dash", rich_help_panel=OPERATE)(dash.dash)
app.command("engine", hidden=True)(dash.engine)
app.command("demo", rich_help_panel=TRY)(dash.demo)
app.command("sandbox", rich_help_panel=TRY, epilog=SANDBOX_EPILOG)(sandbox)


@app.command(
    "plan", rich_help_panel=INGEST, context_settings={"ignore_unknown_options": True, "allow_extra_args": True}
)
def plan(
    context: typer.Context,
    command: Annotated[
        str,
        typer.Argument(
            help="A command that asks the vendor; with --schedules a file of them.",
            autocompletion=lambda: list(PLANNED),
            metavar="COMMAND",
        ),
    ] = "",
    schedules: Annotated[
        bool,
        typer.Option("--schedules", help="What those of a file, or of the settings, cost for as long as they run."),
    ] = False,
    output: LookOutput = Output.text,
) -> None:
    """Print what COMMAND with its options would ask for and cost: the same as its --dry_run.

    With --schedules: calls an hour, a day and a month of each and of all, and when they run next. What cannot keep up
    with the vendor's limits or the month's budget is named, and refused with exit code 2.
    """
    from core.errors import ConfigError  # noqa: PLC0415

    if schedules:
        from core.cli.prices import show_prices  # noqa: PLC0415

        show_prices(command, output)
        return
    if same_name(command) not in PLANNED:
        raise ConfigError(f"plan {clean(command)}: choose a command that asks the vendor: {', '.join(PLANNED)}")
    form = [] if output is Output.text else ["--output", output.value]
    app([command, *context.args, *form, "--dry_run"], prog_name="tapewatch", standalone_mode=False)


def _let_flow(group: typer.Typer, within: str = "") -> None:
    """Help of several lines is cut to the terminal's width, not where the source was; examples stand below it."""
    for command in group.registered_commands:
        name = command.name or (command.callback.__name__ if command.callback else "")
        command.epilog = command.epilog or examples.epilog(f"{within}{name}")
        paragraphs = cleandoc(command.help or (command.callback and command.callback.__doc__) or "").split("\n\n")
        command.help = "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
    for part in group.registered_groups:
        if part.typer_instance is not None:
            _let_flow(part.typer_instance, f"{within}{part.name} ")


_let_flow(app)


def run(arguments: list[str]) -> int:
    """Run one command line; the exit code."""
    from core.errors import TapewatchError  # noqa: PLC0415

    flags, rest = split_globals(arguments)
    remember(flags)
    code = 0
    try:
        result = app(rest, prog_name="tapewatch", standalone_mode=False)
        code = result if isinstance(result, int) else 0
    except typer.Exit as end:
        code = end.exit_code
    except (typer.Abort, KeyboardInterrupt):
        code = 130
    except ClickException as error:
        words(f"error: {_once(error.format_message())}\n{_help_hint(rest)}")
        code = 2
    except TapewatchError as error:
        words(f"error: {error}")
        code = error.exit_code
    except BrokenPipeError:
        # The reader of our stdout went away; point it at nothing so that the exit flush is silent.
        sys.stdout = open("/dev/null", "w")  # noqa: SIM115
    except Exception as defect:
        words(f"error: {_of_output(defect) or f'a defect of tapewatch, please report it: {_where(defect)}'}")
        code = 3
    return code


def _once(message: str) -> str:
    """Click and Typer both suggest the nearest name."""
    return re.sub(r"( Did you mean [^?]*\?)\1+", r"\1", message)


def _of_output(defect: BaseException) -> str:
    """In words, when stdout takes no more; files and databases say so themselves."""
    if isinstance(defect, OSError) and defect.errno in FULL_DISK:
        leave(sys.stdout)
        return f"stdout cannot be written: {defect.strerror}"
    return ""


def _where(defect: BaseException) -> str:
    """What broke and where, in one line: a traceback is of no use to users and may show secrets."""
    frame = traceback.extract_tb(defect.__traceback__)[-1]
    return f"{type(defect).__name__}: {clean(str(defect))} ({frame.filename}:{frame.lineno})"


def _help_hint(rest: list[str]) -> str:
    known = {same_name(word) for word in rest} & set(ingest.WORDS) or {""}
    return f"See: tapewatch {known.pop()} --help".replace("  ", " ")
