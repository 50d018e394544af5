"""Quality checks over the stored bars of one series: what is possible and yet suspect. Pure.

Each is registered under the entry point group `tapewatch.checks`, as those of other packages are.
Thresholds are such that a healthy market gives next to no findings; what is found is flagged, never dropped.
A `warning` says that data look wrong, `info` that the market did something that it seldom does.
"""

from collections.abc import Iterator, Sequence
from importlib.metadata import entry_points
from itertools import groupby, pairwise
from math import isclose, log
from typing import Any

from core.findings import Bars, Check, Finding
from core.monitoring.robust import robust_scores
from core.monitoring.rules import doubt, rules_for
from core.windows import DAY, HOUR, MINUTE, Window

FIGURES = {"futures_open_interest": ("_settlement", "_mark_price", "_quote")}
ACTIVITY = {
    "futures_open_interest": "total_open_interest_updates",
    "futures_funding_rate": "total_funding_rate_updates",
}
RESTS = frozenset({"futures_funding_rate"})  # a funding rate keeps its usual value for days
FROZEN_BARS = {MINUTE: 60, HOUR: 12, DAY: 4}
IDLE_BARS = {MINUTE: 60, HOUR: 8, DAY: 3}
SELDOM = 0.2
LEAST_OTHERS = 100
STALE_BARS = 3
# An outlier is a move of at least LIMIT deviations, and a deviation is at least FLOOR however calm it was.
RETURN_LIMIT, RETURN_FLOOR = 15.0, {MINUTE: 0.002, HOUR: 0.005, DAY: 0.02}
VOLUME_LIMIT, VOLUME_FLOOR = 6.0, 0.5


def installed_checks() -> dict[str, Check]:
    """Every registered check by name, ours included."""
    return {point.name: point.load() for point in entry_points(group="tapewatch.checks")}


def frozen(bars: Bars) -> list[Finding]:
    """Trades go on and no price moves, in a series where prices seldom stay."""
    if bars.key.data_type in RESTS:
        return []
    is_busy = [bool(activity) for activity in _activity(bars)]
    stays = [False, *(a == b and None not in a for a, b in pairwise(_levels(bars, "open", "high", "low", "close")))]
    is_frozen = [busy and stay for busy, stay in zip(is_busy, stays, strict=True)]
    return [
        Finding("frozen", bars.span(first - 1, last), "warning", f"{last - first + 2} bars with the same prices")
        for first, last in _runs(is_frozen)
        if last - first + 2 >= FROZEN_BARS[bars.grain] and _is_seldom(is_frozen, is_busy, first, last)
    ]


def idle(bars: Bars) -> list[Finding]:
    """Nothing happens for long in a series where something nearly always does."""
    activity = _activity(bars)
    is_idle = [figure == 0 for figure in activity]
    is_known = [figure is not None for figure in activity]
    return [
        Finding("idle", bars.span(first, last), "info", f"{last - first + 1} bars in which nothing happened")
        for first, last in _runs(is_idle)
        if last - first + 1 >= IDLE_BARS[bars.grain] and _is_seldom(is_idle, is_known, first, last)
    ]


def outlier_return(bars: Bars) -> list[Finding]:
    """The price moved further within one bar than anything before it suggests."""
    if bars.key.data_type in RESTS:
        return []
    moves = zip(_activity(bars), bars.values("open"), bars.values("close"), strict=True)
    returns = [log(close / open_) if activity and open_ and close else None for activity, open_, close in moves]
    scores = robust_scores(returns, RETURN_FLOOR[bars.grain])
    return [
        Finding("outlier_return", bars.span(at, at), "info", f"log return {returns[at]:.4f}, robust z {score:.1f}")
        for at, score in enumerate(scores)
        if score is not None and abs(score) > RETURN_LIMIT
    ]


def outlier_volume(bars: Bars) -> list[Finding]:
    """Far more was traded in one bar than anything before it suggests."""
    volumes = bars.values("volume")
    scores = robust_scores([log(volume) if volume else None for volume in volumes], VOLUME_FLOOR)
    return [
        Finding("outlier_volume", bars.span(at, at), "info", f"volume {volumes[at]:g}, robust z {score:.1f}")
        for at, score in enumerate(scores)
        if score is not None and score > VOLUME_LIMIT
    ]


def discontinuity(bars: Bars) -> list[Finding]:
    """A bar does not open at the close of the one before it, as the vendor says that all do."""
    opens, closes = _levels(bars, "open"), _levels(bars, "close")
    return [
        Finding(
            "discontinuity", bars.span(at, at), "warning", f"opens at {opens[at]}, the bar before closed at {before}"
        )
        for at, before in enumerate(closes[:-1], 1)
        if bars.ts[at] - bars.ts[at - 1] == bars.grain.seconds and not _are_close(opens[at], before)
    ]


def stale(bars: Bars) -> list[Finding]:
    """The vendor was asked for newer bars and had none, while it has those of others on the market."""
    step, until = bars.grain.seconds, bars.asked_until
    if until is None:
        return []
    missing = Window(bars.ts[-1] + step, max(until, bars.ts[-1] + step))
    is_alone = bars.market_last is not None and bars.market_last < missing.end - step
    if bars.grain.bars(missing) <= STALE_BARS or is_alone:
        return []
    return [Finding("stale", missing, "warning", f"no bar for {bars.grain.bars(missing)} intervals")]


def funding_interval(bars: Bars) -> list[Finding]:
    """Funding is paid at another interval from this bar on."""
    intervals = bars.values("interval_ms")
    return [
        Finding("funding_interval", bars.span(at, at), "info", f"{before} ms became {after} ms")
        for at, (before, after) in enumerate(pairwise(intervals), 1)
        if None not in {before, after} and before != after
    ]


def contradiction(bars: Bars) -> list[Finding]:
    """What a bar says of its trades does not fit together."""
    rules = rules_for(bars.dataset, bars.dataset.groups)
    rows = list(zip(bars.ts, *(bars.values(name) for name in rules.names), strict=True))
    pairs = zip(bars.values("total_trades"), bars.values("volume"), strict=True)
    reasons = [
        doubt(row, rules, bars.grain.seconds) or _trade_fault(*pair) for row, pair in zip(rows, pairs, strict=True)
    ]
    return [
        Finding("contradiction", bars.span(at, at), "warning", reason.replace("_", " "))
        for at, reason in enumerate(reasons)
        if reason is not None
    ]


def _trade_fault(trades: int | None, volume: float | None) -> str | None:
    if trades is None or volume is None or (trades > 0) == (volume > 0):
        return None
    return "trades_without_volume" if trades else "volume_without_trades"


def _activity(bars: Bars) -> Sequence[float | None]:
    """How much happened in each bar: what was traded, or how often something was published."""
    return bars.values(ACTIVITY.get(bars.key.data_type, "volume"))


def _levels(bars: Bars, *edges: str) -> list[tuple[Any, ...]]:
    """The figures of each bar at `edges`: one price, or those of open interest."""
    figures = FIGURES.get(bars.key.data_type, ("",))
    return list(zip(*(bars.values(edge + figure) for edge in edges for figure in figures), strict=True))


def _are_close(some: Sequence[float | None], others: Sequence[float | None]) -> bool:
    pairs = zip(some, others, strict=True)
    return all(a is None or b is None or isclose(a, b, abs_tol=1e-15) for a, b in pairs)


def _runs(flags: Sequence[bool]) -> Iterator[tuple[int, int]]:
    """The first and last place of every run of true flags."""
    at = 0
    for flag, run in groupby(flags):
        length = len(list(run))
        if flag:
            yield at, at + length - 1
        at += length


def _is_seldom(flags: Sequence[bool], among: Sequence[bool], first: int, last: int) -> bool:
    """Whether outside of `first`..`last` few of those `among` are flagged; of too few others nothing is known."""
    others = sum(among) - sum(among[first : last + 1])
    flagged = sum(flags) - sum(flags[first : last + 1])
    return others < LEAST_OTHERS or flagged <= SELDOM * others
