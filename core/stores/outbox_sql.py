"""The table `outbox`: what is to be told on which channel, written with the change that it tells of."""

from collections.abc import Collection, Sequence

import msgspec

from core.alerting import Entry
from core.events import AlertChanged, encode
from core.stores.database import Database, Row, places
from core.stores.outbox import DEAD, DUE_AT_ONCE, MOST_ENDED, SENT, SUPPRESSED, Depth, Due, Sent, Waiting
from core.text import clean

_NAMES = ("channel", "grouping", "incident", "sequence", "kind", "body", "created", "not_before")
_ADD = (
    f"INSERT INTO outbox ({', '.join(_NAMES)}) VALUES ({places(_NAMES)}) "
    "ON CONFLICT (channel, incident, sequence) DO NOTHING"
)
_WAITS = "channel = ?1 AND state = 'waiting'"
_IS_DUE = f"{_WAITS} AND (not_before <= ?2 OR message <> '')"
_DUE = f"""
SELECT id, channel, grouping, kind, body, created, not_before, message, error FROM outbox
WHERE {_WAITS} AND (
    message <> '' OR grouping IN (SELECT grouping FROM outbox WHERE {_IS_DUE})
    OR incident IN (SELECT incident FROM outbox WHERE {_IS_DUE})
) ORDER BY id LIMIT {DUE_AT_ONCE}
"""
_TOLD = "SELECT grouping, max(ended) FROM outbox WHERE channel = ? AND state = 'sent' AND ended > ? GROUP BY grouping"
TOLD_SECONDS = 3_600.0
_DEPTH = """
SELECT channel, sum(CASE WHEN state = 'waiting' THEN 1 ELSE 0 END), min(CASE WHEN state = 'waiting' THEN created END),
    sum(CASE WHEN state = 'dead' THEN 1 ELSE 0 END) FROM outbox WHERE state IN ('waiting', 'dead') GROUP BY channel
"""
_FALL_BACK = (
    f"INSERT INTO outbox ({', '.join(_NAMES)}) "
    f"SELECT ?2, grouping, incident, sequence, kind, body, created, ?3 FROM outbox WHERE id = ?1 "
    "ON CONFLICT (channel, incident, sequence) DO NOTHING"
)
_END = "UPDATE outbox SET state = ?2, ended = ?3, error = ?4 WHERE id = ?1 AND state = 'waiting'"
_body = msgspec.json.Decoder(AlertChanged)


def add(db: Database, entries: Sequence[Entry]) -> None:
    """Add what is to be told, within a transaction; what is there already stays as it is."""
    if entries:
        db.executemany(_ADD, [_values(entry) for entry in entries])


def due(db: Database, channel: str, now: float) -> Due:
    with db.snapshot():
        entries = [_waiting(row) for row in db.execute(_DUE, (channel, now))]
        return Due(entries, dict(db.execute(_TOLD, (channel, now - TOLD_SECONDS)).fetchall()) if entries else {})


def assign(db: Database, ids: Sequence[int], message: str) -> None:
    with db.transaction():
        db.executemany("UPDATE outbox SET message = ? WHERE id = ?", [(message, each) for each in ids])


def hold(db: Database, ids: Sequence[int], until: float, why: str) -> None:
    rows = [(until, clean(why), each) for each in ids]
    with db.transaction():
        db.executemany("UPDATE outbox SET not_before = ?, error = ? WHERE id = ?", rows)


def tried(db: Database, ids: Sequence[int], error: str) -> None:
    rows = [(clean(error), each) for each in ids]
    with db.transaction():
        db.executemany("UPDATE outbox SET attempts = attempts + 1, error = ? WHERE id = ?", rows)


def end(db: Database, ids: Sequence[int], state: str, error: str, fallback: str, now: float) -> None:
    with db.transaction():
        if fallback:
            db.executemany(_FALL_BACK, [(each, fallback, now) for each in ids])
        db.executemany(_END, [(each, state, now, clean(error)) for each in ids])


def read_depth(db: Database) -> dict[str, Depth]:
    return {channel: Depth(int(waiting), oldest, int(dead)) for channel, waiting, oldest, dead in db.execute(_DEPTH)}


_READ = "SELECT id, channel, kind, state, message, attempts, created, ended, error, body FROM outbox"


def read_entries_of(db: Database, alert: str, limit: int) -> list[Sent]:
    """The newest entries of one alert and what became of them, newest first."""
    query = (
        f"{_READ} WHERE incident IN (SELECT incident FROM alert_change WHERE alert = ?) AND incident <> '' "
        "ORDER BY id DESC LIMIT ?"
    )
    return [sent for row in db.execute(query, (alert, limit)) if (sent := _sent(*row)).alert == alert]


def read_entries(db: Database, channel: str | None, limit: int) -> list[Sent]:
    """The newest entries and what became of them, of all channels or one, newest first."""
    query = f"{_READ} {'' if channel is None else 'WHERE channel = ? '}ORDER BY id DESC LIMIT ?"
    return [_sent(*row) for row in db.execute(query, (limit,) if channel is None else (channel, limit))]


def forget(db: Database, channels: Collection[str], given_up: float, before: float, now: float) -> None:
    """Delete what ended `before`, and of what ended too much."""
    names = sorted(channels) or [""]
    with db.transaction():
        db.execute(
            "UPDATE outbox SET state = 'dead', ended = ?, error = 'nobody delivers on this channel' "
            f"WHERE state = 'waiting' AND not_before < ? AND channel NOT IN ({places(names)})",
            (now, given_up, *names),
        )
        db.execute("DELETE FROM outbox WHERE state <> 'waiting' AND ended < ?", (before,))
        for gone in (f"state IN ('{SENT}', '{SUPPRESSED}')", f"state = '{DEAD}' AND kind NOT IN ('fired', 'raised')"):
            _shorten(db, gone)


def _shorten(db: Database, gone: str) -> None:
    """As many of the oldest as there are too many of all that ended."""
    ended = int(db.execute("SELECT count(*) FROM outbox WHERE state <> 'waiting'").fetchone()[0])
    if ended > MOST_ENDED:
        oldest = f"SELECT id FROM outbox WHERE {gone} ORDER BY id LIMIT ?"
        db.execute(f"DELETE FROM outbox WHERE id IN ({oldest})", (ended - MOST_ENDED,))


def _values(entry: Entry) -> Row:
    alert = entry.alert
    place = (entry.channel, entry.grouping, alert.incident, alert.sequence, entry.kind)
    return (*place, encode(alert).decode(), entry.created, entry.not_before)


def _waiting(row: Row) -> Waiting:
    number, channel, grouping, kind, body, created, not_before, message, error = row
    return Waiting(number, Entry(channel, grouping, kind, _body.decode(body), created, not_before), message, error)


def _sent(number: int, channel: str, kind: str, state: str, message: str, *rest: str) -> Sent:
    *facts, body = rest
    alert = _body.decode(body)
    return Sent(number, channel, alert.alert, alert.level, kind, state, message, *facts)  # type: ignore[arg-type]
