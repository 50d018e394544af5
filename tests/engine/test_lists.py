"""Jobs of reference lists, and what selections learn from lists: freshness, changes, dead and renamed instruments."""

import asyncio
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from engine_kit import NOW, Kit, ask

from core.datasets import SeriesKey
from core.engine.engine import Engine
from core.engine.job import Job
from core.engine.planning import make_plan
from core.engine.tools import RunnerOptions
from core.engine.warm import warm_on_start
from core.errors import Malformed, Rejected, Transient
from core.events import AlertChanged, LogLine, WindowFailed
from core.operations import make_operation
from core.sources import Instrument, Recorded, Row
from tests.fakes import Call, row_of

KRAKEN = SeriesKey("spot_instruments", "kraken")
SPOT = SeriesKey("exchange_metadata", "spot")
DAY = 86_400
FRESH = RunnerOptions().listing_ttl


def listed(name: str, symbol: str = "", **fields: Any) -> Instrument:
    """A spot pair that has traded for a week."""
    base, quote = name.split("-")
    span = Recorded(fields.pop("first", NOW - 7 * DAY), fields.pop("last", NOW))
    given = {"quote_id": 5, "history": {"trades": span}, "status": "ACTIVE", "trades": 9, **fields}
    return Instrument("kraken", name, symbol or f"X{base}", base=base, quote=quote, **given)


def days(kit: Kit, *found: Instrument, **fields: Any) -> Any:
    """Daily candles of all that kraken lists now, unless `fields` say otherwise."""
    kit.source.listed = {"kraken": list(found)}
    given = {} if "pair_limit" in fields else {"instrument": "/./"}
    return kit.run(make_operation({"data_type": "spot_ohlcv", "market": "kraken", **given, **fields}))


async def lists(kit: Kit, data_type: str, **fields: Any) -> Job:
    return await kit.run(make_operation({"data_type": data_type, **fields}))


def calls(kit: Kit) -> list[str]:
    """What was asked for, histories by instrument."""
    return [" ".join(filter(None, (call.what, _instrument(call)))) for call in kit.source.log]


def _instrument(call: Call) -> str:
    return call.key.instrument if call.key is not None and call.what == "history" else ""


def asked(kit: Kit) -> list[str]:
    found = calls(kit)
    kit.source.log.clear()
    return found


def said(kit: Kit) -> list[str]:
    return [event.text for event in kit.said(LogLine) if event.source == "catalog"]


# --- jobs of lists


async def test_a_list_is_asked_for_when_it_is_not_fresh(kit: Kit) -> None:
    kit.source.listed = {"kraken": [listed("BTC-USD"), listed("ETH-USD")]}
    first = await lists(kit, "spot_instruments", market="kraken,COINBASE")
    assert (first.state, first.windows_done, first.counters.metadata_requests, first.counters.requests) == (
        "complete",
        2,
        2,
        0,
    )
    assert (first.counters.rows_fetched, first.counters.rows_inserted) == (2, 2)
    assert [str(entry.state.key) for entry in first.progress.values()] == [
        "spot_instruments/kraken",
        "spot_instruments/coinbase",
    ]
    again = await lists(kit, "spot_instruments", market="kraken,coinbase")
    assert (again.state, again.windows_total, again.counters.metadata_requests) == ("complete", 0, 0)
    assert said(kit)[-1] == "still fresh: spot_instruments/kraken, spot_instruments/coinbase; --full_refresh asks again"
    forced = await lists(kit, "spot_instruments", market="kraken", full_refresh=True)
    assert (forced.counters.metadata_requests, forced.counters.rows_unchanged) == (1, 2)
    await kit.clock.sleep(FRESH)
    later = await lists(kit, "spot_instruments", market="kraken")
    assert (later.counters.metadata_requests, later.counters.rows_unchanged) == (1, 2)


@pytest.mark.parametrize(
    ("asked_for", "kinds"), [("spot", ["spot"]), ("futures", ["futures"]), ("all", ["spot", "futures"])]
)
async def test_exchanges_are_listed_by_kind(kit: Kit, asked_for: str, kinds: list[str]) -> None:
    job = await lists(kit, "exchange_metadata", exchange_type=asked_for)
    assert [entry.state.key.market for entry in job.progress.values()] == kinds
    assert job.counters.metadata_requests == len(kinds)


async def test_assets_come_by_pages_and_no_page_is_asked_for_that_is_not_there(kit: Kit) -> None:
    kit.source.assets = [f"A{at}" for at in range(230)]
    job = await lists(kit, "asset_metadata", asset_limit=1_000)
    assert (job.state, job.windows_done, job.windows_total, job.counters.metadata_requests) == ("complete", 3, 3, 3)
    assert (job.counters.rows_fetched, job.counters.rows_inserted) == (230, 230)
    assert asked(kit) == ["asset_metadata"] * 3
    assert await kit.query("SELECT count(*) FROM asset_metadata") == [(230,)]
    assert (await lists(kit, "asset_metadata", asset_limit=1_000)).counters.metadata_requests == 0
    assert (await lists(kit, "asset_metadata")).counters.metadata_requests == 0


@pytest.mark.parametrize(
    "fields",
    [
        {"data_type": "spot_instruments"},
        {"data_type": "futures_instruments", "market": "binance"},
        {"data_type": "exchange_metadata"},
        {"data_type": "asset_metadata"},
        {"data_type": "asset_metadata", "asset_limit": 250},
        {"data_type": "asset_metadata", "asset_limit": 250, "full_refresh": True},
        {"data_type": "spot_ohlcv", "pair_limit": 1},
        {"data_type": "spot_ohlcv", "market": "kraken", "instrument": "/BTC/"},
    ],
    ids=str,
)
@pytest.mark.parametrize("filled", [False, True])
async def test_what_is_planned_is_sent(kit: Kit, fields: dict[str, Any], filled: bool) -> None:
    kit.source.assets = [f"A{at}" for at in range(230)] + ["BTC"]
    kit.source.listed = {"kraken": [listed("BTC-USD")]}
    if filled:
        await lists(kit, "spot_instruments", market="kraken")
        await lists(kit, "asset_metadata")
        kit.source.log.clear()
    operation = make_operation(fields)
    kit.tools = replace(kit.tools, keeps=False, cache=kit.empty_cache())
    quoted = Job("plan", "", operation, 0.0)
    plan = await make_plan(quoted, kit.tools, lambda _: None, create=False)
    kit.source.log.clear()
    kit.tools = replace(kit.tools, keeps=True, cache=kit.empty_cache())
    job = await kit.run(operation)
    metadata = quoted.counters.metadata_requests + plan.metadata_requests
    assert (job.counters.metadata_requests, job.counters.requests) == (metadata, plan.requests)
    assert len(kit.source.log) == metadata + plan.requests
    assert job.state == "complete"


async def test_lists_are_tried_again_and_given_up_like_windows(kit: Kit) -> None:
    def script(call: Call) -> Exception | None:
        if call.key == KRAKEN and call.nth == 1:
            return Transient("no")
        if call.key == KRAKEN and call.nth == 2:
            return Malformed("cut", "unparsable", b"{")
        return Rejected("no such market") if call.key == KRAKEN._replace(market="nowhere") else None

    kit.source.script = script
    job = await lists(kit, "spot_instruments", market="kraken,nowhere")
    assert (job.state, job.windows_done, job.windows_failed) == ("complete_with_gaps", 1, 1)
    assert (job.counters.metadata_requests, job.counters.retries, job.counters.rows_quarantined) == (2, 2, 1)
    assert job.errors == ["spot_instruments/nowhere: no such market"]
    [failed] = kit.said(WindowFailed)
    assert failed.start == failed.end >= NOW
    assert await kit.query("SELECT error FROM failed_fetch") == [("no such market",)]
    assert await kit.query("SELECT reason, raw FROM quarantine") == [("unparsable", "{")]


async def test_an_instrument_that_was_named_has_to_be_listed(kit: Kit) -> None:
    kit.source.listed = {"kraken": [listed("BTC-USD", "XBT")]}
    named = {"market": "kraken", "instrument": "BTC-USD,XBT"}
    assert (await lists(kit, "spot_instruments", **named)).state == "complete"
    job = await lists(kit, "spot_instruments", market="kraken", instrument="XBT,NOPE-USD", full_refresh=True)
    assert (job.state, job.errors) == ("complete_with_gaps", ["--instrument NOPE-USD: kraken lists no such instrument"])


async def test_most_of_a_list_missing_is_a_fault_until_somebody_says_that_it_is_so(kit: Kit) -> None:
    many = [listed(f"C{at}-USD") for at in range(30)]
    kit.source.listed = {"kraken": many}
    await lists(kit, "spot_instruments", market="kraken")
    await kit.clock.sleep(FRESH)
    kit.source.listed = {"kraken": many[:10]}
    job = await lists(kit, "spot_instruments", market="kraken")
    assert job.state == "failed"
    assert "10 entries where 30 were listed" in job.errors[0]
    assert await kit.query("SELECT sum(is_listed) FROM spot_instruments") == [(30,)]
    # A selection does not believe it either.
    assert (await days(kit, *many[:10], pair_limit=1)).state == "failed"
    job = await lists(kit, "spot_instruments", market="kraken", full_refresh=True)
    assert (job.state, await kit.query("SELECT sum(is_listed) FROM spot_instruments")) == ("complete", [(10,)])


# --- what selections take from the store and leave there


async def test_a_second_engine_needs_no_call_for_what_the_first_one_asked(kit: Kit) -> None:
    job = await days(kit, listed("BTC-USD"), pair_limit=1)
    assert (job.counters.metadata_requests, job.counters.cache_misses) == (2, 2)
    kit.make_tools()
    kit.source.log.clear()
    again = await days(kit, listed("BTC-USD"), pair_limit=1)
    assert (again.counters.metadata_requests, again.counters.cache_hits) == (0, 2)
    assert asked(kit) == ["history BTC-USD"]
    await kit.clock.sleep(FRESH)
    assert (await days(kit, listed("BTC-USD"), pair_limit=1)).counters.metadata_requests == 2


async def test_the_cache_is_no_longer_fresh_than_the_store(kit: Kit) -> None:
    await days(kit, listed("BTC-USD"), pair_limit=1)
    kit.make_tools()
    await kit.clock.sleep(FRESH - 10)
    assert (await days(kit, listed("BTC-USD"), pair_limit=1)).counters.metadata_requests == 0
    await kit.clock.sleep(20)
    assert (await days(kit, listed("BTC-USD"), pair_limit=1)).counters.metadata_requests == 2


async def test_a_refreshed_list_takes_the_place_of_the_cached_one(kit: Kit) -> None:
    await days(kit, listed("BTC-USD"), instrument="BTC-USD")
    kit.source.listed = {"kraken": [listed("BTC-USD"), listed("ETH-USD")]}
    await lists(kit, "spot_instruments", market="kraken", full_refresh=True)
    job = await days(kit, listed("BTC-USD"), listed("ETH-USD"), instrument="ETH-USD")
    assert (job.state, job.counters.metadata_requests, job.counters.requests) == ("complete", 0, 1)


async def test_without_caching_the_vendor_is_asked(kit: Kit) -> None:
    await days(kit, listed("BTC-USD"), pair_limit=1)
    job = await days(kit, listed("BTC-USD"), pair_limit=1, enable_caching=False)
    assert job.counters.metadata_requests == 2
    assert (await lists(kit, "spot_instruments", market="kraken", enable_caching=False)).counters.metadata_requests == 1


@pytest.mark.parametrize("poison", [b"", b"{", b"null", b'[{"market":1}]', b"\xff", b"[" * 50_000])
async def test_a_poisoned_value_of_the_cache_is_a_miss(kit: Kit, poison: bytes) -> None:
    """Values of a shared cache may be of another version, cut or overwritten: each can be had again."""
    await days(kit, listed("BTC-USD"), pair_limit=1)
    await kit.tools.cache.cache.set("spot_instruments:kraken", poison, 60)
    job = await days(kit, listed("BTC-USD"), pair_limit=1)
    assert (job.state, job.counters.metadata_requests) == ("complete", 0)
    assert kit.tools.cache.kinds["spot_instruments"].poisoned == 1


def lists_are_away(call: Call) -> Transient | None:
    return None if call.what == "history" else Transient("HTTP 503")


async def test_while_the_vendor_is_away_an_old_list_is_used_and_said_to_be_old(kit: Kit) -> None:
    await days(kit, listed("BTC-USD"), pair_limit=1)
    for cache in (kit.tools.cache, kit.empty_cache()):
        kit.tools = replace(kit.tools, cache=cache)
        await kit.clock.sleep(FRESH)
        kit.source.script = lists_are_away
        job = await days(kit, listed("BTC-USD"), pair_limit=1)
        assert (job.state, job.errors) == ("complete", [])
        assert any("spot_instruments/kraken: the vendor does not answer" in text for text in said(kit))
    await kit.clock.sleep(8 * 86_400)
    assert (await days(kit, listed("BTC-USD"), pair_limit=1)).state == "failed"


# --- lists that are used while they are asked for anew, lists that are refused

REFRESHED_FOR = 3_600.0


async def long_after(kit: Kit, **options: Any) -> None:
    """A stored and cached list that was over a moment ago."""
    kit.make_tools(revalidate_for=REFRESHED_FOR, **options)
    await days(kit, listed("BTC-USD"), pair_limit=1)
    await kit.clock.sleep(FRESH)
    kit.source.log.clear()


async def test_a_job_uses_old_lists_at_once_and_ends_after_their_refresh(kit: Kit) -> None:
    await long_after(kit)
    kit.source.latency = lambda: 100.0
    job = await days(kit, listed("BTC-USD"), listed("ETH-USD"), instrument="BTC-USD")
    assert (job.state, job.counters.metadata_requests, job.counters.requests) == ("complete", 1, 1)
    assert sorted(calls(kit)) == ["history BTC-USD", "spot_instruments"]
    assert kit.source.most_in_flight == 2
    assert "spot_instruments/kraken: the list of 20.0 h ago is used while it is asked for anew" in said(kit)
    assert await kit.query("SELECT run_id FROM metadata_change") == [(job.run_id,)]
    later = await days(kit, listed("BTC-USD"), listed("ETH-USD"), instrument="ETH-USD")
    assert (later.state, later.counters.metadata_requests) == ("complete", 0)


async def test_jobs_side_by_side_refresh_a_list_once(kit: Kit) -> None:
    await long_after(kit)
    operation = make_operation({"data_type": "spot_ohlcv", "market": "kraken", "pair_limit": 1})
    async with Engine("e", kit.tools) as engine:
        jobs = [engine.submit(msgspec.structs.replace(operation, interval=one)) for one in ("1d", "1h", "1m")]
        for job in jobs:
            await engine.wait(job)
    assert [job.state for job in jobs] == ["complete"] * 3
    lists_asked = [call for call in calls(kit) if "history" not in call]
    assert sorted(lists_asked) == ["asset_metadata", "spot_instruments"]
    assert sum(job.counters.metadata_requests for job in jobs) == 2
    assert sum(job.counters.requests for job in jobs) == len(kit.source.history_calls())


async def test_what_has_to_be_fresh_is_waited_for(kit: Kit) -> None:
    await long_after(kit)
    new = [listed("BTC-USD"), listed("ETH-USD")]
    job = await days(kit, *new, instrument="ETH-USD", full_refresh=True, yes=True)
    assert (job.state, job.counters.metadata_requests) == ("complete", 1)
    assert not any("is used" in text for text in said(kit))


async def test_a_refresh_that_fails_costs_a_warning(kit: Kit) -> None:
    await long_after(kit)
    kit.source.script = lambda call: None if call.what == "history" else Rejected("gone")
    job = await days(kit, listed("BTC-USD"), instrument="BTC-USD")
    assert (job.state, job.errors, job.counters.metadata_requests) == ("complete", [], 1)
    assert "spot_instruments/kraken could not be refreshed: gone" in said(kit)


async def test_a_job_that_is_cancelled_leaves_no_refresh_behind(kit: Kit) -> None:
    await long_after(kit)
    kit.source.latency = lambda: 1e6
    operation = make_operation({"data_type": "spot_ohlcv", "market": "kraken", "instrument": "BTC-USD"})
    async with Engine("e", kit.tools) as engine:
        job = engine.submit(operation)
        await kit.clock.sleep(10)
        await engine.cancel_all()
    assert (job.state, [task.done() for task in job.refreshes]) == ("cancelled", [True])
    assert job.counters.metadata_requests + job.counters.requests == len(kit.source.log)


def without_nowhere(call: Call) -> Rejected | None:
    return Rejected("HTTP 404: no such market") if call.key and call.key.market == "nowhere" else None


async def test_a_refused_list_is_asked_for_once_by_a_hundred_jobs(kit: Kit) -> None:
    kit.source.script = without_nowhere
    jobs = [await days(kit, listed("BTC-USD"), market="nowhere", pair_limit=1) for _ in range(100)]
    assert [call for call in calls(kit) if call == "spot_instruments"] == ["spot_instruments"]
    assert jobs[0].errors == ["--market HTTP 404: no such market"]
    assert jobs[99].errors == ["--market HTTP 404: no such market (so the vendor said 0 s ago)"]
    assert {job.state for job in jobs} == {"failed"}
    assert kit.tools.cache.kinds["spot_instruments"].refused == 99
    assert (jobs[99].counters.metadata_requests, jobs[99].counters.cache_hits) == (0, 1)
    await kit.clock.sleep(300)
    assert (await days(kit, listed("BTC-USD"), market="nowhere", pair_limit=1)).counters.metadata_requests == 1


async def test_a_refused_list_that_is_there_after_all_is_used(kit: Kit) -> None:
    kit.source.script = without_nowhere
    await days(kit, listed("BTC-USD"), market="nowhere", pair_limit=1)
    kit.source.script = lambda _call: None
    await lists(kit, "spot_instruments", market="nowhere")
    assert (await days(kit, market="nowhere", pair_limit=1)).state == "complete"


@pytest.mark.parametrize("how", [{"enable_caching": False}, {}], ids=["without caching", "set to nothing"])
async def test_refusals_need_not_be_remembered(kit: Kit, how: dict[str, Any]) -> None:
    kit.make_tools(refused_for=300.0 if how else 0.0)
    kit.source.script = without_nowhere
    for _ in range(3):
        assert (await days(kit, market="nowhere", pair_limit=1, **how)).counters.metadata_requests == 1


async def test_an_engine_that_is_warmed_says_so(kit: Kit) -> None:
    kit.source.listed = {"kraken": [listed("BTC-USD")]}
    async with Engine("e", kit.tools) as engine:
        await warm_on_start(engine)
        called = len(kit.source.log)
        await warm_on_start(engine)
    assert len(kit.source.log) == called == 9
    told = [event.text for event in kit.said(LogLine) if event.source == "cache"]
    assert told == [f"the cache is warm: 9 lists, {calls} for them" for calls in ("9 calls", "0 calls")]
    assert (await days(kit, listed("BTC-USD"), pair_limit=1)).counters.metadata_requests == 0


async def test_warming_that_fails_is_said_and_harms_nobody(kit: Kit) -> None:
    kit.source.script = lambda _call: Rejected("no")
    async with Engine("e", kit.tools) as engine:
        await warm_on_start(engine)
    told = [event.text for event in kit.said(LogLine) if event.source == "cache"]
    assert told == ["the cache could not be warmed: not all lists are there, see the jobs"]


async def test_only_planning_leaves_nothing_behind(kit: Kit) -> None:
    kit.tools = replace(kit.tools, keeps=False)
    kit.source.listed = {"kraken": [listed("BTC-USD")]}
    operation = make_operation({"data_type": "spot_ohlcv", "market": "kraken", "pair_limit": 1})
    for misses in (2, 0):
        job = Job("plan", "", operation, 0.0)
        plan = await make_plan(job, kit.tools, lambda _: None, create=False)
        assert (plan.requests, job.counters.metadata_requests) == (1, misses)
    assert await kit.query("SELECT count(*) FROM series") == [(0,)]
    assert await kit.query("SELECT count(*) FROM spot_instruments") == [(0,)]


async def test_a_selection_notices_what_changed(kit: Kit) -> None:
    await days(kit, listed("BTC-USD"), pair_limit=1)
    await kit.clock.sleep(FRESH)
    job = await days(kit, listed("BTC-USD"), listed("ETH-USD"), pair_limit=1)
    assert await kit.query("SELECT change, entity, run_id FROM metadata_change") == [("listed", "ETH-USD", job.run_id)]
    assert "spot_instruments/kraken: 1 listed; see: tapewatch changes" in said(kit)


# --- lives of instruments


async def test_a_renamed_instrument_is_not_bought_again(kit: Kit) -> None:
    old, new = listed("MATIC-USD", "M", base_id=50), listed("POL-USD", "M", base_id=50)
    await days(kit, old)
    [stored] = await kit.query("SELECT id, rows FROM series WHERE interval <> ''")
    kit.source.log.clear()
    await kit.clock.sleep(DAY)
    job = await days(kit, new)
    assert (job.state, job.counters.requests, job.counters.rows_inserted) == ("complete", 1, 1)
    assert asked(kit) == ["spot_instruments", "history POL-USD"]
    assert not [text for text in said(kit) if "not listed" in text]
    assert await kit.query("SELECT id, instrument, rows FROM series WHERE interval <> ''") == [
        (stored[0], "POL-USD", stored[1] + 1)
    ]
    by_old_name = await days(kit, new, instrument="MATIC-USD")
    assert [str(entry.state.key) for entry in by_old_name.progress.values()] == ["spot_ohlcv/kraken/POL-USD/1d"]
    assert by_old_name.counters.rows_inserted == 0


async def test_a_delisted_instrument_gets_a_last_sweep_and_costs_nothing_after_that(kit: Kit) -> None:
    await days(kit, listed("BTC-USD"), listed("OLD-USD"))
    await kit.clock.sleep(3 * DAY)
    kit.source.log.clear()
    died = int(kit.clock.wall()) - DAY
    dead = listed("OLD-USD", status="RETIRED", last=died)
    swept = await days(kit, listed("BTC-USD"), dead)
    assert asked(kit) == ["spot_instruments", "history BTC-USD", "history OLD-USD"]
    assert swept.state == "complete"
    assert await kit.query("SELECT last_bar FROM series WHERE instrument = 'OLD-USD'") == [(died - died % DAY,)]
    for _ in range(3):
        await kit.clock.sleep(DAY)
        job = await days(kit, listed("BTC-USD"), dead)
        assert asked(kit) == ["spot_instruments", "history BTC-USD"]
        assert [str(entry.state.key) for entry in job.progress.values()] == ["spot_ohlcv/kraken/BTC-USD/1d"]
    full = {"instrument": "OLD-USD", "start": "2025-01-01", "end": "2030-01-01"}
    job = await days(kit, listed("BTC-USD"), dead, **full)
    assert (job.state, asked(kit)) == ("complete", [])


@pytest.mark.parametrize("how", ["retired", "missing"])
async def test_the_end_of_an_instrument_that_is_followed_is_told_until_the_next_list(kit: Kit, how: str) -> None:
    never = listed("NEVER-USD")
    await days(kit, listed("BTC-USD"), listed("OLD-USD"), never, instrument="BTC-USD,OLD-USD")
    await kit.clock.sleep(DAY)
    ended = [listed("OLD-USD", status="RETIRED")] if how == "retired" else []
    gone = [listed("BTC-USD"), *ended, listed("NEVER-USD", status="RETIRED")]
    for expected in ("firing", "resolved", "resolved"):
        await days(kit, *gone, instrument="BTC-USD", enable_caching=False)
        told = [event for event in kit.said(AlertChanged) if event.rule == "instrument_retired"]
        assert {event.source for event in told} == {"spot_instruments/kraken/OLD-USD"}
        assert (told[-1].state, told[-1].level) == (expected, "INFO")
        await kit.clock.sleep(DAY)


async def test_a_dead_instrument_that_was_never_stored_is_left_alone(kit: Kit) -> None:
    job = await days(kit, listed("BTC-USD"), listed("OLD-USD", status="RETIRED"))
    assert [call for call in calls(kit) if call.startswith("history")] == ["history BTC-USD"]
    assert job.state == "complete"


async def test_what_vanished_from_the_list_costs_nothing_and_is_told_of(kit: Kit) -> None:
    await days(kit, listed("BTC-USD"), listed("GONE-USD"))
    kit.source.log.clear()
    await kit.clock.sleep(DAY)
    job = await days(kit, listed("BTC-USD"))
    assert asked(kit) == ["spot_instruments", "history BTC-USD"]
    assert job.state == "complete"
    words = "1 stored series are not listed any more: nothing is asked for them (kraken/GONE-USD)"
    assert said(kit)[-1] == words
    named = await days(kit, listed("BTC-USD"), instrument="GONE-USD", start="2025-06-01", end="2030-01-01")
    assert (named.state, asked(kit)) == ("complete", [])
    back = await days(kit, listed("BTC-USD"), listed("GONE-USD"), enable_caching=False)
    assert (back.state, "history GONE-USD" in asked(kit)) == ("complete", True)


async def test_a_reused_ticker_blocks_its_series_until_they_are_dropped(kit: Kit) -> None:
    await days(kit, listed("BTC-USD"), listed("LUNA-USD", base_id=40))
    rows = await kit.query("SELECT * FROM spot_ohlcv JOIN series ON id = series_id WHERE instrument = 'LUNA-USD'")
    kit.source.log.clear()
    await kit.clock.sleep(DAY)
    other = listed("LUNA-USD", base_id=41)
    for _ in range(2):
        job = await days(kit, listed("BTC-USD"), other)
        assert (job.state, job.left_out, len(job.progress)) == ("complete_with_gaps", 1, 1)
        assert "spot_ohlcv/kraken/LUNA-USD/1d is blocked: since 2025-06-16T" in job.errors[0]
        assert "tapewatch series drop spot_ohlcv/kraken/LUNA-USD/1d --yes" in job.errors[0]
        assert "history LUNA-USD" not in asked(kit)
    assert await kit.query("SELECT * FROM spot_ohlcv JOIN series ON id = series_id WHERE instrument = 'LUNA-USD'") != []
    assert len(rows) == 8
    alerts = [event for event in kit.said(AlertChanged) if event.rule == "ticker_reuse"]
    assert [(alert.level, alert.state, alert.source) for alert in alerts] == [("CRITICAL", "firing", "kraken/LUNA-USD")]
    await kit.store.drop(SeriesKey("spot_ohlcv", "kraken", "LUNA-USD", "1d"))
    job = await days(kit, listed("BTC-USD"), other)
    assert (job.state, "history LUNA-USD" in asked(kit)) == ("complete", True)
    assert [event.state for event in kit.said(AlertChanged) if event.rule == "ticker_reuse"] == ["firing", "resolved"]


async def test_a_job_that_runs_while_a_ticker_is_reused_writes_nothing_more(kit: Kit) -> None:
    """Its plan was made before; what comes after belongs to the other asset."""
    kit.source.listed = {"kraken": [listed("LUNA-USD", base_id=40)]}
    await lists(kit, "spot_instruments", market="kraken")
    asked_for = {
        "market": "kraken",
        "instrument": "LUNA-USD",
        "start": "2025-06-01",
        "end": "2025-06-14",
        "interval": "1m",
    }
    runner = kit.runner(make_operation({"data_type": "spot_ohlcv", "parallel_workers": 1, **asked_for}))

    def script(call: Call) -> None:
        if call.what == "history" and call.number == 3:
            other = kit.runner(
                make_operation({"data_type": "spot_instruments", "market": "kraken", "full_refresh": True})
            )
            kit.source.listed = {"kraken": [listed("LUNA-USD", base_id=41)]}
            meanwhile.append(asyncio.ensure_future(other.run()))

    meanwhile: list[asyncio.Future[None]] = []
    kit.source.script = script
    kit.source.latency = lambda: 1.0
    await runner.run()
    await asyncio.gather(*meanwhile)
    assert runner.job.state == "complete_with_gaps"
    assert "LUNA-USD/1m" in runner.job.errors[0]
    assert "is blocked: since" in runner.job.errors[0]
    stored = await kit.query("SELECT rows FROM series WHERE interval = '1m'")
    assert 0 < stored[0][0] < 13 * 1_440


async def test_a_universe_stays_whatever_the_ranking_says(kit: Kit) -> None:
    keys = [SeriesKey("spot_ohlcv", "kraken", name, "1d") for name in ("ETH-USD", "OLD-USD")]
    await kit.store.create_universe("coindesk", "mine", [*keys, keys[0]._replace(interval="1h")])
    listing = [listed("BTC-USD"), listed("ETH-USD"), listed("OLD-USD", status="RETIRED", last=NOW - DAY)]
    kit.source.listed = {"kraken": listing}
    job = await kit.run(make_operation({"data_type": "spot_ohlcv", "universe": "mine"}))
    assert [entry.state.key for entry in job.progress.values()] == keys
    assert job.state == "complete"
    job = await kit.run(make_operation({"data_type": "spot_ohlcv", "universe": "mine", "interval": "1m"}))
    assert (job.state, job.errors) == ("failed", ["--universe mine: it lists no series of spot_ohlcv 1m"])
    job = await kit.run(make_operation({"data_type": "spot_ohlcv", "universe": "yours"}))
    assert job.errors == ["there is no universe yours; stored: mine"]


async def test_a_grade_costs_one_list_and_an_hour_nothing_more(kit: Kit) -> None:
    def exchange(name: str, grade: str | None) -> Row:
        return row_of("exchange_metadata", market=name, ccdata_latest_spot_benchmark_grade=grade)

    kit.source.lists[SPOT] = [exchange("kraken", "AA"), exchange("small", "D"), exchange("nobody", None)]
    kit.source.listed = {"kraken": [listed("BTC-USD")]}
    graded = make_operation({"data_type": "spot_ohlcv", "min_grade": "BB", "pair_limit": 5})
    job = await kit.run(graded)
    assert asked(kit) == ["exchange_metadata", "spot_instruments", "asset_metadata", "history BTC-USD"]
    assert job.state == "complete"
    assert (await kit.run(graded)).counters.metadata_requests == 0


async def test_names_that_are_swapped_while_a_job_runs_join_no_two_assets(kit: Kit) -> None:
    """Answers to questions by a name that is another one's by now are not stored."""
    old, young = {"base_id": 40, "first": NOW - DAY}, {"base_id": 41, "first": NOW - DAY}
    candles = ask(instrument="/LUN/", start=None, end=None)
    kit.source.listed = {"kraken": [listed("LUNA-USD", "L1", **old), listed("LUNA2-USD", "L2", **young)]}
    kit.source.first = NOW - DAY
    kit.source.latency = lambda: 10.0
    kit.source.script = lambda call: Rejected("asked before") if call.what == "history" else None
    await kit.run(candles)  # so that the series are there
    kit.source.script = lambda _call: None
    running = asyncio.create_task(kit.run(candles))
    await kit.clock.sleep(5)
    kit.source.latency = lambda: 1.0
    kit.source.listed = {"kraken": [listed("LUNC-USD", "L1", **old), listed("LUNA-USD", "L2", **young)]}
    await lists(kit, "spot_instruments", market="kraken", full_refresh=True)
    job = await running
    assert sorted(text.partition(": ")[2] for text in job.errors) == [
        f"spot_ohlcv/kraken/{before}/1m is called {now} since the job began: run it again"
        for before, now in (("LUNA-USD", "LUNC-USD"), ("LUNA2-USD", "LUNA-USD"))
    ]
    assert await kit.query("SELECT count(*) FROM spot_ohlcv") == [(0,)]
    assert (await kit.run(candles)).state == "complete"
    assert await kit.query("SELECT instrument, rows FROM series WHERE interval <> '' ORDER BY 1") == [
        ("LUNA-USD", 1_441), ("LUNC-USD", 1_441),
    ]  # fmt: skip


async def test_a_dead_instrument_that_the_vendor_has_forgotten_is_left_alone(kit: Kit) -> None:
    """Its last sweep is tried twice; what is missing stays known, and a repair may still ask."""
    await days(kit, listed("BTC-USD"), listed("ETH-USD"))
    gone = listed("ETH-USD", status="RETIRED", last=NOW + 600)

    def forget(call: Call) -> Exception | None:
        return Rejected("not found") if call.what == "history" and _instrument(call) == "ETH-USD" else None

    kit.source.script = forget
    states = []
    for _ in range(4):
        await kit.clock.sleep(2 * DAY)
        kit.source.log.clear()
        job = await days(kit, listed("BTC-USD", last=NOW + 30 * DAY), gone)
        states.append((job.state, calls(kit).count("history ETH-USD")))
    assert states == [("complete_with_gaps", 1), ("complete_with_gaps", 1), ("complete", 0), ("complete", 0)]
    kit.source.script = lambda _call: None
    await days(kit, listed("BTC-USD"), gone, repair="open", instrument="ETH-USD")
    assert await kit.query("SELECT count(*) FROM failed_fetch") == [(0,)]
