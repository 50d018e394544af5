"""Digests of stored bars, computed inside of either database from the same bytes, so that they can be compared.

The digest of a bucket (a fixed span of a series, about a thousand bars) is the SHA-256 of its bars in order, each
as fixed-width big-endian fields: doubles by their bits, whole numbers in 64, flags in 8. So whatever differs shows,
down to the last bit of a double, and two buckets that differ have one digest with the odds of SHA-256. NULL is a
value that no column holds: Infinity, which no store of ours takes, or the smallest 64-bit number. SQLite has no
negative zero (a REAL that is whole is stored as an integer), so for a digest there is none in PostgreSQL either.

PostgreSQL does it with `float8send`, `string_agg` and `sha256`. SQLite has no hash of its own: the aggregate
that it calls is a struct and a SHA-256, a third faster than the cheapest arithmetic over plain SQL that would do.
"""

import hashlib
import sqlite3
import struct
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

from core.datasets import Dataset
from core.stores.database import Database, Row
from core.windows import DAY, HOUR, MINUTE, Window

BUCKET_SECONDS = {MINUTE.name: DAY.seconds, HOUR.name: 64 * DAY.seconds, DAY.name: 1_024 * DAY.seconds}
# PostgreSQL sorts in memory what it digests at once.
BUCKETS_AT_ONCE = 16
EVERYTHING = ("closed", "known_at", "sent_at")
VALUES = ("closed",)
EVER = Window(-(2**62), 2**62)
_NOWHERE = -(2**63)
_CODES = {float: "d", int: "q", bool: "B"}


class Digest(NamedTuple):
    """A bucket of a series: how many bars it has, and what is in them."""

    rows: int
    sha256: bytes


class Bars(NamedTuple):
    """The bars of one series in one database. `window` is a part of it, `beside` what counts besides the values."""

    dataset: Dataset
    interval: str
    series_id: int
    window: Window = EVER
    beside: tuple[str, ...] = EVERYTHING

    @property
    def bucket_seconds(self) -> int:
        return BUCKET_SECONDS[self.interval]

    @property
    def columns(self) -> tuple[str, ...]:
        """What a digest covers and a comparison reads, beginning with ts."""
        return ("ts", *self.beside, *(column.name for column in self.dataset.columns))

    def within(self, window: Window) -> "Bars":
        return self._replace(window=window)


def digests(db: Database, bars: Bars) -> dict[int, Digest]:
    """The digest of every bucket that has bars, by the bucket's start; a part of one at the edges of the window."""
    query = _query(db, bars.dataset, bars.beside, bars.bucket_seconds)
    found: dict[int, Digest] = {}
    step = bars.bucket_seconds * (1 if db.dialect == "sqlite" else BUCKETS_AT_ONCE)
    for part in spans(db, bars, step):
        for ts, rows, sha256 in db.execute(query, (bars.series_id, *part)).fetchall():
            found[ts - ts % bars.bucket_seconds] = Digest(rows, sha256)
    return found


def spans(db: Database, bars: Bars, step: int) -> Iterator[Window]:
    """Spans of `step` seconds from a multiple of it on that have bars, in order, cut to the window."""
    query = f"SELECT min(ts) FROM {bars.dataset.name} WHERE series_id = ? AND ts >= ? AND ts < ?"
    start = bars.window.start
    while (first := db.execute(query, (bars.series_id, start, bars.window.end)).fetchone()[0]) is not None:
        begin = first - first % step
        yield Window(max(begin, bars.window.start), min(begin + step, bars.window.end))
        start = begin + step


def rows_of(db: Database, bars: Bars) -> list[Row]:
    """The bars themselves, in order, as the columns that a digest covers."""
    query = f"SELECT {', '.join(bars.columns)} FROM {bars.dataset.name} WHERE series_id = ? AND ts >= ? AND ts < ?"
    return db.execute(f"{query} ORDER BY ts", (bars.series_id, *bars.window)).fetchall()


def _query(db: Database, dataset: Dataset, beside: tuple[str, ...], seconds: int) -> str:
    """Gives (first ts, bars, digest) of every bucket in a span of a series; in SQLite that lies within one bucket."""
    where = f"FROM {dataset.name} WHERE series_id = ? AND ts >= ? AND ts < ?"
    if isinstance(db, sqlite3.Connection):
        fields = ", ".join(_sqlite_field(name, kind) for name, kind in _kinds(dataset, beside))
        return f"SELECT min(ts), count(*), {_registered(db, dataset, beside)}(ts, {fields}) {where}"
    row = _joined([_postgres_field(name, kind) for name, kind in (("ts", int), *_kinds(dataset, beside))])
    digest = f"sha256(string_agg({row}, CAST('' AS bytea) ORDER BY ts))"
    return f"SELECT min(ts), count(*), {digest} {where} GROUP BY floor(date_part('epoch', ts) / {seconds})"


def _kinds(dataset: Dataset, beside: Sequence[str]) -> list[tuple[str, type]]:
    own: list[tuple[str, type]] = [(name, bool if name == "closed" else int) for name in beside]
    return own + [(column.name, column.kind) for column in dataset.columns]


def _sqlite_field(name: str, kind: type) -> str:
    if kind is bool:
        return name
    return f"coalesce({name}, {'9e999' if kind is float else '-9223372036854775807 - 1'})"


def _postgres_field(name: str, kind: type) -> str:
    if name == "ts":
        return "int8send(CAST(date_part('epoch', ts) AS bigint))"
    if kind is bool:
        return f"CASE WHEN {name} THEN CAST('\\x01' AS bytea) ELSE CAST('\\x00' AS bytea) END"
    if kind is float:
        # Adding zero makes zero of a negative one, and changes nothing else.
        return f"float8send(coalesce({name} + 0, 'Infinity'))"
    return f"int8send(coalesce({name}, CAST('{_NOWHERE}' AS bigint)))"


def _joined(parts: Sequence[str]) -> str:
    """`parts` one after the other; halves first, so that less is copied and nothing nests deeply."""
    if len(parts) == 1:
        return parts[0]
    half = len(parts) // 2
    return f"({_joined(parts[:half])} || {_joined(parts[half:])})"


def _registered(db: sqlite3.Connection, dataset: Dataset, beside: tuple[str, ...]) -> str:
    """The name of the aggregate on this connection. Making it again is as cheap as asking whether it is there."""
    name = f"digest_{dataset.name}_{len(beside)}"
    db.create_aggregate(name, -1, _aggregate(dataset, beside))
    return name


@cache
def _aggregate(dataset: Dataset, beside: tuple[str, ...]) -> Any:
    """Its argument are the fields of a row, which begin with the time that rows are ordered by."""
    codes = "".join(_CODES[kind] for _, kind in _kinds(dataset, beside))
    pack: Callable[..., bytes] = struct.Struct(f">q{codes}").pack

    class BarsDigest:
        def __init__(self) -> None:
            self._rows: list[bytes] = []

        def step(self, *fields: Any) -> None:
            self._rows.append(pack(*fields))

        def finalize(self) -> bytes:
            return hashlib.sha256(b"".join(sorted(self._rows))).digest()

    return BarsDigest
