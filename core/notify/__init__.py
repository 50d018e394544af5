"""Telling people: channels that take messages, and the service that brings them there."""

from collections.abc import Sequence
from typing import Protocol

from core.alerting.messages import Message
from core.events import AlertChanged


class Channel(Protocol):
    """Where messages go. It keeps its secrets to itself: none is in its errors or its representation.

    One that `forgets` is told again and again what is open.
    """

    name: str
    forgets: bool

    async def send(self, message: Message) -> None:
        """Deliver it; when this returns somebody else has it.

        Raises ChannelAway when that may go later, ChannelRefused when it never will, and ChannelGone when nothing
        ever will again. The same message may come again: receivers know it by its id.
        """
        ...

    async def keep(self, alerts: Sequence[AlertChanged]) -> None:
        """These are open, neither silenced nor explained by others: once a minute to who forgets. Raises as `send`."""
        ...

    async def check(self) -> None:
        """Whether messages could go there, without sending one. Raises DeliveryError saying what is in the way."""
        ...

    async def close(self) -> None: ...


class Plain:
    """A channel that has nothing to keep, to check or to close."""

    forgets = False

    async def keep(self, alerts: Sequence[AlertChanged]) -> None: ...

    async def check(self) -> None: ...

    async def close(self) -> None: ...
