"""Funding rates and open interest: shorter bars add up to longer ones, and every page agrees with every other."""

import random
from itertools import pairwise

import pytest

from core.sandbox.catalog import Catalog, Instrument
from core.sandbox.market import Market
from core.sandbox.series import Stream
from core.sandbox.streams import Funding, OpenInterest, Published
from core.sandbox.timeline import newest
from core.sandbox.updates import Flow, joined
from core.windows import DAY, HOUR, MINUTE

NOW = 1_750_012_345
LATER = 10_000_000_000
SEEDS = (1, 7, 20_250)


class World:
    """One seed's contracts, and its bars as they are made from empty caches."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        markets = Catalog(seed).instruments["futures"]
        self.contracts = [item for listed in markets.values() for item in listed.values() if item.series.first < NOW]

    def timeline(self, kind: str) -> Published:
        return Funding() if kind == "funding" else OpenInterest(Market(self.seed))


@pytest.fixture(scope="module", params=SEEDS)
def world(request: pytest.FixtureRequest) -> World:
    print(f"seed {request.param}")
    return World(request.param)


def stream_of(item: Instrument, kind: str) -> Stream | None:
    return item.funding if kind == "funding" else item.interest


def some_days(world: World, kind: str, seed: int, count: int) -> list[tuple[Stream, int]]:
    """Days of random streams: among them first days and, of those that ended, last days."""
    dice = random.Random(seed)
    streams = [stream for item in world.contracts if (stream := stream_of(item, kind)) and stream.first < NOW]
    chosen = []
    for stream in dice.sample(streams, count):
        first, last = stream.first // DAY.seconds, newest(stream, NOW) // DAY.seconds
        chosen.append((stream, dice.choice([first, last, dice.randint(first, last)]) * DAY.seconds))
    return chosen


def figures(bar: Flow) -> tuple[object, ...]:
    marks = bar.marks and [
        (update.ts, update.values) for update in (bar.marks.first, *bar.marks.highs, *bar.marks.lows, bar.marks.last)
    ]
    return bar.start, bar.opening, marks, bar.total


@pytest.mark.parametrize("kind", ["funding", "interest"])
def test_a_day_is_its_hours_and_its_minutes(world: World, kind: str) -> None:
    timeline = world.timeline(kind)
    for stream, start in some_days(world, kind, 21, 20):
        print(world.seed, kind, stream.series.key, start)
        [day] = timeline.bars(stream, DAY, start, start + DAY.seconds, LATER)
        hours = timeline.bars(stream, HOUR, start, start + DAY.seconds, LATER)
        minutes = timeline.bars(stream, MINUTE, start, start + DAY.seconds, LATER)
        assert figures(joined(start, hours)) == figures(day)
        assert figures(joined(start, minutes)) == figures(day)
        for hour in hours:
            own = [minute for minute in minutes if 0 <= minute.start - hour.start < HOUR.seconds]
            assert figures(joined(hour.start, own)) == figures(hour)


@pytest.mark.parametrize("kind", ["funding", "interest"])
def test_open_is_the_close_before_across_pages(world: World, kind: str) -> None:
    timeline = world.timeline(kind)
    for stream, start in some_days(world, kind, 22, 8):
        for grain, span in ((DAY, 60 * DAY.seconds), (HOUR, 3 * DAY.seconds), (MINUTE, DAY.seconds // 2)):
            pages = [timeline.bars(stream, grain, at, at + span, LATER) for at in (start - span, start, start + span)]
            bars = [bar for page in pages for bar in page]
            assert all(later.opening == earlier.closing for earlier, later in pairwise(bars)), stream.series.key
            assert [bar.start for bar in bars] == list(
                range(bars[0].start, bars[0].start + len(bars) * grain.seconds, grain.seconds)
            )


@pytest.mark.parametrize("kind", ["funding", "interest"])
def test_every_bar_is_consistent(world: World, kind: str) -> None:
    timeline = world.timeline(kind)
    for stream, start in some_days(world, kind, 23, 8):
        for grain in (DAY, HOUR, MINUTE):
            for bar in timeline.bars(stream, grain, start, start + DAY.seconds, LATER):
                if bar.marks is None:
                    assert bar.total == 0
                    continue
                updates = bar.marks.in_order()
                assert bar.start <= updates[0].ts <= updates[-1].ts < bar.start + grain.seconds
                assert bar.total >= len({update.ts for update in updates})
                for i, (high, low) in enumerate(zip(bar.marks.highs, bar.marks.lows, strict=True)):
                    values = [update.values[i] for update in updates]
                    assert (low.values[i], high.values[i]) == (min(values), max(values))


@pytest.mark.parametrize("kind", ["funding", "interest"])
def test_pages_agree_whatever_was_asked_before(world: World, kind: str) -> None:
    [(stream, _)] = some_days(world, kind, 24, 1)
    middle = (stream.first + newest(stream, NOW)) // 2 // DAY.seconds * DAY.seconds
    warm = world.timeline(kind)
    for grain in (DAY, HOUR, MINUTE):
        whole = warm.bars(stream, grain, middle, middle + 3 * DAY.seconds, NOW)
        part = world.timeline(kind).bars(stream, grain, middle + DAY.seconds, middle + 2 * DAY.seconds, NOW)
        assert part == [bar for bar in whole if bar.start // DAY.seconds == middle // DAY.seconds + 1]
        assert part


@pytest.mark.parametrize("kind", ["funding", "interest"])
def test_histories_begin_and_end_with_their_updates(world: World, kind: str) -> None:
    timeline = world.timeline(kind)
    ended = [
        stream
        for item in world.contracts
        if (stream := stream_of(item, kind)) and stream.last is not None and stream.last < NOW
    ]
    assert ended
    for stream in ended[::5]:
        for grain in (DAY, HOUR, MINUTE):
            first = timeline.bars(stream, grain, 0, stream.first + grain.seconds, NOW)[0]
            last = timeline.bars(stream, grain, grain.floor(newest(stream, NOW)), NOW, NOW)[-1]
            assert first.marks is not None
            assert last.marks is not None
            assert first.marks.first.ts == stream.first
            assert first.opening == first.marks.first.values
            assert last.marks.last.ts == stream.last


@pytest.mark.parametrize("kind", ["funding", "interest"])
def test_the_running_bar_is_a_prefix_of_its_final_self(world: World, kind: str) -> None:
    timeline = world.timeline(kind)
    live = [s for item in world.contracts if (s := stream_of(item, kind)) and s.last is None and s.first < NOW]
    for stream in live[:3]:
        for grain in (DAY, HOUR, MINUTE):
            now = grain.floor(NOW) + grain.seconds * 2 // 3
            [running] = timeline.bars(stream, grain, grain.floor(now), now, now)
            [final] = timeline.bars(stream, grain, grain.floor(now), now, LATER)
            assert running.opening == final.opening
            assert running.total <= final.total
            if running.marks is not None and final.marks is not None:
                assert running.marks.first[::2] == final.marks.first[::2]
                assert running.marks.last.ts < now
                highs = zip(running.marks.highs, final.marks.highs, strict=True)
                assert all(early.values[i] <= late.values[i] for i, (early, late) in enumerate(highs))


def test_open_interest_follows_the_trades_price(world: World) -> None:
    market, timeline = Market(world.seed), world.timeline("interest")
    compared = 0
    for stream, start in some_days(world, "interest", 25, 10):
        trades = {bar.start: bar for bar in market.bars(stream.series, HOUR, start, start + DAY.seconds, LATER)}
        for bar in timeline.bars(stream, HOUR, start, start + DAY.seconds, LATER):
            size, price, worth = bar.closing
            if stream.series.contract is None:
                assert worth == size * price
            else:
                assert isinstance(worth, int)
                assert size == pytest.approx(worth * 10**stream.series.ticks / price, rel=1e-15)
            if trade := trades.get(bar.start):
                assert price == pytest.approx(trade.closing, rel=0.1)
                compared += 1
    assert compared > 50


def test_some_contracts_publish_neither_and_most_both(world: World) -> None:
    perpetual = [item for item in world.contracts if item.expires is None]
    neither = [item for item in perpetual if item.funding is None and item.interest is None]
    both = [item for item in perpetual if item.funding and item.interest]
    assert 0 < len(neither) < len(perpetual) / 10
    assert len(both) > 0.8 * len(perpetual)
    assert all(item.funding is None for item in world.contracts if item.expires is not None)
    later = [item for item in both if item.interest and item.interest.first > item.series.first + 90 * DAY.seconds]
    assert len(later) > 20
    assert {item.funding.interval_ms for item in both if item.funding and item.market == "hyperliquid"} == {3_600_000}


def test_funding_rates_rest_rise_and_fall_below_zero(world: World) -> None:
    timeline = world.timeline("funding")
    closes = []
    for item in world.contracts:
        if item.funding is not None and item.market == "binance":
            bars = timeline.bars(item.funding, DAY, NOW - 100 * DAY.seconds, NOW, NOW)
            closes += [bar.closing[0] / item.funding.level for bar in bars]
    assert closes.count(1.0) > len(closes) / 10
    assert min(closes) < 0
    assert max(closes) > 2
