"""Plans: what is missing, in which order, and what it costs. Time is a parameter, so is everything else."""

import itertools
import tracemalloc
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.coverage import Covered, Gap, SeriesState
from core.datasets import SETTLE_SECONDS, SPOT_OHLCV, SeriesKey, closed_until, page_seconds
from core.planner import EARLIEST_BAR, Fetch, Plan, Policy, Wanted, plan_repair, plan_series, round_robin, tail
from core.windows import DAY, GRAINS, HOUR, MINUTE, Window, intersect, merge, subtract

GROUPS = SPOT_OHLCV.default_groups
POLICY = Policy(GROUPS)
# 2025-06-15 12:34:56 UTC
NOW = 1_749_990_896
TODAY = 1_749_945_600
D = 86_400


def key(interval: str = "1d", instrument: str = "BTC-USD") -> SeriesKey:
    return SeriesKey("spot_ohlcv", "kraken", instrument, interval)


def wanted(interval: str = "1d", **given_fields) -> Wanted:
    return Wanted(key(interval), **given_fields)


def state(interval: str = "1d", **given_fields) -> SeriesState:
    return SeriesState(1, key(interval), **given_fields)


def covered(start: int, end: int, groups: tuple[str, ...] = GROUPS) -> Covered:
    return Covered(frozenset(groups), Window(start, end))


def test_a_bar_is_closed_after_its_end_and_the_settle_delay() -> None:
    assert closed_until(TODAY + 304, DAY) == TODAY - D
    assert closed_until(TODAY + 305, DAY) == TODAY
    assert closed_until(600 + 64, MINUTE) == 540
    assert closed_until(600 + 65, MINUTE) == 600
    # The delay outlasts the vendor's own answer cache.
    assert SETTLE_SECONDS[MINUTE] > 60
    assert SETTLE_SECONDS[HOUR] > 300
    assert SETTLE_SECONDS[DAY] > 300


def test_a_fresh_series_is_asked_for_from_its_listing_to_the_running_bar() -> None:
    plan = plan_series(wanted(listed=TODAY - 10 * D + 5), state(), POLICY, NOW)
    assert plan.span == Window(TODAY - 10 * D, TODAY + D)
    assert plan.runs == (plan.span,)
    assert list(plan.fetches()) == [Fetch(state(), plan.span, "backfill")]
    assert (plan.requests, plan.rows) == (1, 11)


def test_a_long_history_is_cut_into_full_pages_from_the_newest_end() -> None:
    start = TODAY - 6_000 * D
    plan = plan_series(wanted(start=start), state(), POLICY, NOW)
    newest, oldest = plan.fetches()
    assert newest.window == Window(TODAY + D - 5_000 * D, TODAY + D)
    assert oldest.window == Window(start, TODAY + D - 5_000 * D)
    assert plan.requests == 2


def test_a_rerun_asks_for_the_tail_only() -> None:
    known = state(history_start=TODAY - 100 * D, covered=(covered(TODAY - 100 * D, TODAY),))
    plan = plan_series(wanted(), known, POLICY, NOW)
    assert plan.runs == (Window(TODAY - 3 * D, TODAY + D),)
    assert [fetch.reason for fetch in plan.fetches()] == ["tail"]


def test_without_a_recheck_a_rerun_asks_for_running_bars_only() -> None:
    known = state(history_start=TODAY - 100 * D, covered=(covered(TODAY - 100 * D, TODAY),))
    plan = plan_series(wanted(), known, replace(POLICY, recheck=0), NOW)
    assert plan.runs == (Window(TODAY, TODAY + D),)


def test_young_bars_are_read_again_whatever_the_count_says() -> None:
    """Everything that closed within two hours belongs to the tail: 120 minutes, not 3."""
    span = Window(NOW - D, NOW)
    assert tail(span, MINUTE, 3, NOW) == Window(MINUTE.floor(NOW - 7_200), NOW)
    assert tail(span, MINUTE, 500, NOW) == Window(MINUTE.floor(NOW - 65) - 500 * 60, NOW)


def test_a_tail_that_touches_missing_work_is_one_run() -> None:
    known = state(history_start=TODAY - 100 * D, covered=(covered(TODAY - 100 * D, TODAY - 10 * D),))
    plan = plan_series(wanted(), known, POLICY, NOW)
    assert plan.runs == (Window(TODAY - 10 * D, TODAY + D),)
    assert [fetch.reason for fetch in plan.fetches()] == ["backfill"]


def test_holes_in_the_middle_are_runs_of_their_own_newest_first() -> None:
    known = state(
        history_start=TODAY - 100 * D,
        covered=(covered(TODAY - 100 * D, TODAY - 60 * D), covered(TODAY - 50 * D, TODAY - 20 * D)),
    )
    plan = plan_series(wanted(), known, POLICY, NOW)
    assert plan.runs == (Window(TODAY - 20 * D, TODAY + D), Window(TODAY - 60 * D, TODAY - 50 * D))


def test_wider_groups_make_all_of_it_missing_and_narrower_ones_nothing() -> None:
    known = state(history_start=TODAY - 100 * D, covered=(covered(TODAY - 100 * D, TODAY, ("ID", "MAPPING", "OHLC")),))
    wide = plan_series(wanted(), known, POLICY, NOW)
    assert wide.runs == (Window(TODAY - 100 * D, TODAY + D),)
    narrow = plan_series(wanted(), known, Policy(("ID", "MAPPING", "OHLC")), NOW)
    assert narrow.runs == (Window(TODAY - 3 * D, TODAY + D),)


def test_gaps_that_are_due_are_asked_again() -> None:
    gaps = (
        Gap(Window(TODAY - 90 * D, TODAY - 89 * D), "absent", next_check=NOW),
        Gap(Window(TODAY - 80 * D, TODAY - 78 * D), "absent", next_check=NOW + 1),
        Gap(Window(TODAY - 200 * D, TODAY - 199 * D), "absent", next_check=0),
    )
    known = state(history_start=TODAY - 100 * D, covered=(covered(TODAY - 100 * D, TODAY),), gaps=gaps)
    plan = plan_series(wanted(), known, POLICY, NOW)
    assert [(fetch.window, fetch.reason) for fetch in plan.fetches()] == [
        (Window(TODAY - 3 * D, TODAY + D), "tail"),
        (Window(TODAY - 90 * D, TODAY - 89 * D), "gap"),
    ]


def test_oldest_first_reverses_runs_and_pages() -> None:
    known = state("1h", covered=(covered(NOW - 9_000 * 3_600, NOW - 4_000 * 3_600),))
    ask = wanted("1h", start=NOW - 10_000 * 3_600)
    newest = plan_series(ask, known, POLICY, NOW)
    oldest = plan_series(ask, known, replace(POLICY, newest_first=False), NOW)
    assert newest.requests == oldest.requests > 2
    assert [fetch.window for fetch in oldest.fetches()] == [fetch.window for fetch in newest.fetches()][::-1]


def test_an_unknown_start_is_as_old_as_the_oldest_market() -> None:
    plan = plan_series(wanted(), state(), POLICY, NOW)
    assert plan.span.start == EARLIEST_BAR
    assert EARLIEST_BAR % D == 0


@pytest.mark.parametrize(
    ("start", "listed", "settled", "expected"),
    [
        (None, TODAY - 9 * D, None, TODAY - 9 * D),
        (None, TODAY - 9 * D, TODAY - 7 * D, TODAY - 7 * D),
        (TODAY - 5 * D, TODAY - 9 * D, None, TODAY - 5 * D),
        (TODAY - 20 * D, TODAY - 9 * D, None, TODAY - 9 * D),
        (TODAY - 20 * D, None, TODAY - 7 * D, TODAY - 7 * D),
        (TODAY - 5 * D + 7, None, None, TODAY - 5 * D),
    ],
)
def test_the_span_starts_where_there_is_something(start, listed, settled, expected) -> None:
    plan = plan_series(wanted(start=start, listed=listed), state(history_start=settled), POLICY, NOW)
    assert plan.span.start == expected


def test_an_end_in_the_past_is_exclusive_and_has_no_tail() -> None:
    plan = plan_series(wanted(start=TODAY - 9 * D, end=TODAY - 5 * D), state(), POLICY, NOW)
    assert plan.span == Window(TODAY - 9 * D, TODAY - 5 * D)
    assert plan.runs == (plan.span,)
    done = state(covered=(covered(TODAY - 9 * D, TODAY - 5 * D),))
    assert plan_series(wanted(start=TODAY - 9 * D, end=TODAY - 5 * D), done, POLICY, NOW).requests == 0


def test_an_end_inside_a_bar_takes_that_bar() -> None:
    plan = plan_series(wanted(start=TODAY - 9 * D, end=TODAY - 5 * D + 1), state(), POLICY, NOW)
    assert plan.span.end == TODAY - 4 * D


def test_an_end_in_the_future_stops_at_the_running_bar() -> None:
    plan = plan_series(wanted(start=TODAY - 2 * D, end=TODAY + 90 * D), state(), POLICY, NOW)
    assert plan.span.end == TODAY + D


def test_a_delisted_series_ends_with_its_last_trade() -> None:
    plan = plan_series(wanted(listed=TODAY - 90 * D, last=TODAY - 50 * D + 77), state(), POLICY, NOW)
    assert plan.span == Window(TODAY - 90 * D, TODAY - 49 * D)


@pytest.mark.parametrize(("start", "end"), [(NOW + 5 * D, None), (TODAY, TODAY), (TODAY, TODAY - 5 * D)])
def test_a_span_that_does_not_exist_needs_nothing(start: int, end: int | None) -> None:
    plan = plan_series(wanted(start=start, end=end), state(), POLICY, NOW)
    assert (plan.span.seconds, plan.requests, list(plan.fetches())) == (0, 0, [])


def test_a_full_refresh_asks_for_everything_whatever_is_covered() -> None:
    known = state(history_start=TODAY - 100 * D, covered=(covered(TODAY - 100 * D, TODAY),))
    plan = plan_series(wanted(), known, replace(POLICY, full_refresh=True), NOW)
    assert plan.runs == (Window(TODAY - 100 * D, TODAY + D),)


def test_a_million_windows_cost_no_memory() -> None:
    ask = wanted("1m", start=0, end=NOW)
    tracemalloc.start()
    plan = Plan(tuple(plan_series(ask, state("1m"), POLICY, NOW) for _ in range(100)))
    assert plan.requests == 100 * 14_584 > 1_000_000
    assert sum(1 for _ in itertools.islice(plan.fetches(), 1_000)) == 1_000
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000


def test_series_take_turns() -> None:
    names = ("A-USD", "B-USD", "C-USD")
    starts = {"A-USD": NOW - 5_000 * 3_600, "B-USD": NOW - 100 * 3_600, "C-USD": NOW - 3_000 * 3_600}
    parts = tuple(
        plan_series(Wanted(key("1h", name), start=starts[name]), SeriesState(1, key("1h", name)), POLICY, NOW)
        for name in names
    )
    order = [fetch.series.key.instrument[0] for fetch in Plan(parts).fetches()]
    assert order == ["A", "B", "C", "A", "C", "A"]


def test_round_robin_of_nothing() -> None:
    assert list(round_robin([])) == []
    assert list(round_robin([iter(()), iter(())])) == []


def test_a_plan_counts_by_reason() -> None:
    known = state(history_start=TODAY - 100 * D, covered=(covered(TODAY - 100 * D, TODAY),))
    plan = Plan((plan_series(wanted(), known, POLICY, NOW), plan_series(wanted(start=TODAY), state(), POLICY, NOW)))
    assert plan.reasons() == {"tail": 2}
    assert plan.requests == 2
    assert plan.rows == 5


@st.composite
def situations(draw):
    """A series in any state, wanted in any way, at any time."""
    interval = draw(st.sampled_from(list(GRAINS)))
    grain = GRAINS[interval]
    now = draw(st.integers(NOW, NOW + 2 * D))
    base = grain.floor(now) - 9_000 * grain.seconds

    def window(longest: int = 4_000) -> Window:
        start = base + draw(st.integers(0, 8_990)) * grain.seconds
        return Window(start, start + draw(st.integers(1, longest)) * grain.seconds)

    spans = [window() for _ in range(draw(st.integers(0, 3)))]
    choices = st.sampled_from([GROUPS, ("ID", "MAPPING", "OHLC"), ("ID", "MAPPING", "VOLUME")])
    holes = merge(window(30) for _ in range(draw(st.integers(0, 3))))
    known = SeriesState(
        1,
        key(interval),
        history_start=draw(st.one_of(st.none(), st.just(base + 50 * grain.seconds))),
        covered=tuple(Covered(frozenset(draw(choices)), span) for span in spans),
        gaps=tuple(Gap(hole, "absent", next_check=draw(st.sampled_from([now, now + 1]))) for hole in holes),
    )
    ask = Wanted(
        key(interval),
        start=draw(st.one_of(st.just(base), st.integers(base, now))),
        end=draw(st.one_of(st.none(), st.integers(base, now + 10 * grain.seconds))),
    )
    policy = Policy(
        draw(choices),
        draw(st.sampled_from([0, 1, 3, 1_000])),
        draw(st.booleans()),
        draw(st.sampled_from([False] * 3 + [True])),
    )
    return ask, known, policy, now


@pytest.mark.slow
@given(situations())
def test_laws_of_every_plan(situation) -> None:
    ask, known, policy, now = situation
    grain = GRAINS[ask.key.interval]
    plan = plan_series(ask, known, policy, now)
    windows = [fetch.window for fetch in plan.fetches()]
    assert plan.requests == len(windows)
    assert plan.rows == sum(grain.bars(window) for window in windows)
    assert sum(window.seconds for window in windows) == sum(window.seconds for window in merge(windows)), "overlap"
    for window in windows:
        assert window.start % grain.seconds == window.end % grain.seconds == 0
        assert 0 < window.seconds <= page_seconds(grain)
    assert subtract(windows, [plan.span]) == []
    assert windows == sorted(windows, reverse=policy.newest_first)
    # Whatever is closed and not covered is asked for.
    past = intersect([plan.span], [Window(-(2**40), closed_until(now, grain))])
    for group in policy.groups:
        asked = [entry.window for entry in known.covered if group in entry.groups]
        assert subtract(subtract(past, asked), windows) == []
    # So is every gap that is due, and nothing but these and the tail.
    due = intersect([gap.window for gap in known.gaps if gap.next_check <= now], [plan.span])
    assert subtract(due, windows) == []
    rest = subtract(windows, [*due, tail(plan.span, grain, policy.recheck, now)])
    covering = [[entry.window for entry in known.covered if group in entry.groups] for group in policy.groups]
    if not policy.full_refresh:
        everywhere = rest
        for spans in covering:
            everywhere = intersect(everywhere, spans)
        assert everywhere == []


@given(situations())
def test_a_plan_that_was_carried_out_leaves_nothing_but_the_tail(situation) -> None:
    ask, known, policy, now = situation
    grain = GRAINS[ask.key.interval]
    plan = plan_series(ask, known, policy, now)
    closed = closed_until(now, grain)
    answered = [Covered(frozenset(policy.groups), Window(w.start, min(w.end, closed))) for w in
                (fetch.window for fetch in plan.fetches()) if w.start < closed]  # fmt: skip
    done = replace(known, covered=(*known.covered, *answered), gaps=())
    again = plan_series(ask, done, replace(policy, full_refresh=False), now)
    tail_span = tail(plan.span, grain, policy.recheck, now)
    assert subtract([fetch.window for fetch in again.fetches()], [tail_span]) == []


# --- what was read too young, the daily page, the rolling audit, the dead


def test_bars_that_were_read_too_young_are_read_again_wherever_they_lie() -> None:
    young = Window(NOW // 60 * 60 - 40_000, NOW // 60 * 60 - 39_000)
    known = state("1m", history_start=0, covered=(covered(0, closed_until(NOW, MINUTE)),), unsettled=(young,))
    plan = plan_series(wanted("1m", start=0), known, POLICY, NOW)
    assert young in plan.runs
    assert [fetch.reason for fetch in plan.fetches()] == ["tail", "recheck"]


def test_after_an_outage_the_bars_before_it_are_read_again_in_the_same_calls() -> None:
    """The last run read bars that the vendor could still change; what is missing since then touches them."""
    last_run = NOW // 60 * 60 - 36_000
    young = Window(last_run - 7_200, last_run)
    known = state("1m", history_start=0, covered=(covered(0, last_run),), unsettled=(young,))
    plan = plan_series(wanted("1m", start=0), known, POLICY, NOW)
    assert plan.runs == (Window(young.start, NOW // 60 * 60 + 60),)
    assert plan.requests == 1


@pytest.mark.parametrize("interval", ["1m", "1h", "1d"])
def test_once_a_day_the_tail_is_a_full_page_for_the_same_call(interval: str) -> None:
    grain = GRAINS[interval]
    known = state(interval, history_start=0, covered=(covered(0, closed_until(NOW, grain)),))
    for checked, bars in ((NOW - 86_399, None), (NOW - 86_400, page_seconds(grain) // grain.seconds), (None, None)):
        plan = plan_series(wanted(interval, start=0), replace(known, page_checked=checked), POLICY, NOW)
        assert plan.requests == 1
        assert plan.rows == (bars or grain.bars(tail(plan.span, grain, 3, NOW)))


def test_a_page_is_read_of_what_exists_only() -> None:
    start = TODAY - 40 * D
    known = state(history_start=start, covered=(covered(start, TODAY),), page_checked=0)
    assert plan_series(wanted(), known, POLICY, NOW).runs == (Window(start, TODAY + D),)


def test_the_audit_walks_over_all_of_the_history_and_begins_again() -> None:
    """Sixty days of minutes are 44 pages: in forty daily runs of a 20-day audit each is read twice."""
    policy = replace(POLICY, audit_days=20)
    end = TODAY // 60 * 60
    known = state("1m", history_start=end - 60 * D, covered=(covered(end - 60 * D, end),), audited_at=end - D)
    read: list[Window] = []
    for day in range(40):
        now = end + 300 + day * D
        known = replace(known, covered=(covered(end - 60 * D, closed_until(now, MINUTE)),), page_checked=now)
        [*audits] = plan_series(wanted("1m", start=0), known, policy, now).audits
        assert sum(window.seconds for window in audits) <= 4 * page_seconds(MINUTE)
        read += audits
        if audits:
            known = replace(known, audited_at=now, audit_from=max(window.end for window in audits))
    first = Window(end - 60 * D, end)
    assert subtract([first], read) == []
    assert sum(window.seconds for window in read) >= 1.5 * first.seconds


def test_an_audit_begins_with_one_page_whatever_there_is() -> None:
    known = state("1m", history_start=0, covered=(covered(TODAY - 60 * D, TODAY),), page_checked=NOW)
    [page] = plan_series(wanted("1m", start=TODAY - 60 * D), known, replace(POLICY, audit_days=20), NOW).audits
    assert page.seconds == page_seconds(MINUTE)


def test_no_audit_unless_asked_for_and_none_of_what_was_never_read() -> None:
    known = state("1m", history_start=0, covered=(covered(NOW - D, NOW - 300),))
    assert plan_series(wanted("1m", start=0), known, POLICY, NOW).audits == ()
    audits = plan_series(wanted("1m", start=NOW - 9 * D), known, replace(POLICY, audit_days=1), NOW).audits
    assert subtract(audits, [Window(NOW - D, NOW - 300)]) == []


def test_a_dead_series_is_swept_once_then_costs_nothing() -> None:
    last = TODAY - 9 * D
    ask = wanted(listed=TODAY - 90 * D, last=last + 7, is_dead=True)
    sweep = plan_series(ask, state(covered=(covered(TODAY - 90 * D, last - 5 * D),)), POLICY, NOW)
    assert sweep.runs == (Window(last - 5 * D, last + D),)
    gap = Gap(Window(TODAY - 60 * D, TODAY - 59 * D), "absent", 1, 0, 0, 0)
    swept = state(covered=(covered(TODAY - 90 * D, last + D),), gaps=(gap,))
    assert plan_series(ask, swept, replace(POLICY, audit_days=1), NOW).runs == ()
    young = replace(swept, unsettled=(Window(last, last + D),))
    assert Window(last, last + D) in plan_series(ask, young, POLICY, NOW).runs


def test_a_dead_series_waits_for_its_last_bar_to_close() -> None:
    ask = wanted(listed=TODAY - 90 * D, last=TODAY + 7, is_dead=True)
    stored = state(covered=(covered(TODAY - 90 * D, TODAY - D),), unsettled=(Window(TODAY - 2 * D, TODAY - D),))
    assert plan_series(ask, stored, POLICY, NOW).runs == ()
    assert plan_series(ask, stored, POLICY, NOW + D).runs == (Window(TODAY - 2 * D, TODAY + D),)
    assert plan_series(ask, stored, replace(POLICY, full_refresh=True), NOW).runs != ()
    assert plan_series(ask, state(), POLICY, NOW).runs != ()


def test_what_was_pruned_is_not_bought_again() -> None:
    known = state(history_start=TODAY - 900 * D, pruned_before=TODAY - 30 * D + 1)
    plan = plan_series(wanted(start=TODAY - 900 * D), known, POLICY, NOW)
    assert plan.span.start == TODAY - 29 * D


# --- a repair asks for what is broken and for nothing else


def test_a_repair_asks_for_each_gap_with_its_neighbours_in_as_few_calls_as_hold_them() -> None:
    """Due or not; no tail, no backfill, however much is missing."""
    hour = 3_600
    at = NOW - NOW % hour - 5_000 * hour
    gaps = [
        Window(at, at + hour),
        Window(at + 100 * hour, at + 103 * hour),
        Window(at + 3_000 * hour, at + 3_001 * hour),
    ]
    known = state("1h", covered=(covered(at - 10 * hour, NOW, ("ID", "MAPPING", "OHLC", "VOLUME")),))
    plan = plan_repair(known, gaps, [], NOW)
    assert [(fetch.window, fetch.reason) for fetch in plan.fetches()] == [
        (Window(at + 2_999 * hour, at + 3_002 * hour), "gap"),
        (Window(at - hour, at + 104 * hour), "gap"),
    ]
    assert plan.requests == 2
    assert plan.groups == ("ID", "MAPPING", "OHLC", "VOLUME")


def test_a_repair_reads_failed_windows_too_but_nothing_pruned_or_before_the_history() -> None:
    known = state(history_start=TODAY - 100 * D, pruned_before=TODAY - 50 * D)
    failed = [Window(TODAY - 200 * D, TODAY - 40 * D), Window(TODAY - 10 * D, TODAY + D)]
    plan = plan_repair(known, [Window(TODAY - 60 * D, TODAY - 59 * D)], failed, NOW)
    assert [(fetch.window, fetch.reason) for fetch in plan.fetches()] == [
        (Window(TODAY - 50 * D, TODAY + D), "backfill")
    ]
    assert plan.groups is None
    assert plan_repair(known, [], [], NOW).runs == ()


@given(st.lists(st.tuples(st.integers(0, 30_000), st.integers(1, 4_000)), max_size=15))
def test_every_gap_is_in_a_page_of_a_repair(places: list[tuple[int, int]]) -> None:
    start = TODAY - 40_000 * 60
    gaps = [Window(start + at * 60, min(start + (at + bars) * 60, TODAY)) for at, bars in places]
    plan = plan_repair(state("1m"), gaps, [], NOW)
    asked = [fetch.window for fetch in plan.fetches()]
    assert subtract(gaps, asked) == []
    assert len(asked) == plan.requests
    assert all(0 < window.seconds <= page_seconds(MINUTE) for window in asked)
    assert sum(window.seconds for window in asked) == sum(window.seconds for window in merge(asked))
