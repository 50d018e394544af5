"""What an engine tells of its cache and its quota, as events."""

from core.engine.tools import Tools
from core.events import CacheSample, QuotaSample, QuotaWindow
from core.usage import outlook


def slow_samples(tools: Tools) -> list[CacheSample | QuotaSample]:
    """Those that are worth saying only when they changed."""
    return [*cache_samples(tools), quota_sample(tools)]


def cache_samples(tools: Tools) -> list[CacheSample]:
    """One a tier, the nearest first, which also tells of the kinds of lists."""
    kinds = {name: counts.figures() for name, counts in tools.cache.kinds.items()}
    return [
        CacheSample(
            kinds=kinds if at == 0 else {},
            tier=stats.tier,
            hits=stats.hits,
            misses=stats.misses,
            entries=stats.entries,
            bytes=stats.bytes,
            evictions=stats.evictions,
            errors=stats.errors,
            is_away=stats.is_away,
            latency_p50=stats.latency.at(0.50),
            latency_p99=stats.latency.at(0.99),
        )
        for at, stats in enumerate(tools.cache.stats())
    ]


def quota_sample(tools: Tools) -> QuotaSample:
    """The vendor's limits as far as they are known, the shortest first, and how the month goes."""
    limits = sorted(tools.permits.quota.limits.values(), key=lambda limit: limit.seconds)
    usage = tools.permits.usage
    windows = tuple(QuotaWindow(limit.name, limit.limit, limit.remaining, round(limit.resets_at)) for limit in limits)
    month = outlook(usage.by_day(), tools.clock.wall(), usage.budget, windows)
    return QuotaSample(windows=windows, account=usage.account, month=month)
