"""The ranked list of assets: figures derived from the USD index of each, so that they agree with it."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from core.sandbox import params
from core.sandbox.assets import COINS, Asset, seconds
from core.sandbox.catalog import Catalog
from core.sandbox.market import Market
from core.sandbox.wire import Answer, succeeded
from core.windows import DAY, HOUR

_SPANS = {"24_HOUR": 1, "7_DAY": 7, "30_DAY": 30}
_VOLUMES = (
    ("TOP_TIER_DIRECT_USD", (0,)),
    ("DIRECT_USD", (0, 2)),
    ("TOP_TIER_USD", (0, 1)),
    ("USD", (0, 1, 2, 3)),
    ("TOP_TIER_CONVERSION", (0, 1)),
    ("CONVERSION", (0, 1, 2, 3)),
)
_GROUPS = (
    "ID", "BASIC", "CLASSIFICATION", "SUPPLY", "PRICE", "MKT_CAP", "VOLUME", "CHANGE", "TOPLIST_RANK",
)  # fmt: skip
_DEFAULT_GROUPS = tuple(group for group in _GROUPS if group != "CLASSIFICATION")
_SORTS = (
    "CREATED_ON", "LAUNCH_DATE", "UPDATED_ON", "PRICE_USD", "CIRCULATING_MKT_CAP_USD", "TOTAL_MKT_CAP_USD",
    *(
        f"SPOT_MOVING_{span}_{what}"
        for span in _SPANS
        for what in (
            "QUOTE_VOLUME_TOP_TIER_DIRECT_USD", "QUOTE_VOLUME_DIRECT_USD", "QUOTE_VOLUME_TOP_TIER_USD",
            "QUOTE_VOLUME_USD", "CHANGE_USD", "CHANGE_PERCENTAGE_USD",
        )
    ),
)  # fmt: skip
_RANKED = (
    "CREATED_ON", "LAUNCH_DATE", "CIRCULATING_MKT_CAP_USD", "TOTAL_MKT_CAP_USD",
    *(f"SPOT_MOVING_{span}_QUOTE_VOLUME_USD" for span in _SPANS),
)  # fmt: skip
_TYPES = ("", "BLOCKCHAIN", "TOKEN", "FIAT", "STOCK", "INDEX", "COMMODITY", "ETF", "BOND", "REIT", "FUND")


class TopList:
    """Answers `/asset/v1/top/list`. Prices and volumes are those of complete hours and days."""

    def __init__(self, catalog: Catalog, market: Market) -> None:
        self._catalog = catalog
        self._market = market
        self._at = lru_cache(maxsize=4)(self._assets)

    def answer(self, query: Mapping[str, str], now: int) -> Answer:
        """Raises Refusal 400."""
        page = params.integer(query, "page", 1, 1, 1_000)
        size = params.integer(query, "page_size", 100, 10, 100)
        sort = params.choice(query, "sort_by", "CIRCULATING_MKT_CAP_USD", _SORTS)
        downwards = params.choice(query, "sort_direction", "DESC", ("DESC", "ASC")) == "DESC"
        groups = params.several(query, "groups", _DEFAULT_GROUPS, _GROUPS)
        kind = params.choice(query, "asset_type", "", _TYPES)
        params.choice(query, "toplist_quote_asset", "USD", ("USD",))
        industry = query.get("asset_industry", "")
        entries = [
            entry
            for entry in self._at(HOUR.floor(now))
            if kind in {"", entry["ID"]["ASSET_TYPE"]}
            and industry in {"", entry["CLASSIFICATION"]["ASSET_INDUSTRIES"][0]["NAME"]}
        ]
        entries.sort(key=_by(sort), reverse=downwards)
        chosen = [_flat(entry, groups) for entry in entries[(page - 1) * size : page * size]]
        stats = {"PAGE": page, "PAGE_SIZE": size, "TOTAL_ASSETS": len(entries)}
        return succeeded({"STATS": stats, "LIST": chosen})

    def _assets(self, now: int) -> list[dict[str, dict[str, Any]]]:
        entries = [self._asset(asset, now) for asset in COINS if asset.launch < now]
        for name in _RANKED:
            for rank, entry in enumerate(sorted(entries, key=_by(name), reverse=True), 1):
                entry["TOPLIST_RANK"].setdefault("TOPLIST_BASE_RANK", {})[name] = rank
        return entries

    def _asset(self, asset: Asset, now: int) -> dict[str, dict[str, Any]]:
        series = self._catalog.instruments["index"]["cadli"][f"{asset.symbol}-USD"].series
        scale = 10**series.ticks
        live = series.first < now - HOUR.seconds
        price = self._market.close(series, now) / scale if live else asset.price
        today = DAY.floor(now)
        days = self._market.bars(series, DAY, today - 31 * DAY.seconds, today, now) if live else []
        volume, change = {}, {}
        for span, count in _SPANS.items():
            taken = days[-count:]
            for name, kinds in _VOLUMES:
                total = sum(bar.values[kind] for bar in taken if bar.marks for kind in kinds)
                volume[f"SPOT_MOVING_{span}_QUOTE_VOLUME_{name}"] = _number(total / 10**series.values)
            before = taken[0].opening / scale if taken else price
            for suffix in ("USD", "CONVERSION"):
                change[f"SPOT_MOVING_{span}_CHANGE_{suffix}"] = _number(price - before)
                change[f"SPOT_MOVING_{span}_CHANGE_PERCENTAGE_{suffix}"] = _number((price / before - 1) * 100)
        return {
            "ID": _identity(asset),
            "BASIC": _basic(asset),
            "CLASSIFICATION": {"ASSET_STATUS": "ACTIVE", "ASSET_INDUSTRIES": [{"NAME": asset.industry}]},
            "SUPPLY": _supply(asset),
            "PRICE": _price(price, now),
            "MKT_CAP": _capital(price * asset.supply),
            "VOLUME": volume,
            "CHANGE": change,
            "TOPLIST_RANK": {},
        }


def _by(name: str) -> Callable[[dict[str, dict[str, Any]]], Any]:
    return lambda entry: next(group[name] for group in entry.values() if name in group)


def _flat(entry: dict[str, dict[str, Any]], groups: list[str]) -> dict[str, Any]:
    return {key: value for group in groups for key, value in entry[group].items()}


def _number(value: float) -> float | int:
    """At most 15 significant digits, without `.0`."""
    rounded = float(f"{value:.15g}")
    return int(rounded) if rounded.is_integer() else rounded


def _identity(asset: Asset) -> dict[str, Any]:
    return {
        "ID": asset.id,
        "TYPE": "162",
        "ID_LEGACY": 1_000 + asset.id,
        "ID_PARENT_ASSET": None,
        "ID_ASSET_ISSUER": None,
        "SYMBOL": asset.symbol,
        "URI": asset.uri,
        "ASSET_TYPE": asset.kind,
        "ASSET_ISSUER_NAME": None,
        "PARENT_ASSET_SYMBOL": None,
    }


def _basic(asset: Asset) -> dict[str, Any]:
    return {
        "CREATED_ON": 1_659_700_000 + asset.id * 3_600,
        "UPDATED_ON": seconds("2025-06-01") + asset.id * 60,
        "PUBLIC_NOTICE": None,
        "NAME": asset.name,
        "LOGO_URL": f"https://resources.example/asset/{asset.id}.png",
        "LAUNCH_DATE": asset.launch,
        "PREVIOUS_ASSET_SYMBOLS": None,
        "ASSET_ALTERNATIVE_IDS": [{"NAME": "CG", "ID": asset.uri}],
        "ASSET_DESCRIPTION_SNIPPET": f"{asset.name}, a synthetic asset of the sandbox.",
        "ASSET_DECIMAL_POINTS": asset.decimals,
    }


def _supply(asset: Asset) -> dict[str, Any]:
    supply = _number(asset.supply)
    return {
        "SUPPLY_MAX": supply if asset.industry != "STABLECOIN" else None,
        "SUPPLY_ISSUED": supply,
        "SUPPLY_TOTAL": supply,
        "SUPPLY_CIRCULATING": supply,
        "SUPPLY_FUTURE": 0,
        "SUPPLY_LOCKED": 0,
        "SUPPLY_BURNT": 0,
        "SUPPLY_STAKED": 0,
        "LAST_BLOCK_MINT": None,
        "LAST_BLOCK_BURN": None,
    }


def _price(price: float, now: int) -> dict[str, Any]:
    value = _number(price)
    return {
        "PRICE_USD": value,
        "PRICE_USD_SOURCE": "cadli",
        "PRICE_USD_LAST_UPDATE_TS": now,
        "PRICE_CONVERSION_ASSET": {"ID": 5, "SYMBOL": "USD", "ASSET_TYPE": "FIAT"},
        "PRICE_CONVERSION_RATE": 1,
        "PRICE_CONVERSION_VALUE": value,
        "PRICE_CONVERSION_SOURCE": "cadli",
        "PRICE_CONVERSION_LAST_UPDATE_TS": now,
    }


def _capital(capital: float) -> dict[str, Any]:
    value = _number(capital)
    names = ("CIRCULATING_MKT_CAP_USD", "TOTAL_MKT_CAP_USD", "CIRCULATING_MKT_CAP_CONVERSION",
             "TOTAL_MKT_CAP_CONVERSION")  # fmt: skip
    return {"MKT_CAP_PENALTY": 0, **dict.fromkeys(names, value)}
