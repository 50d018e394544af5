"""Which schedules are paused: the protocol for it."""

from typing import Protocol

from core.schedule import Pause


class PauseStore(Protocol):
    """The part of a store that keeps pauses, for every engine on it and over restarts. Methods raise StoreError."""

    async def pauses(self) -> dict[str, Pause]:
        """The newest pause of each schedule that ever had one, by its name; it may be over."""
        ...

    async def pause_schedule(self, pause: Pause) -> None:
        """Keep it, in place of the one before."""
        ...

    async def resume_schedule(self, schedule: str) -> Pause:
        """Its pause ends now. Raises ConfigError when it has none."""
        ...
