"""The journal: who the rows come from, runs with their series, alerts, and calls that were sent."""

import json
from collections.abc import Sequence

from core.alerting import Change
from core.stores import RunRecord, RunSeries, alert_sql, usage_sql
from core.stores.database import Database, places
from core.usage import Counted

KEPT_SECONDS, DETAILED_SECONDS = 90 * 86_400.0, 7 * 86_400.0
MOST_DETAILED, AT_ONCE = 2_000, 500
_OLD = f"SELECT run_id FROM run WHERE created < ? ORDER BY created LIMIT {AT_ONCE}"
_DETAILED = (
    "SELECT run_id FROM run WHERE created < ? AND EXISTS "
    "(SELECT 1 FROM run_series AS s WHERE s.run_id = run.run_id AND s.state = 'done') "
    f"ORDER BY created LIMIT {AT_ONCE}"
)


def claim_origin(db: Database, origin: str) -> str:
    """The store's origin: the one it had, else `origin` from now on."""
    db.execute("INSERT INTO meta (name, value) VALUES ('origin', ?) ON CONFLICT (name) DO NOTHING", (origin,))
    return read_origin(db)


def read_origin(db: Database) -> str:
    """Who the rows come from; empty before the first one."""
    found = db.execute("SELECT value FROM meta WHERE name = 'origin'").fetchone()
    return str(found[0]) if found else ""


def forget_runs(db: Database, now: float) -> None:
    """Delete a bounded number of the oldest rows about runs that are kept no longer; called now and then it keeps up.

    Runs go after KEPT_SECONDS. What was done of single series goes from all but the newest runs; what failed stays as
    long as its run.
    """
    many = db.execute(f"SELECT created FROM run ORDER BY created DESC LIMIT 1 OFFSET {MOST_DETAILED}").fetchone()
    before = max(now - DETAILED_SECONDS, many[0] if many else 0.0)
    with db.transaction():
        old = _found(db, _OLD, now - KEPT_SECONDS)
        db.execute(f"DELETE FROM run_series WHERE run_id IN ({places(old)})", old)
        db.execute(f"DELETE FROM run WHERE run_id IN ({places(old)})", old)
        detailed = _found(db, _DETAILED, before)
        db.execute(f"DELETE FROM run_series WHERE state = 'done' AND run_id IN ({places(detailed)})", detailed)


def _found(db: Database, query: str, before: float) -> list[str]:
    return [run for (run,) in db.execute(query, (before,))]


def write_journal(
    db: Database,
    runs: Sequence[RunRecord],
    series: Sequence[RunSeries],
    alerts: Sequence[Change],
    counted: Sequence[Counted],
) -> None:
    with db.transaction():
        usage_sql.add(db, counted)
        _replace(
            db,
            "run",
            ("run_id",),
            ("engine", "data_type", "interval", "label", "state", "created", "started", "finished", "summary"),
            [
                (
                    *(r.run_id, r.engine, r.data_type, r.interval, r.label, r.state),
                    *(r.created, r.started, r.finished, json.dumps(r.summary)),
                )
                for r in runs
            ],
        )
        _replace(
            db,
            "run_series",
            ("run_id", "series"),
            ("state", "windows_done", "windows_total", "rows", "error"),
            [(s.run_id, s.series, s.state, s.windows_done, s.windows_total, s.rows, s.error) for s in series],
        )
        alert_sql.write(db, alerts)


def _replace(
    db: Database, table: str, key: Sequence[str], others: Sequence[str], rows: Sequence[tuple[object, ...]]
) -> None:
    names = (*key, *others)
    sets = ", ".join(f"{name} = excluded.{name}" for name in others)
    query = (
        f"INSERT INTO {table} ({', '.join(names)}) VALUES ({places(names)}) "
        f"ON CONFLICT ({', '.join(key)}) DO UPDATE SET {sets}"
    )
    if rows:
        db.executemany(query, rows)
