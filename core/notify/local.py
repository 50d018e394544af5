"""Channels that need nobody else: the log, and the bell of whoever looks on."""

from core.alerting.messages import Message
from core.bus import Bus
from core.events import LogLine, Rang
from core.notify import Plain

LEVELS = {"INFO": "info", "WARNING": "warning"}


class LogChannel(Plain):
    """Messages become lines of the log."""

    def __init__(self, name: str, bus: Bus) -> None:
        self.name = name
        self._bus = bus

    async def send(self, message: Message) -> None:
        text = message.text.replace("\n\n", "; ").replace("\n", ", ")
        self._bus.publish(LogLine(level=LEVELS.get(message.level, "error"), text=text, source=f"alerts:{self.name}"))


class BellChannel(Plain):
    """Dashboards and followers are told to ring."""

    def __init__(self, name: str, bus: Bus) -> None:
        self.name = name
        self._bus = bus

    async def send(self, message: Message) -> None:
        self._bus.publish(Rang(channel=self.name, level=message.level, text=message.subject))
