"""Engines of one account that count together: the vendor never gets more than its limits, on virtual time."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from email.utils import formatdate

import pytest

from core.engine.ledger import BATCH, Ledger, OwnBook
from core.engine.permits import Permits
from core.errors import LedgerAway, QuotaExhausted, StoreUnavailable
from core.ledger import ASK_SECONDS, Account, Grant, Report
from core.limits import Quota
from tests.fakes import VirtualClock

START = 1_750_000_000
NAMES = {1: "second", 60: "minute", 3_600: "hour", 2_678_400: "month"}


class Vendor:
    """Counts calls in windows of its own clock, which is not ours; `most` is the largest count of each."""

    def __init__(self, clock: VirtualClock, limits: dict[int, int], ahead: float = 0.0) -> None:
        self.clock = clock
        self.limits = {**limits, 2_678_400: 10**6}
        self.used: Counter[tuple[int, int]] = Counter()
        self._ahead = ahead

    def call(self) -> dict[str, str]:
        now = self.clock.wall() + self._ahead
        slots = {seconds: (seconds, int(now // seconds)) for seconds in self.limits}
        self.used.update(slots.values())
        left = {seconds: max(0, cap - self.used[slots[seconds]]) for seconds, cap in self.limits.items()}
        resets = {seconds: seconds - int(now) % seconds for seconds in self.limits}
        return {
            "X-RateLimit-Limit": self._all(self.limits),
            "X-RateLimit-Remaining-All": self._all(left),
            "X-RateLimit-Reset-All": self._all(resets),
            "Date": formatdate(now, usegmt=True),
        }

    @property
    def calls(self) -> int:
        return sum(count for (seconds, _), count in self.used.items() if seconds == 2_678_400)

    @property
    def most(self) -> dict[int, int]:
        return {
            seconds: max((count for (each, _), count in self.used.items() if each == seconds), default=0)
            for seconds in self.limits
        }

    @staticmethod
    def _all(figures: dict[int, int]) -> str:
        return ", ".join(["0", *(f"{figure};window={seconds}" for seconds, figure in figures.items())])


class SharedBook:
    """The account, each exchange with its way there and back; `away` is why it cannot be reached."""

    def __init__(self, clock: VirtualClock, delay: Callable[[], float] = lambda: 0.002) -> None:
        self.account = Account()
        self.clock = clock
        self.delay = delay
        self.away: StoreUnavailable | None = None
        self.exchanges = 0

    def of(self, name: str) -> "BookOf":
        return BookOf(self, name)


class BookOf:
    """Implements `core.ledger.Book`."""

    def __init__(self, shared: SharedBook, name: str) -> None:
        self._shared = shared
        self._name = name

    async def exchange(self, report: Report, wanted: int) -> Grant:
        shared = self._shared
        await shared.clock.sleep(shared.delay())
        if shared.away:
            raise shared.away
        shared.exchanges += 1
        # Its clock is not ours either.
        grant = shared.account.exchange(self._name, report, wanted, shared.clock.wall() + 7.3)
        await shared.clock.sleep(shared.delay())
        return grant


class Member:
    """One engine of the account."""

    def __init__(self, name: str, book: SharedBook, vendor: Vendor, latency: Callable[[], float]) -> None:
        clock = vendor.clock
        self.quota = Quota()
        self.ledger = Ledger(self.quota, book.of(name), clock, clock.wall)
        self.permits = Permits(self.quota, 16, clock, clock.wall, self.ledger)
        self.said: list[str] = []
        self._vendor = vendor
        self._latency = latency

    async def call(self, max_wait: float = 1e6, *, is_lost: bool = False) -> None:
        async with self.permits.one(max_wait, self.said.append):
            await self._vendor.clock.sleep(self._latency())
            headers = self._vendor.call()
            await self._vendor.clock.sleep(self._latency())
            if not is_lost:
                self.permits.observe(headers)

    async def work(self, calls: int, chance: random.Random) -> None:
        """Bursts and quiet times, by some workers."""

        async def worker(count: int) -> None:
            for _ in range(count):
                await self.call(is_lost=chance.random() < 0.01)
                if chance.random() < 0.05:
                    await self._vendor.clock.sleep(chance.uniform(0, 3))

        async with asyncio.TaskGroup() as group:
            for _ in range(8):
                group.create_task(worker(calls // 8))


@pytest.fixture
async def clock() -> VirtualClock:
    return VirtualClock(START)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("limits", "calls"),
    [({1: 20, 60: 300}, 400), ({1: 5}, 80), ({60: 40}, 80), ({1: 600}, 800)],
    ids=["free tier", "five a second", "forty a minute", "plenty"],
)
@pytest.mark.parametrize("engines", [1, 8])
async def test_all_engines_together_stay_within_every_limit(
    limits: dict[int, int], calls: int, engines: int, seed: int, clock: VirtualClock
) -> None:
    chance = random.Random(seed)
    vendor = Vendor(clock, limits, ahead=chance.uniform(-5, 5))
    book = SharedBook(clock, lambda: chance.expovariate(1 / 0.004))
    members = [Member(f"e{at}", book, vendor, lambda: chance.expovariate(1 / 0.04)) for at in range(engines)]
    keepers = [asyncio.create_task(member.ledger.keep()) for member in members]
    started, each = clock.monotonic(), 8 * max(1, calls // engines // 8)
    await asyncio.gather(*(member.work(each, chance) for member in members))
    took = clock.monotonic() - started
    for keeper in keepers:
        keeper.cancel()
    for member in members:
        await member.ledger.close()
    assert vendor.calls == each * engines
    assert all(most <= vendor.limits[seconds] for seconds, most in vendor.most.items()), vendor.most
    # Waiting for certainty costs less than the time that the limits cost.
    ideal = max(vendor.calls / cap * seconds for seconds, cap in limits.items())
    assert took < 2 * ideal + 120, (took, ideal)
    assert not any(claim.calls for claim in book.account.claims.values())


async def test_plenty_costs_few_exchanges(clock: VirtualClock) -> None:
    vendor, book = Vendor(clock, {1: 5_000}), SharedBook(clock)
    member = Member("one", book, vendor, lambda: 0.02)
    await member.call()
    before = book.exchanges
    await asyncio.gather(*(member.call() for _ in range(320)))
    assert book.exchanges - before <= 320 / BATCH + 5


async def test_what_is_not_sent_is_given_back(clock: VirtualClock) -> None:
    vendor, book = Vendor(clock, {60: 100}), SharedBook(clock)
    one, two = (Member(name, book, vendor, lambda: 0.02) for name in ("one", "two"))
    keeper = asyncio.create_task(one.ledger.keep())
    await one.call()
    await one.call()
    assert book.account.claims["one"].calls > 10
    await clock.sleep(3)
    assert not any(claim.calls for claim in book.account.claims.values())
    await asyncio.gather(*(two.call() for _ in range(98)))
    assert vendor.most[60] == 100
    keeper.cancel()


async def test_an_engine_that_was_paused_does_not_send_what_it_had_claimed(clock: VirtualClock) -> None:
    vendor, book = Vendor(clock, {3_600: 50}), SharedBook(clock)
    one, two = (Member(name, book, vendor, lambda: 0.02) for name in ("one", "two"))
    await one.call()
    await one.call()
    await clock.sleep(60)  # nobody keeps its claims meanwhile
    await asyncio.gather(*(two.call() for _ in range(48)))
    await two.ledger.close()
    with pytest.raises(QuotaExhausted, match="hour limit is used up"):
        await one.call(max_wait=10)
    assert vendor.calls == 50


async def test_an_engine_whose_machine_slept_does_not_send_what_it_had_claimed(clock: VirtualClock) -> None:
    """Monotonic time has stood still; other hosts have used up what was left meanwhile."""
    vendor, book = Vendor(clock, {3_600: 50}), SharedBook(clock)
    one, two = (Member(name, book, vendor, lambda: 0.02) for name in ("one", "two"))
    await one.call()
    await one.call()
    await one.call()
    assert book.account.claims["one"].calls > 10
    clock.set_wall(clock.wall() + 60)
    await asyncio.gather(*(two.call() for _ in range(47)))
    await two.ledger.close()
    with pytest.raises(QuotaExhausted, match="hour limit is used up"):
        await one.call(max_wait=10)
    assert vendor.calls == 50


async def test_who_waits_says_for_which_limit(clock: VirtualClock) -> None:
    vendor, book = Vendor(clock, {60: 2}), SharedBook(clock)
    member = Member("one", book, vendor, lambda: 0.02)
    for _ in range(3):
        await member.call()
    assert [said.split(",")[0] for said in dict.fromkeys(member.said)] == ["minute limit"] * (
        len(set(member.said)) - 1
    ) + [""]
    assert vendor.most[60] == 2


async def test_a_refusal_pauses_every_engine(clock: VirtualClock) -> None:
    vendor, book = Vendor(clock, {60: 1_000}), SharedBook(clock)
    one, two = (Member(name, book, vendor, lambda: 0.02) for name in ("one", "two"))
    keeper = asyncio.create_task(one.ledger.keep())
    await one.call()
    one.permits.refused(30, max_wait=60)
    await clock.sleep(1)
    before = clock.monotonic()
    await two.call()
    assert 28 <= clock.monotonic() - before <= 32
    keeper.cancel()


async def test_while_the_ledger_is_away_nothing_is_sent_and_nothing_is_forgotten(clock: VirtualClock) -> None:
    """The store itself waits; once it has lost its patience the call fails, and what was heard is told later."""
    vendor, book = Vendor(clock, {60: 5}), SharedBook(clock)
    member = Member("one", book, vendor, lambda: 0.02)
    await member.call()
    book.away = StoreUnavailable("the database is away")
    with pytest.raises(StoreUnavailable):
        await member.call()
    await member.ledger.close()
    book.away = None
    assert vendor.calls == 1
    await member.call()
    await member.ledger.close()
    assert book.account.limits[60].remaining == 3
    assert book.account.lost == []


async def test_the_display_shows_what_is_left_for_everybody(clock: VirtualClock) -> None:
    vendor, book = Vendor(clock, {60: 100}), SharedBook(clock)
    one, two = (Member(name, book, vendor, lambda: 0.02) for name in ("one", "two"))
    for _ in range(10):
        await one.call()
    await one.ledger.close()
    await two.call()
    assert two.quota.left("minute") == 100 - 11
    assert 0 < two.quota.limits[60].resets_at - clock.wall() <= 61


async def test_while_only_the_ledger_is_away_a_call_waits_for_it_and_says_so(clock: VirtualClock) -> None:
    vendor, book = Vendor(clock, {60: 5}), SharedBook(clock)
    member = Member("one", book, vendor, lambda: 0.02)
    await member.call()
    book.away = LedgerAway("the ledger is away")
    asyncio.get_running_loop().call_later(20, setattr, book, "away", None)
    before = clock.monotonic()
    await member.call(max_wait=60)
    assert 20 <= clock.monotonic() - before <= 22
    assert [member.said[0], member.said[-1]] == ["the ledger is away", ""]
    await member.ledger.close()
    assert (vendor.calls, book.account.lost) == (2, [])


async def test_nobody_waits_for_a_ledger_longer_than_for_a_limit(clock: VirtualClock) -> None:
    vendor, book = Vendor(clock, {60: 5}), SharedBook(clock)
    member = Member("one", book, vendor, lambda: 0.02)
    book.away = LedgerAway("the ledger is away")
    before = clock.monotonic()
    with pytest.raises(QuotaExhausted, match="the ledger is away"):
        await member.call(max_wait=30)
    assert 30 <= clock.monotonic() - before <= 32
    assert vendor.calls == 0


async def test_what_the_account_knows_is_learned_without_a_call(clock: VirtualClock) -> None:
    vendor, book = Vendor(clock, {60: 100}), SharedBook(clock)
    one, two, three = (Member(name, book, vendor, lambda: 0.02) for name in ("one", "two", "three"))
    assert await one.ledger.learn(60, one.said.append, asks=True)
    assert not await two.ledger.learn(60, two.said.append, asks=True), "it has just been asked"
    await one.call()
    await one.ledger.close()
    assert not await three.ledger.learn(60, three.said.append, asks=True)
    assert three.quota.left("minute") == 99
    assert not any(claim.calls for claim in book.account.claims.values())


async def test_who_counts_alone_asks_for_the_limits_once_an_hour(clock: VirtualClock) -> None:
    ledger = Ledger(Quota(), OwnBook(clock.wall), clock, clock.wall)

    async def learn(*, asks: bool = True) -> bool:
        return await ledger.learn(60, lambda _: None, asks=asks)

    assert [await learn(asks=False), await learn(), await learn()] == [False, True, False]
    await clock.sleep(ASK_SECONDS)
    assert await learn()
    await clock.sleep(ASK_SECONDS)
    await ledger.ask()
    assert ledger.take()
    ledger.observe(Vendor(clock, {60: 100}).call())
    ledger.ended()
    assert not await learn()
