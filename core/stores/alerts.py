"""What is kept of alerts: the protocol for it."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from core.alerting import Change
from core.alerting.silences import Silence
from core.events import AlertChanged
from core.stores.vitals import Vitals

KEPT_SECONDS = 90 * 86_400.0
MOST_CHANGES = 200_000


class Logged(NamedTuple):
    """A change of an alert as it happened; its `time` is when. Ids ascend."""

    id: int
    alert: AlertChanged


class AlertStore(Protocol):
    """The part of a store that keeps alerts, silences and duties. Methods raise StoreError."""

    async def kept_alerts(self, changed_since: float | None = None) -> list[Change]:
        """Every alert that is not over, and those that were over by then (UTC epoch seconds), with their memories."""
        ...

    async def acknowledge(self, alert: str, by: str, until: float) -> AlertChanged:
        """Somebody sees to an open alert, named as it is or by its incident: it is not repeated until then.

        Raises ConfigError when no open alert is called so.
        """
        ...

    async def unacknowledge(self, alert: str, by: str) -> AlertChanged:
        """Nobody sees to it any more. Raises ConfigError as `acknowledge`."""
        ...

    async def silences(self) -> list[Silence]:
        """Those in force now."""
        ...

    async def silence(self, silence: Silence) -> None:
        """Keep it, and with it everybody quiet at once."""
        ...

    async def unsilence(self, silence: str) -> Silence:
        """It ends now. Raises ConfigError when none in force has that id."""
        ...

    async def take_duty(self, duty: str, engine: str, seconds: float) -> bool:
        """Whether `engine` sees to it for so long from now, and nobody else does."""
        ...

    async def vitals(self, followed: Sequence[tuple[str, str]], now: float) -> Vitals:
        """What rules look at; of series those of the `followed` data types and intervals."""
        ...

    async def forget_alerts(self) -> None:
        """Delete what ended 90 days ago, and of changes all but the newest 200,000."""
        ...
