"""The endpoints that list markets and instruments."""

from collections.abc import Mapping, Sequence
from typing import Any

from core.sandbox import params
from core.sandbox.catalog import Catalog, Instrument, status_at
from core.sandbox.draws import unit
from core.sandbox.history import unknown_market
from core.sandbox.series import Stream
from core.sandbox.timeline import newest
from core.sandbox.venues import FUTURES_EXCHANGES, MARKETS, SPOT_EXCHANGES, Exchange
from core.sandbox.wire import Answer, succeeded
from core.windows import DAY

_STATUSES = ("ACTIVE", "IGNORED", "RETIRED", "EXPIRED", "READY_FOR_DECOMMISSIONING", "RETIRED_UNMAPPED")
_COUNTED = ("ACTIVE", "IGNORED", "RETIRED", "EXPIRED", "RETIRED_UNMAPPED")
_SPOT_GROUPS = (
    "ID", "INSTRUMENT_SUMMARY", "BASIC", "INTERNAL", "INTEGRATION_SPOT", "RESOURCE_LINKS", "DESCRIPTION",
    "DESCRIPTION_SUMMARY", "BENCHMARK",
)  # fmt: skip
_FUTURES_GROUPS = (
    "ID", "INSTRUMENT_SUMMARY", "BASIC", "INTERNAL", "INTEGRATION_FUTURES", "RESOURCE_LINKS", "DESCRIPTION",
    "DESCRIPTION_SUMMARY",
)  # fmt: skip
_INDEX_GROUPS = ("ID", "INTERNAL", "INSTRUMENT_SUMMARY")
_GROUPS = {"spot": _SPOT_GROUPS, "futures": _FUTURES_GROUPS, "index": _INDEX_GROUPS}
# Those of index families and their instruments are guesses in the vendor's pattern.
_TYPES = {"spot": ("602", "612"), "futures": ("604", "614"), "index": ("606", "616")}


class Listings:
    """Answers about markets and instruments as they are at a time."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def markets(self, kind: str, query: Mapping[str, str], now: int) -> Answer:
        """`/<kind>/v2/markets`. Raises Refusal 404 for a market that is not listed."""
        groups = params.several(query, "groups", _GROUPS[kind], _GROUPS[kind])
        names = [name.lower() for name in params.several(query, "markets", MARKETS[kind])]
        return succeeded({name: self._market(kind, name, groups, now) for name in names})

    def instruments(self, kind: str, query: Mapping[str, str], now: int) -> Answer:
        """`/<kind>/v1/markets/instruments`, for indices under `/index/cc`. Raises Refusal 400 or 404."""
        groups = params.several(query, "groups", _GROUPS[kind], _GROUPS[kind])
        wanted = params.several(query, "instruments", ())
        if len(wanted) > 25:
            raise params.bad("instruments", query["instruments"], "At most 25 instruments.")
        statuses = params.several(query, "instrument_status", ("ACTIVE",), _STATUSES)
        market = query.get("market", "").lower()
        data = {}
        for name in [market] if market else MARKETS[kind]:
            entry = self._market(kind, name, groups, now)
            listed = self._listed(kind, name, now)
            entry["instruments"] = {
                item.mapped: _instrument(item, now)
                for item in listed
                if status_at(item, now) in statuses and (not wanted or item.mapped in wanted)
            }
            data[name] = entry
        return succeeded(data)

    def _listed(self, kind: str, market: str, now: int) -> list[Instrument]:
        listed = self._catalog.instruments[kind][market].values()
        return [item for item in listed if item.series.first <= now]

    def _market(self, kind: str, name: str, groups: Sequence[str], now: int) -> dict[str, Any]:
        if name not in MARKETS[kind]:
            raise unknown_market(kind, name)
        if kind == "index":
            return self._family(name, groups, now)
        exchange = (SPOT_EXCHANGES if kind == "spot" else FUTURES_EXCHANGES)[name]
        entry: dict[str, Any] = {}
        for group in groups:
            if group == "INSTRUMENT_SUMMARY":
                entry |= _summary(kind, self._listed(kind, name, now), now)
            else:
                entry |= _exchange_group(exchange, group)
        return entry

    def _family(self, name: str, groups: Sequence[str], now: int) -> dict[str, Any]:
        listed = self._listed("index", name, now)
        parts = {
            "ID": {"TYPE": _TYPES["index"][0]},
            "INTERNAL": {"INDEX_STATUS": "ACTIVE"},
            "INSTRUMENT_SUMMARY": _counts(listed, now)
            | {"TOTAL_INDEX_UPDATES": sum(_trades(item, now) for item in listed)},
        }
        return {field: value for group in groups for field, value in parts[group].items()}


def _counts(listed: Sequence[Instrument], now: int) -> dict[str, Any]:
    statuses = [status_at(item, now) for item in listed]
    return {
        "MAPPED_INSTRUMENTS_TOTAL": len(listed),
        "UNMAPPED_INSTRUMENTS_TOTAL": 0,
        "INSTRUMENT_STATUS": {status: statuses.count(status) for status in _COUNTED},
    }


def _summary(kind: str, listed: Sequence[Instrument], now: int) -> dict[str, Any]:
    trades = sum(_trades(item, now) for item in listed)
    entry = _counts(listed, now) | {f"TOTAL_TRADES_{kind.upper()}": trades}
    if kind == "futures":
        entry["TOTAL_OPEN_INTEREST_UPDATES"] = sum(_published_total(item.interest, now) for item in listed)
        entry["TOTAL_FUNDING_RATE_UPDATES"] = sum(_published_total(item.funding, now) for item in listed)
    return entry


def _exchange_group(exchange: Exchange, group: str) -> dict[str, Any]:
    kind, title = exchange.kind.upper(), exchange.title
    if group == "ID":
        return {
            "ID": exchange.id,
            "TYPE": _TYPES[exchange.kind][0],
            "EXCHANGE_STATUS": "ACTIVE",
            "EXCHANGE_INTERNAL_NAME": exchange.name,
            "URI": exchange.name,
        }
    if group == "BASIC":
        return _basic(exchange)
    stage = f"{kind}_TRADES_INTEGRATION_"
    others: dict[str, dict[str, Any]] = {
        f"INTEGRATION_{kind}": {f"{stage}STAGE": "IN_PRODUCTION", f"{stage}DATE": 1_640_995_200},
        "RESOURCE_LINKS": {"WEBSITE_URL": f"https://{exchange.name}.example"},
        "DESCRIPTION": {"EXCHANGE_DESCRIPTION": f"{title} as the sandbox imagines it."},
        "DESCRIPTION_SUMMARY": {"EXCHANGE_DESCRIPTION_SUMMARY": f"{title}, synthetic."},
    }
    return others.get(group, {})


def _basic(exchange: Exchange) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "HAS_ORDERBOOK_L2_MINUTE_SNAPSHOTS_ENABLED": False,
        "CREATED_ON": 1_709_305_140,
        "UPDATED_ON": 1_749_660_760,
        "NAME": exchange.title,
        "LOGO_URL": f"https://resources.example/exchange/{exchange.id}.png",
        "LAUNCH_DATE": DAY.floor(exchange.opened),
        "HAS_SPOT_TRADING": exchange.name in SPOT_EXCHANGES,
        "HAS_FUTURES_TRADING": exchange.name in FUTURES_EXCHANGES,
        "HAS_INDEX_PUBLISHING": False,
        "HAS_OPTIONS_TRADING": exchange.name == "deribit",
        "HAS_DEX_TRADING": exchange.name == "hyperliquid",
        "EXCHANGE_DESCRIPTION_SNIPPET": f"Synthetic market modelled on {exchange.title}.",
        f"{exchange.kind.upper()}_TRADING_LAUNCH_DATE": DAY.floor(exchange.opened),
    }
    if exchange.kind == "futures":
        denominations = {"USD": "INVERSE", "USDT": "VANILLA", "USDC": "VANILLA"}
        names = dict.fromkeys(denominations[quote] for quote in exchange.quotes)
        if exchange.name == "hyperliquid":
            names = {"QUANTO": ""}
        entry["FUTURES_TRADING_MECHANISMS"] = [{"NAME": "ORDER_BOOK"}]
        entry["HAS_PERPETUAL_CONTRACTS"] = True
        entry["FUTURES_SETTLEMENT_TYPES"] = [{"NAME": "CASH_SETTLEMENT"}]
        entry["FUTURES_DENOMINATION_TYPES"] = [{"NAME": name} for name in names]
    return entry


def _trades(item: Instrument, now: int) -> int:
    """An estimate of all trades so far that grows with time."""
    end = now if item.series.last is None else min(now, item.series.last)
    days = (end - item.series.first) / DAY.seconds
    return int(days * item.series.notional / item.series.trade_size) + 1


def _span(item: Instrument, now: int) -> tuple[int, int]:
    """First and last trade; of an active instrument the last is one pause between trades ago."""
    series = item.series
    if series.last is not None and series.last < now:
        return series.first, series.last
    pause = min(3_600, DAY.seconds * series.trade_size / series.notional)
    ago = 1 + int(2 * pause * unit(series.seed, now))
    return series.first, max(series.first, now - ago)


def _instrument(item: Instrument, now: int) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "TYPE": _TYPES[item.kind][1],
        "INSTRUMENT_STATUS": status_at(item, now),
        "INSTRUMENT": item.own_id,
        "HISTO_SHARD": item.shard,
        "MAPPED_INSTRUMENT": item.mapped,
        "INSTRUMENT_MAPPING": _mapping(item),
    }
    first, last = _span(item, now)
    kind, trades = item.kind.upper(), _trades(item, now)
    if item.kind == "index":
        return entry | _updates("INDEX", first, last, trades)
    entry[f"HAS_TRADES_{kind}"] = True
    entry[f"FIRST_TRADE_{kind}_TIMESTAMP"] = first
    entry[f"LAST_TRADE_{kind}_TIMESTAMP"] = last
    entry[f"TOTAL_TRADES_{kind}"] = trades
    if item.kind == "futures":
        entry |= _published("FUNDING_RATE", item.funding, now)
        entry |= _published("OPEN_INTEREST", item.interest, now)
        entry["CONTRACT_EXPIRATION_TS"] = item.expires
    return entry


def _published(name: str, stream: Stream | None, now: int) -> dict[str, Any]:
    """Of a stream that goes on the last update is about one pause between updates ago."""
    if stream is None or stream.first > now:
        return {f"HAS_{name}_UPDATES": False}
    last = newest(stream, now)
    if last == now:
        last = max(stream.first, now - 1 - int(2 * DAY.seconds / stream.rate * unit(stream.seed, now)))
    return _updates(name, stream.first, last, _published_total(stream, now))


def _published_total(stream: Stream | None, now: int) -> int:
    """An estimate of all updates so far that grows with time."""
    if stream is None or stream.first > now:
        return 0
    return int((newest(stream, now) - stream.first) / DAY.seconds * stream.rate) + 1


def _updates(name: str, first: int, last: int, total: int) -> dict[str, Any]:
    return {
        f"HAS_{name}_UPDATES": True,
        f"FIRST_{name}_UPDATE_TIMESTAMP": first,
        f"LAST_{name}_UPDATE_TIMESTAMP": last,
        f"TOTAL_{name}_UPDATES": total,
    }


def _mapping(item: Instrument) -> dict[str, Any]:
    tail = {"TRANSFORM_FUNCTION": "", "CREATED_ON": item.created}
    if item.kind == "index":
        return {"MAPPED_INSTRUMENT": item.mapped} | tail
    if item.kind == "spot":
        return {
            "MAPPED_INSTRUMENT": item.mapped,
            "BASE": item.base.symbol,
            "BASE_ID": item.base.id,
            "QUOTE": item.quote.symbol,
            "QUOTE_ID": item.quote.id,
        } | tail
    currencies = {
        "INDEX_UNDERLYING": item.base,
        "QUOTE_CURRENCY": item.quote,
        "SETTLEMENT_CURRENCY": item.settle,
        "CONTRACT_CURRENCY": item.unit,
    }
    entry: dict[str, Any] = {"MAPPED_INSTRUMENT": item.mapped}
    for name, asset in currencies.items():
        entry |= {name: asset.symbol, f"{name}_ID": asset.id}
    return entry | {"DENOMINATION_TYPE": item.denomination} | tail
