"""One engine a database file: a kernel lock beside it that dies with its holder and says who that is."""

import fcntl
import getpass
import os
import pwd
import time
from contextlib import suppress
from pathlib import Path

import msgspec

from core.errors import StoreBusy, StoreError

LOOKERS_ON = 5
LOOK_SECONDS = 0.01


class Holder(msgspec.Struct, frozen=True):
    """An engine on a store. `kind`: command (ends by itself), dashboard or serve (take jobs on `socket`).

    `is_here` says that it runs on this machine, `is_alive` that it was heard of lately.
    """

    pid: int
    kind: str
    socket: str
    protocol: int
    since: float
    user: str = ""
    source: str = ""
    key: str = ""
    name: str = ""
    host: str = ""
    is_here: bool = True
    is_alive: bool = True

    @property
    def takes_jobs(self) -> bool:
        return self.kind in {"dashboard", "serve"}


def lock_path(database: str) -> Path:
    """Beside the file itself, whichever links lead to it: one database has one lock."""
    return Path(os.path.realpath(database) + ".lock")


class EngineLock:
    """Held from `acquire` until `release` or the death of the process (flock, never a pid file)."""

    def __init__(self, database: str) -> None:
        self.path = lock_path(database)
        self._file: int | None = None

    def acquire(self, holder: Holder) -> None:
        """Raises StoreBusy naming the holder when another process has the lock, StoreError when there can be none."""
        file = self._open()
        if not _lock(file):
            os.close(file)
            raise StoreBusy(describe(read_holder(self.path), self.path))
        self._file = file
        self._write(holder)

    def release(self) -> None:
        if self._file is not None:
            os.ftruncate(self._file, 0)
            os.close(self._file)
            self._file = None

    def _open(self) -> int:
        flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            # In a directory that everybody writes to, not even root may "create" what is another user's.
            with suppress(FileNotFoundError):
                return os.open(self.path, flags)
            return os.open(self.path, flags | os.O_CREAT, 0o644)
        except FileNotFoundError as error:
            raise StoreError(f"--db: the directory {self.path.parent} does not exist; create it first") from error
        except PermissionError as error:
            raise self._forbidden() from error
        except OSError as error:
            raise StoreError(f"--db: {self.path} cannot be opened: {error.strerror}") from error

    def _forbidden(self) -> StoreError:
        """Whoever may not write may still read who is at work."""
        if (holder := read_holder(self.path)) is not None:
            return StoreBusy(describe(holder, self.path))
        with suppress(OSError):
            return StoreError(
                f"--db: {self.path} belongs to user {_name_of(self.path.stat().st_uid)}, and you may not write to it: "
                "run this as that user, or choose another --db"
            )
        return StoreError(f"--db: {self.path} cannot be written: permission denied")

    def _write(self, holder: Holder) -> None:
        if not holder.user:
            holder = msgspec.structs.replace(holder, user=login_name())
        assert self._file is not None  # noqa: S101 - called by acquire only
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, msgspec.json.encode(holder), 0)


def _lock(file: int) -> bool:
    """Take the lock; somebody who only looks who holds it keeps it for microseconds, which are waited out."""
    for _ in range(LOOKERS_ON):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(LOOK_SECONDS)
        else:
            return True
    return False


def read_holder(path: Path) -> Holder | None:
    """Who holds the lock now; None when nobody does or the file says nothing."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        try:
            return msgspec.json.decode(os.pread(file, 65_536, 0), type=Holder)
        except msgspec.DecodeError:
            return None
    finally:
        os.close(file)
    return None


def login_name() -> str:
    """Our login name; a container may run us under a number that has none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def _name_of(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def describe(holder: Holder | None, path: Path) -> str:
    if holder is None:
        return f"another engine holds the store ({path})"
    return f"the store is held by a {holder.kind} of user {holder.user}, pid {holder.pid} ({path})"
