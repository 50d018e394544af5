"""Alerts: rules as data, states that survive restarts, and who is told what. Pure: time comes in, nothing goes out."""

from dataclasses import dataclass

from core.events import AlertChanged

KINDS = ("fired", "raised", "lowered", "resolved", "repeated", "escalated")


@dataclass(frozen=True, slots=True)
class Reading:
    """What a rule looks at: a figure of `name` about `source`, such as `spot_ohlcv/kraken`, as of `at` (UTC seconds).

    `value` is None, or not finite, when there is nothing to go by, which is no good news. `samples` is how many
    observations a rate rests on, None for what is no rate. `about` is said with it, in words.
    """

    name: str
    source: str
    value: float | None
    at: float
    samples: int | None = None
    about: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """What is to be told about an incident on one channel, written with the change that it tells of.

    `kind` is one of KINDS, `alert` as it was then. Entries of one `grouping` that are due together become one message,
    not before `not_before` (UTC epoch seconds). A repetition has a sequence of its own.
    """

    channel: str
    grouping: str
    kind: str
    alert: AlertChanged
    created: float
    not_before: float


@dataclass(frozen=True, slots=True)
class Change:
    """An alert as it became, written in one transaction with the `entries` that tell of it.

    `memory` is what its state machine needs besides, as JSON. Not `is_logged` is what only counts up, or is remembered,
    and is no change of its state.
    """

    alert: AlertChanged
    memory: str = "{}"
    entries: tuple[Entry, ...] = ()
    is_logged: bool = True
