"""The journal: who the rows come from, runs with their series, and alerts."""

import json
from collections.abc import Sequence

from core.events import AlertChanged
from core.stores import RunRecord, RunSeries
from core.stores.database import Database, places


def claim_origin(db: Database, origin: str) -> str:
    """The store's origin: the one it had, else `origin` from now on."""
    db.execute("INSERT INTO meta (name, value) VALUES ('origin', ?) ON CONFLICT (name) DO NOTHING", (origin,))
    return read_origin(db)


def read_origin(db: Database) -> str:
    """Who the rows come from; empty before the first one."""
    found = db.execute("SELECT value FROM meta WHERE name = 'origin'").fetchone()
    return str(found[0]) if found else ""


def read_alerts(db: Database, *, only_open: bool = True) -> list[AlertChanged]:
    """The newest alerts, newest first."""
    where = "WHERE state = 'firing'" if only_open else ""
    names = "alert, rule, level, state, since, changed, message, source, count"
    found = db.execute(f"SELECT {names} FROM alert {where} ORDER BY since DESC LIMIT 500")
    return [
        AlertChanged(
            alert=row[0],
            rule=row[1],
            level=row[2],
            state=row[3],
            since=row[4],
            time=row[5],
            message=row[6],
            source=row[7],
            count=row[8],
        )
        for row in found
    ]


def write_journal(
    db: Database, runs: Sequence[RunRecord], series: Sequence[RunSeries], alerts: Sequence[AlertChanged]
) -> None:
    with db.transaction():
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
        # Engines side by side tell of the same alerts, and wait for each other in one order.
        ordered = sorted(alerts, key=lambda alert: alert.alert)
        _replace(
            db,
            "alert",
            ("alert",),
            ("rule", "level", "state", "since", "changed", "message", "source", "count"),
            [(a.alert, a.rule, a.level, a.state, a.since, a.time, a.message, a.source, a.count) for a in ordered],
        )


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
