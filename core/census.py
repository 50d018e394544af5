"""What a store holds and has to deliver, counted now and then."""

from dataclasses import dataclass
from typing import NamedTuple

from core.windows import GRAINS


class Part(NamedTuple):
    """The series of a data type and interval on one market; `last_bar` is when their newest closed bar begins."""

    data_type: str
    interval: str
    market: str
    series: int
    last_bar: int | None
    gaps: int

    def age(self, now: float) -> float | None:
        """Seconds since the newest closed bar ended; None without one."""
        return None if self.last_bar is None else max(0.0, now - self.last_bar - GRAINS[self.interval].seconds)


@dataclass(frozen=True, slots=True)
class Census:
    """`outbox` is how many messages of each channel are in each state that is not over: waiting or dead."""

    parts: tuple[Part, ...] = ()
    outbox: tuple[tuple[str, str, int], ...] = ()
