"""A file of accounts that is spoilt, in use or cannot be, and a Valkey that goes away: what engines do then."""

import sqlite3
import stat
import subprocess
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from signal import SIGCONT, SIGSTOP
from socket import gethostname

import pytest

from core.books import file as file_module
from core.books.file import RETRY_SECONDS, FileBook
from core.clock import LoopClock
from core.errors import ConfigError, LedgerAway
from core.ledger import Account, Report, Told, encode
from core.limits import Figures
from core.valkey import ValkeyServer
from tests.contract.shelves import open_other

ACCOUNT = "no key at 127.0.0.1:1"
TOLD = [Told({3_600: Figures(100, 10, 600)}, 0.0)]


class AheadClock(LoopClock):
    """Our clock, set forward when told to."""

    ahead = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead


class Users:
    """Engines of one user, who all have one file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.said: list[str] = []
        self.clock = AheadClock()
        self._books: list[FileBook] = []

    def book(self, engine: str) -> FileBook:
        made = FileBook(self.path, ACCOUNT, engine, self.clock, self.said.append)
        self._books.append(made)
        return made

    async def close(self) -> None:
        for book in self._books:
            await book.close()


@pytest.fixture
async def users(tmp_path: Path) -> AsyncIterator[Users]:
    made = Users(tmp_path / "state" / "quota.db")
    yield made
    await made.close()


async def assert_shared(users: Users) -> None:
    """Two engines that have just met count together."""
    one, two = users.book("one"), users.book("two")
    await one.exchange(Report(9, told=TOLD), 0)
    assert (await two.exchange(Report(0), 5)).calls == 1
    assert (await two.exchange(Report(1), 5)).calls == 0


async def test_the_file_is_the_users_alone(users: Users) -> None:
    await assert_shared(users)
    assert stat.S_IMODE(users.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(users.path.parent.stat().st_mode) == 0o700
    assert not [name for name in users.path.parent.iterdir() if "-wal" in name.name], "several processes write it"
    assert users.said == []


def spoil_with_garbage(path: Path) -> None:
    path.write_bytes(b"no database at all" * 500)


def spoil_in_the_middle(path: Path) -> None:
    """Sound at its beginning, and nonsense where the accounts are."""
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA application_id = {file_module.APPLICATION_ID}")
        db.execute(file_module.LAYOUT)
        db.execute("INSERT INTO account VALUES (?, x'00', 4e9)", (ACCOUNT,))
        db.commit()
    raw = path.read_bytes()
    path.write_bytes(raw[:4096] + b"\xff" * (len(raw) - 4096))


def put_another_programs(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("CREATE TABLE songs (name TEXT)")


def put_another_layout(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA application_id = {file_module.APPLICATION_ID}")
        db.execute("CREATE TABLE account (name TEXT, everything TEXT)")


@pytest.mark.parametrize("spoil", [spoil_with_garbage, spoil_in_the_middle, put_another_programs, put_another_layout])
async def test_a_file_that_is_not_ours_or_not_sound_is_put_aside(users: Users, spoil: object) -> None:
    users.path.parent.mkdir()
    assert callable(spoil)
    spoil(users.path)
    before = users.path.read_bytes()
    await assert_shared(users)
    assert users.path.with_name("quota.db.aside").read_bytes()[100:] == before[100:]
    assert users.said == []


async def test_a_file_that_is_spoilt_or_deleted_while_it_is_in_use_is_begun_anew(users: Users) -> None:
    one = users.book("one")
    await one.exchange(Report(0, told=TOLD), 0)
    users.path.unlink()
    await one.exchange(Report(0), 0)
    await assert_shared(users)
    spoil_with_garbage(users.path)
    await one.exchange(Report(0), 0)
    await assert_shared(users)


async def test_what_a_process_had_claimed_ends_with_it(users: Users) -> None:
    """While nobody knows the limits a claim holds everybody back; of other hosts nobody here can tell."""
    gone = subprocess.Popen(["true"])  # noqa: ASYNC220 - it does nothing
    gone.wait()
    for host, calls in ((gethostname(), 1), ("elsewhere", 0)):
        account = Account()
        account.exchange(f"dead {host} {gone.pid}", Report(0), 32, users.clock.wall())
        await users.book("one").exchange(Report(0), 0)
        with closing(sqlite3.connect(users.path, isolation_level=None)) as db:
            db.execute("UPDATE account SET state = ?", (encode(account),))
        assert (await users.book("two").exchange(Report(0), 32)).calls == calls


@pytest.mark.parametrize("state", [5, "x", b""])
async def test_an_account_that_is_none_is_learned_anew(users: Users, state: object) -> None:
    one = users.book("one")
    await one.exchange(Report(0, told=TOLD), 0)
    with closing(sqlite3.connect(users.path, isolation_level=None)) as db:
        db.execute("UPDATE account SET state = ?", (state,))
    assert (await one.exchange(Report(0), 5)).calls == 1


async def test_accounts_that_nobody_has_used_for_long_go(users: Users) -> None:
    await users.book("one").exchange(Report(0, told=TOLD), 0)
    with closing(sqlite3.connect(users.path, isolation_level=None)) as db:
        db.execute("INSERT INTO account VALUES ('old', '{}', 1e9)")
    await users.book("two").exchange(Report(0), 0)
    with closing(sqlite3.connect(users.path)) as db:
        assert db.execute("SELECT name FROM account").fetchall() == [(ACCOUNT,)]


async def test_where_there_can_be_no_file_an_engine_counts_alone_and_says_so_once(users: Users) -> None:
    users.path.parent.write_text("a file where a directory should be")
    one = users.book("one")
    assert (await one.exchange(Report(0), 32)).calls == 1
    assert (await one.exchange(Report(0, told=TOLD), 32)).calls == 5
    assert (await one.exchange(Report(10), 32)).calls == 0
    [line] = users.said
    assert "this engine counts alone" in line
    users.path.parent.unlink()
    users.clock.ahead += RETRY_SECONDS
    await one.exchange(Report(10, told=TOLD), 0)
    assert "together with other engines" in users.said[1]
    assert (await users.book("two").exchange(Report(0), 1)).calls == 0
    assert len(users.said) == 2


async def test_a_file_that_a_stopped_process_holds_is_waited_for(users: Users, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_module, "BUSY_SECONDS", 0.01)
    one = users.book("one")
    await one.exchange(Report(0, told=TOLD), 0)
    with closing(sqlite3.connect(users.path, isolation_level=None)) as stopped:
        stopped.execute("BEGIN EXCLUSIVE")
        with pytest.raises(LedgerAway, match="does not let go"):
            await one.exchange(Report(0), 1)
    assert (await one.exchange(Report(0), 1)).calls == 1
    assert users.said == []


@pytest.mark.slow
async def test_a_valkey_that_dies_is_said_once_and_so_is_its_return(mortal_valkey: ValkeyServer) -> None:
    said: list[str] = []
    book = open_other(mortal_valkey.url, "one", said=said)
    await book.exchange(Report(0, told=TOLD), 0)
    mortal_valkey.kill()
    for _ in range(6):
        with pytest.raises(LedgerAway, match="is away"):
            await book.exchange(Report(0), 1)
    mortal_valkey.start()
    await until_back(book)
    assert [("away" in line, "back" in line.rsplit(";")[0]) for line in said] == [(True, False), (False, True)]
    await book.close()


async def until_back(book: object) -> None:
    while True:
        try:
            await book.exchange(Report(0), 1)  # type: ignore[attr-defined]
        except LedgerAway:
            continue
        return


@pytest.mark.slow
async def test_a_valkey_that_hangs_is_away(mortal_valkey: ValkeyServer) -> None:
    book = open_other(mortal_valkey.url, "one")
    await book.exchange(Report(0, told=TOLD), 0)
    mortal_valkey.signal(SIGSTOP)
    with pytest.raises(LedgerAway, match="is away"):
        await book.exchange(Report(0), 1)
    mortal_valkey.signal(SIGCONT)
    assert (await book.exchange(Report(0), 1)).calls == 1
    await book.close()


async def test_a_valkey_that_may_not_be_written_is_away(mortal_valkey: ValkeyServer) -> None:
    book = open_other(f"redis://nobody:secret@127.0.0.1:{mortal_valkey.port}/0", "one")
    with pytest.raises(LedgerAway) as caught:
        await book.exchange(Report(0), 1)
    assert "secret" not in str(caught.value)
    await book.close()


def test_a_url_of_nothing_is_refused_without_its_password() -> None:
    with pytest.raises(ConfigError, match=r"quota\.ledger") as caught:
        open_other("redis://:secret@host:port/0", "one")
    assert "secret" not in str(caught.value)
