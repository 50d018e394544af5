"""The invariant that everything rests on: each covered slot is exactly one of stored, a gap, or before the history."""

from core.stores.database import Database
from core.windows import GRAINS, Window, intersect, merge, subtract


def assert_accounted(db: Database) -> None:
    """Every slot of every series: covered = before history + pruned + stored + gap, and none is two of them."""
    names = "id, data_type, interval, history_start, pruned_before"
    for series_id, data_type, interval, history_start, pruned in db.execute(
        f"SELECT {names} FROM series WHERE interval <> ''"
    ).fetchall():
        step = GRAINS[interval].seconds
        rows = db.execute(f"SELECT ts, closed FROM {data_type} WHERE series_id = ?", (series_id,)).fetchall()
        stored = merge(Window(ts, ts + step) for ts, closed in rows if closed)
        gaps = [Window(*row) for row in db.execute('SELECT start, "end" FROM gap WHERE series_id = ?', (series_id,))]
        covered = merge(
            Window(*row) for row in db.execute('SELECT start, "end" FROM coverage WHERE series_id = ?', (series_id,))
        )
        floor = max(history_start or 0, pruned or 0)
        before = [Window(0, floor)] if floor else []
        assert sum(gap.seconds for gap in gaps) == sum(gap.seconds for gap in merge(gaps)), "gaps overlap"
        for one, other in ((stored, gaps), (stored, before), (gaps, before)):
            assert intersect(one, other) == [], (series_id, intersect(one, other))
        assert subtract(covered, [*stored, *gaps, *before]) == [], "covered, and nobody knows what is there"
        assert subtract(gaps, covered) == [], "a gap that was never asked for"
        assert subtract(stored, covered) == [], "closed bars outside of what is covered"
