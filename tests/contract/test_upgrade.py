"""Migrating PostgreSQL: alone, side by side, with others in the way; what a rehearsal tells, and `db info` sees."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import asyncpg
import pytest

from core.errors import ConfigError, StoreBusy, StoreRefused
from core.stores import migrate as migrations_module
from core.stores.info import read_info
from core.stores.migrate import Migration, migrations
from core.stores.postgres import connected_database
from core.stores.postgres_migrate import Session
from core.stores.upgrade import rehearse, upgrade
from tests.services import run_script, run_sql

NOW = 1_750_000_000
MORE = (
    "CREATE TABLE more (id bigint PRIMARY KEY REFERENCES series (id));\n"
    "ALTER TABLE spot_ohlcv ADD COLUMN extra text;\n"
    "CREATE INDEX more_gap ON gap (cause);\n"
    "CREATE VIEW much AS SELECT * FROM more JOIN series USING (id);\n"
)


def silent(_text: str) -> None:
    """Words that nobody reads."""


@pytest.fixture
def newer(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """From now on the program knows one more migration."""
    known = migrations("postgres")

    def learn(script: str) -> None:
        more = Migration(known[-1].version + 1, "9999_more.sql", script)
        monkeypatch.setattr(migrations_module, "migrations", lambda dialect: [*known, more])
        monkeypatch.setattr("core.stores.info.migrations", lambda dialect: [*known, more])
        monkeypatch.setattr("core.stores.postgres_migrate.migrations", lambda dialect: [*known, more])

    return learn


def catalogue(url: str) -> list[tuple[Any, ...]]:
    """Everything in schemas that are not the server's own."""
    rows = run_sql(
        url,
        "SELECT n.nspname, c.relname, c.relkind, (SELECT count(*) FROM pg_attribute AS a WHERE a.attrelid = c.oid) "
        "FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace "
        "WHERE n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema' ORDER BY 1, 2",
    )
    return [tuple(row) for row in rows]


@contextmanager
def holding(url: str, statement: str) -> Iterator[int]:
    """A session that ran `statement` in a transaction and goes on thinking; its process number."""
    is_ready, is_over, pid = threading.Event(), threading.Event(), list[int]()

    async def think() -> None:
        connection = await asyncpg.connect(url, server_settings={"application_name": "somebody's psql"})
        async with connection.transaction():
            await connection.execute(statement)
            pid.append(connection.get_server_pid())
            is_ready.set()
            is_over.wait()
        await connection.close()

    import asyncio

    with ThreadPoolExecutor(1) as thread:
        thinking = thread.submit(asyncio.run, think())
        assert is_ready.wait(30)
        try:
            yield pid[0]
        finally:
            is_over.set()
            thinking.result()


def test_a_store_is_made_once_in_the_schema_that_is_named(postgres_url: str) -> None:
    url = f"{postgres_url}?schema=prices"
    done = upgrade(url, NOW, silent)
    assert (done.before, done.applied) == (0, migrations("postgres"))
    assert upgrade(url, NOW + 5, silent).applied == []
    assert {row[0] for row in catalogue(postgres_url)} == {"prices"}
    applied = run_sql(postgres_url, "SELECT version, name, sha256, applied_at FROM prices.migration")
    assert [tuple(row) for row in applied] == [
        (each.version, each.name, each.sha256, NOW) for each in migrations("postgres")
    ]


def test_who_may_not_make_schemas_can_be_given_one(postgres_url: str) -> None:
    run_script(postgres_url, "CREATE SCHEMA tapewatch")
    name = f"migrator_{run_sql(postgres_url, 'SELECT current_database() AS name')[0]['name']}"
    run_script(postgres_url, f"CREATE ROLE {name} LOGIN; GRANT CREATE, USAGE ON SCHEMA tapewatch TO {name}")
    try:
        assert upgrade(postgres_url.replace("//postgres@", f"//{name}@"), NOW, silent).applied
    finally:
        run_script(postgres_url, f"DROP OWNED BY {name} CASCADE; DROP ROLE {name}")


def test_two_at_once_both_end_well(postgres_url: str) -> None:
    with ThreadPoolExecutor(4) as threads:
        done = [threads.submit(upgrade, postgres_url, NOW, silent) for _ in range(4)]
        applied = sorted(len(each.result().applied) for each in done)
    assert applied == [0, 0, 0, len(migrations("postgres"))]


def test_another_migration_is_waited_for_and_named(postgres_url: str) -> None:
    upgrade(postgres_url, NOW, silent)
    run_script(postgres_url, "DELETE FROM tapewatch.migration")
    heard = threading.Event()
    said: list[str] = []

    def say(text: str) -> None:
        said.append(text)
        heard.set()

    lock = "SELECT pg_advisory_xact_lock(hashtextextended('tapewatch tapewatch', 0))"
    with ThreadPoolExecutor(1) as thread:
        with holding(postgres_url, lock) as pid:
            waiting = thread.submit(upgrade, postgres_url, NOW, say)
            assert heard.wait(30)
            assert f"pid {pid} (postgres, somebody's psql" in said[0]
        # The table of migrations was emptied, so what it finds in its way now is a table.
        with pytest.raises(Exception, match="already exists"):
            waiting.result()


@pytest.mark.slow
def test_whoever_is_in_the_way_is_named_and_nothing_is_changed(
    postgres_url: str, newer: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.stores.postgres_connection.MIGRATION_LOCK_SECONDS", 1)
    upgrade(postgres_url, NOW, silent)
    before = catalogue(postgres_url)
    newer(MORE)
    with holding(postgres_url, "SELECT count(*) FROM tapewatch.spot_ohlcv") as pid:
        with pytest.raises(StoreBusy, match="Nothing was changed") as refused:
            upgrade(postgres_url, NOW, silent)
        assert f"pid {pid} (postgres, somebody's psql, 127.0.0.1, idle in transaction for" in str(refused.value)
        assert "SELECT count(*) FROM tapewatch.spot_ohlcv" in str(refused.value)
        assert catalogue(postgres_url) == before
    assert [each.name for each in upgrade(postgres_url, NOW, silent).applied] == ["9999_more.sql"]


@pytest.mark.parametrize("leaves", ["engine", "lease"])
def test_engines_at_work_are_named_and_keep_the_schema(
    postgres_url: str, newer: Callable[[str], None], leaves: str
) -> None:
    upgrade(postgres_url, NOW, silent)
    now = "date_part('epoch', clock_timestamp())"
    with connected_database(postgres_url) as db, db.transaction():
        if leaves == "engine":
            names = list(db.columns("engine"))
            values = {"name": "'cafe01'", "host": "'db7'", "seen": now, "since": now, "pid": "77", "protocol": "1"}
            shown = ", ".join(values.get(name, "''") for name in names)
            db.execute(f"INSERT INTO engine ({', '.join(names)}) VALUES ({shown})")
        else:
            db.execute(
                "INSERT INTO series (source, data_type, market, instrument, interval, created) "
                "VALUES ('s', 'spot_ohlcv', 'm', 'i', '1d', 0)"
            )
            db.execute(f"INSERT INTO lease SELECT id, 'cafe01', 1, {now} + 30 FROM series")
    # Where there is nothing to do nobody is in the way.
    assert upgrade(postgres_url, NOW, silent).applied == []
    newer(MORE)
    before = catalogue(postgres_url)
    with pytest.raises(StoreBusy, match="engines work on it: cafe01"):
        upgrade(postgres_url, NOW, silent)
    assert catalogue(postgres_url) == before
    run_script(postgres_url, "UPDATE tapewatch.engine SET seen = seen - 31; UPDATE tapewatch.lease SET until = 0")
    assert upgrade(postgres_url, NOW, silent).applied


def test_a_schema_of_somebody_else_is_refused_by_name(postgres_url: str) -> None:
    run_script(postgres_url, "CREATE SCHEMA tapewatch; CREATE TABLE tapewatch.albums (title text)")
    before = catalogue(postgres_url)
    for attempt in (lambda: upgrade(postgres_url, NOW, silent), lambda: rehearse(postgres_url)):
        with pytest.raises(StoreRefused, match=r"another program.*albums"):
            attempt()
    assert catalogue(postgres_url) == before
    seen = read_info(postgres_url)
    assert (seen.state, seen.schema_version, [table.table for table in seen.tables]) == ("foreign", None, ["albums"])
    assert "another program" in seen.says


# --- rehearsals


@pytest.mark.slow
def test_a_rehearsal_tells_the_locks_and_takes_none(postgres_url: str, newer: Callable[[str], None]) -> None:
    upgrade(postgres_url, NOW, silent)
    newer(MORE)
    before = catalogue(postgres_url)
    with holding(postgres_url, "LOCK TABLE tapewatch.spot_ohlcv, tapewatch.series IN ACCESS EXCLUSIVE MODE"):
        steps = rehearse(postgres_url)
    assert [step.locks for step in steps] == [
        (("SHARE ROW EXCLUSIVE", "series"),),
        (("ACCESS EXCLUSIVE", "spot_ohlcv"),),
        (("SHARE", "gap"),),
        (("ACCESS SHARE", "series"),),
    ]
    assert "".join(step.statement for step in steps) == MORE
    assert catalogue(postgres_url) == before
    assert upgrade(postgres_url, NOW, silent).applied
    assert rehearse(postgres_url) == []


def test_a_rehearsal_of_a_new_store_locks_nothing_that_is_there(postgres_url: str) -> None:
    assert {step.locks for step in rehearse(postgres_url)} == {()}
    assert catalogue(postgres_url) == []
    with pytest.raises(ConfigError, match="pooler"):
        rehearse(f"{postgres_url}?pooler=transaction")


def test_words_about_sessions() -> None:
    assert str(Session(0, None, None, None, None, None, None)) == "a prepared transaction"
    assert str(Session(7, "ann", "", None, None, None, "<insufficient privilege>")) == (
        "pid 7 (ann): <insufficient privilege>"
    )
    assert "\x1b" not in str(Session(7, "a\x1b[31m", "x\x1b", "h", "active", 3, "SELECT\x1b]52"))


# --- what is seen


def test_info_before_and_after(postgres_url: str, newer: Callable[[str], None]) -> None:
    empty = read_info(postgres_url)
    assert (empty.kind, empty.schema, empty.state, empty.schema_version) == ("PostgreSQL", "tapewatch", "none", 0)
    assert [row["state"] for row in empty.migrations] == ["pending"] * len(migrations("postgres"))
    upgrade(postgres_url, NOW, silent)
    run_script(
        postgres_url,
        "INSERT INTO tapewatch.meta VALUES ('origin', 'sandbox:7'); "
        "INSERT INTO tapewatch.series (source, data_type, market, instrument, interval, created, rows) "
        "VALUES ('s', 'spot_ohlcv', 'm', 'i', '1d', 0, 12), ('s', 'spot_ohlcv', 'm', 'j', '1d', 0, 30)",
    )
    seen = read_info(postgres_url)
    tables = {table.table: table for table in seen.tables}
    assert (seen.state, seen.origin, seen.engines, seen.leases) == ("current", "sandbox:7", [], [])
    assert (tables["spot_ohlcv"].rows, tables["spot_ohlcv"].rows_are) == (42, "kept")
    assert tables["series"].rows_are == "estimated"
    assert seen.bytes == sum(table.bytes or 0 for table in seen.tables) > 0
    newer(MORE)
    assert read_info(postgres_url).state == "older"
    run_script(postgres_url, "INSERT INTO tapewatch.migration VALUES (999, '0999_future.sql', 'x', 0)")
    future = read_info(postgres_url)
    assert (future.state, future.schema_version) == ("newer", 999)
    assert future.migrations[-1]["state"] == "unknown"
    run_script(
        postgres_url, "UPDATE tapewatch.migration SET sha256 = 'y'; ALTER TABLE tapewatch.engine DROP COLUMN seen"
    )
    run_script(postgres_url, "DELETE FROM tapewatch.migration WHERE version = 999")
    assert read_info(postgres_url).state == "changed"


def test_info_shows_no_password(postgres_url: str) -> None:
    assert "s3cret" not in str(read_info(postgres_url.replace("@", ":s3cret@")))
