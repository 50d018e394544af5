"""Books of every kind for one test suite.

`python -m tests.contract.shelves ADDRESS ENGINE` is a process that claims calls from one.
"""

import asyncio
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import redis

from core.books import FILE, OpenBook, open_book
from core.clock import LoopClock
from core.ledger import Account, Book, Report, decode, encode
from core.stores.opening import is_postgres
from core.stores.postgres import PostgresStore
from tests.services import run_sql

ACCOUNT = "no key at 127.0.0.1:1"
PREFIX = "tapewatch:quota:"
Close = Callable[[], Any]


async def opened(address: str, engine: str, account: str = ACCOUNT) -> tuple[Book, Close]:
    """A book at a path or URL, and what closes it."""
    if is_postgres(address):
        store = await PostgresStore.open(address, name=engine)
        book = store.book(account)
        assert book is not None
        return book, store.close
    found = open_other(address, engine, account)
    return found, found.close


def open_other(address: str, engine: str, account: str = ACCOUNT, said: list[str] | None = None) -> OpenBook:
    """A book in a file or in Redis; `said` collects what it says."""
    where = address if "://" in address else FILE
    say = [] if said is None else said
    return open_book(where, account, engine, file=Path(address), clock=LoopClock(), say=say.append)


class Shelf:
    """Where books of one kind are: a test opens them, and looks at what is kept."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._closes: list[Close] = []

    async def book(self, engine: str, account: str = ACCOUNT) -> Book:
        book, close = await opened(self.address, engine, account)
        self._closes.append(close)
        return book

    async def close(self) -> None:
        for close in self._closes:
            await close()

    @property
    def account(self) -> Account:
        return decode(self._kept())

    @property
    def claims(self) -> dict[str, int]:
        """The calls of each engine that has some."""
        return {name.split()[0]: claim.calls for name, claim in self.account.claims.items() if claim.calls}

    def keep(self, state: bytes) -> None:
        """Write `state` over the account's, as another program would."""
        if is_postgres(self.address):
            run_sql(self.address, "UPDATE tapewatch.quota SET state = $1 WHERE account = $2", state.decode(), ACCOUNT)
        elif "://" in self.address:
            with redis.Redis.from_url(self.address) as client:
                client.set(PREFIX + ACCOUNT, state)
        else:
            self._in_file("UPDATE account SET state = ? WHERE name = ?", state, ACCOUNT)

    def pass_(self, seconds: float) -> None:
        """So much time goes by; a negative one is that the clock was set back."""
        account = self.account
        for limit in account.limits.values():
            limit.resets_at -= seconds
        for claim in (*account.claims.values(), *account.lost):
            claim.until -= seconds
        account.heard_at -= seconds
        account.paused_until -= seconds
        account.asked_at -= seconds
        self.keep(encode(account))

    def _kept(self) -> bytes:
        if is_postgres(self.address):
            found = run_sql(self.address, "SELECT state FROM tapewatch.quota WHERE account = $1", ACCOUNT)
            return str(found[0][0]).encode()
        if "://" in self.address:
            with redis.Redis.from_url(self.address) as client:
                return bytes(client.get(PREFIX + ACCOUNT) or b"")
        return bytes(self._in_file("SELECT state FROM account WHERE name = ?", ACCOUNT)[0][0])

    def _in_file(self, statement: str, *values: object) -> list[Any]:
        with closing(sqlite3.connect(self.address, timeout=10, isolation_level=None)) as db:
            return db.execute(statement, values).fetchall()


async def claim_all(address: str, engine: str) -> int:
    """Claim calls one by one until there are none, once a line comes in; how many it got."""
    book, close = await opened(address, engine)
    # Connected, so that those who race start together.
    await book.exchange(Report(0), 0)
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    mine = 0
    while (await book.exchange(Report(mine), 1)).calls:
        mine += 1
    await close()
    return mine


if __name__ == "__main__":
    print(asyncio.run(claim_all(sys.argv[1], sys.argv[2])), flush=True)
