"""What is usual at an hour of the week: medians over weeks, drawn towards what is usual at that hour of any day. Pure.

Of every hour one value is kept, the median of what fell into it, and of every hour of the week the last 8: so the
memory of a series is 5 KB, whether it has a bar a day or one a minute.
"""

from array import array
from collections.abc import Mapping, Sequence
from math import isnan, nan
from typing import Any

from core.monitoring.anomalies.memory import packed, unpacked
from core.monitoring.robust import median

WEEKS, DAY_HOURS, WEEK_HOURS = 8, 24, 168
DAY_WEIGHT, WEEK_WEIGHT = 3.0, 6.0
"""How many weeks of a prior's own it weighs as much as: of all hours, and of the hour of the day."""
MOST_AN_HOUR = 60


def shrunk(values: Sequence[float], prior: float, weight: float) -> float:
    """The median of `values`, drawn towards `prior` as though it were `weight` values more."""
    if not values:
        return prior
    return (len(values) * median(sorted(values)) + weight * prior) / (len(values) + weight)


class Baseline:
    """Values by hour of the week. Hours are counted from 1970-01-01."""

    __slots__ = ("_gathered", "_hour", "_overall", "_usual", "_usual_hour", "_weeks")

    def __init__(self) -> None:
        self._weeks = array("f", [nan] * (WEEK_HOURS * WEEKS))
        self._hour = -1
        self._gathered: list[float] = []
        self._overall: tuple[int, float | None] = (-1, None)
        self._usual_hour = -1
        self._usual: float | None = None

    def add(self, hour: int, value: float) -> None:
        """Of `hour`, which is no earlier than any before."""
        if hour != self._hour:
            self._keep()
            self._hour = hour
        if len(self._gathered) < MOST_AN_HOUR:
            self._gathered.append(value)

    def usual(self, hour: int) -> float | None:
        """What is usual at `hour`, going by earlier ones; None when there are none."""
        if hour != self._usual_hour:
            if hour != self._hour:
                self._keep()
            self._usual_hour, self._usual = hour, self._at(hour)
        return self._usual

    def state(self) -> dict[str, Any]:
        overall = list(self._overall)
        return {"hour": self._hour, "gathered": list(self._gathered), "weeks": packed(self._weeks), "overall": overall}

    @classmethod
    def restored(cls, state: Mapping[str, Any]) -> "Baseline":
        made = cls()
        weeks = unpacked(state["weeks"])
        if len(weeks) != len(made._weeks):
            raise ValueError("a baseline of other weeks")
        made._weeks, made._hour, made._gathered = weeks, state["hour"], list(state["gathered"])
        day, overall = state["overall"]
        made._overall = (day, overall)
        return made

    def _keep(self) -> None:
        if self._gathered:
            place = self._hour % WEEK_HOURS * WEEKS + self._hour // WEEK_HOURS % WEEKS
            self._weeks[place] = median(sorted(self._gathered))
            self._gathered.clear()

    def _at(self, hour: int) -> float | None:
        overall = self._of_all(hour // DAY_HOURS)
        if overall is None:
            return None
        week_hour = hour % WEEK_HOURS
        days = range(week_hour % DAY_HOURS, WEEK_HOURS, DAY_HOURS)
        of_day = shrunk([value for at in days for value in self._known(at)], overall, DAY_WEIGHT)
        return shrunk(self._known(week_hour), of_day, WEEK_WEIGHT)

    def _of_all(self, day: int) -> float | None:
        """The median of all hours; it is looked for once a day."""
        if day != self._overall[0] or self._overall[1] is None:
            known = sorted(value for value in self._weeks if not isnan(value))
            self._overall = (day, median(known) if known else None)
        return self._overall[1]

    def _known(self, week_hour: int) -> list[float]:
        values = self._weeks[week_hour * WEEKS : (week_hour + 1) * WEEKS]
        return [value for value in values if not isnan(value)]
