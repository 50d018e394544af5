"""The newest bars of many series while a long history queues: on simulated time, by an engine over a real store."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from engine_kit import NOW, Kit, ask

from core.datasets import SETTLE_SECONDS
from core.engine.engine import Engine
from core.operations import Operation
from core.stores import Commit, Written
from core.windows import MINUTE, iso

pytestmark = pytest.mark.simulated

SETTLE = SETTLE_SECONDS[MINUTE]
MINUTES = 3


@dataclass(frozen=True)
class Load:
    """So many series to follow, windows of history beside them, and calls a minute for both."""

    series: int
    windows: int
    calls: int

    @property
    def limits(self) -> dict[int, int]:
        return {1: self.calls // 30, 60: self.calls, 2_678_400: 10**7}


SMALL, WHOLE = Load(150, 1_000, 300), Load(750, 10_000, 1_500)


def live(series: int) -> Operation:
    names = ",".join(f"LIVE{at}-USD" for at in range(series))
    # With both ends named no list is needed; the end is always to come.
    return ask(instrument=names, pair_limit=series, start=iso(NOW - 600), end=iso(NOW + 86_400), max_requests=10_000)


def history(windows: int) -> Operation:
    """So many windows of a month of days each: they are many, not large."""
    names = ",".join(f"PAST{at}-USD" for at in range(windows))
    return ask(
        instrument=names, pair_limit=windows, interval="1d", start="2025-01-01", end="2025-02-01", max_requests=windows
    )


class Arrivals:
    """When the newest closed bar of each series was stored, as seconds after it closed."""

    def __init__(self, kit: Kit) -> None:
        self.delays: list[float] = []
        self.past = 0
        self._clock = kit.clock
        self._commit = kit.store.commit
        kit.store.commit = self.commit  # type: ignore[method-assign]
        self.closes: float | None = None

    async def commit(self, commit: Commit) -> Written:
        written = await self._commit(commit)
        if commit.series.key.interval == "1d":
            self.past += 1
        elif self.closes is not None:
            self.delays.append(self._clock.wall() - self.closes)
        return written


@pytest.mark.parametrize(
    "load", [SMALL, pytest.param(WHOLE, marks=[pytest.mark.slow, pytest.mark.timeout(600)])], ids=["a fifth", "whole"]
)
@pytest.mark.parametrize(
    "latency",
    [lambda _: 0.0, lambda _: 1.0, lambda passed: 1.0 if 90 <= passed < 210 else 0.0],
    ids=["no latency", "a second", "changing"],
)
async def test_the_newest_bars_come_first(latency: Callable[[float], float], load: Load, kit: Kit) -> None:
    began = kit.clock.monotonic()
    kit.source.limits = load.limits
    kit.source.first = NOW - 10**8
    kit.source.latency = lambda: latency(kit.clock.monotonic() - began)
    arrivals = Arrivals(kit)
    kit.make_tools(connections=64)
    async with Engine("e", kit.tools) as engine:
        await engine.wait(engine.submit(live(load.series)))
        past = engine.submit(history(load.windows))
        for _ in range(MINUTES):
            # The next bar to become final, and the moment it does.
            closes = math.ceil((kit.clock.wall() - SETTLE) / 60) * 60
            await kit.clock.sleep(closes + SETTLE - kit.clock.wall())
            arrivals.closes = closes
            job = engine.submit(live(load.series))
            await engine.wait(job)
            assert (job.state, job.errors) == ("complete", [])
            assert job.counters.rows_inserted >= load.series
        assert past.finished is None
        assert len(arrivals.delays) == MINUTES * load.series
        late = sorted(arrivals.delays)[int(0.99 * len(arrivals.delays))]
        assert late <= SETTLE + 60 * load.series / load.calls + 5, f"the 99th percentile was {late:.1f} s"
        assert arrivals.past >= MINUTES * (load.calls - load.series) * 0.8, "what is left is for history"
    assert kit.source.refused == 0
