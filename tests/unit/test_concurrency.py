"""How many calls are in flight, against vendors that are near or far, and those that can only do so much."""

import heapq
from collections.abc import Callable

import pytest

from core.concurrency import USUAL, Concurrency


class Vendor:
    """Answers after `latency` seconds, and no more than `capacity` calls a second."""

    def __init__(self, latency: Callable[[float], float], capacity: float = 1e9) -> None:
        self._latency = latency
        self._capacity = capacity
        self._free_at = 0.0

    def answers_at(self, now: float) -> float:
        self._free_at = max(self._free_at, now) + 1 / self._capacity
        return max(self._free_at, now + self._latency(now))


def load(concurrency: Concurrency, vendor: Vendor, seconds: float, start: float = 0.0, *, rate: float = 1e9) -> int:
    """The answers to as many calls as it lets out, at most `rate` a second, from `start` on for so long."""
    flying: list[tuple[float, float]] = []
    now, next_at, answers = start, start, 0
    while now < start + seconds:
        while len(flying) < concurrency.limit and next_at <= now:
            heapq.heappush(flying, (vendor.answers_at(now), now))
            next_at = max(next_at, now - 1) + 1 / rate
        if not flying or (len(flying) < concurrency.limit and next_at < flying[0][0]):
            concurrency.idle()
            now = next_at
            continue
        now, sent_at = heapq.heappop(flying)
        concurrency.heard(now - sent_at, now, is_full=next_at <= now)
        answers += 1
    return answers


@pytest.mark.parametrize(("latency", "limit"), [(0.05, 64), (0.2, 64), (1.0, 64)])
def test_where_more_in_flight_brings_more_answers_there_are_more(latency: float, limit: int) -> None:
    concurrency = Concurrency()
    load(concurrency, Vendor(lambda _: latency), 60)
    assert concurrency.limit == limit


def test_a_second_of_latency_is_adapted_to_within_seconds() -> None:
    concurrency = Concurrency()
    assert load(concurrency, Vendor(lambda _: 1.0), 10) > 250, "16 at a time would bring 160"
    assert concurrency.limit == 64


def test_a_latency_that_changes_is_adapted_to() -> None:
    concurrency, vendor = Concurrency(), Vendor(lambda now: 1.0 if 30 <= now < 60 else 0.01)
    load(concurrency, vendor, 30, rate=38)
    assert concurrency.limit == USUAL, "38 a second need no more"
    load(concurrency, vendor, 30, 30, rate=38)
    assert 38 <= concurrency.limit <= 64
    assert load(concurrency, vendor, 30, 60, rate=38) >= 30 * 37


@pytest.mark.parametrize("capacity", [20, 300])
def test_a_vendor_that_can_do_no_more_gets_no_more(capacity: float) -> None:
    concurrency, vendor = Concurrency(), Vendor(lambda _: 0.002, capacity)
    assert load(concurrency, vendor, 120) >= 119 * capacity
    assert concurrency.limit <= 2 * USUAL


def test_where_answers_are_slow_already_no_more_are_asked_for() -> None:
    concurrency, vendor = Concurrency(), Vendor(lambda _: 0.01, capacity=6)
    load(concurrency, vendor, 120)
    assert concurrency.limit == USUAL


def test_what_is_too_many_shrinks_again() -> None:
    concurrency = Concurrency(limit=64)
    load(concurrency, Vendor(lambda _: 0.002, 300), 300)
    assert concurrency.limit <= 24


def test_many_failures_halve_it_and_few_do_not() -> None:
    for share, limit in ((10, USUAL), (3, USUAL // 2)):
        concurrency = Concurrency(most=USUAL)
        for call in range(400):
            if call % share == 0:
                concurrency.failed()
            concurrency.heard(0.1, call / 50 if concurrency.limit == USUAL else 7.0, is_full=True)
        assert concurrency.limit == limit


def test_after_an_outage_it_begins_with_one_and_is_soon_where_it_was() -> None:
    concurrency, vendor = Concurrency(), Vendor(lambda _: 0.2)
    load(concurrency, vendor, 30)
    concurrency.restart()
    assert concurrency.limit == 1
    load(concurrency, vendor, 1, 30)
    assert concurrency.limit <= 4
    load(concurrency, vendor, 10, 31)
    assert concurrency.limit == 64


def test_it_is_bounded() -> None:
    concurrency = Concurrency(most=5)
    load(concurrency, Vendor(lambda _: 1.0), 60)
    assert concurrency.limit == 5
