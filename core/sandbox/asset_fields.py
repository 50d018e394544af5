"""What the vendor tells of an asset apart from prices and volumes, by field group.

Fields that do not apply are null. Nothing here but `last_block` moves with time.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from core.sandbox.assets import ASSETS, Asset, seconds

# In the vendor's order.
ASSET_GROUPS = (
    "ID", "BASIC", "SUPPORTED_PLATFORMS", "CUSTODIANS", "CONTROLLED_ADDRESSES", "SECURITY_METRICS", "SUPPLY",
    "SUPPLY_ADDRESSES", "ASSET_TYPE_SPECIFIC_METRICS", "AI_INSIGHTS", "SOCIAL", "TOKEN_SALE", "EQUITY_SALE",
    "RESOURCE_LINKS", "CLASSIFICATION", "PRICE", "MKT_CAP", "VOLUME", "CHANGE", "TOPLIST_RANK", "DESCRIPTION",
    "DESCRIPTION_SUMMARY", "CONTACT", "SEO", "INTERNAL",
)  # fmt: skip
# Left out of answers to requests without a key.
KEYED_GROUPS = frozenset(
    {"CUSTODIANS", "CONTROLLED_ADDRESSES", "SOCIAL", "TOKEN_SALE", "EQUITY_SALE", "SECURITY_METRICS"}
)
# In its listing, where assets had been before it, and since when this page was edited.
_CREATED = 1_659_700_000
_EDITED = seconds("2025-06-01")
_FORMER = {"RENDER": "RNDR", "FET": "AGIX", "LUNC": "LUNA"}
_ISO = {"USD": "840", "EUR": "978", "GBP": "826", "JPY": "392", "AUD": "036", "CAD": "124", "TRY": "949", "BRL": "986"}
_GLYPHS = {"USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥", "BTC": "₿", "ETH": "Ξ"}
_WORKED = {"BTC": "SHA-256", "LTC": "SCRYPT", "DOGE": "SCRYPT", "BCH": "SHA-256", "ZEC": "EQUIHASH", "XMR": "RANDOMX",
           "DASH": "X11", "ETC": "ETCHASH"}  # fmt: skip
_BLOCK_SECONDS = {"BTC": 600, "LTC": 150, "DOGE": 60, "ETH": 12}
_LAST_BLOCK = (
    "LAST_BLOCK_NUMBER", "LAST_BLOCK_TIMESTAMP", "LAST_BLOCK_TIME", "LAST_BLOCK_SIZE", "LAST_BLOCK_ISSUER",
    "LAST_BLOCK_TRANSACTION_FEE_TOTAL", "LAST_BLOCK_TRANSACTION_COUNT", "LAST_BLOCK_HASHES_PER_SECOND",
    "LAST_BLOCK_DIFFICULTY",
)  # fmt: skip


@lru_cache(maxsize=512)
def static_fields(asset: Asset) -> Mapping[str, Mapping[str, Any]]:
    """The fields of all groups that have no figures of the market."""
    return {group: make(asset) for group, make in _FIELDS.items()}


def last_block(asset: Asset, now: int) -> dict[str, Any]:
    """The newest block of a chain at `now` (UTC seconds), null for assets that are none."""
    every = _BLOCK_SECONDS.get(asset.symbol)
    if every is None:
        return dict.fromkeys(_LAST_BLOCK)
    number = (now - asset.launch) // every
    values = number, asset.launch + number * every, every, 1_500_000, "pool-1", 0.05, 2_400, 6.2e20, 1.26e14
    return dict(zip(_LAST_BLOCK, values, strict=True))


def home(asset: Asset) -> Asset:
    """The blockchain an asset lives on; itself if it has one of its own."""
    return ASSETS["ETH"] if asset.kind == "TOKEN" else asset


def _identity(asset: Asset) -> dict[str, Any]:
    issued = asset.industry == "STABLECOIN"
    return {
        "ID": asset.id,
        "TYPE": "162",
        "ID_LEGACY": 1_000 + asset.id,
        "ID_PARENT_ASSET": None,
        "ID_ASSET_ISSUER": 5_000 + asset.id if issued else None,
        "SYMBOL": asset.symbol,
        "URI": asset.uri,
        "IS_PUBLIC": True,
        "ASSET_TYPE": asset.kind,
        "INDEX_MARKET_NAME": None,
        "ASSET_ISSUER_NAME": f"{asset.name} Issuer" if issued else None,
        "PARENT_ASSET_SYMBOL": None,
        "ROOT_ASSET_ID": home(asset).id,
        "ROOT_ASSET_SYMBOL": home(asset).symbol,
        "ROOT_ASSET_TYPE": home(asset).kind,
    }


def _basic(asset: Asset) -> dict[str, Any]:
    former = _FORMER.get(asset.symbol)
    ended = seconds("2024-07-01")
    previous = {"SYMBOL": former, "SYMBOL_USAGE_START_DATE": asset.launch, "SYMBOL_USAGE_END_DATE": ended}
    return {
        "CREATED_ON": _CREATED + asset.id * 3_600,
        "UPDATED_ON": asset.edited or _EDITED + asset.id * 60,
        "PUBLIC_NOTICE": None if asset.status == "ACTIVE" else f"{asset.name} is {asset.status.lower()}.",
        "NAME": asset.name,
        "LOGO_URL": f"https://resources.example/asset/{asset.id}.png",
        "LAUNCH_DATE": asset.launch,
        "PREVIOUS_ASSET_SYMBOLS": [previous] if former else None,
        "ASSET_ALTERNATIVE_IDS": [{"NAME": "CG", "ID": asset.uri}, {"NAME": "CMC", "ID": str(2_000 + asset.id)}],
        "ASSET_DESCRIPTION_SNIPPET": f"{asset.name}, a synthetic asset of the sandbox.",
        "ASSET_DECIMAL_POINTS": asset.decimals,
    }


def _platforms(asset: Asset) -> dict[str, Any]:
    if asset.kind != "TOKEN":
        return {"SUPPORTED_PLATFORMS": None}
    platform = {
        "BLOCKCHAIN": home(asset).symbol,
        "BLOCKCHAIN_ASSET_ID": home(asset).id,
        "TOKEN_STANDARD": "ERC20",
        "EXPLORER_URL": f"https://explorer.example/token/{asset.uri}",
        "SMART_CONTRACT_ADDRESS": f"0x{asset.id:040x}",
        "LAUNCH_DATE": asset.launch,
        "RETIRE_DATE": None,
        "TRADING_AS": asset.symbol,
        "DECIMALS": asset.decimals,
        "IS_INHERITED": False,
    }
    return {"SUPPORTED_PLATFORMS": [platform]}


def _supply(asset: Asset) -> dict[str, Any]:
    supply = int(asset.supply) if asset.supply.is_integer() else asset.supply
    worked = asset.symbol in _WORKED
    return {
        "SUPPLY_MAX": supply if asset.industry != "STABLECOIN" else None,
        "SUPPLY_ISSUED": supply,
        "SUPPLY_TOTAL": supply,
        "SUPPLY_CIRCULATING": supply,
        "SUPPLY_FUTURE": 0,
        "SUPPLY_LOCKED": 0,
        "SUPPLY_BURNT": 0,
        "SUPPLY_STAKED": 0,
        "LAST_BLOCK_MINT": 3.125 if worked else None,
        "LAST_BLOCK_BURN": None,
    }


def _metrics(asset: Asset) -> dict[str, Any]:
    chain = asset.kind == "BLOCKCHAIN"
    smart = asset.industry not in {"PAYMENT", "PRIVACY"}
    reserve = {"RESERVE_TYPE": "CASH", "HOLDING_ADDRESSES": [], "PERCENTAGE": 100, "DESCRIPTION": "", "COMMENTS": ""}
    solution = {"NAME": "Lightning", "WEBSITE_URL": "https://lightning.example", "CATEGORY": "STATE_CHANNELS"}
    return {
        "RESERVES_BREAKDOWN": [reserve] if asset.industry == "STABLECOIN" else None,
        "HAS_SMART_CONTRACT_CAPABILITIES": smart if chain else None,
        "SMART_CONTRACT_SUPPORT_TYPE": "FULL" if chain and smart else None,
        "TARGET_BLOCK_MINT": 3.125 if asset.symbol == "BTC" else None,
        "TARGET_BLOCK_TIME": _BLOCK_SECONDS.get(asset.symbol),
        **dict.fromkeys(_LAST_BLOCK),
        "SUPPORTED_STANDARDS": [{"NAME": "ERC20"}] if asset.symbol == "ETH" else None,
        "LAYER_TWO_SOLUTIONS": [solution] if asset.symbol == "BTC" else None,
        "PRIVACY_SOLUTIONS": [{"NAME": "Ring signatures"}] if asset.symbol == "XMR" else None,
    }


def _insights(asset: Asset) -> dict[str, Any]:
    answer = {"TYPE_KEY": "WHAT", "NAME": f"What is {asset.name}?", "LAST_UPDATE_TS": _EDITED, "TEXT": "Made up."}
    return {"ASSET_DYNAMIC_FAQS": [answer]}


def _social(asset: Asset) -> dict[str, Any]:
    def account(host: str, **more: Any) -> list[dict[str, Any]]:
        return [{"URL": f"https://{host}.example/{asset.uri}", "MAKE_3RD_PARTY_REQUEST": False, **more}]

    return {
        "CODE_REPOSITORIES": account("code", STARS=1_000 + asset.id, IS_FORK=False),
        "SUBREDDITS": account("forum", NAME=asset.symbol, SUBSCRIBERS=10_000 + asset.id),
        "TWITTER_ACCOUNTS": account("micro", NAME=asset.name, USERNAME=asset.uri, VERIFIED=True),
        "DISCORD_SERVERS": account("voice", NAME=asset.name) if asset.kind == "TOKEN" else None,
        "TELEGRAM_GROUPS": account("chat", USERNAME=asset.uri),
        "OTHER_SOCIAL_NETWORKS": None,
    }


def _token_sale(asset: Asset) -> dict[str, Any]:
    sold = asset.kind == "TOKEN" and asset.industry != "STABLECOIN"
    sale = {"TOKEN_SALE_TYPE": "PUBLIC", "TOKEN_SALE_DATE_START": asset.launch, "TOKEN_SALE_SUPPLY": 1_000_000}
    return {"HELD_TOKEN_SALE": sold, "TOKEN_SALES": [sale] if sold else None}


def _links(asset: Asset) -> dict[str, Any]:
    site = f"https://{asset.uri}.example"
    fields = dict.fromkeys(("INDEX_METHODOLOGY", "INDEX_FACTSHEET", "INDEX_LINKED_PRODUCTS", "PROSPECTUS"))
    return {
        "WEBSITE_URL": site,
        "BLOG_URL": f"{site}/blog",
        "WHITE_PAPER_URL": f"{site}/paper.pdf",
        **fields,
        "OTHER_DOCUMENT_URLS": [{"TYPE": "AUDIT", "VERSION": 1, "URL": f"{site}/audit.pdf"}],
        "EXPLORER_ADDRESSES": [{"URL": f"https://explorer.example/{asset.uri}"}],
        "RPC_OPERATORS": [{"OPERATOR_NAME": "Node 1", "URL": "https://rpc.example"}] if asset.symbol == "ETH" else None,
    }


def _classification(asset: Asset) -> dict[str, Any]:
    algorithm, fiat = _WORKED.get(asset.symbol), asset.kind == "FIAT"
    mechanism = None if asset.kind != "BLOCKCHAIN" else "POW" if algorithm else "POS"
    return {
        "ASSET_STATUS": asset.status,
        "ISO_NUMERIC_CODE": _ISO.get(asset.symbol),
        "ASSET_SYMBOL_GLYPH": _GLYPHS.get(asset.symbol),
        "IS_EXCLUDED_FROM_PRICE_TOPLIST": fiat,
        "IS_EXCLUDED_FROM_VOLUME_TOPLIST": fiat,
        "IS_EXCLUDED_FROM_MKT_CAP_TOPLIST": fiat,
        "MKT_CAP_EXCLUSION_REASON": "FIAT" if fiat else None,
        "ASSET_INDUSTRIES": [{"ASSET_INDUSTRY": asset.industry, "JUSTIFICATION": "By its main use."}],
        "CONSENSUS_MECHANISMS": [{"NAME": mechanism}] if mechanism else None,
        "CONSENSUS_ALGORITHM_TYPES": [{"NAME": mechanism, "DESCRIPTION": ""}] if mechanism else None,
        "HASHING_ALGORITHM_TYPES": [{"NAME": algorithm}] if algorithm else None,
    }


def _contact(asset: Asset) -> dict[str, Any]:
    leader = {"LEADER_TYPE": "FOUNDER", "FULL_NAME": f"A. {asset.symbol.title()}", "CONTACT_MEDIUM": "EMAIL"}
    return {"PROJECT_LEADERS": [leader], "ASSOCIATED_CONTACT_DETAILS": None}


def _seo(asset: Asset) -> dict[str, Any]:
    return {
        "SEO_TITLE": f"{asset.name} price, charts and news",
        "SEO_DESCRIPTION": f"All about {asset.name}.",
        "OPEN_GRAPH_IMAGE_URL": f"https://resources.example/asset/{asset.id}-og.png",
        "ASSET_DESCRIPTION_EXTENDED_SEO": f"All about {asset.name} ({asset.symbol}), at length.",
    }


def _internal(asset: Asset) -> dict[str, Any]:
    fields: dict[str, Any] = {"COMMENT": None}
    for place, name in enumerate(("ASSIGNED_TO", "CREATED_BY", "UPDATED_BY")):
        fields |= {name: 200 + place, f"{name}_USERNAME": f"editor_{place}"}
    return fields | {
        "IS_USED_IN_DEFI": "FINANCE" in asset.industry,
        "IS_USED_IN_NFT": asset.industry == "COLLECTIBLE",
        "TOTAL_ENDPOINTS_OK": 3,
        "TOTAL_ENDPOINTS_WITH_ISSUES": 0,
    }


_FIELDS: Mapping[str, Callable[[Asset], dict[str, Any]]] = {
    "ID": _identity,
    "BASIC": _basic,
    "SUPPORTED_PLATFORMS": _platforms,
    "CUSTODIANS": lambda _: {"ASSET_CUSTODIANS": [{"NAME": "Synthetic Custody"}]},
    "CONTROLLED_ADDRESSES": lambda _: {"CONTROLLED_ADDRESSES": None},
    "SECURITY_METRICS": lambda asset: {
        "ASSET_SECURITY_METRICS": [{"NAME": "AUDIT", "OVERALL_SCORE": 90, "OVERALL_RANK": asset.id}]
    },
    "SUPPLY": _supply,
    "SUPPLY_ADDRESSES": lambda asset: {
        "BURN_ADDRESSES": [{"NAME": "null", "BLOCKCHAIN": "ETH", "ADDRESS": "0x0"}] if asset.kind == "TOKEN" else None,
        "LOCKED_ADDRESSES": None,
    },
    "ASSET_TYPE_SPECIFIC_METRICS": _metrics,
    "AI_INSIGHTS": _insights,
    "SOCIAL": _social,
    "TOKEN_SALE": _token_sale,
    "EQUITY_SALE": lambda _: {"HELD_EQUITY_SALE": False, "EQUITY_SALES": None},
    "RESOURCE_LINKS": _links,
    "CLASSIFICATION": _classification,
    "DESCRIPTION": lambda asset: {"ASSET_DESCRIPTION": f"## {asset.name}\nAs the sandbox imagines it."},
    "DESCRIPTION_SUMMARY": lambda asset: {"ASSET_DESCRIPTION_SUMMARY": f"{asset.name}, synthetic."},
    "CONTACT": _contact,
    "SEO": _seo,
    "INTERNAL": _internal,
}
