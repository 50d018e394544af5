"""What we leave to others: of every limit, of the month, and of every second."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.ledger import Account, Report, Told
from core.limits import Figures, Limit, Quota
from core.manners import DAY, Manners, Pace

NOW = 1_750_000_000.0
MONTH = 31 * DAY


@pytest.mark.parametrize(
    ("manners", "seconds", "limit", "kept"),
    [
        (Manners(), MONTH, 100, 0),
        (Manners(share=0.25), 60, 100, 75),
        (Manners(share=0.001), 1, 20, 19),
        (Manners(share=0.5), 1, 1, 0),
        (Manners(reserve_month=40), MONTH, 100, 40),
        (Manners(reserve_month=40), 30 * DAY, 100, 40),
        (Manners(reserve_month=40), DAY, 100, 0),
        (Manners(share=0.9, reserve_month=40), MONTH, 100, 40),
        (Manners(share=0.5, reserve_month=40), MONTH, 100, 50),
        (Manners(reserve_month=500), MONTH, 100, 500),
    ],
)
def test_what_is_kept_for_others(manners: Manners, seconds: int, limit: int, kept: int) -> None:
    assert manners.kept(seconds, limit) == kept


@given(st.floats(0, 1, exclude_min=True), st.integers(1, 10**9))
def test_a_share_lets_at_least_one_call_through_and_never_more_than_it_says(share: float, limit: int) -> None:
    ours = limit - Manners(share=share).kept(60, limit)
    assert 1 <= ours <= max(1, limit * share)


def test_a_window_is_called_by_what_holds_it() -> None:
    manners = Manners(share=0.5, reserve_month=60)
    assert manners.name("day", DAY, 100, 0) == "day"
    assert manners.name("day", DAY, 100, 50) == "day (quota.share)"
    assert manners.name("month", MONTH, 100, 60) == "month (quota.reserve_month)"


def test_a_pace_is_so_many_calls_in_each_second() -> None:
    pace = Pace()
    assert [pace.grant(32, 2, NOW + at) for at in (0.0, 0.1, 0.5, 0.9)] == [1, 1, 0, 0]
    assert pace.waits(2, NOW + 0.75) == [(0.25, "second (quota.max_per_second)")]
    assert pace.waits(3, NOW + 0.75) == []
    assert pace.waits(2, NOW + 1) == []
    assert pace.grant(0, 2, NOW + 1) == 0
    assert pace.grant(32, 2, NOW + 1) == 1
    assert pace.grant(32, None, NOW + 1) == 32


def account(left: int, *, resets: int = 30) -> Account:
    """With 100 calls a minute, of which so many are left."""
    found = Account()
    found.exchange("one", Report(0, told=[Told({60: Figures(100, left, resets)})]), 0, NOW)
    return found


def test_an_account_gives_no_more_than_our_part() -> None:
    shared = Report(0, manners=Manners(share=0.2))
    grant = account(80).exchange("one", shared, 32, NOW)
    assert (grant.calls, grant.wait, grant.window) == (0, 30, "minute (quota.share)")
    assert account(81).exchange("one", shared, 32, NOW).calls == 1
    assert [limit.remaining for limit in grant.limits] == [80], "what is left is told as the vendor has it"
    assert account(0).exchange("one", shared, 32, NOW).window == "minute"


def test_two_engines_with_other_manners_share_an_account() -> None:
    both = account(50)
    assert both.exchange("polite", Report(0, manners=Manners(share=0.5)), 32, NOW).calls == 0
    assert both.exchange("other", Report(0), 32, NOW).calls > 0


def test_an_account_keeps_the_pace_for_all_of_its_engines() -> None:
    paced, found = Report(0, manners=Manners(max_per_second=3)), account(100)
    granted = [found.exchange(name, paced, 32, NOW).calls for name in "abcde"]
    assert granted == [1, 1, 1, 0, 0]
    assert found.exchange("a", paced, 32, NOW).window == "second (quota.max_per_second)"
    again = msgspec.json.decode(msgspec.json.encode(found), type=Account)
    assert again.exchange("e", paced, 32, NOW + 0.5).calls == 0
    assert again.exchange("e", paced, 32, NOW + 1).calls == 1


def test_what_is_ours_is_shown_as_if_there_were_no_more() -> None:
    quota = Quota(Manners(share=0.5, reserve_month=10**6))
    quota.limits = {60: Limit(60, 100, 80, NOW), MONTH: Limit(MONTH, 1_000, 900, NOW)}
    assert [(limit.limit, limit.remaining) for limit in quota.ours()] == [(50, 30), (1, 900 - 10**6)]
    assert [(limit.limit, limit.remaining) for limit in Quota().ours()] == []
