"""The table `baseline`: a row a series and detector, which the engine that knows the newest bars writes."""

from collections.abc import Sequence

from core.findings import Learned
from core.stores.database import Database

_NAMES = "market, series, detector, newest, state"
_KEEP = (
    f"INSERT INTO baseline ({_NAMES}, saved) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (market, series, detector) "
    "DO UPDATE SET newest = excluded.newest, state = excluded.state, saved = excluded.saved "
    "WHERE baseline.newest <= excluded.newest"
)


def keep(db: Database, learned: Sequence[Learned], now: float) -> None:
    """They are written in one order by everybody, so that engines on one database never wait in a circle."""
    with db.transaction():
        db.executemany(_KEEP, [(*each, now) for each in sorted(learned)])


def read(db: Database, market: str, series: str) -> list[Learned]:
    query = f"SELECT {_NAMES} FROM baseline WHERE market = ? AND series = ? ORDER BY detector"
    return [Learned(*row) for row in db.execute(query, (market, series))]


def read_markets(db: Database) -> list[Learned]:
    """Those without a series."""
    query = f"SELECT {_NAMES} FROM baseline WHERE series = '' ORDER BY market, detector"
    return [Learned(*row) for row in db.execute(query)]


def forget(db: Database, before: float) -> None:
    """Delete what was not written since then."""
    db.execute("DELETE FROM baseline WHERE saved < ?", (before,))
