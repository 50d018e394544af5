"""`python -m core.sandbox`: the same as `tapewatch sandbox`."""

import typer

from core.cli.sandbox import sandbox

typer.run(sandbox)
