"""Commands that start work or say what it would cost, as clients of the control socket give them."""

from typing import Any

import pytest
from engine_kit import Kit, ask

from core.batch import Batch
from core.engine.commands import COMMANDS_OWN, Commands
from core.engine.engine import Engine
from core.engine.job import Job
from core.engine.quotes import LISTED_SERIES
from core.errors import ConfigError, Rejected, TapewatchError
from core.sources import Instrument
from core.windows import parse_time
from tests.fakes import Call

TEN = parse_time("2025-06-15T10:00")
TWO = {"instrument": "BTC-USD,ETH-USD"}


async def ended(engine: Engine, answer: Any) -> list[Job]:
    """The jobs that a command answered with, once they have ended."""
    names = answer["jobs"] if "jobs" in answer else [answer["job"]]
    jobs = [engine.jobs[name] for name in names]
    for job in jobs:
        await engine.wait(job)
    return jobs


def given(*operations: Any, **head: Any) -> dict[str, Any]:
    return {**Batch(operations=tuple(operations)).given(), **head}


async def test_a_quote_says_what_the_same_batch_then_costs(kit: Kit) -> None:
    async with Engine("e", kit.tools) as engine:
        commands = Commands(engine)
        batch = given(ask(**TWO), ask(interval="1h", start="2025-01-01", end="2025-06-01"), max_requests=9)
        quote: Any = await commands.handle("quote", batch)
        assert kit.source.history_calls() == []
        assert engine.jobs == {}
        jobs = await ended(engine, await commands.handle("submit_batch", batch))
    assert [each["requests"] for each in quote["operations"]] == [job.counters.requests for job in jobs] == [2, 2]
    assert (quote["requests"], quote["rows"], quote["series_total"]) == (4, 120 + 151 * 24, 3)
    assert quote["series"][0]["series"] == "spot_ohlcv/kraken/BTC-USD/1m"
    assert quote["budget"] == {"requests": 9, "by": "--max_requests", "is_enough": True}
    assert {"bytes", "minutes", "windows", "quota", "month", "disk", "errors"} <= quote.keys()


async def test_a_quote_lists_so_many_series_and_counts_all(kit: Kit) -> None:
    names = [f"A{number}-USD" for number in range(LISTED_SERIES + 5)]
    async with Engine("e", kit.tools) as engine:
        quote: Any = await Commands(engine).handle("quote", given(ask(instrument=names)))
    assert (len(quote["series"]), quote["series_total"]) == (LISTED_SERIES, LISTED_SERIES + 5)
    assert "series" not in quote["operations"][0]


async def test_lists_that_a_quote_asked_for_are_kept(kit: Kit) -> None:
    kit.source.listed = {"kraken": [Instrument("kraken", "BTC-USD", "XXBTZUSD", "ACTIVE", "BTC", "USD", {})]}
    batch = given(ask(instrument=None, pair_limit=1, start=None, end=None))
    async with Engine("e", kit.tools) as engine:
        await Commands(engine).handle("quote", batch)
        asked = len(kit.source.log)
        await kit.tools.cache.drop("*")
        await Commands(engine).handle("quote", batch)
    assert len(kit.source.log) == asked > 0


@pytest.mark.parametrize(
    ("command", "args", "words"),
    [
        ("quote", {}, "operations: write a list"),
        ("quote", given(ask(instrument="NO-SUCH", start=None, end=None)), "no such spot instrument"),
        ("repair", {}, "nothing to repair: these series have no gaps and no failed windows"),
        ("repair", {"series": ["x"]}, "'x' is not a series"),
        ("repair", {"serie": []}, "unknown field `serie`"),
        ("repair", {"max_requests": 0}, ">= 1"),
        ("repair", {"all": "yes"}, "Expected `bool`"),
        ("warm_cache", {"markets": "kraken"}, "Expected `array`"),
        ("clear_cache", {"patterns": ["x" * 501]}, "length <= 500"),
        ("retry", {"job": "j", "failed": 1}, "Expected `bool`"),
    ],
)
async def test_what_cannot_be_done_is_said_in_a_sentence(kit: Kit, command: str, args: Any, words: str) -> None:
    async with Engine("e", kit.tools) as engine:
        with pytest.raises(TapewatchError, match=words) as caught:
            await Commands(engine).handle(command, args)
        assert str(caught.value).isprintable()
        assert engine.jobs == {}


async def test_a_repair_costs_what_it_says_and_closes_the_gap(kit: Kit) -> None:
    kit.source.holes = {TEN + 60, TEN + 120}
    async with Engine("e", kit.tools) as engine:
        commands = Commands(engine)
        await engine.wait(engine.submit(ask()))
        kit.source.holes = set()
        selection = {"data_types": ["spot_ohlcv"], "series": ["spot_ohlcv/kraken/BTC-USD/1m"]}
        quote: Any = await commands.handle("repair", {**selection, "dry_run": True})
        assert len(engine.jobs) == 1
        [job] = await ended(engine, await commands.handle("repair", selection))
        with pytest.raises(ConfigError, match="nothing to repair"):
            await commands.handle("repair", selection)
    assert (quote["requests"], quote["series_total"]) == (job.counters.requests, 1) == (1, 1)
    assert (job.state, job.counters.rows_inserted, job.operation.label) == ("complete", 2, "gaps repair")


async def test_a_repair_is_of_the_series_that_are_named(kit: Kit) -> None:
    kit.source.holes = {TEN + 60}
    async with Engine("e", kit.tools) as engine:
        await engine.wait(engine.submit(ask(**TWO)))
        with pytest.raises(ConfigError, match="nothing to repair"):
            await Commands(engine).handle("repair", {"markets": ["binance"]})
        [job] = await ended(engine, await Commands(engine).handle("repair", {"instruments": ["ETH-USD"]}))
    assert job.operation.series == ("kraken/ETH-USD",)


def without_ethereum(call: Call) -> Exception | None:
    is_ethereum = call.key is not None and call.key.instrument == "ETH-USD"
    return Rejected("no") if is_ethereum else None


async def test_only_what_failed_is_tried_again(kit: Kit) -> None:
    kit.source.script = without_ethereum
    async with Engine("e", kit.tools) as engine:
        commands = Commands(engine)
        job = engine.submit(ask(**TWO, label="nightly"))
        await engine.wait(job)
        kit.source.script = lambda _call: None
        [again] = await ended(engine, await commands.handle("retry", {"job": job.id, "failed": True}))
        with pytest.raises(ConfigError, match=r"no series of job .* failed: complete; retry all of it"):
            await commands.handle("retry", {"job": again.id, "failed": True})
        [all_of_it] = await ended(engine, await commands.handle("retry", {"job": job.id}))
    operation = again.operation
    assert (operation.series, operation.instrument, operation.market) == (("kraken/ETH-USD",), (), ())
    assert (operation.start, operation.label) == ("2025-06-15T10:00", "nightly")
    assert (again.state, again.counters.rows_inserted) == ("complete", 60)
    assert all_of_it.operation == job.operation


async def test_the_cache_is_warmed_and_cleared(kit: Kit) -> None:
    kit.source.listed = {"kraken": [Instrument("kraken", "BTC-USD", "XXBTZUSD", "ACTIVE", "BTC", "USD", {})]}
    async with Engine("e", kit.tools) as engine:
        jobs = await ended(engine, await Commands(engine).handle("warm_cache", {"markets": ["kraken"]}))
        assert [job.state for job in jobs] == ["complete"] * 4
        while not any("the cache is warm" in getattr(event, "text", "") for event in kit.events):
            await kit.clock.sleep(1)
        one: Any = await Commands(engine).handle("clear_cache", {"patterns": ["*exchange_metadata:*"]})
        rest: Any = await Commands(engine).handle("clear_cache", {})
        none: Any = await Commands(engine).handle("clear_cache", {})
    assert (one["forgot"], rest["forgot"] > 0, none["forgot"]) == (2, True, 0)


@pytest.mark.parametrize("command", ["submit", "submit_batch", "retry", "repair", "warm_cache"])
async def test_an_engine_of_a_command_starts_nothing_for_others(kit: Kit, command: str) -> None:
    async with Engine("e", kit.tools) as engine:
        with pytest.raises(ConfigError, match=COMMANDS_OWN):
            await Commands(engine, takes_jobs=False).handle(command, {})
        assert await Commands(engine, takes_jobs=False).handle("clear_cache", {}) == {"forgot": 0}
