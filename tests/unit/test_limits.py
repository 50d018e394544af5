"""The vendor's limits as it writes them in its headers, 429s, backoff and the default budget."""

import pytest

from core.limits import (
    LONGEST_PAUSE,
    Backoff,
    Figures,
    Limit,
    LiveShare,
    Quota,
    RetryBudget,
    allowance,
    exhausted_wait,
    figures,
    parse_windows,
    window_name,
)
from core.limits import served_at as served_at_of

NOW = 1_750_000_000.0
# The form the vendor's documentation shows: a figure for the month, then one part a window.
LIMIT = (
    '100000000, 38;window=1;burst=600;policy="fixed window", 2241;window=60;burst=30000;policy="fixed window", '
    '134409;window=3600;burst=1000000;policy="fixed window", 3225807;window=86400;burst=9000000;policy="fixed window", '
    '100000000;window=2678400;policy="fixed window"'
)
REMAINING = "66676658, 599;window=1, 29956;window=60, 919204;window=3600, 7626094;window=86400, 66676658;window=2678400"
RESET = "1191769, 1;window=1, 17;window=60, 17;window=3600, 25217;window=86400, 1191769;window=2678400"


def headers(remaining: str = REMAINING, reset: str = RESET, limit: str = LIMIT) -> dict[str, str]:
    return {
        "X-RateLimit-Limit": limit,
        "X-RateLimit-Remaining-All": remaining,
        "X-RateLimit-Reset-All": reset,
    }


def minute(left: int) -> dict[int, Figures]:
    """What an answer tells of one limit."""
    return {60: Figures(10, left, 30)}


def test_all_five_windows_are_learned() -> None:
    quota = Quota()
    quota.observe(figures(headers()), NOW)
    assert {limit.name: (limit.limit, limit.remaining, limit.resets_at - NOW) for limit in quota.limits.values()} == {
        "second": (600, 599, 1),
        "minute": (30_000, 29_956, 17),
        "hour": (1_000_000, 919_204, 17),
        "day": (9_000_000, 7_626_094, 25_217),
        "month": (100_000_000, 66_676_658, 1_191_769),
    }


@pytest.mark.parametrize(("seconds", "name"), [(2_592_000, "month"), (2_678_400, "month"), (30, "30 s")])
def test_any_window_has_a_name(seconds: int, name: str) -> None:
    assert window_name(seconds) == name


def test_what_was_sent_since_an_answer_is_counted() -> None:
    quota = Quota()
    assert quota.left("minute") is None
    quota.observe(minute(2), NOW)
    quota.take()
    assert (quota.left("minute"), quota.in_flight) == (1, 1)
    quota.give_back()
    assert (quota.left("minute"), quota.in_flight) == (1, 0)


def test_an_answer_does_not_yet_know_the_other_calls_in_flight() -> None:
    quota = Quota()
    for _ in range(4):
        quota.take()
    quota.observe(minute(8), NOW)
    assert quota.left("minute") == 8 - 3


@pytest.mark.parametrize(
    ("retry_after", "wait"),
    [
        ("30", 30),
        (" 30 ", 30),
        ("0", 1),
        ("-1", 1),
        ("100000", LONGEST_PAUSE),
        ("1" + "0" * 12, LONGEST_PAUSE),
        ("9" * 400, 60),
        ("9" * 4_096, 60),
        ("9" * 6_000, 60),
        ("NaN", 60),
        ("1e3", 60),
        ("", 60),
        ("Wed, 21 Oct 2026 07:28:00 GMT", 60),
    ],
)
def test_how_long_a_429_means(retry_after: str, wait: float) -> None:
    assert exhausted_wait({"Retry-After": retry_after}) == wait


@pytest.mark.parametrize(
    ("retry_after", "wait"),
    [
        ("Wed, 21 Oct 2026 07:28:30 GMT", 30),
        ("Wednesday, 21-Oct-26 07:28:40 GMT", 40),
        ("Wed Oct 21 07:28:50 2026", 50),
        ("Wed, 21 Oct 2026 07:28:20 -0000", 20),
        ("Wed, 21 Oct 2026 06:28:00 GMT", 1),
        ("Wed, 21 Oct 2037 07:28:00 GMT", LONGEST_PAUSE),
        ("Wed, 99 Oct 2026 07:28:00 GMT", 60),
        ("tomorrow", 60),
        ("x" * 100_000, 60),
    ],
)
def test_a_date_is_compared_with_that_of_the_answer(retry_after: str, wait: float) -> None:
    assert exhausted_wait({"Retry-After": retry_after, "Date": "Wed, 21 Oct 2026 07:28:00 GMT"}) == wait


def test_a_429_without_retry_after_means_the_longest_exhausted_window() -> None:
    assert exhausted_wait(headers("0, 0;window=1, 0;window=60, 5;window=3600", RESET)) == 17
    assert exhausted_wait(headers()) == 60
    assert exhausted_wait({}) == 60


def test_negative_figures_count_as_nothing_left() -> None:
    assert parse_windows("-7;window=60") == {60: (0, None)}
    assert parse_windows("5, 38;window=1;burst=600") == {1: (38, 600)}


def test_backoff_doubles_to_its_cap_with_full_jitter() -> None:
    backoff = Backoff(base=0.5, cap=10)
    assert [backoff.wait(attempt, 0.999_999) for attempt in range(1, 8)] == pytest.approx(
        [0.5, 1, 2, 4, 8, 10, 10], rel=1e-5
    )
    assert backoff.wait(5, 0.0) == 0
    assert backoff.wait(5, 0.5) == 4
    assert backoff.wait(2_000, 0.5) == 5


@pytest.mark.parametrize(
    ("attempt", "tried_for", "spent"), [(1, 0, False), (4, 19.9, False), (5, 0, True), (1, 20, True)]
)
def test_backoff_gives_up_after_attempts_or_seconds(attempt: int, tried_for: float, spent: bool) -> None:
    assert Backoff().is_spent(attempt, tried_for) is spent


def limit(seconds: int, remaining: int) -> Limit:
    return Limit(seconds, 10**6, remaining, NOW)


def test_a_run_may_spend_a_tenth_of_the_tighter_of_day_and_month() -> None:
    assert allowance([]) is None
    assert allowance([limit(1, 5), limit(60, 5), limit(3_600, 5)]) is None
    assert allowance([limit(60, 5), limit(86_400, 7_500), limit(2_678_400, 11_000)]) == (750, "day")
    assert allowance([limit(86_400, 7_500), limit(2_592_000, 999)]) == (99, "month")
    assert allowance([limit(86_400, 7_500)], 0.5) == (3_750, "day")
    assert allowance([limit(86_400, -30)]) == (0, "day")


# --- retries and live calls


def test_retries_are_at_most_a_tenth_of_the_calls() -> None:
    budget = RetryBudget(free=0, left=0)
    for _ in range(1_000):
        budget.sent()
    assert [budget.take(0.0) for _ in range(100)] == pytest.approx([0.0] * 100, abs=1e-6)
    assert budget.take(0.0) == pytest.approx(1.0)


def test_some_retries_are_free_and_one_more_comes_each_second() -> None:
    budget = RetryBudget()
    assert [budget.take(0.0) for _ in range(18)] == [0.0] * 16 + [1.0, 2.0]
    assert budget.take(1.0) == 2.0
    assert budget.take(100.0) == 0.0
    assert budget.left == 15


def test_calls_that_come_later_pay_for_retries_too() -> None:
    budget = RetryBudget(left=-1.0)
    for _ in range(20):
        budget.sent()
    assert budget.take(0.0) == pytest.approx(0.0)


def live_minute(calls: int = 60, ago: int = 60) -> LiveShare:
    """There were so many live calls at one moment."""
    live = LiveShare(share=0.2)
    for _ in range(calls):
        live.sent(NOW - ago)
    return live


def test_live_calls_come_again_as_in_the_minute_before() -> None:
    live, hour = live_minute(), Limit(3_600, 100_000, 100_000, NOW + 1_800)
    assert live.kept(hour, NOW) == 30 * 60
    for _ in range(20):
        live.sent(NOW)
    assert live.kept(hour, NOW) == 30 * 60 - 20, "those are there already"
    assert live.kept(Limit(60, 1_000, 900, NOW + 20), NOW) == 40


def test_live_calls_come_again_as_in_the_hour_before() -> None:
    live = live_minute(500, ago=3_600)
    assert live.kept(Limit(3_600, 100_000, 100_000, NOW + 1_800), NOW) == 500
    assert live.kept(Limit(86_400, 100_000, 100_000, NOW + 7_200), NOW) == 1_000
    assert live.kept(Limit(60, 1_000, 900, NOW + 20), NOW) == 0, "nobody expects them within the minute"


def test_no_more_than_a_share_of_a_limit_is_kept() -> None:
    assert live_minute().kept(Limit(3_600, 1_000, 900, NOW + 3_000), NOW) == 200


def test_what_can_wait_waits_for_the_rest_of_a_limit_that_is_kept() -> None:
    live = live_minute()
    minute, hour = Limit(60, 300, 61, NOW + 55), Limit(3_600, 1_000, 200, NOW + 3_000)
    assert live.blocking([minute], NOW) is None
    assert live.blocking([minute, hour], NOW) is hour
    minute.remaining = 5
    assert live.blocking([minute], NOW) is minute
    assert live.blocking([minute, hour], NOW) is hour
    assert live.blocking([minute, hour], NOW + 120) is None, "nothing live came since"


def test_a_limit_that_has_reset_keeps_nothing_back() -> None:
    """What was left of it is old: there is nothing to wait for until somebody asks anew."""
    live, minute = live_minute(), Limit(60, 300, 5, NOW + 20)
    for _ in range(10):
        live.sent(NOW)
    assert live.blocking([minute], NOW + 19.9) is minute
    assert live.blocking([minute], NOW + 20) is None
    assert live.blocking([minute], NOW + 25) is None


def test_without_live_calls_everything_is_for_whoever_comes() -> None:
    assert LiveShare().blocking([Limit(60, 300, 1, NOW + 55)], NOW) is None
    assert live_minute().blocking([Limit(60, 300, 0, NOW + 55)], NOW) is None, "a limit that is used up says so itself"


# --- when an answer was given


@pytest.mark.parametrize(
    ("date", "resets", "served_at"),
    [
        ("Sun, 15 Jun 2025 15:06:39 GMT", "9, 1;window=1, 21;window=60", 1_749_999_999),
        ("Sun, 15 Jun 2025 15:06:39 GMT", "9, 1;window=1, 20;window=60", None),
        ("Sun, 15 Jun 2025 15:06:39 GMT", "9, 77;window=2678400", 1_749_999_999),
        ("yesterday", "9, 1;window=1, 21;window=60", None),
        ("Wed, 21 Oct 99999999999 07:28:00 GMT", "9, 1;window=1, 21;window=60", None),
        (None, "9, 1;window=1, 21;window=60", None),
    ],
    ids=["by its calendar", "by another clock", "a month is no calendar", "no date", "a year too far", "nothing said"],
)
def test_an_answers_date_counts_where_its_windows_end_by_it(date: str | None, resets: str, served_at: float) -> None:
    left = resets.replace(" 1;", " 5;").replace(" 21;", " 5;").replace(" 20;", " 5;").replace(" 77;", " 5;")
    given = headers(left, resets, left) | ({} if date is None else {"Date": date})
    assert served_at_of(given, figures(given)) == served_at
