"""What the vendor tells of an exchange, by field group. Fields that do not apply are absent."""

from collections.abc import Callable, Mapping
from typing import Any

from core.sandbox.assets import seconds
from core.sandbox.venues import BENCHMARK, FUTURES_EXCHANGES, PUBLICATIONS, SPOT_EXCHANGES, Exchange
from core.sandbox.world import ACTIVE, Standing
from core.windows import DAY

SPOT_GROUPS = (
    "ID", "INSTRUMENT_SUMMARY", "BASIC", "INTERNAL", "INTEGRATION_SPOT", "RESOURCE_LINKS", "DESCRIPTION",
    "DESCRIPTION_SUMMARY", "BENCHMARK",
)  # fmt: skip
FUTURES_GROUPS = (
    "ID", "INSTRUMENT_SUMMARY", "BASIC", "INTERNAL", "INTEGRATION_FUTURES", "RESOURCE_LINKS", "DESCRIPTION",
    "DESCRIPTION_SUMMARY",
)  # fmt: skip
EXCHANGE_TYPES = {"spot": "602", "futures": "604"}
# Exchanges whose books the vendor keeps by the minute.
BOOKS = frozenset({"binance", "coinbase", "kraken"})
# The least score of each grade.
_GRADES = ((85, "AA"), (75, "A"), (65, "BB"), (55, "B"), (45, "C"), (35, "D"), (25, "E"), (0, "F"))
_REPORTS = tuple(map(seconds, ("2023-10-16", "2024-04-15", "2024-11-18", "2025-04-14")))
_INTEGRATED = seconds("2022-01-01")
_CREATED = seconds("2024-03-01")
_UPDATED = seconds("2025-05-01")
_DENOMINATIONS = {"USD": "INVERSE", "USDT": "VANILLA", "USDC": "VANILLA"}


def exchange_fields(exchange: Exchange, group: str, standing: Standing, now: int) -> dict[str, Any]:
    """The fields of one group, INSTRUMENT_SUMMARY excepted, as they are at `now`."""
    return _FIELDS[group](exchange, standing, now)


def grade(score: float) -> str:
    """The benchmark's grade of a score from 0 to 100."""
    return next(name for least, name in _GRADES if score >= least)


def _identity(exchange: Exchange, standing: Standing, _now: int) -> dict[str, Any]:
    fields = {
        "ID": exchange.id,
        "TYPE": EXCHANGE_TYPES[exchange.kind],
        "EXCHANGE_STATUS": standing.status,
        "EXCHANGE_INTERNAL_NAME": exchange.name,
        "URI": exchange.name,
        "IS_PUBLIC": True,
    }
    if standing.status == ACTIVE:
        return fields
    return fields | {"EXCHANGE_SUSPENSION_REASON": f"{exchange.title} does not trade in this scenario."}


def _basic(exchange: Exchange, standing: Standing, _now: int) -> dict[str, Any]:
    kind, opened = exchange.kind, DAY.floor(exchange.opened)
    fields: dict[str, Any] = {
        "HAS_ORDERBOOK_L2_MINUTE_SNAPSHOTS_ENABLED": exchange.name in BOOKS,
        "CREATED_ON": _CREATED + exchange.id * 60,
        "UPDATED_ON": standing.since or _UPDATED + exchange.id * 60,
        "NAME": exchange.title,
        "LOGO_URL": f"https://resources.example/exchange/{exchange.id}.png",
        "LAUNCH_DATE": opened,
        "IS_EXCLUDED_FROM_METRICS_AND_TOPLISTS": False,
        "HAS_SPOT_TRADING": exchange.name in SPOT_EXCHANGES,
        f"{kind.upper()}_TRADING_MECHANISMS": _names("ORDER_BOOK"),
        "HAS_FUTURES_TRADING": exchange.name in FUTURES_EXCHANGES,
        "HAS_INDEX_PUBLISHING": exchange.name in {"binance", "deribit"},
        "HAS_OPTIONS_TRADING": exchange.name in {"binance", "okex", "bybit", "deribit"},
        "HAS_DEX_TRADING": exchange.name == "hyperliquid",
        "EXCHANGE_ALTERNATIVE_IDS": [{"NAME": "CG", "ID": exchange.name, "CURRENTLY_IN_USE": True}],
        "EXCHANGE_DESCRIPTION_SNIPPET": f"Synthetic market modelled on {exchange.title}.",
        f"{kind.upper()}_TRADING_LAUNCH_DATE": opened,
    }
    if exchange.name == "hyperliquid":
        fields["CONTROLLED_ADDRESSES"] = [{"BLOCKCHAIN": "ETH", "ADDRESS": "0x" + "5a" * 20, "NAME": "bridge"}]
    if standing.status != ACTIVE:
        fields["PUBLIC_NOTICE"] = f"{exchange.title} is {standing.status.lower()}."
    if standing.status == "RETIRED":
        fields["TRADING_PERMANENTLY_SUSPENDED_DATE"] = standing.since
    return fields | (_contracts(exchange) if kind == "futures" else {})


def _contracts(exchange: Exchange) -> dict[str, Any]:
    """The part of BASIC that futures markets have."""
    names = dict.fromkeys(_DENOMINATIONS[quote] for quote in exchange.quotes)
    if exchange.name == "hyperliquid":
        names = {"QUANTO": None}
    hours = PUBLICATIONS[exchange.name].interval_ms // 3_600_000
    dated = "USD" in exchange.quotes
    return {
        "HAS_PERPETUAL_CONTRACTS": True,
        "FUNDING_RATE_SETTLEMENT_INTERVALS": _names(f"{hours}_HOURS" if hours > 1 else "HOURLY"),
        "HAS_CALENDAR_CONTRACTS": dated,
        "CALENDAR_FUTURES_EXPIRY_INTERVALS": _names("QUARTERLY") if dated else [],
        "FUTURES_SETTLEMENT_TYPES": _names("CASH_SETTLEMENT"),
        "FUTURES_DENOMINATION_TYPES": _names(*names),
    }


def _internal(exchange: Exchange, _standing: Standing, _now: int) -> dict[str, Any]:
    fields: dict[str, Any] = {"COMMENT": "Made by the sandbox."}
    for place, name in enumerate(("ASSIGNED_TO", "CREATED_BY", "UPDATED_BY")):
        fields |= {name: 100 + place, f"{name}_USERNAME": f"analyst_{place}"}
    for place, name in enumerate(("INTEGRATION_MAIN", "INTEGRATION_BACKUP", "BUSINESS_OR_CONTRACT")):
        fields |= {f"ASSIGNED_TO_{name}": 110 + place, f"ASSIGNED_TO_USERNAME_{name}": f"engineer_{place}"}
    contact = {"CONTACT_MEDIUM": "EMAIL", "DETAILS": f"support@{exchange.name}.example", "COMMENTS": ""}
    return fields | {
        "SUPPORT_CONTACT_INFORMATION": [contact],
        "IS_INCLUDED_IN_CADLI": exchange.kind == "spot",
        "IS_HIDDEN": False,
    }


def _integration(exchange: Exchange, _standing: Standing, _now: int) -> dict[str, Any]:
    kind = exchange.kind.upper()
    fields: dict[str, Any] = {
        f"{kind}_API_ACCESS_PERMITTED_ROLES": [],
        f"{kind}_INTEGRATION_COMMENTS": "Streaming with polling as its backup.",
    }
    for feed in ("TRADES",) if exchange.kind == "spot" else ("TRADES", "FUNDING_RATE", "OPEN_INTEREST", "INDEX"):
        fields |= _feed(f"{kind}_{feed}", _since(exchange, feed)) | {
            f"HAS_{kind}_{feed}_POLLING_BACKFILL": feed == "TRADES"
        }
    return fields | _feed(f"{kind}_ORDER_BOOK", _INTEGRATED + 30 * DAY.seconds)


def _since(exchange: Exchange, feed: str) -> int:
    known = PUBLICATIONS.get(exchange.name)
    if known is None:
        return _INTEGRATED
    return {"FUNDING_RATE": known.funding_since, "OPEN_INTEREST": known.interest_since}.get(feed, _INTEGRATED)


def _feed(name: str, since: int) -> dict[str, Any]:
    return {
        f"{name}_INTEGRATION_STAGE": "IN_PRODUCTION",
        f"{name}_INTEGRATION_DATE": since,
        f"HAS_{name}_POLLING": True,
        f"HAS_{name}_STREAMING": True,
    }


def _links(exchange: Exchange, _standing: Standing, _now: int) -> dict[str, Any]:
    site = f"https://{exchange.name}.example"
    return {
        "WEBSITE_URL": site,
        "BLOG_URL": f"{site}/blog",
        "INCORPORATION_DOCUMENT_URL": f"{site}/incorporation.pdf",
        "OTHER_DOCUMENT_URLS": [{"TYPE": "TERMS", "VERSION": 1, "URL": f"{site}/terms.pdf", "COMMENT": ""}],
        "EXCHANGE_CERTIFICATIONS": [{"NAME": "ISO_27001", "ID": f"IS-{exchange.id}", "ISSUE_DATE": _CREATED}],
    }


def _description(exchange: Exchange, _standing: Standing, _now: int) -> dict[str, Any]:
    return {"EXCHANGE_DESCRIPTION": f"## {exchange.title}\n{exchange.title} as the sandbox imagines it."}


def _summary(exchange: Exchange, _standing: Standing, _now: int) -> dict[str, Any]:
    return {"EXCHANGE_DESCRIPTION_SUMMARY": f"{exchange.title}, synthetic."}


def _benchmark(exchange: Exchange, _standing: Standing, now: int) -> dict[str, Any]:
    """The latest score is the same at all times; reports appear when they are published."""
    score = BENCHMARK[exchange.name]
    scores = [round(score + 1.5 * (place - len(_REPORTS) + 1), 1) for place in range(len(_REPORTS))]
    return {
        "CCDATA_LATEST_SPOT_BENCHMARK_SCORE": score,
        "CCDATA_LATEST_SPOT_BENCHMARK_GRADE": grade(score),
        "CCDATA_HISTORICAL_SPOT_BENCHMARK_REPORTS": [
            {"PUBLICATION_DATE": published, "OVERALL_SCORE": past, "OVERALL_GRADE": grade(past)}
            for published, past in zip(_REPORTS, scores, strict=True)
            if published <= now
        ],
    }


def _names(*names: str) -> list[dict[str, str]]:
    return [{"NAME": name} for name in names]


_FIELDS: Mapping[str, Callable[[Exchange, Standing, int], dict[str, Any]]] = {
    "ID": _identity,
    "BASIC": _basic,
    "INTERNAL": _internal,
    "INTEGRATION_SPOT": _integration,
    "INTEGRATION_FUTURES": _integration,
    "RESOURCE_LINKS": _links,
    "DESCRIPTION": _description,
    "DESCRIPTION_SUMMARY": _summary,
    "BENCHMARK": _benchmark,
}
