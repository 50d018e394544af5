"""Detectors of what is unusual: one interface for ours and for learned ones of other packages. Pure.

A detector is told figures as they come, judges each by those before it, and remembers as little as it needs. Each is
registered under the entry point group `tapewatch.detectors`; what it says is flagged, never acted on.
"""

from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import entry_points
from typing import Any, NamedTuple, Protocol

from core.windows import Window

VOLUME, ROWS, LATENCY, ERRORS = "volume", "rows", "latency", "errors"
FIGURES = (VOLUME, ROWS, LATENCY, ERRORS)
SPIKE, DROP, SHIFT, CREEP, BURST, DROPOUT, FLAT, SILENCE = (
    *("spike", "drop", "shift", "creep", "burst", "dropout", "flat", "silence"),
)
KINDS = (SPIKE, DROP, SHIFT, CREEP, BURST, DROPOUT, FLAT, SILENCE)


class Observation(NamedTuple):
    """One figure of one span of time: the bar that begins at `ts` (UTC epoch seconds) and lasts `seconds`.

    `market` is a data type and a market, as in `spot_ohlcv/kraken`; `series` an instrument of it, "" for the market as
    a whole. `figure` is one of FIGURES. None says that there should be a value and is none.
    """

    market: str
    series: str
    figure: str
    ts: int
    seconds: int
    value: float | None


class Anomaly(NamedTuple):
    """What is unusual: `kind` is one of KINDS, `window` what has been seen of it when it is told.

    `score` says how unusual, as a multiple of what just is, or for runs of equal values in powers of ten of their
    chance. Values between `low` and `high` were expected.
    """

    kind: str
    market: str
    series: str
    figure: str
    window: Window
    score: float
    value: float | None
    low: float
    high: float

    @property
    def detail(self) -> str:
        value = "nothing" if self.value is None else f"{self.value:g}"
        return f"{self.kind} of {self.figure}: {value} where {self.low:g} to {self.high:g} is usual ({self.score:.1f})"


class Detector(Protocol):
    """Judges observations as they come; made without arguments.

    Memory is bounded whatever it is told. One that is restored to a state goes on exactly as the one it is of.
    """

    def observe(self, batch: Sequence[Observation]) -> list[Anomaly]:
        """What is unusual about observations of one `ts`, which is later than any before of the same series and figure.

        Something that lasts is told once.
        """
        ...

    def state(self, market: str, series: str) -> dict[str, Any]:
        """All it has learned of a series, as JSON has it: 64 KB at most as text, empty when that is nothing."""
        ...

    def restore(self, market: str, series: str, state: Mapping[str, Any]) -> None:
        """Forget a series and take a state that `state` gave of it, or an empty one; ValueError when it is neither."""
        ...


def installed_detectors() -> dict[str, Callable[[], Detector]]:
    """How to make every registered detector, by name, ours included."""
    return {point.name: point.load() for point in entry_points(group="tapewatch.detectors")}
