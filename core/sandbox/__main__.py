"""`python -m core.sandbox`: the same as `tapewatch sandbox`."""

import typer

from core.cli.sandbox import EPILOG, sandbox

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
app.command(epilog=EPILOG)(sandbox)
app()
