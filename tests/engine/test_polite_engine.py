"""An engine with manners, on a vendor that counts."""

from collections import Counter

import pytest
from engine_kit import Kit, ask

from core.errors import QuotaExhausted
from core.limits import Quota
from core.manners import Manners

WEEKS = {"start": "2025-05-01", "end": "2025-06-08"}


def polite(kit: Kit, manners: Manners, **options: float) -> None:
    kit.quota = Quota(manners)
    kit.make_tools(**options)


@pytest.mark.slow
async def test_no_more_calls_begin_in_a_second_than_are_wanted(kit: Kit) -> None:
    polite(kit, Manners(max_per_second=3))
    job = await kit.run(ask(**WEEKS))
    assert (job.state, job.counters.requests) == ("complete", 28)
    started = kit.clock.wall() - kit.clock.monotonic()
    seconds = Counter(int(started + call.at) for call in kit.source.log)
    assert max(seconds.values()) <= 3
    assert len(seconds) <= 12, "and not many fewer"


@pytest.mark.slow
async def test_the_part_of_others_is_not_touched(kit: Kit) -> None:
    kit.source.limits = {86_400: 40}
    polite(kit, Manners(share=0.25), max_wait=0, budget_share=1.0)
    job = await kit.run(ask(**WEEKS, max_requests=100))
    assert isinstance(job.failure, QuotaExhausted)
    assert (job.state, kit.source.calls) == ("waiting_quota", 10)
    assert "the vendor's day (quota.share) limit is used up; it resets in" in job.errors[0]
