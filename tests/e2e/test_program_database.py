"""`tapewatch db` on SQLite files and on a PostgreSQL server: what it tells, makes, copies and prints."""

import os
import signal
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from e2e_program import Program, until

from core.servers import installations
from core.stores import migrate
from core.stores.sqlite_connection import connect
from tests.services import run_script, run_sql

pytestmark = pytest.mark.slow

INGEST = ("spot_ohlcv", "--market", "kraken", "--instrument", "BTC-USD", "--start", "2025-05-01", "--end", "2025-05-08")
FIRST = migrate.migrations()[0]
STEPS = sum(len(migrate.statements(each.sql)) for each in migrate.migrations()[1:])


def contents(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as db:
        return list(db.iterdump())


@pytest.fixture
def old(tapewatch: Program) -> list[str]:
    """A store of the first release, with a row, at the program's database; what is in it."""
    with closing(connect(str(tapewatch.db))) as db, db.transaction():
        migrate._apply(db, FIRST, 0)
        db.execute("INSERT INTO meta VALUES ('origin', 'somebody')")
    return contents(tapewatch.db)


@pytest.fixture
def on_postgres(tapewatch: Program, postgres_url: str) -> Program:
    """The program on an empty PostgreSQL database."""
    tapewatch.env["TAPEWATCH_DB"] = postgres_url
    return tapewatch


# --- info


def test_info_of_a_file(tapewatch: Program) -> None:
    assert "there is no store" in tapewatch("db", "info", code=3).sentence
    tapewatch.ingest(*INGEST)
    before = tapewatch.db.read_bytes()
    found = tapewatch("db", "info", "--output", "json", code=0).json
    assert (found["kind"], found["state"], found["journal_mode"]) == ("SQLite", "current", "wal")
    assert found["schema_version"] == found["needs"] == len(migrate.migrations())
    assert [row["state"] for row in found["migrations"]] == ["applied"] * found["needs"]
    assert found["origin"].startswith("sandbox")
    assert {table["table"]: table["rows"] for table in found["tables"]}["spot_ohlcv"] == 7
    assert found["engines"] == found["leases"] == []
    assert tapewatch.db.read_bytes() == before
    text = tapewatch("db", "info", code=0)
    assert "0001_initial.sql" in text.out
    is_affected = (3, 7, 0) <= sqlite3.sqlite_version_info < (3, 51, 3)
    assert ("WAL-reset bug" in text.err) == is_affected


def test_info_of_what_is_not_ours_to_change(tapewatch: Program) -> None:
    tapewatch("db", "migrate", code=0)
    with closing(sqlite3.connect(tapewatch.db)) as db:
        db.execute("INSERT INTO migration VALUES (999, '0999_future.sql', 'x', 0)")
        db.commit()
    found = tapewatch("db", "info", "--output", "json", code=0).json
    assert (found["state"], found["schema_version"]) == ("newer", 999)
    assert "newer Tapewatch" in found["says"]
    assert "newer Tapewatch" in tapewatch("db", "migrate", code=2).sentence
    with closing(sqlite3.connect(tapewatch.db.with_name("albums"))) as db:
        db.execute("CREATE TABLE albums (title TEXT)")
    found = tapewatch("db", "info", "--db", "sqlite:///albums", "--output", "json", code=0).json
    assert (found["state"], [table["table"] for table in found["tables"]]) == ("foreign", ["albums"])
    tapewatch.db.with_name("letter").write_text("Dear Sir or Madam, " * 1_000)
    assert "not an SQLite database" in tapewatch("db", "info", "--db", "sqlite:///letter", code=2).sentence


def test_info_names_the_engine_that_holds_the_file(tapewatch: Program) -> None:
    engine = tapewatch.engine()
    [holder] = tapewatch("db", "info", "--output", "json", code=0).json["engines"]
    assert (holder["pid"], holder["kind"]) == (engine.pid, "dashboard")
    assert f"pid {engine.pid}" in tapewatch("db", "migrate", code=75).sentence


# --- migrate


def test_a_file_is_migrated_and_what_was_is_kept(tapewatch: Program, old: list[str]) -> None:
    shown = tapewatch("db", "migrate", "--dry_run", code=0)
    assert shown.out.count("locks: WRITE on the whole file") == STEPS
    assert contents(tapewatch.db) == old
    tapewatch("db", "backup", "of the old one", code=0)
    assert contents(tapewatch.db.with_name("of the old one")) == old
    done = tapewatch("db", "migrate", "--output", "json", code=0).json
    assert (done["before"], done["after"]) == (1, len(migrate.migrations()))
    assert contents(Path(done["copy"])) == old
    assert tapewatch("db", "migrate", "--output", "json", code=0).json["applied"] == []
    assert tapewatch("db", "migrate", "--dry_run", "--output", "json", code=0).json["statements"] == []


def test_a_file_that_an_engine_opens_is_copied_too(tapewatch: Program, old: list[str]) -> None:
    with closing(sqlite3.connect(tapewatch.db)) as db:
        db.execute("UPDATE meta SET value = 'sandbox:7'")
        db.commit()
    tapewatch(*INGEST)
    kept = tapewatch.db.with_name(f"{tapewatch.db.name}.before-schema-{len(migrate.migrations())}")
    assert contents(kept) == [line.replace("somebody", "sandbox:7") for line in old]


@pytest.mark.parametrize("turn", [1, STEPS])
def test_killed_on_the_way_to_a_schema(tapewatch: Program, old: list[str], turn: int) -> None:
    ended = tapewatch("db", "migrate", TAPEWATCH_FAILPOINT=f"migrate_step:{turn}")
    assert ended.code == 137
    with closing(sqlite3.connect(tapewatch.db)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert contents(tapewatch.db) == old
    done = tapewatch("db", "migrate", "--output", "json", code=0).json
    # The copy of the first attempt is of the same, so there is no second one.
    assert [path.name for path in tapewatch.db.parent.glob("*.before*")] == [Path(done["copy"]).name]
    assert contents(Path(done["copy"])) == old


def test_two_at_once_on_a_file(tapewatch: Program) -> None:
    both = [tapewatch.start("db", "migrate", "--output", "json") for _ in range(2)]
    applied = [len(ended.json["applied"]) for ended in (each.done() for each in both)]
    assert sorted(applied) == [0, len(migrate.migrations())]


@pytest.mark.parametrize("turn", [1, 20])
def test_killed_on_the_way_on_postgres(on_postgres: Program, turn: int) -> None:
    ended = on_postgres("db", "migrate", TAPEWATCH_FAILPOINT=f"migrate_step:{turn}")
    assert ended.code == 137
    assert on_postgres("db", "info", "--output", "json", code=0).json["state"] == "none"
    assert on_postgres("db", "migrate", "--output", "json", code=0).json["before"] == 0
    assert on_postgres("db", "info", "--output", "json", code=0).json["state"] == "current"


def test_a_database_is_never_migrated_by_the_way(on_postgres: Program) -> None:
    assert "`tapewatch db migrate` makes it" in on_postgres(*INGEST, code=2).sentence
    assert on_postgres("db", "migrate", "--dry_run", code=0).out.count("locks: none on what is there") > 40
    assert on_postgres("db", "info", "--output", "json", code=0).json["state"] == "none"
    both = [on_postgres.start("db", "migrate", "--output", "json") for _ in range(2)]
    applied = [len(ended.json["applied"]) for ended in (each.done() for each in both)]
    assert sorted(applied) == [0, len(migrate.migrations("postgres"))]
    assert on_postgres.ingest(*INGEST)["rows_inserted"] == 7
    found = on_postgres("db", "info", "--output", "json", code=0).json
    assert {table["table"]: table["rows"] for table in found["tables"]}["spot_ohlcv"] == 7


def test_a_blocked_migration_can_be_ended(on_postgres: Program, postgres_url: str) -> None:
    """Somebody has our turn: whom it waits for is said, and Ctrl-C ends it without a trace."""
    is_over = threading.Event()
    blocking = threading.Thread(target=block, args=(postgres_url, is_over))
    blocking.start()
    try:
        until(lambda: run_sql(postgres_url, "SELECT 1 FROM pg_locks WHERE locktype = 'advisory'"), "the lock")
        started = on_postgres.start("db", "migrate")
        started.says(r"^waiting for pid \d+ \(postgres, \S*.*pg_advisory_lock")
        started.signal(signal.SIGINT)
        assert started.done().code == 130
    finally:
        is_over.set()
        blocking.join()
    assert on_postgres("db", "info", "--output", "json", code=0).json["state"] == "none"
    on_postgres("db", "migrate", code=0)


def block(url: str, is_over: threading.Event) -> None:
    import asyncio

    import asyncpg

    async def hold() -> None:
        connection = await asyncpg.connect(url)
        await connection.execute("SELECT pg_advisory_lock(hashtextextended('tapewatch tapewatch', 0))")
        await asyncio.to_thread(is_over.wait)
        await connection.close()

    asyncio.run(hold())


# --- backup


def test_a_backup_while_an_engine_writes(tapewatch: Program) -> None:
    """As often as it goes during one ingestion: every one is a store in which the books are right."""
    tapewatch.ingest(*INGEST)
    run = tapewatch.start("spot_ohlcv", "--pair_limit", "30", "--interval", "1m")
    backups: list[Path] = []
    while run.is_running and len(backups) < 8:
        backups.append(tapewatch.db.with_name(f"backup {len(backups)}"))
        tapewatch("db", "backup", str(backups[-1]), code=0)
    assert run.done().code == 0
    for backup in backups:
        with closing(sqlite3.connect(backup)) as db:
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            wrong = "SELECT id FROM series WHERE rows <> (SELECT count(*) FROM spot_ohlcv WHERE series_id = series.id)"
            assert db.execute(f"{wrong} AND data_type = 'spot_ohlcv'").fetchall() == []
    assert not list(tapewatch.db.parent.glob(".*.part"))
    assert tapewatch("status", "--db", f"sqlite:///{backups[-1]}", code=0).out


def test_a_backup_overwrites_only_when_told(tapewatch: Program) -> None:
    assert "there is no store" in tapewatch("db", "backup", "b.db", code=3).sentence
    tapewatch.ingest(*INGEST)
    done = tapewatch("db", "backup", "b.db", "--output", "json", code=0).json
    backup = tapewatch.db.with_name("b.db")
    assert (done["file"], done["bytes"]) == ("b.db", backup.stat().st_size)
    backup.write_text("something else")
    assert "--force replaces it" in tapewatch("db", "backup", "b.db", code=2).sentence
    assert backup.read_text() == "something else"
    tapewatch("db", "backup", "b.db", "--force", code=0)
    assert contents(backup) == contents(tapewatch.db)
    assert "the store itself" in tapewatch("db", "backup", str(tapewatch.db), "--force", code=2).sentence
    assert "create it first" in tapewatch("db", "backup", "none/b.db", code=2).sentence


def test_a_full_disk_leaves_no_backup(tapewatch: Program) -> None:
    tapewatch.ingest(*INGEST)
    ended = tapewatch.limited("db", "backup", "b.db", file_size=100 * 1024).done()
    assert ended.code == 3, ended
    assert not list(tapewatch.db.parent.glob("*b.db*"))


@pytest.fixture
def tools(processes: Any, tmp_path: Path) -> Callable[[str], str]:
    """A PATH with a pg_dump of our own making before everything else."""

    def make(script: str) -> str:
        folder = tmp_path / "tools"
        folder.mkdir()
        (folder / "pg_dump").write_text(f"#!/bin/sh\n{script}\n")
        (folder / "pg_dump").chmod(0o755)
        return f"{folder}:{os.environ['PATH']}"

    return make


VERSION = 'if [ "$1" = --version ]; then echo "pg_dump (PostgreSQL) 99.1 (Debian 99)"; exit; fi'
FILE = 'for word in "$@"; do case "$word" in --file=*) file=${word#--file=};; esac; done'


def test_ctrl_c_during_a_backup_leaves_no_half_file(on_postgres: Program, tools: Callable[[str], str]) -> None:
    on_postgres("db", "migrate", code=0)
    path = tools(f'{VERSION}\n{FILE}\necho half > "$file"\necho $$ > pid\nexec sleep 600')
    folder = on_postgres.db.parent
    started = on_postgres.start("db", "backup", "b.dump", PATH=path)
    until(lambda: (folder / "pid").exists() and (folder / "pid").read_text().strip(), "pg_dump")
    started.signal(signal.SIGINT)
    assert started.done().code == 130
    assert not list(folder.glob("*b.dump*"))
    with pytest.raises(ProcessLookupError):
        os.kill(int((folder / "pid").read_text()), 0)


def test_the_password_is_on_no_command_line(on_postgres: Program, tools: Callable[[str], str]) -> None:
    on_postgres("db", "migrate", code=0)
    path = tools(f'{VERSION}\n{FILE}\necho "$PGPASSWORD" > password\necho "$@" > arguments\necho all > "$file"')
    url = on_postgres.env["TAPEWATCH_DB"].replace("@", ":s%40cret@")
    ended = on_postgres("db", "backup", "b.dump", code=0, PATH=path, TAPEWATCH_DB=url)
    folder = on_postgres.db.parent
    assert (folder / "password").read_text() == "s@cret\n"
    assert "cret" not in (folder / "arguments").read_text() + ended.out + ended.err
    assert '--schema="tapewatch"' in (folder / "arguments").read_text()
    assert (folder / "b.dump").read_text() == "all\n"
    assert (folder / "b.dump").stat().st_mode & 0o077 == 0


def test_a_pg_dump_that_fails_or_is_missing_or_old_is_told(on_postgres: Program, tools: Callable[[str], str]) -> None:
    on_postgres("db", "migrate", code=0)
    path = tools(f"{VERSION}\necho no such luck >&2\nexit 1")
    assert "no such luck" in on_postgres("db", "backup", "b.dump", code=3, PATH=path).sentence
    program = Path(path.split(":", maxsplit=1)[0]) / "pg_dump"
    program.write_text("#!/bin/sh\necho 'pg_dump (PostgreSQL) 9.6.1'\n")
    assert "of PostgreSQL 9 and reads no server" in on_postgres("db", "backup", "b.dump", code=2, PATH=path).sentence
    program.unlink()
    alone = on_postgres("db", "backup", "b.dump", code=2, PATH=str(program.parent)).sentence
    assert "pg_dump, which is not on PATH" in alone
    assert "db copy" in alone
    assert not list(on_postgres.db.parent.glob("*b.dump*"))


def test_what_pg_dump_wrote_can_be_restored(on_postgres: Program, postgres_url: str) -> None:
    [server] = run_sql(postgres_url, "SELECT current_setting('server_version_num')::int / 10000 AS major")
    programs = installations().get(server["major"])
    if programs is None or not (programs / "pg_dump").exists():
        pytest.skip(f"no pg_dump of PostgreSQL {server['major']} here")
    on_postgres("db", "migrate", code=0)
    on_postgres.ingest(*INGEST)
    run_script(postgres_url, "CREATE TABLE public.albums (title text)")
    ended = on_postgres("db", "backup", "b.dump", code=0, PATH=f"{programs}:{os.environ['PATH']}")
    assert "pg_restore reads it" in ended.err
    bars = "SELECT * FROM tapewatch.spot_ohlcv_1d ORDER BY ts"
    before = run_sql(postgres_url, bars)
    run_script(postgres_url, "DROP SCHEMA tapewatch CASCADE; DROP TABLE public.albums")
    restore = [str(programs / "pg_restore"), f"--dbname={postgres_url}", "--exit-on-error", "b.dump"]
    assert on_postgres.processes.run(restore, {}).done().code == 0
    assert len(before) == 7
    assert run_sql(postgres_url, bars) == before
    assert run_sql(postgres_url, "SELECT to_regclass('public.albums') AS found")[0]["found"] is None


# --- roles


def test_a_file_has_modes_instead_of_roles(tapewatch: Program) -> None:
    assert "chmod" in tapewatch("db", "roles", code=2).sentence
    assert not tapewatch.db.exists()


# A name that ends every kind of quote there is.
ODD = "o\"dd; DROP 'x\\ $do$ % {y}"


class Roles:
    """The store of a test, and the program as each of its roles."""

    def __init__(self, program: Program, url: str, names: dict[str, str]) -> None:
        self.names = names
        self._program = program
        self._url = url

    def url(self, role: str) -> str:
        from urllib.parse import quote

        return self._url.replace("//postgres@", f"//{quote(self.names[role], safe='')}@")

    def __call__(self, role: str, *arguments: str, code: int | None = 0) -> Any:
        return self._program(*arguments, code=code, TAPEWATCH_DB=self.url(role))


@pytest.fixture
def roles(on_postgres: Program, postgres_url: str) -> Iterator[Roles]:
    """A store with some rows, and the script of `db roles` run twice; roles belong to the server, so they go."""
    [database] = run_sql(postgres_url, "SELECT current_database() AS name")
    names = {role: f"{ODD} {role} {database['name']}" for role in ("reader", "writer")}
    on_postgres("db", "migrate", code=0)
    on_postgres("series", "list", code=0)
    on_postgres.ingest(*INGEST)
    printed = on_postgres("db", "roles", "--reader", names["reader"], "--writer", names["writer"], code=0).out
    run_script(postgres_url, printed)
    run_script(postgres_url, printed)
    yield Roles(on_postgres, postgres_url, names)
    quoted = ", ".join('"' + name.replace('"', '""') + '"' for name in names.values())
    run_script(postgres_url, f"DROP OWNED BY {quoted} CASCADE; DROP ROLE {quoted}")


SERIES = "spot_ohlcv/kraken/BTC-USD/1d"
LOOKS = [
    ("status", "--output", "json"),
    ("why", SERIES),
    ("gaps", "list"),
    ("export", "spot_ohlcv", "--interval", "1d", "--out", "-", "--format", "csv"),
    ("series", "list", "--output", "json"),
    ("series", "show", SERIES),
    ("verify", "--offline"),
    ("quarantine", "list"),
    ("restatements", "--since", "2025-01-01"),
    ("changes", "--since", "2025-01-01"),
    ("jobs", "list"),
    ("db", "info"),
    (*INGEST, "--dry_run"),
]


def test_who_looks_sees_everything_and_changes_nothing(roles: Roles, postgres_url: str) -> None:
    for look in LOOKS:
        roles("reader", *look)
    assert roles("reader", "db", "info", "--output", "json").json["state"] == "current"
    refused = roles("reader", *INGEST, "--full_refresh", code=None)
    assert refused.code in {2, 3}
    assert "permission denied" in refused.err
    check_refused(roles.url("reader"), "INSERT INTO tapewatch.meta VALUES ('x', 'y')")
    check_refused(roles.url("reader"), "DELETE FROM tapewatch.spot_ohlcv")
    check_schema_is_safe(roles.url("reader"))


def test_who_ingests_writes_rows_and_no_schema(roles: Roles, postgres_url: str) -> None:
    more = ("spot_ohlcv", "--market", "kraken", "--instrument", "BTC-USD", "--interval", "1m")
    done = roles("writer", *more, "--start", "2025-05-01", "--end", "2025-05-03", "--output", "json").json
    assert done["rows_inserted"] == 2 * 1_440
    again = roles("writer", *more, "--start", "2025-05-01", "--end", "2025-05-03", "--full_refresh", "--output", "json")
    assert again.json["rows_unchanged"] == 2 * 1_440
    roles("writer", "spot_instruments", "--market", "kraken")
    roles("writer", "universe", "create", "mine", "--series", "kraken/BTC-USD", "--interval", "1m")
    roles("reader", "universe", "show", "mine")
    roles("writer", "series", "drop", "spot_ohlcv/kraken/BTC-USD/1m", "--yes")
    roles("reader", "changes", "--since", "2025-01-01")
    check_schema_is_safe(roles.url("writer"))
    check_refused(roles.url("writer"), "UPDATE tapewatch.migration SET sha256 = 'x'")


def test_what_later_migrations_make_is_granted_too(roles: Roles, postgres_url: str) -> None:
    run_script(postgres_url, "CREATE TABLE tapewatch.more (id bigint GENERATED ALWAYS AS IDENTITY, x text)")
    run_script(postgres_url, "CREATE VIEW tapewatch.much AS SELECT * FROM tapewatch.more")
    run_script(roles.url("writer"), "INSERT INTO tapewatch.more (x) VALUES ('y')")
    assert [row["x"] for row in run_sql(roles.url("reader"), "SELECT x FROM tapewatch.much")] == ["y"]
    check_refused(roles.url("reader"), "INSERT INTO tapewatch.more (x) VALUES ('z')")


def check_schema_is_safe(url: str) -> None:
    for statement in (
        "CREATE TABLE tapewatch.mine (x int)",
        "DROP TABLE tapewatch.gap",
        "ALTER TABLE tapewatch.gap ADD COLUMN x int",
        "TRUNCATE tapewatch.gap",
        "CREATE SCHEMA mine",
    ):
        check_refused(url, statement)


def check_refused(url: str, statement: str) -> None:
    import asyncpg

    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        run_script(url, statement)
