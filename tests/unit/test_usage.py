"""Calls that were sent: each is counted once whatever becomes of the writing, and months end where they do."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import ConfigError, QuotaExhausted
from core.events import MonthUsage, QuotaWindow
from core.usage import (
    DAY,
    GROUPINGS,
    HOUR,
    Counted,
    Forecast,
    Purpose,
    Usage,
    calls_in,
    forecast,
    month_of,
    not_ours,
    outlook,
    parse_month,
    parts,
    per_day,
    since,
)
from core.windows import Window

NOV = int(datetime(2026, 11, 1, tzinfo=UTC).timestamp())
DEC = NOV + 30 * DAY
TAIL = Purpose("spot_ohlcv", "tail", "nightly")
LISTING = Purpose("spot_instruments", "listing")


def test_calls_are_counted_by_the_hour_and_by_what_they_were_for() -> None:
    usage = Usage("me")
    for call, at in ((TAIL, NOV), (TAIL, NOV + 3_599.9), (LISTING, NOV + 5), (TAIL, NOV + HOUR)):
        usage.spend(call, at)
    assert usage.take() == [
        Counted(NOV, "me", "spot_instruments", "listing", "", 1),
        Counted(NOV, "me", "spot_ohlcv", "tail", "nightly", 2),
        Counted(NOV + HOUR, "me", "spot_ohlcv", "tail", "nightly", 1),
    ]


def test_what_could_not_be_written_is_written_the_next_time() -> None:
    usage = Usage()
    usage.spend(TAIL, NOV)
    assert [row.calls for row in usage.take()] == [1]
    usage.spend(TAIL, NOV)
    usage.put_back()
    assert [row.calls for row in usage.take()] == [2]
    usage.spend(TAIL, NOV)
    usage.written()
    assert [row.calls for row in usage.take()] == [1]
    usage.written()
    assert usage.take() == []


@given(st.lists(st.sampled_from(["spend", "written", "put_back"])))
def test_the_store_and_the_count_agree_whatever_happens(steps: list[str]) -> None:
    usage, stored, sent = Usage(), 0, 0
    for step in steps:
        if step == "spend":
            usage.spend(TAIL, NOV)
            sent += 1
        else:
            taken = sum(row.calls for row in usage.take())
            stored += taken if step == "written" else 0
            getattr(usage, step)()
        assert usage.in_month(NOV) == sent
    stored += sum(row.calls for row in usage.take())
    assert stored == sent


def test_a_month_is_what_the_store_has_and_what_is_not_written_yet() -> None:
    usage = Usage()
    usage.learn({NOV - DAY: 100, NOV: 7, NOV + DAY: 3})
    usage.spend(TAIL, NOV + 2 * DAY)
    assert usage.in_month(NOV + 2 * DAY) == 11
    assert usage.in_month(NOV - 1) == 100
    assert usage.in_month(DEC) == 0


def test_beyond_the_months_budget_nothing_is_counted_as_sent() -> None:
    usage = Usage(budget=3)
    usage.learn({NOV: 2})
    assert usage.left(NOV) == 1
    usage.spend(TAIL, NOV + DAY)
    with pytest.raises(QuotaExhausted, match=r"quota.month_budget is used up: 3 calls .* ends 2026-12-01"):
        usage.spend(TAIL, NOV + DAY)
    assert usage.in_month(NOV + DAY) == 3
    usage.require_room(DEC)
    assert usage.left(DEC) == 3
    assert Usage().left(NOV) is None


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("2026-11", "2026-11-01", "2026-12-01"),
        ("2026-12", "2026-12-01", "2027-01-01"),
        ("2028-02", "2028-02-01", "2028-03-01"),
    ],
)
def test_months_of_the_calendar(text: str, start: str, end: str) -> None:
    wanted = Window(*(int(datetime.fromisoformat(f"{day}T00:00:00+00:00").timestamp()) for day in (start, end)))
    assert parse_month(text) == wanted
    assert month_of(wanted.start) == month_of(wanted.end - 0.5) == wanted


@pytest.mark.parametrize("text", ["", "2026", "2026-13", "2026-00", "2026-1", "26-11", "2026-11-01", "nov", "0000-01"])
def test_what_is_no_month(text: str) -> None:
    with pytest.raises(ConfigError, match=r"--month .*as in 2026-11"):
        parse_month(text)


def test_the_mean_is_of_the_last_seven_full_days() -> None:
    days = {NOV + at * DAY: 10 * (at + 1) for at in range(10)}
    now = NOV + 9 * DAY + 3_600
    assert per_day(days, now) == 60
    assert per_day({NOV: 70}, now) == 0, "that was longer ago"
    assert per_day({NOV + 8 * DAY: 70, NOV + 9 * DAY: 5}, now) == 70, "one full day is all there is"
    assert per_day({NOV + 7 * DAY: 70, NOV + 9 * DAY: 5}, now) == 35, "a day without calls counts"
    assert per_day({NOV + 9 * DAY: 5}, now) == 5, "today is all there is"
    assert per_day({}, now) == 0
    assert min(days) >= since(now)


def test_a_forecast_says_when_a_bound_will_be_reached() -> None:
    now = NOV + 10 * DAY
    assert forecast(100, 10, now) == Forecast(300)
    assert forecast(100, 10, now, 301) == Forecast(300)
    assert forecast(100, 10, now, 200) == Forecast(300, now + 10 * DAY)
    assert forecast(100, 10, now, 300) == Forecast(300, DEC)
    assert forecast(100, 0, now, 100) == Forecast(100, now), "it is used up already"
    assert forecast(0, 0, now, 1) == Forecast(0)


@given(st.integers(0, 10**9), st.floats(0, 10**7), st.floats(NOV, DEC - 1), st.integers(1, 10**9))
def test_a_bound_is_reached_in_this_month_or_not_at_all(used: int, daily: float, now: float, bound: int) -> None:
    found = forecast(used, daily, now, bound)
    assert (found.reached is not None) == (found.calls >= bound)
    assert found.reached is None or now <= found.reached <= DEC


def test_calls_in_a_span_are_those_of_its_days() -> None:
    assert calls_in({NOV - DAY: 1, NOV: 2, DEC - DAY: 4, DEC: 8}, month_of(NOV)) == 6


def test_an_outlook_has_our_calls_and_both_bounds() -> None:
    now = NOV + 10 * DAY
    days = {NOV - DAY: 999} | {NOV + at * DAY: 1_000 for at in range(10)}
    month = QuotaWindow("month", 40_000, 15_000, DEC)
    assert outlook(days, now, 20_000, [QuotaWindow("day", 9, 0, DEC), month]) == MonthUsage(
        calls=10_000, forecast=30_000, budget=20_000, budget_at=NOV + 20 * DAY, limit_at=NOV + 25 * DAY
    )
    assert outlook(days, now, None) == MonthUsage(10_000, 30_000)
    assert outlook(days, now, 30_001).budget_at is None
    assert outlook({}, now, 5) == MonthUsage(0, 0, 5)


def test_a_window_that_is_over_says_nothing_of_this_month() -> None:
    assert outlook({NOV: 10**6}, NOV + DAY, None, [QuotaWindow("month", 10, 0, NOV)]).limit_at is None


@given(st.integers(0, 10**9), st.integers(0, 10**6))
def test_what_is_foreseen_is_round_and_not_less_than_what_is_there(used: int, later: int) -> None:
    month = outlook({NOV: used}, NOV + later, 10**8)
    assert month.forecast >= month.calls == used
    assert month.budget_at is None or month.budget_at % HOUR == 0


def test_calls_are_added_up_by_any_of_what_is_known() -> None:
    rows = [
        Counted(NOV, "me", "spot_ohlcv", "tail", "", 5),
        Counted(NOV + DAY, "me", "spot_ohlcv", "gap", "x", 2),
        Counted(NOV + HOUR, "you", "spot_instruments", "listing", "x", 9),
    ]
    assert parts(rows, "data_type") == [("spot_instruments", 9), ("spot_ohlcv", 7)]
    assert parts(rows, "reason") == [("listing", 9), ("tail", 5), ("gap", 2)]
    assert parts(rows, "label") == [("x", 11), ("", 5)]
    assert parts(rows, "day") == [("2026-11-01", 14), ("2026-11-02", 2)]
    assert parts([], "day") == []
    assert not_ours(rows, "me", 10) == 3
    assert not_ours(rows, "me", 3) == 0
    assert all(parts(rows, by) for by in GROUPINGS)
