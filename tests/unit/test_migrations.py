"""Schema: migrations against what the data types say, and databases that are not ours to change."""

import hashlib
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.coverage import Gap
from core.datasets import DATASETS, SeriesKey
from core.errors import StoreBusy, StoreError, StoreRefused
from core.references import LISTS
from core.stores.export_sql import schema_of
from core.stores.lock import EngineLock, Holder, describe, lock_path, read_holder
from core.stores.migrate import Migration, check, migrate, migrations, statements
from core.stores.opening import reading
from core.stores.postgres import connected_database
from core.stores.schema import POSTGRES, constant_columns, create_everything, upsert
from core.stores.sqlite import SQLiteStore
from core.stores.sqlite_connection import SQLiteDatabase, connect
from core.windows import GRAINS, Window

NOW = 1_750_000_000


@pytest.fixture
def db() -> Iterator[SQLiteDatabase]:
    connection = connect(":memory:")
    yield connection
    connection.close()


def schema(db: SQLiteDatabase) -> dict[str, str]:
    return dict(db.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"))


def words(sql: str) -> str:
    return re.sub(r"\s+", " ", sql).strip().rstrip(";")


def fingerprint(path: Path) -> dict[str, str]:
    """Every file of the directory, byte for byte."""
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(path.iterdir())}


def test_migrations_are_numbered_from_one_and_applied_once(db: SQLiteDatabase) -> None:
    known = migrations()
    assert [migration.version for migration in known] == list(range(1, len(known) + 1))
    assert migrate(db, NOW) == known
    assert migrate(db, NOW + 5) == []
    assert check(db) == known[-1].version
    rows = db.execute("SELECT version, name, sha256, applied_at FROM migration").fetchall()
    assert rows == [(migration.version, migration.name, migration.sha256, NOW) for migration in known]


def test_the_migrations_make_what_the_data_types_say(db: SQLiteDatabase) -> None:
    migrate(db, NOW)
    derived = connect(":memory:")
    # Views name the table of series; what it holds is checked below.
    derived.execute("CREATE TABLE series (id INTEGER PRIMARY KEY)")
    for statement in statements(create_everything()):
        derived.execute(statement)
    made, wanted = schema(db), schema(derived)
    derived.close()
    del wanted["series"]
    assert len(wanted) == len(DATASETS) * (1 + len(GRAINS)) + 2 * len(LISTS)
    for name, sql in wanted.items():
        assert words(made[name]) == words(sql), name


# Every table and view of PostgreSQL, as it would be made again.
CATALOGUE = (
    "SELECT c.relname, c.relkind, pg_get_viewdef(c.oid), (SELECT string_agg(concat_ws(' ', a.attname, "
    "format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, a.attcollation), ', ' ORDER BY a.attnum) "
    "FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attnum > 0), "
    "(SELECT string_agg(k.conname || ' ' || pg_get_constraintdef(k.oid), ', ' ORDER BY k.conname) "
    "FROM pg_constraint AS k WHERE k.conrelid = c.oid), "
    "(SELECT string_agg(pg_get_indexdef(i.indexrelid), ', ' ORDER BY CAST(CAST(i.indexrelid AS regclass) AS text)) "
    "FROM pg_index AS i WHERE i.indrelid = c.oid) "
    "FROM pg_class AS c WHERE c.relnamespace = CAST('tapewatch' AS regnamespace) AND c.relkind IN ('r', 'v')"
)


def test_the_migrations_of_postgresql_make_what_the_data_types_say(postgres_store_url: str) -> None:
    derived = statements(create_everything(POSTGRES))
    names = [name for dataset in DATASETS for name in (dataset, *(f"{dataset}_{grain}" for grain in GRAINS))] + [*LISTS]
    with connected_database(postgres_store_url) as db, db.transaction():
        made = {row[0]: row[1:] for row in db.execute(CATALOGUE)}
        for name in [*DATASETS, *LISTS]:
            db.execute(f"DROP TABLE {name} CASCADE")
        for statement in derived:
            db.execute(statement)
        wanted = {row[0]: row[1:] for row in db.execute(CATALOGUE)}
    for name in names:
        assert made[name] == wanted[name], name


ONLY_IN_POSTGRESQL = {"engine", "quota"}


def test_both_databases_have_the_same_tables_and_views_and_columns(db: SQLiteDatabase, postgres_store_url: str) -> None:
    """The tables of bars differ in the order of their columns and in how they keep time, their views in nothing."""
    migrate(db, NOW)
    one = schema_of(db)
    with connected_database(postgres_store_url) as server, server.snapshot():
        other = schema_of(server)
    assert other.keys() - one.keys() <= ONLY_IN_POSTGRESQL
    assert one.keys() <= other.keys()
    for name, columns in one.items():
        if name in DATASETS:
            assert {**other[name], "ts": "INTEGER"} == columns, name
        else:
            assert [*other[name].items()] == [*columns.items()], name


def test_the_table_of_series_has_every_constant_column(db: SQLiteDatabase) -> None:
    migrate(db, NOW)
    columns = {row[1]: row[2] for row in db.execute("PRAGMA table_info(series)")}
    types = {int: "INTEGER", float: "REAL", str: "TEXT"}
    for column in constant_columns():
        assert columns[column.name] == types[column.kind]


def test_every_table_is_strict_and_every_view_can_be_read(db: SQLiteDatabase) -> None:
    migrate(db, NOW)
    for name, kind, strict in db.execute("SELECT name, type, strict FROM pragma_table_list WHERE schema = 'main'"):
        if not name.startswith("sqlite_"):
            assert strict or kind == "view", name
    views = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'view'")]
    of_bars = [f"{name}_{grain}" for name in DATASETS for grain in GRAINS]
    assert sorted(views) == sorted([*of_bars, "futures_funding_payments"])
    for view in of_bars:
        found = [column[0] for column in db.execute(f"SELECT * FROM {view}").description]
        assert found[:8] == ["market", "instrument", "exchange_symbol", "series_id", "ts", "time", "closed", "known_at"]
        assert len(set(found)) == len(found)


def test_a_new_column_cannot_be_forgotten(db: SQLiteDatabase) -> None:
    """What the statements write exists, for all columns and any choice of groups."""
    migrate(db, NOW)
    for dataset in DATASETS.values():
        names = tuple(column.name for column in dataset.columns)
        db.execute("EXPLAIN " + upsert(dataset, names, 2), [0] * (4 + 2 * (1 + len(names))))


def test_the_statement_itself_lets_no_older_and_no_open_bar_win(db: SQLiteDatabase) -> None:
    """The store looks before it writes; the statement does not rely on it."""
    migrate(db, NOW)
    names = [column[1] for column in db.execute("PRAGMA table_info(series)")]
    db.execute(f"INSERT INTO series ({', '.join(names[1:6])}, created) VALUES ('s', 'spot_ohlcv', 'm', 'i', '1m', 0)")
    write = upsert(DATASETS["spot_ohlcv"], ("open",), 1)
    versions = [(1, 5_000, 1.0), (1, 4_999, 2.0), (0, 9_999, 3.0), (1, 5_000, 4.0), (1, 6_000, 5.0), (1, 5_500, 6.0)]
    kept = []
    for closed, sent_at, value in versions:
        db.execute(write, (1, closed, NOW, sent_at, 60, value))
        kept += [row[0] for row in db.execute("SELECT open FROM spot_ohlcv")]
    assert kept == [1.0, 1.0, 1.0, 4.0, 5.0, 5.0]


def test_a_migration_that_was_changed_after_release_is_noticed(db: SQLiteDatabase) -> None:
    migrate(db, NOW)
    db.execute("UPDATE migration SET sha256 = 'x' WHERE version = 1")
    before = list(db.iterdump())
    with pytest.raises(StoreRefused, match="0001_initial"):
        migrate(db, NOW)
    assert list(db.iterdump()) == before


def test_a_failed_migration_leaves_nothing(db: SQLiteDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    known = migrations()
    good = Migration(len(known) + 1, "9998_good.sql", "CREATE TABLE much (x);\n")
    broken = Migration(len(known) + 2, "9999_broken.sql", "CREATE TABLE more (x);\nCREATE TABLE more (x);\n")
    migrate(db, NOW)
    before = list(db.iterdump())
    monkeypatch.setattr("core.stores.migrate.migrations", lambda dialect: [*known, good, broken])
    with pytest.raises(sqlite3.Error):
        migrate(db, NOW)
    assert not db.in_transaction
    assert list(db.iterdump()) == before


@pytest.mark.parametrize(
    ("script", "tables"),
    [
        ("", []),
        ("-- nothing;\n", []),
        ("CREATE TABLE a (x);\nCREATE TABLE b (x);\n", ["a", "b"]),
        ("-- a; b\nCREATE TABLE a (x DEFAULT ';');\n", ["a"]),
        ("CREATE TABLE a (\n x INTEGER -- one;\n);\n", ["a"]),
        ("CREATE TABLE a (x);\nCREATE TABLE b (x)", ["a", "b"]),
    ],
)
def test_scripts_are_cut_into_statements(db: SQLiteDatabase, script: str, tables: list[str]) -> None:
    found = statements(script)
    assert "".join(found) == script
    for statement in found:
        db.execute(statement)
    assert list(schema(db)) == tables


async def test_a_newer_version_is_refused_and_not_touched(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/a.db"
    await (await SQLiteStore.open(url)).close()
    db = sqlite3.connect(tmp_path / "a.db")
    db.execute("INSERT INTO migration VALUES (999, '0999_future.sql', 'x', 0)")
    db.commit()
    db.close()
    before = fingerprint(tmp_path)
    for opening in (SQLiteStore.open, SQLiteStore.open_to_plan):
        with pytest.raises(StoreRefused, match="newer Tapewatch"):
            await opening(url)
    with pytest.raises(StoreRefused, match="newer Tapewatch"), reading(url):
        pass
    # Reading a WAL database makes its side files; the database itself stays as it was.
    assert fingerprint(tmp_path)["a.db"] == before["a.db"]


async def test_a_foreign_database_is_refused_and_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "places.sqlite"
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE moz_places (id INTEGER PRIMARY KEY, url TEXT)")
    db.commit()
    db.close()
    before = fingerprint(tmp_path)
    for opening in (SQLiteStore.open, SQLiteStore.open_to_plan):
        with pytest.raises(StoreRefused, match="tables of another program"):
            await opening(f"sqlite:///{path}")
    assert fingerprint(tmp_path) == before


async def test_a_file_that_is_no_database_is_refused_and_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "letter.txt"
    path.write_text("Dear Sir or Madam, " * 1_000)
    before = fingerprint(tmp_path)
    with pytest.raises(StoreRefused, match="not an SQLite database"):
        await SQLiteStore.open(f"sqlite:///{path}")
    assert fingerprint(tmp_path) == before


async def test_places_where_no_file_can_be_are_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="does not exist; create it first"):
        await SQLiteStore.open(f"sqlite:///{tmp_path}/none/a.db")
    with pytest.raises(StoreError, match="not a regular file"):
        await SQLiteStore.open(f"sqlite:///{tmp_path}")
    with pytest.raises(StoreError, match="there is no store"), reading(f"sqlite:///{tmp_path}/none.db"):
        pass
    assert not list(tmp_path.iterdir())


async def test_looking_at_a_plan_makes_no_file(tmp_path: Path) -> None:
    store = await SQLiteStore.open_to_plan(f"sqlite:///{tmp_path}/a.db")
    await store.close()
    assert not list(tmp_path.iterdir())


# --- the lock


def holder(**fields: object) -> Holder:
    return Holder(**{"pid": 7, "kind": "serve", "socket": "/run/x.sock", "protocol": 1, "since": 1.0, **fields})  # type: ignore[arg-type]


def test_a_lock_says_who_holds_it_and_frees_the_store(tmp_path: Path) -> None:
    database = str(tmp_path / "a.db")
    first, second = EngineLock(database), EngineLock(database)
    assert read_holder(lock_path(database)) is None
    first.acquire(holder(user="ann"))
    assert read_holder(lock_path(database)) == holder(user="ann")
    with pytest.raises(StoreBusy, match="held by a serve of user ann, pid 7"):
        second.acquire(holder())
    first.release()
    first.release()
    assert read_holder(lock_path(database)) is None
    second.acquire(holder(kind="command"))
    found = read_holder(lock_path(database))
    assert found is not None
    assert found.user
    assert not found.takes_jobs
    second.release()


def test_looking_does_not_take_the_lock(tmp_path: Path) -> None:
    database = str(tmp_path / "a.db")
    lock = EngineLock(database)
    for _ in range(20):
        read_holder(lock_path(database))
        lock.acquire(holder())
        lock.release()


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[]", b'{"pid":"x"}', b"x" * 100_000])
def test_a_lock_file_with_nonsense_is_somebodys_all_the_same(tmp_path: Path, content: bytes) -> None:
    database = str(tmp_path / "a.db")
    lock = EngineLock(database)
    lock.acquire(holder())
    lock_path(database).write_bytes(content)
    assert read_holder(lock_path(database)) is None
    with pytest.raises(StoreBusy, match="another engine holds the store"):
        EngineLock(database).acquire(holder())
    lock.release()


def test_a_link_in_place_of_the_lock_is_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.write_text("do not truncate")
    lock_path(str(tmp_path / "a.db")).symlink_to(target)
    with pytest.raises(StoreError, match="symbolic link"):
        EngineLock(str(tmp_path / "a.db")).acquire(holder())
    assert read_holder(lock_path(str(tmp_path / "a.db"))) is None
    assert target.read_text() == "do not truncate"


def test_words_about_a_holder() -> None:
    assert describe(None, Path("/x.lock")) == "another engine holds the store (/x.lock)"
    assert "pid 7" in describe(holder(user="ann"), Path("/x.lock"))


async def test_a_store_of_the_first_release_is_brought_up_to_date_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "old.db"
    old = connect(str(path))
    with monkeypatch.context() as patched:
        patched.setattr("core.stores.migrate.migrations", lambda dialect: migrations()[:1])
        migrate(old, NOW)
    old.execute(
        "INSERT INTO series (source, data_type, market, instrument, interval, created, rows, last_bar) "
        "VALUES ('coindesk', 'spot_ohlcv', 'kraken', 'BTC-USD', '1m', 0, 1, 60)"
    )
    old.execute(
        "INSERT INTO spot_ohlcv (series_id, ts, closed, known_at, sent_at, open) VALUES (1, 60, 1, 200, 9, 5.5)"
    )
    old.execute("INSERT INTO gap VALUES (1, 120, 180, 'absent', 1, 200, 200, 300)")
    old.execute("INSERT INTO coverage VALUES (1, 'ID,OHLC', 60, 180)")
    before = {table: old.execute(f"SELECT * FROM {table}").fetchall() for table in ("spot_ohlcv", "coverage")}
    old.close()
    with pytest.raises(StoreRefused, match=r"has schema 1.*brings it up to date"):
        await SQLiteStore.open_to_plan(f"sqlite:///{path}")
    store = await SQLiteStore.open(f"sqlite:///{path}")
    [state] = await store.series("coindesk", [SeriesKey("spot_ohlcv", "kraken", "BTC-USD", "1m")])
    await store.close()
    assert (state.rows, state.last_bar, state.unsettled, state.blocked) == (1, 60, (), None)
    assert state.gaps == (Gap(Window(120, 180), "absent", 1, 200, 200, 300),)
    new = sqlite3.connect(path)
    assert {table: new.execute(f"SELECT * FROM {table}").fetchall() for table in before} == before
    new.close()
