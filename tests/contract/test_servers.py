"""core.servers: a real PostgreSQL that starts anywhere, comes back on the same port and data, and leaves nothing."""

import asyncio
import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest

from core import servers
from core.errors import ConfigError
from core.servers import DATABASE, PostgresOptions, PostgresServer, free_port, installations, postgres, running
from tests.services import run_script, run_sql

ROOT = Path(__file__).parents[2]
IS_ROOT = os.geteuid() == 0
PATIENCE = 60


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that the server's account may enter, which pytest's own are not."""
    made = Path(tempfile.mkdtemp(prefix="tapewatch-test-", dir="/tmp"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


def value(server: PostgresServer, statement: str) -> object:
    return run_sql(server.url(), statement)[0][0]


def write(server: PostgresServer) -> None:
    run_script(server.url(), "CREATE TABLE t (a int); INSERT INTO t SELECT generate_series(1, 1000)")


def count(server: PostgresServer) -> object:
    return value(server, "SELECT count(*) FROM t")


def test_the_tests_have_the_newest_one_and_an_empty_database_each(postgres_url: str) -> None:
    tables = run_sql(
        postgres_url, "SELECT * FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
    )
    assert tables == []


@pytest.mark.slow
def test_what_a_clean_stop_and_a_crash_leave(mortal_postgres: PostgresServer) -> None:
    write(mortal_postgres)
    port, first = mortal_postgres.port, mortal_postgres.pid
    mortal_postgres.stop()
    assert mortal_postgres.pid is None
    mortal_postgres.start()
    run_script(mortal_postgres.url(), "SET synchronous_commit = on; INSERT INTO t VALUES (0)")
    mortal_postgres.crash()
    mortal_postgres.start()
    assert (mortal_postgres.port, count(mortal_postgres)) == (port, 1_001)
    assert mortal_postgres.pid != first
    assert "database system was not properly shut down" in mortal_postgres.log.read_text()


@pytest.mark.slow
async def test_who_is_connected_when_it_stops_learns_it(mortal_postgres: PostgresServer) -> None:
    connection = await asyncpg.connect(mortal_postgres.url())
    await connection.execute("CREATE TABLE t (a int)")
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute("INSERT INTO t VALUES (1)")
    mortal_postgres.stop()
    with pytest.raises((asyncpg.PostgresConnectionError, asyncpg.AdminShutdownError, asyncpg.InterfaceError)):
        await connection.execute("INSERT INTO t VALUES (2)")
    connection.terminate()
    mortal_postgres.start()
    assert count(mortal_postgres) == 0


@pytest.mark.slow
def test_it_that_dies_by_itself_is_missed(mortal_postgres: PostgresServer) -> None:
    assert mortal_postgres.pid is not None
    os.kill(mortal_postgres.pid, signal.SIGTERM)
    psutil.wait_procs([psutil.Process(mortal_postgres.pid)], timeout=PATIENCE)
    assert mortal_postgres.pid is None
    mortal_postgres.start()
    assert value(mortal_postgres, "SELECT 1") == 1


@pytest.mark.slow
@pytest.mark.parametrize("major", installations())
def test_every_version_there_is(major: int) -> None:
    with postgres(PostgresOptions(major=major)) as server:
        assert server.major == major
        assert value(server, "SHOW server_version_num").startswith(str(major))


@pytest.mark.slow
def test_settings_and_durability() -> None:
    with postgres(PostgresOptions(settings={"max_connections": "5", "timezone": "Asia/Kathmandu"})) as server:
        shown = [value(server, f"SHOW {name}") for name in ("max_connections", "timezone", "fsync")]
    assert shown == ["5", "Asia/Kathmandu", "off"]
    with postgres(PostgresOptions(is_durable=True)) as server:
        shown = [value(server, f"SHOW {name}") for name in ("fsync", "synchronous_commit", "full_page_writes")]
    assert shown == ["on", "on", "on"]


@pytest.mark.slow
def test_kept_data_is_used_again_with_its_version(place: Path) -> None:
    oldest = min(installations())
    port = free_port()
    with postgres(PostgresOptions(major=oldest, directory=place / "kept", port=port)) as server:
        write(server)
        assert running(place / "kept") == server.pid
    assert running(place / "kept") is None
    with postgres(PostgresOptions(directory=place / "kept", port=port)) as server:
        assert (server.major, server.port, count(server)) == (oldest, port, 1_000)
    with pytest.raises(ConfigError, match=f"made by PostgreSQL {oldest}, and cannot be used by PostgreSQL 99"):
        postgres(PostgresOptions(major=99, directory=place / "kept")).__enter__()


@pytest.mark.slow
def test_two_on_one_directory_or_one_port(place: Path) -> None:
    options = PostgresOptions(directory=place, port=free_port())
    with postgres(options) as server:
        with pytest.raises(ConfigError, match=r"did not start: .*postmaster\.pid"):
            postgres(options).__enter__()
        with pytest.raises(ConfigError, match=r"did not start: .*Address already in use"):
            postgres(PostgresOptions(port=server.port)).__enter__()
        assert value(server, "SELECT 1") == 1


@pytest.mark.slow
def test_a_password_stays_in_its_file(place: Path) -> None:
    passfile = place / "pgpass"
    with postgres(PostgresOptions(user="tapewatch", passfile=passfile)) as server:
        password = passfile.read_text().strip().rsplit(":", 1)[1]
        assert passfile.stat().st_mode & 0o777 == 0o600
        assert password not in server.url()
        assert value(server, "SELECT current_user") == "tapewatch"
        bare = server.url().split("?")[0]
        with pytest.raises(asyncpg.InvalidPasswordError):
            run_sql(bare.replace("tapewatch@", "tapewatch:wrong@"), "SELECT 1")
        shown = " ".join(psutil.Process(server.pid).cmdline())
        assert password not in shown + server.log.read_text()


@pytest.mark.slow
def test_psql_of_the_same_version_takes_the_same_url(place: Path) -> None:
    with postgres(PostgresOptions(passfile=place / "with space")) as server:
        command = [server.programs / "psql", server.url(), "-Atc", "SELECT current_database()"]
        assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == DATABASE


def test_without_one_the_command_that_installs_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "installations", dict)
    with pytest.raises(ConfigError, match=r"pip install 'tapewatch\[servers\]'"):
        postgres().__enter__()
    with pytest.raises(ConfigError, match=r"PostgreSQL 16 is not installed"):
        postgres(PostgresOptions(major=16)).__enter__()


def test_debians_are_found_too(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / "15/bin").mkdir(parents=True)
    (place / "15/bin/initdb").touch()
    (place / "14").mkdir()
    monkeypatch.setattr(servers, "DEBIAN", place)
    monkeypatch.setattr(servers, "find_spec", lambda name: None)
    assert installations() == {15: place / "15/bin"}


@pytest.mark.slow
def test_a_failing_program_is_quoted(place: Path) -> None:
    with pytest.raises(ConfigError, match=r"did not start: .*unrecognized configuration parameter"):
        postgres(PostgresOptions(settings={"no_such_setting": "1"})).__enter__()
    with pytest.raises(ConfigError, match=r"initdb failed: .*superuser name"):
        postgres(PostgresOptions(user="pg_root", directory=place)).__enter__()


@pytest.mark.slow
@pytest.mark.skipif(not IS_ROOT, reason="only root becomes nobody")
def test_root_becomes_nobody_who_cannot_enter_everywhere(place: Path) -> None:
    with postgres() as server:
        assert psutil.Process(server.pid).username() == "nobody"
    place.chmod(0o700)
    with pytest.raises(ConfigError, match=f"runs as nobody, who may not enter {place}"):
        postgres(PostgresOptions(directory=place)).__enter__()


@pytest.mark.slow
@pytest.mark.skipif(not IS_ROOT, reason="others can read their own files")
def test_programs_below_a_private_home_are_copied(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when root's environment lies in /root."""
    (site := place / "site").mkdir(mode=0o700)
    shutil.copytree(installed := installations()[18].parents[1], site / installed.name, symlinks=True)
    shutil.copytree(installed.with_suffix(".libs"), site / f"{installed.name}.libs")
    monkeypatch.setattr(servers, "installations", lambda: {18: site / installed.name / "pginstall18/bin"})
    with postgres() as server:
        assert not server.programs.is_relative_to(place)
        assert value(server, "SELECT 1") == 1


PROGRAM = """
import json, os, sys
from core.servers import postgres, PostgresOptions
uid = int(sys.argv[1])
if uid != os.geteuid():
    os.setgroups([])
    os.setgid(uid)
    os.setuid(uid)
with postgres() as server:
    print(json.dumps([server.pid, str(server.directory), server.url()]), flush=True)
    sys.stdin.readline()
    if sys.argv[2] == "exit":
        os._exit(0)
"""


class Owner:
    """A program that has a server, started as another user if asked to."""

    def __init__(self, ending: str = "", user: str | None = None) -> None:
        uid = os.geteuid() if user is None else pwd.getpwnam(user).pw_uid
        command = [sys.executable, "-c", PROGRAM, str(uid), ending]
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        pid, directory, self.url = json.loads(self._process.stdout.readline())
        self.server, self.directory = psutil.Process(pid), Path(directory)
        self.guard = next(found for found in psutil.Process(self._process.pid).children() if found.pid != pid)

    def goes(self) -> None:
        self._process.communicate("go\n")

    def is_killed(self) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()


def is_alive(process: psutil.Process) -> bool:
    """Not so once it has ended, even if its new parent takes its time to notice."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.slow
@pytest.mark.parametrize("user", [None, pytest.param("nobody", marks=pytest.mark.skipif(not IS_ROOT, reason="root"))])
@pytest.mark.parametrize(
    ("ending", "end"),
    [("", Owner.goes), ("exit", Owner.goes), ("", Owner.is_killed)],
    ids=["leaves", "exits", "killed"],
)
def test_nothing_is_left_however_its_owner_ends(ending: str, end: Callable[[Owner], None], user: str | None) -> None:
    owner = Owner(ending, user)
    assert run_sql(owner.url, "SELECT 1")[0][0] == 1
    family = [owner.guard, owner.server, *owner.server.children(recursive=True)]
    end(owner)
    while any(is_alive(found) for found in family):
        psutil.wait_procs(family, timeout=0.05)
    assert not owner.directory.exists()


def test_importing_it_costs_nothing() -> None:
    program = "import sys, core.servers; print(sorted({'asyncio', 'asyncpg', 'psutil', 'msgspec'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


async def test_sql_runs_within_a_loop_too(postgres_url: str) -> None:
    loop = asyncio.get_running_loop()
    assert run_sql(postgres_url, "SELECT $1::int", 7)[0][0] == 7
    assert asyncio.get_running_loop() is loop
