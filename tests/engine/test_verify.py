"""What is stored against what the vendor says now: every difference is told, nothing is written, planned is sent."""

from collections.abc import Callable
from typing import Any

import pytest
from engine_kit import Kit, ask

from core.datasets import SeriesKey
from core.engine.verify import Deviation, Verdict, Verifier
from core.errors import BudgetRefused, Malformed, NothingBefore, QuotaExhausted, Rejected, Transient, Unauthorized
from core.monitoring.quality import check_page
from core.planner import Plan
from core.stores.selection import EVERYTHING, Selection
from core.windows import Window, parse_time
from tests.fakes import Call, Rows

KEY = SeriesKey("spot_ohlcv", "kraken", "BTC-USD", "1m")
TEN, ELEVEN = parse_time("2025-06-15T10:00"), parse_time("2025-06-15T11:00")
ALWAYS = Window(-(2**62), 2**62)
LONG = {"start": "2025-06-10", "end": "2025-06-15"}


async def verify(kit: Kit, selection: Selection = EVERYTHING, window: Window = ALWAYS, **how: Any) -> Verdict:
    verifier = Verifier(kit.tools, check_page, **how)
    return await verifier.run(await verifier.plan(selection, window))


async def plan(kit: Kit, selection: Selection = EVERYTHING, window: Window = ALWAYS) -> Plan:
    return await Verifier(kit.tools, check_page).plan(selection, window)


async def contents(kit: Kit) -> list[Any]:
    """Everything in the store."""
    tables = await kit.query("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
    return [await kit.query(f"SELECT * FROM {name}") for (name,) in tables]


def fail(error: Exception, times: int = 10**9) -> Callable[[Call], Any]:
    return lambda call: error if call.what == "history" and call.nth <= times else None


async def test_a_store_that_is_true_has_no_deviation_and_stays_as_it_is(kit: Kit) -> None:
    await kit.run(ask(**LONG))
    before, sent = await contents(kit), len(kit.source.history_calls())
    wanted = await plan(kit)
    verdict = await verify(kit)
    assert (verdict.bars, verdict.differing, verdict.deviations, verdict.errors) == (5 * 1_440, 0, [], [])
    assert len(kit.source.history_calls()) - sent == verdict.requests == wanted.requests == 4
    assert await contents(kit) == before


async def test_a_bar_that_changed_is_told_column_by_column(kit: Kit) -> None:
    await kit.run(ask())
    kit.source.versions = {TEN + 120: 2}
    before = await contents(kit)
    verdict = await verify(kit)
    assert (verdict.bars, verdict.differing) == (60, 1)
    assert verdict.deviations == [
        Deviation(KEY, TEN + 120, "total_trades", 3, 5),
        Deviation(KEY, TEN + 120, "total_trades_buy", 3, 5),
        Deviation(KEY, TEN + 120, "volume", 1.5, 3.5),
        Deviation(KEY, TEN + 120, "volume_buy", 1.5, 3.5),
    ]
    assert await contents(kit) == before


async def test_bars_that_only_one_side_has_are_told(kit: Kit) -> None:
    kit.source.holes = {TEN + 300}
    await kit.run(ask())
    kit.source.holes = {TEN + 600}
    verdict = await verify(kit)
    assert verdict.deviations == [
        Deviation(KEY, TEN + 300, "bar", None, "present"),
        Deviation(KEY, TEN + 600, "bar", "present", None),
    ]


async def test_a_vendor_that_has_nothing_there_any_more_is_told(kit: Kit) -> None:
    await kit.run(ask())
    kit.source.script = fail(NothingBefore("gone", ELEVEN))
    verdict = await verify(kit)
    assert (verdict.differing, verdict.deviations[0]) == (60, Deviation(KEY, TEN, "bar", "present", None))


async def test_only_what_was_asked_for_is_asked_and_compared(kit: Kit) -> None:
    await kit.run(ask(groups="OHLC"))
    await kit.run(ask(groups="OHLC,VOLUME", start="2025-06-15T10:30"))
    kit.source.versions = {TEN + 60: 1, TEN + 31 * 60: 1}
    verdict = await verify(kit)
    assert [(each.ts, each.column) for each in verdict.deviations] == [
        (TEN + 31 * 60, "volume"),
        (TEN + 31 * 60, "volume_buy"),
    ]


async def test_a_selection_and_a_span_bound_what_is_compared(kit: Kit) -> None:
    await kit.run(ask(instrument="BTC-USD,ETH-USD"))
    await kit.run(ask(interval="1h", start="2025-06-01", end="2025-06-15"))
    kit.source.log.clear()
    window = Window(TEN + 600, TEN + 1_200)
    verdict = await verify(kit, Selection(instruments=("ETH-USD",)), window)
    assert (verdict.bars, verdict.requests) == (10, 1)
    [call] = kit.source.history_calls()
    assert (call.key, call.window) == (KEY._replace(instrument="ETH-USD"), window)


async def test_bars_that_still_run_are_not_compared(kit: Kit) -> None:
    await kit.run(ask(start="2025-06-15T17:00", end="2025-06-16"))
    closed = (await kit.query("SELECT count(*) FROM spot_ohlcv WHERE closed"))[0][0]
    kit.clock.set_wall(kit.clock.wall() + 600)
    verdict = await verify(kit)
    assert (verdict.bars, verdict.differing) == (closed, 0)
    assert closed < (await kit.query("SELECT count(*) FROM spot_ohlcv"))[0][0]


async def test_what_was_never_asked_for_is_not_asked_for_now(kit: Kit) -> None:
    await kit.run(ask())
    await kit.run(ask(start="2025-06-15T13:00", end="2025-06-15T14:00"))
    verdict = await verify(kit)
    assert (verdict.bars, verdict.requests, verdict.differing) == (120, 2, 0)


async def test_chosen_windows_are_one_call_each(kit: Kit) -> None:
    await kit.run(ask(**LONG))
    start = parse_time("2025-06-11")
    windows = [Window(start, start + 3_600), Window(start + 3_600, start + 120_000)]
    verifier = Verifier(kit.tools, check_page)
    wanted = await verifier.plan_windows({KEY: windows})
    kit.source.log.clear()
    verdict = await verifier.run(wanted)
    assert wanted.requests == verdict.requests == 2
    assert [call.window for call in kit.source.history_calls()] == windows[::-1]


async def test_faults_that_pass_are_tried_again(kit: Kit) -> None:
    await kit.run(ask())
    kit.source.log.clear()
    kit.source.script = fail(Transient("lost"), times=2)
    verdict = await verify(kit)
    assert (verdict.bars, verdict.requests, verdict.retries, verdict.errors) == (60, 1, 2, [])


@pytest.mark.slow
@pytest.mark.parametrize("error", [Transient("lost"), Malformed("no JSON", "unparsable"), Rejected("no such name")])
async def test_a_window_that_cannot_be_compared_is_an_error_of_its_series(kit: Kit, error: Exception) -> None:
    await kit.run(ask(instrument="BTC-USD,ETH-USD", **LONG))
    kit.source.log.clear()
    kit.source.script = lambda call: error if call.key == KEY else None
    verdict = await verify(kit)
    assert (verdict.bars, verdict.differing, verdict.failure) == (5 * 1_440, 0, None)
    assert all(
        text.startswith("spot_ohlcv/kraken/BTC-USD/1m 2025-06-1") and str(error) in text for text in verdict.errors
    )
    assert 1 <= len(verdict.errors) <= 4


async def test_a_key_that_is_refused_ends_it(kit: Kit) -> None:
    await kit.run(ask(**LONG))
    kit.source.script = fail(Unauthorized("the vendor refuses the key"))
    verdict = await verify(kit)
    assert isinstance(verdict.failure, Unauthorized)
    assert kit.source.in_flight == 0


async def test_limits_are_kept_and_a_long_wait_ends_it(kit: Kit) -> None:
    kit.source.limits = {86_400: 7}
    await kit.run(ask(**LONG, max_requests=100))
    verdict = await verify(kit, max_requests=100)
    assert isinstance(verdict.failure, QuotaExhausted)
    # What was sent before is compared all the same.
    assert 0 < verdict.requests < 4
    assert verdict.bars >= 1_000 * verdict.requests
    assert kit.source.refused == 0


async def test_a_plan_that_is_too_dear_is_refused_before_anything_is_sent(kit: Kit) -> None:
    await kit.run(ask(**LONG))
    kit.source.log.clear()
    with pytest.raises(BudgetRefused, match="the plan needs 4 requests, --max_requests allows 3"):
        await verify(kit, max_requests=3)
    assert kit.source.log == []
    assert (await verify(kit, max_requests=4)).bars == 5 * 1_440


async def test_rows_that_do_not_pass_the_gate_are_counted_and_not_compared(kit: Kit) -> None:
    await kit.run(ask())

    def spoil(rows: Rows) -> Rows:
        rows[7].low = -1.0
        return rows

    kit.source.script = lambda _call: spoil
    verdict = await verify(kit)
    assert (verdict.bars, verdict.unusable, verdict.deviations) == (60, 1, [])


async def test_another_vendors_answers_are_not_compared_with(kit: Kit) -> None:
    await kit.run(ask())
    kit.make_tools()
    kit.source.origin = "sandbox:9"
    verdict = await verify(kit)
    assert "holds data of fake; it refuses sandbox:9" in str(verdict.failure)
    assert verdict.bars == 0
