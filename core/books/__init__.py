"""Where the calls of an account are counted for engines that share no database: a file of the user, or Redis.

Both keep the account as `core.ledger` writes it, and both say once when they cannot be used any more and once when
they can again.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from core.clock import Clock
from core.ledger import Book, Grant, Report

FILE = "file"
REDIS = ("redis", "rediss", "unix")
Say = Callable[[str], None]


class OpenBook(Book, Protocol):
    """A Book to be closed when nobody exchanges any more. Nothing is opened before the first exchange."""

    async def exchange(self, report: Report, wanted: int) -> Grant: ...

    async def close(self) -> None: ...


def open_book(where: str, account: str, engine: str, *, file: Path, clock: Clock, say: Say) -> OpenBook:
    """The book of `account` for the engine called `engine`, in `file` or at a redis:// URL, as `where` says.

    `say` hears changes of state. Raises ConfigError for a URL that cannot be one.
    """
    if where == FILE:
        from core.books.file import FileBook  # noqa: PLC0415 - implementations are loaded when chosen

        return FileBook(file, account, engine, clock, say)
    from core.books.redis import RedisBook  # noqa: PLC0415

    return RedisBook(where, account, engine, clock, say)
