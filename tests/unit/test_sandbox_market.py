"""The synthetic bars: shorter ones add up to longer ones, and every page agrees with every other."""

import random
from itertools import pairwise

import pytest

from core.sandbox.bars import Bar, joined
from core.sandbox.catalog import Catalog, Instrument
from core.sandbox.market import Market
from core.sandbox.world import Register
from core.windows import DAY, HOUR, MINUTE

NOW = 1_750_012_345
LATER = 10_000_000_000
SEEDS = (1, 7, 20_250)

World = tuple[Catalog, Market]


@pytest.fixture(scope="module", params=SEEDS)
def world(request: pytest.FixtureRequest) -> World:
    print(f"seed {request.param}")
    return Catalog(request.param), Market(request.param)


def everything(catalog: Catalog) -> list[Instrument]:
    return [
        item
        for markets in catalog.instruments.values()
        for listed in markets.values()
        for item in listed.values()
        if item.series.first < NOW
    ]


def some_days(catalog: Catalog, seed: int, count: int) -> list[tuple[Instrument, int]]:
    """Days of random series: among them first days and, of those that ended, last days."""
    dice = random.Random(seed)
    chosen = []
    for item in dice.sample(everything(catalog), count):
        first = item.series.first // DAY.seconds
        last = min(NOW, item.series.last or NOW) // DAY.seconds
        chosen.append((item, dice.choice([first, last, dice.randint(first, last)]) * DAY.seconds))
    return chosen


def figures(bar: Bar) -> tuple[object, ...]:
    marks = bar.marks and [(mark.ts, mark.price) for mark in bar.marks]
    return bar.opening, marks, bar.counts, bar.lots, bar.values


def test_a_day_is_its_hours_and_its_minutes(world: World) -> None:
    catalog, market = world
    for item, start in some_days(catalog, 11, 25):
        series, span = item.series, (start, start + DAY.seconds)
        print(series.key, start)
        [day] = market.bars(series, DAY, *span, LATER)
        for grain in (HOUR, MINUTE):
            parts = market.bars(series, grain, *span, LATER)
            assert figures(joined(start, parts)) == figures(day)


def test_every_bar_is_consistent(world: World) -> None:
    catalog, market = world
    for item, start in some_days(catalog, 12, 12):
        series = item.series
        for grain in (DAY, HOUR, MINUTE):
            for bar in market.bars(series, grain, start, start + DAY.seconds, LATER):
                if bar.marks is None:
                    assert bar.counts == bar.lots == bar.values == ()
                    continue
                first, high, low, last = bar.marks
                assert bar.start <= first.ts <= min(high.ts, low.ts), (series.key, bar)
                assert max(high.ts, low.ts) <= last.ts < bar.start + grain.seconds
                assert 0 < low.price <= min(first.price, last.price)
                assert high.price >= max(first.price, last.price)
                assert sum(bar.values) < 10**15
                for lots, value in zip(bar.lots, bar.values, strict=True):
                    lowest, highest = series.terms.bounds(lots, low.price, high.price)
                    assert lowest <= value <= highest, (series.key, bar)


def test_open_is_the_close_before_across_pages(world: World) -> None:
    catalog, market = world
    for item, start in some_days(catalog, 13, 10):
        for grain, span in ((DAY, 90 * DAY.seconds), (HOUR, 3 * DAY.seconds), (MINUTE, DAY.seconds)):
            pages = [
                market.bars(item.series, grain, at, at + span, LATER) for at in (start - span, start, start + span)
            ]
            bars = [bar for page in pages for bar in page]
            assert all(later.opening == earlier.closing for earlier, later in pairwise(bars)), item.series.key
            assert [bar.start for bar in bars] == list(
                range(bars[0].start, bars[0].start + len(bars) * grain.seconds, grain.seconds)
            )


@pytest.mark.slow
def test_pages_agree_whatever_was_asked_before() -> None:
    one, other = Market(7), Market(7)
    series = Catalog(7).instruments["spot"]["kraken"]["BTC-USD"].series
    middle = MINUTE.floor(NOW - 40 * DAY.seconds)
    other.bars(series, DAY, 0, NOW, NOW)
    for grain in (DAY, HOUR, MINUTE):
        whole = one.bars(series, grain, middle, middle + 4 * DAY.seconds, NOW)
        part = Market(7).bars(series, grain, middle + DAY.seconds, middle + 2 * DAY.seconds, NOW)
        assert part == [bar for bar in whole if bar in part]
        assert len(part) == DAY.seconds // grain.seconds
        assert other.bars(series, grain, middle, middle + 4 * DAY.seconds, NOW) == whole


def test_idle_days_are_bars_too(world: World) -> None:
    catalog, market = world
    quiet = [item for item in everything(catalog) if item.series.idle_days > 0.1][:5]
    bars = [bar for item in quiet for bar in market.bars(item.series, DAY, NOW - 200 * DAY.seconds, NOW, NOW)]
    idle = [bar for bar in bars if bar.marks is None]
    assert idle
    for bar in idle[:3]:
        item = next(i for i in quiet if bar in market.bars(i.series, DAY, bar.start, bar.start + 1, NOW))
        minutes = market.bars(item.series, MINUTE, bar.start, bar.start + DAY.seconds, NOW)
        assert len(minutes) == 1440
        assert {minute.closing for minute in minutes} == {bar.opening}


def test_histories_begin_and_end_with_their_trades(world: World) -> None:
    catalog, market = world
    ended = [item for item in everything(catalog) if item.series.last is not None and item.series.last < NOW]
    assert {item.status for item in ended} == {"RETIRED", "EXPIRED"}
    for item in ended[::12]:
        series = item.series
        for grain in (DAY, HOUR):
            first = market.bars(series, grain, 0, series.first + grain.seconds, NOW)[0]
            last = market.bars(series, grain, grain.floor(series.last or 0), NOW, NOW)[-1]
            assert first.marks is not None
            assert last.marks is not None
            assert first.marks.first.ts == series.first
            assert first.opening == first.marks.first.price
            assert last.marks.last.ts == series.last


def test_the_running_bar_is_a_prefix_of_its_final_self(world: World) -> None:
    catalog, market = world
    for name in ("BTC-USD", "DOGE-EUR"):
        series = catalog.instruments["spot"]["kraken"][name].series
        for grain in (DAY, HOUR, MINUTE):
            now = grain.floor(NOW) + grain.seconds * 2 // 3
            [running] = market.bars(series, grain, grain.floor(now), now, now)
            [final] = market.bars(series, grain, grain.floor(now), now, LATER)
            assert running.opening == final.opening
            if running.marks is None:
                continue
            assert final.marks is not None
            assert running.marks.first == final.marks.first
            assert running.marks.last.ts < now
            assert running.marks.high.price <= final.marks.high.price
            assert all(a <= b for a, b in zip(running.lots, final.lots, strict=True))
    day = DAY.floor(NOW)
    minutes = market.bars(series, MINUTE, day, NOW, NOW)
    [today] = market.bars(series, DAY, day, NOW, NOW)
    assert figures(joined(day, minutes)) == figures(today)


def test_fixed_names_exist_in_every_seed(world: World) -> None:
    catalog, _ = world
    found = catalog.instruments
    assert Register(found, {}, {}).find("spot", "kraken", "XXBTZUSD") is found["spot"]["kraken"]["BTC-USD"]
    assert found["futures"]["binance"]["BTC-USDT-VANILLA-PERPETUAL"].own_id == "BTCUSDT"
    for market in ("binance", "okex", "bybit"):
        assert found["futures"][market]["ETH-USD-INVERSE-PERPETUAL"].status == "ACTIVE"
    assert {"binance", "coinbase", "kraken"} <= set(found["spot"])
    assert "BTC-USD-INVERSE-20240329" in found["futures"]["okex"]
    assert len(found["index"]["cadli"]) >= 60
    assert sum(len(listed) for markets in found.values() for listed in markets.values()) >= 600
    assert found["spot"]["coinbase"]["BTC-USD"].series.first < 1_430_000_000


def test_the_seed_moves_prices_and_listings_not_names() -> None:
    worlds = [Catalog(seed) for seed in (1, 2)]
    names = [{(i.kind, i.market, i.mapped) for i in everything(catalog)} for catalog in worlds]
    assert len(names[0] ^ names[1]) < 20
    pair = [catalog.instruments["spot"]["kraken"]["SOL-USD"].series for catalog in worlds]
    assert pair[0].first != pair[1].first
    closes = [Market(n).bars(s, DAY, NOW - DAY.seconds, NOW, NOW)[0].closing for n, s in zip((1, 2), pair, strict=True)]
    assert closes[0] != closes[1]
