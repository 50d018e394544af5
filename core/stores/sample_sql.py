"""The table `sample`: figures over time, added to by every engine, by minute and by hour."""

from collections import Counter
from collections.abc import Sequence

import msgspec

from core.history import KEPT_SECONDS, Sample, hourly
from core.stores.database import Database, Row
from core.windows import Window

_NAMES = "seconds, name, labels, at, count, total, lowest, highest, newest, classes"
# What is there is locked by this until the transaction ends, so that its classes can be added to.
_ADD = f"""
INSERT INTO sample ({_NAMES}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, '{{}}')
ON CONFLICT (seconds, name, labels, at) DO UPDATE SET
    count = sample.count + excluded.count,
    total = sample.total + excluded.total,
    lowest = CASE WHEN excluded.lowest < sample.lowest THEN excluded.lowest ELSE sample.lowest END,
    highest = CASE WHEN excluded.highest > sample.highest THEN excluded.highest ELSE sample.highest END,
    newest = excluded.newest
"""
_CLASSES = "UPDATE sample SET classes = ? WHERE seconds = ? AND name = ? AND labels = ? AND at = ?"
_PROBE = "probe"


def write_samples(db: Database, samples: Sequence[Sample], now: float) -> None:
    """Add samples of minutes to these and to their hours; what is not kept any longer goes.

    They are written in one order by everybody, so that engines on one database never wait for each other in a circle.
    """
    everything = sorted((*samples, *map(hourly, samples)), key=lambda sample: sample[:4])
    with db.transaction():
        for sample in everything:
            _add(db, sample)
        for seconds, kept in KEPT_SECONDS.items():
            db.execute("DELETE FROM sample WHERE seconds = ? AND at < ?", (seconds, int(now) - kept))


def _add(db: Database, sample: Sample) -> None:
    if not sample.classes:
        db.execute(_ADD, sample[:9])
        return
    [(before,)] = db.execute(f"{_ADD} RETURNING classes", sample[:9]).fetchall()
    together = Counter(_decoded(before))
    together.update(sample.classes)
    db.execute(_CLASSES, (msgspec.json.encode(dict(sorted(together.items()))).decode(), *sample[:4]))


def _decoded(classes: str) -> dict[int, int]:
    return msgspec.json.decode(classes, type=dict[int, int])


def read_samples(db: Database, seconds: int, span: Window) -> list[Sample]:
    """Those of spans of so many seconds that begin in `span`, by name, labels and time."""
    query = f"SELECT {_NAMES} FROM sample WHERE seconds = ? AND at >= ? AND at < ? ORDER BY name, labels, at"
    return [_sample(row) for row in db.execute(query, (seconds, span.start, span.end))]


def _sample(row: Row) -> Sample:
    seconds, name, labels, at, times, total, lowest, highest, newest, classes = row
    return Sample(seconds, name, labels, at, times, total, lowest, highest, newest, _decoded(classes))


def write_probe(db: Database, now: float) -> None:
    """Write the one row that says when writing was last tried."""
    db.execute(_ADD, (0, _PROBE, "{}", 0, 1, 0.0, 0.0, 0.0, now))
