"""Jobs side by side: commands, the journal, alerts, slow readers, defects, and whatever order things happen in."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from engine_kit import Kit, ask

from core.alerting import Change
from core.datasets import SPOT_OHLCV, SeriesKey
from core.engine.commands import Commands
from core.engine.engine import FINISHED_JOBS, TICK_SECONDS, Engine, new_run_id
from core.engine.job import Job
from core.errors import ConfigError, EngineGone, Malformed, RateLimited, StoreError, TapewatchError, Transient
from core.events import AlertChanged, CacheSample, EngineSample, JobChanged, LogLine, QuotaSample, RunSummary
from core.windows import Window, intersect, iso, parse_time, subtract
from tests.fakes import Call, bar

TEN, ELEVEN = parse_time("2025-06-15T10:00"), parse_time("2025-06-15T11:00")
LONG = {"start": "2025-06-01", "end": "2025-06-08"}


@asynccontextmanager
async def engine(kit: Kit, concurrent_jobs: int = 4) -> AsyncIterator[Engine]:
    async with asyncio.timeout(3_600), Engine("e", kit.tools, concurrent_jobs) as running:
        yield running


async def until(kit: Kit, job: Job, *states: str) -> None:
    """Until the job has said that it is in one of `states`."""
    with kit.bus.subscribe(100_000) as subscription:
        while job.state not in states:
            await subscription.next_batch()


def series_of(job: Job) -> list[str]:
    return [str(entry.state.key) for entry in job.progress.values()]


# --- jobs and commands


async def test_a_job_runs_to_its_end_and_is_summed_up(kit: Kit) -> None:
    async with engine(kit) as running:
        job = running.submit(ask())
        assert job.state == "queued"
        await running.wait(job)
    [summary] = kit.said(RunSummary)
    assert (summary.job, summary.status, summary.rows_inserted, summary.requests) == (job.id, "complete", 60, 1)
    assert summary.duration_seconds >= 0
    states = [event.state for event in kit.said(JobChanged)]
    assert list(dict.fromkeys(states)) == ["queued", "planning", "running", "complete"]
    assert kit.events.index(summary) > max(kit.events.index(event) for event in kit.said(JobChanged))


async def test_jobs_of_different_data_types_run_side_by_side_and_others_wait(kit: Kit) -> None:
    kit.source.latency = lambda: 5.0
    async with engine(kit, concurrent_jobs=2) as running:
        first = running.submit(ask())
        second = running.submit(ask(interval="1h", start="2025-06-01", end="2025-06-02"))
        third = running.submit(ask(interval="1d", start="2025-01-01", end="2025-02-01"))
        same = running.submit(ask(start="2025-06-15T08:00", end="2025-06-15T09:00"))
        await until(kit, second, "running")
        assert (first.state, third.state, same.state) == ("running", "queued", "queued")
        assert same.waiting == "for a free place"
        assert third.waiting == "for a free place"
        for job in (first, second, third, same):
            await running.wait(job)
        assert [job.state for job in (first, second, third, same)] == ["complete"] * 4
    assert kit.source.most_in_flight == 2


async def test_two_jobs_for_the_same_windows_buy_them_once(kit: Kit) -> None:
    async with engine(kit) as running:
        first, second = running.submit(ask(**LONG)), running.submit(ask(**LONG))
        await running.wait(first)
        await running.wait(second)
    assert (first.counters.requests, second.counters.requests) == (6, 0)


async def test_commands_of_the_socket(kit: Kit) -> None:
    kit.source.latency = lambda: 2.0
    async with engine(kit) as running:
        reply = await Commands(running).handle("submit", {"data_type": "spot_ohlcv", "market": "kraken", **plain()})
        assert isinstance(reply, dict)
        job = running.jobs[reply["job"]]
        await until(kit, job, "running")
        with pytest.raises(ConfigError, match="still at it"):
            await Commands(running).handle("retry", {"job": job.id})
        await running.wait(job)
        with pytest.raises(ConfigError, match="has ended: complete"):
            await Commands(running).handle("cancel", {"job": job.id})
        again = await Commands(running).handle("retry", {"job": job.id})
        assert isinstance(again, dict)
        await running.wait(running.jobs[again["job"]])
        assert not running.stopped.is_set()
        await Commands(running).handle("stop", {})
        assert running.stopped.is_set()
        with pytest.raises(EngineGone, match="about to end and takes no new jobs"):
            await Commands(running).handle("retry", {"job": job.id})
        assert len(running.jobs) == 2
        assert await Commands(running).handle("clear_cache", {})


def plain() -> dict[str, Any]:
    return {"instrument": "BTC-USD", "interval": "1m", "start": "2025-06-15T10:00", "end": "2025-06-15T11:00"}


@pytest.mark.parametrize(
    ("command", "args", "words"),
    [
        ("explode", {}, "unknown command 'explode'"),
        ("\x1b[2J", {}, "unknown command"),
        ("cancel", {}, "there is no job 'None'"),
        ("cancel", {"job": "j-none"}, "there is no job 'j-none'"),
        ("hold", {"job": ["j"]}, "there is no job"),
        ("resume", {"job": "\x1b[2J"}, "there is no job"),
        ("retry", {"job": 5}, "there is no job '5'"),
        ("submit", {}, "--data_type: None"),
        ("submit_batch", {}, "operations: write a list"),
        ("submit_batch", {"operations": [{"data_type": "x"}]}, "operation 1: --data_type: 'x'"),
        ("submit_batch", {"operations": [{"data_type": "spot_ohlcv"}], "max_requests": 0}, "max_requests"),
        ("submit", {"data_type": "spot_ohlcv", "market": 5}, "market"),
        ("submit", {"data_type": ["x"]}, "data_type"),
    ],
)
async def test_what_cannot_be_done_is_refused_in_words(kit: Kit, command: str, args: Any, words: str) -> None:
    async with engine(kit) as running:
        with pytest.raises(TapewatchError, match=words) as caught:
            await Commands(running).handle(command, args)
        assert str(caught.value).isprintable()
        assert running.jobs == {}


async def test_a_held_job_sends_nothing_until_it_is_resumed(kit: Kit) -> None:
    kit.make_tools(connections=1)
    async with engine(kit) as running:
        job = running.submit(ask(**LONG, parallel_workers=1))
        await until(kit, job, "running")
        await Commands(running).handle("hold", {"job": job.id})
        assert job.state == "held"
        await kit.clock.sleep(2)
        sent = len(kit.source.log)
        assert sent <= 2, "what was on its way may arrive"
        await kit.clock.sleep(5)
        assert (len(kit.source.log), job.state) == (sent, "held")
        await Commands(running).handle("resume", {"job": job.id})
        await running.wait(job)
        assert (job.state, job.counters.requests) == ("complete", 6)


async def test_a_job_can_be_held_before_it_has_a_plan(kit: Kit) -> None:
    kit.source.latency = lambda: 1.0
    async with engine(kit) as running:
        job = running.submit(ask(instrument=None, market="kraken", pair_limit=1))
        await until(kit, job, "planning")
        await Commands(running).handle("hold", {"job": job.id})
        await kit.clock.sleep(5)
        assert kit.source.history_calls() == []
        await Commands(running).handle("resume", {"job": job.id})
        await running.wait(job)
        assert job.state == "complete"


@pytest.mark.parametrize("when", ["queued", "planning", "running", "held"])
async def test_a_job_can_be_cancelled_whenever(kit: Kit, when: str) -> None:
    kit.source.latency = lambda: 1.0
    async with engine(kit, concurrent_jobs=1) as running:
        blocker = running.submit(ask()) if when == "queued" else None
        listed = {"instrument": None, "pair_limit": 1} if when == "planning" else {}
        job = running.submit(ask(**{**LONG, **listed}, parallel_workers=2))
        if when == "held":
            await until(kit, job, "running")
            await Commands(running).handle("hold", {"job": job.id})
        await until(kit, job, when)
        await Commands(running).handle("cancel", {"job": job.id})
        await running.wait(job)
        assert job.state == "cancelled"
        if blocker is not None:
            await running.wait(blocker)
            assert blocker.state == "complete"
    assert len(kit.source.history_calls()) <= 3
    stored = await kit.query("SELECT count(*) FROM spot_ohlcv WHERE ts < 1749945600")
    covered = await kit.query('SELECT coalesce(sum("end" - start), 0) / 60 FROM coverage WHERE "end" <= 1749945600')
    assert stored == covered, "what arrived in time was kept, with its coverage"


async def test_cancelling_gives_what_is_in_flight_a_moment(kit: Kit) -> None:
    await kit.run(ask(instrument="ETH-USD"))  # until the first answer one call goes ahead
    kit.source.latency = lambda: 2.0
    async with engine(kit) as running:
        job = running.submit(ask(**LONG, parallel_workers=2))
        await until(kit, job, "running")
        await kit.clock.sleep(1)
        await Commands(running).handle("cancel", {"job": job.id})
        await running.wait(job)
    assert (job.state, job.windows_done, job.counters.rows_inserted) == ("cancelled", 2, 4_000)


async def test_cancelling_does_not_wait_for_ever(kit: Kit) -> None:
    kit.source.latency = lambda: 500.0
    async with engine(kit) as running:
        job = running.submit(ask(**LONG))
        await until(kit, job, "running")
        started = kit.clock.monotonic()
        await Commands(running).handle("cancel", {"job": job.id})
        await running.wait(job)
        assert kit.clock.monotonic() - started < 30
    assert (job.state, job.windows_done) == ("cancelled", 0)


async def test_leaving_an_engine_ends_its_jobs_and_records_them(kit: Kit) -> None:
    kit.source.latency = lambda: 500.0
    async with engine(kit, concurrent_jobs=1) as running:
        first, second = running.submit(ask(**LONG)), running.submit(ask(interval="1h", **LONG))
        await until(kit, first, "running")
    assert (first.state, second.state) == ("cancelled", "cancelled")
    assert await kit.query("SELECT state, count(*) FROM run GROUP BY state") == [("cancelled", 2)]


async def test_many_short_jobs_have_names_of_their_own_and_are_forgotten(kit: Kit) -> None:
    async with engine(kit) as running:
        jobs = [running.submit(ask(pair_limit=at + 1)) for at in range(FINISHED_JOBS + 5)]
        assert len({job.id for job in jobs}) == len({job.run_id for job in jobs}) == len(jobs)
        for job in jobs:
            await running.wait(job)
        assert {job.state for job in jobs} == {"complete"}
        assert len(running.jobs) == FINISHED_JOBS
        await running.wait(jobs[0])
    assert await kit.query("SELECT count(*) FROM run") == [(len(jobs),)]


def test_run_ids_sort_by_time() -> None:
    assert new_run_id(1_750_000_000).startswith("20250615T150640-")
    assert new_run_id(1_750_000_000) < new_run_id(1_750_000_001)


# --- what goes wrong


class Broken(RuntimeError):
    """A defect of ours, as far as the engine can tell."""


async def test_a_defect_in_one_job_does_not_stop_the_others(kit: Kit) -> None:
    kit.source.script = lambda call: Broken("boo\x1b[2J") if call.key and call.key.interval == "1h" else None
    async with engine(kit) as running:
        bad = running.submit(ask(interval="1h", **LONG))
        good = running.submit(ask(**LONG))
        await running.wait(bad)
        await running.wait(good)
        later = running.submit(ask(interval="1h", start="2025-05-01", end="2025-05-02"))
        kit.source.script = lambda _call: None
        await running.wait(later)
    assert (bad.state, good.state, later.state) == ("failed", "complete", "complete")
    assert bad.errors == ["defect: Broken: boo [2J"]
    assert [summary.status for summary in kit.said(RunSummary)].count("failed") == 1


class FailingStore:
    """The kit's store, with methods whose calls are kept, and which fail while `broken` says so."""

    def __init__(self, kit: Kit, *methods: str) -> None:
        self.broken = True
        self.calls: list[tuple[Any, ...]] = []
        self._store = kit.store
        self._methods = methods

    def __getattr__(self, name: str) -> Any:
        if name not in self._methods:
            return getattr(self._store, name)

        async def method(*args: Any, **kwargs: Any) -> Any:
            self.calls.append(args)
            if self.broken:
                raise StoreError("the database failed: disk full")
            return await getattr(self._store, name)(*args, **kwargs)

        return method


def with_failing(kit: Kit, *methods: str) -> FailingStore:
    real, failing = kit.store, FailingStore(kit, *methods)
    kit.store = failing  # type: ignore[assignment]
    kit.make_tools()
    kit.store = real
    return failing


async def test_a_store_that_cannot_commit_fails_the_job_in_words_and_heals(kit: Kit) -> None:
    failing = with_failing(kit, "commit")
    async with engine(kit) as running:
        job = running.submit(ask(**LONG))
        await running.wait(job)
        assert (job.state, job.errors) == ("failed", ["the database failed: disk full"])
        failing.broken = False
        again = running.submit(ask(**LONG))
        await running.wait(again)
        assert (again.state, again.counters.rows_inserted) == ("complete", 7 * 1_440)


async def test_a_journal_that_fails_for_a_while_loses_nothing(kit: Kit) -> None:
    failing = with_failing(kit, "journal")
    async with engine(kit) as running:
        job = running.submit(ask())
        await running.wait(job)
        assert (job.state, job.errors) == ("failed", ["the database failed: disk full"])
        assert await kit.query("SELECT count(*) FROM run") == [(0,)]
        failing.broken = False
        await kit.clock.sleep(2)
        assert await kit.query("SELECT state FROM run") == [(job.state,)]
    assert any("disk full" in line.text for line in kit.said(LogLine))


async def test_an_idle_engine_has_nothing_to_write(kit: Kit) -> None:
    watched = with_failing(kit, "journal")
    watched.broken = False
    async with engine(kit) as running:
        await running.wait(running.submit(ask()))
        written = len([call for call in watched.calls if any(call)])
        assert written >= 2
        await kit.clock.sleep(5)
        assert len([call for call in watched.calls if any(call)]) == written


async def test_a_run_is_in_the_journal_from_its_start(kit: Kit) -> None:
    kit.source.latency = lambda: 5.0
    async with engine(kit) as running:
        job = running.submit(ask(label="nightly"))
        await until(kit, job, "running")
        [row] = await kit.query("SELECT run_id, engine, data_type, interval, label, finished FROM run")
        assert row == (job.run_id, "e", "spot_ohlcv", "1m", "nightly", None)
        await running.wait(job)
        [row] = await kit.query("SELECT state, finished IS NOT NULL, summary FROM run")
        assert row[:2] == ("complete", 1)
        assert '"rows_inserted": 60' in row[2]
        series = await kit.query("SELECT run_id, series, state, windows_done, windows_total, rows FROM run_series")
        assert series == [(job.run_id, "spot_ohlcv/kraken/BTC-USD/1m", "done", 1, 1, 60)]


# --- what is published


async def test_a_slow_subscriber_stalls_nobody(kit: Kit) -> None:
    with kit.bus.subscribe(size=4) as never_reads:
        async with engine(kit) as running:
            job = running.submit(ask(**LONG))
            started = kit.clock.monotonic()
            await running.wait(job)
            assert kit.clock.monotonic() - started < 30
        assert job.state == "complete"
        assert never_reads.take_lost() > 0


@pytest.mark.slow
async def test_progress_is_told_at_most_four_times_a_second(kit: Kit) -> None:
    kit.source.latency = lambda: 0.02
    async with engine(kit) as running:
        job = running.submit(ask(start="2025-05-01", end="2025-06-14", parallel_workers=1))
        started = kit.clock.wall()
        await running.wait(job)
        seconds = kit.clock.wall() - started
    told = [event for event in kit.said(JobChanged) if event.state == "running"]
    assert job.windows_done > 30
    assert len(told) <= seconds / TICK_SECONDS + 3


async def test_samples_come_once_a_second(kit: Kit) -> None:
    kit.source.limits = {86_400: 100}
    async with engine(kit) as running:
        running.sampler = lambda lag: EngineSample(
            cpu_percent=0, memory_bytes=0, host_cpu_percent=0, host_memory_percent=0, loop_lag_ms=lag * 1000,
            open_files=0, uptime_seconds=0, requests_per_second=0, rows_per_second=0, in_flight=0, clients=0,
        )  # fmt: skip
        await running.wait(running.submit(ask()))
        await kit.clock.sleep(3.5)
    samples = kit.said(EngineSample)
    assert 3 <= len(samples) <= 8
    assert all(sample.loop_lag_ms >= 0 for sample in samples)
    assert [sample.tier for sample in kit.said(CacheSample)][:1] == ["memory"]
    [quota] = kit.said(QuotaSample)[-1:]
    assert [(window.name, window.limit, window.remaining) for window in quota.windows] == [("day", 100, 99)]


def alerts(kit: Kit) -> list[tuple[str, str, int]]:
    return [(event.alert, event.state, event.count) for event in kit.said(AlertChanged)]


async def test_alerts_fire_count_and_resolve(kit: Kit) -> None:
    key = "spot_ohlcv/kraken/BTC-USD/1m"
    kit.source.script = lambda _call: Transient("down")
    async with engine(kit) as running:
        for _ in range(2):
            await running.wait(running.submit(ask()))
        kit.source.script = lambda _call: None
        kit.source.holes = {TEN}
        await running.wait(running.submit(ask()))
        kit.source.holes = set()
        kit.clock.set_wall(kit.clock.wall() + 3_600)
        await running.wait(running.submit(ask()))
    assert alerts(kit) == [
        (f"retries_exhausted:{key}", "firing", 1),
        ("run_failed:spot_ohlcv/1m", "firing", 1),
        ("vendor_unavailable:coindesk", "firing", 1),
        (f"retries_exhausted:{key}", "firing", 2),
        ("run_failed:spot_ohlcv/1m", "firing", 2),
        ("vendor_unavailable:coindesk", "resolved", 1),
        (f"retries_exhausted:{key}", "resolved", 2),
        ("run_failed:spot_ohlcv/1m", "resolved", 2),
        ("gaps_open:spot_ohlcv/1m", "firing", 1),
        ("gaps_open:spot_ohlcv/1m", "resolved", 1),
    ]
    first, *_ = kit.said(AlertChanged)
    assert all(event.since == first.since for event in kit.said(AlertChanged) if event.alert == first.alert)
    assert await kit.query("SELECT alert, state FROM alert ORDER BY alert") == [
        ("gaps_open:spot_ohlcv/1m", "resolved"),
        (f"retries_exhausted:{key}", "resolved"),
        ("run_failed:spot_ohlcv/1m", "resolved"),
        ("vendor_unavailable:coindesk", "resolved"),
    ]


async def test_alerts_of_an_earlier_engine_are_known_and_can_be_resolved(kit: Kit) -> None:
    from core.alerting.book import Alerts

    old = AlertChanged(
        alert="r:s", rule="r", level="ERROR", state="firing", since=5.0, message="m", source="s", count=3
    )
    over = AlertChanged(alert="q:s", rule="q", level="ERROR", state="resolved", since=5.0, message="m", source="s")
    known = Alerts(kit.bus, [Change(old), Change(over)])
    assert [event.alert for event in kit.bus.snapshot().events] == ["r:s"]
    assert known.unrecorded() == []
    known.fire("r", "ERROR", "s", "again", 99.0)
    known.resolve("q", "s")
    [change] = known.unrecorded()
    assert (change.alert.since, change.alert.count, change.alert.message) == (5.0, 4, "again")
    known.resolve("r", "s")
    known.recorded([change])
    assert [each.alert.state for each in known.unrecorded()] == ["resolved"], "it changed again meanwhile"


# --- any order of events gives the same table


def chaotic(chance: random.Random) -> Any:
    """A vendor that loses, limits, spoils and delays a third of the calls, and never the same way twice."""

    def script(call: Call) -> Any:
        if call.what != "history" or chance.random() < 0.67:
            return None
        spoil_at = chance.randrange(10**6)

        def cut(rows: list[Any]) -> list[Any]:
            return rows[: len(rows) // 2]

        def twist(rows: list[Any]) -> list[Any]:
            return sorted(rows + rows[spoil_at % max(1, len(rows)) :], key=lambda row: hash((row.timestamp, spoil_at)))

        return chance.choice(
            [Transient("lost"), Malformed("cut", "unparsable", b"{"), RateLimited("slow", 1), cut, twist]
        )

    return script


@pytest.mark.parametrize("round_", [0, 1, *(pytest.param(at, marks=pytest.mark.slow) for at in range(2, 20))])
async def test_whatever_happens_the_table_is_that_of_the_vendor(kit: Kit, seed: int, round_: int) -> None:
    """Faults, cancellations, holds, overlapping ranges, groups and orders at random; then calm; then the oracle."""
    chance = random.Random(seed + round_)
    kit.source.first = parse_time("2025-06-05T03:21")
    kit.source.latency = lambda: chance.choice([0.01, 0.1, 1.0])
    kit.source.script = chaotic(chance)
    kit.make_tools(connections=chance.choice([1, 4, 16]), chance=chance.random())
    whole = (parse_time("2025-06-03"), parse_time("2025-06-12"))

    async with engine(kit) as running:
        for _ in range(6):
            start, end = sorted(chance.sample(range(*whole, 3_600), 2))
            operation = ask(
                start=iso(start),
                end=iso(end),
                instrument=chance.choice(["BTC-USD", "ETH-USD", "BTC-USD,ETH-USD"]),
                groups=chance.choice(["OHLC", "VOLUME", "OHLC,TRADE,VOLUME", "ALL"]),
                order=chance.choice(["newest", "oldest"]),
                parallel_workers=chance.choice([1, 3, 16]),
                full_refresh=chance.random() < 0.2,
            )
            job = running.submit(operation)
            if chance.random() < 0.5:
                await kit.clock.sleep(chance.random() * 3)
                order = chance.choice(["cancel", "hold"])
                if job.finished is None:
                    await Commands(running).handle(order, {"job": job.id})
                if order == "hold":
                    await kit.clock.sleep(1)
                if order == "hold" and job.finished is None:  # whether it holds already or still plans
                    await Commands(running).handle("resume", {"job": job.id})
            await running.wait(job)
            await rows_are_what_coverage_claims(kit)

        kit.source.script = lambda _call: None
        for _ in range(2):
            kit.clock.set_wall(kit.clock.wall() + 3_700)
            everything = ask(instrument="BTC-USD,ETH-USD", start=iso(whole[0]), end=iso(whole[1]), groups="ALL")
            calm = running.submit(everything)
            await running.wait(calm)
    assert (calm.state, calm.counters.gaps_open) == ("complete", 0)
    for instrument in ("BTC-USD", "ETH-USD"):
        key = SeriesKey("spot_ohlcv", "kraken", instrument, "1m")
        columns = "ts, open, high, low, close, volume, total_trades"
        found = await kit.query(f"SELECT {columns} FROM spot_ohlcv_1m WHERE instrument = '{instrument}' ORDER BY ts")
        assert found == [(ts, *bar(key, ts).values()) for ts in range(kit.source.first - 60, whole[1], 60)][1:]
    assert await kit.query("SELECT count(*) FROM gap") == [(0,)]
    assert await kit.query("SELECT count(*) FROM restatement") == [(0,)], "the vendor changed nothing"


async def rows_are_what_coverage_claims(kit: Kit) -> None:
    """Every covered slot is a row, a gap, or before the history; every row lies in what is covered."""
    for series_id, start in await kit.query("SELECT id, history_start FROM series"):
        where = f"WHERE series_id = {series_id}"
        covered = [Window(*row) for row in await kit.query(f'SELECT start, "end" FROM coverage {where}')]
        gaps = [Window(*row) for row in await kit.query(f'SELECT start, "end" FROM gap {where}')]
        rows = [Window(ts, ts + 60) for (ts,) in await kit.query(f"SELECT ts FROM spot_ohlcv {where}")]
        unknown = subtract(subtract(covered, rows), gaps)
        if start is not None:
            unknown = intersect(unknown, [Window(start, 2**40)])
        assert unknown == []
        assert subtract(rows, covered) == []


async def test_the_groups_of_these_tests_exist() -> None:
    assert SPOT_OHLCV.parse_groups("OHLC,TRADE,VOLUME")
