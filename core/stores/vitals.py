"""What rules want to know of a store, asked for at once and without a look at bars.

Series tell their newest bar, runs their counts; restatements and notifications are found by indexed times.
"""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from core.stores.database import Database

RUNS = 500
PATIENCE_SECONDS, HOUR = 300.0, 3_600.0


class Newest(NamedTuple):
    """The newest closed bar of a data type, market and interval: its start in UTC epoch seconds, None without one."""

    data_type: str
    market: str
    interval: str
    last_bar: int | None


class Ran(NamedTuple):
    """A run that has ended, or began within the hour; rows are counted since it began."""

    data_type: str
    interval: str
    state: str
    finished: float | None
    rows: int
    quarantined: int


class Vitals(NamedTuple):
    """`runs` are the newest ones, newest first, `restated` are changes of closed bars within the hour by data type and
    interval, `undelivered` the notifications by channel that wait for five minutes or were given up within the hour.
    `hosts` are those of the engines at work, where there may be several.
    """

    newest: tuple[Newest, ...] = ()
    runs: tuple[Ran, ...] = ()
    restated: tuple[tuple[str, str, int], ...] = ()
    undelivered: tuple[tuple[str, int], ...] = ()
    hosts: frozenset[str] = frozenset()


class _Summary(msgspec.Struct):
    rows_fetched: int = 0
    rows_quarantined: int = 0


_summary = msgspec.json.Decoder(_Summary)


def read_vitals(db: Database, followed: Sequence[tuple[str, str]], now: float) -> Vitals:
    """As of `now`; of series those of the `followed` data types and intervals."""
    with db.snapshot():
        return Vitals(
            tuple(each for place in followed for each in _newest(db, place)),
            tuple(_runs(db, now)),
            tuple(_restated(db, int(now - HOUR))),
            tuple(_undelivered(db, now)),
            _hosts(db),
        )


def _newest(db: Database, place: tuple[str, str]) -> list[Newest]:
    query = (
        "SELECT data_type, market, interval, max(last_bar) FROM series WHERE data_type = ? AND interval = ? "
        "AND blocked IS NULL GROUP BY data_type, market, interval ORDER BY market"
    )
    return [Newest(*row) for row in db.execute(query, place)]


def _runs(db: Database, now: float) -> list[Ran]:
    query = (
        "SELECT data_type, interval, state, finished, summary FROM run "
        f"WHERE finished IS NOT NULL OR created > ? ORDER BY created DESC LIMIT {RUNS}"
    )
    return [_ran(*row) for row in db.execute(query, (now - HOUR,))]


def read_ended(db: Database, since: float) -> list[Ran]:
    """The runs that have ended since then (UTC epoch seconds), in the order in which they did."""
    query = "SELECT data_type, interval, state, finished, summary FROM run WHERE finished >= ? ORDER BY finished"
    return [_ran(*row) for row in db.execute(query, (since,))]


def read_changed(db: Database, since: int) -> list[tuple[str, str, int, int]]:
    """How many changes of closed bars were seen since then, by data type, interval and minute (its start)."""
    query = (
        "SELECT data_type, interval, seen_at / 60 * 60, count(*) FROM restatement "
        "JOIN series ON series.id = restatement.series_id WHERE seen_at >= ? GROUP BY 1, 2, 3 ORDER BY 3, 1, 2"
    )
    return [tuple(row) for row in db.execute(query, (since,))]


def _ran(data_type: str, interval: str, state: str, finished: float | None, summary: str) -> Ran:
    counts = _summary.decode(summary)
    return Ran(data_type, interval, state, finished, counts.rows_fetched, counts.rows_quarantined)


def _restated(db: Database, since: int) -> list[tuple[str, str, int]]:
    query = (
        "SELECT data_type, interval, count(*) FROM restatement JOIN series ON series.id = restatement.series_id "
        "WHERE seen_at >= ? GROUP BY data_type, interval ORDER BY 1, 2"
    )
    return [tuple(row) for row in db.execute(query, (since,))]


def _undelivered(db: Database, now: float) -> list[tuple[str, int]]:
    query = (
        "SELECT channel, count(*) FROM outbox WHERE (state = 'waiting' AND attempts > 0 AND not_before <= ?) "
        "OR (state = 'dead' AND ended > ?) GROUP BY channel ORDER BY channel"
    )
    return [tuple(row) for row in db.execute(query, (now - PATIENCE_SECONDS, now - HOUR))]


def _hosts(db: Database) -> frozenset[str]:
    if db.dialect != "postgres":
        return frozenset()
    from core.stores.lease_sql import read_engines  # noqa: PLC0415

    return frozenset(engine.host for engine in read_engines(db) if engine.is_alive)
