"""Webhooks that are signed, by version 1 of the Standard Webhooks specification.

The id is the message's and stays over retries, the timestamp is that of the attempt: receivers refuse old ones.
"""

import base64
import binascii
import hashlib
import hmac

from core.alerting.messages import Message
from core.clock import Clock
from core.errors import ConfigError
from core.notify import Plain
from core.notify.post import Poster

PREFIX = "whsec_"
SHORTEST_SECRET, LONGEST_SECRET = 24, 64


class WebhookChannel(Plain):
    def __init__(self, name: str, poster: Poster, secret: str, clock: Clock) -> None:
        """Raises ConfigError for what is no secret."""
        self.name = name
        self._poster = poster
        self._key = secret_bytes(name, secret)
        self._clock = clock

    async def send(self, message: Message) -> None:
        body = message.json
        stamp = str(int(self._clock.wall()))
        given = {"webhook-id": message.id, "webhook-timestamp": stamp}
        await self._poster.post(body, {**given, "webhook-signature": signature(self._key, message.id, stamp, body)})

    async def check(self) -> None:
        await self._poster.check()


def signature(key: bytes, name: str, stamp: str, body: bytes) -> str:
    """`v1,` and the HMAC of id, timestamp and body."""
    digest = hmac.new(key, b".".join([name.encode(), stamp.encode(), body]), hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


def secret_bytes(channel: str, secret: str) -> bytes:
    """What `whsec_...` holds. Raises ConfigError, which does not show it."""
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(PREFIX) or not SHORTEST_SECRET <= len(key) <= LONGEST_SECRET:
        raise ConfigError(
            f"a webhook needs a secret, {PREFIX} and the base64 of {SHORTEST_SECRET} to "
            f"{LONGEST_SECRET} bytes, in TAPEWATCH_CHANNEL_{channel.upper()}_SECRET or secret_file"
        )
    return key
