"""Answered windows as one transaction: rows, coverage, gaps, quarantine and restatements."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from core.coverage import SeriesState, missing, sight, unsettle, without_prehistory
from core.errors import Rejected, StoreError
from core.failpoints import failpoint
from core.sources import RejectedRow
from core.stores import Commit, Written
from core.stores.database import Database
from core.stores.gap_sql import read_gaps, replace_gaps, settle_start
from core.stores.quarantine_sql import storable
from core.stores.rows_sql import WIDENED, covered_in, merge_rows, repeat_rows, write_new
from core.windows import Window, intersect, merge, subtract

LATEST = 2**62
# A bar that was read too young and is passed over by later answers is asked for so much longer.
PASSED_OVER_SECONDS = 86_400
BIGINT = "CAST(? AS bigint)"
EXTENSION = f"({BIGINT}, CAST(? AS text), {BIGINT}, {BIGINT}, {BIGINT})"
FIGURES = f"({', '.join([BIGINT] * 8)})"


# Series, groups, the start that coverage had, and the start and end that it has from now on.
Extension = tuple[int, str, int, int, int]


@dataclass(slots=True)
class Around:
    """What is stored in and beside a window. Of a new history that is nothing but the coverage beside it.

    It `has_same` when its bars are those of the answer, and closed; `coverage` is what was answered with the same
    groups.
    """

    has_bars: bool = False
    has_same: bool = False
    has_failed: bool = False
    has_gaps: bool = False
    coverage: list[Window] = field(default_factory=list)
    unsettled: list[Window] = field(default_factory=list)


def write_windows(db: Database, commits: Sequence[Commit]) -> list[Written]:
    """All or none of them: rows, restatements, quarantine, coverage, gaps and the figures of their series.

    What all windows need is one statement for several of them: on a network each takes its time, and each is a
    turn in the queue for Python's lock.
    """
    with db.transaction():
        db.lock_series(*(commit.series.id for commit in commits))
        return [written for batch in _batches(commits) for written in _write_batch(db, batch)]


def _batches(commits: Sequence[Commit]) -> Iterator[list[Commit]]:
    """The commits in their order, each series once in a batch: what is written of it is seen by its next window."""
    batch: dict[int, Commit] = {}
    for commit in commits:
        if commit.series.id in batch:
            yield list(batch.values())
            batch = {}
        batch[commit.series.id] = commit
    yield list(batch.values())


def _write_batch(db: Database, commits: Sequence[Commit]) -> list[Written]:
    arounds = look_around(db, commits)
    _compare(db, commits, arounds)
    extensions: list[Extension] = []
    counts = [_write_answer(db, *pair, extensions) for pair in zip(commits, arounds, strict=True)]
    _extend(db, extensions)
    return _write_series(db, commits, counts)


def _write_answer(db: Database, commit: Commit, around: Around, extensions: list[Extension]) -> dict[str, int]:
    """All but what `extensions` says and the figures of the series; how many rows were what."""
    failpoint("tx_begin")
    counts = _write_rows(db, commit, around)
    failpoint("tx_rows")
    quarantined = _write_quarantine(db, commit)
    failpoint("tx_quarantine")
    passed_over = _passed_over(db, commit)
    if commit.covered:
        for answered in subtract([commit.covered], [] if commit.is_last else passed_over):
            # Of what was answered with the same groups before, none comes only now.
            if subtract([answered], around.coverage):
                _write_widened(db, commit, answered, counts["inserted"])
            _cover(db, commit, around, answered, extensions)
        _write_unsettled(db, commit, commit.covered, passed_over, around.unsettled)
    if around.has_failed:
        forget_failed(db, commit.series.id, commit.window)
    if around.has_gaps or commit.absences:
        _write_gaps(db, commit, passed_over)
    return {**counts, "quarantined": quarantined}


def _write_rows(db: Database, commit: Commit, around: Around) -> dict[str, int]:
    if around.has_same:
        return repeat_rows(commit)
    return merge_rows(db, commit) if around.has_bars else write_new(db, commit)


def look_around(db: Database, commits: Sequence[Commit]) -> list[Around]:
    """One statement for all of it, whatever the windows are of."""
    arounds = [Around() for _ in commits]
    query = " UNION ALL ".join(_looks(at, commit) for at, commit in enumerate(commits))
    values = [value for commit in commits for value in _places_around(commit)]
    for at, kind, *part in db.execute(query, values):
        if kind in {"coverage", "unsettled"}:
            getattr(arounds[at], kind).append(Window(*part))
        else:
            setattr(arounds[at], f"has_{kind}", True)
    return arounds


def _compare(db: Database, commits: Sequence[Commit], arounds: Sequence[Around]) -> None:
    """Only closed bars: a running one is confirmed by who repeats it."""
    pairs = [pair for pair in zip(commits, arounds, strict=True) if pair[1].has_bars and pair[0].is_closed]
    if not pairs:
        return
    db.flush_bars()
    for (_, around), is_same in zip(pairs, db.has_bars([commit for commit, _ in pairs]), strict=True):
        around.has_same = is_same


def _looks(at: int, commit: Commit) -> str:
    touching = 'WHERE series_id = ? AND start <= ? AND "end" >= ?'
    return (
        f"SELECT {at}, 'bars', 0, 0 WHERE EXISTS (SELECT 1 FROM {commit.dataset.name} "
        "WHERE series_id = ? AND ts >= ? AND ts < ?) "
        f"UNION ALL SELECT {at}, 'coverage', start, \"end\" FROM coverage {touching} AND groups = ? "
        f"UNION ALL SELECT {at}, 'unsettled', start, \"end\" FROM unsettled {touching} "
        f"UNION ALL SELECT {at}, 'failed', 0, 0 WHERE EXISTS (SELECT 1 FROM failed_fetch {touching}) "
        f"UNION ALL SELECT {at}, 'gaps', 0, 0 WHERE EXISTS (SELECT 1 FROM gap {touching})"
    )


def _places_around(commit: Commit) -> tuple[Any, ...]:
    series_id, window, covered = commit.series.id, commit.window, commit.covered or commit.window
    where = (series_id, max(window.end, covered.end), min(window.start, covered.start))
    return (series_id, *window, *where, ",".join(commit.groups), *where * 3)


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


def _cover(db: Database, commit: Commit, around: Around, window: Window, extensions: list[Extension]) -> None:
    """Add `window` to what is covered, joined with what it touches of what is stored."""
    touching = sorted(part for part in around.coverage if part.start <= window.end and part.end >= window.start)
    joined = merge([window, *touching])[0]
    if touching == [joined]:
        return
    place = (commit.series.id, ",".join(commit.groups))
    if touching:
        first, *others = touching
        here = "series_id = ? AND groups = ? AND start = ?"
        db.executemany(f"DELETE FROM coverage WHERE {here}", [(*place, part.start) for part in others])
        extension = (*place, first.start, *joined)
        # Only where nothing reads it before all are written may it wait for the others.
        if others or around.unsettled or around.has_gaps or commit.absences:
            _extend(db, [extension])
        else:
            extensions.append(extension)
    else:
        db.execute('INSERT INTO coverage (series_id, groups, start, "end") VALUES (?, ?, ?, ?)', (*place, *joined))
    around.coverage = [*(part for part in around.coverage if part not in touching), joined]


def _extend(db: Database, extensions: Sequence[Extension]) -> None:
    if extensions:
        db.execute(
            f'UPDATE coverage SET start = column4, "end" = column5 FROM (VALUES {_places(EXTENSION, extensions)}) AS n '
            "WHERE series_id = column1 AND groups = column2 AND start = column3",
            [value for extension in extensions for value in extension],
        )


def _places(row: str, rows: Sequence[Any]) -> str:
    return ", ".join([row] * len(rows))


def _write_widened(db: Database, commit: Commit, covered: Window, inserted: int) -> None:
    """Groups that bars stored before get only now: who asks what was known earlier must not see them."""
    if inserted == len(commit.rows):
        return
    known = covered_in(db, commit.series.id, covered)
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
    known = covered_in(db, commit.series.id, covered) if before else []
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


def _write_series(db: Database, commits: Sequence[Commit], counts: Sequence[dict[str, int]]) -> list[Written]:
    """The figures of the series, and what is known of them by now."""
    for commit in commits:
        _write_constants(db, commit)
    figures = [_figures(commit, count["inserted"]) for commit, count in zip(commits, counts, strict=True)]
    found = db.execute(
        "UPDATE series SET rows = rows + column2, "
        "last_bar = greatest(last_bar, column3), first_bar = least(first_bar, column4), "
        "page_checked = coalesce(column5, page_checked), audited_at = coalesce(column6, audited_at), "
        # Only what joins the audited part moves it on, in whatever order its pages come.
        "audit_from = CASE WHEN column7 <= coalesce(audit_from, column7) THEN column8 ELSE audit_from END "
        f"FROM (VALUES {_places(FIGURES, figures)}) AS n WHERE id = column1 "
        "RETURNING id, last_bar, rows, blocked, instrument, exchange_symbol",
        [value for row in figures for value in row],
    ).fetchall()
    known = {row[0]: row[1:] for row in found}
    return [
        _written(db, commit, count, known.get(commit.series.id)) for commit, count in zip(commits, counts, strict=True)
    ]


def _figures(commit: Commit, inserted: int) -> tuple[int | None, ...]:
    closed, _ = commit.halves(commit.rows)
    return (
        commit.series.id,
        inserted,
        closed[-1][0] if closed else None,
        closed[0][0] if closed else None,
        commit.known_at if commit.is_page else None,
        *((commit.known_at, *commit.window) if commit.audits else (None, None, None)),
    )


def _write_constants(db: Database, commit: Commit) -> None:
    if names := [name for name in commit.constants if name != "instrument"]:
        sets = ", ".join(f"{name} = ?" for name in names)
        values = [commit.constants[name] for name in names]
        db.execute(f"UPDATE series SET {sets} WHERE id = ?", (*values, commit.series.id))


def _written(db: Database, commit: Commit, counts: dict[str, int], row: tuple[Any, ...] | None) -> Written:
    """What became of a window. Raises Rejected for what must not be written to the series that it is by now."""
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
    has_constants = commit.series.has_constants or bool(commit.constants)
    state = replace(commit.series, last_bar=last_bar, rows=rows, has_constants=has_constants)
    if commit.history_start is not None and settle_start(db, commit.series.id, commit.history_start):
        state = replace(state, history_start=commit.history_start)
    failpoint("tx_cursor")
    return Written(state=state, **counts)


def _rename(db: Database, series: SeriesState, mapped: str) -> None:
    """A series asked for by the exchange's own name gets its mapped one. Raises Rejected when that is taken."""
    same = " AND ".join(f"s.{name} = series.{name}" for name in ("source", "data_type", "market", "interval"))
    free = f"NOT EXISTS (SELECT 1 FROM series AS s WHERE s.instrument = ? AND {same})"
    renamed = db.execute(f"UPDATE series SET instrument = ? WHERE id = ? AND {free}", (mapped, series.id, mapped))
    if not renamed.rowcount:
        own = series.key.instrument
        raise Rejected(f"{own} is the exchange's own name of {mapped}, a series of its own: ask for {mapped}")
