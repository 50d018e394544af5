"""The queue that workers pull windows from, and the permits that they need to send one."""

import asyncio
from collections.abc import Iterator

import pytest
from engine_kit import NOW

from core.coverage import SeriesState
from core.datasets import SeriesKey
from core.engine.job import Job, Rate, SeriesProgress, WorkQueue
from core.engine.permits import Permits
from core.errors import QuotaExhausted, RateLimited, Transient
from core.limits import Quota
from core.operations import make_operation
from core.planner import Fetch, Policy, Wanted, plan_series
from core.windows import Window
from tests.fakes import VirtualClock

KEY = SeriesKey("spot_ohlcv", "kraken", "BTC-USD", "1m")


def fetches(count: int) -> Iterator[Fetch]:
    for at in range(count):
        yield Fetch(SeriesState(1, KEY), Window(at, at + 1), "backfill")


async def work(queue: WorkQueue, seconds: float = 0.0) -> list[int]:
    """What one worker gets until there is nothing left."""
    got = []
    while (fetch := await queue.take()) is not None:
        got.append(fetch.window.start)
        await asyncio.sleep(seconds)
        await queue.done()
    return got


async def test_windows_are_handed_out_once_and_in_order() -> None:
    assert await work(WorkQueue(fetches(5))) == [0, 1, 2, 3, 4]
    queue = WorkQueue(fetches(100))
    shares = await asyncio.gather(*(work(queue, 0.1) for _ in range(7)))
    assert sorted(start for share in shares for start in share) == list(range(100))
    assert all(len(share) > 10 for share in shares)


async def test_an_empty_plan_ends_every_worker() -> None:
    queue = WorkQueue(fetches(0))
    assert await asyncio.gather(*(work(queue) for _ in range(3))) == [[], [], []]


async def test_windows_are_taken_from_the_plan_only_when_asked_for() -> None:
    taken: list[int] = []

    def lazily() -> Iterator[Fetch]:
        for fetch in fetches(10**9):
            taken.append(fetch.window.start)
            yield fetch

    queue = WorkQueue(lazily())
    await queue.take()
    await queue.take()
    assert taken == [0, 1]


async def test_what_is_put_back_comes_again_when_its_time_has_come() -> None:
    loop, queue = asyncio.get_running_loop(), WorkQueue(fetches(2))
    first = await queue.take()
    assert first is not None
    queue.put_back(first._replace(attempt=2), 30)
    await queue.done()
    second = await queue.take()
    assert second is not None
    started = loop.time()
    waiting = asyncio.ensure_future(queue.take())
    await queue.done()
    again = await waiting
    assert again is not None
    assert (again.window, again.attempt) == (first.window, 2)
    assert 30 <= loop.time() - started < 40
    await queue.done()
    assert await queue.take() is None


async def test_nobody_leaves_while_a_window_is_out_that_may_come_back() -> None:
    queue = WorkQueue(fetches(1))
    only = await queue.take()
    assert only is not None
    idle = asyncio.ensure_future(queue.take())
    await asyncio.sleep(5)
    assert not idle.done()
    queue.put_back(only, 0)
    await queue.done()
    assert await idle == only


async def test_retries_come_before_what_is_new() -> None:
    queue = WorkQueue(fetches(3))
    first = await queue.take()
    assert first is not None
    queue.put_back(first, 0)
    await queue.done()
    assert await queue.take() == first


async def test_a_held_queue_hands_out_nothing_and_ends_nobody() -> None:
    queue = WorkQueue(fetches(2))
    await queue.hold(True)
    worker = asyncio.ensure_future(work(queue))
    await asyncio.sleep(100)
    assert not worker.done()
    await queue.hold(False)
    assert await worker == [0, 1]
    empty = WorkQueue(fetches(0))
    await empty.hold(True)
    worker = asyncio.ensure_future(work(empty))
    await asyncio.sleep(1)
    assert not worker.done()
    await empty.hold(False)
    assert await worker == []


@pytest.mark.parametrize("held", [False, True])
async def test_a_closed_queue_ends_everybody(held: bool) -> None:
    queue = WorkQueue(fetches(10))
    await queue.take()
    await queue.hold(held)
    waiting = [asyncio.ensure_future(queue.take()) for _ in range(2)] if held else []
    await asyncio.sleep(0)
    await queue.close()
    assert [await task for task in waiting] == [None] * len(waiting)
    assert await queue.take() is None


async def test_a_cancelled_worker_takes_nothing_with_it() -> None:
    queue = WorkQueue(fetches(1))
    await queue.hold(True)
    waiting = asyncio.ensure_future(queue.take())
    await asyncio.sleep(1)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await queue.hold(False)
    assert await work(queue) == [0]


# --- permits


def silence(_text: str) -> None: ...


class Bench:
    def __init__(self, connections: int = 2) -> None:
        self.clock = VirtualClock(NOW)
        self.quota = Quota()
        self.permits = Permits(self.quota, connections, self.clock, self.clock.wall)
        self.sent: list[float] = []

    async def call(self, seconds: float = 1.0, max_wait: float = 900.0, say=silence) -> None:
        async with self.permits.one(max_wait, say):
            self.sent.append(self.clock.monotonic())
            await self.clock.sleep(seconds)
            self.permits.observe({})


async def test_connections_are_a_bound() -> None:
    bench = Bench(connections=2)
    await asyncio.gather(*(bench.call(10) for _ in range(5)))
    starts = [round(at - bench.sent[0], 1) for at in bench.sent]
    # Until the first answer nobody knows what the limits are.
    assert starts == pytest.approx([0, 10, 10, 20, 20], abs=3)
    assert bench.quota.in_flight == 0


async def test_a_permit_is_given_back_whatever_happens() -> None:
    bench = Bench(connections=1)
    for error in (Transient("lost"), RuntimeError("defect")):
        with pytest.raises(type(error)):
            async with bench.permits.one(900, silence):
                raise error
    stuck = asyncio.ensure_future(bench.call(1_000))
    await asyncio.sleep(1)
    stuck.cancel()
    await asyncio.gather(stuck, return_exceptions=True)
    assert bench.quota.in_flight == 0
    await bench.call()


async def test_waits_are_said_and_unsaid() -> None:
    bench = Bench()
    heard: list[str] = []
    bench.permits.ledger.pause(5)
    started = bench.clock.monotonic()
    await bench.call(say=heard.append)
    assert bench.sent[0] - started >= 5
    assert heard[0] == "vendor limit, 5 s"
    assert heard[-1] == ""
    assert 3 <= len(heard) <= 6


async def test_a_wait_that_is_too_long_is_refused_at_once() -> None:
    bench = Bench()
    bench.permits.ledger.pause(100)
    with pytest.raises(QuotaExhausted, match="resets in 100 s"):
        await bench.call(max_wait=99)
    assert bench.sent == []


async def test_refusals_pause_everybody_and_end_when_they_never_end() -> None:
    bench = Bench()
    bench.permits.refused(10, 25)
    await bench.call()
    bench.permits.refused(10, 25)
    await bench.clock.sleep(10)
    bench.permits.refused(10, 25)
    await bench.clock.sleep(10)
    with pytest.raises(QuotaExhausted, match="refused calls for a limit for longer than 25 s"):
        bench.permits.refused(10, 25)


async def test_one_answer_that_is_no_refusal_starts_the_patience_anew() -> None:
    bench = Bench()
    for _ in range(4):
        bench.permits.refused(10, 25)
        await bench.call()
    with pytest.raises(RateLimited):
        async with bench.permits.one(900, silence):
            raise RateLimited("slow", 10)
    bench.permits.refused(10, 25)


# --- what a job shows


def test_rates_are_smoothed() -> None:
    rate = Rate()
    rate.update(1_000, 10.0)
    assert rate.per_second == 0
    rate.update(1_000, 10.0)
    rate.update(1_100, 11.0)
    assert rate.per_second == pytest.approx(30)
    rate.update(1_200, 12.0)
    assert rate.per_second == pytest.approx(51)


def progress() -> SeriesProgress:
    state = SeriesState(1, KEY)
    plan = plan_series(Wanted(KEY, start=NOW - 3_600), state, Policy(("ID", "MAPPING", "OHLC")), NOW)
    return SeriesProgress(plan, state, windows_total=2)


def test_a_series_has_a_word_for_how_it_is() -> None:
    entry = progress()
    assert entry.word == "waiting"
    entry.retries = 1
    assert entry.word == "running"
    entry.windows_done = 1
    assert entry.word == "running"
    entry.windows_done = 2
    assert entry.word == "done"
    entry.windows_failed = 1
    assert entry.word == "failed"


def test_a_job_keeps_a_hundred_errors_and_guesses_only_when_it_can() -> None:
    job = Job("j", "r", make_operation({"data_type": "spot_ohlcv"}), created=0.0, windows_total=1_000)
    for number in range(500):
        job.add_error(str(number))
    assert (len(job.errors), job.view().error) == (100, "0")
    assert job.view().eta_seconds is None
    job.state = "running"
    for second in range(10):
        job.windows_done = second * 10
        job.tick(float(second))
    view = job.view()
    assert view.eta_seconds is not None
    assert 90 < view.eta_seconds < 110
    job.finished = 10.0
    assert job.view().rows_per_second == 0
