"""Bars in PostgreSQL's binary formats, a row or a column by one call: an encoder for each value costs twice as much.

The layout is that of COPY: https://www.postgresql.org/docs/current/sql-copy.html, "Binary Format".
"""

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

from core.records import Kind
from core.stores import Commit
from core.stores.database import Row
from core.stores.schema import BOOKKEEPING, MISSING, column_kinds

# 1970 in the database's own microseconds since 2000.
EPOCH_SECONDS = 946_684_800
BEGIN = b"PGCOPY\n\xff\r\n\0" + bytes(8)
END = b"\xff\xff"
# How `struct` names the kinds of columns.
_CODES: Mapping[Kind, str] = {float: "d", int: "q"}
_EIGHT, _NULL = struct.pack(">i", 8), struct.pack(">i", -1)


def microseconds(stamps: Iterable[int]) -> list[int]:
    """UTC epoch seconds as the database counts."""
    return [(ts - EPOCH_SECONDS) * 1_000_000 for ts in stamps]


class Bars(NamedTuple):
    """Ascending rows (ts, *columns) of one window, with what they have in common."""

    commit: Commit
    rows: Sequence[Row]

    @property
    def key(self) -> tuple[int, int]:
        return self.commit.series.id, self.rows[0][0]

    def records(self) -> list[Row]:
        """As (*BOOKKEEPING, ts, *columns)."""
        commit = self.commit
        closed, running = commit.halves(self.rows)
        start, end = (commit.series.id, True, commit.known_at), (commit.series.id, False, None)
        return [
            *((*start, commit.sent_at, *row) for row in closed),
            *((*end, commit.sent_at, *row) for row in running),
        ]

    def packed(self) -> Sequence[bytearray]:
        """The records as COPY takes them, between BEGIN and END.

        Raises struct.error where a value is missing, which has another width, or none of its kind.
        """
        if self.commit.packed and self.rows is self.commit.rows:
            return self.commit.packed
        closed, running = self.commit.halves(self.rows)
        halves = (closed, True), (running, False)
        return [_packed(self.commit, rows, are_closed=are_closed) for rows, are_closed in halves if rows]


def pack(commit: Commit) -> Commit:
    """With its rows packed, or by columns if they seem to be stored: at once, while the processor has them at hand.

    On the thread that writes them, a moment later, it takes twice as long.
    """
    if not commit.rows:
        return commit
    try:
        if commit.is_first:
            return replace(commit, packed=Bars(commit, commit.rows).packed())
        # Only closed bars are compared by the database.
        return replace(commit, packed_columns=tuple(pack_columns(commit)) if commit.is_closed else ())
    except struct.error:
        return commit


def _packed(commit: Commit, rows: Sequence[Row], *, are_closed: bool) -> bytearray:
    head = _head(commit, are_closed=are_closed)
    layout = _row(len(head), column_kinds(commit.dataset, commit.columns))
    pack_row, width = layout.pack, layout.size
    packed = bytearray().join([pack_row(head, *row) for row in rows])
    # The width of every value stands before it: of its four bytes all but the last are zero.
    eights = _EIGHT[-1:] * len(rows)
    for at in range(len(head) + 8 + 3, width, 12):
        packed[at::width] = eights
    times = _column(int, microseconds(row[0] for row in rows))
    for at in range(8):
        packed[len(head) + at :: width] = times[at::8]
    return packed


def pack_columns(commit: Commit) -> Iterator[bytes]:
    """The times, then every column, of all rows, as `select_same` takes them.

    Raises struct.error for what is no value of its kind.
    """
    stamps, *columns = zip(*commit.rows, strict=True)
    yield _column(int, microseconds(stamps))
    yield from map(_column, column_kinds(commit.dataset, commit.columns), columns)


@lru_cache(maxsize=32)
def _row(head: int, kinds: tuple[Kind, ...]) -> struct.Struct:
    """So many bytes, the time, and before each value room for its width."""
    return struct.Struct(f">{head}sq" + "".join(f"4x{_CODES[kind]}" for kind in kinds))


def _head(commit: Commit, *, are_closed: bool) -> bytes:
    """What rows have in common, up to the width of their time."""
    count = len(BOOKKEEPING) + 1 + len(commit.columns)
    known_at = _EIGHT + struct.pack(">q", commit.known_at) if are_closed else _NULL
    return b"".join(
        [
            struct.pack(">hiii?", count, 4, commit.series.id, 1, are_closed),
            known_at,
            _EIGHT + struct.pack(">q", commit.sent_at),
            _EIGHT,
        ]
    )


def _column(kind: Kind, values: Sequence[float | None]) -> bytes:
    column = struct.Struct(f">{len(values)}{_CODES[kind]}")
    try:
        return column.pack(*values)
    except struct.error:
        return column.pack(*(MISSING[kind] if value is None else value for value in values))
