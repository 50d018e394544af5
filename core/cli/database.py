"""`db`: the database itself: what is in it, its schema, copies of it, and who may use it."""

import typer

database = typer.Typer(help="The database itself: what it is, its schema, copies, roles.", no_args_is_help=True)
