"""Planted bugs, one at a time, in the child: each must be found, or the harness proves nothing.

They are put where both databases pass by: the functions that write a window, and the SQL that they share.
"""

from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, NamedTuple

import core.engine.ingest
import core.stores.gap_sql
import core.stores.groups
import core.stores.schema
from core.failpoints import failpoint
from core.stores import Commit, Written, rows_sql, window_sql
from core.stores.database import Database
from core.stores.postgres_connection import PostgresDatabase
from core.stores.sqlite_connection import SQLiteDatabase
from core.windows import Window
from tests.crash import child
from tests.crash.scenario import SPAN

Plant = Callable[[], None]
# Nothing of ours reaches it otherwise; a rare pair of transactions is torn apart there.
IN_BETWEEN = "tx_outbox"


class Planted(NamedTuple):
    """A bug: what plants it, by which kit it shows (see KITS in the test), and a word of the complaint."""

    plant: Plant
    kit: str
    complaint: str


PLANTED: dict[str, Planted] = {}


def plant(name: str) -> None:
    PLANTED[name].plant()


def bug(kit: str, complaint: str) -> Callable[[Plant], Plant]:
    def keep(planter: Plant) -> Plant:
        PLANTED[planter.__name__] = Planted(planter, kit, complaint)
        return planter

    return keep


def _instead(module: Any, name: str, wrapper: Callable[..., Any]) -> None:
    """`wrapper(original, *args)` is called in its place."""
    original = getattr(module, name)
    setattr(module, name, lambda *args, **kwargs: wrapper(original, *args, **kwargs))


# --- transactions


@bug("killed", "coverage claims")
def coverage_first() -> None:
    _in_two(lambda commit: replace(commit, rows=(), absences=(), rejected=()), lambda commit: commit)


@bug("killed", "coverage does not claim")
def rows_first() -> None:
    _in_two(lambda commit: replace(commit, covered=None, absences=(), rejected=()), lambda commit: commit)


@bug("killed_in_between", "rejected")
def quarantine_first() -> None:
    """Counted once more when the window is asked for again."""
    _in_two(
        lambda commit: replace(commit, rows=(), covered=None, absences=()),
        lambda commit: replace(commit, rejected=()),
        needed=lambda commit: bool(commit.rejected),
    )


def _in_two(
    first: Callable[[Commit], Commit],
    second: Callable[[Commit], Commit],
    needed: Callable[[Commit], bool] = lambda commit: commit.covered is not None,
) -> None:
    """A window is written as two transactions."""

    def write(original: Any, db: Database, commits: Sequence[Commit]) -> list[Written]:
        torn = [commit for commit in commits if needed(commit)]
        if torn:
            original(db, [first(commit) for commit in torn])
            _commit_early(db)
            failpoint(IN_BETWEEN)
        written: list[Written] = original(db, [second(commit) if commit in torn else commit for commit in commits])
        return written

    _instead(core.stores.groups, "write_windows", write)


def _commit_early(db: Database) -> None:
    """Where a window is written in somebody else's transaction."""
    if isinstance(db, PostgresDatabase):
        db._commit()
        db._begin("READ WRITE", idle="30s")
    elif isinstance(db, SQLiteDatabase) and db.in_transaction:
        db.execute("COMMIT")
        db.execute("BEGIN IMMEDIATE")


@bug("killed", "is lost")
def acknowledged_before_commit() -> None:
    async def step(original: Any, run: Any, step: Any, *rest: Any) -> None:
        child.say(f"done {step.name}")
        await original(run, step, *rest)

    _instead(child.Run, "_step", step)


@bug("failing", "is lost")
def no_rollback() -> None:
    """What fails leaves its transaction open, and what comes next becomes a part of it."""

    @contextmanager
    def sqlite(db: SQLiteDatabase) -> Any:
        if db.in_transaction:
            yield
            return
        db.execute("BEGIN IMMEDIATE")
        yield
        db.execute("COMMIT")

    SQLiteDatabase.transaction = sqlite  # type: ignore[method-assign, assignment]
    PostgresDatabase._roll_back = lambda _self: None  # type: ignore[method-assign]


@bug("failing", "series says")
def commits_what_failed() -> None:
    """COMMIT where ROLLBACK should be."""

    @contextmanager
    def sqlite(db: SQLiteDatabase) -> Any:
        if db.in_transaction:
            yield
            return
        db.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            db.execute("COMMIT")

    SQLiteDatabase.transaction = sqlite  # type: ignore[method-assign, assignment]
    PostgresDatabase._roll_back = PostgresDatabase._commit  # type: ignore[method-assign]


@bug("failing", "is lost")
def failure_taken_for_success() -> None:
    async def persevere(_original: Any, _run: Any, name: str, work: Any) -> Any:
        try:
            return await work()
        except child.StoreError:
            child.say(f"done {name}")

    _instead(child.Run, "_persevere", persevere)


# --- what a window writes


@bug("undisturbed", "rows of")
def no_guard() -> None:
    """The last to come wins, however old or unfinished it is."""
    _instead(rows_sql, "_is_newer", lambda _original, *_args: True)
    _instead(
        core.stores.schema,
        "_on_conflict",
        lambda original, *args: original(*args).replace(
            "(excluded.closed, excluded.sent_at) >= ", "(true, 2) > (true, 1) OR "
        ),
    )


@bug("undisturbed", "rows of")
def late_columns_lost() -> None:
    """An answer that was overtaken brings nothing, not even what the newer one was not asked for."""
    _instead(rows_sql, "_fill", lambda *_args: 0)


@bug("undisturbed", "rows of")
def known_when_changed() -> None:
    """`known_at` tells of the last change instead of the first sight."""
    _instead(
        core.stores.schema,
        "_on_conflict",
        lambda original, *args: original(*args).replace(
            "known_at = coalesce(", "known_at = coalesce(excluded.known_at, "
        ),
    )


@bug("undisturbed", "rejected")
def rejected_row_dropped() -> None:
    _committing(lambda commit: replace(commit, rejected=()))


@bug("killed", "coverage claims")
def open_bar_covered() -> None:
    _committing(lambda commit: replace(commit, covered=commit.window if commit.covered else None))


def _committing(change: Callable[[Commit], Commit]) -> None:
    """The ingest asks the store for something else."""
    _instead(core.engine.ingest, "make_commit", lambda original, *args: change(original(*args)))


@bug("undisturbed", "coverage claims")
def gap_not_written() -> None:
    _committing(lambda commit: replace(commit, absences=()))


@bug("undisturbed", "gaps of")
def gap_seen_once_for_ever() -> None:
    """A second look confirms nothing."""
    _instead(window_sql, "sight", lambda original, known, window, absences, _now: original(known, window, absences, 0))


@bug("undisturbed", "restated")
def restated_twice() -> None:
    def write(original: Any, *args: Any) -> int:
        original(*args)
        return int(original(*args))

    _instead(rows_sql, "_write_restatements", write)


@bug("undisturbed", "restated")
def restatement_forgotten() -> None:
    _instead(rows_sql, "_write_restatements", lambda *_args: 0)


@bug("undisturbed", "coverage claims")
def last_row_lost() -> None:
    def write(original: Any, db: Database, commit: Commit, rows: Any, *, is_new: bool) -> None:
        original(db, commit, rows[:-1] if is_new else rows, is_new=is_new)

    for kind in (SQLiteDatabase, PostgresDatabase):
        _instead(kind, "write_bars", write)


@bug("undisturbed", "coverage claims")
def coverage_is_a_cursor() -> None:
    """Everything up to the newest answer counts as answered."""
    _committing(
        lambda commit: replace(commit, covered=Window(SPAN.start, commit.covered.end) if commit.covered else None)
    )


@bug("undisturbed", "young: neither")
def young_taken_for_final() -> None:
    _instead(window_sql, "_write_unsettled", lambda *_args: None)


@bug("undisturbed", "failed of")
def given_up_for_ever() -> None:
    _instead(window_sql, "forget_failed", lambda *_args: None)


@bug("undisturbed", "widened")
def late_groups_passed_off_as_old() -> None:
    _instead(window_sql, "_write_widened", lambda *_args: None)


@bug("undisturbed", "unborn/2' was acknowledged and is lost")
def prehistory_kept_as_gaps() -> None:
    _instead(core.stores.gap_sql, "without_prehistory", lambda _original, gaps, _start: gaps)


@bug("undisturbed", "series says")
def rows_counted_wrong() -> None:
    def write(original: Any, db: Database, commits: Sequence[Commit], counts: Sequence[dict[str, int]]) -> Any:
        wrong = [{**count, "inserted": len(commit.rows)} for commit, count in zip(commits, counts, strict=True)]
        return original(db, commits, wrong)

    _instead(window_sql, "_write_series", write)
