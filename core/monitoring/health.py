"""What the engine's process and its host are doing, and whether what is stored is fresh."""

from collections.abc import Callable

import psutil

from core.events import EngineSample


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
    ) -> None:
        self._monotonic = monotonic
        self._totals = (requests, rows)
        self._figures = (in_flight, clients)
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
            )
