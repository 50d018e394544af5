"""The rows of an answered window: what is new, what changed, what only repeats what is stored."""

import json
from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import Any

from core.coverage import Covered
from core.stores import Commit
from core.stores.database import Database
from core.stores.schema import group_names, select_range, touch
from core.windows import Window

NONE = {"inserted": 0, "updated": 0, "unchanged": 0, "restated": 0}
WIDENED = (
    "INSERT INTO widened VALUES (?, ?, ?, ?, ?) "
    'ON CONFLICT (series_id, groups, start, at) DO UPDATE SET "end" = greatest(widened."end", excluded."end")'
)


def write_new(db: Database, commit: Commit) -> dict[str, int]:
    """The rows of a window that holds none yet; how many were inserted, updated, unchanged and restated."""
    db.write_bars(commit, commit.rows, is_new=True)
    return {**NONE, "inserted": len(commit.rows)}


def repeat_rows(commit: Commit) -> dict[str, int]:
    """As `write_new`, of rows that are all stored as they are, which leaves nothing to write."""
    return {**NONE, "unchanged": len(commit.rows)}


def merge_rows(db: Database, commit: Commit) -> dict[str, int]:
    """As `write_new`, of a window that may hold any."""
    db.flush_bars()
    query = select_range(commit.dataset.name, commit.columns)
    stored = {row[0]: row for row in db.execute(query, (commit.series.id, *commit.window))}
    unequal = [row for row in commit.rows if stored.get(row[0], ())[:-2] != row]
    fresh = [row for row in unequal if row[0] not in stored]
    known = [row for row in unequal if row[0] in stored]
    closing = {old[0] for old in stored.values() if not old[-2] and old[0] < commit.closed_before}
    closed = [row for row in commit.rows if row[0] in closing and stored[row[0]][:-2] == row] if closing else []
    differing = sorted(known + closed, key=itemgetter(0))
    changed = [row for row in differing if _is_newer(commit, row, stored[row[0]])]
    repeated = [row for row in commit.halves(commit.rows)[1] if row[0] in stored]
    _confirm(db, commit, [row for row in repeated if _is_newer(commit, row, stored[row[0]])])
    restated = _write_restatements(db, commit, [(stored[row[0]], row) for row in changed])
    db.write_bars(commit, fresh, is_new=True)
    db.write_bars(commit, changed, is_new=False)
    older = [row for row in differing if _closed(commit, row) and not _is_newer(commit, row, stored[row[0]])]
    updated = len(changed) + _fill(db, commit, older)
    unchanged = len(commit.rows) - len(fresh) - updated
    return {"inserted": len(fresh), "updated": updated, "unchanged": unchanged, "restated": restated}


def _fill(db: Database, commit: Commit, rows: Sequence[tuple[Any, ...]]) -> int:
    """An answer that comes late still has the columns that the newer one, narrower, was not asked for."""
    if not rows:
        return 0
    covered = covered_in(db, commit.series.id, commit.window)
    filled = 0
    for row in rows:
        asked = _groups_at(covered, row[0])
        given = zip(commit.columns, row[1:], strict=True)
        fresh = {name: value for name, value in given if _group_of(commit, name) not in asked}
        if fresh:
            sets = ", ".join(f"{name} = ?" for name in fresh)
            query = f"UPDATE {commit.dataset.name} SET {sets} WHERE series_id = ? AND ts = ?"
            filled += db.execute(query, (*fresh.values(), commit.series.id, row[0])).rowcount
    return filled


def covered_in(db: Database, series_id: int, window: Window) -> list[Covered]:
    """What of `window` was answered before, with which groups."""
    query = 'SELECT groups, start, "end" FROM coverage WHERE series_id = ? AND start < ? AND "end" > ?'
    found = db.execute(query, (series_id, window.end, window.start)).fetchall()
    return [Covered(frozenset(groups.split(",")), Window(start, end)) for groups, start, end in found]


def _groups_at(covered: Iterable[Covered], ts: int) -> frozenset[str]:
    groups = (entry.groups for entry in covered if entry.window.start <= ts < entry.window.end)
    return frozenset().union(*groups)


def _group_of(commit: Commit, name: str) -> str:
    return group_names(commit.dataset)[name]


def _is_newer(commit: Commit, row: tuple[Any, ...], old: tuple[Any, ...]) -> bool:
    """Whether a stored (ts, *values, closed, sent_at) yields to `row`: the upsert's guard, said again."""
    return (_closed(commit, row), commit.sent_at) >= old[-2:]


def _closed(commit: Commit, row: tuple[Any, ...]) -> bool:
    return bool(row[0] < commit.closed_before)


def _confirm(db: Database, commit: Commit, rows: Iterable[tuple[Any, ...]]) -> None:
    """A running bar that a later answer repeats is as old as that answer, so none from in between changes it.

    Closed bars are left alone: a rerun over years of them must not write a block.
    """
    db.executemany(touch(commit.dataset.name), [(commit.sent_at, commit.series.id, row[0]) for row in rows])


def _write_restatements(db: Database, commit: Commit, pairs: list[tuple[tuple[Any, ...], tuple[Any, ...]]]) -> int:
    """Closed bars that changed, in the columns that had been asked for before: filling others restates nothing.

    Neither does filling groups that an answer left out, though they had been asked for: only what was there
    can change. Like all groups that a bar gets later they are written down as such.
    """
    if not pairs:
        return 0
    covered = covered_in(db, commit.series.id, commit.window)
    records = []
    for old, new in pairs:
        asked = _groups_at(covered, old[0])
        values = zip(commit.columns, old[1:-2], new[1:], strict=True)
        changed = [(name, a, b) for name, a, b in values if a != b and _group_of(commit, name) in asked]
        if not old[-2]:
            continue
        groups = {_group_of(commit, name) for name, _, _ in changed}
        if groups <= _left_out(commit, old):
            bar = Window(old[0], old[0] + commit.grain.seconds)
            db.executemany(WIDENED, [(commit.series.id, group, *bar, commit.known_at) for group in groups])
            continue
        record = (
            commit.series.id,
            old[0],
            json.dumps({name: a for name, a, _ in changed}),
            json.dumps({name: b for name, _, b in changed}),
            commit.known_at,
            commit.run_id,
        )
        records.append(record)
    db.executemany(
        "INSERT INTO restatement (series_id, ts, old, new, seen_at, run_id) VALUES (?, ?, ?, ?, ?, ?)",
        records,
    )
    return len(records)


def _left_out(commit: Commit, old: tuple[Any, ...]) -> set[str]:
    """The groups that a stored (ts, *values, closed, sent_at) has no value of."""
    groups = [_group_of(commit, name) for name in commit.columns]
    return set(groups) - {group for group, value in zip(groups, old[1:-2], strict=True) if value is not None}
