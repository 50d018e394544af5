"""One engine a file: who comes second hears who is there, whatever user or version that is; and nobody else writes."""

import os
import pwd
import sqlite3
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from core.cli.engines import open_connection
from core.errors import EngineUnreachable, StoreBusy, StoreError
from core.events import PROTOCOL
from core.stores.lock import EngineLock, Holder, lock_path, login_name

IS_ROOT = os.geteuid() == 0
NOBODY = "nobody"


def holder(**fields: object) -> Holder:
    given = {"pid": 4_711, "kind": "command", "socket": "/nowhere.sock", "protocol": PROTOCOL, "since": 1.0}
    return Holder(**{**given, **fields})  # type: ignore[arg-type]


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that every user may write to, and where nobody may take what is another's."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o1777)
        yield Path(folder)


def as_nobody(work: Callable[[], object]) -> str:
    """What `work` raises in words, or returns, in a process of that user."""
    user = pwd.getpwnam(NOBODY)
    source, sink = os.pipe()
    if (child := os.fork()) == 0:
        try:
            os.setgroups([])
            os.setgid(user.pw_gid)
            os.setuid(user.pw_uid)
            said = _outcome(work)
            os.write(sink, said.encode())
        finally:
            os._exit(0)
    os.close(sink)
    with os.fdopen(source) as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return said


def _outcome(work: Callable[[], object]) -> str:
    try:
        return str(work())
    except StoreError as error:
        return f"{type(error).__name__}: {error}"
    except BaseException:
        return traceback.format_exc()


def acquire(path: Path) -> None:
    EngineLock(str(path)).acquire(holder())


@pytest.mark.skipif(not IS_ROOT, reason="takes two users")
def test_another_user_hears_whose_the_store_is(place: Path) -> None:
    mine = EngineLock(str(place / "x.db"))
    mine.acquire(holder(user="root"))
    path = lock_path(str(place / "x.db"))
    busy = as_nobody(lambda: acquire(place / "x.db"))
    assert busy == f"StoreBusy: the store is held by a command of user root, pid 4711 ({path})"
    mine.release()
    refused = as_nobody(lambda: acquire(place / "x.db"))
    assert refused.startswith(f"StoreError: --db: {path} belongs to user root, and you may not write to it")


@pytest.mark.skipif(not IS_ROOT, reason="takes two users")
def test_root_waits_for_a_user_too(place: Path) -> None:
    """A lock that is free is taken whoever made it; one that is held is named."""
    assert as_nobody(lambda: acquire(place / "x.db")) == "None"
    lock = EngineLock(str(place / "x.db"))
    lock.acquire(holder(user="root"))
    with pytest.raises(StoreBusy, match="of user root, pid 4711"):
        acquire(place / "x.db")
    lock.release()


@pytest.mark.skipif(not IS_ROOT, reason="takes two users")
def test_a_directory_that_another_user_may_not_write_to(place: Path) -> None:
    place.chmod(0o755)
    assert as_nobody(lambda: acquire(place / "x.db")).endswith("cannot be written: permission denied")


async def test_an_engine_of_another_version_is_named() -> None:
    with pytest.raises(EngineUnreachable, match=rf"pid 4711, user ann\) speaks version 99 .* this command {PROTOCOL}"):
        await open_connection(holder(protocol=99, user="ann"))


async def test_an_engine_of_another_user_is_named() -> None:
    with pytest.raises(EngineUnreachable, match=r"pid 4711\) is user ann's: ask as that user"):
        await open_connection(holder(user="ann"))
    with pytest.raises(EngineUnreachable, match=r"nowhere\.sock"):
        await open_connection(holder(user=login_name()))


def opened(pid: int, path: Path) -> list[int]:
    """The modes in which a process has a file open: os.O_RDONLY, os.O_RDWR ..."""
    found = []
    for link in Path(f"/proc/{pid}/fd").iterdir():
        if link.exists() and link.resolve() == path.resolve():
            flags = (Path(f"/proc/{pid}/fdinfo") / link.name).read_text().split("flags:")[1].split()[0]
            found.append(int(flags, 8) & os.O_ACCMODE)
    return found


WRITER = """
import asyncio, random, sys
from core.stores.opening import open_store
from tests.contract.test_leases import KEYS, answer

async def main(url, seed, rounds):
    chance = random.Random(seed)
    store = await open_store(url)
    states = await store.series("coindesk", KEYS)
    print("ready", flush=True)
    sys.stdin.readline()
    for at in range(rounds):
        state = chance.choice(states)
        await store.commit(answer(state, start=180 * chance.randrange(200), sent_at=1000 + at))
    print("done", flush=True)
    sys.stdin.readline()
    await store.close()

asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
"""
READER = """
import select, sys
from core.stores.opening import reading

url, looks = sys.argv[1], 0
print("ready", flush=True)
sys.stdin.readline()
while not select.select([sys.stdin], [], [], 0)[0]:
    with reading(url) as reader, reader._db.snapshot():
        [bars] = reader._db.execute("SELECT count(*) FROM spot_ohlcv").fetchone()
        [told] = reader._db.execute("SELECT sum(rows) FROM series").fetchone()
        [kept] = reader._db.execute('SELECT coalesce(sum("end" - start) / 60, 0) FROM coverage').fetchone()
        assert bars == told == kept, (bars, told, kept)
        looks += 1
        if looks == 1:
            print("looking", flush=True)
            sys.stdin.readline()
print("looked", looks, flush=True)
"""


class Child:
    """A Python process that waits for a line where its script says so."""

    def __init__(self, script: str, *arguments: object) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", script, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )

    def hear(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def go(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


def hammer(path: Path, seed: int, rounds: int) -> None:
    """An engine writes and a reader looks as fast as they can; each look is of one moment, and the file stays sound."""
    url = f"sqlite:///{path}"
    children = [Child(WRITER, url, seed, rounds)]
    try:
        [writer] = children
        assert writer.hear() == "ready"
        children.append(Child(READER, url))
        reader = children[1]
        assert reader.hear() == "ready"
        reader.go()
        assert reader.hear() == "looking"
        if sys.platform == "linux":
            # SQLite before 3.51.3 can corrupt a WAL that two connections write or checkpoint: here only one can.
            assert opened(writer.process.pid, path) == [os.O_RDWR]
            assert opened(reader.process.pid, path) == [os.O_RDONLY]
        reader.go()
        writer.go()
        assert writer.hear() == "done"
        reader.go()
        assert reader.hear().startswith("looked ")
        assert reader.process.wait(30) == 0
        writer.go()
        assert writer.process.wait(30) == 0
    finally:
        for child in children:
            child.end()
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@pytest.mark.slow
def test_one_writes_and_others_only_look(tmp_path: Path, seed: int) -> None:
    hammer(tmp_path / "x.db", seed, 300)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_one_writes_and_others_only_look_for_a_minute(tmp_path: Path, seed: int) -> None:
    hammer(tmp_path / "x.db", seed, 100_000)
