"""What the calls of a job take: how many, how long, how many bytes; and what the process spent meanwhile.

The HTTP client adds to the meter of whichever task it works for, so that a job's calls are its own
however many jobs run side by side.
"""

import math
import resource
import sys
import time
from collections import Counter
from collections.abc import Mapping
from contextvars import ContextVar

STEP = 1.02  # latencies are kept in classes 2 % wide: a million calls take no more memory than a thousand


class Latencies:
    """How long things took, in seconds, in bounded memory: counts by class, `step` apart."""

    def __init__(self, step: float = STEP) -> None:
        self.count = 0
        self.classes: Counter[int] = Counter()
        self._step = step

    def add(self, seconds: float) -> None:
        self.count += 1
        self.classes[math.floor(math.log(max(seconds, 1e-6), self._step))] += 1

    def merge(self, classes: Mapping[int, int]) -> None:
        """Others of the same step, by class."""
        self.classes.update(classes)
        self.count += sum(classes.values())

    def at(self, share: float) -> float | None:
        """The seconds that `share` of them took at most, give or take a class; None without any."""
        left = math.ceil(self.count * share)
        for at in sorted(self.classes):
            left -= self.classes[at]
            if left <= 0:
                return math.pow(self._step, at + 0.5)
        return None


class Meter:
    """Counts calls, retries among them. Seconds are monotonic; bytes are those on the wire."""

    def __init__(self) -> None:
        self.calls = 0
        self.bytes = 0
        self._latencies = Latencies()
        self._cpu_before = 0.0
        self.cpu_seconds = 0.0
        self.peak_memory_bytes = 0

    def add(self, seconds: float, size: int) -> None:
        """One call took `seconds` and brought `size` bytes."""
        self.calls += 1
        self.bytes += size
        self._latencies.add(seconds)

    def latency(self, share: float) -> float:
        """The seconds that `share` of the calls took at most, give or take 2 %; 0 without calls."""
        return self._latencies.at(share) or 0.0

    def start(self) -> None:
        self._cpu_before = time.process_time()

    def stop(self) -> None:
        """Note what the process took since `start`; jobs that ran beside share its CPU and its memory."""
        self.cpu_seconds = time.process_time() - self._cpu_before
        unit = 1 if sys.platform == "darwin" else 1024
        self.peak_memory_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


METER: ContextVar[Meter | None] = ContextVar("METER", default=None)
