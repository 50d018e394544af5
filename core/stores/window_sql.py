"""One answered window as one transaction: rows, coverage, gaps, quarantine and restatements."""

import json
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from operator import itemgetter
from typing import Any

from core.coverage import Covered, SeriesState, missing, sight, unsettle, without_prehistory
from core.errors import Rejected, StoreError
from core.failpoints import failpoint
from core.sources import RejectedRow
from core.stores import Commit, Written
from core.stores.database import Database
from core.stores.gap_sql import read_gaps, replace_gaps, settle_start
from core.stores.quarantine_sql import storable
from core.stores.schema import group_names, select_range, touch
from core.windows import Window, intersect, merge, subtract

WIDENED = (
    "INSERT INTO widened VALUES (?, ?, ?, ?, ?) "
    'ON CONFLICT (series_id, groups, start, at) DO UPDATE SET "end" = greatest(widened."end", excluded."end")'
)
LATEST = 2**62
# A bar that was read too young and is passed over by later answers is asked for so much longer.
PASSED_OVER_SECONDS = 86_400


def write_window(db: Database, commit: Commit) -> Written:
    """Rows, restatements, quarantine, coverage, gaps and the series' figures."""
    with db.transaction():
        failpoint("tx_begin")
        db.lock_series(commit.series.id)
        around = look_around(db, commit)
        counts = _write_rows(db, commit, around)
        failpoint("tx_rows")
        quarantined = _write_quarantine(db, commit)
        failpoint("tx_quarantine")
        passed_over = _passed_over(db, commit)
        if commit.covered:
            for answered in subtract([commit.covered], [] if commit.is_last else passed_over):
                _write_widened(db, commit, answered, counts["inserted"])
                _cover(db, commit, around.coverage, answered)
            _write_unsettled(db, commit, commit.covered, passed_over, around.unsettled)
        if around.has_failed:
            forget_failed(db, commit.series.id, commit.window)
        if around.has_gaps or commit.absences:
            _write_gaps(db, commit, passed_over)
        last_bar, rows = _write_series(db, commit, counts["inserted"])
        is_begun = commit.history_start is not None and settle_start(db, commit.series.id, commit.history_start)
        failpoint("tx_cursor")
    has_constants = commit.series.has_constants or bool(commit.constants)
    state = replace(commit.series, last_bar=last_bar, rows=rows, has_constants=has_constants)
    if is_begun:
        state = replace(state, history_start=commit.history_start)
    return Written(state=state, quarantined=quarantined, **counts)


@dataclass(slots=True)
class Around:
    """What is stored in and beside a window. Of a new history that is nothing but the coverage beside it.

    `coverage` is what was answered with the same groups.
    """

    has_bars: bool = False
    has_failed: bool = False
    has_gaps: bool = False
    coverage: list[Window] = field(default_factory=list)
    unsettled: list[Window] = field(default_factory=list)


def look_around(db: Database, commit: Commit) -> Around:
    """One statement for all of it: on a network each takes its time."""
    series_id, window, covered = commit.series.id, commit.window, commit.covered or commit.window
    touching = 'WHERE series_id = ? AND start <= ? AND "end" >= ?'
    query = (
        f"SELECT 'bars', 0, 0 WHERE EXISTS (SELECT 1 FROM {commit.dataset.name} "
        "WHERE series_id = ? AND ts >= ? AND ts < ?) "
        f"UNION ALL SELECT 'coverage', start, \"end\" FROM coverage {touching} AND groups = ? "
        f"UNION ALL SELECT 'unsettled', start, \"end\" FROM unsettled {touching} "
        f"UNION ALL SELECT 'failed', 0, 0 WHERE EXISTS (SELECT 1 FROM failed_fetch {touching}) "
        f"UNION ALL SELECT 'gaps', 0, 0 WHERE EXISTS (SELECT 1 FROM gap {touching})"
    )
    where = (series_id, max(window.end, covered.end), min(window.start, covered.start))
    around = Around()
    for kind, *part in db.execute(query, (series_id, *window, *where, ",".join(commit.groups), *where * 3)):
        if kind in {"coverage", "unsettled"}:
            getattr(around, kind).append(Window(*part))
        else:
            setattr(around, f"has_{kind}", True)
    return around


def _write_rows(db: Database, commit: Commit, around: Around) -> dict[str, int]:
    if not around.has_bars:
        db.write_bars(commit, commit.rows, is_new=True)
        return {"inserted": len(commit.rows), "updated": 0, "unchanged": 0, "restated": 0}
    db.flush_bars()
    query = select_range(commit.dataset.name, commit.columns)
    found = db.execute(query, (commit.series.id, commit.window.start, commit.window.end))
    stored = {row[0]: row for row in found}
    # A rerun over years of closed bars is this one comparison a bar.
    unequal = [row for row in commit.rows if stored.get(row[0], ())[:-2] != row]
    fresh = [row for row in unequal if row[0] not in stored]
    known = [row for row in unequal if row[0] in stored]
    closing = {old[0] for old in stored.values() if not old[-2] and old[0] < commit.closed_before}
    closed = [row for row in commit.rows if row[0] in closing and stored[row[0]][:-2] == row] if closing else []
    differing = sorted(known + closed, key=itemgetter(0))
    changed = [row for row in differing if _is_newer(commit, row, stored[row[0]])]
    repeated = [row for row in _running(commit) if row[0] in stored]
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
    covered = _covered(db, commit.series.id, commit.window)
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


def _covered(db: Database, series_id: int, window: Window) -> list[Covered]:
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


def _running(commit: Commit) -> Sequence[tuple[Any, ...]]:
    """The rows of bars that are not closed."""
    return commit.rows[bisect_left(commit.rows, commit.closed_before, key=itemgetter(0)) :]


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
    covered = _covered(db, commit.series.id, commit.window)
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


SEEN_AGAIN = (
    "UPDATE quarantine SET sightings = sightings + 1, last_seen = ?, run_id = ? "
    "WHERE series_id = ? AND start = ? AND reason = ? AND raw = ?"
)
QUARANTINE = (
    'INSERT INTO quarantine (series_id, start, "end", reason, detail, raw, run_id, first_seen, last_seen) '
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


def write_rejected(db: Database, series_id: int, window: Window, rejected: RejectedRow, run_id: str, now: int) -> None:
    """Keep an answer that could not be used at all."""
    with db.transaction():
        db.lock_series(series_id)
        _quarantine(db, series_id, window, rejected, run_id, now)


def _quarantine(db: Database, series_id: int, span: Window, row: RejectedRow, run_id: str, now: int) -> None:
    """One record for each slot, reason and text, however often it comes."""
    raw = storable(row.raw)
    again = db.execute(SEEN_AGAIN, (now, run_id, series_id, span.start, row.reason, raw))
    if not again.rowcount:
        db.execute(QUARANTINE, (series_id, *span, row.reason, row.detail, raw, run_id, now, now))


def _write_quarantine(db: Database, commit: Commit) -> int:
    for row in commit.rejected:
        span = commit.window if row.ts is None or abs(row.ts) > LATEST else Window(row.ts, row.ts + 1)
        _quarantine(db, commit.series.id, span, row, commit.run_id, commit.known_at)
    accepted = "UPDATE quarantine SET accepted = ? WHERE id = ?"
    db.executemany(accepted, [(commit.known_at, record) for record in commit.accepted])
    return len(commit.rejected)


def _cover(db: Database, commit: Commit, known: list[Window], window: Window) -> None:
    """Add `window` to what is covered, joined with what it touches of the `known` that are stored."""
    touching = sorted(part for part in known if part.start <= window.end and part.end >= window.start)
    joined = merge([window, *touching])[0]
    if touching == [joined]:
        return
    place = (commit.series.id, ",".join(commit.groups))
    if touching:
        first, *others = touching
        here = "series_id = ? AND groups = ? AND start = ?"
        db.executemany(f"DELETE FROM coverage WHERE {here}", [(*place, part.start) for part in others])
        db.execute(f'UPDATE coverage SET start = ?, "end" = ? WHERE {here}', (*joined, *place, first.start))
    else:
        db.execute('INSERT INTO coverage (series_id, groups, start, "end") VALUES (?, ?, ?, ?)', (*place, *joined))
    known[:] = [*(part for part in known if part not in touching), joined]


def _write_widened(db: Database, commit: Commit, covered: Window, inserted: int) -> None:
    """Groups that bars stored before get only now: who asks what was known earlier must not see them."""
    if inserted == len(commit.rows):
        return
    known = _covered(db, commit.series.id, covered)
    before = intersect([entry.window for entry in known], [covered])
    for group in commit.groups:
        for part in intersect(missing(covered, [group], known), before):
            record = (commit.series.id, group, *part, commit.known_at)
            db.execute(WIDENED, record)


def _write_unsettled(
    db: Database, commit: Commit, covered: Window, passed_over: list[Window], beside: list[Window]
) -> None:
    """What is final from now on, and what is not; `beside` is what was not, around the window.

    Bars that the answer passed over are as young as they were, as are those with groups that it did not have.
    """
    before = [part for part in beside if part.start <= covered.end and part.end >= covered.start]
    waited_for = intersect(passed_over, [Window(commit.settled_before - PASSED_OVER_SECONDS, LATEST)])
    known = _covered(db, commit.series.id, covered) if before else []
    wider = [entry.window for entry in known if not entry.groups <= set(commit.groups)]
    kept = intersect(before, [*waited_for, *wider])
    after = merge([*unsettle(before, covered, commit.settled_before), *kept])
    if before == after:
        return
    db.executemany(
        "DELETE FROM unsettled WHERE series_id = ? AND start = ?", [(commit.series.id, span.start) for span in before]
    )
    db.executemany("INSERT INTO unsettled VALUES (?, ?, ?)", [(commit.series.id, *span) for span in after])


def read_unsettled(db: Database, series_id: int) -> tuple[Window, ...]:
    found = db.execute('SELECT start, "end" FROM unsettled WHERE series_id = ? ORDER BY start', (series_id,))
    return tuple(Window(*row) for row in found)


def forget_failed(db: Database, series_id: int, answered: Window) -> None:
    """What was given up and has been answered since; of a span answered in part the rest is kept."""
    where = 'series_id = ? AND start < ? AND "end" > ?'
    found = db.execute(
        'SELECT start, "end", error, attempts, run_id, sightings, first_seen, last_seen FROM failed_fetch '
        f"WHERE {where}",
        (series_id, answered.end, answered.start),
    ).fetchall()
    if not found:
        return
    db.execute(f"DELETE FROM failed_fetch WHERE {where}", (series_id, answered.end, answered.start))
    rest = [(series_id, *part, *row[2:]) for row in found for part in subtract([Window(row[0], row[1])], [answered])]
    # Of two that overlapped, what is left may begin at the same place.
    db.executemany(
        "INSERT INTO failed_fetch VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) "
        'ON CONFLICT (series_id, start) DO UPDATE SET "end" = greatest(failed_fetch."end", excluded."end")',
        rest,
    )


def write_failed(
    db: Database, series_id: int, window: Window, error: str, attempts: int, run_id: str, now: int
) -> None:
    with db.transaction():
        db.execute(
            'INSERT INTO failed_fetch (series_id, start, "end", error, attempts, run_id, first_seen, last_seen) '
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (series_id, start) DO UPDATE SET "
            '"end" = greatest(failed_fetch."end", excluded."end"), error = excluded.error, '
            "attempts = excluded.attempts, run_id = excluded.run_id, "
            "sightings = failed_fetch.sightings + 1, last_seen = excluded.last_seen",
            (series_id, *window, error, attempts, run_id, now, now),
        )


def _uncover(db: Database, commit: Commit, filled: list[Window]) -> None:
    """A gap filled by an answer with fewer groups than it was found with: the others were not answered after all."""
    query = 'SELECT groups, start, "end" FROM coverage WHERE series_id = ? AND start < ? AND "end" > ?'
    for hole in filled:
        found = db.execute(query, (commit.series.id, hole.end, hole.start)).fetchall()
        for groups, start, end in found:
            if set(groups.split(",")) <= set(commit.groups):
                continue
            where = (commit.series.id, groups, start)
            db.execute("DELETE FROM coverage WHERE series_id = ? AND groups = ? AND start = ?", where)
            rest = subtract([Window(start, end)], [hole])
            db.executemany("INSERT INTO coverage VALUES (?, ?, ?, ?)", [(*where[:2], *window) for window in rest])


def _write_gaps(db: Database, commit: Commit, passed_over: list[Window]) -> None:
    before = read_gaps(db, commit.series.id, commit.window)
    answered = commit.covered or commit.window
    # A stored bar is no gap, whatever an answer leaves out.
    absences = [
        absence._replace(window=rest) for absence in commit.absences for rest in subtract([absence.window], passed_over)
    ]
    after = sight(before, answered, absences, commit.known_at)
    _uncover(db, commit, subtract([gap.window for gap in before], [gap.window for gap in after]))
    # Another window of the series may have settled the start since this one was asked for.
    [start] = db.execute("SELECT history_start FROM series WHERE id = ?", (commit.series.id,)).fetchone()
    if start is not None:
        after = without_prehistory(after, start)
    replace_gaps(db, commit.series.id, before, after)


def _passed_over(db: Database, commit: Commit) -> list[Window]:
    """Closed bars that are stored, though this answer has no usable row for them."""
    if not commit.absences:
        return []
    db.flush_bars()
    query = f"SELECT ts FROM {commit.dataset.name} WHERE series_id = ? AND ts >= ? AND ts < ? AND closed"
    found = (ts for absence in commit.absences for (ts,) in db.execute(query, (commit.series.id, *absence.window)))
    return merge(Window(ts, ts + commit.grain.seconds) for ts in found)


def _write_series(db: Database, commit: Commit, inserted: int) -> tuple[int | None, int]:
    closed = commit.rows[: bisect_left(commit.rows, commit.closed_before, key=itemgetter(0))]
    names = [name for name in commit.constants if name != "instrument"]
    constants = "".join(f", {name} = ?" for name in names)
    row: tuple[Any, ...] | None = db.execute(
        "UPDATE series SET rows = rows + ?, last_bar = greatest(last_bar, ?), first_bar = least(first_bar, ?), "
        "page_checked = CASE WHEN ? THEN ? ELSE page_checked END, "
        "audited_at = CASE WHEN ? THEN ? ELSE audited_at END, "
        # Only what joins the audited part moves it on, in whatever order its pages come.
        "audit_from = CASE WHEN ? AND ? <= coalesce(audit_from, ?) THEN ? ELSE audit_from END"
        f"{constants} WHERE id = ? RETURNING last_bar, rows, blocked, instrument, exchange_symbol",
        (
            inserted,
            closed[-1][0] if closed else None,
            closed[0][0] if closed else None,
            *(commit.is_page, commit.known_at, commit.audits, commit.known_at),
            *(commit.audits, commit.window.start, commit.window.start, commit.window.end),
            *(commit.constants[name] for name in names),
            commit.series.id,
        ),
    ).fetchone()
    if row is None:
        raise StoreError(f"{commit.series.key} is not stored any more")
    last_bar, rows, blocked, *names_now = row
    if blocked is not None:
        raise Rejected(f"{commit.series.key} is blocked: {blocked}")
    if commit.series.key.instrument not in names_now:
        # Its old name may be another one's by now, and this answer about that one.
        raise Rejected(f"{commit.series.key} is called {names_now[0]} since the job began: run it again")
    if (mapped := commit.constants.get("instrument")) and mapped != commit.series.key.instrument:
        _rename(db, commit.series, mapped)
    return last_bar, rows


def _rename(db: Database, series: SeriesState, mapped: str) -> None:
    """A series asked for by the exchange's own name gets its mapped one. Raises Rejected when that is taken."""
    same = " AND ".join(f"s.{name} = series.{name}" for name in ("source", "data_type", "market", "interval"))
    free = f"NOT EXISTS (SELECT 1 FROM series AS s WHERE s.instrument = ? AND {same})"
    renamed = db.execute(f"UPDATE series SET instrument = ? WHERE id = ? AND {free}", (mapped, series.id, mapped))
    if not renamed.rowcount:
        own = series.key.instrument
        raise Rejected(f"{own} is the exchange's own name of {mapped}, a series of its own: ask for {mapped}")
