"""The vendor refuses for its limits, in every form that it may: nobody asks inside of a wait, and nothing is wasted.

Everything is simulated time; the vendor counts its windows by a clock of its own, and knows when each of its answers
was heard.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Mapping
from email.utils import formatdate

import pytest

from core.engine.ledger import KEEP_SECONDS, STOCK_SECONDS, Ledger, OwnBook
from core.engine.metadata import MeteredListings
from core.engine.permits import Permits
from core.ledger import Account, Book, Grant, Report
from core.limits import LONGEST_PAUSE, UNKNOWN_WAIT, Backoff, Quota
from core.sources.coindesk import CoinDeskSource
from core.sources.http import Answer
from tests.fakes import VirtualClock

pytestmark = pytest.mark.simulated

START = 1_750_000_003.6
WORKERS = 24
Form = tuple[dict[str, str], float]


def forms(now: int, chance: random.Random) -> Form:
    """The headers of a refusal, and for how many seconds nobody may ask then."""
    wait = chance.randint(1, 8)
    there = now + wait
    known: list[Form] = [
        ({"Retry-After": str(wait)}, wait),
        ({"Retry-After": formatdate(there, usegmt=True)}, wait),
        ({"retry-after": formatdate(there, usegmt=True)}, wait),
        ({"Retry-After": formatdate(now - 3_600, usegmt=True)}, 1),
        ({"Retry-After": "0"}, 1),
        ({"Retry-After": "-1"}, 1),
        ({"X-RateLimit-Remaining-All": "9, 0;window=1, 0;window=60", "X-RateLimit-Reset-All": RESETS}, 7),
        ({"X-RateLimit-Remaining-All": "9, 0;window=1, 3;window=60", "X-RateLimit-Reset-All": RESETS}, 1),
    ]
    rare: list[Form] = [
        ({}, UNKNOWN_WAIT),
        ({"Retry-After": "soon"}, UNKNOWN_WAIT),
        ({"Retry-After": "NaN"}, UNKNOWN_WAIT),
        ({"Retry-After": "9" * 4_096}, UNKNOWN_WAIT),
        ({"Retry-After": "1000000000000"}, LONGEST_PAUSE),
        ({"Retry-After": formatdate(now + 10**8, usegmt=True)}, LONGEST_PAUSE),
    ]
    return chance.choice(rare if chance.random() < 0.004 else known)


RESETS = "9, 1;window=1, 7;window=60"


class Headers(dict[str, str]):
    """Names of headers have no case; implemented as far as it is used."""

    def __getitem__(self, name: str) -> str:
        return {each.lower(): value for each, value in self.items()}[name.lower()]

    def get(self, name: str, default: str = "") -> str:  # type: ignore[override]
        return {each.lower(): value for each, value in self.items()}.get(name.lower(), default)

    def __contains__(self, name: object) -> bool:
        return any(each.lower() == str(name).lower() for each in self)


class Vendor:
    """Counts calls in windows; beyond them, and every so often besides, it refuses in some form."""

    def __init__(self, clock: VirtualClock, limits: dict[int, int], chance: random.Random, refusing: float) -> None:
        self.clock = clock
        # The vendor tells of the month in any case.
        self.limits = {**limits, 2_678_400: 10**6}
        self.chance = chance
        self.refusing = refusing
        self.used: Counter[tuple[int, int]] = Counter()
        self.ahead = chance.uniform(-5, 5)
        self.quiet_until = 0.0
        self.quiet_for: object = None
        self.calls = self.refusals = 0
        self.too_early: list[tuple[float, object]] = []
        self.exceeded: list[tuple[int, int]] = []

    def sent(self, by: object) -> None:
        """A call leaves an engine: nobody may have been told to wait."""
        if self.clock.monotonic() < self.quiet_until - 1e-6:
            grace = 0.0 if by is self.quiet_for else STOCK_SECONDS + 2 * KEEP_SECONDS
            if self.clock.monotonic() > self.heard_at + grace:
                self.too_early.append((self.quiet_until - self.clock.monotonic(), self.form))

    def answer(self) -> tuple[int, dict[str, str], Form | None]:
        now = int(self.clock.wall() + self.ahead)
        slots = {seconds: (seconds, now // seconds) for seconds in self.limits}
        over = [slots[seconds] for seconds, cap in self.limits.items() if self.used[slots[seconds]] >= cap]
        self.exceeded += over
        self.calls += 1
        if over or self.chance.random() < self.refusing:
            self.refusals += 1
            form = forms(now, self.chance)
            return 429, {"Date": formatdate(now, usegmt=True), **form[0]}, form
        self.used.update(slots.values())
        left = {seconds: cap - self.used[slots[seconds]] for seconds, cap in self.limits.items()}
        resets = {seconds: seconds - now % seconds for seconds in self.limits}
        shown = {"Limit": self.limits, "Remaining-All": left, "Reset-All": resets}
        told = {f"X-RateLimit-{name}": _all(figures) for name, figures in shown.items()}
        return 200, {"Date": formatdate(now, usegmt=True), **told}, None

    def heard(self, form: Form, by: object) -> None:
        """From now on nobody may ask for a while."""
        now = self.clock.monotonic()
        if now + form[1] > self.quiet_until:
            self.quiet_until, self.quiet_for, self.heard_at, self.form = now + form[1], by, now, form


def _all(figures: Mapping[int, int]) -> str:
    return ", ".join(["9", *(f"{figure};window={seconds}" for seconds, figure in figures.items())])


class Wire:
    """Stands in for the HTTP client of one engine."""

    def __init__(self, vendor: Vendor, latency: float) -> None:
        self.vendor = vendor
        self.latency = latency

    async def get(self, path: str, params: Mapping[str, str]) -> Answer:
        vendor = self.vendor
        vendor.sent(self)
        await self._travel()
        status, headers, form = vendor.answer()
        await self._travel()
        if form is not None:
            vendor.heard(form, self)
        return Answer(status, Headers(headers), b"{}")

    async def _travel(self) -> None:
        await self.vendor.clock.sleep(self.latency * self.vendor.chance.uniform(0.4, 0.6))

    async def close(self) -> None: ...


class SharedBook:
    """One account of several engines, each with its own way there."""

    def __init__(self, clock: VirtualClock) -> None:
        self._account = Account()
        self._clock = clock

    def of(self, name: str) -> "BookOf":
        return BookOf(self._account, self._clock, name)


class BookOf:
    """Implements `core.ledger.Book`."""

    def __init__(self, account: Account, clock: VirtualClock, name: str) -> None:
        self._account, self._clock, self._name = account, clock, name

    async def exchange(self, report: Report, wanted: int) -> Grant:
        await self._clock.sleep(0.002)
        return self._account.exchange(self._name, report, wanted, self._clock.wall())


class Engine:
    """The part of an engine that asks."""

    def __init__(self, vendor: Vendor, book: Book, latency: float) -> None:
        clock = vendor.clock
        quota = Quota()
        self.ledger = Ledger(quota, book, clock, clock.wall)
        permits = Permits(quota, 64, clock, clock.wall, self.ledger)
        source = CoinDeskSource("http://127.0.0.1:9", observe=permits.observe, clock=clock)
        source._http = Wire(vendor, latency)  # type: ignore[assignment]
        self._source = source
        self._asked = MeteredListings(
            source, permits, clock, Backoff(), vendor.chance.random, max_wait=1e9, say=lambda _: None
        )

    async def ask(self) -> None:
        await self._asked.call(self._source.rate_limit)


async def load(engines: list[Engine], vendor: Vendor, *, refusals: int = 0, seconds: float = 0.0) -> None:
    """All engines ask as much as they may, until that many refusals or seconds."""
    clock = vendor.clock
    until = clock.monotonic() + seconds
    keepers = [asyncio.create_task(engine.ledger.keep()) for engine in engines]

    async def worker(engine: Engine) -> None:
        while vendor.refusals < refusals or clock.monotonic() < until:
            await engine.ask()

    await asyncio.gather(*(worker(engine) for engine in engines for _ in range(WORKERS // len(engines))))
    for keeper in keepers:
        keeper.cancel()


def books(clock: VirtualClock, engines: int) -> list[Book]:
    shared = SharedBook(clock)
    return [shared.of(f"e{at}") for at in range(engines)] if engines > 1 else [OwnBook(clock.wall)]


@pytest.mark.parametrize("refusals", [600, pytest.param(10_000, marks=[pytest.mark.slow, pytest.mark.timeout(600)])])
@pytest.mark.parametrize("engines", [1, 4])
async def test_nobody_asks_inside_of_a_wait(engines: int, refusals: int, seed: int) -> None:
    """Another engine may send what it had claimed, for a second; whoever was refused sends nothing."""
    chance, clock = random.Random(seed), VirtualClock(START)
    vendor = Vendor(clock, {1: 40, 60: 1_200}, chance, refusing=0.3)
    await load([Engine(vendor, book, 0.08) for book in books(clock, engines)], vendor, refusals=refusals)
    assert vendor.refusals >= refusals
    assert vendor.too_early == []
    assert vendor.exceeded == []


@pytest.mark.slow
@pytest.mark.parametrize("engines", [1, 4])
@pytest.mark.parametrize("latency", [0.01, 0.08, 0.3])
@pytest.mark.parametrize("limits", [{1: 20}, {1: 20, 60: 300}, {1: 38, 60: 2_241}, {60: 600, 3_600: 9_000}], ids=str)
async def test_a_healthy_vendor_is_asked_as_much_as_it_allows(
    limits: dict[int, int], latency: float, engines: int, seed: int
) -> None:
    chance, clock = random.Random(seed), VirtualClock(START)
    vendor = Vendor(clock, limits, chance, refusing=0)
    seconds = 300.0
    await load([Engine(vendor, book, latency) for book in books(clock, engines)], vendor, seconds=seconds)
    allowed = min(cap / each for each, cap in limits.items()) * seconds
    assert vendor.exceeded == []
    assert vendor.refusals == 0
    assert vendor.calls >= 0.9 * allowed, f"{vendor.calls} of {allowed:.0f}"
