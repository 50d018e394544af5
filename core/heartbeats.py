"""Signs of life of what has to go on for as long as an engine is there, for health checks."""

from collections.abc import Callable


class Heartbeats:
    """Who said when that it is alive, by `monotonic` seconds."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._beats: dict[str, tuple[float, float]] = {}

    def beat(self, name: str, within: float) -> None:
        """`name` is alive, and will say so again in less than `within` seconds."""
        self._beats[name] = self._monotonic(), within

    def late(self) -> dict[str, float]:
        """The seconds since each was last heard of that should have said something by now."""
        now = self._monotonic()
        return {name: now - at for name, (at, within) in self._beats.items() if now - at > within}

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._beats)
