"""What could not be used, as it came: rows, and whole answers."""

from collections.abc import Sequence
from typing import NamedTuple

from core.datasets import SeriesKey
from core.stores.database import Database, places
from core.stores.selection import Selection
from core.windows import GRAINS, Window

ALL = Selection(lists=True)


class Quarantined(NamedTuple):
    """One record; times in UTC epoch seconds.

    `span` is the bar's start and one second for a row whose time could be read, else the window asked for; of
    a list of reference data it is the number of its page.
    `is_filled` says that there is a bar in its slot by now, or that all of the window was answered since.
    """

    id: int
    source: str
    key: SeriesKey
    span: Window
    reason: str
    detail: str
    raw: str
    run_id: str
    sightings: int
    first_seen: int
    last_seen: int
    accepted: int | None
    is_filled: bool = False

    @property
    def is_of_list(self) -> bool:
        """Whether it came with a list of reference data."""
        return not self.key.interval

    @property
    def is_row(self) -> bool:
        return self.span.seconds == 1 and not self.is_of_list

    @property
    def slot(self) -> Window:
        """The bar that a row would be."""
        if self.is_of_list:
            return self.span
        grain = GRAINS[self.key.interval]
        start = grain.floor(self.span.start)
        return Window(start, start + grain.seconds)

    @property
    def state(self) -> str:
        """accepted, filled (by a later answer) or open."""
        if self.accepted is not None:
            return "accepted"
        return "filled" if self.is_filled else "open"


def storable(raw: str) -> str:
    """`raw` without NUL, which PostgreSQL keeps in no text. What stands for it is no JSON either."""
    return raw.replace("\x00", "\x01")


def quarantined(
    db: Database,
    selection: Selection = ALL,
    ids: Sequence[int] = (),
    reason: str | None = None,
    newest: int | None = None,
) -> list[Quarantined]:
    """The records of the selected series, by series and time, all or those of `ids` or `reason`.

    Of many only the `newest`, by when they came, oldest first; a record may be a whole answer.
    """
    chosen = f" AND q.id IN ({places(ids)})" if ids else ""
    chosen += " AND reason = ?" if reason is not None else ""
    query = (
        'SELECT q.id, source, data_type, market, instrument, interval, q.start, q."end", reason, detail, raw, run_id, '
        "sightings, first_seen, last_seen, accepted, series.id "
        f"FROM quarantine AS q JOIN series ON series.id = q.series_id WHERE {selection.where}{chosen} "
    )
    by_place = "data_type, market, instrument, interval, q.start, q.id"
    query += f"ORDER BY {by_place}" if newest is None else f"ORDER BY q.id DESC LIMIT {newest}"
    found = []
    for row in db.execute(query, (*selection.values, *ids, *(() if reason is None else (reason,)))).fetchall():
        record = Quarantined(row[0], row[1], SeriesKey(*row[2:6]), Window(*row[6:8]), *row[8:16])
        found.append(record._replace(is_filled=_is_filled(db, row[16], record)))
    return found if newest is None else found[::-1]


def _is_filled(db: Database, series_id: int, record: Quarantined) -> bool:
    if record.is_of_list:
        query = "SELECT coalesce(page_checked > ?, false) FROM series WHERE id = ?"
        return bool(db.execute(query, (record.last_seen, series_id)).fetchone()[0])
    if record.is_row:
        query = f"SELECT EXISTS (SELECT 1 FROM {record.key.data_type} WHERE series_id = ? AND ts = ?)"
        return bool(db.execute(query, (series_id, record.slot.start)).fetchone()[0])
    query = 'SELECT EXISTS (SELECT 1 FROM coverage WHERE series_id = ? AND start <= ? AND "end" >= ?)'
    return bool(db.execute(query, (series_id, *record.span)).fetchone()[0])
