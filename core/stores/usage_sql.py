"""The table `usage`: calls that were sent to the vendor, added to by every engine."""

from collections.abc import Sequence

from core.stores.database import Database
from core.usage import DAY, KEPT_SECONDS, Counted
from core.windows import Window

_NAMES = ("hour", "account", "data_type", "reason", "label", "calls")
_ADD = (
    f"INSERT INTO usage ({', '.join(_NAMES)}) VALUES (?, ?, ?, ?, ?, ?) "
    f"ON CONFLICT ({', '.join(_NAMES[:-1])}) DO UPDATE SET calls = usage.calls + excluded.calls"
)


def add(db: Database, counted: Sequence[Counted]) -> None:
    """Add what was counted, within a transaction; what is not kept any longer goes."""
    if counted:
        db.executemany(_ADD, counted)
        db.execute("DELETE FROM usage WHERE hour < ?", (counted[-1].hour - KEPT_SECONDS,))


def read_days(db: Database, account: str, since: int) -> dict[int, int]:
    """Calls of an account since then, by the day's start (UTC epoch seconds)."""
    query = (
        f"SELECT hour / {DAY} * {DAY} AS day, CAST(sum(calls) AS BIGINT) FROM usage "
        "WHERE hour >= ? AND account = ? GROUP BY 1"
    )
    return dict(db.execute(query, (since, account)).fetchall())


def read_usage(db: Database, span: Window) -> list[Counted]:
    """All that was counted in the hours of `span`."""
    query = f"SELECT {', '.join(_NAMES)} FROM usage WHERE hour >= ? AND hour < ? ORDER BY {', '.join(_NAMES)}"
    return [Counted(*row) for row in db.execute(query, (span.start, span.end))]
