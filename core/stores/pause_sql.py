"""The table `schedule_pause`: the newest pause of each schedule. Of one that is over it tells what it skipped."""

from core.errors import ConfigError
from core.schedule import Pause
from core.stores.database import Database, places
from core.text import clean

_NAMES = "schedule, since, until, author, comment"
_PAUSE = (
    f"INSERT INTO schedule_pause ({_NAMES}) VALUES ({places(Pause._fields)}) ON CONFLICT (schedule) DO UPDATE SET "
    "since = excluded.since, until = excluded.until, author = excluded.author, comment = excluded.comment"
)
_RESUME = (
    "UPDATE schedule_pause SET until = ? WHERE schedule = ? AND (until IS NULL OR until > ?) "
    f"RETURNING {_NAMES}"
)  # fmt: skip


def read_pauses(db: Database) -> dict[str, Pause]:
    rows = db.execute(f"SELECT {_NAMES} FROM schedule_pause ORDER BY schedule").fetchall()
    return {row[0]: Pause(*row) for row in rows}


def pause(db: Database, given: Pause) -> None:
    db.execute(_PAUSE, given)


def resume(db: Database, schedule: str, now: float) -> Pause:
    """As `PauseStore.resume_schedule`."""
    found = db.execute(_RESUME, (now, schedule, now)).fetchall()
    if not found:
        raise ConfigError(f"schedule {clean(schedule)!r} is not paused")
    return Pause(*found[0])
