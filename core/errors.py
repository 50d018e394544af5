"""The exceptions of Tapewatch. The class says who has to act; the text is for people.

    TapewatchError
    ├── ConfigError           the user: a flag, setting or file is wrong
    ├── BudgetRefused         the user: the plan costs more calls than a run may spend unasked
    ├── RoomRefused           the user: the plan needs more of the disk than a run may take
    ├── QuotaExhausted        time: the vendor's limit resets later than the run may wait
    ├── EngineUnreachable     the user: no engine answers on the socket
    │   └── EngineGone        time: the engine ends, and the store is free soon
    ├── OutputError           the user: a file for output cannot be written
    ├── CacheUnavailable      nobody: a shared cache is away, and memory goes on
    ├── DeliveryError         a message could not be delivered
    │   ├── ChannelAway       nobody: the channel is tried again after `retry_after` seconds or a backoff
    │   ├── ChannelRefused    the operator: the channel does not take this message, now or later
    │   └── ChannelGone       the operator: the channel takes no messages any more (410)
    ├── SourceError           something about the vendor's answer
    │   ├── Transient         nobody: the window is asked again after a backoff
    │   │   └── VendorAway    the operator: nothing is asked while the vendor does not answer
    │   ├── RateLimited       nobody: the host is left alone for `wait` seconds
    │   ├── Malformed         nobody yet: the answer is quarantined and the window asked again
    │   ├── Rejected          the user: the vendor refuses this request for good
    │   │   └── Unauthorized  the user: the key is missing, wrong or lacks a role
    │   └── NothingBefore     the planner: no bar at or before the time asked for
    └── StoreError            the operator: the database cannot be used
        ├── StoreBusy         time: another engine holds it
        ├── StoreUnavailable  time: it is away, full, read-only or out of connections, and will come back
        │   └── LedgerAway    time: only the place where the account's calls are counted is away
        ├── LeaseLost         nobody: another engine has taken the series over, and what we asked for is its to do
        ├── NotStored         the user: the store has no series of that name
        └── StoreRefused      the user: another origin, a newer version, a foreign file

Errors of libraries are translated once, at the adapter that calls them, with `from`.
Exit codes are promises of the command line: 2 usage or configuration, 3 failed, 75 try again later.
"""

from collections.abc import Callable
from typing import Any


class TapewatchError(Exception):
    """Base of everything that is reported to users as one sentence without a traceback."""

    exit_code = 3


class ConfigError(TapewatchError):
    """A flag, setting or file is wrong; the text names it and says what would be right."""

    exit_code = 2


def gathered(*makers: Callable[[], Any]) -> list[Any]:
    """What all of them make. Raises ConfigError with what is wrong with any of them, a line a problem."""
    made, faults = [], []
    for make in makers:
        try:
            made.append(make())
        except ConfigError as error:
            faults.append(str(error))
    if faults:
        raise ConfigError("\n".join(faults))
    return made


class CacheUnavailable(TapewatchError):
    """A shared cache does not answer, or not with what it should; what it has can be fetched again."""


class BudgetRefused(TapewatchError):
    """A plan needs more calls than a run may spend without being told to (`--max_requests`)."""

    exit_code = 2


class RoomRefused(TapewatchError):
    """A plan would take more of the store's disk than a run may take of what is free."""

    exit_code = 2


class QuotaExhausted(TapewatchError):
    """One of the vendor's limits is used up and resets later than the run may wait."""

    exit_code = 75


class EngineUnreachable(TapewatchError):
    """No engine answers where one was expected."""


class EngineGone(EngineUnreachable):
    """The engine that holds the store ends, or has just ended: soon the store is free, or another engine's."""

    exit_code = 75


class OutputError(TapewatchError):
    """A file or directory for output cannot be written."""


class DeliveryError(TapewatchError):
    """A message could not be delivered; the text shows no secret."""


class ChannelAway(DeliveryError):
    """The channel does not take messages for now; not before `retry_after` seconds, where it says so."""

    def __init__(self, message: str, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ChannelRefused(DeliveryError):
    """The channel refuses this message and would refuse it again."""


class ChannelGone(DeliveryError):
    """The receiver says that it is there no more."""


class SourceError(TapewatchError):
    """The vendor's answer cannot be used."""


class Transient(SourceError):
    """A fault that usually passes: connection lost, deadline missed, a 5xx status; `fault` says which in a word."""

    def __init__(self, message: str, fault: str = "network") -> None:
        super().__init__(message)
        self.fault = fault


class VendorAway(Transient):
    """A call was not sent: the vendor has answered nobody for too long."""


class RateLimited(SourceError):
    """The vendor's limit is reached; nothing may be sent to the host for `wait` seconds."""

    def __init__(self, message: str, wait: float) -> None:
        super().__init__(message)
        self.wait = wait


class Malformed(SourceError):
    """The answer is not what the contract says. `raw` is its beginning, for the quarantine."""

    def __init__(self, message: str, reason: str, raw: bytes = b"") -> None:
        super().__init__(message)
        self.reason = reason
        self.raw = raw


class Rejected(SourceError):
    """The vendor refuses this request and would refuse it again (400, 403, 404 for a name, 405)."""


class Unauthorized(Rejected):
    """The key is missing or wrong (401), or lacks a role (403)."""


class NothingBefore(SourceError):
    """No bar at or before the time asked for (404 with times).

    `first` is the first available bar in UTC epoch seconds, as the vendor says.
    """

    def __init__(self, message: str, first: int) -> None:
        super().__init__(message)
        self.first = first


class StoreError(TapewatchError):
    """The database cannot be read or written."""


class StoreBusy(StoreError):
    """Another engine holds the database."""

    exit_code = 75


class StoreUnavailable(StoreError):
    """The database cannot be used for now: connection lost, disk full, read-only, no connection free.

    Nothing was written; the same work succeeds once it is back.
    """

    exit_code = 75


class LedgerAway(StoreUnavailable):
    """Where the account's calls are counted cannot be asked for now; the store is not concerned."""


class LeaseLost(StoreError):
    """Another engine has taken a series over; nothing was written."""


class NotStored(StoreError):
    """A series was named that the store does not have."""

    exit_code = 2


class StoreRefused(StoreError):
    """The database belongs to another origin or a newer version; nothing was written."""

    exit_code = 2
