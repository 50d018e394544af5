"""What people order about alerts: acknowledgements and silences, over the control socket or on a store."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import msgspec

from core.alerting.silences import ANY, LONGEST_SECONDS, Silence, make_silence
from core.engine.tools import Tools
from core.errors import ConfigError
from core.events import AlertChanged
from core.stores.alerts import AlertStore
from core.text import clean

Order = TypeVar("Order", bound=msgspec.Struct)


class Ack(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """See to `alert` for so long: it is not told again meanwhile."""

    alert: str
    by: str
    seconds: float = 4 * 3_600.0
    comment: str = ""


class Unack(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """See to `alert` no more."""

    alert: str
    by: str


class Quiet(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Tell nobody of what matches for so long."""

    seconds: float
    author: str
    comment: str
    rule: str = ANY
    source: str = ANY
    level: str = ANY


class Unquiet(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """End a silence."""

    silence: str


async def acknowledge(store: AlertStore, order: Ack, now: float) -> AlertChanged:
    """Raises ConfigError when no open alert is called so, or the time is none."""
    if not clean(order.by):
        raise ConfigError("--by: say who sees to it")
    if not 0 < order.seconds <= LONGEST_SECONDS:
        raise ConfigError("--for: an acknowledgement ends, within 30 days; write 2h or 3d")
    by = f"{order.by} ({order.comment})" if clean(order.comment) else order.by
    return await store.acknowledge(order.alert, by, now + order.seconds)


async def unacknowledge(store: AlertStore, order: Unack, _now: float) -> AlertChanged:
    """Raises ConfigError when no open alert is called so."""
    return await store.unacknowledge(order.alert, order.by)


async def silence(store: AlertStore, order: Quiet, now: float) -> Silence:
    """Raises ConfigError naming what is wrong."""
    made = make_silence(
        secrets.token_hex(3),
        now,
        now + order.seconds,
        order.author,
        order.comment,
        rule=order.rule,
        source=order.source,
        level=order.level,
    )
    await store.silence(made)
    return made


async def unsilence(store: AlertStore, order: Unquiet, _now: float) -> Silence:
    """Raises ConfigError when no silence in force has that id."""
    return await store.unsilence(order.silence)


def order_of(kind: type[Order], args: Mapping[str, Any]) -> Order:
    """The arguments of a command as their own class. Raises ConfigError saying what is wrong with them."""
    try:
        return msgspec.convert(dict(args), kind)
    except msgspec.ValidationError as error:
        raise ConfigError(clean(str(error))) from None


async def carry_out(store: AlertStore, command: str, args: Mapping[str, Any], now: float) -> AlertChanged | Silence:
    """One of ORDERS, on a store; what became of the alert or silence. Raises TapewatchError with words for the user."""
    kind, act = ORDERS[command]
    return await act(store, order_of(kind, args), now)


async def obey(tools: Tools, command: str, args: Mapping[str, Any]) -> dict[str, Any]:
    """One of ORDERS; the engine's alerts know of it at once."""
    done = await carry_out(tools.store, command, args, tools.clock.wall())
    if isinstance(done, AlertChanged):
        tools.alerts.acknowledge(done)
    else:
        tools.alerts.silence(await tools.store.silences())
        for _ in tools.alerts.observing((), tools.clock.wall()):
            await asyncio.sleep(0)
    return told(done)


def told(done: AlertChanged | Silence) -> dict[str, Any]:
    """What the answer to an order says."""
    if isinstance(done, AlertChanged):
        return {"alert": done.alert, "until": done.acked_until}
    return {"silence": done.silence, "until": done.until}


_Act = Callable[[AlertStore, Any, float], Awaitable[AlertChanged | Silence]]
ORDERS: Mapping[str, tuple[type[msgspec.Struct], _Act]] = {
    "ack": (Ack, acknowledge),
    "unack": (Unack, unacknowledge),
    "silence": (Quiet, silence),
    "unsilence": (Unquiet, unsilence),
}
