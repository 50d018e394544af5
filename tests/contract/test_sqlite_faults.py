"""SQLite with a disk that fails, others that hold the file, and a file that goes away."""

import asyncio
import resource
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from test_store import Bench, answer, counts, opened, series

from core.datasets import SPOT_OHLCV
from core.errors import StoreError, StoreUnavailable
from core.stores import patience
from core.stores.copies import FALSE_ALARM
from core.stores.database import Database
from core.stores.sqlite import SQLiteStore


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "FIRST_SECONDS", 0.01)
    monkeypatch.setattr(patience, "LONGEST_SECONDS", 0.05)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
async def bench(path: Path) -> AsyncIterator[Bench]:
    made = Bench(f"sqlite:///{path}")
    async with opened(made):
        yield made


@pytest.fixture
def said(bench: Bench) -> asyncio.Queue[str]:
    heard: asyncio.Queue[str] = asyncio.Queue()
    bench.store.patience.say = heard.put_nowait
    return heard


def seen(path: Path) -> int:
    """How many bars another process finds."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        assert {fault for (fault,) in db.execute("PRAGMA integrity_check")} <= {"ok", FALSE_ALARM}
        return int(db.execute("SELECT count(*) FROM spot_ohlcv").fetchone()[0])


async def test_a_file_that_another_locks_is_waited_for(bench: Bench, path: Path, said: asyncio.Queue[str]) -> None:
    state = await series(bench.store)
    await bench.query("PRAGMA busy_timeout = 10")
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        late = asyncio.create_task(bench.store.commit(answer(state)))
        assert "locked" in await said.get()
        other.execute("COMMIT")
        assert counts(await late) == (3, 0, 0, 0)
    assert await said.get() == ""


@contextmanager
def small_files(size: int) -> Iterator[None]:
    """No file of this process grows beyond `size`: an I/O error."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_a_disk_that_fails_is_waited_for(bench: Bench, path: Path, said: asyncio.Queue[str]) -> None:
    state = await series(bench.store)
    await bench.store.commit(answer(state))
    commit = answer(state, bars=20_000, groups=SPOT_OHLCV.groups)
    with small_files(600_000):
        late = asyncio.create_task(bench.store.commit(commit))
        assert "cannot be written for now" in await said.get()
        assert not late.done()
    written = await late
    assert (written.inserted, written.state.rows) == (19_997, 20_000)
    assert await said.get() == ""
    assert seen(path) == 20_000


async def test_after_an_io_error_the_file_is_opened_anew(bench: Bench, path: Path, said: asyncio.Queue[str]) -> None:
    state = await series(bench.store)
    await bench.store.commit(answer(state))
    found: list[Database] = []

    def fail_once(db: Database) -> int:
        found.append(db)
        if len(found) == 1:
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
            raise error
        return int(db.execute("SELECT count(*) FROM spot_ohlcv").fetchone()[0])

    assert await bench.store._db.run(fail_once) == 3
    assert found[0] is not found[1]
    assert [await said.get(), await said.get()] == ["the database cannot be written for now: disk I/O error", ""]
    assert await bench.query("PRAGMA synchronous") == [(2,)]
    assert await bench.query("PRAGMA journal_mode") == [("wal",)]
    assert counts(await bench.store.commit(answer(state, bars=4))) == (1, 0, 3, 0)


async def test_who_does_not_wait_is_told(bench: Bench) -> None:
    state = await series(bench.store)
    bench.store.patience.is_over = True
    with small_files(100_000), pytest.raises(StoreUnavailable):
        await bench.store.commit(answer(state, bars=5_000, groups=SPOT_OHLCV.groups))
    assert counts(await bench.store.commit(answer(state))) == (3, 0, 0, 0)


@pytest.mark.parametrize("how", ["deleted", "moved", "replaced"])
async def test_a_file_that_is_gone_is_not_written_to(
    bench: Bench, path: Path, said: asyncio.Queue[str], how: str
) -> None:
    state = await series(bench.store)
    await bench.store.commit(answer(state))
    other = path.with_name("other.db")
    if how == "deleted":
        path.unlink()
    else:
        path.rename(other)
    if how == "replaced":
        with closing(sqlite3.connect(path)) as db:
            db.execute("CREATE TABLE theirs (a)")
            db.commit()
    before = path.read_bytes() if path.exists() else None
    with pytest.raises(StoreError, match="deleted, moved or replaced") as raised:
        await bench.store.commit(answer(state, start=600))
    assert not isinstance(raised.value, StoreUnavailable)
    assert str(path) in str(raised.value)
    assert said.empty()
    await bench.close()
    assert (path.read_bytes() if path.exists() else None) == before


async def test_a_file_that_is_put_back_is_the_same(bench: Bench, path: Path) -> None:
    state = await series(bench.store)
    path.rename(path.with_name("aside"))
    with pytest.raises(StoreError, match="deleted, moved or replaced"):
        await bench.store.commit(answer(state))
    path.with_name("aside").rename(path)
    assert counts(await bench.store.commit(answer(state))) == (3, 0, 0, 0)


async def test_a_log_that_was_deleted_takes_nothing_with_it(bench: Bench, path: Path) -> None:
    """What is written to an unlinked log nobody else would ever see."""
    state = await series(bench.store)
    await bench.store.commit(answer(state))
    path.with_name(f"{path.name}-wal").unlink()
    assert counts(await bench.store.commit(answer(state, bars=4))) == (1, 0, 3, 0)
    assert seen(path) == 4


async def test_a_directory_that_cannot_be_written_is_said_at_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may write everywhere, so the library says it here."""

    def read_only(*_: object, **__: object) -> sqlite3.Connection:
        error = sqlite3.OperationalError("attempt to write a readonly database")
        error.sqlite_errorcode = sqlite3.SQLITE_READONLY_DIRECTORY
        raise error

    monkeypatch.setattr("core.stores.sqlite.connect", read_only)
    with pytest.raises(StoreError, match="readonly") as raised:
        await SQLiteStore.open(f"sqlite:///{path}")
    assert str(path) in str(raised.value)
    assert not isinstance(raised.value, StoreUnavailable)
