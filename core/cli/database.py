"""`db`: the database itself: what is in it, its schema, copies of it, and who may use it."""

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from core.cli.context import data, ending_cleanly, settings, words
from core.cli.options import LookOutput, Output
from core.cli.stored import print_table

if TYPE_CHECKING:
    from core.config import Loaded
    from core.stores.info import Info
    from core.stores.migrate import Step, Upgraded

SECONDS_BETWEEN_LINES = 5.0
MEGABYTE = 1_000_000

database = typer.Typer(help="The database itself: what it is, its schema, copies, roles.", no_args_is_help=True)


@database.command("info")
def info(output: LookOutput = Output.text) -> None:
    """What the store's database is: version, schema and migrations, sizes, origin, and which engines work on it.

    Nothing is changed; a role that may only read is enough. A newer or foreign database is described, too.
    """
    from dataclasses import asdict  # noqa: PLC0415

    from core.stores.info import read_info  # noqa: PLC0415

    found = read_info(settings(announce=False).database)
    if output is not Output.text:
        data(json.dumps(asdict(found)))
        return
    _print_info(found)


def _print_info(found: "Info") -> None:
    for name, value in _plain(found).items():
        if value:
            data(f"{name:14} {value}")
    for title, rows in _parts(found).items():
        data(f"{title}:" if rows else f"{title}: none")
        if rows:
            print_table(rows)
    for note in found.notes:
        words(f"note: {note}")


def _plain(found: "Info") -> dict[str, str | None]:
    version = "" if found.schema_version is None else f", version {found.schema_version}"
    return {
        "database": found.database,
        "kind": f"{found.kind} {found.version}",
        "schema": found.schema,
        "state": f"{found.state}{version} (this program needs {found.needs}): {found.says}",
        "size": _size(found.bytes),
        "origin": found.origin,
        "journal mode": found.journal_mode,
    }


def _parts(found: "Info") -> dict[str, list[dict[str, Any]]]:
    migrations = [{**row, "sha256": row["sha256"][:12]} for row in found.migrations]
    tables = [
        {"table": each.table, "rows": each.rows, "rows are": each.rows_are, "bytes": each.bytes}
        for each in found.tables
    ]
    return {"migrations": migrations, "tables": tables, "engines": found.engines, "leases": found.leases}


def _size(count: int) -> str:
    return f"{count / MEGABYTE:,.1f} MB"


@database.command("migrate")
def migrate(
    dry_run: Annotated[
        bool, typer.Option("--dry_run", help="Print the statements and the locks that each takes; change nothing.")
    ] = False,
    output: LookOutput = Output.text,
) -> None:
    """Make the store's tables, or bring them to this program's version: all of it or nothing.

    Engines have to be stopped first. An SQLite file with rows is copied beside itself before. PostgreSQL is
    migrated by this command alone, and gives up after 5 s when other sessions are in the way; --dry_run finds the
    locks out on empty temporary tables.
    """
    loaded = settings()
    if dry_run:
        _rehearse(loaded.database, output)
        return
    with ending_cleanly():
        done = _migrate(loaded)
    version = done.applied[-1].version if done.applied else done.before
    names = [migration.name for migration in done.applied]
    copy = None if done.copy is None else str(done.copy)
    if output is not Output.text:
        data(json.dumps({"before": done.before, "after": version, "applied": names, "copy": copy}))
    for name in names:
        words(f"applied {name}")
    if copy:
        words(f"what it was like before is in {copy}")
    words(f"the schema has version {version}" + ("" if names else " already"))


def _migrate(loaded: "Loaded") -> "Upgraded":
    from core.app import holding  # noqa: PLC0415
    from core.stores.upgrade import upgrade  # noqa: PLC0415

    with holding(loaded, loaded.settings.engine.lock_wait, words):
        return upgrade(loaded.database, int(time.time()), words)


def _rehearse(url: str, output: Output) -> None:
    from core.stores.upgrade import rehearse  # noqa: PLC0415

    steps = rehearse(url)
    if output is not Output.text:
        names = ("level", "table")
        rows = [
            {**step._asdict(), "locks": [dict(zip(names, lock, strict=True)) for lock in step.locks]} for step in steps
        ]
        data(json.dumps({"dry_run": True, "statements": rows}))
        return
    for step in steps:
        data(f"-- {step.migration}; locks: {_locks(step)}\n{step.statement.strip()}\n")
    words(f"{len(steps):,} statements, nothing was changed" if steps else "nothing to do")


def _locks(step: "Step") -> str:
    return ", ".join(f"{level} on {table}" for level, table in step.locks) or "none on what is there"


@database.command("backup")
def backup(
    file: Annotated[Path, typer.Argument(help="Where to.", dir_okay=False, show_default=False)],
    force: Annotated[bool, typer.Option("--force", help="Replace FILE if it is there.")] = False,
    output: LookOutput = Output.text,
) -> None:
    """Write a backup to FILE: all of it, of one moment, while engines go on; or no file at all.

    Of SQLite it is a database like the store, checked. Of PostgreSQL it is an archive for pg_restore, which pg_dump
    makes; that program has to be on PATH. `db copy` goes without it.
    """
    from core.stores.backup import back_up  # noqa: PLC0415
    from core.stores.opening import is_postgres  # noqa: PLC0415

    url = settings(announce=False).database
    with ending_cleanly():
        back_up(url, file, force=force, progress=_Progress())
    size = file.stat().st_size
    if output is not Output.text:
        data(json.dumps({"file": str(file), "bytes": size}))
    made_by = "by pg_dump; pg_restore reads it" if is_postgres(url) else "a database like the store, checked"
    words(f"backed up to {file} ({_size(size)}, {made_by})")


class _Progress:
    """A line on stderr every few seconds: it is read by people and by logs."""

    def __init__(self) -> None:
        self._said_at = time.monotonic()

    def __call__(self, done: int, whole: int) -> None:
        if time.monotonic() - self._said_at >= SECONDS_BETWEEN_LINES:
            self._said_at = time.monotonic()
            words(f"{100 * done // whole} %" if whole else _size(done))


@database.command("roles")
def roles(
    reader: Annotated[str | None, typer.Option("--reader", help="Default: the schema's name and _reader.")] = None,
    writer: Annotated[str | None, typer.Option("--writer", help="Default: the schema's name and _writer.")] = None,
) -> None:
    """Print the SQL of two roles for a PostgreSQL store: one that looks, one that also ingests.

    Neither may change the schema. Running it again does no harm.
    """
    from core.errors import ConfigError  # noqa: PLC0415
    from core.stores.opening import is_postgres  # noqa: PLC0415

    url = settings(announce=False).database
    if not is_postgres(url):
        raise ConfigError(
            "an SQLite file has no roles; the modes of files do it: who may write to its directory (SQLite makes files "
            "there) and read the file may look, who may also write to the file may ingest. For a group: chmod 2770 "
            "DIRECTORY, chmod 640 FILE to look, 660 to ingest"
        )
    from core.stores.postgres_address import Address  # noqa: PLC0415
    from core.stores.roles import roles_sql  # noqa: PLC0415

    schema = Address.parse(url).schema
    data(roles_sql(schema, reader or f"{schema}_reader", writer or f"{schema}_writer").rstrip())
