"""Copies of an SQLite file: of one moment, whole or not at all, and one before every migration."""

import os
import random
import sqlite3
import stat
import threading
from contextlib import closing
from pathlib import Path

import pytest

from core.errors import ConfigError, OutputError, StoreBusy, StoreError
from core.stores import migrate as migrations_module
from core.stores.copies import appearing, check_target, copy_file, keep_before_migrating
from core.stores.migrate import Migration, migrate, migrations
from core.stores.sqlite import bring_up_to_date
from core.stores.sqlite_connection import SQLiteDatabase, connect
from core.stores.upgrade import rehearse

ACCOUNTS, MONEY = 2_000, 1_000


def silent(_done: int, _whole: int) -> None:
    """Progress that nobody looks at."""


def bank(path: Path) -> SQLiteDatabase:
    """Accounts whose sum is always the same; wide rows, so that there are many pages."""
    db = connect(str(path))
    db.execute("PRAGMA journal_mode = WAL").fetchall()
    db.execute("CREATE TABLE account (id INTEGER PRIMARY KEY, amount INTEGER, filler TEXT)")
    with db.transaction():
        db.executemany("INSERT INTO account VALUES (?, ?, ?)", [(n, MONEY, "x" * 3_000) for n in range(ACCOUNTS)])
    return db


def total(path: Path) -> int:
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return int(db.execute("SELECT sum(amount) FROM account").fetchone()[0])


def test_a_copy_is_of_one_moment_while_another_connection_writes(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    db = bank(tmp_path / "a.db")
    steps = []

    def transfer(done: int, whole: int) -> None:
        """Between any two steps of the copying somebody moves money from an early page to a late one, and back."""
        one, other = chance.sample(range(ACCOUNTS), 2)
        with db.transaction():
            db.execute("UPDATE account SET amount = amount - 7 WHERE id = ?", (one,))
            db.execute("UPDATE account SET amount = amount + 7 WHERE id = ?", (other,))
        steps.append((done, whole))

    copy_file(str(tmp_path / "a.db"), tmp_path / "b.db", transfer)
    db.close()
    assert len(steps) > 1
    assert steps[-1][0] == steps[-1][1]
    assert total(tmp_path / "b.db") == total(tmp_path / "a.db") == ACCOUNTS * MONEY
    with closing(sqlite3.connect(tmp_path / "b.db")) as copy:
        # All of it is from before the first transfer.
        assert copy.execute("SELECT count(*) FROM account WHERE amount <> ?", (MONEY,)).fetchone() == (0,)


def test_what_is_interrupted_leaves_nothing(tmp_path: Path) -> None:
    bank(tmp_path / "a.db").close()

    def interrupt(_done: int, _whole: int) -> None:
        raise KeyboardInterrupt

    (tmp_path / "b.db").write_text("the backup of yesterday")
    with pytest.raises(KeyboardInterrupt):
        copy_file(str(tmp_path / "a.db"), tmp_path / "b.db", interrupt)
    assert (tmp_path / "b.db").read_text() == "the backup of yesterday"
    assert {path.name for path in tmp_path.iterdir()} <= {"a.db", "a.db-wal", "a.db-shm", "b.db"}


def test_a_damaged_database_has_no_backup(tmp_path: Path, seed: int) -> None:
    bank(tmp_path / "a.db").close()
    chance = random.Random(seed)
    with (tmp_path / "a.db").open("r+b") as file:
        # The first page of the table's tree, which every look at it needs.
        file.seek(4_096)
        file.write(chance.randbytes(2_048))
    with pytest.raises(StoreError, match=r"damaged|malformed"):
        copy_file(str(tmp_path / "a.db"), tmp_path / "b.db", silent)
    assert not (tmp_path / "b.db").exists()
    assert not list(tmp_path.glob(".*"))


def test_a_copy_is_no_more_readable_than_the_original(tmp_path: Path) -> None:
    bank(tmp_path / "a.db").close()
    (tmp_path / "a.db").chmod(0o640)
    copy_file(str(tmp_path / "a.db"), tmp_path / "b.db", silent)
    assert stat.S_IMODE((tmp_path / "b.db").stat().st_mode) == 0o640


def test_what_a_killed_process_left_is_taken_over(tmp_path: Path) -> None:
    (tmp_path / ".b.part").write_bytes(b"half a fi")
    with appearing(tmp_path / "b") as hidden:
        assert hidden.read_bytes() == b""
        assert stat.S_IMODE(hidden.stat().st_mode) & 0o077 == 0 or hidden.stat().st_uid == os.getuid()
        hidden.write_bytes(b"all of it")
    assert [path.name for path in tmp_path.iterdir()] == ["b"]
    assert (tmp_path / "b").read_bytes() == b"all of it"


def test_two_at_once_do_not_mix(tmp_path: Path) -> None:
    refused = []

    def second() -> None:
        try:
            with appearing(tmp_path / "b"):
                pass
        except StoreBusy as busy:
            refused.append(str(busy))

    with appearing(tmp_path / "b") as hidden:
        hidden.write_bytes(b"one")
        thread = threading.Thread(target=second)
        thread.start()
        thread.join()
    assert len(refused) == 1
    assert (tmp_path / "b").read_bytes() == b"one"


def test_a_link_in_place_of_the_hidden_file_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("do not truncate")
    (tmp_path / ".b.part").symlink_to(tmp_path / "precious")
    with pytest.raises(OutputError, match="symbolic link"), appearing(tmp_path / "b"):
        pass
    assert (tmp_path / "precious").read_text() == "do not truncate"


def test_where_a_copy_must_not_go(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("x")
    (tmp_path / "folder").mkdir()
    (tmp_path / "used-wal").write_text("frames of another database")
    check_target(tmp_path / "new", force=False)
    check_target(tmp_path / "old", force=True)
    for path, force, words in [
        (tmp_path / "old", False, "--force"),
        (tmp_path / "folder", True, "not a regular file"),
        (tmp_path / "none" / "new", True, "create it first"),
        (tmp_path / "used", True, "used-wal is there"),
    ]:
        with pytest.raises(ConfigError, match=words):
            check_target(path, force=force)


# --- before migrating


NEXT = len(migrations()) + 1


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store of the first schema with a row; the program knows one more than it really does."""
    known = migrations()
    monkeypatch.setattr(migrations_module, "migrations", lambda dialect: known[:1])
    db = connect(str(tmp_path / "a.db"))
    migrate(db, 0)
    db.execute("INSERT INTO meta VALUES ('origin', 'somebody')")
    db.close()
    more = Migration(len(known) + 1, "9999_more.sql", "CREATE TABLE more (x);\n")
    monkeypatch.setattr(migrations_module, "migrations", lambda dialect: [*known, more])
    return tmp_path / "a.db"


def dump(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as db:
        return list(db.iterdump())


def test_a_file_with_rows_is_copied_before_it_is_migrated(old: Path) -> None:
    before = dump(old)
    with closing(connect(str(old))) as db:
        done = bring_up_to_date(db, 5)
        assert (done.before, [migration.version for migration in done.applied]) == (1, list(range(2, NEXT + 1)))
        assert bring_up_to_date(db, 6).copy is None
    assert done.copy == old.with_name(f"a.db.before-schema-{NEXT}")
    assert dump(done.copy) == before
    assert dump(old) != before


def test_a_new_file_is_not_copied(tmp_path: Path) -> None:
    with closing(connect(str(tmp_path / "a.db"))) as db:
        assert bring_up_to_date(db, 5).copy is None
    with closing(connect(":memory:")) as db:
        assert bring_up_to_date(db, 5).copy is None
    assert [path.name for path in tmp_path.iterdir()] == ["a.db"]


def test_a_copy_that_is_there_is_not_overwritten(old: Path) -> None:
    first, second = (old.with_name(f"a.db.before-schema-{NEXT}{end}") for end in ("", ".2"))
    with closing(connect(str(old))) as db:
        assert keep_before_migrating(db, NEXT) == first
        # The migration did not happen, and nothing did since: the same copy will do.
        assert keep_before_migrating(db, NEXT) == first
        db.execute("INSERT INTO meta VALUES ('more', 'x')")
        assert keep_before_migrating(db, NEXT) == second
        assert keep_before_migrating(db, NEXT) == second
    assert "more" in "".join(dump(second))
    assert "more" not in "".join(dump(first))


def test_without_room_for_a_copy_nothing_is_migrated(old: Path) -> None:
    before = dump(old)
    (old.parent / f".a.db.before-schema-{NEXT}.part").mkdir()
    with closing(connect(str(old))) as db, pytest.raises(StoreError, match="not migrated"):
        bring_up_to_date(db, 5)
    assert dump(old) == before


def test_a_rehearsal_tells_the_statements_and_makes_nothing(old: Path) -> None:
    before = old.read_bytes()
    steps = rehearse(f"sqlite:///{old}")
    assert steps[-1].statement == "CREATE TABLE more (x);\n"
    assert {step.locks for step in steps} == {(("WRITE", "the whole file"),)}
    assert {step.locks for step in rehearse(f"sqlite:///{old.with_name('new.db')}")} == {()}
    assert old.read_bytes() == before
    assert [path.name for path in old.parent.iterdir()] == ["a.db"]


def test_a_false_alarm_of_sqlite_3_40_is_none(tmp_path: Path) -> None:
    """It takes the last column of the key for one that is NULL, in every row of such a table."""
    with closing(connect(str(tmp_path / "a.db"))) as db:
        db.execute(
            'CREATE TABLE widened (s INTEGER NOT NULL, g TEXT NOT NULL, "end" INTEGER NOT NULL, at INTEGER NOT NULL, '
            "PRIMARY KEY (s, g, at)) STRICT, WITHOUT ROWID"
        )
        db.execute("INSERT INTO widened VALUES (1, 'TRADE', 60, 5)")
    copy_file(str(tmp_path / "a.db"), tmp_path / "b.db", silent)
    with closing(connect(str(tmp_path / "b.db"))) as db:
        assert db.execute("SELECT * FROM widened").fetchall() == [(1, "TRADE", 60, 5)]
