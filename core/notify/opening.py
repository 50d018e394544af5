"""Channels by their URLs."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from core.bus import Bus
from core.clock import Clock
from core.errors import ConfigError
from core.notify import Channel
from core.notify.post import Poster, PostOptions
from core.text import clean

ALERTMANAGER = "alertmanager+"


@dataclass(frozen=True, slots=True)
class ChannelOptions:
    """`url` says what kind of channel it is, and may be a secret as `secret` is. `program` is what command:// runs."""

    name: str
    url: str = field(repr=False)
    secret: str = field(default="", repr=False)
    program: Sequence[str] = ()
    post: PostOptions = field(default_factory=PostOptions)
    is_private: bool = True
    """Whether the URL comes from where secrets are kept."""


def open_channel(options: ChannelOptions, bus: Bus, clock: Clock) -> Channel:
    """log://, bell://, command://, https://host/path (a signed webhook), alertmanager+https://host, else Apprise's.

    Raises ConfigError naming the channel, and never its URL.
    """
    scheme = options.url.partition(":")[0].lower()
    try:
        if scheme in {"log", "bell", "command"}:
            return _local(scheme, options, bus)
        if scheme in {"http", "https"} or scheme.startswith(ALERTMANAGER):
            return _over_http(scheme, options, clock)
    except ConfigError as error:
        raise ConfigError(f"alerts.channels.{options.name}: {error}") from None
    if not options.is_private:
        raise ConfigError(
            f"alerts.channels.{options.name}: a URL of Apprise holds secrets; put it into a file of mode 0600 and name "
            f"that by url_file, or into TAPEWATCH_CHANNEL_{options.name.upper()}_URL"
        )
    from core.notify.apprise import AppriseChannel  # noqa: PLC0415 - takes a while to load

    return AppriseChannel(options.name, options.url, options.post.timeout)


def _local(scheme: str, options: ChannelOptions, bus: Bus) -> Channel:
    from core.notify.command import CommandChannel  # noqa: PLC0415 - one is opened, not all
    from core.notify.local import BellChannel, LogChannel  # noqa: PLC0415

    if scheme == "command":
        if not options.program:
            raise ConfigError('command:// needs a program, as in program = ["notify-send", "--", "{subject}"]')
        return CommandChannel(options.name, options.program, options.post.timeout)
    return LogChannel(options.name, bus) if scheme == "log" else BellChannel(options.name, bus)


def _over_http(scheme: str, options: ChannelOptions, clock: Clock) -> Channel:
    from core.notify.alertmanager import AlertmanagerChannel  # noqa: PLC0415
    from core.notify.webhook import WebhookChannel  # noqa: PLC0415

    poster = Poster(options.url.removeprefix(ALERTMANAGER), clock, options.post)
    if scheme.startswith(ALERTMANAGER):
        return AlertmanagerChannel(options.name, poster, clock)
    return WebhookChannel(options.name, poster, options.secret, clock)


def shown(options: ChannelOptions) -> str:
    """The channel in a word or two without its secrets: its kind, and the host where there is one of ours."""
    parts = urlsplit(options.url.removeprefix(ALERTMANAGER))
    host = parts.hostname if parts.scheme in {"http", "https"} else ""
    return clean(" ".join(filter(None, [options.url.partition(":")[0], host])))
