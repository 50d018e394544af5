"""Who is admitted when: the most urgent first, live calls before others, one probe while the vendor is away."""

import asyncio
import itertools
import random
from collections.abc import Callable

import pytest
from engine_kit import NOW

from core.engine.ledger import Held
from core.engine.permits import CAN_WAIT, LONGEST_PROBE_WAIT, UNWRITTEN, VENDOR_FAILURES, Permits
from core.errors import QuotaExhausted, RateLimited, StoreUnavailable, Transient, VendorAway
from core.limits import Limit, LiveShare, Quota
from tests.fakes import VirtualClock


def silence(_text: str) -> None: ...


def headers(left: int, cap: int = 1_000, resets_in: int = 60) -> dict[str, str]:
    return {
        "X-RateLimit-Limit": f"0, {cap};window=60",
        "X-RateLimit-Remaining-All": f"0, {left};window=60",
        "X-RateLimit-Reset-All": f"0, {resets_in};window=60",
    }


class Bench:
    """Permits, and a vendor that answers after `latency` unless it is down; it may say what is left of a minute."""

    def __init__(self, connections: int = 2, **options: object) -> None:
        self.clock = VirtualClock(NOW)
        self.quota = Quota()
        self.permits = Permits(self.quota, connections, self.clock, self.clock.wall, **options)  # type: ignore[arg-type]
        self.latency = 1.0
        self.is_down = False
        self.left: int | None = None
        self.sent: list[tuple[float, object]] = []
        self.in_flight = self.most_in_flight = 0
        self.said: list[str] = []
        self.permits.say = self.said.append

    @property
    def names(self) -> list[object]:
        return [name for _, name in self.sent]

    async def call(self, name: object = "", due: float = CAN_WAIT, max_wait: float = 900, writes: float = 0) -> None:
        async with self.permits.one(max_wait, silence, due):
            self.sent.append((self.clock.monotonic(), name))
            self.in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self.in_flight)
            await self.clock.sleep(self.latency)
            self.in_flight -= 1
            if self.is_down:
                raise Transient("connection refused")
            if self.left is not None:
                self.left -= 1
            self.permits.observe({} if self.left is None else headers(self.left))
            await self.clock.sleep(writes)

    async def try_call(self, name: object = "") -> str:
        """How it went."""
        try:
            await self.call(name)
        except Transient as error:
            return type(error).__name__
        return "ok"


async def test_the_most_urgent_goes_next_whoever_came_first() -> None:
    bench = Bench(connections=1)
    first = asyncio.ensure_future(bench.call("first"))
    await asyncio.sleep(0.1)
    dues = {"past": CAN_WAIT, "day": NOW + 86_400.0, "minute": NOW + 60.0, "list": 0.0, "more past": CAN_WAIT}
    await asyncio.gather(first, *(bench.call(name, due) for name, due in dues.items()))
    assert bench.names == ["first", "list", "minute", "day", "past", "more past"]


async def test_any_order_of_arrival_is_served_by_deadline(seed: int) -> None:
    chance, bench = random.Random(seed), Bench(connections=1)
    bench.latency = 0.01
    first = asyncio.ensure_future(bench.call(0.0))
    await asyncio.sleep(0)
    dues = [chance.choice((CAN_WAIT, NOW + chance.randrange(1_000))) for _ in range(200)]
    await asyncio.gather(first, *(bench.call(due, due) for due in dues))
    assert bench.names == [0.0, *sorted(dues)]


def busy_minute() -> LiveShare:
    """There were 900 live calls in the minute before."""
    live = LiveShare(share=0.5)
    for _ in range(900):
        live.sent(NOW - 60)
    return live


@pytest.mark.simulated
async def test_a_live_call_does_not_wait_for_a_limit_with_those_before_it() -> None:
    """What is left of the minute is kept for it, and it is sent the moment it comes."""
    bench = Bench(connections=4, live=busy_minute())
    bench.quota.limits[60] = Limit(60, 100, 45, NOW + 50)
    waiting = [asyncio.ensure_future(bench.call(f"past {at}")) for at in range(3)]
    await asyncio.sleep(0.5)
    assert bench.sent == []
    before = bench.clock.monotonic()
    await bench.call("live", NOW + 60.0)
    assert bench.names == ["live"]
    assert bench.sent[0][0] - before < 0.5
    await asyncio.gather(*waiting)
    assert bench.names[1:] == ["past 0", "past 1", "past 2"]
    assert bench.sent[1][0] - before < 50.0, "when the minute is over nothing is kept of it any more"


async def test_what_is_kept_for_live_calls_is_said() -> None:
    bench = Bench(live=busy_minute())
    bench.quota.limits[86_400] = Limit(86_400, 100, 45, NOW + 50_000)
    with pytest.raises(QuotaExhausted, match="day limit is kept for live bars; it resets in 60 s"):
        await bench.call("past", max_wait=59)
    await bench.call("live", NOW + 60.0)
    assert bench.names == ["live"]


@pytest.mark.slow
async def test_an_answer_frees_the_place_before_it_is_written_but_not_for_ever() -> None:
    bench = Bench(connections=1)
    calls = [asyncio.ensure_future(bench.call(at, writes=1_000)) for at in range(3 * UNWRITTEN)]
    await bench.clock.sleep(500)
    assert bench.most_in_flight == 1
    assert len(bench.sent) == UNWRITTEN + 1
    assert bench.quota.in_flight == 0
    await asyncio.gather(*calls)
    assert len(bench.sent) == 3 * UNWRITTEN


async def test_places_adapt_to_the_latency() -> None:
    bench = Bench(connections=64)
    bench.left = 10**6
    await asyncio.gather(*(bench.call(at) for at in range(600)))
    assert bench.most_in_flight == 64
    assert bench.sent[-1][0] - bench.sent[0][0] < 25


# --- a vendor that does not answer


async def outage(bench: Bench, calls: int = VENDOR_FAILURES) -> None:
    bench.is_down = True
    for _ in range(calls):
        assert await bench.try_call() == "Transient"


async def test_one_call_at_a_time_looks_whether_the_vendor_is_back() -> None:
    bench = Bench(connections=16, max_outage=10_000.0)
    await outage(bench)
    bench.sent.clear()
    bench.most_in_flight = 0
    bench.latency = 0.1
    calls = [asyncio.ensure_future(bench.try_call(at)) for at in range(30)]
    await bench.clock.sleep(200)
    probes = [at for at, _ in bench.sent]
    waits = [later - earlier for earlier, later in itertools.pairwise(probes)]
    assert bench.most_in_flight == 1
    assert waits[:5] == pytest.approx([2, 4, 8, 16, 30], abs=1.5)
    assert all(wait == pytest.approx(LONGEST_PROBE_WAIT, abs=2) for wait in waits[5:])
    bench.is_down = False
    await bench.clock.sleep(LONGEST_PROBE_WAIT + 2)
    assert bench.most_in_flight > 1
    ended = await asyncio.gather(*calls)
    assert ended.count("ok") == 30 - len(probes)
    assert bench.said == ["connection refused", ""]


async def test_calls_that_time_out_together_put_no_probe_off() -> None:
    bench = Bench(connections=64, max_outage=20.0)
    bench.left = 10**6
    await bench.call()
    bench.is_down, bench.latency = True, 8.0
    lost = [asyncio.ensure_future(bench.try_call()) for _ in range(30)]
    await bench.clock.sleep(8.5)
    assert bench.permits.is_vendor_away
    bench.is_down, bench.latency = False, 0.1
    await bench.clock.sleep(1.5)
    assert not bench.permits.is_vendor_away
    assert set(await asyncio.gather(*lost)) == {"Transient", "ok"}


async def test_after_an_outage_calls_begin_one_by_one() -> None:
    bench = Bench(connections=64, max_outage=10_000.0)
    await outage(bench)
    bench.is_down, bench.latency = False, 0.2
    calls = [asyncio.ensure_future(bench.call(at)) for at in range(500)]
    while bench.permits.is_vendor_away:
        await bench.clock.sleep(0.05)
    bench.most_in_flight = 0
    await bench.clock.sleep(0.5)
    assert bench.most_in_flight <= 2
    await asyncio.gather(*calls)
    assert bench.most_in_flight >= 32


async def test_nobody_waits_longer_than_it_may_for_a_vendor_that_is_away() -> None:
    bench = Bench(connections=16, max_outage=20.0)
    await outage(bench)
    before = bench.clock.monotonic()
    ended = await asyncio.gather(*(bench.try_call(at) for at in range(12)))
    assert bench.clock.monotonic() - before == pytest.approx(21, abs=3)
    assert ended.count("VendorAway") == 12 - ended.count("Transient")
    assert 3 <= ended.count("Transient") <= 5, "each of them was a probe"
    assert bench.permits.is_vendor_away


async def test_how_long_a_vendor_may_be_away_counts_for_each_call_anew() -> None:
    bench = Bench(connections=16, max_outage=20.0)
    await outage(bench)
    await bench.clock.sleep(3_600)
    bench.is_down = False
    assert await asyncio.gather(*(bench.try_call(at) for at in range(12))) == ["ok"] * 12
    assert not bench.permits.is_vendor_away


async def test_refusals_and_other_answers_are_no_outage() -> None:
    bench = Bench()
    for _ in range(2 * VENDOR_FAILURES):
        with pytest.raises(RateLimited):
            async with bench.permits.one(900, silence):
                raise RateLimited("slow down", 1)
    await outage(bench, VENDOR_FAILURES - 1)
    bench.is_down = False
    await bench.call()
    await outage(bench, VENDOR_FAILURES - 1)
    assert not bench.permits.is_vendor_away
    await outage(bench, 1)
    assert bench.permits.is_vendor_away


async def test_who_is_sent_away_hears_for_how_long_and_why() -> None:
    bench = Bench(max_outage=2.5)
    await outage(bench)
    probing = asyncio.ensure_future(bench.try_call())
    await asyncio.sleep(0)
    with pytest.raises(VendorAway, match=r"has not answered for \d s: connection refused"):
        await bench.call()
    await probing


# --- the line itself


async def test_who_gives_up_waiting_leaves_no_trace(seed: int) -> None:
    chance, bench = random.Random(seed), Bench(connections=2)
    calls = [asyncio.ensure_future(bench.call(at)) for at in range(100)]
    for call in chance.sample(calls, 60):
        await bench.clock.sleep(chance.choice((0, 0.3)))
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    assert (bench.quota.in_flight, bench.permits._out, bench.permits._unanswered) == (0, 0, 0)
    await asyncio.wait_for(bench.call("last"), 60)


async def test_one_that_is_cancelled_the_moment_it_is_admitted_gives_its_place_back() -> None:
    bench = Bench(connections=1)
    first, second = (asyncio.ensure_future(bench.call(at)) for at in range(2))
    while not (bench.permits._line and bench.permits._line[0].admitted.done()):
        await asyncio.sleep(0.01)
        if first.done():
            break
    second.cancel()
    await asyncio.gather(first, second, return_exceptions=True)
    assert (bench.quota.in_flight, bench.permits._out, bench.permits._unanswered) == (0, 0, 0)


class Failing:
    """A ledger that cannot be reached `times` times."""

    def __init__(self, times: int) -> None:
        self.times = times

    def take(self) -> bool:
        return self.times <= 0

    async def ask(self) -> Held:
        self.times -= 1
        if self.times >= 0:
            raise StoreUnavailable("away")
        return Held(0.0)

    def ended(self) -> None: ...

    def observe(self, headers: object) -> None: ...


async def test_an_error_of_the_ledger_is_for_one_call_each() -> None:
    bench = Bench(connections=4, ledger=Failing(2))
    ended = await asyncio.gather(*(bench.call(at) for at in range(5)), return_exceptions=True)
    assert [type(end).__name__ for end in ended].count("StoreUnavailable") == 2
    assert len(bench.sent) == 3


async def test_each_waiting_job_hears_once_what_is_waited_for() -> None:
    bench = Bench(connections=8)
    bench.permits.ledger.pause(5)
    heard: dict[str, list[str]] = {"one": [], "two": []}

    async def call(say: Callable[[str], None]) -> None:
        async with bench.permits.one(900, say):
            await bench.clock.sleep(0.1)

    await asyncio.gather(*(call(heard[name].append) for name in ("one", "two") for _ in range(4)))
    for said in heard.values():
        assert said[0] == "vendor limit, 5 s"
        assert said[-1] == ""
        assert said.count("") == 1
