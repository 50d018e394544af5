"""`db diff` and `db copy` as they are run: one ingest gives the same in both databases, and it moves between them."""

import signal
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest
from e2e_program import Program, until

from core.stores.postgres import connected_database
from tests.services import run_sql

pytestmark = pytest.mark.slow

SERIES = "spot_ohlcv/kraken/BTC-USD/1m"
INGEST = (
    *("spot_ohlcv", "--market", "kraken", "--instrument", "BTC-USD,ETH-USD", "--interval", "1m"),
    *("--start", "2025-05-30", "--end", "2025-06-01"),
)


@pytest.fixture
def urls(tapewatch: Program, postgres_url: str) -> tuple[str, str]:
    """The program's SQLite file, and an empty PostgreSQL."""
    return f"sqlite:///{tapewatch.db}", postgres_url


def test_the_same_ingest_into_both_databases_is_the_same(tapewatch: Program, urls: tuple[str, str]) -> None:
    for url in urls:
        tapewatch("db", "migrate", code=0, TAPEWATCH_DB=url)
        assert tapewatch.ingest(*INGEST, TAPEWATCH_DB=url)["rows_inserted"] > 5_000
    found = tapewatch("db", "diff", *urls, "--only_values", "--output", "json", code=0).json
    assert (found["equal"], found["series"], found["differences"]) == (True, 2, [])
    assert found["rows_a"] == found["rows_b"] > 5_000


def test_copied_compared_changed_and_copied_again(tapewatch: Program, urls: tuple[str, str]) -> None:
    tapewatch.ingest(*INGEST)
    tapewatch("universe", "create", "mine", "--series", SERIES, "--interval", "1m", code=0)
    copied = tapewatch("db", "copy", *urls, "--output", "json", code=0)
    assert copied.json["rows_written"] == copied.json["rows"] > 5_000
    assert "all compared by digest" in copied.err
    assert "B had all of it" in tapewatch("db", "copy", *urls, code=0).err
    assert tapewatch("db", "diff", *urls, code=0).out == ""
    for look in (("series", "list"), ("gaps", "list"), ("universe", "show", "mine"), ("jobs", "list")):
        there, here = (tapewatch(*look, "--output", "json", code=0, TAPEWATCH_DB=url).json for url in urls)
        assert there == here
    with closing(sqlite3.connect(tapewatch.db)) as db, db:
        [ts] = db.execute("SELECT max(ts) - 60000 FROM spot_ohlcv WHERE series_id = 1").fetchone()
        db.execute("UPDATE spot_ohlcv SET close = -1.5 WHERE series_id = 1 AND ts = ?", (ts,))
        db.execute("DELETE FROM universe_series")
    told = tapewatch("db", "diff", *urls, code=1)
    assert "close -1.5 -> " in told.out
    assert "universe_series  universe=mine" in told.out
    lines = tapewatch("db", "diff", *urls, "--output", "jsonl", code=1).lines
    assert [line["table"] for line in lines[:-1]] == ["spot_ohlcv", "universe_series"]
    assert lines[0]["key"]["ts"] == ts
    assert lines[-1]["different"] == {"spot_ohlcv": 1, "universe_series": 1}
    narrow = ("--start", "2025-06-01", "--market", "kraken", "--interval", "1m", "--data_type", "spot-ohlcv")
    tapewatch("db", "diff", *urls, *narrow, code=0)
    again = tapewatch("db", "copy", *urls, "--output", "json", code=0).json
    assert 0 < again["rows_written"] <= 1_440
    assert again["records"] == {"universe_series": 1}
    tapewatch("db", "diff", *urls, code=0)


WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_a_copy_and_another_one_goes_on(
    tapewatch: Program, urls: tuple[str, str], number: int, code: int
) -> None:
    """Also one that waits in the database, here for a lock on the bars."""
    tapewatch.ingest(*INGEST)
    tapewatch("db", "migrate", code=0, TAPEWATCH_DB=urls[1])
    locked, over = threading.Event(), threading.Event()
    holding = threading.Thread(target=hold_bars, args=(urls[1], locked, over))
    holding.start()
    locked.wait(60)
    try:
        copying = tapewatch.start("db", "copy", *urls)
        until(lambda: run_sql(urls[1], WAITING)[0][0], "the copy waits")
        copying.signal(number)
        ended = copying.done()
    finally:
        over.set()
        holding.join()
    assert (ended.code, ended.err.splitlines()[-1]) == (code, "stopped; run it again and it goes on")
    tapewatch("db", "copy", *urls, code=0)
    tapewatch("db", "diff", *urls, code=0)


def hold_bars(url: str, locked: threading.Event, over: threading.Event) -> None:
    with connected_database(url) as db, db.transaction():
        db.execute("LOCK TABLE spot_ohlcv IN ACCESS EXCLUSIVE MODE")
        locked.set()
        over.wait(60)


@pytest.mark.parametrize(
    ("a", "b", "words"),
    [
        ("sqlite:///a.db", "postgresql://me:hunter2@127.0.0.1/x", "holds a password"),
        ("sqlite:///a.db", "postgresql://127.0.0.1/x?password=hunter2", "holds a password"),
        ("sqlite:///a.db", "sqlite:///./a.db", "the same database"),
        ("sqlite:///a.db", "mysql://x/y", "write sqlite:///FILE or postgresql://HOST/DATABASE"),
        ("a.db", "b.db", "write sqlite:///FILE"),
    ],
)
def test_mistakes_are_told(tapewatch: Program, a: str, b: str, words: str) -> None:
    for command in ("diff", "copy"):
        ended = tapewatch("db", command, a, b, code=2)
        assert words in ended.sentence
        assert "hunter2" not in ended.err


def test_a_store_that_is_not_there_is_not_made_by_looking(tapewatch: Program, tmp_path: Path) -> None:
    tapewatch.ingest(*INGEST[:-4], "--start", "2025-06-01T11:00")
    for command in (("db", "diff"), ("db", "copy")):
        ended = tapewatch(*command, f"sqlite:///{tmp_path}/none.db", f"sqlite:///{tapewatch.db}", code=3)
        assert "there is no store" in ended.sentence
    assert not (tmp_path / "none.db").exists()
    assert not list(tmp_path.glob("none*"))
