"""Bars that are older than is kept: not bought, let go of at the end of a job, and never bought again."""

from typing import Any

import pytest
from engine_kit import NOW, Kit, ask

from core.engine.planning import make_plan
from core.windows import iso, parse_time
from tests.accounts import assert_accounted

DAY_START = parse_time("2025-06-15T00:00")
HOUR = 3_600
KEPT = {("spot_ohlcv", "1m"): 4 * HOUR}


def today(**fields: Any) -> Any:
    return ask(start=iso(DAY_START), end=iso(NOW - 600), **fields)


async def stored(kit: Kit) -> list[tuple[int, int, int]]:
    return [tuple(row) for row in await kit.query("SELECT min(ts), max(ts), count(*) FROM spot_ohlcv")]  # type: ignore[misc]


async def test_what_is_not_kept_is_neither_bought_nor_bought_again(kit: Kit) -> None:
    kit.make_tools(kept_seconds=KEPT)
    job = await kit.run(today())
    assert (job.state, job.counters.requests) == ("complete", 1)
    first = NOW - 4 * HOUR
    assert await stored(kit) == [(first, NOW - 660, 230)]
    again = await kit.run(today(recheck=0))
    # Only bars that closed less than two hours ago may still change.
    assert again.counters.rows_inserted == 0
    assert all(call.window is not None and call.window.start >= first for call in kit.source.log)


async def test_bars_go_at_the_end_of_the_job_and_their_coverage_stays(kit: Kit) -> None:
    kit.source.holes = {DAY_START + HOUR, NOW - HOUR}
    await kit.run(today())
    before = await kit.query('SELECT groups, start, "end" FROM coverage')
    assert (await stored(kit))[0][0] == DAY_START
    assert (await kit.query("SELECT count(*) FROM gap")) == [(2,)]

    kit.make_tools(kept_seconds=KEPT)
    await kit.clock.sleep(2 * HOUR)
    now = int(kit.clock.wall())
    job = await kit.run(ask(start=iso(NOW - 600), end=iso(NOW)))
    assert job.counters.rows_inserted == 10
    edge = now - 4 * HOUR - (now % 60)
    assert (await stored(kit))[0][:2] == (edge, NOW - 60)
    assert await kit.query("SELECT start FROM gap") == [(NOW - HOUR,)]
    assert await kit.query("SELECT pruned_before FROM series") == [(edge,)]
    [(_, start, _)] = before
    assert await kit.query("SELECT start FROM coverage") == [(start,)]
    await kit.store._db.run(assert_accounted)

    # Nothing of it is asked for again, whether it is kept for longer now or for ever.
    kit.make_tools()
    plan = await make_plan(kit.runner(ask(start=iso(DAY_START), end=iso(edge))).job, kit.tools, lambda _: None)
    assert plan.requests == 0
    mark = len(kit.source.log)
    job = await kit.run(today(recheck=0))
    assert all(call.window is not None and call.window.start >= edge for call in kit.source.log[mark:])
    assert (await stored(kit))[0][0] == edge


@pytest.mark.parametrize("other", [("spot_ohlcv", "1h"), ("futures_ohlcv", "1m")])
async def test_limits_are_of_one_data_type_and_interval(kit: Kit, other: tuple[str, str]) -> None:
    kit.make_tools(kept_seconds={other: HOUR})
    await kit.run(today())
    assert (await stored(kit))[0][0] == DAY_START


async def test_without_a_word_from_the_vendor_nothing_goes(kit: Kit) -> None:
    """Our own clock may be wrong by years."""
    await kit.run(today())
    kit.make_tools(kept_seconds=KEPT)
    kit.source.origin = ""
    kit.clock.set_wall(NOW + 10 * 365 * 86_400)
    await kit.run(ask(start=iso(DAY_START), end=iso(DAY_START + HOUR)))
    assert (await stored(kit))[0][0] == DAY_START


async def test_a_repair_buys_nothing_that_is_not_kept(kit: Kit) -> None:
    kit.source.holes = {DAY_START + HOUR}
    await kit.run(today())
    kit.make_tools(kept_seconds=KEPT)
    assert (await kit.run(ask(repair="all", start=None, end=None))).counters.requests == 0
