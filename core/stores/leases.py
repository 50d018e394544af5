"""Which engine may write which series, and which engines there are: the protocol, and the simple case."""

from collections.abc import Collection
from typing import NamedTuple, Protocol

LEASE_SECONDS = 30.0
# Two renewals may fail before a lease ends.
RENEWALS = 4


class Taken(NamedTuple):
    """Series that are ours now, and the engines that have the others, in words."""

    series: set[int]
    others: tuple[str, ...] = ()


class Leases(Protocol):
    """A lease on a series lasts `seconds` and is renewed; who lost one is refused at its next commit.

    Methods raise the classes of `core.errors.StoreError` and nothing else.
    """

    are_shared: bool
    """Whether other engines may work on the same store."""
    seconds: float

    async def take(self, series: Collection[int]) -> Taken:
        """Take those of `series` that nobody else has."""
        ...

    async def renew(self) -> None:
        """Keep what we have, and say that we live. What was lost meanwhile stays lost."""
        ...

    def holds(self, series_id: int) -> bool:
        """Whether a series is ours as far as we know: what was lost need not be asked for."""
        ...

    async def release(self, series: Collection[int]) -> None:
        """Let others have them, once commits of ours that are under way have ended."""
        ...


class Unshared:
    """The leases of a store that has one engine."""

    are_shared = False
    seconds = LEASE_SECONDS

    async def take(self, series: Collection[int]) -> Taken:
        return Taken(set(series))

    async def renew(self) -> None:
        """Nobody else is there."""

    def holds(self, series_id: int) -> bool:
        return True

    async def release(self, series: Collection[int]) -> None:
        """Nobody waits."""
