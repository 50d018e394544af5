"""An account's calls in a small SQLite file, for all engines of one user on one host.

Never with a write-ahead log: several processes write, and SQLite 3.7.0 to 3.51.2 can corrupt a file by that. Nor is
the disk waited for: what a power cut forgets or spoils the next answer tells again. A file that is not ours, or not
sound, is put aside; where there can be none, an engine counts alone and looks again each minute. What an engine had
claimed ends with its process.
"""

import asyncio
import fcntl
import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from socket import gethostname
from typing import TypeVar

from core.books import Say
from core.breaker import Breaker
from core.clock import Clock
from core.errors import LedgerAway
from core.ledger import Account, Grant, Report, decode, encode

T = TypeVar("T")
BUSY_SECONDS = 5.0
RETRY_SECONDS = 60.0
# Longer than any limit lasts.
KEPT_SECONDS = 40 * 86_400.0
APPLICATION_ID = 0x54575131
LAYOUT = """
CREATE TABLE IF NOT EXISTS account (name TEXT PRIMARY KEY, state BLOB NOT NULL, used_at REAL NOT NULL) WITHOUT ROWID
"""
WRITE = "INSERT INTO account VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE SET state = ?2, used_at = ?3"
SPOILT = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)  # the last for another layout
IN_USE = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


class FileBook:
    """Implements `core.books.OpenBook`. What SQLite does happens in a thread of its own."""

    def __init__(self, path: Path, account: str, engine: str, clock: Clock, say: Say) -> None:
        self._file = _File(path, clock)
        self._account = account
        self._engine = f"{engine} {gethostname()} {os.getpid()}"
        self._clock = clock
        self._say = say
        self._alone = Account()
        self._breaker = Breaker(failures=1, wait=RETRY_SECONDS)
        self._thread = ThreadPoolExecutor(1, "quota")

    async def exchange(self, report: Report, wanted: int) -> Grant:
        """Raises LedgerAway while another process keeps the file to itself, as one that was stopped may."""
        if self._breaker.allows(self._clock.monotonic()):
            try:
                grant = await self._in_thread(lambda: self._file.run(partial(self._exchange, report, wanted)))
            except (sqlite3.Error, OSError) as error:
                self._failed(error)
            else:
                if self._breaker.succeeded():
                    self._say(f"calls are counted in {self._file.path} again, together with other engines")
                return grant
        return self._alone.exchange(self._engine, report, wanted, self._clock.wall())

    async def close(self) -> None:
        await self._in_thread(self._file.close)
        self._thread.shutdown(wait=False)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _exchange(self, report: Report, wanted: int, db: sqlite3.Connection) -> Grant:
        found = db.execute("SELECT state FROM account WHERE name = ?", (self._account,)).fetchone()
        account, now = decode(found[0]) if found else Account(), self._clock.wall()
        account.bury(_has_died, now)
        grant = account.exchange(self._engine, report, wanted, now)
        db.execute(WRITE, (self._account, encode(account), now))
        return grant

    def _failed(self, error: sqlite3.Error | OSError) -> None:
        path = self._file.path
        if _code(error) in IN_USE:
            raise LedgerAway(f"calls are counted in {path}, which another process does not let go of") from error
        if self._breaker.failed(self._clock.monotonic()):
            self._alone = Account()
            self._say(f"calls cannot be counted in {path} ({error}): this engine counts alone, others may send as many")


class _File:
    """The file of accounts, opened when needed. Raises sqlite3.Error and OSError. For one thread."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self.path = path
        self._clock = clock
        self._db: sqlite3.Connection | None = None
        self._is: tuple[int, int] | None = None

    def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """`work` within a transaction, while nobody else reads or writes; a file that is spoilt is put aside first."""
        try:
            return self._once(work)
        except sqlite3.DatabaseError as error:
            if _code(error) not in SPOILT:
                raise
        self._put_aside()
        return self._once(work)

    def close(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            db.close()

    def _once(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            db = self._begun()
            done = work(db)
            db.execute("COMMIT")
        except BaseException:
            self.close()  # which rolls back
            raise
        return done

    def _begun(self) -> sqlite3.Connection:
        while True:
            if self._db is None or self._is != _identity(self.path):
                self.close()
                self._db = self._open()
            self._db.execute("BEGIN IMMEDIATE")
            if self._is == _identity(self.path):
                return self._db
            self.close()  # it was put aside while we waited for it

    def _open(self) -> sqlite3.Connection:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # One that is there is left to SQLite: closing it here would take away the locks of this process.
        with suppress(FileExistsError):
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        self._is = _identity(self.path)
        db = sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            self._prepare(db)
        except BaseException:
            db.close()
            raise
        return db

    def _prepare(self, db: sqlite3.Connection) -> None:
        """Raises sqlite3.DatabaseError with a code of SPOILT for a file of somebody else's."""
        if db.execute("PRAGMA journal_mode = TRUNCATE").fetchone() != ("truncate",):
            raise _spoilt("it has a write-ahead log")
        db.execute("PRAGMA synchronous = OFF")
        db.execute("BEGIN IMMEDIATE")
        [owner] = db.execute("PRAGMA application_id").fetchone()
        if owner not in {0, APPLICATION_ID} or (owner == 0 and db.execute("SELECT 1 FROM sqlite_master").fetchone()):
            raise _spoilt("it is another program's")
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        db.execute(LAYOUT)
        db.execute("DELETE FROM account WHERE used_at < ?", (self._clock.wall() - KEPT_SECONDS,))
        db.execute("COMMIT")

    def _put_aside(self) -> None:
        """Unless somebody else has done it. A journal goes first: it is of no use to the file that comes next."""
        directory = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(directory, fcntl.LOCK_EX)
            if self._is == _identity(self.path):
                for journal in ("-journal", "-wal", "-shm"):
                    Path(f"{self.path}{journal}").unlink(missing_ok=True)
                os.replace(self.path, f"{self.path}.aside")
        finally:
            os.close(directory)


def _has_died(engine: str) -> bool:
    """Whether the process of an engine is gone, as far as can be told from here: a container has its own name."""
    _, host, pid = engine.split(" ") if engine.count(" ") == 2 else ("", "", "")
    if host != gethostname() or not pid.isdecimal():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False


def _spoilt(why: str) -> sqlite3.DatabaseError:
    error = sqlite3.DatabaseError(why)
    error.sqlite_errorcode = sqlite3.SQLITE_NOTADB
    return error


def _code(error: Exception) -> int:
    """SQLite's primary code of an error, 0 for another's."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
