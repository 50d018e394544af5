"""What plans cost: by arithmetic, in flat memory, and what is known of a series once they have run."""

import tracemalloc
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.coverage import Covered, Gap, SeriesState
from core.datasets import DATASETS, FUTURES_OPEN_INTEREST, SPOT_OHLCV, SeriesKey
from core.engine.budget import is_too_much
from core.engine.quote import afterwards, cost_of, minutes, plan_cost, row_bytes
from core.limits import Limit
from core.operations import make_operation
from core.planner import ListPlan, Plan, Policy, SeriesPlan, Wanted, plan_series
from core.windows import GRAINS, HOUR, Window

# 2025-06-15 12:34:56 UTC
NOW = 1_749_990_896
FIVE_YEARS = NOW - 5 * 365 * 86_400
SPOT = make_operation({"data_type": "spot_ohlcv"})
GROUPS = SPOT_OHLCV.default_groups
POLICY = Policy(GROUPS)


def planned(interval: str = "1d", name: str = "BTC-USD", state: SeriesState | None = None, **wanted: int) -> SeriesPlan:
    key = SeriesKey("spot_ohlcv", "kraken", name, interval)
    return plan_series(Wanted(key, **wanted), state or SeriesState(1, key), POLICY, NOW)


def big() -> Plan:
    parts = [planned(interval, f"A{at}-USD", start=FIVE_YEARS) for at in range(750) for interval in GRAINS]
    return Plan(tuple(parts))


@pytest.mark.slow
def test_a_plan_of_a_million_windows_is_priced_without_walking_it() -> None:
    tracemalloc.start()
    plan = big()
    before = tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    cost = plan_cost(SPOT, plan)
    reasons = plan.reasons()
    peak = tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()
    assert cost.requests == plan.windows == sum(reasons.values()) == 1_003_500
    assert cost.rows > 1_900_000_000
    assert set(reasons) == {"backfill"}
    assert before < 5_000_000, "2250 series are kept, not their windows"
    assert peak < 500_000


@pytest.mark.slow
def test_a_million_windows_are_handed_out_one_by_one() -> None:
    plan = big()
    fetches = plan.fetches()
    tracemalloc.start()
    for _ in range(20_000):
        next(fetches)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4_000_000, "one generator a series"


spans = st.lists(st.tuples(st.integers(0, 9_000), st.integers(1, 3_000)), max_size=4)


@given(spans, spans, spans, spans, st.booleans())
def test_reasons_are_those_of_the_calls(
    backfill: list[tuple[int, int]], gaps: list[tuple[int, int]], audits: list[tuple[int, int]],
    rechecks: list[tuple[int, int]], newest_first: bool,
) -> None:  # fmt: skip
    def windows(found: list[tuple[int, int]]) -> tuple[Window, ...]:
        return tuple(Window(at * 3_600, (at + size) * 3_600) for at, size in found)

    state = SeriesState(1, SeriesKey("spot_ohlcv", "kraken", "BTC-USD", "1h"))
    runs = (Window(7_000 * 3_600, 12_000 * 3_600), Window(100 * 3_600, 4_321 * 3_600))
    plan = SeriesPlan(
        state,
        Window(0, 12_000 * 3_600),
        runs,
        backfill=windows(backfill),
        gaps=windows(gaps),
        newest_first=newest_first,
        rechecks=windows(rechecks),
        audits=windows(audits),
    )
    assert plan.reasons() == Counter(fetch.reason for fetch in plan.fetches())


@pytest.mark.parametrize("dataset", DATASETS.values(), ids=lambda dataset: dataset.name)
def test_rows_with_more_columns_are_larger(dataset) -> None:
    few = row_bytes(dataset, ("OHLC",))
    usual = row_bytes(dataset, dataset.default_groups)
    every = row_bytes(dataset, dataset.groups)
    assert 0 < few.wire <= usual.wire < every.wire
    assert 0 < few.disk <= usual.disk < every.disk


def test_the_figures_of_one_series() -> None:
    operation = make_operation({"data_type": "futures_open_interest", "groups": "ALL"})
    key = SeriesKey("futures_open_interest", "binance", "BTC", "1h")
    state = SeriesState(1, key, covered=(Covered(frozenset(FUTURES_OPEN_INTEREST.groups), Window(0, 100 * 3_600)),))
    part = SeriesPlan(state, Window(0, 3_000 * 3_600), (Window(0, 3_000 * 3_600),), (), ())
    cost = cost_of(operation, part)
    size = row_bytes(FUTURES_OPEN_INTEREST, FUTURES_OPEN_INTEREST.groups)
    assert (cost.requests, cost.metadata_requests, cost.rows) == (2, 0, 3_000)
    assert cost.wire_bytes == round(3_000 * size.wire)
    assert cost.disk_bytes == round(2_900 * size.disk), "what is stored already takes no more room"


def test_stored_rows_grow_by_the_columns_that_they_get() -> None:
    days = 1_000
    bounds = {"start": NOW - NOW % 86_400 - days * 86_400, "end": NOW - NOW % 86_400}
    covered = (Covered(frozenset(GROUPS), Window(*bounds.values())),)
    key = SeriesKey("spot_ohlcv", "kraken", "BTC-USD", "1d")
    wide = make_operation({"data_type": "spot_ohlcv", "groups": "ALL"})
    part = plan_series(Wanted(key, **bounds), SeriesState(1, key, covered=covered), Policy(SPOT_OHLCV.groups), NOW)
    narrow, every = row_bytes(SPOT_OHLCV, GROUPS), row_bytes(SPOT_OHLCV, SPOT_OHLCV.groups)
    assert (part.rows, cost_of(wide, part).disk_bytes) == (days, round(days * (every.disk - narrow.disk)))


def test_a_list_costs_its_call_whether_it_was_asked_for_already_or_not() -> None:
    state = SeriesState(1, SeriesKey("spot_instruments", "kraken"))
    operation = make_operation({"data_type": "spot_instruments"})
    page = Window(0, 1)
    assert cost_of(operation, ListPlan(state, page)).metadata_requests == 1
    assert cost_of(operation, ListPlan(state, page, is_due=False, is_answered=True)).metadata_requests == 1
    assert cost_of(operation, ListPlan(state, page, is_due=False)).metadata_requests == 0


def test_limits_stretch_a_run() -> None:
    assert minutes(6_000) == 10
    minute = Limit(60, 300, 100, NOW + 30.0)
    assert minutes(100, [minute]) == pytest.approx(1 / 6)
    assert minutes(6_100, [minute]) == 20
    day = Limit(86_400, 7_500, 0, NOW + 30.0)
    assert minutes(7_500, [minute, day]) == 1_440


def test_a_run_may_take_most_of_the_free_disk() -> None:
    assert not is_too_much(80, 100)
    assert is_too_much(81, 100)
    assert not is_too_much(10**15, None)


def replanned(part: SeriesPlan, policy: Policy = POLICY, **wanted: int) -> SeriesPlan:
    state = afterwards(part, GROUPS, NOW)
    return plan_series(Wanted(part.series.key, **wanted), state, policy, NOW)


def test_after_a_run_only_the_tail_is_left() -> None:
    first = planned("1h", start=NOW - 30 * 86_400)
    again = replanned(first, start=NOW - 30 * 86_400)
    assert again.reasons() == {"recheck": 1}
    assert again.runs == (Window(HOUR.floor(NOW - 305) - 3 * 3_600, HOUR.floor(NOW) + 3_600),)
    assert replanned(again, start=NOW - 30 * 86_400).runs == again.runs


def test_a_wider_range_needs_what_is_missing_only() -> None:
    first = planned("1h", start=NOW - 30 * 86_400, end=NOW - 20 * 86_400)
    wider = replanned(first, start=NOW - 40 * 86_400, end=NOW - 10 * 86_400)
    assert first.rows in {240, 241}
    assert wider.rows == 720 + 1 - first.rows
    assert replanned(first, start=NOW - 30 * 86_400, end=NOW - 20 * 86_400).requests == 0


def test_a_start_that_was_listed_is_settled_and_gaps_that_were_asked_for_are_gone() -> None:
    listed = NOW - 90 * 86_400
    day = 86_400
    gap = Gap(Window(NOW // day * day - 5 * day, NOW // day * day - 4 * day), "absent")
    key = SeriesKey("spot_ohlcv", "kraken", "BTC-USD", "1d")
    part = planned(state=SeriesState(1, key, gaps=(gap,)), listed=listed)
    state = afterwards(part, GROUPS, NOW)
    assert state.history_start == listed // day * day
    assert state.gaps == ()
    assert state.page_checked == NOW
