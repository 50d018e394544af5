"""Closed bars that changed after all, one changed column a row."""

import json
from typing import Any, NamedTuple

from core.datasets import SeriesKey
from core.stores.database import Database
from core.stores.selection import Selection


class Restated(NamedTuple):
    """One column of one bar: `seen_at` is when the vendor gave the new value. Times in UTC epoch seconds."""

    seen_at: int
    key: SeriesKey
    ts: int
    column: str
    old: Any
    new: Any
    run_id: str


def restated(db: Database, selection: Selection, since: int, newest: int | None = None) -> list[Restated]:
    """What changed in the selected series since then, oldest first; of many only the `newest` bars."""
    query = (
        "SELECT seen_at, data_type, market, instrument, interval, ts, old, new, run_id "
        f"FROM restatement JOIN series ON series.id = restatement.series_id WHERE {selection.where} AND seen_at >= ? "
    )
    order = ("seen_at", "data_type", "market", "instrument", "interval", "ts", "restatement.id")
    if newest is None:
        rows = db.execute(f"{query}ORDER BY {', '.join(order)}", (*selection.values, since)).fetchall()
    else:
        backwards = f"{query}ORDER BY {' DESC, '.join(order)} DESC LIMIT {newest}"
        rows = db.execute(backwards, (*selection.values, since)).fetchall()[::-1]
    found: list[Restated] = []
    for seen_at, *names, ts, old, new, run_id in rows:
        before, after = json.loads(old), json.loads(new)
        key = SeriesKey(*names)
        found += [Restated(seen_at, key, ts, name, before[name], after[name], run_id) for name in after]
    return found
