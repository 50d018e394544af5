"""Which ticks of schedules have been taken, by whom, and how they went: the protocol for it."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

KEPT_SECONDS = 90 * 86_400
CLAIMED, RUNNING, DONE, FAILED, SKIPPED = "claimed", "running", "done", "failed", "skipped"


class Tick(NamedTuple):
    """A time at which a schedule was due (UTC epoch seconds), and the engine that took it.

    `state`: claimed, running (its `runs` have their ids), done, failed, skipped; `note` says why.
    """

    schedule: str
    tick: int
    engine: str
    host: str
    claimed: float
    state: str
    runs: tuple[str, ...] = ()
    finished: float | None = None
    note: str = ""


class Stranded(NamedTuple):
    """A tick that its engine may have left behind; `states` are those of its runs that are in the journal, by id."""

    tick: Tick
    states: dict[str, str]


class TickStore(Protocol):
    """The part of a store that several engines share schedules by. Methods raise StoreError."""

    async def last_ticks(self, schedules: Sequence[str], now: float) -> dict[str, Tick]:
        """The newest tick of each that is written down and not after `now`; nothing for those without."""
        ...

    async def claim_tick(self, tick: Tick) -> bool:
        """Write it down. False when somebody else has, or it was before."""
        ...

    async def take_over_tick(self, left: Tick, engine: str, host: str) -> bool:
        """Claim one that another engine `left`. False when it is not as it was any more."""
        ...

    async def begin_tick(self, schedule: str, tick: int, engine: str, runs: Sequence[str]) -> bool:
        """`runs` are about to begin for it. False when it is not claimed by `engine` any more: then they must not."""
        ...

    async def end_tick(self, tick: Tick, state: str, note: str = "") -> bool:
        """How it ended: done, failed or skipped. False when it is not its engine's any more, or has ended."""
        ...

    async def open_ticks(self, schedule: str) -> list[Tick]:
        """Those that are claimed or running, the oldest first."""
        ...

    async def stranded_ticks(self, engine: str) -> list[Stranded]:
        """Those that are claimed or running by engines that are not at work, and by `engine`: it knows its own."""
        ...

    async def forget_ticks(self) -> None:
        """Delete what was due 90 days ago; of each schedule the newest stays."""
        ...
