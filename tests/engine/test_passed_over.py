"""Answers that leave out what is stored already, and starts of histories that cannot be: nothing is lost in silence."""

import asyncio
import random
from typing import Any

import pytest
from engine_kit import NOW, Kit, ask

from core.errors import Rejected, Transient
from core.sources import Instrument, Recorded
from core.windows import iso, parse_time
from tests.accounts import assert_accounted
from tests.fakes import Call

BEGIN = parse_time("2025-06-15T10:00")
TEN_THIRTY = BEGIN + 1_800
NARROW, WIDE = "OHLC", "OHLC,VOLUME"


def listing(kit: Kit, first: int, last: int = NOW, status: str = "ACTIVE") -> None:
    """What the metadata says of the one instrument."""
    span = {"trades": Recorded(first, last)}
    kit.source.listed = {"kraken": [Instrument("kraken", "BTC-USD", "X-BTC-USD", status, "BTC", "USD", span, 9)]}


async def accounted(kit: Kit) -> None:
    await kit.store._db.run(assert_accounted)


async def empty_volumes(kit: Kit) -> list[tuple[Any, ...]]:
    return await kit.query("SELECT ts FROM spot_ohlcv WHERE volume IS NULL")


async def test_columns_that_a_wider_answer_had_no_row_for_are_asked_for_again(kit: Kit) -> None:
    await kit.run(ask(groups=NARROW))
    kit.source.holes = {TEN_THIRTY}
    await kit.run(ask(groups=WIDE))
    assert await empty_volumes(kit) == [(TEN_THIRTY,)]
    kit.source.holes = set()
    again = await kit.run(ask(groups=WIDE))
    assert (again.counters.requests, await empty_volumes(kit)) == (1, [])
    assert (await kit.run(ask(groups=WIDE))).counters.requests == 0
    await accounted(kit)


async def test_a_bar_that_a_wider_answer_had_unusably_is_asked_for_again(kit: Kit) -> None:
    await kit.run(ask(groups=NARROW))

    def spoil(rows: list[Any]) -> list[Any]:
        return [row if row.timestamp != TEN_THIRTY else _with(row, volume=-1.0) for row in rows]

    kit.source.script = lambda _call: spoil
    assert (await kit.run(ask(groups=WIDE))).counters.rows_quarantined == 1
    kit.source.script = lambda _call: None
    await kit.run(ask(groups=WIDE))
    assert await empty_volumes(kit) == []


def _with(row: Any, **fields: Any) -> Any:
    return type(row)(**{name: getattr(row, name) for name in row.__struct_fields__} | fields)


async def test_a_young_bar_that_was_passed_over_is_still_young(kit: Kit) -> None:
    start, end, ts = iso(NOW - 3_600), iso(NOW - 600), NOW - 1_800
    await kit.run(ask(start=start, end=end))
    await kit.clock.sleep(3 * 3_600)
    kit.source.versions, kit.source.holes = {ts: 1}, {ts}
    await kit.run(ask(start=start, end=end))
    kit.source.holes = set()
    await kit.run(ask(start=start, end=end))
    assert await kit.query("SELECT ts FROM restatement") == [(ts,)]
    assert (await kit.run(ask(start=start, end=end))).counters.requests == 0


async def test_a_bar_that_is_gone_is_not_waited_for_for_ever(kit: Kit) -> None:
    start, end = iso(NOW - 3_600), iso(NOW - 600)
    await kit.run(ask(start=start, end=end))
    kit.source.holes = {NOW - 1_800}
    await kit.clock.sleep(30 * 3_600)
    assert (await kit.run(ask(start=start, end=end))).counters.requests == 1
    assert (await kit.run(ask(start=start, end=end))).counters.requests == 0


@pytest.mark.parametrize("groups", [NARROW, WIDE])
async def test_the_last_sweep_of_a_dead_instrument_is_the_last_whatever_it_leaves_out(kit: Kit, groups: str) -> None:
    kit.make_tools(listing_ttl=3_600.0)
    listing(kit, NOW - 86_400)
    everything = ask(start=None, end=None, groups=NARROW)
    await kit.run(everything)
    await kit.clock.sleep(600)
    listing(kit, NOW - 86_400, NOW - 60, "RETIRED")
    kit.source.last = NOW - 60
    kit.source.holes = {NOW - 300, NOW - 43_200}
    await kit.clock.sleep(7_200)
    assert (await kit.run(ask(start=None, end=None, groups=groups))).counters.requests > 0
    assert (await kit.run(ask(start=None, end=None, groups=groups))).counters.requests == 0
    await accounted(kit)


async def test_a_start_that_the_metadata_tells_is_not_believed_when_older_bars_are_stored(kit: Kit) -> None:
    kit.source.first = BEGIN
    await kit.run(ask(groups=NARROW))
    listing(kit, TEN_THIRTY)
    await kit.run(ask(start=None, end=None, groups=WIDE))
    assert await kit.query("SELECT history_start FROM series WHERE interval <> ''") == [(None,)]
    await accounted(kit)


async def test_a_start_that_the_metadata_tells_explains_what_was_missing_before(kit: Kit) -> None:
    kit.source.first = TEN_THIRTY

    def no_probe(call: Call) -> Exception | None:
        return Rejected("no") if call.window and call.window.seconds == 60 else None

    kit.source.script = no_probe
    await kit.run(ask())
    assert await kit.query('SELECT start, "end" FROM gap') == [(BEGIN, TEN_THIRTY)]
    kit.source.script = lambda _call: None
    listing(kit, TEN_THIRTY)
    await kit.run(ask(start=None, end=None, groups="OHLC,VOLUME,TRADE,OHLC_TRADE"))
    assert await kit.query("SELECT history_start FROM series WHERE interval <> ''") == [(TEN_THIRTY,)]
    assert await kit.query("SELECT start FROM gap") == []
    await accounted(kit)


async def test_a_narrow_read_leaves_what_it_did_not_ask_for_as_young_as_it_was(kit: Kit) -> None:
    """One more call, once, with all groups that the bars have; what was never read so widely is not."""
    start, end, ts = iso(NOW - 3_600), iso(NOW + 86_400), NOW - 1_800
    await kit.run(ask(start=start, end=end, groups=WIDE))
    await kit.clock.sleep(3 * 3_600)
    kit.source.versions = {ts: 1}
    assert (await kit.run(ask(start=start, end=end, groups=NARROW))).counters.requests == 2
    assert await kit.query("SELECT ts FROM restatement") == [(ts,)]
    assert await kit.query("SELECT max(ts) FROM spot_ohlcv WHERE volume IS NOT NULL AND closed") == [(NOW - 180,)]
    await kit.clock.sleep(3 * 3_600)
    assert (await kit.run(ask(start=start, end=end, groups=NARROW))).counters.requests == 1


@pytest.mark.slow
@pytest.mark.parametrize("case", range(8))
async def test_no_late_revision_is_missed_whatever_answers_leave_out(kit: Kit, case: int, seed: int) -> None:
    """Bars change up to 90 minutes late; runs are wide and narrow, side by side, killed, and badly answered."""
    chance = random.Random(f"{seed}/{case}")
    begin = NOW - 7_200
    late = {ts: chance.choice([None, chance.randrange(5_400)]) for ts in range(begin, NOW + 5 * 86_400, 60)}

    def truth() -> dict[int, int]:
        now = kit.clock.wall()
        return {ts: int(delay is not None and now - ts - 60 >= delay) for ts, delay in late.items() if ts < now}

    def script(_call: Call) -> Any:
        kit.source.versions = truth()
        fate = chance.choice(["well", "well", "down", "short", "holes"])
        if fate == "down":
            return Transient("down")
        kept = {"well": 1.0, "short": 1.0, "holes": 0.8}[fate]
        cut = chance.random() if fate == "short" else 1.0
        return lambda rows: [row for row in rows[: int(cut * len(rows))] if chance.random() < kept]

    def read(*groups: str) -> Any:
        times = {"start": iso(begin), "end": iso(NOW + 10 * 86_400)}
        return kit.run(ask(**times, groups=chance.choice(groups), recheck=chance.choice([0, 3])))

    kit.source.script = script
    for _ in range(chance.randrange(5, 20)):
        await kit.clock.sleep(chance.choice([600, 1_800, 1_800, 3_600, 18_000]))
        runs = [asyncio.ensure_future(read(NARROW, WIDE)) for _ in range(chance.choice([1, 1, 2]))]
        for _ in range(chance.choice([0, 0, chance.randrange(200)])):
            await asyncio.sleep(0)
        if chance.random() < 0.2:
            runs[0].cancel()
        await asyncio.gather(*runs, return_exceptions=True)
    kit.source.script = lambda _call: setattr(kit.source, "versions", truth())
    await read(WIDE)
    await kit.clock.sleep(3 * 3_600)
    await read(WIDE)
    await accounted(kit)
    final = int(kit.clock.wall()) - 3 * 3_600
    stored = await kit.query(f"SELECT ts, volume FROM spot_ohlcv WHERE closed AND ts < {final}")
    assert len(stored) > 100
    assert [ts for ts, volume in stored if volume != 1.5 + truth()[ts]] == []
