"""The table `schedule_tick`: whoever writes a tick down first runs it.

A connection may be lost after a commit and before its answer: what is told is what the table says, not what a
statement changed, so that the second try of a claim knows the first one's.
"""

from collections.abc import Sequence

import msgspec

from core.stores.database import Database, Row, places
from core.stores.ticks import CLAIMED, RUNNING, Stranded, Tick

_NAMES = "schedule, tick, engine, host, claimed, state, runs, finished, note"
_OPEN = f"state IN ('{CLAIMED}', '{RUNNING}')"
_CLAIM = f"INSERT INTO schedule_tick ({_NAMES}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
_TAKE_OVER = (
    f"UPDATE schedule_tick SET engine = ?, host = ?, claimed = ?, state = '{CLAIMED}', runs = '[]' "
    "WHERE schedule = ? AND tick = ? AND engine = ? AND state = ?"
)
_BEGIN = (
    f"UPDATE schedule_tick SET state = '{RUNNING}', runs = ? "
    f"WHERE schedule = ? AND tick = ? AND engine = ? AND state = '{CLAIMED}'"
)
_END = (
    "UPDATE schedule_tick SET state = ?, finished = ?, note = CASE WHEN note = '' OR ? = '' THEN note || ? "
    f"ELSE note || '; ' || ? END WHERE schedule = ? AND tick = ? AND engine = ? AND {_OPEN}"
)
_FORGET = (
    "DELETE FROM schedule_tick WHERE tick < ? AND finished IS NOT NULL AND tick < "
    "(SELECT max(tick) FROM schedule_tick AS newer WHERE newer.schedule = schedule_tick.schedule)"
)
_LAST = f"SELECT {_NAMES} FROM schedule_tick WHERE schedule = ? AND tick <= ? ORDER BY tick DESC LIMIT 1"


def last_ticks(db: Database, schedules: Sequence[str], now: float) -> dict[str, Tick]:
    """The newest tick of each that is not after `now`."""
    found = {name: db.execute(_LAST, (name, int(now))).fetchone() for name in schedules}
    return {name: _tick(row) for name, row in found.items() if row is not None}


def claim(db: Database, tick: Tick) -> bool:
    """Whether it is ours now: exactly one of several engines is told so."""
    db.execute(_CLAIM, (*tick[:6], _encoded(tick.runs), *tick[7:]))
    return _read(db, tick.schedule, tick.tick) == tick


def take_over(db: Database, left: Tick, engine: str, host: str, now: float) -> bool:
    """Whether it was still as it was `left`, and is ours now."""
    db.execute(_TAKE_OVER, (engine, host, now, left.schedule, left.tick, left.engine, left.state))
    found = _read(db, left.schedule, left.tick)
    return found is not None and (found.engine, found.claimed, found.state) == (engine, now, CLAIMED)


def begin(db: Database, schedule: str, tick: int, engine: str, runs: Sequence[str]) -> bool:
    """Whether `engine` still had it claimed, and its runs are written down."""
    db.execute(_BEGIN, (_encoded(runs), schedule, tick, engine))
    found = _read(db, schedule, tick)
    return found is not None and (found.engine, found.state, found.runs) == (engine, RUNNING, tuple(runs))


def _read(db: Database, schedule: str, tick: int) -> Tick | None:
    query = f"SELECT {_NAMES} FROM schedule_tick WHERE schedule = ? AND tick = ?"
    found = db.execute(query, (schedule, tick)).fetchone()
    return None if found is None else _tick(found)


def end(db: Database, tick: Tick, state: str, note: str, now: float) -> bool:
    """Whether it was still its engine's, and had not ended. The note is added to what is noted."""
    values = (state, now, note, note, note, tick.schedule, tick.tick, tick.engine)
    db.execute(_END, values)
    found = _read(db, tick.schedule, tick.tick)
    return found is not None and (found.engine, found.state) == (tick.engine, state)


def read_open(db: Database, schedule: str) -> list[Tick]:
    query = f"SELECT {_NAMES} FROM schedule_tick WHERE schedule = ? AND {_OPEN} ORDER BY tick"
    return [_tick(row) for row in db.execute(query, (schedule,))]


def read_stranded(db: Database, engine: str) -> list[Stranded]:
    """Those that are open, but of other engines at work; in a file there are none."""
    left = [_tick(row) for row in db.execute(f"SELECT {_NAMES} FROM schedule_tick WHERE {_OPEN} ORDER BY tick")]
    if left and db.dialect == "postgres":
        from core.stores.lease_sql import read_engines  # noqa: PLC0415 - only what has leases knows of engines

        at_work = {holder.name for holder in read_engines(db) if holder.is_alive}
        left = [tick for tick in left if tick.engine not in at_work - {engine}]
    return [Stranded(tick, _states(db, tick.runs)) for tick in left]


def _states(db: Database, runs: Sequence[str]) -> dict[str, str]:
    return dict(db.execute(f"SELECT run_id, state FROM run WHERE run_id IN ({places(runs)})", tuple(runs)).fetchall())


def read_ticks(db: Database, limit: int, schedule: str | None = None) -> list[Tick]:
    """The newest ticks, of one schedule or of all, the newest first."""
    which, values = ("WHERE schedule = ? ", (schedule,)) if schedule is not None else ("", ())
    query = f"SELECT {_NAMES} FROM schedule_tick {which}ORDER BY tick DESC, schedule LIMIT ?"
    return [_tick(row) for row in db.execute(query, (*values, limit))]


def forget(db: Database, before: float) -> None:
    """Delete ended ticks from before that time, but the newest of each schedule."""
    db.execute(_FORGET, (int(before),))


def _encoded(runs: Sequence[str]) -> str:
    return msgspec.json.encode(list(runs)).decode()


def _tick(row: Row) -> Tick:
    tick = Tick(*row)
    return tick._replace(runs=tuple(msgspec.json.decode(row[6])))
