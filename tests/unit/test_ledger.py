"""An account that several engines share: what each may send, whatever order their reports come in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.ledger import (
    ASK_SECONDS,
    CLAIM_SECONDS,
    DOUBTED_SECONDS,
    HELD_SECONDS,
    MOST_LOST,
    Account,
    Report,
    Told,
    VendorClock,
    decode,
    encode,
    told_of,
)
from core.limits import LONGEST_PAUSE, Figures, exhausted_wait

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
    assert account.exchange("one", Report(0), 32, NOW + 9).calls == 1, "nobody answers: the next one may be tried"
    assert account.exchange("two", Report(0), 32, NOW + 9).calls == 0


def test_who_tells_no_limits_has_none() -> None:
    account = Account()
    account.exchange("one", Report(0), 1, NOW)
    assert account.exchange("one", Report(0, told=[Told({}, 0.1)]), 32, NOW).calls == 32
    assert account.exchange("two", Report(32), 32, NOW).calls == 32
    account.exchange("two", Report(0, told=[told(50)]), 0, NOW)
    assert account.exchange("two", Report(0), 32, NOW).calls < 32


def test_a_refusal_without_limits_says_nothing_of_them() -> None:
    account = Account()
    account.exchange("one", Report(0), 1, NOW)
    assert account.exchange("one", Report(0, told=[Told({}, served=False)]), 32, NOW).calls == 1
    account.exchange("one", Report(0, told=[Told({})]), 0, NOW)
    assert account.exchange("one", Report(0, told=[Told({}, served=False)]), 32, NOW).calls == 32


def test_what_does_not_tell_of_the_longest_limit_takes_no_place_among_the_others() -> None:
    """Else an old answer that comes after it would be taken for the newest."""
    account = known(8_000, minute=20)
    cut_short = Told({60: Figures(1, 0, 7)})
    account.exchange("one", Report(0, told=[cut_short, told(8_030, minute=50)]), 0, NOW)
    assert {limit.seconds: limit.remaining for limit in account.limits.values()} == {60: 20, MONTH: 8_000}
    account.exchange("one", Report(0, told=[cut_short]), 0, NOW + DOUBTED_SECONDS)
    assert [*account.limits] == [60], "the account has no other limit any more"


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


def test_what_was_lost_and_nobody_will_tell_of_is_waited_for_by_name() -> None:
    """A silent wait of up to a month would be no answer to who asks how long it takes."""
    account = known(minute=2, resets=30)
    account.exchange("dead", Report(2), 0, NOW)
    assert account.exchange("one", Report(0), 1, NOW + 1)[:3] == (0, HELD_SECONDS, "")
    assert account.exchange("one", Report(0), 1, NOW + CLAIM_SECONDS)[:3] == (0, 30 - CLAIM_SECONDS, "minute")
    account.exchange("two", Report(1), 0, NOW + CLAIM_SECONDS)
    assert account.exchange("one", Report(0), 1, NOW + CLAIM_SECONDS)[:3] == (0, HELD_SECONDS, ""), "two may tell"


def test_who_is_known_to_have_died_has_nothing_out() -> None:
    account = known(minute=3)
    account.exchange("dead", Report(2), 0, NOW)
    account.exchange("alive", Report(1), 0, NOW)
    account.bury(lambda engine: engine == "dead", NOW + 1)
    account.exchange("alive", Report(1), 0, NOW + 1)
    assert (claims(account), [lost.calls for lost in account.lost]) == ({"alive": 1}, [2])


def test_an_outage_of_hours_is_kept_in_few_parts_and_in_full() -> None:
    account = known(left=9_000, minute=100)
    for at in range(2_000):
        account.exchange("one", Report(0, unanswered=1), 0, NOW + 4 * at)
    assert len(account.lost) == MOST_LOST
    assert sum(lost.calls for lost in account.lost) == 2_000
    [month] = [limit for limit in account.exchange("one", Report(0), 0, NOW + 8_000).limits if limit.name == "month"]
    assert month.remaining == 9_000 - 2_000


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
    assert decode(encode(account)) == account
    assert decode("{}") == Account()


@pytest.mark.parametrize("ahead", [3_600.0, 86_400.0, 30 * 365 * 86_400.0])
def test_what_was_written_while_the_clock_was_ahead_blocks_no_longer_than_it_could_have(ahead: float) -> None:
    account = known(minute=0, resets=30)
    account.exchange("dead", Report(3, unanswered=2, pause=LONGEST_PAUSE), 0, NOW)
    assert account.exchange("one", Report(0), 1, NOW - ahead)[:3] == (0, LONGEST_PAUSE, "vendor")
    later = account.exchange("one", Report(0), 1, NOW - ahead + LONGEST_PAUSE)
    assert later.calls == 1
    assert all(0 < limit.resets_at <= limit.seconds for limit in later.limits)
    account.exchange("one", Report(0, told=[told(8_990)]), 0, NOW - ahead + LONGEST_PAUSE + 1)
    assert (account.lost, account.limits[MONTH].remaining) == ([], 8_990)


def test_limits_that_nobody_knows_are_asked_for_by_one_engine_an_hour() -> None:
    account = Account()
    asks = Report(0, asks=True)
    assert [account.exchange(name, asks, 0, NOW + at).may_ask for at, name in enumerate("abc")] == [True, False, False]
    assert not account.exchange("b", asks, 0, NOW + ASK_SECONDS - 1).may_ask
    assert not account.exchange("b", Report(0), 0, NOW + ASK_SECONDS).may_ask
    assert account.exchange("b", asks, 0, NOW + ASK_SECONDS).may_ask
    assert not known().exchange("one", asks, 0, NOW).may_ask
    assert Account(asked_at=NOW + 9_999).exchange("one", asks, 0, NOW + ASK_SECONDS).may_ask is False


def test_who_only_reads_the_limits_claims_nothing() -> None:
    account = known(minute=3)
    grant = account.exchange("reader", Report(out=0), 0, NOW)
    assert [(limit.name, limit.remaining) for limit in grant.limits] == [("minute", 3), ("month", 9_000)]
    assert claims(account) == {}


@pytest.mark.parametrize(
    "state", ["", "nonsense", "[]", '{"limits": 5}', '{"limits":{"0":{"seconds":0}}}', b"\xff\x00"]
)
def test_what_nobody_has_written_is_learned_anew(state: bytes | str) -> None:
    assert decode(state) == Account()


def test_a_window_of_no_seconds_is_learned_anew() -> None:
    account = known()
    account.limits[60].seconds = 0
    assert decode(encode(account)) == Account()


# --- windows end by the vendor's clock


def dated(date: float, left: int, *, minute: int, age: float = 0.0) -> Told:
    """An answer that was given at `date` of the vendor's clock."""
    return told(left, minute=minute, resets=60 - int(date) % 60, age=age)._replace(date=date)


def test_a_window_ends_when_the_vendors_clock_says_so_for_sure() -> None:
    """The second answer proves that the clock is 7.4 s ahead at least; the header alone would say 0.9 s later."""
    account, began = Account(), NOW - NOW % 60
    account.exchange("one", Report(0, told=[dated(began + 7, 9_000, minute=10)]), 0, began + 0.5)
    account.exchange("one", Report(0, told=[dated(began + 58, 8_990, minute=0)]), 0, began + 50.6)
    assert account.exchange("one", Report(0), 1, began + 52.5).calls == 0
    assert account.exchange("one", Report(0), 1, began + 52.61).calls == 1
    undated = Account()
    undated.exchange("one", Report(0, told=[told(8_990, minute=0, resets=2)]), 0, began + 50.6)
    assert undated.exchange("one", Report(0), 1, began + 52.59).calls == 0


def test_what_proves_most_of_the_vendors_clock_counts_for_two_minutes() -> None:
    clock = VendorClock()
    assert clock.ahead(NOW + 3, NOW + 0.9) == pytest.approx(2.1)
    assert clock.ahead(NOW + 4, NOW + 1.2) == pytest.approx(2.8)
    assert clock.ahead(NOW + 5, NOW + 3.9) == pytest.approx(2.8), "its way was long, or its second nearly over"
    ahead = {later: clock.ahead(NOW + later, NOW + later) for later in range(10, 200, 10)}
    assert ahead[60] == pytest.approx(2.8)
    assert {ahead[later] for later in range(140, 200, 10)} == {0.0}, "it was set back"


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
    account, now = Account(), NOW
    for limit in ("", remaining):
        given = headers(remaining, reset, limit)
        account.exchange("one", Report(0, told=[told_of(given)]), 0, now)
        assert exhausted_wait(given) >= 0
    grant = account.exchange("one", Report(0), 1, now)
    if not grant.calls:
        grant = account.exchange("one", Report(0), 1, now + grant.wait)
    assert grant.calls == 1, "when the window is over, one call may go"


def headers(remaining: str, reset: str, limit: str) -> dict[str, str]:
    return {"X-RateLimit-Limit": limit, "X-RateLimit-Remaining-All": remaining, "X-RateLimit-Reset-All": reset}


@given(
    st.lists(st.tuples(st.sampled_from(["take", "back", "lose", "observe"]), st.floats(0, 40)), max_size=60),
    st.integers(1, 6),
    st.booleans(),
)
def test_who_asks_the_account_never_sends_more_than_the_limit(
    steps: list[tuple[str, float]], cap: int, is_dated: bool
) -> None:
    """Against a server of our own that counts fixed windows: what it admits is what it grants."""
    account, now, used, window, out, lost, months = Account(), NOW, 0, NOW // 60, 0, 0, 10**6

    def answer() -> Told:
        found = {60: Figures(cap, max(0, cap - used), 60 - int(now) % 60), MONTH: Figures(10**6, months, 90_000)}
        return Told(found, 0.0, float(int(now)) if is_dated else None)

    account.exchange("one", Report(0, told=[answer()]), 0, now)
    for action, seconds in steps:
        now += seconds
        used, window = (0, now // 60) if now // 60 != window else (used, window)
        if action == "take" and account.exchange("one", Report(out, lost), 1, now).calls:
            used, out, lost, months = used + 1, out + 1, 0, months - 1
            assert used <= cap
        elif action == "back" and out:
            out -= 1
            account.exchange("one", Report(out, lost, [answer()]), 0, now)
            lost = 0
        elif action == "lose" and out:
            out, lost = out - 1, lost + 1
