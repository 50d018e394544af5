"""Files that are not ours to write: each is refused in a sentence, and left as it was."""

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from e2e_program import NOW_TS, Processes, Program, Sandbox, until

pytestmark = pytest.mark.slow

INGEST = ("spot_ohlcv", "--market", "kraken", "--instrument", "BTC-USD", "--start", "2025-05-01", "--end", "2025-05-08")
COMMANDS = {
    "ingest": INGEST,
    "dry run": (*INGEST, "--dry_run"),
    "status": ("status", "--check"),
    "series": ("series", "list"),
    "drop": ("series", "drop", "spot_ohlcv/kraken/BTC-USD/1d", "--yes"),
}


def sql(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as db:
        for statement in statements:
            db.execute(statement)
        db.commit()


def foreign(path: Path) -> None:
    sql(path, "CREATE TABLE albums (id INTEGER, title TEXT)", "INSERT INTO albums VALUES (1, 'Kind of Blue')")


def text(path: Path) -> None:
    path.write_text("Dear diary,\n" * 200)


def newer(path: Path) -> None:
    sql(path, f"INSERT INTO migration VALUES (9999, '9999_future.sql', 'x', {NOW_TS})")


def changed(path: Path) -> None:
    sql(path, "UPDATE migration SET sha256 = 'x'")


REFUSED = {
    "another program's database": (foreign, "another program (albums"),
    "a text file": (text, "not an SQLite database"),
    "a newer version's database": (newer, "newer Tapewatch (schema 9999)"),
    "a changed migration": (changed, "differs from the one that made this database"),
}


@pytest.fixture(scope="module")
def own(market: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of ours, closed."""
    folder: Path = tmp_path_factory.mktemp("own")
    processes = Processes(folder)
    Program(processes, folder / "own.db", market).ingest(*INGEST)
    processes.close()
    return folder / "own.db"


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("kind", REFUSED)
def test_a_file_of_another_kind_is_refused_and_untouched(
    tapewatch: Program, own: Path, kind: str, command: str
) -> None:
    make, fragment = REFUSED[kind]
    market = tapewatch.sandbox
    assert market is not None
    if make in {newer, changed}:
        shutil.copy(own, tapewatch.db)
    make(tapewatch.db)
    before, mark = tapewatch.db.read_bytes(), len(market.calls)
    ended = tapewatch(*COMMANDS[command], code=3 if command == "status" else 2)
    assert fragment in ended.out + ended.err
    assert str(tapewatch.db) in ended.out + ended.err
    assert tapewatch.db.read_bytes() == before
    # A reader of a database in WAL mode makes an empty one.
    wal = tapewatch.db.with_name(tapewatch.db.name + "-wal")
    assert not wal.exists() or wal.stat().st_size == 0
    assert [call for call in market.since(mark) if call.is_history] == []


def test_another_origin_is_refused_naming_both(tapewatch: Program) -> None:
    tapewatch.ingest(*INGEST)
    other = tapewatch.on(tapewatch.processes.sandbox(seed=8))
    before = tapewatch.store.table("spot_ohlcv_1d")
    for command in (("spot_ohlcv", "--market", "kraken", "--pair_limit", "2"), (*INGEST, "--full_refresh")):
        ended = other(*command, code=2)
        assert "sandbox:7" in ended.err
        assert "sandbox:8" in ended.err
        assert "--db" in ended.err
    dry = other("spot_ohlcv", "--market", "kraken", "--pair_limit", "2", "--dry_run", code=2)
    assert "sandbox:7" in dry.err
    assert "sandbox:8" in dry.err
    assert tapewatch.store.table("spot_ohlcv_1d") == before
    assert tapewatch.store.one("SELECT value FROM meta WHERE name = 'origin'") == "sandbox:7"


def test_a_recording_is_another_origin(tapewatch: Program) -> None:
    tapewatch.ingest(*INGEST)
    recorded = Path(__file__).parent / "recorded"
    other = tapewatch.on(tapewatch.processes.sandbox(replay=recorded))
    ended = other(
        *(
            "spot_ohlcv",
            "--market",
            "testex",
            "--instrument",
            "ABC-EUR",
            "--start",
            "2023-12-31",
            "--end",
            "2024-01-06",
        ),
        code=2,
    )
    assert "sandbox:7" in ended.err
    assert "replay" in ended.err


@pytest.mark.parametrize("command", ["ingest", "dry run"])
def test_a_directory_that_does_not_exist(tapewatch: Program, command: str) -> None:
    place = tapewatch.db.parent / "nowhere"
    ended = tapewatch(*COMMANDS[command], TAPEWATCH_DB=f"sqlite:///{place}/x.db")
    assert ended.code in {2, 3}
    assert f"the directory {place} does not exist" in ended.sentence
    assert not place.exists()


def test_a_directory_as_a_database(tapewatch: Program) -> None:
    tapewatch.db.mkdir()
    ended = tapewatch(*INGEST)
    assert ended.code in {2, 3}
    assert "is not a regular file" in ended.sentence
    assert list(tapewatch.db.iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_that_may_not_be_written(tapewatch: Program) -> None:
    place = tapewatch.db.parent / "closed"
    place.mkdir(mode=0o500)
    ended = tapewatch(*INGEST, TAPEWATCH_DB=f"sqlite:///{place}/x.db")
    assert ended.code in {2, 3}
    assert str(place) in ended.sentence


def test_a_lock_that_is_a_link_is_not_followed(tapewatch: Program) -> None:
    victim = tapewatch.db.with_name("victim")
    victim.write_text("precious")
    tapewatch.db.with_name(tapewatch.db.name + ".lock").symlink_to(victim)
    ended = tapewatch(*INGEST)
    assert ended.code in {2, 3}
    assert ended.err.count("error: ") == 1
    assert victim.read_text() == "precious"


def test_a_disk_that_is_full_is_waited_for_in_words(tapewatch: Program) -> None:
    """A cap on the size of files does what a full disk does; what was committed before is whole."""
    tapewatch.ingest(*INGEST)
    before = tapewatch.store.table("spot_ohlcv_1d")
    instruments = ("--market", "kraken", "--instrument", "ETH-USD,SOL-USD")
    command = ("spot_ohlcv", *instruments, "--interval", "1h", "--start", "2024-06-01")
    run = tapewatch.limited(*command, "--output", "json", file_size=1_600_000)
    run.says("for the store: the database cannot be written for now")
    assert run.is_running
    assert tapewatch.store.is_sound
    assert [row for row in tapewatch.store.table("spot_ohlcv_1d") if row["instrument"] == "BTC-USD"] == before
    run.lift_limits()
    run.says("the store is back")
    ended = run.done()
    assert ended.code == 0
    assert ended.json["status"] == "complete"
    assert tapewatch.store.is_sound
    assert tapewatch.store.one("SELECT count(*) FROM spot_ohlcv_1h") == ended.json["rows_inserted"]
    alert = "SELECT level || ' ' || state FROM alert WHERE rule = 'store_unavailable'"
    assert tapewatch.store.one(alert) == "CRITICAL resolved"


def test_a_file_that_is_replaced_during_a_run_is_left_alone(tapewatch: Program) -> None:
    program = tapewatch.on(tapewatch.processes.sandbox(latency=200))
    assert program.sandbox is not None
    sandbox = program.sandbox
    command = ("--market", "kraken", "--instrument", "BTC-USD,ETH-USD", "--interval", "1h", "--start", "2024-01-01")
    run = program.start("spot_ohlcv", *command, "--output", "json")
    until(lambda: len(sandbox.history) > 3 or not run.is_running, "some windows")
    tapewatch.db.rename(tapewatch.db.with_name("aside"))
    tapewatch.db.write_bytes(b"theirs")
    ended = run.done()
    assert ended.code == 3
    assert ended.json["status"] == "failed"
    assert "deleted, moved or replaced while it was in use" in ended.err
    assert tapewatch.db.read_bytes() == b"theirs"


def test_a_relative_path_is_relative(tapewatch: Program) -> None:
    tapewatch(*INGEST, "--db", "sqlite:///here.db", code=0)
    assert (tapewatch.db.parent / "here.db").exists()


def test_the_default_place_is_private(tapewatch: Program) -> None:
    tapewatch(*INGEST, code=0, TAPEWATCH_DB="")
    place = tapewatch.processes.folder / "home" / "data" / "tapewatch"
    assert (place / "tapewatch.db").exists()
    assert place.stat().st_mode & 0o777 == 0o700
