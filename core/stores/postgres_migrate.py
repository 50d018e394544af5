"""Migrating PostgreSQL: who is in the way is named, and a rehearsal tells which locks every statement takes."""

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

import asyncpg

from core.errors import ConfigError, StoreBusy, StoreError
from core.stores.database import Database
from core.stores.migrate import Step, Upgraded, check, migrate, migrations, statements
from core.stores.postgres import connected_database
from core.stores.postgres_address import Address
from core.stores.postgres_connection import MIGRATION_LOCK_SECONDS
from core.text import clean

LOOK_SECONDS = 0.5
BLOCKERS = (
    "SELECT b.pid, CAST(a.usename AS text), a.application_name, host(a.client_addr), a.state, "
    "CAST(date_part('epoch', clock_timestamp() - a.xact_start) AS bigint), a.query "
    "FROM unnest(pg_blocking_pids(CAST(? AS integer))) AS b (pid) LEFT JOIN pg_stat_activity AS a ON a.pid = b.pid"
)
# What only the tables that were there before can tell: nobody waits for a new one.
LOCKS = (
    "SELECT c.relname, l.mode FROM pg_locks AS l JOIN pg_class AS c ON c.oid = l.relation "
    "WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation' AND c.relnamespace = pg_my_temp_schema() "
    "AND c.relkind IN ('r', 'p', 'v', 'm') AND c.relname = ANY(CAST(? AS text[])) ORDER BY c.relname, l.mode"
)
OURS = "SELECT relname FROM pg_class WHERE relnamespace = pg_my_temp_schema() AND relkind IN ('r', 'p', 'v', 'm')"

LEVELS = (
    *("ACCESS SHARE", "ROW SHARE", "ROW EXCLUSIVE", "SHARE UPDATE EXCLUSIVE"),
    *("SHARE", "SHARE ROW EXCLUSIVE", "EXCLUSIVE", "ACCESS EXCLUSIVE"),
)

Say = Callable[[str], None]


class Session(NamedTuple):
    """A connection that we wait for; what another user's does only some may see."""

    pid: int
    user: str | None
    program: str | None
    host: str | None
    state: str | None
    seconds: int | None
    query: str | None

    def __str__(self) -> str:
        if self.pid == 0:
            return "a prepared transaction"
        since = "" if self.seconds is None else f" for {self.seconds} s"
        facts = (self.user, self.program, self.host, f"{self.state}{since}" if self.state else "")
        query = f": {clean(self.query, 60)}" if self.query else ""
        return f"pid {self.pid} ({', '.join(clean(fact) for fact in facts if fact)}){query}"


def migrate_database(url: str, now: int, say: Say) -> Upgraded:
    """As `migrate`; `say` hears whom it waits for.

    Raises StoreBusy, naming the sessions, when a lock is not to be had; nothing was changed then.
    """
    seen: list[Session] = []
    try:
        with connected_database(url, patience=None) as db, db.transaction():
            [pid] = db.execute("SELECT pg_backend_pid()").fetchone()
            with _lookout(url, pid, seen, say):
                before = check(db)
                return Upgraded(before, migrate(db, now))
    except StoreError as error:
        if not isinstance(error.__cause__, asyncpg.LockNotAvailableError):
            raise
        who = f"; in the way: {'; '.join(map(str, seen))}" if seen else ""
        raise StoreBusy(
            f"a lock was not to be had within {MIGRATION_LOCK_SECONDS} s{who}. "
            "Nothing was changed; end that, or try again later"
        ) from error


@contextmanager
def _lookout(url: str, pid: int, seen: list[Session], say: Say) -> Iterator[None]:
    """Keeps the sessions in `seen` that the one of `pid` waited for last; a thread and a connection of its own."""
    is_over = threading.Event()

    def look() -> None:
        # Without a second connection the migration goes on all the same, and cannot tell who is in the way.
        with suppress(StoreError), connected_database(url) as db:
            while not is_over.wait(LOOK_SECONDS):
                with db.snapshot():
                    found = [Session(*row) for row in db.execute(BLOCKERS, (pid,))]
                if found and [each.pid for each in found] != [each.pid for each in seen]:
                    say(f"waiting for {'; '.join(map(str, found))}")
                seen[:] = found or seen

    thread = threading.Thread(target=look, name="tapewatch-lookout")
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def rehearse(url: str) -> list[Step]:
    """What migrating would do, with the locks that were seen when it was done to empty temporary tables.

    Nothing that is there is locked or changed. Raises StoreRefused as `migrate`, ConfigError behind a pooler.
    """
    if Address.parse(url).has_pooler:
        raise ConfigError("--dry_run: a rehearsal needs a session of its own; leave out pooler=transaction")
    with connected_database(url) as db:
        with db.snapshot():
            version = check(db)
        done = [migration for migration in migrations(db.dialect) if migration.version <= version]
        todo = [migration for migration in migrations(db.dialect) if migration.version > version]
        for migration in done:
            for statement in statements(migration.sql):
                _perform(db, statement, [])
        with db.transaction():
            names = [name for (name,) in db.execute(OURS)]
        return [
            Step(migration.name, statement, tuple(_perform(db, statement, names)))
            for migration in todo
            for statement in statements(migration.sql)
        ]


def _perform(db: Database, statement: str, names: list[str]) -> list[tuple[str, str]]:
    """Run a statement among temporary tables; the strongest lock that it took on each of `names` that it touched."""
    with db.transaction():
        db.execute("SET LOCAL search_path TO pg_temp")
        db.execute(statement)
        found = db.execute(LOCKS, (names,)).fetchall()
    by_table: dict[str, list[str]] = {}
    for name, mode in found:
        by_table.setdefault(name, []).append(_level(mode))
    return [(max(levels, key=LEVELS.index), name) for name, levels in by_table.items()]


def _level(mode: str) -> str:
    """`AccessExclusiveLock` as the manual calls it: ACCESS EXCLUSIVE."""
    return " ".join(re.findall("[A-Z][a-z]+", mode.removesuffix("Lock"))).upper()
