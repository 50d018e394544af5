"""Prices, volumes and ranks of assets, derived from the USD index of each, so that they agree with it."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from math import exp
from typing import Any

from core.sandbox.asset_fields import last_block, static_fields
from core.sandbox.assets import ASSETS, COINS, Asset
from core.sandbox.bars import Bar
from core.sandbox.market import Market
from core.sandbox.world import World
from core.windows import DAY, HOUR

SPANS = {"24_HOUR": 1, "7_DAY": 7, "30_DAY": 30}
_VOLUMES = (
    ("TOP_TIER_DIRECT_USD", (0,)),
    ("DIRECT_USD", (0, 2)),
    ("TOP_TIER_USD", (0, 1)),
    ("USD", (0, 1, 2, 3)),
    ("TOP_TIER_CONVERSION", (0, 1)),
    ("CONVERSION", (0, 1, 2, 3)),
)
_RANKED = (
    "CREATED_ON", "LAUNCH_DATE", "CIRCULATING_MKT_CAP_USD", "TOTAL_MKT_CAP_USD",
    *(f"SPOT_MOVING_{span}_QUOTE_VOLUME_USD" for span in SPANS),
)  # fmt: skip
_METRICS = "ASSET_TYPE_SPECIFIC_METRICS"

Entry = Mapping[str, Mapping[str, Any]]


class AssetEntries:
    """All that the vendor tells of assets, by field group. Prices and volumes are those of complete hours."""

    def __init__(self, world: World, market: Market) -> None:
        self._world = world
        self._market = market
        self._figures = lru_cache(maxsize=4)(self._draw_figures)

    def at(self, now: int, quote: str = "USD") -> dict[str, Entry]:
        """By symbol, those launched before `now` (UTC seconds); `quote` is what `..._CONVERSION` is in."""
        figures = self._figures(HOUR.floor(now), quote)
        assets = self._world.at(now).assets
        return {symbol: _merged(static_fields(assets[symbol]), found) for symbol, found in figures.items()}

    def _draw_figures(self, now: int, quote: str) -> dict[str, Entry]:
        assets = [asset for asset in ASSETS.values() if asset.launch < now]
        rate = 1.0 / self._usd(ASSETS[quote], now)
        entries: dict[str, dict[str, dict[str, Any]]] = {
            asset.symbol: self._entry(asset, now, quote, rate) for asset in assets
        }
        coins = {asset.symbol: {**static_fields(asset), **entries[asset.symbol]} for asset in COINS if asset in assets}
        for name in _RANKED:
            for rank, symbol in enumerate(sorted(coins, key=lambda s: figure(coins[s], name), reverse=True), 1):
                ranks = entries[symbol]["TOPLIST_RANK"]
                ranks["TOPLIST_BASE_RANK"] = (ranks["TOPLIST_BASE_RANK"] or {}) | {name: rank}
        return dict(entries)

    def _entry(self, asset: Asset, now: int, quote: str, rate: float) -> dict[str, dict[str, Any]]:
        price = self._usd(asset, now)
        return {
            "PRICE": _price(price, now, quote, rate),
            "MKT_CAP": _capital(price * asset.supply, rate),
            "VOLUME": self._volume(asset, now, rate),
            "CHANGE": self._change(asset, price, now, rate),
            "TOPLIST_RANK": {"TOPLIST_BASE_RANK": None},
            _METRICS: last_block(asset, now),
        }

    def _usd(self, asset: Asset, now: int) -> float:
        """USD price after the last complete hour, of currencies after the last day."""
        item = self._world.catalog.instruments["index"]["cadli"].get(f"{asset.symbol}-USD")
        if item is None or item.series.first >= now - HOUR.seconds:
            return exp(self._market.log_price(asset.symbol, now // DAY.seconds - 1))
        price: float = self._market.close(item.series, now) / 10**item.series.ticks
        return price

    def _days(self, asset: Asset, now: int) -> tuple[list[Bar], int, int]:
        """Up to 31 complete days, and the decimals of their prices and values."""
        item = self._world.catalog.instruments["index"]["cadli"].get(f"{asset.symbol}-USD")
        if item is None or item.series.first >= now - HOUR.seconds:
            return [], 0, 0
        today = DAY.floor(now)
        days = self._market.bars(item.series, DAY, today - 31 * DAY.seconds, today, now)
        return days, item.series.ticks, item.series.values

    def _volume(self, asset: Asset, now: int, rate: float) -> dict[str, Any]:
        days, _, places = self._days(asset, now)
        fields = {}
        for span, count in SPANS.items():
            for name, kinds in _VOLUMES:
                total = sum(bar.values[kind] for bar in days[-count:] if bar.marks for kind in kinds)
                worth = total / 10**places * (rate if name.endswith("CONVERSION") else 1.0)
                fields[f"SPOT_MOVING_{span}_QUOTE_VOLUME_{name}"] = number(worth)
        return fields

    def _change(self, asset: Asset, price: float, now: int, rate: float) -> dict[str, Any]:
        days, places, _ = self._days(asset, now)
        fields = {}
        for span, count in SPANS.items():
            before = days[-count:][0].opening / 10**places if days else price
            for suffix, scale in (("USD", 1.0), ("CONVERSION", rate)):
                fields[f"SPOT_MOVING_{span}_CHANGE_{suffix}"] = number((price - before) * scale)
                fields[f"SPOT_MOVING_{span}_CHANGE_PERCENTAGE_{suffix}"] = number((price / before - 1) * 100)
        return fields


def _merged(fields: Entry, figures: Entry) -> Entry:
    return {**fields, **figures, _METRICS: {**fields[_METRICS], **figures[_METRICS]}}


def figure(entry: Entry, name: str) -> Any:
    """The field `name` of whichever group has it."""
    return next(group[name] for group in entry.values() if name in group)


def by(name: str) -> Callable[[Entry], Any]:
    """The key that sorts entries by the field `name`."""
    return lambda entry: figure(entry, name)


def number(value: float) -> float | int:
    """At most 15 significant digits, without `.0`."""
    rounded = float(f"{value:.15g}")
    return int(rounded) if rounded.is_integer() else rounded


def _price(price: float, now: int, quote: str, rate: float) -> dict[str, Any]:
    asset = ASSETS[quote]
    return {
        "PRICE_USD": number(price),
        "PRICE_USD_SOURCE": "cadli",
        "PRICE_USD_LAST_UPDATE_TS": now,
        "PRICE_CONVERSION_ASSET": {"ID": asset.id, "SYMBOL": asset.symbol, "ASSET_TYPE": asset.kind},
        "PRICE_CONVERSION_RATE": number(rate),
        "PRICE_CONVERSION_VALUE": number(price * rate),
        "PRICE_CONVERSION_SOURCE": "cadli",
        "PRICE_CONVERSION_LAST_UPDATE_TS": now,
    }


def _capital(capital: float, rate: float) -> dict[str, Any]:
    usd, converted = number(capital), number(capital * rate)
    return {
        "MKT_CAP_PENALTY": 0,
        "CIRCULATING_MKT_CAP_USD": usd,
        "TOTAL_MKT_CAP_USD": usd,
        "CIRCULATING_MKT_CAP_CONVERSION": converted,
        "TOTAL_MKT_CAP_CONVERSION": converted,
    }
