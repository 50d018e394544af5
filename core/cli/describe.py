"""`describe`: what the tables hold, column by column. Needs no store: it reads the schema that one would get."""

from typing import Annotated

import typer

from core.cli.arguments import same_name
from core.cli.options import LookOutput, Output
from core.cli.stored import show

NAMES = ("column", "type", "unit", "group", "meaning")


def describe(
    table: Annotated[str | None, typer.Argument(help="A table or view; without one, the list of them.")] = None,
    output: LookOutput = Output.text,
) -> None:
    """What each table holds; of one TABLE every column with its type, unit, field group and meaning."""
    rows = _tables() if table is None else _columns(same_name(table))
    show(rows, output, tuple(rows[0]), "")


def _tables() -> list[dict[str, str]]:
    from core.glossary import about  # noqa: PLC0415

    return [{"table": name, "meaning": about(name)} for name in sorted(_schema(), key=_in_order)]


def _in_order(table: str) -> tuple[bool, str]:
    """What users query first, then what the program keeps for itself."""
    from core.datasets import DATA_TYPES  # noqa: PLC0415

    return not table.startswith((*DATA_TYPES, "futures_", "index_")), table


def _columns(table: str) -> list[dict[str, str]]:
    from core.glossary import term  # noqa: PLC0415

    columns = _schema().get(table)
    if columns is None:
        raise _unknown(table)
    rows = [(name, kind, *term(table, name)) for name, kind in columns.items()]
    return [dict(zip(NAMES, row, strict=True)) for row in rows]


def _unknown(table: str) -> Exception:
    from difflib import get_close_matches  # noqa: PLC0415

    from core.errors import ConfigError  # noqa: PLC0415
    from core.text import clean  # noqa: PLC0415

    near = get_close_matches(table, _schema(), n=1)
    hint = f"do you mean {near[0]}?" if near else "see: tapewatch describe"
    return ConfigError(f"there is no table {clean(table)!r}; {hint}")


def _schema() -> dict[str, dict[str, str]]:
    """Columns and their types of every table and view of a new store."""
    from contextlib import closing  # noqa: PLC0415

    from core.stores.export_sql import schema_of  # noqa: PLC0415
    from core.stores.migrate import migrate  # noqa: PLC0415
    from core.stores.sqlite_connection import connect  # noqa: PLC0415

    with closing(connect(":memory:")) as db:
        migrate(db, 0)
        return schema_of(db)
