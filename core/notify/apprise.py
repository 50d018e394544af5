"""Everything that Apprise speaks: Slack, Telegram, Discord, PagerDuty, e-mail and a hundred more.

The only module that knows the library, which takes a while to load. Its URLs hold passwords and tokens.
"""

import asyncio
import logging
import warnings

import apprise

from core.alerting.messages import Message
from core.errors import ChannelAway, ConfigError
from core.notify import Plain

TYPES = {
    "INFO": apprise.NotifyType.INFO,
    "WARNING": apprise.NotifyType.WARNING,
    "ERROR": apprise.NotifyType.FAILURE,
    "CRITICAL": apprise.NotifyType.FAILURE,
}


class AppriseChannel(Plain):
    def __init__(self, name: str, url: str, timeout: float) -> None:
        """Raises ConfigError for a URL that it does not know, without showing it."""
        self.name = name
        self._timeout = timeout
        # What the library logs names URLs and what came back from them.
        logger = logging.getLogger("apprise")
        logger.addHandler(logging.NullHandler())
        logger.propagate = False
        asset = apprise.AppriseAsset(app_id="Tapewatch", async_mode=False, secure_logging=True)
        self._service = apprise.Apprise(asset=asset)
        with warnings.catch_warnings():  # its modules, which are loaded here, use what Python will do without
            warnings.simplefilter("ignore")
            is_known = self._service.add(url)
        if not is_known:
            raise ConfigError(f"alerts.channels.{name}: Apprise does not know a URL like this one")

    async def send(self, message: Message) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                is_sent = await asyncio.to_thread(self._notify, message)
        except TimeoutError:
            raise ChannelAway(f"no answer within {self._timeout:g} s") from None
        if not is_sent:
            raise ChannelAway("the service does not take the message, or does not answer")

    def _notify(self, message: Message) -> bool:
        kind, form = TYPES[message.level], apprise.NotifyFormat.TEXT
        return bool(self._service.notify(message.text, title=message.subject, notify_type=kind, body_format=form))
