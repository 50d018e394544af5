"""What an engine does beside its jobs, kept alive: an exception ends a turn of it, never the thing itself."""

from collections import deque
from collections.abc import Awaitable, Callable

from core.alerting.book import Alerts
from core.bus import Bus
from core.clock import Clock
from core.errors import TapewatchError
from core.events import LogLine
from core.limits import Backoff
from core.text import clean

FAILURES, WITHIN_SECONDS = 3, 300.0
TASK_FAILED = "task_failed"
PAUSES = Backoff(base=1.0, cap=60.0)


class Supervisor:
    """Runs what goes on for ever again when it fails, after 1, 2, 4 .. 60 s; each failure is told once.

    Three failures within five minutes are the alert `task_failed`, which ends when a turn has lasted as long.
    """

    def __init__(self, bus: Bus, alerts: Alerts, clock: Clock, chance: Callable[[], float]) -> None:
        self._bus = bus
        self._alerts = alerts
        self._clock = clock
        self._chance = chance
        self.restarts: dict[str, int] = {}

    async def keep(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Run `work` until it returns or this is cancelled."""
        failures: deque[float] = deque(maxlen=100)
        while True:
            started = self._clock.monotonic()
            try:
                return await work()
            except Exception as raised:  # a task boundary: a defect ends one turn, in words
                error = _cause(raised)
                now = self._clock.monotonic()
                if now - started > WITHIN_SECONDS:
                    failures.clear()
                    self._alerts.resolve(TASK_FAILED, name)
                failures.append(now)
                self.restarts[name] = self.restarts.get(name, 0) + 1
                self._tell(name, error, is_often=sum(now - at < WITHIN_SECONDS for at in failures) >= FAILURES)
            await self._clock.sleep(PAUSES.wait(len(failures), self._chance()))

    def _tell(self, name: str, error: Exception, *, is_often: bool) -> None:
        what = "" if isinstance(error, TapewatchError) else f"defect: {type(error).__name__}: "
        text = f"{what}{clean(str(error), 400)}; it is started again"
        self._bus.publish(LogLine(level="error", text=text, source=name))
        if is_often:
            message = f"{name} failed {FAILURES} times within {WITHIN_SECONDS / 60:.0f} min: {text}"
            self._alerts.fire(TASK_FAILED, "ERROR", name, message, self._clock.wall())


def _cause(error: Exception) -> Exception:
    """What went wrong first in a group of tasks: the group itself says nothing."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error
