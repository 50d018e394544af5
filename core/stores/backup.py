"""Backups: a copy of an SQLite file while an engine writes to it; of PostgreSQL what its own pg_dump makes."""

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from core.errors import ConfigError, StoreError
from core.stores import sqlite_path
from core.stores.copies import Progress, appearing, check_target, copy_file
from core.stores.database import Database
from core.stores.info import opened_file
from core.stores.opening import is_postgres, require_store
from core.text import clean

LOOK_SECONDS = 0.5
WITHOUT = "`tapewatch db copy` needs no such program"


def back_up(url: str, target: Path, *, force: bool, progress: Progress) -> None:
    """Write a backup of the store at `url` to `target`, all of it or nothing. `progress` hears pages, or bytes of 0.

    Raises ConfigError when that is not to be done, StoreError and OutputError when it cannot be.
    """
    check_target(target, force=force)
    if is_postgres(url):
        _dump(url, target, progress)
        return
    path = sqlite_path(url)
    if target.exists() and target.samefile(path):
        raise ConfigError(f"{target} is the store itself; choose another file")
    require_store(url)
    # One of another version is worth a backup, too.
    with opened_file(path) as db:
        _require_ours(db)
    copy_file(path, target, progress)


def _require_ours(db: Database) -> None:
    """Raises StoreError when there is nothing of ours in a database."""
    if "migration" not in db.relations():
        raise StoreError("there is no store in this database yet; `tapewatch db migrate` makes it")


class Destination(NamedTuple):
    """A database as libpq's programs take it: the URL without a password, and the password, which none may see."""

    url: str
    password: str | None

    @classmethod
    def of(cls, dsn: str) -> "Destination":
        parts = urlsplit(dsn)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        if "sslpassword" in query:
            raise ConfigError("others would see the sslpassword that pg_dump is given; name a service file instead")
        account, at, hosts = parts.netloc.rpartition("@")
        user, _, secret = account.partition(":")
        password = query.pop("password", unquote(secret)) or None
        # urlunsplit leaves out the slashes where there is no host; libpq insists on them.
        url = f"postgresql://{user}{at}{hosts}{parts.path}{'?' if query else ''}{urlencode(query)}"
        return cls(url, password)

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, **({"PGPASSWORD": self.password} if self.password else {})}


def _dump(url: str, target: Path, progress: Progress) -> None:
    from core.stores.postgres_address import Address  # noqa: PLC0415

    program, address = shutil.which("pg_dump"), Address.parse(url)
    if program is None:
        raise ConfigError(f"a backup of PostgreSQL is made by its program pg_dump, which is not on PATH; {WITHOUT}")
    _check_version(program, _server(url))
    place = Destination.of(address.dsn)
    with appearing(target) as hidden:
        arguments = ("--format=custom", "--no-password", f'--schema="{address.schema}"', f"--file={hidden.absolute()}")
        _run([program, *arguments, f"--dbname={place.url}"], place.environment, hidden, progress)


def _server(url: str) -> int:
    """The major version of the server. Raises StoreError when there is no store of ours."""
    from core.stores.postgres import connected_database  # noqa: PLC0415

    with connected_database(url) as db, db.snapshot():
        _require_ours(db)
        [number] = db.execute("SELECT CAST(current_setting('server_version_num') AS integer)").fetchone()
    return int(number) // 10_000


def _check_version(program: str, server: int) -> None:
    """Raises ConfigError for a pg_dump that is older than the server: it refuses to read it."""
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout  # noqa: S603
    found = re.search(r"\b(\d+)[.\d]*", said)
    if found is not None and int(found[1]) < server:
        raise ConfigError(
            f"{program} is of PostgreSQL {found[1]} and reads no server of {server}; "
            f"put that of PostgreSQL {server} first on PATH; {WITHOUT}"
        )


def _run(command: list[str], environment: dict[str, str], file: Path, progress: Progress) -> None:
    """Raises StoreError with the program's words when it fails. Whatever ends us ends it."""
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(  # noqa: S603 - a list, no shell
            command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=said
        )
        try:
            while _is_running(process):
                progress(file.stat().st_size, 0)
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
        said.seek(0)
        words = clean(said.read(4_000).decode("utf-8", "replace"), 500)
    if process.returncode:
        raise StoreError(f"pg_dump failed: {words or f'code {process.returncode}'}")


def _is_running(process: "subprocess.Popen[bytes]") -> bool:
    try:
        process.wait(LOOK_SECONDS)
    except subprocess.TimeoutExpired:
        return True
    return False
