"""A second look at quarantined rows: only what passes the present checks fills a slot, and only an empty one."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest
from engine_kit import Kit, ask

from core.engine.ingest import Ingest
from core.engine.quarantine import Verdict, look_again
from core.engine.runner import Runner
from core.monitoring.quality import Checked, check_page
from core.sources import RejectedRow
from core.windows import parse_time
from tests.accounts import assert_accounted
from tests.fakes import Rows

TEN = parse_time("2025-06-15T10:00")
BAD, WORSE = TEN + 600, TEN + 660


def edit(change: Callable[[Rows], Rows]) -> Callable[[Any], Callable[[Rows], Rows]]:
    return lambda _call: change


def strict(reason: str = "too_strict", stamps: Sequence[int] = (BAD,)) -> Callable[..., Checked]:
    """The checks of a program that refused good bars."""

    def check(*args: Any) -> Checked:
        checked = check_page(*args)
        page = args[4]
        refused = [row for row in page.rows if row.timestamp in stamps]
        rejected = [RejectedRow(reason, "no", msgspec.json.encode(row).decode(), row.timestamp) for row in refused]
        kept = [row for row in checked.rows if row[0] not in stamps]
        return checked._replace(rows=kept, rejected=[*checked.rejected, *rejected])

    return check


async def run(kit: Kit, check: Callable[..., Checked] = check_page, **fields: Any) -> Runner:
    kit.make_tools()
    ingest = Ingest(kit.source, kit.store, check, kit.clock)
    object.__setattr__(kit.tools, "ingest", ingest)
    runner = kit.runner(ask(**fields))
    await runner.run()
    return runner


async def retry(kit: Kit) -> list[Verdict]:
    """Every record, by a program with the present checks."""
    verdicts = await look_again(kit.store, await kit.store.quarantined(), check_page, int(kit.clock.wall()))
    await kit.store._db.run(assert_accounted)
    return verdicts


async def test_a_row_that_passes_now_fills_its_slot(kit: Kit) -> None:
    await run(kit, strict(stamps=(BAD, WORSE)))
    await kit.clock.sleep(9_000)
    verdicts = await retry(kit)
    assert verdicts == [Verdict(1, is_accepted=True, why="accepted"), Verdict(2, is_accepted=True, why="accepted")]
    now = int(kit.clock.wall())
    rows = await kit.query(f"SELECT closed, known_at, total_trades FROM spot_ohlcv WHERE ts IN ({BAD}, {WORSE})")
    assert rows == [(1, now, 3), (1, now, 3)]
    assert await kit.query("SELECT accepted FROM quarantine") == [(now,), (now,)]
    assert await kit.query("SELECT count(*) FROM gap") == [(0,)]
    assert [(each.is_accepted, each.why) for each in await retry(kit)] == [(False, "its slot is accepted already")] * 2
    # The vendor is not asked for it again, and nothing was restated.
    again = await run(kit)
    assert (again.job.state, again.job.counters.requests) == ("complete", 0)
    assert await kit.query("SELECT count(*) FROM restatement") == [(0,)]


async def test_a_later_answer_has_precedence_over_what_was_accepted(kit: Kit) -> None:
    await run(kit, strict())
    await retry(kit)
    kit.source.versions[BAD] = 4
    await run(kit, full_refresh=True)
    assert await kit.query(f"SELECT total_trades FROM spot_ohlcv WHERE ts = {BAD}") == [(7,)]
    assert await kit.query("SELECT ts FROM restatement") == [(BAD,)]


async def test_a_slot_that_was_filled_since_is_left_alone(kit: Kit) -> None:
    await run(kit, strict())
    kit.source.versions[BAD] = 4
    await run(kit, full_refresh=True)
    assert await retry(kit) == [Verdict(1, is_accepted=False, why="its slot is filled already")]
    assert await kit.query(f"SELECT total_trades FROM spot_ohlcv WHERE ts = {BAD}") == [(7,)]
    assert await kit.query("SELECT accepted FROM quarantine") == [(None,)]


async def test_a_row_that_still_fails_stays(kit: Kit) -> None:
    def spoil(rows: Rows) -> Rows:
        rows[10].volume = -1.0
        return rows

    kit.source.script = edit(spoil)
    await run(kit)
    [verdict] = await retry(kit)
    assert not verdict.is_accepted
    assert "it still fails: negative_amount" in verdict.why
    assert len(await kit.query("SELECT 1 FROM gap")) == 1


async def test_of_rows_that_differ_for_one_bar_none_is_believed_later_either(kit: Kit) -> None:
    def spoil(rows: Rows) -> Rows:
        other = msgspec.structs.replace(rows[10], quote_volume=2.0, quote_volume_buy=2.0)
        return [*rows[:11], other, *rows[11:]]

    kit.source.script = edit(spoil)
    await run(kit)
    verdicts = await retry(kit)
    assert [verdict.is_accepted for verdict in verdicts] == [False, False]
    assert all("conflicting" in verdict.why for verdict in verdicts)


@pytest.mark.parametrize("raw", ["{", '{"UNIT": "MINUTE"}', "[1, 2]", '{"UNIT":"MINUTE","TIMESTAMP":5}'])
async def test_text_that_is_no_row_of_its_slot_stays(kit: Kit, raw: str) -> None:
    await run(kit, strict())
    await kit.query(f"UPDATE quarantine SET raw = '{raw}'")
    [verdict] = await retry(kit)
    assert not verdict.is_accepted
    assert verdict.why.startswith("it still fails")


async def test_a_bar_that_was_open_when_it_was_seen_is_not_final(kit: Kit) -> None:
    now = int(kit.clock.wall())
    open_bar = now - now % 60
    await run(kit, strict(stamps=(open_bar - 60, open_bar)), start="2025-06-15T17:30", end="2025-06-16")
    verdicts = await retry(kit)
    assert verdicts
    assert all("still open when this was seen" in verdict.why for verdict in verdicts)


async def test_a_whole_answer_is_asked_for_again_instead(kit: Kit) -> None:
    kit.source.script = edit(lambda rows: [msgspec.structs.replace(row, unit="DAY") for row in rows])
    await run(kit)
    verdicts = await retry(kit)
    assert verdicts
    assert all("tapewatch gaps repair" in verdict.why for verdict in verdicts)


async def test_what_is_not_kept_any_more_does_not_come_back(kit: Kit) -> None:
    await run(kit, strict())
    await kit.store.prune("spot_ohlcv", "1m", TEN + 1_200)
    assert await retry(kit) == [Verdict(1, is_accepted=False, why="bars of its time are not kept any more")]
    assert await kit.query("SELECT min(ts) FROM spot_ohlcv") == [(TEN + 1_200,)]


async def test_a_narrow_series_gets_its_row_with_the_groups_that_it_was_asked_with(kit: Kit) -> None:
    await run(kit, strict(), groups="OHLC")
    assert (await retry(kit))[0].is_accepted
    assert await kit.query(f"SELECT total_trades, volume FROM spot_ohlcv WHERE ts = {BAD}") == [(None, None)]
    wider = await run(kit)
    assert wider.job.counters.requests == 1
