"""What a sandbox is started with."""

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from core.errors import ConfigError
from core.sandbox.quota import PRESETS, Limit
from core.sandbox.revisions import REVISE_UP_TO


@dataclass(frozen=True, slots=True)
class SandboxOptions:
    """`now` freezes the vendor's clock (UTC epoch seconds), which is else ours; `skew` is added to either.

    `latency`, `skew` and `revise_up_to` are in seconds, `revisions` is a share of bars; port 0 is any.
    """

    host: str = "127.0.0.1"
    port: int = 0
    seed: int = 7
    now: int | None = None
    latency: float = 0.0
    limits: tuple[Limit, ...] = PRESETS["paid"]
    require_key: str | None = None
    faults: Path | None = None
    scenario: Path | None = None
    revisions: float = 0.0
    revise_up_to: int = REVISE_UP_TO
    skew: float = 0.0
    replay: Path | None = None
    log: Path | None = None
    canned: bool = False


def loopback(host: str) -> str:
    """Raises ConfigError unless `host` is an address of this machine only."""
    try:
        local = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = False
    if not local:
        raise ConfigError(f"--host: {host} is not a loopback address; the sandbox serves this machine only")
    return host


def moment(text: str) -> int:
    """UTC epoch seconds of an ISO date or time; without a zone it is UTC. Raises ConfigError."""
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"--now: {text!r} is not a date or time like 2025-06-01T12:00:00") from None
    return int((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp())
