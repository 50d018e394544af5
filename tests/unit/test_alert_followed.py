"""Ids that turn up out of order are seen once each, in bounded memory."""

import random
from dataclasses import dataclass

from core.alerting.followed import PATIENCE_SECONDS, Seen


@dataclass(frozen=True)
class Change:
    id: int


def look(seen: Seen, there: set[int], now: float) -> list[int]:
    """What a look at all that is after the mark shows."""
    fresh = seen.fresh([Change(number) for number in sorted(there) if number > seen.mark])
    seen.looked(now)
    return [change.id for change in fresh]


def test_a_smaller_id_after_a_larger_one() -> None:
    seen = Seen(0)
    assert look(seen, {1, 2, 5}, 0) == [1, 2, 5]
    assert seen.mark == 2
    assert look(seen, {1, 2, 4, 5}, 1) == [4]
    assert look(seen, {1, 2, 3, 4, 5}, 2) == [3]
    assert (seen.mark, look(seen, {1, 2, 3, 4, 5}, 3)) == (5, [])


def test_what_was_rolled_back_is_not_waited_for_endlessly() -> None:
    seen = Seen(0)
    look(seen, {2}, 0)
    look(seen, {2, 4}, PATIENCE_SECONDS - 1)
    assert seen.mark == 0
    look(seen, {2, 4}, PATIENCE_SECONDS)
    assert seen.mark == 2
    assert look(seen, {2, 4, 5}, 2 * PATIENCE_SECONDS) == [5]
    assert seen.mark == 5


def test_a_reader_that_was_stopped_for_hours_finds_what_was_late() -> None:
    seen = Seen(0)
    look(seen, {2}, 0)
    assert look(seen, {1, 2, 3}, 10_000) == [1, 3]


def test_any_order_of_commits_shows_each_once(seed: int) -> None:
    chance, seen, shown = random.Random(seed), Seen(0), []
    waiting, there = list(range(1, 2_001)), set()
    now = 0.0
    while waiting:
        for _ in range(chance.randrange(20)):
            # A transaction is at most 30 ids late, and takes less than a minute.
            there.add(waiting.pop(chance.randrange(min(30, len(waiting))))) if waiting else None
        now += 0.1
        shown += look(seen, there, now)
    assert sorted(shown) == list(range(1, 2_001))
    assert seen.mark == 2_000
