"""The tables `alert`, `alert_change`, `silence` and `duty`."""

from collections.abc import Sequence

import msgspec

from core.alerting import Change
from core.alerting.silences import Silence
from core.errors import ConfigError
from core.events import OPEN_ALERTS, AlertChanged
from core.stores import outbox_sql
from core.stores.alerts import MOST_CHANGES, Logged
from core.stores.database import Database, Row, places
from core.text import clean
from core.windows import iso

OVER = ("resolved", "inactive")
_SHARED = ("alert", "rule", "level", "state", "since", "message", "source", "count", "incident", "sequence", "value")
_STAMPS = ("fired", "resolved")
_ACK = ("acked_by", "acked_until")
_FIELDS = (*_SHARED, *_STAMPS, *_ACK)
_SET = (*_SHARED[1:], *_STAMPS, "changed", "memory")
# An acknowledgement is written by whoever gives it and ends with its incident: what an engine remembers of it is older.
_KEEP = ", ".join(
    f"{name} = CASE WHEN alert.incident = excluded.incident THEN alert.{name} ELSE excluded.{name} END" for name in _ACK
)
_WRITE = (
    f"INSERT INTO alert ({', '.join((*_FIELDS, 'changed', 'memory'))}) VALUES ({places((*_FIELDS, 0, 0))}) "
    f"ON CONFLICT (alert) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in _SET)}, {_KEEP}"
)
_LOGGED = ("alert", "incident", "sequence", "rule", "source", "level", "state", "at", "value", "message")
_LOG = f"INSERT INTO alert_change ({', '.join(_LOGGED)}) VALUES ({places(_LOGGED)})"
_SILENCE = ("silence", "rule", "source", "level", "created", "until", "author", "comment")


def write(db: Database, changes: Sequence[Change]) -> None:
    """Write what happened to alerts, in its order, within a transaction: states, their history, what is to be told."""
    newest = {change.alert.alert: change for change in changes}
    # Engines side by side tell of the same alerts, and wait for each other in one order.
    rows = [_row(newest[name]) for name in sorted(newest)]
    logged = [_logged(change.alert) for change in changes if change.is_logged]
    if rows:
        db.executemany(_WRITE, rows)
    if logged:
        db.executemany(_LOG, logged)
    outbox_sql.add(db, [entry for change in changes for entry in change.entries])


def read(db: Database, *, only_open: bool = True, limit: int = 500) -> list[AlertChanged]:
    """The newest alerts that have been told, newest first."""
    states = sorted(OPEN_ALERTS) if only_open else ["resolved", *sorted(OPEN_ALERTS)]
    query = (
        f"SELECT {', '.join(_FIELDS)}, changed FROM alert WHERE state IN ({places(states)}) "
        "ORDER BY since DESC, alert LIMIT ?"
    )
    return [_alert(row) for row in db.execute(query, (*states, limit))]


def read_kept(db: Database, changed_since: float | None) -> list[Change]:
    """As `AlertStore.kept_alerts`, oldest first."""
    query = (
        f"SELECT {', '.join(_FIELDS)}, changed, memory FROM alert WHERE state NOT IN ({places(OVER)}) "
        "OR changed >= ? ORDER BY since, alert"
    )
    far = float(2**62) if changed_since is None else changed_since
    return [Change(_alert(row[:-1]), row[-1], is_logged=False) for row in db.execute(query, (*OVER, far))]


def read_changes(db: Database, after: int, limit: int) -> list[Logged]:
    """The changes with larger ids, oldest first."""
    query = f"SELECT id, {', '.join(_LOGGED)} FROM alert_change WHERE id > ? ORDER BY id LIMIT ?"
    return [_change(row) for row in db.execute(query, (after, limit))]


def read_changes_of(db: Database, alert: str, limit: int) -> list[Logged]:
    """The newest changes of one alert, newest first."""
    query = f"SELECT id, {', '.join(_LOGGED)} FROM alert_change WHERE alert = ? ORDER BY id DESC LIMIT ?"
    return [_change(row) for row in db.execute(query, (alert, limit))]


def last_change(db: Database) -> int:
    """The id of the newest change, 0 before the first."""
    return int(db.execute("SELECT coalesce(max(id), 0) FROM alert_change").fetchone()[0])


def acknowledge(db: Database, name: str, by: str, until: float, now: float) -> AlertChanged:
    who = clean(by, 100)
    return _acked(db, name, (who, until), f"acknowledged by {who} until {iso(until)}", now)


def unacknowledge(db: Database, name: str, by: str, now: float) -> AlertChanged:
    return _acked(db, name, ("", None), f"{clean(by, 100)} does not see to it any more", now)


def _acked(db: Database, name: str, ack: tuple[str, float | None], words: str, now: float) -> AlertChanged:
    states = sorted(OPEN_ALERTS)
    query = (
        "UPDATE alert SET acked_by = ?, acked_until = ?, changed = ? WHERE (alert = ? OR incident = ?) "
        f"AND state IN ({places(states)}) RETURNING {', '.join(_FIELDS)}, changed"
    )
    with db.transaction():
        found = db.execute(query, (*ack, now, name, name, *states)).fetchall()
        if not found:
            raise ConfigError(f"no open alert is called {clean(name)!r}; tapewatch alerts lists them")
        alert = _alert(found[0])
        db.execute(_LOG, _logged(msgspec.structs.replace(alert, message=words)))
    return alert


def read_silences(db: Database, now: float | None) -> list[Silence]:
    """Those in force at `now`, all that are kept when it is None; what ends first comes first."""
    at = -1.0 if now is None else now
    query = f"SELECT {', '.join(_SILENCE)} FROM silence WHERE until > ? ORDER BY until, silence"
    return [Silence(*row) for row in db.execute(query, (at,))]


def silence(db: Database, given: Silence) -> None:
    values = tuple(getattr(given, name) for name in _SILENCE)
    db.execute(f"INSERT INTO silence ({', '.join(_SILENCE)}) VALUES ({places(_SILENCE)})", values)


def unsilence(db: Database, name: str, now: float) -> Silence:
    query = f"UPDATE silence SET until = ? WHERE silence = ? AND until > ? RETURNING {', '.join(_SILENCE)}"
    found = db.execute(query, (now, name, now)).fetchall()
    if not found:
        raise ConfigError(f"no silence in force has the id {clean(name)!r}; tapewatch alerts silences lists them")
    return Silence(*found[0])


def take_duty(db: Database, duty: str, engine: str, seconds: float, now: float) -> bool:
    """One statement, by the database's own clock where engines of several hosts meet."""
    at = "date_part('epoch', clock_timestamp())" if db.dialect == "postgres" else repr(float(now))
    query = (
        f"INSERT INTO duty (duty, engine, until) VALUES (?, ?, {at} + ?) ON CONFLICT (duty) DO UPDATE SET "
        f"engine = excluded.engine, until = excluded.until WHERE duty.engine = excluded.engine OR duty.until <= {at}"
    )
    return db.execute(query, (duty, engine, seconds)).rowcount == 1


def forget(db: Database, before: float) -> None:
    """Delete what ended before then (UTC epoch seconds), and of changes all but the newest."""
    with db.transaction():
        db.execute(f"DELETE FROM alert WHERE state IN ({places(OVER)}) AND changed < ?", (*OVER, before))
        db.execute("DELETE FROM alert_change WHERE at < ? OR id <= ?", (before, last_change(db) - MOST_CHANGES))
        db.execute("DELETE FROM silence WHERE until < ?", (before,))


def _row(change: Change) -> Row:
    alert = change.alert
    return (*(getattr(alert, name) for name in _FIELDS), alert.time, change.memory)


def _alert(row: Row) -> AlertChanged:
    return AlertChanged(**dict(zip((*_FIELDS, "time"), row, strict=True)))


def _logged(alert: AlertChanged) -> Row:
    return tuple(alert.time if name == "at" else getattr(alert, name) for name in _LOGGED)


def _change(row: Row) -> Logged:
    given = dict(zip(_LOGGED, row[1:], strict=True))
    at = given.pop("at")
    return Logged(row[0], AlertChanged(since=at, time=at, **given))
