"""What is to be told on which channel until it has been: the protocol for it."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, Protocol

from core.alerting import Entry

WAITING, SENT, SUPPRESSED, DEAD = "waiting", "sent", "suppressed", "dead"
KEPT_SECONDS, MOST_ENDED = 90 * 86_400.0, 20_000
DUE_AT_ONCE = 20_000


class Waiting(NamedTuple):
    """An entry that waits. `message` is the id that it was or is to be sent with, "" before; `error` says what kept it
    from being told so far."""

    id: int
    entry: Entry
    message: str = ""
    error: str = ""


class Due(NamedTuple):
    """What is due on a channel in its order, and when its groupings were told last (UTC epoch seconds)."""

    entries: Sequence[Waiting]
    told: Mapping[str, float]


class Depth(NamedTuple):
    """Of a channel: how many entries wait, since when the oldest does (UTC epoch seconds), and how many are dead."""

    waiting: int
    oldest: float | None
    dead: int


class Sent(NamedTuple):
    """An entry and what became of it. Times are UTC epoch seconds."""

    id: int
    channel: str
    alert: str
    level: str
    kind: str
    state: str
    message: str
    attempts: int
    created: float
    ended: float | None
    error: str


class Outbox(Protocol):
    """The part of a store that keeps what is to be told. Entries come with the changes that they tell of.

    Methods raise StoreError.
    """

    async def due_entries(self, channel: str, now: float) -> Due:
        """What is due, the oldest 20,000 of it, with what waits besides in the same groupings or of the same incidents.

        Entries that have a message are due.
        """
        ...

    async def assign_message(self, ids: Sequence[int], message: str) -> None:
        """These go out together as that message, however often it is sent."""
        ...

    async def hold_entries(self, ids: Sequence[int], until: float, why: str) -> None:
        """These are not due before then."""
        ...

    async def tried_entries(self, ids: Sequence[int], error: str) -> None:
        """Sending these has failed once more."""
        ...

    async def end_entries(self, ids: Sequence[int], state: str, error: str = "", fallback: str = "") -> None:
        """These are sent, suppressed or dead. What goes to a `fallback` waits on that channel from now on."""
        ...

    async def outbox_depth(self) -> dict[str, Depth]:
        """Of each channel that has anything waiting or dead."""
        ...

    async def forget_entries(self, channels: Collection[str], given_up: float) -> None:
        """Delete what ended 90 days ago, and beyond 20,000 that ended the oldest, first those that were sent.

        A firing that nobody was told of stays for the whole time. What has been due since before `given_up` (UTC epoch
        seconds), on none of `channels`, is dead.
        """
        ...
