"""`serve`: the engine as a daemon, with schedules, metrics over HTTP and a log."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from core.cli.context import settings

if TYPE_CHECKING:
    from core.config import Loaded

EPILOG = """Examples:

  tapewatch serve

  tapewatch serve --schedules sample_configs/schedules.toml --log_format json

  tapewatch plan --schedules sample_configs/schedules.toml
"""


class LogFormat(StrEnum):
    """Form of a log's lines."""

    text = "text"
    json = "json"


def serve(
    schedules: Annotated[
        Path | None, typer.Option("--schedules", metavar="FILE.toml", help="What runs when, in UTC.")
    ] = None,
    listen: Annotated[
        str, typer.Option("--listen", metavar="HOST:PORT", help="Where /metrics, /healthz and /readyz are.")
    ] = "",
    log_format: Annotated[LogFormat | None, typer.Option("--log_format", help="text or json.")] = None,
    log_file: Annotated[
        Path | None, typer.Option("--log_file", help="Instead of stderr; opened anew after SIGHUP.")
    ] = None,
) -> None:
    """Run the engine until SIGTERM: take jobs of other commands, run schedules, serve metrics and health.

    SIGHUP reads schedules, alert rules and channels again, and opens the log file anew; a fault anywhere changes
    nothing, and what takes a restart is named. Several may run on one PostgreSQL: each scheduled run is one engine's.
    """
    import asyncio  # noqa: PLC0415

    from core.cli.daemon import run_daemon, with_flags  # noqa: PLC0415

    given = {
        "schedules": str(schedules.absolute()) if schedules else "",
        "log_format": log_format.value if log_format else "",
        "log_file": str(log_file) if log_file else "",
    }

    def load(*, announce: bool = False) -> "Loaded":
        return with_flags(settings(announce=announce), given, listen)

    code = asyncio.run(run_daemon(load(announce=True), load))
    if code:
        raise typer.Exit(code)
