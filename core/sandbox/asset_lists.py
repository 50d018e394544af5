"""The endpoints about assets: the ranked list, the full metadata, the summary."""

from collections.abc import Mapping, Sequence
from typing import Any

from core.sandbox import params
from core.sandbox.asset_fields import ASSET_GROUPS, KEYED_GROUPS, home, static_fields
from core.sandbox.asset_figures import SPANS, AssetEntries, Entry, by
from core.sandbox.assets import ASSETS, COINS, Asset
from core.sandbox.market import Market
from core.sandbox.wire import Answer, Refusal, succeeded
from core.sandbox.world import World

_TOP_GROUPS = ("ID", "BASIC", "SUPPLY", "PRICE", "MKT_CAP", "VOLUME", "CHANGE", "TOPLIST_RANK")
_SORTS = (
    "CREATED_ON", "LAUNCH_DATE", "UPDATED_ON", "PRICE_USD", "CIRCULATING_MKT_CAP_USD", "TOTAL_MKT_CAP_USD",
    *(
        f"SPOT_MOVING_{span}_{what}"
        for span in SPANS
        for what in (
            "QUOTE_VOLUME_TOP_TIER_DIRECT_USD", "QUOTE_VOLUME_DIRECT_USD", "QUOTE_VOLUME_TOP_TIER_USD",
            "QUOTE_VOLUME_USD", "CHANGE_USD", "CHANGE_PERCENTAGE_USD",
        )
    ),
    "TOTAL_ENDPOINTS_WITH_ISSUES",
)  # fmt: skip
_TYPES = ("", "BLOCKCHAIN", "TOKEN", "FIAT", "STOCK", "INDEX", "COMMODITY", "ETF", "BOND", "REIT", "FUND")
_LANGUAGES = (
    "en-US", "de-DE", "es-ES", "fr-FR", "pt-BR", "it-IT", "ja-JP", "ko-KR", "zh-CN", "vi-VN", "sv-SE", "tr-TR",
    "tl-PH", "ru-RU", "uk-UA", "ro-RO", "nl-NL", "sq-AL",
)  # fmt: skip
# What a filter of the summary asks of an asset: the group and field that must not be null.
_FILTERS = {
    "HAS_CODE_REPOSITORIES": ("SOCIAL", "CODE_REPOSITORIES"),
    "HAS_SUBREDDITS": ("SOCIAL", "SUBREDDITS"),
    "HAS_TWITTER_ACCOUNTS": ("SOCIAL", "TWITTER_ACCOUNTS"),
    "HAS_DISCORD_SERVERS": ("SOCIAL", "DISCORD_SERVERS"),
    "HAS_TELEGRAM_GROUPS": ("SOCIAL", "TELEGRAM_GROUPS"),
    "HAS_SUPPORTED_PLATFORMS": ("SUPPORTED_PLATFORMS", "SUPPORTED_PLATFORMS"),
    "IS_SUPPORTING_OTHER_ASSETS": None,
}
_MOST_ASSETS = 50


class AssetLists:
    """Answers about assets as they are at a time."""

    def __init__(self, world: World, market: Market) -> None:
        self._world = world
        self._entries = AssetEntries(world, market)

    def top(self, query: Mapping[str, str], now: int) -> Answer:
        """`/asset/v1/top/list`. Raises Refusal 400."""
        page = params.integer(query, "page", 1, 1, 1_000)
        size = params.integer(query, "page_size", 100, 10, 100)
        sort = params.choice(query, "sort_by", "CIRCULATING_MKT_CAP_USD", _SORTS)
        downwards = params.choice(query, "sort_direction", "DESC", ("DESC", "ASC")) == "DESC"
        groups = _groups(query, _TOP_GROUPS)
        kind = params.choice(query, "asset_type", "", _TYPES)
        industry = query.get("asset_industry", "")
        entries = self._entries.at(now, _quote(query, "toplist_quote_asset"))
        ranked = [
            entries[asset.symbol]
            for asset in COINS
            if asset.symbol in entries and kind in {"", asset.kind} and industry in {"", asset.industry}
        ]
        ranked.sort(key=by(sort), reverse=downwards)
        chosen = [_flat(entry, groups) for entry in ranked[(page - 1) * size : page * size]]
        stats = {"PAGE": page, "PAGE_SIZE": size, "TOTAL_ASSETS": len(ranked)}
        return succeeded({"STATS": stats, "LIST": chosen})

    def metadata(self, query: Mapping[str, str], now: int) -> Answer:
        """`/asset/v2/metadata`. Raises Refusal 400, or 404 when none of the assets is known."""
        names = params.several(query, "assets", ())
        if not names:
            raise params.bad("assets", "", "At least one asset is needed.")
        if len(names) > _MOST_ASSETS:
            raise params.bad("assets", query["assets"], f"At most {_MOST_ASSETS} assets.")
        groups = _groups(query, ASSET_GROUPS)
        params.choice(query, "asset_language", "en-US", _LANGUAGES)
        entries = self._entries.at(now, _quote(query, "quote_asset"))
        found = {name: asset for name in names if (asset := self._find(query, name, now)) is not None}
        unknown = [name for name in names if name not in found or found[name].symbol not in entries]
        if len(unknown) == len(names):
            raise Refusal(404, _not_found(names), param="assets", values=names)
        known = [name for name in names if name not in unknown]
        data = {name: _flat(entries[found[name].symbol], groups) for name in known}
        warning = {
            "type": 1,
            "message": _not_found(unknown),
            "other_info": {"param": "assets", "values": dict.fromkeys(unknown, "not found")},
        }
        return succeeded(data, warn=warning if unknown else {})

    def summary(self, query: Mapping[str, str], now: int) -> Answer:
        """`/asset/v1/summary/list`. Raises Refusal 400."""
        names = params.several(query, "assets", ())
        if len(names) > 200:
            raise params.bad("assets", query["assets"], "At most 200 assets.")
        kind = params.choice(query, "asset_type", "", _TYPES)
        filters = params.several(query, "filters", (), _FILTERS)
        assets = [asset for asset in self._world.at(now).assets.values() if asset.launch < now]
        wanted = {found.id for name in names if (found := self._find(query, name, now)) is not None}
        chosen = [
            asset
            for asset in assets
            if kind in {"", asset.kind} and (not names or asset.id in wanted) and _passes(asset, filters, assets)
        ]
        stats = {"TOTAL_ASSETS": len(assets), "TOTAL_FILTERED_ASSETS": len(chosen)}
        return succeeded({"STATS": stats, "LIST": list(map(_summary, chosen))})

    def _find(self, query: Mapping[str, str], name: str, now: int) -> Asset | None:
        """An asset by the id that is looked up first, then by the others."""
        first = params.choice(query, "asset_lookup_priority", "SYMBOL", ("SYMBOL", "ID", "URI"))
        assets = self._world.at(now).assets
        ways = {
            "SYMBOL": assets.get(name),
            "ID": next((asset for asset in assets.values() if str(asset.id) == name), None),
            "URI": next((asset for asset in assets.values() if asset.uri == name), None),
        }
        return ways[first] or ways["SYMBOL"] or ways["ID"] or ways["URI"]


def _quote(query: Mapping[str, str], name: str) -> str:
    quote = query.get(name, "") or "USD"
    if quote not in ASSETS:
        raise params.bad(name, quote, "It must be the symbol of an asset.")
    return quote


def _groups(query: Mapping[str, str], default: Sequence[str]) -> list[str]:
    """The groups asked for that this caller may see."""
    groups = params.several(query, "groups", default, ASSET_GROUPS)
    return groups if query.get("api_key") else [group for group in groups if group not in KEYED_GROUPS]


def _flat(entry: Entry, groups: Sequence[str]) -> dict[str, Any]:
    return {key: value for group in groups for key, value in entry[group].items()}


def _not_found(names: Sequence[str]) -> str:
    return f"Not found: assets parameter. {', '.join(names)} not integrated."


def _passes(asset: Asset, filters: Sequence[str], assets: Sequence[Asset]) -> bool:
    fields = static_fields(asset) if filters else {}
    for name in filters:
        place = _FILTERS[name]
        if place is None:
            if not any(other is not asset and home(other).id == asset.id for other in assets):
                return False
        elif fields[place[0]][place[1]] is None:
            return False
    return True


def _summary(asset: Asset) -> dict[str, Any]:
    return {
        "TYPE": "168",
        "ID": asset.id,
        "SYMBOL": asset.symbol,
        "URI": asset.uri,
        "ASSET_TYPE": asset.kind,
        "NAME": asset.name,
        "LOGO_URL": f"https://resources.example/asset/{asset.id}.png",
        "LAUNCH_DATE": asset.launch,
    }
