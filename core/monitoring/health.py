"""What the engine's process and its host are doing, and whether it is well: checks that name what is not."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import psutil

from core.errors import TapewatchError
from core.events import EngineSample
from core.heartbeats import Heartbeats
from core.text import clean

PROBE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Check:
    """Whether something is well; `why` not, in words."""

    name: str
    is_ok: bool
    why: str = ""


def are_alive(heartbeats: Heartbeats, without: Sequence[str] = ()) -> list[Check]:
    """A check for each part of the engine that says regularly that it goes on, but those named."""
    late = heartbeats.late()
    return [
        Check(name, name not in late, f"has not been heard of for {late[name]:.0f} s" if name in late else "")
        for name in heartbeats.names
        if name not in without
    ]


async def can_commit(probe: Callable[[], Awaitable[None]], seconds: float = PROBE_SECONDS) -> Check:
    """Whether the store takes what is written, within so many seconds."""
    try:
        async with asyncio.timeout(seconds):
            await probe()
    except TimeoutError:
        return Check("store", is_ok=False, why=f"has not committed within {seconds:g} s")
    except TapewatchError as error:
        return Check("store", is_ok=False, why=clean(str(error)))
    return Check("store", is_ok=True)


class Sampler:
    """Makes one EngineSample a call; rates are over the time since the call before.

    `requests` and `rows` are running totals, `in_flight` and `clients` present figures; `monotonic` is
    the clock.
    """

    def __init__(
        self,
        monotonic: Callable[[], float],
        requests: Callable[[], int],
        rows: Callable[[], int],
        in_flight: Callable[[], int],
        clients: Callable[[], int],
        vendor_ahead: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._monotonic = monotonic
        self._totals = (requests, rows)
        self._figures = (in_flight, clients)
        self._vendor_ahead = vendor_ahead
        self._process = psutil.Process()
        self._process.cpu_percent()
        psutil.cpu_percent()
        self._started = self._at = monotonic()
        self._before = (requests(), rows())

    def __call__(self, lag_seconds: float) -> EngineSample:
        now = self._monotonic()
        seconds = max(now - self._at, 1e-3)
        totals = (self._totals[0](), self._totals[1]())
        requests, rows = ((a - b) / seconds for a, b in zip(totals, self._before, strict=True))
        self._at, self._before = now, totals
        with self._process.oneshot():
            return EngineSample(
                cpu_percent=self._process.cpu_percent(),
                memory_bytes=self._process.memory_info().rss,
                host_cpu_percent=psutil.cpu_percent(),
                host_memory_percent=psutil.virtual_memory().percent,
                loop_lag_ms=round(lag_seconds * 1000, 1),
                open_files=self._process.num_fds(),
                uptime_seconds=round(now - self._started, 1),
                requests_per_second=round(requests, 1),
                rows_per_second=round(rows, 1),
                in_flight=self._figures[0](),
                clients=self._figures[1](),
                vendor_ahead=round(self._vendor_ahead(), 1),
            )
