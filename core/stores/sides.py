"""Two databases at work at the same time: each is opened and used on a thread of its own."""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from itertools import islice
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from core.errors import StoreError, StoreRefused, TapewatchError
from core.stores import sqlite_path
from core.stores.database import Database, Row
from core.stores.migrate import check_current
from core.stores.opening import is_postgres
from core.stores.sqlite import reading_file
from core.text import shown_url

T = TypeVar("T")
P = ParamSpec("P")
Opener = Callable[[str], AbstractContextManager[Database]]
ROWS_AT_ONCE = 2_000
# A snapshot waits while the other side works, and digests are sorted in memory.
PATIENT = (
    "SET LOCAL idle_in_transaction_session_timeout TO '1h'",
    "SET LOCAL work_mem TO '32MB'",
    "SET LOCAL jit TO off",
)


class Side:
    """A database, and the thread that it is used on. Work on it raises StoreError for what its library raises."""

    def __init__(self, url: str, opener: Opener) -> None:
        self.url = url
        self._opener = opener
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="tapewatch-side")
        self._stack = ExitStack()
        self._database: Database | None = None

    def __enter__(self) -> Self:
        try:
            self._thread.submit(self._open).result()
        except BaseException:
            self._thread.shutdown()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._thread.submit(self._stack.close).result()
        else:
            self._interrupt()
            with suppress(Exception):
                self._thread.submit(self._stack.close).result()
        self._thread.shutdown()

    def submit(self, work: Callable[Concatenate[Database, P], T], *args: P.args, **kwargs: P.kwargs) -> "Future[T]":
        """Start `work(database, ...)`; what is submitted runs one after the other."""
        return self._thread.submit(self._perform, lambda database: work(database, *args, **kwargs))

    def call(self, work: Callable[Concatenate[Database, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        return self.submit(work, *args, **kwargs).result()

    def stream(self, read: Callable[[Database], Iterator[Row]]) -> Iterator[Row]:
        """The rows that `read` gives, some at a time; inside of a `snapshot`."""
        rows = self.call(read)
        while portion := self.call(lambda _: list(islice(rows, ROWS_AT_ONCE))):
            yield from portion

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """What is read inside belongs together, whoever writes meanwhile."""
        with self.within(_patient_snapshot):
            yield

    @contextmanager
    def within(self, block: Callable[[Database], AbstractContextManager[None]]) -> Iterator[None]:
        """What is submitted inside happens inside of `block(database)`."""
        entered = self.call(_entered, block)
        try:
            yield
        except BaseException as error:
            self._interrupt()
            with suppress(StoreError):
                self.call(_left, entered, type(error), error, error.__traceback__)
            raise
        self.call(lambda _: entered.close())

    def _interrupt(self) -> None:
        """What is at work on the database ends, and is undone: nobody waits for it any more."""
        if isinstance(self._database, sqlite3.Connection):
            self._database.interrupt()
        elif (loop := getattr(self._database, "_loop", None)) and (tasks := asyncio.all_tasks(loop)):
            loop.call_soon_threadsafe(lambda: [task.cancel() for task in tasks])

    def _open(self) -> None:
        try:
            self._database = self._stack.enter_context(self._opener(self.url))
        except TapewatchError:
            raise
        except Exception as error:
            raise _told(self.url, error) from error

    def _perform(self, work: Callable[[Database], T]) -> T:
        assert self._database is not None  # noqa: S101 - opened by then
        try:
            return work(self._database)
        except TapewatchError:
            raise
        except Exception as error:
            raise _told(self.url, error) from error


def _entered(db: Database, block: Callable[[Database], AbstractContextManager[None]]) -> ExitStack:
    with ExitStack() as stack:
        stack.enter_context(block(db))
        return stack.pop_all()


def _left(_db: Database, stack: ExitStack, *error: Any) -> None:
    stack.__exit__(*error)


@contextmanager
def _patient_snapshot(db: Database) -> Iterator[None]:
    with db.snapshot():
        if db.dialect == "postgres":
            for setting in PATIENT:
                db.execute(setting)
        yield


def _told(url: str, error: Exception) -> Exception:
    """The class of ours that says what happened; a defect stays what it is."""
    if isinstance(error, sqlite3.Error):
        if "not a database" in str(error):
            return StoreRefused(f"{shown_url(url)} is not an SQLite database; choose another file")
        return StoreError(f"{shown_url(url)} failed: {error}")
    if is_postgres(url):
        import asyncpg  # noqa: PLC0415 - only where there is such a database

        from core.stores.postgres_address import LOST, translated_error  # noqa: PLC0415
        from core.stores.postgres_connection import CommitUnknown  # noqa: PLC0415

        if isinstance(error, CommitUnknown):
            return StoreError(f"{shown_url(url)} was lost in a COMMIT; run it again")
        if isinstance(error, (*LOST, asyncpg.PostgresError, asyncpg.InterfaceError)):
            return translated_error(error, url)
    return error


@contextmanager
def opened_to_read(url: str) -> Iterator[Database]:
    """Raises StoreError when there is no store, StoreRefused when it is not ours or has another schema."""
    if not is_postgres(url):
        with reading_file(sqlite_path(url)) as db:
            yield db
        return
    from core.stores.postgres import connected_database  # noqa: PLC0415

    with connected_database(url) as db:
        with db.snapshot():
            if check_current(db) == 0:
                raise StoreRefused("there is no store in this database yet; `tapewatch db migrate` makes it")
        yield db
