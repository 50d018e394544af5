"""Which series an operation means: rankings, listings, names."""

from typing import Any

import pytest
from engine_kit import NOW

from core.engine.selection import select
from core.errors import ConfigError
from core.operations import make_operation
from core.planner import Wanted
from core.sources import Asset, AssetPage, Instrument, Recorded


class Vendor:
    """Listings as given; the ranking has `ranked` assets, two a page."""

    name = "coindesk"

    def __init__(self, *found: Instrument, ranked: tuple[str, ...] = ("BTC", "ETH", "SOL", "XRP")) -> None:
        self.asked: list[str] = []
        self._found = found
        self._ranked = ranked

    async def instruments(self, kind: str, market: str) -> list[Instrument]:
        self.asked.append(f"{kind}/{market}")
        return [found for found in self._found if found.market == market]

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


async def chosen(vendor: Vendor, **fields: Any) -> list[Wanted]:
    operation = make_operation({"data_type": "spot_ohlcv", "market": "kraken", **fields})
    return await select(operation, vendor, lambda: float(NOW))


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
