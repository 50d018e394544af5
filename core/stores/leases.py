"""Which engine may write which series, and which engines there are: the protocol, and the simple case."""

from collections.abc import Collection
from typing import NamedTuple, Protocol

LEASE_SECONDS = 30.0
RENEW_SECONDS = 8.0


class Taken(NamedTuple):
    """Series that are ours now, and the engines that have the others, in words."""

    series: set[int]
    others: tuple[str, ...] = ()


class Leases(Protocol):
    """A lease on a series lasts LEASE_SECONDS and is renewed; who lost one is refused at its next commit.

    Methods raise the classes of `core.errors.StoreError` and nothing else.
    """

    are_shared: bool
    """Whether other engines may work on the same store."""

    async def take(self, series: Collection[int]) -> Taken:
        """Take those of `series` that nobody else has."""
        ...

    async def renew(self) -> None:
        """Keep what we have, and say that we live. What was lost meanwhile stays lost."""
        ...

    async def release(self, series: Collection[int]) -> None: ...


class Unshared:
    """The leases of a store that has one engine."""

    are_shared = False

    async def take(self, series: Collection[int]) -> Taken:
        return Taken(set(series))

    async def renew(self) -> None:
        """Nobody else is there."""

    async def release(self, series: Collection[int]) -> None:
        """Nobody waits."""
