"""The vendor's limits as it writes them in its headers, 429s, backoff and the default budget."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.limits import LONGEST_PAUSE, Backoff, Limit, Quota, allowance, exhausted_wait, parse_windows, window_name

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


def minute_quota(left: int = 2, resets_in: int = 30, cap: int = 10) -> Quota:
    """A quota that has learned of one limit from a call that is over."""
    quota = Quota()
    quota.observe(headers(f"9, {left};window=60", f"9, {resets_in};window=60", f"9, {cap};window=60"), NOW)
    return quota


def test_all_five_windows_are_learned() -> None:
    quota = Quota()
    quota.observe(headers(), NOW)
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


def test_unknown_limits_hold_nothing_back() -> None:
    quota = Quota()
    assert quota.wait(NOW) == 0
    assert quota.blocking(NOW) == ""
    assert quota.left("day") is None


def test_a_window_that_is_used_up_holds_calls_until_it_resets() -> None:
    quota = minute_quota(left=2, resets_in=30)
    for _ in range(2):
        assert quota.wait(NOW) == 0
        quota.take(NOW)
    assert quota.wait(NOW + 10) == 20
    assert quota.blocking(NOW + 10) == "minute"
    assert quota.left("minute") == 0
    assert quota.wait(NOW + 30) == 0


def test_a_new_window_starts_full_apart_from_calls_in_flight() -> None:
    quota = minute_quota(left=3, resets_in=30, cap=10)
    for _ in range(3):
        quota.take(NOW)
    quota.give_back()
    assert quota.wait(NOW + 31) == 0
    assert quota.left("minute") == 8
    assert quota.limits[60].resets_at == NOW + 90


def test_windows_that_nobody_looked_at_roll_over_together() -> None:
    quota = minute_quota(left=0, resets_in=30, cap=10)
    assert quota.wait(NOW + 3_600) == 0
    assert quota.limits[60].resets_at == NOW + 3_630


def test_an_answer_does_not_yet_know_the_other_calls_in_flight() -> None:
    quota = minute_quota(left=9)
    for _ in range(4):
        quota.take(NOW)
    quota.observe(headers("9, 8;window=60", "9, 30;window=60", "9, 10;window=60"), NOW)
    assert quota.left("minute") == 8 - 3
    quota.give_back()


def test_a_pause_holds_everything_and_the_longest_wins() -> None:
    quota = Quota()
    quota.pause(30, NOW)
    quota.pause(10, NOW + 5)
    assert quota.wait(NOW + 10) == 20
    assert quota.blocking(NOW + 10) == "vendor"
    assert quota.wait(NOW + 30) == 0
    assert quota.blocking(NOW + 30) == ""


@pytest.mark.parametrize(("asked", "kept"), [(-5, 1), (0, 1), (30, 30), (1e12, LONGEST_PAUSE), (float("inf"), 3_600)])
def test_absurd_pauses_are_cut(asked: float, kept: float) -> None:
    quota = Quota()
    quota.pause(asked, NOW)
    assert quota.wait(NOW) == kept


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


def test_a_429_without_retry_after_means_the_longest_exhausted_window() -> None:
    assert exhausted_wait(headers("0, 0;window=1, 0;window=60, 5;window=3600", RESET)) == 17
    assert exhausted_wait(headers()) == 60
    assert exhausted_wait({}) == 60


HOSTILE = [
    "",
    ",",
    ";;;",
    "window=60",
    "5;window=0",
    "5;window=-60",
    "5;window=x",
    "x;window=60",
    "5;window",
    "NaN;window=60",
    "1e9;window=60",
    "9" * 400 + ";window=60",
    "5;window=" + "9" * 400,
    "5;window=60;burst=" + "9" * 400,
    "5;window=60;burst=0",
    "-7;window=60",
    "0;window=60",
    "5;window=60;window=1",
    "٣;window=60",
    ",".join(["5;window=60"] * 1_000),
]


@pytest.mark.parametrize("remaining", HOSTILE)
@pytest.mark.parametrize("reset", HOSTILE)
def test_hostile_headers_neither_crash_nor_block_for_ever(remaining: str, reset: str) -> None:
    quota = Quota()
    for limit in ("", remaining):
        quota.observe(headers(remaining, reset, limit), NOW)
        assert exhausted_wait(headers(remaining, reset, limit)) >= 0
    now, wait = NOW, quota.wait(NOW)
    if wait:
        now += wait
    assert quota.wait(now) == 0, "when the window is over, one call may go"
    quota.take(now)


def test_negative_figures_count_as_nothing_left() -> None:
    assert parse_windows("-7;window=60") == {60: (0, None)}
    assert parse_windows("5, 38;window=1;burst=600") == {1: (38, 600)}


@given(
    st.lists(st.tuples(st.sampled_from(["take", "back", "wait", "observe"]), st.floats(0, 40)), max_size=60),
    st.integers(1, 6),
)
def test_a_client_that_waits_never_sends_more_than_the_limit(steps: list[tuple[str, float]], cap: int) -> None:
    """Against a server of our own that counts fixed windows: what it admits is what it grants."""
    quota, now, used, window = Quota(), NOW, 0, NOW // 60
    quota.observe(headers(f"9, {cap};window=60", f"9, {60 - int(now) % 60};window=60", f"9, {cap};window=60"), now)
    for action, seconds in steps:
        now += seconds
        if now // 60 != window:
            used, window = 0, now // 60
        if action == "take" and quota.wait(now) == 0:
            quota.take(now)
            used += 1
            assert used <= cap
        elif action == "back" and quota.in_flight:
            left, resets = max(0, cap - used), 60 - int(now) % 60
            quota.observe(headers(f"9, {left};window=60", f"9, {resets};window=60", f"9, {cap};window=60"), now)
            quota.give_back()


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
