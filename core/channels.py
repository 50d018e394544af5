"""The channels that the settings name: where alerts go from an engine, and a try of one of them."""

import time
from collections.abc import Callable
from functools import partial

from core.alerting.messages import trial
from core.alerting.routes import Route, Routes
from core.bus import Bus
from core.clock import Clock, LoopClock
from core.config import Loaded
from core.errors import ConfigError, DeliveryError, gathered
from core.events import LogLine, Rang
from core.notify import Channel
from core.notify.delivery import Heartbeat, Outlets
from core.notify.opening import ChannelOptions, open_channel, shown
from core.notify.post import Poster, PostOptions
from core.text import clean


def routes(loaded: Loaded) -> Routes:
    """Each channel gets what its patterns take, from its level on."""
    return Routes(
        [
            Route(name, rule, source, channel.level, channel.escalate_after, channel.escalate_to)
            for name, channel in loaded.settings.alerts.channels.items()
            for rule in channel.rules
            for source in channel.sources
        ]
    )


def open_outlets(loaded: Loaded, bus: Bus, clock: Clock, evaluated: Callable[[], float | None]) -> Outlets:
    """Where an engine's alerts go; `evaluated` is how many seconds ago rules were.

    Raises ConfigError with everything that is wrong, a line a channel.
    """
    given = loaded.settings.alerts.channels
    fallbacks = {name: channel.fallback for name, channel in given.items()}
    makers = [partial(_opened, loaded, name, bus, clock) for name in given]
    try:
        heartbeat, *channels = gathered(partial(_heartbeat, loaded, clock, evaluated), *makers)
    except ConfigError as error:
        where = f"{loaded.path}: " if loaded.path else ""
        raise ConfigError("\n".join(f"{where}{line}" for line in str(error).splitlines())) from None
    return Outlets(channels, routes(loaded), fallbacks, heartbeat)


async def check_channels(loaded: Loaded) -> None:
    """Open all of them and let them go again; nothing is sent. Raises ConfigError as `open_outlets`."""
    outlets = open_outlets(loaded, Bus(time.time), LoopClock(), lambda: None)
    for channel in outlets.channels:
        await channel.close()


async def test_channel(loaded: Loaded, name: str) -> str:
    """Send a message on a channel that says that it is a test; what came of it, in words.

    Raises ConfigError for a channel that is not in the settings, DeliveryError when it does not get through.
    """
    if name not in loaded.settings.alerts.channels:
        known = ", ".join(loaded.settings.alerts.channels) or "none: alerts.channels in the settings names them"
        raise ConfigError(f"there is no channel {clean(name, 40)!r}; there are {known}")
    bus = Bus(time.time)
    seen: list[str] = []
    bus.listen(lambda event: seen.append(event.text) if isinstance(event, LogLine | Rang) else None)
    channel = _opened(loaded, name, bus, LoopClock())
    try:
        await channel.check()
        await channel.send(trial(name, time.time()))
    except DeliveryError as error:
        raise type(error)(f"{name}: {error}") from None
    finally:
        await channel.close()
    return "; ".join([f"{name} ({shown(_options(loaded, name))}) took a test message", *seen])


def _opened(loaded: Loaded, name: str, bus: Bus, clock: Clock) -> Channel:
    return open_channel(_options(loaded, name), bus, clock)


def _options(loaded: Loaded, name: str) -> ChannelOptions:
    given, secrets = loaded.settings.alerts.channels[name], loaded.channels[name]
    return ChannelOptions(
        name,
        secrets.url.get_secret_value(),
        secrets.secret.get_secret_value(),
        given.program,
        PostOptions(given.allow_private, given.timeout),
        secrets.is_private,
    )


def _heartbeat(loaded: Loaded, clock: Clock, evaluated: Callable[[], float | None]) -> Heartbeat | None:
    url = loaded.heartbeat_url.get_secret_value().strip()
    if not url:
        return None
    try:
        return Heartbeat(Poster(url, clock, PostOptions(loaded.settings.alerts.heartbeat_allow_private)), evaluated)
    except ConfigError as error:
        raise ConfigError(f"alerts.heartbeat_url: {error}") from None
