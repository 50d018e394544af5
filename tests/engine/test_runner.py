"""One job from plan to end over a fake vendor: retries, limits, gaps, starts, and what is in the store afterwards."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from engine_kit import NOW, Kit, ask

from core.coverage import FIRST_RECHECK_SECONDS
from core.datasets import SETTLE_SECONDS, SPOT_OHLCV, SeriesKey
from core.engine.engine import Engine
from core.engine.job import Job
from core.errors import (
    BudgetRefused,
    Malformed,
    NothingBefore,
    QuotaExhausted,
    RateLimited,
    Rejected,
    SourceError,
    Transient,
    Unauthorized,
)
from core.events import AlertChanged, GapFound, JobChanged, LogLine, RetryScheduled, RowsQuarantined, WindowFailed
from core.limits import Backoff
from core.sources import Instrument, Recorded
from core.windows import MINUTE, Window, iso, parse_time
from tests.fakes import Call, Rows, bar

KEY = SeriesKey("spot_ohlcv", "kraken", "BTC-USD", "1m")
TEN, ELEVEN = parse_time("2025-06-15T10:00"), parse_time("2025-06-15T11:00")
DAYS = {"interval": "1d", "start": "2024-01-01", "end": "2025-01-01"}
LONG = {"start": "2025-06-01", "end": "2025-06-15"}  # ten pages of minutes and one short one


def fail(*errors: Exception | None, what: str = "history") -> Callable[[Call], Any]:
    """The nth call of each window meets the nth of `errors`; later ones none."""
    return lambda call: errors[call.nth - 1] if call.what == what and call.nth <= len(errors) else None


def fail_always(error: Exception) -> Callable[[Call], Any]:
    return lambda call: error if call.what == "history" else None


def edit(change: Callable[[Rows], Rows], nth: int = 1) -> Callable[[Call], Any]:
    return lambda call: change if call.what == "history" and call.nth == nth else None


async def stored(kit: Kit, columns: str = "ts, open, high, low, close, volume, total_trades") -> list[tuple[Any, ...]]:
    return await kit.query(f"SELECT {columns} FROM spot_ohlcv ORDER BY series_id, ts")


def truth(start: int, end: int, key: SeriesKey = KEY, step: int = 60, version: int = 0) -> list[tuple[Any, ...]]:
    return [(ts, *bar(key, ts, version).values()) for ts in range(start, end, step)]


def counts(job: Job) -> dict[str, int]:
    return {name: value for name, value in job.counters.shown().items() if value}


# --- what is asked for


async def test_a_fresh_range_is_asked_for_once_and_stored(kit: Kit) -> None:
    job = await kit.run(ask())
    assert job.state == "complete"
    assert await stored(kit) == truth(TEN, ELEVEN)
    assert counts(job) == {"requests": 1, "rows_fetched": 60, "rows_inserted": 60}
    assert job.plan is not None
    assert job.plan.requests == len(kit.source.log) == 1
    assert await kit.query('SELECT start, "end" FROM coverage') == [(TEN, ELEVEN)]


async def test_a_rerun_of_what_is_complete_asks_for_nothing(kit: Kit) -> None:
    await kit.run(ask())
    again = await kit.run(ask())
    assert (again.state, counts(again)) == ("complete", {})
    assert len(kit.source.log) == 1


@pytest.mark.parametrize("order", ["newest", "oldest"])
async def test_requests_sent_are_those_of_the_plan(kit: Kit, order: str) -> None:
    job = await kit.run(ask(**LONG, order=order, parallel_workers=1))
    assert job.plan is not None
    assert job.plan.requests == job.counters.requests == len(kit.source.log) == 11
    starts = [call.window.start for call in kit.source.log if call.window]
    assert starts == sorted(starts, reverse=order == "newest")
    assert (job.state, job.counters.rows_inserted) == ("complete", 14 * 1_440)


async def test_only_what_is_missing_in_the_middle_is_asked_for(kit: Kit) -> None:
    await kit.run(ask(start="2025-06-15T08:00", end="2025-06-15T09:00"))
    await kit.run(ask(start="2025-06-15T10:00", end="2025-06-15T11:00"))
    job = await kit.run(ask(start="2025-06-15T08:30", end="2025-06-15T10:30"))
    assert counts(job) == {"requests": 1, "rows_fetched": 60, "rows_inserted": 60}
    assert kit.source.log[-1].window == Window(TEN - 3_600, TEN)
    assert await stored(kit) == truth(TEN - 7_200, ELEVEN)


async def test_wider_groups_are_asked_for_and_narrow_ones_lose_nothing(kit: Kit) -> None:
    await kit.run(ask(groups="OHLC"))
    wide = await kit.run(ask(groups="OHLC,VOLUME,TRADE"))
    assert counts(wide) == {"requests": 1, "rows_fetched": 60, "rows_updated": 60}
    assert await stored(kit) == truth(TEN, ELEVEN)
    narrow = await kit.run(ask(groups="VOLUME"))
    assert counts(narrow) == {}
    assert await kit.query("SELECT count(*) FROM restatement") == [(0,)]


async def test_the_tail_is_read_again_and_open_bars_close(kit: Kit) -> None:
    operation = ask(start="2025-06-15T10:00", end="2025-06-16")
    first = await kit.run(operation)
    closed = MINUTE.floor(NOW - SETTLE_SECONDS[MINUTE])
    assert await kit.query("SELECT max(ts) FROM spot_ohlcv WHERE closed") == [(closed - 60,)]
    assert await kit.query('SELECT max("end") FROM coverage') == [(closed,)]
    assert first.state == "complete"
    await kit.clock.sleep(600)
    kit.source.versions = {closed: 1, closed - 60: 1}
    second = await kit.run(operation)
    assert second.counters.requests == 1
    assert second.counters.rows_inserted == 10
    # Three open bars closed, one of them with another volume; the newest closed one was restated.
    assert second.counters.rows_updated == 4
    assert await kit.query("SELECT ts FROM restatement") == [(closed - 60,)]
    assert await kit.query("SELECT count(*) FROM spot_ohlcv WHERE NOT closed") == [(3,)]


async def test_a_full_refresh_asks_for_everything_again(kit: Kit) -> None:
    await kit.run(ask())
    kit.source.versions = {TEN + 60: 5}
    job = await kit.run(ask(full_refresh=True))
    assert counts(job) == {"requests": 1, "rows_fetched": 60, "rows_updated": 1, "rows_unchanged": 59}
    old = '{"total_trades": 3, "total_trades_buy": 3, "volume": 1.5, "volume_buy": 1.5}'
    new = '{"total_trades": 8, "total_trades_buy": 8, "volume": 6.5, "volume_buy": 6.5}'
    assert await kit.query("SELECT ts, old, new FROM restatement") == [(TEN + 60, old, new)]


@pytest.mark.slow
async def test_several_series_take_turns_and_workers(kit: Kit) -> None:
    job = await kit.run(ask(market="kraken,binance", instrument="BTC-USD,ETH-USD", **LONG))
    assert (job.state, len(job.progress), job.counters.requests) == ("complete", 4, 44)
    first_round = [(call.key.market, call.key.instrument) for call in kit.source.log[:4] if call.key]
    assert len(set(first_round)) == 4
    assert kit.source.most_in_flight == 16


async def test_the_exchanges_own_name_means_the_same_series(kit: Kit) -> None:
    await kit.run(ask())
    job = await kit.run(ask(instrument="X-BTC-USD"))
    assert (job.state, counts(job)) == ("complete", {})
    both = await kit.run(ask(instrument="BTC-USD,X-BTC-USD", end="2025-06-15T12:00"))
    assert both.plan is not None
    assert (len(both.progress), both.plan.requests, both.counters.requests) == (1, 1, 1)


# --- retries


@pytest.mark.parametrize("error", [Transient("connection lost"), Malformed("cut", "unparsable", b"{")], ids=repr)
async def test_a_fault_that_passes_is_asked_again(kit: Kit, error: SourceError) -> None:
    kit.source.script = fail(error, error, error)
    job = await kit.run(ask())
    assert job.state == "complete"
    assert await stored(kit) == truth(TEN, ELEVEN)
    assert (job.counters.requests, job.counters.retries, job.windows_done) == (1, 3, 1)
    assert [event.attempt for event in kit.said(RetryScheduled)] == [2, 3, 4]


@pytest.mark.parametrize("chance", [0.0, 0.5, 0.999])
async def test_retries_wait_with_full_jitter(kit: Kit, chance: float) -> None:
    kit.make_tools(chance=chance)
    kit.source.script = fail(*[Transient("no")] * 4)
    kit.source.latency = lambda: 0.0
    await kit.run(ask())
    waits = [event.wait for event in kit.said(RetryScheduled)]
    assert waits == pytest.approx([chance * 0.5, chance * 1, chance * 2, chance * 4], abs=0.001)
    gaps = [later.at - earlier.at for earlier, later in pairwise(kit.source.log)]
    assert all(wait <= gap + 0.001 and gap < wait + 3 for gap, wait in zip(gaps, waits, strict=True))


async def test_a_window_is_given_up_within_half_a_minute(kit: Kit) -> None:
    kit.make_tools(chance=0.999)
    kit.source.script = fail_always(Transient("connection lost"))
    kit.source.latency = lambda: 8.0
    started = kit.clock.monotonic()
    job = await kit.run(ask())
    assert kit.clock.monotonic() - started < 35
    assert (job.state, job.windows_failed, job.counters.requests) == ("failed", 1, 1)
    assert 3 <= len(kit.source.log) <= 5
    [failed] = kit.said(WindowFailed)
    assert (failed.start, failed.end, failed.attempts) == (TEN, ELEVEN, len(kit.source.log))
    assert job.errors == ["spot_ohlcv/kraken/BTC-USD/1m 2025-06-15T10:00:00Z..2025-06-15T11:00:00Z: connection lost"]
    assert await stored(kit) == []
    assert await kit.query("SELECT count(*) FROM coverage") == [(0,)]


async def test_what_was_given_up_is_asked_again_by_the_next_run(kit: Kit) -> None:
    newest = Window(parse_time("2025-06-15") - 2_000 * 60, parse_time("2025-06-15"))
    kit.source.script = lambda call: Transient("no") if call.window == newest else None
    first = await kit.run(ask(**LONG))
    assert (first.state, first.windows_done, first.windows_failed) == ("complete_with_gaps", 10, 1)
    kit.source.script = fail()
    second = await kit.run(ask(**LONG))
    assert (second.state, second.counters.requests) == ("complete", 1)
    assert kit.source.log[-1].window == newest


async def test_waits_for_limits_do_not_use_up_the_patience_for_faults(kit: Kit) -> None:
    """A minute in a limit is no minute of trying: one lost connection after it must not end the window."""
    limited = RateLimited("slow down", 25)
    kit.source.script = fail(limited, Transient("once"), limited, Transient("twice"))
    job = await kit.run(ask())
    assert job.state == "complete"
    assert (job.counters.requests, job.counters.retries) == (1, 4)


@pytest.mark.slow
async def test_waits_for_a_place_do_not_use_it_up_either(kit: Kit) -> None:
    kit.make_tools(connections=1)
    kit.source.latency = lambda: 9.0
    kit.source.script = lambda call: Transient("once") if call.nth == 1 and call.number >= 5 else None
    job = await kit.run(ask(**LONG))
    assert job.state == "complete"


async def test_a_refusal_ends_its_series_only(kit: Kit) -> None:
    kit.source.script = lambda call: Rejected("no such thing") if call.key and "ETH" in call.key.instrument else None
    job = await kit.run(ask(instrument="BTC-USD,ETH-USD"))
    assert (job.state, job.windows_done, job.windows_failed) == ("complete_with_gaps", 1, 1)
    assert len(kit.source.log) == 2, "a refusal is not asked again"
    assert "no such thing" in job.errors[0]
    assert [entry.word for entry in job.progress.values()] == ["done", "failed"]


async def test_a_series_that_is_refused_is_not_asked_for_further(kit: Kit) -> None:
    kit.source.script = fail_always(Rejected("no such thing"))
    job = await kit.run(ask(**LONG, parallel_workers=2))
    assert (job.state, job.windows_failed) == ("failed", 11)
    assert len(kit.source.log) == 2


async def test_a_refused_key_is_not_used_again(kit: Kit) -> None:
    kit.source.script = fail_always(Unauthorized("the vendor refuses the key"))
    job = await kit.run(ask(**LONG, parallel_workers=2))
    assert (job.state, job.errors) == ("failed", ["the vendor refuses the key"])
    assert len(kit.source.log) <= 2


async def test_a_vendor_that_is_down_stops_the_job_before_every_window_was_tried(kit: Kit) -> None:
    kit.source.script = fail_always(Transient("maintenance"))
    job = await kit.run(ask(start="2025-01-01", end="2025-06-15", max_requests=1_000))
    assert job.state == "failed"
    assert job.errors[-1] == "the vendor has not answered for 20 s: maintenance"
    assert len(kit.source.log) < 30


async def test_hostile_words_of_an_error_are_clean_everywhere(kit: Kit) -> None:
    kit.source.script = fail_always(Rejected("\x1b]52;c;evil\x07 [/nope]" + "x" * 5_000))
    job = await kit.run(ask())
    texts = [*job.errors, *(entry.error for entry in job.progress.values())]
    texts += [event.error for event in kit.said(WindowFailed)] + [event.message for event in kit.said(AlertChanged)]
    assert len(texts) >= 4
    assert all(text.isprintable() and len(text) < 500 for text in texts)


# --- limits


@pytest.mark.slow
async def test_no_request_is_sent_inside_a_wait(kit: Kit) -> None:
    kit.source.script = lambda call: RateLimited("slow down", 10) if call.number == 7 else None
    job = await kit.run(ask(**LONG, market="kraken,binance"))
    assert job.state == "complete"
    limited = kit.source.log[6]
    # What was already on its way arrives; then nothing for ten seconds.
    later = [call.at for call in kit.source.log if call.at > limited.at + 2]
    assert later
    assert min(later) >= limited.at + 10
    assert job.counters.retries == 1
    assert job.counters.requests == 22


@pytest.mark.slow
async def test_no_more_requests_at_once_than_connections(kit: Kit) -> None:
    kit.make_tools(connections=3)
    await kit.run(ask(**LONG, market="kraken,binance"))
    assert kit.source.most_in_flight == 3


@pytest.mark.parametrize(("cap", "end"), [(1, "2025-06-04"), (4, "2025-06-11"), (10, "2025-06-11")])
async def test_the_limits_that_headers_tell_are_kept(kit: Kit, cap: int, end: str) -> None:
    kit.source.limits = {10: cap}
    kit.source.latency = lambda: 0.3
    first = await kit.run(ask())
    async with Engine("e", kit.tools) as engine:
        job = engine.submit(ask(start="2025-06-01", end=end))
        await engine.wait(job)
    assert (first.state, job.state, job.counters.retries) == ("complete", "complete", 0)
    assert kit.source.refused == 0
    assert "10 s limit" in "".join(event.waiting for event in kit.said(JobChanged)) or cap == 10


@pytest.mark.slow
async def test_until_the_limits_are_told_one_call_goes_ahead(kit: Kit) -> None:
    kit.source.limits = {10: 5}
    job = await kit.run(ask(**LONG))
    assert (job.state, job.counters.requests) == ("complete", 11)
    assert kit.source.refused == job.counters.retries == 0


@pytest.mark.slow
async def test_a_limit_that_resets_too_late_ends_the_run(kit: Kit) -> None:
    kit.make_tools(max_wait=600)
    kit.source.limits = {3_600: 3}
    job = await kit.run(ask(**LONG, parallel_workers=1))
    assert job.state == "waiting_quota"
    assert isinstance(job.failure, QuotaExhausted)
    assert "hour limit is used up" in job.errors[0]
    assert job.windows_done == len(kit.source.log) == 3
    assert await kit.query("SELECT sum(rows) FROM series") == [(6_000,)]
    # Half an hour later the rest is fetched, and nothing twice.
    await kit.clock.sleep(3_600)
    kit.source.limits = {3_600: 100}
    kit.quota.limits.clear()
    again = await kit.run(ask(**LONG))
    assert (again.state, again.counters.requests) == ("complete", 8)


async def test_a_vendor_that_never_stops_limiting_ends_the_run(kit: Kit) -> None:
    """No window says so: each 429 asks for ten seconds. After `max_wait` in all, it is time to say so."""
    kit.make_tools(max_wait=40)
    kit.source.script = fail_always(RateLimited("slow down", 10))
    job = await kit.run(ask())
    assert job.state == "waiting_quota"
    assert 3 <= len(kit.source.log) <= 6


async def test_a_429_without_a_wait_is_no_invitation_to_hammer(kit: Kit) -> None:
    kit.make_tools(max_wait=20)
    kit.source.script = fail_always(RateLimited("slow down", 0))
    job = await kit.run(ask())
    assert job.state == "waiting_quota"
    assert len(kit.source.log) <= 22


async def test_listings_are_limited_and_retried_alike(kit: Kit) -> None:
    kit.source.listed = {"kraken": [listed("BTC")]}
    kit.source.script = fail(
        Transient("no"), RateLimited("slow", 20), Malformed("cut", "unparsable"), what="spot_instruments"
    )
    job = await kit.run(ask(market="kraken", instrument=None, pair_limit=1))
    assert job.state == "complete"
    calls = [call for call in kit.source.log if call.what == "spot_instruments"]
    assert len(calls) == 4
    assert calls[2].at - calls[1].at >= 20
    # A listing, a ranking; their repeats are retries.
    assert (job.counters.metadata_requests, job.counters.retries, job.counters.requests) == (2, 3, 1)


async def test_a_listing_that_cannot_be_had_fails_the_job(kit: Kit) -> None:
    kit.source.script = lambda call: Transient("down") if call.what == "spot_instruments" else None
    job = await kit.run(ask(market="kraken", instrument=None, pair_limit=1))
    assert (job.state, job.errors) == ("failed", ["down"])


def listed(base: str, market: str = "kraken", **fields: Any) -> Instrument:
    span = Recorded(fields.pop("first", TEN), fields.pop("last", None))
    given = {"history": {"trades": span}, "trades": 10, "status": "ACTIVE", "quote": "USD"}
    return Instrument(
        market=market, name=f"{base}-USD", exchange_symbol=f"X-{base}-USD", base=base, **{**given, **fields}
    )


# --- the budget


@pytest.mark.slow
async def test_a_plan_that_costs_too_much_is_refused_with_the_flag_that_allows_it(kit: Kit) -> None:
    job = await kit.run(ask(**LONG, max_requests=10))
    assert (job.state, isinstance(job.failure, BudgetRefused)) == ("failed", True)
    assert "the plan needs 11 requests" in job.errors[0]
    assert "--max_requests 11" in job.errors[0]
    assert kit.source.log == []
    allowed = await kit.run(ask(**LONG, max_requests=11))
    assert allowed.state == "complete"


@pytest.mark.slow
async def test_by_default_a_run_spends_a_tenth_of_what_is_left(kit: Kit) -> None:
    kit.source.limits = {86_400: 101}
    await kit.run(ask())
    job = await kit.run(ask(**LONG))
    assert isinstance(job.failure, BudgetRefused)
    assert "the day" in job.errors[0]
    assert "--max_requests 11" in job.errors[0]
    assert len(kit.source.log) == 1
    assert (await kit.run(ask(**LONG, max_requests=11))).state == "complete"


async def test_a_large_plan_asks_for_the_limits_first(kit: Kit) -> None:
    kit.source.limits = {86_400: 500}
    job = await kit.run(ask(start="2025-01-01", end="2025-06-15"))
    assert isinstance(job.failure, BudgetRefused)
    assert [call.what for call in kit.source.log] == ["rate_limit"]
    assert job.counters.metadata_requests == 1


# --- rows that cannot be


async def test_an_unusable_answer_is_quarantined_and_asked_again(kit: Kit) -> None:
    kit.source.script = fail(Malformed("the answer is HTML", "html", b"<html>\x1b[2J</html>"))
    job = await kit.run(ask())
    assert (job.state, job.counters.rows_quarantined, job.counters.rows_inserted) == ("complete", 1, 60)
    assert await kit.query('SELECT reason, start, "end", raw FROM quarantine') == [
        ("html", TEN, ELEVEN, "<html>\x1b[2J</html>")
    ]
    assert [(event.reason, event.rows) for event in kit.said(RowsQuarantined)] == [("html", 1)]


async def test_another_instruments_rows_are_never_stored(kit: Kit) -> None:
    """A cache in between answers with another's page, whole or in part."""
    ethereum = KEY._replace(instrument="ETH-USD")
    groups = SPOT_OHLCV.default_groups

    def swapped(rows: Rows) -> Rows:
        return [kit.source.row(SPOT_OHLCV, ethereum, row.timestamp, groups) for row in rows]

    kit.source.script = edit(swapped)
    job = await kit.run(ask())
    assert (job.state, job.counters.retries) == ("complete", 1)
    assert await stored(kit) == truth(TEN, ELEVEN)
    assert await kit.query("SELECT reason FROM quarantine") == [("another_instrument",)]

    kit.source.script = lambda call: (lambda rows: swapped(rows[:20]) + rows[20:]) if call.number == 3 else None
    part = await kit.run(ask(start="2025-06-15T08:00", end="2025-06-15T09:00"))
    assert (part.state, part.counters.rows_quarantined) == ("complete_with_gaps", 20)
    # The probe for the start found the bar before the first usable one.
    assert await stored(kit) == truth(TEN - 7_200 + 1_140, TEN - 3_600) + truth(TEN, ELEVEN)
    assert await kit.query("SELECT instrument FROM series") == [("BTC-USD",)]


async def test_rejected_rows_leave_a_gap_that_says_so(kit: Kit) -> None:
    def spoil(rows: Rows) -> Rows:
        rows[10].volume = -1.0
        rows[11].unit = "HOUR"
        return rows

    kit.source.script = edit(spoil)
    job = await kit.run(ask())
    assert (job.state, job.counters.rows_quarantined, job.counters.gaps_open) == ("complete_with_gaps", 2, 1)
    [gap] = kit.said(GapFound)
    assert (gap.start, gap.end, gap.cause) == (TEN + 600, TEN + 720, "rejected_rows")
    assert len(await stored(kit)) == 58
    # Received = stored + quarantined.
    counters = job.counters
    assert counters.rows_fetched == counters.rows_inserted + counters.rows_quarantined


# --- gaps


async def test_a_hole_is_a_gap_until_it_was_seen_twice_or_filled(kit: Kit) -> None:
    kit.source.holes = {TEN + 120, TEN + 180, TEN + 600}
    first = await kit.run(ask())
    assert (first.state, first.counters.gaps_open) == ("complete_with_gaps", 2)
    assert [(gap.start, gap.end, gap.cause) for gap in kit.said(GapFound)] == [
        (TEN + 120, TEN + 240, "unknown"),
        (TEN + 600, TEN + 660, "unknown"),
    ]

    soon = await kit.run(ask())
    assert (soon.state, soon.counters.requests, soon.counters.gaps_open) == ("complete_with_gaps", 0, 2)

    await kit.clock.sleep(FIRST_RECHECK_SECONDS)
    kit.source.holes = {TEN + 120, TEN + 180}
    later = await kit.run(ask())
    assert later.counters.requests == 2, "each gap is asked for by itself"
    assert later.counters.rows_inserted == 1
    # What is left was seen twice: the vendor does not have it, which is an explanation.
    assert (later.state, later.counters.gaps_open) == ("complete", 1)


async def test_an_empty_answer_is_no_news_that_all_is_well(kit: Kit) -> None:
    kit.source.script = edit(lambda _rows: [])
    job = await kit.run(ask())
    assert (job.state, job.counters.gaps_open) == ("complete_with_gaps", 1)
    assert await kit.query('SELECT start, "end", cause FROM gap') == [(TEN, ELEVEN, "unknown")]
    [gap_alert] = [event for event in kit.said(AlertChanged) if event.rule == "gaps_open"] or [None]
    assert gap_alert is None, "alerts about whole jobs are the engine's"


async def test_gaps_outside_what_was_asked_for_are_not_this_runs_business(kit: Kit) -> None:
    kit.source.holes = {TEN + 120}
    await kit.run(ask())
    other = await kit.run(ask(start="2025-06-15T08:00", end="2025-06-15T09:00"))
    assert (other.state, other.counters.gaps_open) == ("complete", 0)


# --- where a history begins


async def test_a_short_first_page_is_settled_by_one_probe(kit: Kit) -> None:
    kit.source.first = TEN + 1_200
    job = await kit.run(ask())
    assert (job.state, job.counters.gaps_open) == ("complete", 0)
    assert [call.window for call in kit.source.log] == [Window(TEN, ELEVEN), Window(TEN + 1_140, TEN + 1_200)]
    assert await kit.query("SELECT history_start FROM series WHERE interval <> ''") == [(TEN + 1_200,)]
    assert await stored(kit) == truth(TEN + 1_200, ELEVEN)
    again = await kit.run(ask())
    assert (again.state, again.counters.requests) == ("complete", 0)


async def test_a_probe_that_finds_a_bar_proves_a_gap(kit: Kit) -> None:
    kit.source.script = lambda call: (lambda rows: rows[20:]) if call.number == 1 else None
    job = await kit.run(ask())
    assert [call.window for call in kit.source.log] == [Window(TEN, ELEVEN), Window(TEN + 1_140, TEN + 1_200)]
    assert (job.state, job.counters.gaps_open) == ("complete_with_gaps", 1)
    assert await kit.query("SELECT history_start FROM series WHERE interval <> ''") == [(None,)]
    assert await kit.query('SELECT start, "end" FROM gap') == [(TEN, TEN + 1_140)]


async def test_an_unknown_start_is_found_without_a_gap_and_without_asking_further(kit: Kit) -> None:
    """Newest pages first: one page holds the start, the next is answered 404, the older ones are pointless."""
    kit.source.first = parse_time("2025-06-10T07:00")
    job = await kit.run(ask(**LONG, parallel_workers=1))
    assert (job.state, job.counters.gaps_open, job.windows_done) == ("complete", 0, 11)
    assert job.plan is not None
    assert len(kit.source.log) == 5 < job.plan.requests
    assert await kit.query("SELECT history_start, min(ts) FROM series, spot_ohlcv") == [(kit.source.first,) * 2]


@pytest.mark.parametrize("slow", [0, 1, 2, 3])
async def test_in_whatever_order_the_start_is_learned_there_is_no_gap_before_it(kit: Kit, slow: int) -> None:
    """The page that holds the start may be answered after an older one has settled it."""
    kit.source.first = parse_time("2025-06-14T07:00")
    kit.source.latency = iter([3.0 if at == slow else 0.1 for at in range(100)]).__next__
    job = await kit.run(ask(start="2025-06-10", end="2025-06-15"))
    assert (job.state, job.counters.gaps_open) == ("complete", 0)
    assert await kit.query("SELECT count(*) FROM gap") == [(0,)]


async def test_a_listing_is_believed_when_the_first_bar_agrees(kit: Kit) -> None:
    kit.source.first = TEN
    kit.source.listed = {"kraken": [listed("BTC")]}
    job = await kit.run(ask(market="kraken", instrument="BTC-USD", start="listing"))
    assert (job.state, job.counters.requests) == ("complete", 1)
    assert await kit.query("SELECT history_start FROM series WHERE interval <> ''") == [(TEN,)]


async def test_a_listing_that_is_wrong_costs_one_probe(kit: Kit) -> None:
    kit.source.first = TEN + 600
    kit.source.listed = {"kraken": [listed("BTC")]}
    job = await kit.run(ask(market="kraken", instrument="BTC-USD", start="listing"))
    assert (job.state, job.counters.requests, job.counters.gaps_open) == ("complete", 2, 0)
    assert await kit.query("SELECT history_start FROM series WHERE interval <> ''") == [(TEN + 600,)]


async def test_a_delisted_series_ends_with_its_last_trade(kit: Kit) -> None:
    kit.source.first, kit.source.last = TEN, TEN + 1_800
    kit.source.listed = {"kraken": [listed("BTC", status="RETIRED", last=TEN + 1_805)]}
    job = await kit.run(ask(instrument="BTC-USD", start="listing", end=None))
    assert (job.state, job.counters.gaps_open) == ("complete", 0)
    assert await stored(kit) == truth(TEN, TEN + 1_860)


@pytest.mark.parametrize("first", [TEN + 600, ELEVEN - 60, NOW + 86_400, 1_750_000_000_000, -1])
async def test_a_start_that_cannot_be_is_not_believed(kit: Kit, first: int) -> None:
    """The vendor says that there is nothing before a time that lies inside the window, or in the future."""
    kit.source.script = fail_always(NothingBefore("nothing", first))
    job = await kit.run(ask())
    assert (job.state, job.windows_failed) == ("failed", 1)
    assert await kit.query("SELECT history_start FROM series WHERE interval <> ''") == [(None,)]
    kit.source.script = fail()
    again = await kit.run(ask())
    assert (again.state, again.counters.rows_inserted) == ("complete", 60)


# --- whose data


async def test_two_origins_are_never_mixed(kit: Kit) -> None:
    kit.source.origin = "sandbox:7"
    await kit.run(ask())
    kit.source.origin = "coindesk"
    job = await kit.run(ask(start="2025-06-15T08:00", end="2025-06-15T09:00"))
    assert job.state == "failed"
    assert "holds data of sandbox:7; it refuses coindesk" in job.errors[0]
    assert await stored(kit) == truth(TEN, ELEVEN)


async def test_a_job_says_what_it_does(kit: Kit) -> None:
    await kit.run(ask(label="nightly"))
    states = [event.state for event in kit.said(JobChanged)]
    assert list(dict.fromkeys(states)) == ["planning", "running", "complete"]
    last = kit.said(JobChanged)[-1]
    assert (last.label, last.series_total, last.series_done, last.windows_done) == ("nightly", 1, 1, 1)
    assert last.last_bar == ELEVEN - 60
    assert [event.text for event in kit.said(LogLine)] == [
        "plan: 1 series, 1 request, 60 rows",
        "complete: 1 window, 60 new rows",
    ]


async def test_a_backoff_may_be_chosen(kit: Kit) -> None:
    kit.make_tools(backoff=Backoff(attempts=2))
    kit.source.script = fail_always(Transient("no"))
    await kit.run(ask())
    assert len(kit.source.log) == 2


@pytest.mark.slow
@pytest.mark.parametrize("order", ["newest", "oldest"])
async def test_every_page_that_was_audited_counts_in_whatever_order_they_came(kit: Kit, order: str) -> None:
    """Two pages a day of a history of seven: after four days all were read once more, and none much oftener."""
    kit.make_tools(audit_days=4)
    kit.source.first = NOW - 7 * 2_000 * 60
    everything = ask(start=iso(kit.source.first), end=iso(NOW - 600), order=order)
    await kit.run(everything)
    await kit.run(everything)  # the audit begins with one page
    read: list[int] = []
    for _ in range(4):
        await kit.clock.sleep(86_400)
        before = len(kit.source.history_calls())
        await kit.run(everything)
        read += [call.window.start for call in kit.source.history_calls()[before:] if call.window]
    assert len(set(read)) >= 6
    assert len(read) <= 9


async def test_a_selection_that_chooses_nothing_says_so(kit: Kit) -> None:
    kit.source.listed = {"kraken": []}
    job = await kit.run(ask(instrument=None, start=None, end=None, pair_limit=3))
    assert job.state == "complete"
    said = [(line.level, line.text) for line in kit.said(LogLine)]
    assert ("warning", "the selection chooses no series: there is nothing to ask for") in said
