"""What all jobs of an engine share."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from core.cache.read_through import Kind, ReadThrough
from core.clock import Clock
from core.coverage import SeriesState
from core.engine.alerts import Alerts
from core.engine.ingest import Ingest
from core.engine.permits import Permits
from core.events import Bus
from core.findings import Check
from core.limits import BUDGET_SHARE, Backoff
from core.sources import Source
from core.stores import Store


@dataclass(frozen=True, slots=True)
class RunnerOptions:
    """`max_wait` is the longest wait for a limit in seconds, `budget_share` what a run may spend unasked.

    `listing_ttl` is how long listings need not be asked for again, in seconds, `listing_ttls` the same for single data
    types, and `stale_for` how much longer one may be used while the vendor does not answer. `audit_days` is in how
    many days all of the stored history is read again, None for never; `kept_seconds` how long bars are kept, by data
    type and interval, for ever when it does not say. `checks` run over the newest bars after a job.
    """

    max_wait: float = 900.0
    budget_share: float = BUDGET_SHARE
    listing_ttl: float = 3_600.0
    listing_ttls: Mapping[str, float] = field(default_factory=dict)
    stale_for: float = 7 * 86_400.0
    audit_days: int | None = None
    kept_seconds: Mapping[tuple[str, str], int] = field(default_factory=dict)
    checks: Mapping[str, Check] = field(default_factory=dict)
    backoff: Backoff = field(default_factory=Backoff)

    def listings(self, data_type: str) -> Kind:
        """How lists of a data type are cached."""
        return Kind(data_type, self.listing_ttls.get(data_type, self.listing_ttl), self.stale_for)

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
    at a time holds `choosing` while it asks the vendor which series there are.
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
