"""What all jobs of an engine share."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from core.alerting.book import Alerts
from core.bus import Bus
from core.cache.read_through import Kind, ReadThrough
from core.clock import Clock
from core.coverage import SeriesState
from core.engine.claims import Claims
from core.engine.ingest import Ingest
from core.engine.permits import Permits
from core.findings import Check, Watcher
from core.heartbeats import Heartbeats
from core.limits import BUDGET_SHARE, Backoff
from core.sources import Source
from core.stores import Store
from core.telemetry import Telemetry


@dataclass(frozen=True, slots=True)
class RunnerOptions:
    """`max_wait` is the longest wait for a limit in seconds, `budget_share` what a run may spend unasked.

    `listing_ttl` is how long listings need not be asked for again, in seconds, `listing_ttls` the same for single data
    types, and `stale_for` how much longer one may be used while the vendor does not answer, `revalidate_for` while it
    is asked. `refused_for` is how long a refused list is not asked for again, in seconds. `audit_days` is in how
    many days all of the stored history is read again, None for never; `kept_seconds` how long bars are kept, by data
    type and interval, for ever when it does not say. `checks` run over the newest bars after a job.
    """

    max_wait: float = 900.0
    budget_share: float = BUDGET_SHARE
    listing_ttl: float = 72_000.0
    listing_ttls: Mapping[str, float] = field(default_factory=dict)
    stale_for: float = 7 * 86_400.0
    revalidate_for: float = 0.0
    refused_for: float = 300.0
    audit_days: int | None = None
    kept_seconds: Mapping[tuple[str, str], int] = field(default_factory=dict)
    checks: Mapping[str, Check] = field(default_factory=dict)
    backoff: Backoff = field(default_factory=Backoff)

    def listings(self, data_type: str) -> Kind:
        """How lists of a data type are cached."""
        ttl = self.listing_ttls.get(data_type, self.listing_ttl)
        return Kind(data_type, ttl, max(self.stale_for, self.revalidate_for), self.revalidate_for)

    def refusals(self, data_type: str) -> Kind:
        """How long it is remembered that a list of a data type was refused."""
        return Kind(data_type, self.refused_for)

    def kept(self, state: SeriesState, now: int) -> SeriesState:
        """`state` as if what is not kept were gone already: what the end of the job would prune is not bought."""
        kept = self.kept_seconds.get((state.key.data_type, state.key.interval))
        if kept is None:
            return state
        return replace(state, pruned_before=max(state.pruned_before or 0, now - kept))


@dataclass(frozen=True, slots=True)
class Tools:
    """`chance` gives uniform numbers in [0, 1), for jitter; `free_bytes` is the room on the store's disk.

    `keeps` says that listings which were asked for go into the store: not when it is only planned. One job
    at a time holds `choosing` while it asks the vendor which series there are; by `claims` none asks for a window that
    another one asks for. `telemetry` hears of each operation, `heartbeats` of what has to go on, and `watch` looks for
    what is unusual in the newest bars.
    """

    source: Source
    cache: ReadThrough
    store: Store
    permits: Permits
    ingest: Ingest
    bus: Bus
    alerts: Alerts
    clock: Clock
    chance: Callable[[], float]
    options: RunnerOptions = field(default_factory=RunnerOptions)
    free_bytes: Callable[[], int | None] = lambda: None
    keeps: bool = True
    choosing: asyncio.Lock = field(default_factory=asyncio.Lock)
    claims: Claims = field(default_factory=Claims)
    telemetry: Telemetry = field(default_factory=Telemetry)
    heartbeats: Heartbeats = field(default_factory=lambda: Heartbeats(time.monotonic))
    warnings: dict[str, str] = field(default_factory=dict)
    watch: Watcher | None = None
