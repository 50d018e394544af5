"""Which series an operation means: rankings, listings, names."""

from collections.abc import Collection
from typing import Any

import pytest
from engine_kit import NOW

from core.datasets import SeriesKey
from core.engine.selection import UNLISTED, Selected, select
from core.errors import ConfigError
from core.operations import make_operation, named_series
from core.planner import Wanted
from core.sources import Asset, AssetPage, Exchange, Instrument, Recorded


class Vendor:
    """Listings as given; the ranking has `ranked` assets, two a page; `known` is what a store remembers."""

    name = "coindesk"

    def __init__(self, *found: Instrument, ranked: tuple[str, ...] = ("BTC", "ETH", "SOL", "XRP")) -> None:
        self.asked: list[str] = []
        self.known: dict[str, Instrument] = {}
        self.grades: dict[str, str | None] = {}
        self._found = found
        self._ranked = ranked

    async def instruments(self, kind: str, market: str) -> list[Instrument]:
        self.asked.append(f"{kind}/{market}")
        return [found for found in self._found if found.market == market]

    async def remembered(self, kind: str, market: str, names: Collection[str]) -> list[Instrument]:
        return [entry for name, entry in self.known.items() if name in names and entry.market == market]

    async def exchanges(self, kind: str) -> list[Exchange]:
        self.asked.append(f"{kind} exchanges")
        return [Exchange(market, grade=grade) for market, grade in self.grades.items()]

    async def top_assets(self, page: int) -> AssetPage:
        self.asked.append(f"top/{page}")
        assets = [Asset(at, name) for at, name in enumerate(self._ranked)]
        return AssetPage(assets[2 * page - 2 : 2 * page], is_last=2 * page >= len(assets))


def spot(base: str, quote: str = "USD", market: str = "kraken", **fields: Any) -> Instrument:
    span = Recorded(fields.pop("first", 1_000_000), fields.pop("last", 1_700_000_000))
    given = {"status": "ACTIVE", "history": {"trades": span, "index": span}, "trades": 10}
    name = fields.pop("name", f"{base}-{quote}")
    symbol = fields.pop("symbol", f"X{base}Z{quote}")
    return Instrument(market=market, name=name, exchange_symbol=symbol, base=base, quote=quote, **{**given, **fields})


def future(base: str, kind: str = "VANILLA-PERPETUAL", quote: str = "USDT", **fields: Any) -> Instrument:
    perpetual = kind.endswith("PERPETUAL")
    return spot(base, quote, "binance", name=f"{base}-{quote}-{kind}", perpetual=perpetual, **fields)


async def selected(vendor: Vendor, stored: Collection[tuple[str, str]] = (), **fields: Any) -> Selected:
    operation = make_operation({"data_type": "spot_ohlcv", "market": "kraken", **fields})

    async def known() -> Collection[tuple[str, str]]:
        return stored

    return await select(operation, vendor, lambda: float(NOW), named=named_series(operation), stored=known)


async def chosen(vendor: Vendor, **fields: Any) -> list[Wanted]:
    return (await selected(vendor, **fields)).wanted


async def names(vendor: Vendor, **fields: Any) -> list[str]:
    return [wanted.key.instrument for wanted in await chosen(vendor, **fields)]


async def test_assets_are_walked_in_rank_order_in_rounds() -> None:
    vendor = Vendor(
        spot("SOL"), spot("ETH"), spot("BTC", "USDT"), spot("BTC", "EUR"), spot("BTC"), spot("ETH", "BTC"), spot("DOGE")
    )
    assert await names(vendor) == ["BTC-USD", "ETH-USD", "SOL-USD", "BTC-USDT", "ETH-BTC", "BTC-EUR"]
    assert await names(vendor, pair_limit=4) == ["BTC-USD", "ETH-USD", "SOL-USD", "BTC-USDT"]
    assert await names(vendor, pair_limit=1) == ["BTC-USD"]


async def test_ranking_is_read_no_further_than_needed() -> None:
    vendor = Vendor(spot("BTC"), spot("ETH"), spot("SOL"))
    await names(vendor, pair_limit=2)
    assert vendor.asked == ["spot/kraken", "top/1"]
    vendor.asked.clear()
    await names(vendor, pair_limit=3)
    assert vendor.asked == ["spot/kraken", "top/1", "top/2"]


async def test_fewer_than_asked_for_exist_and_that_is_all_right() -> None:
    assert await names(Vendor(spot("BTC")), pair_limit=50) == ["BTC-USD"]
    assert await names(Vendor()) == []


async def test_of_one_asset_quote_then_trades_then_name_decide() -> None:
    vendor = Vendor(
        spot("BTC", "GBP", trades=10**9),
        spot("BTC", "USDT", trades=1),
        spot("BTC", "USD", market="coinbase", trades=5),
        spot("BTC", "USD", market="kraken", trades=7),
        spot("BTC", "USD", market="binance", trades=7),
    )
    found = await chosen(vendor, market="kraken,coinbase,binance", pair_limit=5)
    assert [f"{wanted.key.market} {wanted.key.instrument}" for wanted in found] == [
        "binance BTC-USD", "kraken BTC-USD", "coinbase BTC-USD", "kraken BTC-USDT", "kraken BTC-GBP",
    ]  # fmt: skip


async def test_inactive_instruments_are_left_out_unless_asked_for() -> None:
    vendor = Vendor(spot("BTC", status="RETIRED", last=1_600_000_000), spot("ETH"))
    assert await names(vendor) == ["ETH-USD"]
    both = await chosen(vendor, include_inactive=True)
    assert [(wanted.key.instrument, wanted.last) for wanted in both] == [("BTC-USD", 1_600_000_000), ("ETH-USD", None)]


async def test_futures_are_perpetuals_unless_asked_otherwise() -> None:
    vendor = Vendor(future("BTC"), future("BTC", "VANILLA-27JUN25"), future("ETH", quote="USD"), future("ETH"))
    perpetual = {"data_type": "futures_ohlcv", "market": "binance"}
    assert await names(vendor, **perpetual) == [
        "BTC-USDT-VANILLA-PERPETUAL", "ETH-USDT-VANILLA-PERPETUAL", "ETH-USD-VANILLA-PERPETUAL",
    ]  # fmt: skip
    assert await names(vendor, **perpetual, contract="expiring") == ["BTC-USDT-VANILLA-27JUN25"]
    assert "futures/binance" in vendor.asked


@pytest.mark.parametrize("name", ["BTC-USD", "XBTCZUSD"])
async def test_an_instrument_is_named_by_either_id(name: str) -> None:
    [wanted] = await chosen(Vendor(spot("BTC"), spot("ETH")), instrument=name)
    assert wanted.key.instrument == "BTC-USD"
    assert wanted.listed == 1_000_000


async def test_a_named_instrument_may_be_inactive_and_on_several_markets() -> None:
    vendor = Vendor(spot("BTC", status="RETIRED"), spot("BTC", market="coinbase"))
    found = await chosen(vendor, market="kraken,coinbase", instrument="BTC-USD,BTC-USD")
    assert [(wanted.key.market, wanted.last) for wanted in found] == [("kraken", 1_700_000_000), ("coinbase", None)]


async def test_a_name_that_does_not_exist_is_named() -> None:
    with pytest.raises(ConfigError, match="--instrument NOPE-USD: no such spot instrument on kraken"):
        await chosen(Vendor(spot("BTC")), instrument="BTC-USD,NOPE-USD")


async def test_named_in_full_nothing_is_asked() -> None:
    vendor = Vendor()
    found = await chosen(vendor, instrument="BTC-USD,ETH-USD,BTC-USD", start="2024-01-01", end="2024-02-01")
    assert [str(wanted.key) for wanted in found] == ["spot_ohlcv/kraken/BTC-USD/1d", "spot_ohlcv/kraken/ETH-USD/1d"]
    assert (found[0].start, found[0].end, found[0].listed) == (1_704_067_200, 1_706_745_600, None)
    assert vendor.asked == []


async def test_default_ranges_count_from_the_vendors_time() -> None:
    [minutes] = await chosen(Vendor(spot("BTC")), interval="1m")
    assert minutes.start == NOW - 7 * 86_400
    [days] = await chosen(Vendor(spot("BTC")))
    assert (days.start, days.end, days.listed) == (None, None, 1_000_000)


async def test_default_markets_are_those_of_the_data_type() -> None:
    vendor = Vendor()
    await chosen(vendor, market=None)
    assert vendor.asked[:3] == ["spot/coinbase", "spot/binance", "spot/kraken"]
    assert [wanted.key.market for wanted in await chosen(Vendor(spot("BTC")), market="KRAKEN")] == ["kraken"]


async def test_indices_quote_the_top_assets_in_dollars() -> None:
    vendor = Vendor(*(spot(base, market="cadli", first=5) for base in ("BTC", "ETH", "SOL")))
    found = await chosen(vendor, data_type="indices_ohlcv", market=None, asset_limit=3)
    assert [str(wanted.key) for wanted in found] == [
        "indices_ohlcv/cadli/BTC-USD/1d", "indices_ohlcv/cadli/ETH-USD/1d", "indices_ohlcv/cadli/SOL-USD/1d",
    ]  # fmt: skip
    [named] = await chosen(vendor, data_type="indices_ohlcv", market="cadli", instrument="ETH-USD")
    assert named.key.instrument == "ETH-USD"


async def test_a_name_that_nobody_lists_any_more_is_told_of_and_costs_nothing() -> None:
    vendor = Vendor(spot("BTC"))
    vendor.known = {"OLD-USD": spot("OLD", status=UNLISTED)}
    found = await selected(vendor, instrument="BTC-USD,OLD-USD")
    assert [wanted.key.instrument for wanted in found.wanted] == ["BTC-USD"]
    assert found.said == ["OLD-USD is not listed on kraken any more: nothing is asked for it"]


async def test_an_old_name_means_the_instrument_that_had_it() -> None:
    vendor = Vendor(spot("POL"), spot("BTC"))
    vendor.known = {"MATIC-USD": spot("POL")}
    assert await names(vendor, instrument="MATIC-USD") == ["POL-USD"]
    assert await names(vendor, market=None, series="kraken/MATIC-USD,kraken/BTC-USD") == ["POL-USD", "BTC-USD"]


async def test_what_was_named_in_full_is_dead_when_the_store_and_the_vendor_say_so() -> None:
    """The vendor's list is asked for only when the store thinks that nothing comes any more."""
    full = {"instrument": "BTC-USD", "start": "2023-01-01", "end": "2030-01-01"}
    vendor = Vendor(spot("BTC", status="RETIRED", last=1_690_000_000))
    vendor.known = {"BTC-USD": spot("BTC")}
    [alive] = await chosen(vendor, **full)
    assert (alive.is_dead, alive.listed, vendor.asked) == (False, 1_000_000, [])
    vendor.known = {"BTC-USD": spot("BTC", status="RETIRED")}
    [dead] = await chosen(vendor, **full)
    assert (dead.is_dead, dead.last, vendor.asked) == (True, 1_690_000_000, ["spot/kraken"])
    gone = Vendor()
    gone.known = {"BTC-USD": spot("BTC", status=UNLISTED)}
    assert (await selected(gone, **full)).wanted == []
    back = Vendor(spot("BTC"))
    back.known = {"BTC-USD": spot("BTC", status="RETIRED")}
    assert [wanted.is_dead for wanted in await chosen(back, **full)] == [False]


async def test_stored_series_of_dead_instruments_come_along() -> None:
    dead, other = spot("OLD", status="RETIRED", last=1_700_000_000), spot("OTHER", status="RETIRED")
    vendor = Vendor(spot("BTC"), dead, other, spot("ETH"))
    found = await selected(vendor, pair_limit=1, stored={("kraken", "OLD-USD"), ("kraken", "GONE-USD")}, interval="1m")
    assert [(wanted.key.instrument, wanted.is_dead) for wanted in found.wanted] == [
        ("BTC-USD", False), ("OLD-USD", True),
    ]  # fmt: skip
    # What it did last is wanted, however long ago that was.
    assert found.wanted[1].start == 1_700_000_000 - 7 * 86_400
    assert found.said == ["1 stored series are not listed any more: nothing is asked for them (kraken/GONE-USD)"]


async def test_a_grade_chooses_markets_or_filters_them() -> None:
    vendor = Vendor(*(spot("BTC", market=market) for market in ("kraken", "coinbase", "small", "nobody")))
    vendor.grades = {"coinbase": "AA", "small": "C", "kraken": "BB", "nobody": None}
    found = await chosen(vendor, market=None, min_grade="BB")
    assert sorted(wanted.key.market for wanted in found) == ["coinbase", "kraken"]
    assert vendor.asked == ["spot exchanges", "spot/coinbase", "spot/kraken", "top/1"]
    assert [wanted.key.market for wanted in await chosen(vendor, market="kraken,small", min_grade="B")] == ["kraken"]
    with pytest.raises(ConfigError, match="--min_grade A: no exchange of kraken has that grade or a better one"):
        await chosen(vendor, min_grade="A")
    vendor.grades = {}
    with pytest.raises(ConfigError, match="--min_grade F"):
        await chosen(vendor, market=None, min_grade="F")


async def test_patterns_take_all_that_fit_and_are_active() -> None:
    vendor = Vendor(
        spot("BTC", "USDT"), spot("BTC", "USD"), spot("ETH", "USDT"), spot("BTC", "EUR", status="RETIRED"), spot("SOL")
    )
    assert await names(vendor, instrument="/^BTC-/") == ["BTC-USD", "BTC-USDT"]
    assert vendor.asked == ["spot/kraken"]
    assert await names(vendor, instrument="/^BTC-/", include_inactive=True) == ["BTC-EUR", "BTC-USD", "BTC-USDT"]
    assert await names(vendor, instrument="/-USDT?$/", pair_limit=2) == ["BTC-USD", "ETH-USDT"]
    assert await names(vendor, instrument="SOL-USD,/^ETH/") == ["SOL-USD", "ETH-USDT"]
    with pytest.raises(ConfigError, match=r"--instrument /XYZ/: no spot instrument of kraken fits"):
        await names(vendor, instrument="/XYZ/")


async def test_what_has_no_such_data_is_left_out_and_named_when_it_was_named() -> None:
    rates = {"trades": Recorded(1, 2), "funding_rate": Recorded(1, 2)}
    vendor = Vendor(future("BTC", history=rates), future("ETH"))
    funding = {"data_type": "futures_funding_rate", "market": "binance"}
    assert await names(vendor, **funding) == ["BTC-USDT-VANILLA-PERPETUAL"]
    with pytest.raises(ConfigError, match="the vendor has no funding rate of ETH-USDT-VANILLA-PERPETUAL on binance"):
        await names(vendor, **funding, instrument="ETH-USDT-VANILLA-PERPETUAL")


async def test_a_listed_series_that_never_was_is_an_error_in_a_file_and_told_of_in_a_universe() -> None:
    vendor = Vendor(spot("BTC"))
    with pytest.raises(ConfigError, match="--series kraken/NOPE-USD: no such spot instrument on kraken"):
        await chosen(vendor, market=None, series="kraken/BTC-USD,kraken/NOPE-USD")
    operation = make_operation({"data_type": "spot_ohlcv", "universe": "mine"})
    listed = [SeriesKey("spot_ohlcv", "kraken", name, "1d") for name in ("BTC-USD", "NOPE-USD")]
    found = await select(operation, vendor, lambda: float(NOW), named=listed)
    assert [wanted.key for wanted in found.wanted] == listed[:1]
    assert found.said == ["NOPE-USD is not listed on kraken: nothing is asked for it"]


async def test_an_asset_is_told_by_its_id_where_there_is_one() -> None:
    """Another asset under the ticker of a ranked one does not get its rank."""
    vendor = Vendor(spot("BTC", base_id=900), spot("ETH", base_id=1), spot("SOL"))
    assert await names(vendor) == ["ETH-USD", "SOL-USD"]
