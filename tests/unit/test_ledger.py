"""An account that several engines share: what each may send, whatever order their reports come in."""

import msgspec
import pytest

from core.ledger import CLAIM_SECONDS, DOUBTED_SECONDS, HELD_SECONDS, Account, Report, Told
from core.limits import Figures

NOW = 1_750_000_000.0
MONTH = 2_678_400


def told(left: int, *, minute: int = 50, resets: int = 30, age: float = 0.0) -> Told:
    """Of 100 calls a minute `minute` are left until it resets in `resets` seconds; of 10,000 a month `left`."""
    return Told({60: Figures(100, minute, resets), MONTH: Figures(10_000, left, 90_000)}, age)


def known(left: int = 9_000, **figures: int) -> Account:
    account = Account()
    account.exchange("one", Report(1, told=[told(left, **figures)]), 0, NOW)
    account.exchange("one", Report(0), 0, NOW)
    return account


def claims(account: Account) -> dict[str, int]:
    return {name: claim.calls for name, claim in account.claims.items() if claim.calls}


def test_while_nothing_is_known_one_call_goes_ahead_for_all() -> None:
    account = Account()
    assert account.exchange("one", Report(0), 32, NOW).calls == 1
    assert account.exchange("two", Report(0), 32, NOW)[:3] == (0, HELD_SECONDS, "")
    assert account.exchange("one", Report(1), 32, NOW).calls == 0
    grant = account.exchange("one", Report(0, told=[told(9_999)]), 32, NOW + 1)
    assert grant.calls == 50 // 4
    assert {limit.name: (limit.limit, limit.remaining, limit.resets_at) for limit in grant.limits} == {
        "minute": (100, 50 - 12, 30),
        "month": (10_000, 9_999 - 12, 90_000),
    }


def test_while_nothing_is_known_those_who_only_wait_hold_nobody_back() -> None:
    account = Account()
    assert account.exchange("one", Report(0), 32, NOW).calls == 1
    assert account.exchange("two", Report(0), 32, NOW + 9).calls == 0
    account.exchange("one", Report(0, unanswered=1), 0, NOW + 9)
    assert account.exchange("one", Report(0), 32, NOW + 18).calls == 0
    assert account.exchange("one", Report(0), 32, NOW + 19.5).calls == 1


def test_who_tells_no_limits_has_none() -> None:
    account = Account()
    account.exchange("one", Report(0), 1, NOW)
    assert account.exchange("one", Report(0, told=[Told({}, 0.1)]), 32, NOW).calls == 32
    assert account.exchange("two", Report(32), 32, NOW).calls == 32
    account.exchange("two", Report(0, told=[told(50)]), 0, NOW)
    assert account.exchange("two", Report(0), 32, NOW).calls < 32


def test_plenty_is_claimed_at_once_and_what_is_tight_one_by_one() -> None:
    account = known(minute=80)
    assert account.exchange("one", Report(0), 32, NOW).calls == 32
    assert account.exchange("two", Report(0), 32, NOW).calls == 48 // 4
    assert account.exchange("three", Report(0), 32, NOW).calls == 36 // 6
    assert claims(account) == {"one": 32, "two": 12, "three": 6}
    tight = known(minute=3)
    grants = [tight.exchange(name, Report(0), 32, NOW) for name in ("one", "two", "three", "four")]
    assert [grant.calls for grant in grants] == [1, 1, 1, 0]
    assert grants[-1][1:3] == (HELD_SECONDS, "")


def test_what_is_given_back_is_free_and_what_was_sent_is_not() -> None:
    account = known(minute=3)
    account.exchange("one", Report(0), 1, NOW)
    account.exchange("two", Report(0), 1, NOW)
    account.exchange("one", Report(0), 0, NOW)
    account.exchange("two", Report(0, unanswered=1), 0, NOW)
    assert [account.exchange(name, Report(0), 1, NOW).calls for name in ("one", "two", "three")] == [1, 1, 0]


def test_a_used_up_limit_is_named_and_the_longest_wait_counts() -> None:
    account = known(minute=0, resets=30)
    assert account.exchange("two", Report(0), 1, NOW + 10)[:3] == (0, 20, "minute")
    account.exchange("two", Report(0, told=[told(0, minute=0)]), 1, NOW + 10)
    assert account.exchange("two", Report(0), 1, NOW + 10)[:3] == (0, 90_000, "month")


def test_a_limit_is_full_again_but_for_what_is_out() -> None:
    account = known(minute=2, resets=30)
    account.exchange("one", Report(2), 0, NOW)
    grant = account.exchange("one", Report(2), 1, NOW + 30)
    assert grant.calls == 1
    assert [limit.remaining for limit in grant.limits if limit.name == "minute"] == [100 - 3]


def test_a_reset_counts_from_when_it_was_heard_and_never_too_early() -> None:
    account = known(minute=0, resets=30, left=9_000)
    account.exchange("two", Report(0, told=[told(8_999, minute=0, resets=30, age=4.0)]), 0, NOW + 10)
    assert account.exchange("two", Report(0), 1, NOW + 10).wait == 26


def test_older_figures_that_come_late_change_nothing() -> None:
    account = known(left=8_000, minute=5)
    account.exchange("two", Report(0, told=[told(8_010, minute=15)]), 0, NOW + 1)
    assert account.exchange("two", Report(0), 1, NOW + 1).limits[0].remaining == 5 - 1
    account.exchange("two", Report(0, told=[told(7_999, minute=4), told(8_003, minute=9)]), 0, NOW + 2)
    assert account.limits[60].remaining == 4


def test_figures_that_look_older_for_long_are_believed() -> None:
    """The account may have been given more in the middle of the month."""
    account = known(left=10, minute=5)
    account.exchange("one", Report(0, told=[told(9_000, minute=90)]), 0, NOW + DOUBTED_SECONDS - 1)
    assert account.limits[MONTH].remaining == 10
    account.exchange("one", Report(0, told=[told(9_000, minute=90)]), 0, NOW + DOUBTED_SECONDS)
    assert account.limits[MONTH].remaining == 9_000


def test_a_new_month_has_more_left_and_is_believed() -> None:
    account = known(left=10)
    account.exchange("one", Report(0, told=[told(9_990, minute=90)]), 0, NOW + 90_000)
    assert account.limits[MONTH].remaining == 9_990


def test_what_a_dead_engine_had_out_counts_until_an_answer_knows_of_it() -> None:
    account = known(minute=3)
    account.exchange("dead", Report(2), 0, NOW)
    assert account.exchange("one", Report(0), 1, NOW + 1).calls == 1
    assert account.exchange("one", Report(1), 1, NOW + CLAIM_SECONDS).calls == 0
    heard = told(8_997, minute=2, resets=10)
    assert account.exchange("one", Report(0, told=[heard]), 1, NOW + CLAIM_SECONDS).calls == 1
    assert account.lost == []


def test_what_was_lost_last_counts_to_the_end_of_its_window() -> None:
    """Nothing is sent after it that could tell, and the vendor may have counted it."""
    account = known(minute=1)
    account.exchange("one", Report(1), 0, NOW)
    assert account.exchange("one", Report(0, unanswered=1), 1, NOW + 1).calls == 0
    assert account.exchange("one", Report(0), 1, NOW + 29).calls == 0
    assert account.exchange("one", Report(0), 32, NOW + 30).calls == 32
    assert [lost.calls for lost in account.lost] == [1], "the month has not told of it"
    account.exchange("one", Report(0, told=[told(8_998)]), 0, NOW + 31)
    assert account.lost == []


def test_a_pause_is_for_everybody_and_the_longest_wins() -> None:
    account = known()
    account.exchange("one", Report(0, pause=30), 0, NOW)
    account.exchange("two", Report(0, pause=5), 0, NOW + 1)
    assert account.exchange("two", Report(0), 32, NOW + 10)[:3] == (0, 20, "vendor")
    assert account.exchange("two", Report(0), 32, NOW + 30).calls > 0


@pytest.mark.parametrize("figures", [{}, {60: Figures(1, 0, 10**14)}, {0: Figures(1, 0, 0)}])
def test_it_survives_being_stored(figures: dict[int, Figures]) -> None:
    account = known()
    account.exchange("two", Report(3, told=[Told(figures, 0.0)] if 0 not in figures else []), 5, NOW)
    assert msgspec.json.decode(msgspec.json.encode(account), type=Account) == account
    assert msgspec.json.decode("{}", type=Account) == Account()
