"""The endpoints that list markets and instruments."""

from collections.abc import Mapping, Sequence
from typing import Any

from core.sandbox import params
from core.sandbox.catalog import Instrument, status_at
from core.sandbox.draws import unit
from core.sandbox.exchanges import BOOKS, FUTURES_GROUPS, SPOT_GROUPS, exchange_fields
from core.sandbox.feeds import Feed
from core.sandbox.history import unknown_market
from core.sandbox.series import Series, Stream
from core.sandbox.timeline import newest, oldest
from core.sandbox.venues import FUTURES_EXCHANGES, MARKETS, SPOT_EXCHANGES, STATUSES
from core.sandbox.wire import Answer, succeeded
from core.sandbox.world import World
from core.windows import DAY

_COUNTED = ("ACTIVE", "IGNORED", "RETIRED", "EXPIRED", "RETIRED_UNMAPPED")
_INDEX_GROUPS = ("ID", "INTERNAL", "INSTRUMENT_SUMMARY")
_GROUPS = {"spot": SPOT_GROUPS, "futures": FUTURES_GROUPS, "index": _INDEX_GROUPS}
# Those of index families and their instruments are guesses in the vendor's pattern.
_FAMILY_TYPE = "606"
_TYPES = {"spot": "612", "futures": "614", "index": "616"}
_BOOKS_SINCE = 1_677_283_200


class Listings:
    """Answers about markets and instruments as they are at a time."""

    def __init__(self, world: World, feeds: Mapping[str, Feed[Any, Any]]) -> None:
        self._world = world
        self._feeds = feeds

    def markets(self, kind: str, parameter: str, query: Mapping[str, str], now: int) -> Answer:
        """`/<kind>/v2/markets` and v1; `parameter` names the markets. Raises Refusal 404 for unknown ones."""
        groups = params.several(query, "groups", _GROUPS[kind], _GROUPS[kind])
        names = [name.lower() for name in params.several(query, parameter, MARKETS[kind])]
        return succeeded({name: self._market(kind, name, groups, now) for name in names})

    def instruments(self, kind: str, query: Mapping[str, str], now: int) -> Answer:
        """`/<kind>/v1/markets/instruments`, for indices under `/index/cc`. Raises Refusal 400 or 404."""
        groups = params.several(query, "groups", _GROUPS[kind], _GROUPS[kind])
        wanted = params.several(query, "instruments", ())
        if len(wanted) > 25:
            raise params.bad("instruments", query["instruments"], "At most 25 instruments.")
        statuses = params.several(query, "instrument_status", ("ACTIVE",), STATUSES)
        market = query.get("market", "").lower()
        data = {}
        for name in [market] if market else MARKETS[kind]:
            entry = self._market(kind, name, groups, now)
            entry["instruments"] = {
                item.mapped: self._instrument(item, now)
                for item in self._listed(kind, name, now)
                if status_at(item, now) in statuses and (not wanted or item.mapped in wanted)
            }
            data[name] = entry
        return succeeded(data)

    def _listed(self, kind: str, market: str, now: int) -> list[Instrument]:
        listed = self._world.at(now).instruments[kind][market].values()
        return [item for item in listed if oldest(item.series) <= now]

    def _market(self, kind: str, name: str, groups: Sequence[str], now: int) -> dict[str, Any]:
        if name not in MARKETS[kind]:
            raise unknown_market(kind, name)
        listed = self._listed(kind, name, now)
        if kind == "index":
            return {field: value for group in groups for field, value in _family(listed, now)[group].items()}
        exchange = (SPOT_EXCHANGES if kind == "spot" else FUTURES_EXCHANGES)[name]
        standing = self._world.at(now).standing(name)
        entry: dict[str, Any] = {}
        for group in groups:
            if group == "INSTRUMENT_SUMMARY":
                entry |= _summary(kind, listed, now)
            else:
                entry |= exchange_fields(exchange, group, standing, now)
        return entry

    def _instrument(self, item: Instrument, now: int) -> dict[str, Any]:
        kind = item.kind.upper()
        entry: dict[str, Any] = {
            "TYPE": _TYPES[item.kind],
            "INSTRUMENT_STATUS": status_at(item, now),
            "INSTRUMENT": item.own_id,
            "HISTO_SHARD": item.shard,
            "MAPPED_INSTRUMENT": item.mapped,
            "INSTRUMENT_MAPPING": _mapping(item),
        }
        if item.kind == "index":
            return entry | self._told("INDEX_UPDATES", "index", item.series, now) | _composition(item, now)
        entry |= self._told(f"TRADES_{kind}", item.kind, item.series, now)
        if item.kind == "futures":
            entry |= self._told("FUNDING_RATE_UPDATES", "funding", item.funding, now)
            entry |= self._told("OPEN_INTEREST_UPDATES", "interest", item.interest, now)
            return entry | {"CONTRACT_EXPIRATION_TS": item.expires}
        return entry | _book(item, now)

    def _told(self, what: str, feed: str, line: Series | Stream | None, now: int) -> dict[str, Any]:
        """Whether, from when, until when and how often there was something."""
        if line is None or oldest(line) > now:
            return {f"HAS_{what}": False}
        one = what.replace("UPDATES", "UPDATE").replace("TRADES", "TRADE")
        return {
            f"HAS_{what}": True,
            f"FIRST_{one}_TIMESTAMP": oldest(line),
            f"LAST_{one}_TIMESTAMP": self._last(feed, line, now),
            f"TOTAL_{what}": _trades(line, now) if isinstance(line, Series) else _updates(line, now),
        }

    def _last(self, feed: str, line: Series | Stream, now: int) -> int:
        """The last event; of what goes on it is about one pause between events ago."""
        if line.ended is not None and line.ended <= now:
            return self._feeds[feed].timeline.latest(line, now)
        last = newest(line, now)
        return last if last < now else max(line.first, now - 1 - int(2 * _pause(line) * unit(line.seed, now)))


def _family(listed: Sequence[Instrument], now: int) -> dict[str, dict[str, Any]]:
    total = sum(_trades(item.series, now) for item in listed)
    return {
        "ID": {"TYPE": _FAMILY_TYPE},
        "INTERNAL": {
            "INDEX_STATUS": "ACTIVE",
            "API_CONVERSION_INFO": {"CONVERSION_SYMBOL": "USD", "ALLOW_FX": True},
        },
        "INSTRUMENT_SUMMARY": _counts(listed, now)
        | {"TOTAL_INDEX_UPDATES": total, "TOTAL_INDEX_COMPOSITION_UPDATES": 24 * len(listed)},
    }


def _counts(listed: Sequence[Instrument], now: int) -> dict[str, Any]:
    statuses = [status_at(item, now) for item in listed]
    return {
        "MAPPED_INSTRUMENTS_TOTAL": len(listed),
        "UNMAPPED_INSTRUMENTS_TOTAL": 0,
        "INSTRUMENT_STATUS": {status: statuses.count(status) for status in _COUNTED},
    }


def _summary(kind: str, listed: Sequence[Instrument], now: int) -> dict[str, Any]:
    trades = sum(_trades(item.series, now) for item in listed)
    entry = _counts(listed, now) | {f"TOTAL_TRADES_{kind.upper()}": trades}
    if kind == "futures":
        entry["TOTAL_OPEN_INTEREST_UPDATES"] = sum(_updates(item.interest, now) for item in listed)
        entry["TOTAL_FUNDING_RATE_UPDATES"] = sum(_updates(item.funding, now) for item in listed)
    return entry


def _book(item: Instrument, now: int) -> dict[str, Any]:
    first = max(oldest(item.series), _BOOKS_SINCE)
    kept = item.market in BOOKS and first < newest(item.series, now)
    snapshots: dict[str, Any] = {"HAS_OB_L2_SNAPSHOTS_SPOT": kept}
    return snapshots | {"FIRST_OB_L2_SNAPSHOT_SPOT_TIMESTAMP": first} if kept else snapshots


def _composition(item: Instrument, now: int) -> dict[str, Any]:
    first = oldest(item.series)
    return {
        "HAS_INDEX_COMPOSITION_UPDATES": True,
        "FIRST_INDEX_COMPOSITION_UPDATE_TIMESTAMP": first,
        "LAST_INDEX_COMPOSITION_UPDATE_TIMESTAMP": max(first, DAY.floor(now)),
        "TOTAL_INDEX_COMPOSITION_UPDATES": 24,
        "COMPONENTS": [{"TYPE": "706", "MARKET": name, "INSTRUMENT": item.mapped} for name in ("coinbase", "kraken")],
        "OUTLIER_EXCLUSION_PERCENTAGE": 5,
        "OLDEST_HISTORICAL_DAY_DATA_TIMESTAMP": DAY.floor(first),
        "OLDEST_HISTORICAL_INDEX_COMPOSITION_UPDATE_TIMESTAMP": first,
    }


def _pause(line: Series | Stream) -> float:
    """Seconds between two events."""
    rate = line.notional / line.trade_size if isinstance(line, Series) else line.rate
    return min(3_600.0, DAY.seconds / rate)


def _trades(series: Series, now: int) -> int:
    """An estimate of all trades so far that grows with time."""
    days = (newest(series, now) - oldest(series)) / DAY.seconds
    return int(days * series.notional / series.trade_size) + 1


def _updates(stream: Stream | None, now: int) -> int:
    """The same of updates."""
    if stream is None or oldest(stream) > now:
        return 0
    return int((newest(stream, now) - oldest(stream)) / DAY.seconds * stream.rate) + 1


def _mapping(item: Instrument) -> dict[str, Any]:
    tail = {"TRANSFORM_FUNCTION": item.transform, "CREATED_ON": item.created}
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
