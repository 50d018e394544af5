"""The gaps of a series, and where its history starts. Inside of the caller's transaction."""

from core.coverage import Gap, without_prehistory
from core.stores.database import Database
from core.windows import Window

GAP_FIELDS = ("cause", "sightings", "first_seen", "last_seen", "next_check", "evidence")
EARLIEST = -(2**62)


def read_gaps(db: Database, series_id: int, window: Window) -> list[Gap]:
    """The gaps that overlap `window`."""
    found = db.execute(
        'SELECT start, "end", cause, sightings, first_seen, last_seen, next_check, evidence FROM gap '
        'WHERE series_id = ? AND start < ? AND "end" > ?',
        (series_id, window.end, window.start),
    )
    return [Gap(Window(row[0], row[1]), *row[2:]) for row in found]


def replace_gaps(db: Database, series_id: int, before: list[Gap], after: list[Gap]) -> None:
    for gap in before:
        db.execute("DELETE FROM gap WHERE series_id = ? AND start = ?", (series_id, gap.window.start))
    db.executemany(
        "INSERT INTO gap VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [(series_id, *gap.window, *(getattr(gap, name) for name in GAP_FIELDS)) for gap in after],
    )


def settle_start(db: Database, series_id: int, first: int) -> bool:
    """Remember that the history starts at `first` and forget what was missing before.

    False, and nothing is changed, when an older bar is stored.
    """
    changed = db.execute(
        "UPDATE series SET history_start = ?1 WHERE id = ?2 AND coalesce(first_bar, ?1) >= ?1", (first, series_id)
    )
    if changed.rowcount == 0:
        return False
    before = read_gaps(db, series_id, Window(EARLIEST, first))
    replace_gaps(db, series_id, before, without_prehistory(before, first))
    db.execute('DELETE FROM failed_fetch WHERE series_id = ? AND "end" <= ?', (series_id, first))
    return True
