"""How schedules stand, as everybody is told."""

from core.batch import Batch
from core.events import ScheduleChanged
from core.schedule import Pause, Schedule, next_begin
from core.stores.ticks import Tick

SHOWN_OPERATIONS = 3


def state_of(schedule: Schedule, last: Tick | None, pause: Pause | None, now: float) -> ScheduleChanged:
    """At `now` (UTC epoch seconds), given the newest tick that is written down and the newest pause."""
    held = pause if pause is not None and pause.covers(now) else None
    return ScheduleChanged(
        schedule=schedule.name,
        cron=schedule.cron.line,
        what=_what(schedule.batch),
        next_run=next_begin(schedule, held, now),
        is_enabled=schedule.enabled,
        last_tick=last.tick if last else None,
        last_state=last.state if last else "",
        last_finished=last.finished if last else None,
        last_note=last.note if last else "",
        paused_since=held.since if held else None,
        paused_until=held.until if held else None,
        paused_by=held.author if held else "",
        comment=held.comment if held else "",
    )


def _what(batch: Batch) -> str:
    titles = [operation.title for operation in batch.operations]
    more = len(titles) - SHOWN_OPERATIONS
    return ", ".join(titles[:SHOWN_OPERATIONS]) + (f" and {more} more" if more > 0 else "")
