"""The markets and instruments of the synthetic world.

Exchanges and mapped names are the same for every seed; the seed moves listing times, which names are
retired, and how often the small ones are idle. Instruments are made once per seed, in a fixed order.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from math import floor, log10, sqrt

from core.sandbox.assets import ASSETS, COINS, Asset, seconds
from core.sandbox.draws import key_of, unit
from core.sandbox.series import Series, Stream, normalised, scale_for
from core.sandbox.venues import (
    FUTURES_EXCHANGES,
    INDEX_FAMILIES,
    PUBLICATIONS,
    SPOT_EXCHANGES,
    Exchange,
    futures_id,
    spot_id,
)
from core.windows import DAY, HOUR


@dataclass(frozen=True, slots=True, eq=False)
class Instrument:
    """One instrument of a market. `kind` is spot, futures or index; `status` as the vendor writes it.

    `expires` is UTC seconds, None unless it is a dated contract. `settle` and `unit` (the contract's
    currency) are those of futures, as are `funding` and `interest`, None where nothing is published.
    `status` is the one it ends with; what is `said` instead goes before anything.
    """

    kind: str
    market: str
    mapped: str
    own_id: str
    base: Asset
    quote: Asset
    settle: Asset
    unit: Asset
    denomination: str
    status: str
    expires: int | None
    shard: str
    created: int
    code: str
    series: Series
    funding: Stream | None = None
    interest: Stream | None = None
    transform: str = ""
    said: str | None = None


# How many of the largest coins a quote currency is paired with; others pair with all of them.
_DEPTH = {"EUR": 22, "GBP": 10, "BTC": 24, "USDC": 20, "FDUSD": 16, "TRY": 12, "BRL": 8, "CAD": 6, "JPY": 3}
_QUOTE_SHARE = {"USDT": 1.0, "USD": 1.0, "USDC": 0.18, "FDUSD": 0.2, "BTC": 0.04, "EUR": 0.09, "GBP": 0.03}
_FUTURES_SHARE = {"USDT": 1.0, "USD": 0.12, "USDC": 0.06}
# Names that every seed offers as active ones.
_KEPT = 12
# Of open interest; with seven or eight of a price they come to at most 15.
_DIGITS_OF_SIZE = 6.6
# Below this many USD a day a series has days without trades.
_QUIET = 400_000


class Catalog:
    """Every instrument of a seed."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    @cached_property
    def instruments(self) -> dict[str, dict[str, dict[str, Instrument]]]:
        """kind -> market -> mapped id -> instrument."""
        found: dict[str, dict[str, dict[str, Instrument]]] = {
            "spot": {name: {} for name in SPOT_EXCHANGES},
            "futures": {name: {} for name in FUTURES_EXCHANGES},
            "index": {name: {} for name in INDEX_FAMILIES},
        }
        for instrument in (*self._spot(), *self._futures(), *self._indices()):
            found[instrument.kind][instrument.market][instrument.mapped] = instrument
        return found

    def made_up(self, kind: str, market: str, mapped: str) -> Instrument | None:
        """An instrument that the market does not carry, of assets that exist; None if it could not be."""
        symbols = mapped.split("-")
        assets = [ASSETS.get(symbol) for symbol in symbols[:2]]
        base, quote = assets if len(assets) == 2 else (None, None)
        if base is None or quote is None or base is quote:
            return None
        if kind == "spot":
            found = self._spot_pair(SPOT_EXCHANGES[market], base, quote, _KEPT)
        elif kind == "futures" and quote.symbol in _FUTURES_SHARE:
            found = self._perpetual(FUTURES_EXCHANGES[market], base, quote, _KEPT)
        else:
            return None
        return found if found.mapped == mapped else None

    def _chance(self, *parts: object) -> float:
        return unit(key_of(self._seed, *parts), 0)

    def _spot(self) -> Iterator[Instrument]:
        ranked = sorted(COINS, key=lambda asset: -asset.volume)
        for exchange in SPOT_EXCHANGES.values():
            for quote in exchange.quotes:
                for rank, asset in enumerate(ranked[: _DEPTH.get(quote, len(ranked))]):
                    if asset.symbol != quote and _carried(exchange, asset, rank):
                        yield self._spot_pair(exchange, asset, ASSETS[quote], rank)

    def _spot_pair(self, exchange: Exchange, base: Asset, quote: Asset, rank: int) -> Instrument:
        mapped = f"{base.symbol}-{quote.symbol}"
        first = self._listing(exchange, mapped, (base, quote), rank)
        last = self._retired(exchange, mapped, rank, first)
        share = _QUOTE_SHARE.get(quote.symbol, 0.02)
        return self._instrument(
            exchange,
            mapped,
            spot_id(exchange.style, base.symbol, quote.symbol),
            (base, quote, quote, base),
            span=(first, last),
            notional=max(3_000.0, base.volume * exchange.weight * share / 1.6),
            status="ACTIVE" if last is None else "RETIRED",
            rank=rank,
        )

    def _futures(self) -> Iterator[Instrument]:
        ranked = sorted((a for a in COINS if a.industry != "STABLECOIN"), key=lambda asset: -asset.volume)
        for exchange in FUTURES_EXCHANGES.values():
            for quote in exchange.quotes:
                for rank, asset in enumerate(ranked[: {"USDT": 45, "USD": 14}.get(quote, 6)]):
                    if exchange.name != "deribit" or rank < 3:
                        yield self._perpetual(exchange, asset, ASSETS[quote], rank)
            if "USD" in exchange.quotes:
                for asset in ranked[:2]:
                    yield from self._dated(exchange, asset)

    def _perpetual(self, exchange: Exchange, base: Asset, quote: Asset, rank: int) -> Instrument:
        denomination = "INVERSE" if quote.symbol == "USD" else "VANILLA"
        if exchange.name == "hyperliquid":
            denomination = "QUANTO"
        mapped = f"{base.symbol}-{quote.symbol}-{denomination}-PERPETUAL"
        first = self._listing(exchange, mapped, (base, quote), rank)
        last = self._retired(exchange, mapped, rank, first)
        share = _FUTURES_SHARE[quote.symbol]
        return self._instrument(
            exchange,
            mapped,
            futures_id(exchange.style, base.symbol, quote.symbol, None),
            _currencies(denomination, base, quote),
            span=(first, last),
            notional=max(8_000.0, base.volume * exchange.weight * share * 1.4),
            status="ACTIVE" if last is None else "RETIRED",
            rank=rank,
            denomination=denomination,
        )

    def _dated(self, exchange: Exchange, base: Asset) -> Iterator[Instrument]:
        """Quarterly contracts, settled on the last Friday at 08:00 UTC, listed half a year before."""
        opened = datetime.fromtimestamp(exchange.opened, UTC).year + 1
        for year in range(max(opened, 2021), 2028):
            for month in (3, 6, 9, 12):
                expiry = _last_friday(year, month)
                listed = expiry - 190 * DAY.seconds + 28_800
                if listed < exchange.opened:
                    continue
                mapped = f"{base.symbol}-USD-INVERSE-{datetime.fromtimestamp(expiry, UTC):%Y%m%d}"
                jitter = int(900 * self._chance(exchange.name, mapped))
                yield self._instrument(
                    exchange,
                    mapped,
                    futures_id(exchange.style, base.symbol, "USD", expiry),
                    _currencies("INVERSE", base, ASSETS["USD"]),
                    span=(listed + jitter, expiry - 2 - jitter // 100),
                    notional=base.volume * exchange.weight * 0.01,
                    status="EXPIRED",
                    rank=0,
                    denomination="INVERSE",
                    expires=expiry,
                )

    def _indices(self) -> Iterator[Instrument]:
        usd = ASSETS["USD"]
        for family, code in INDEX_FAMILIES.items():
            coins = COINS if family == "cadli" else COINS[:12]
            exchange = Exchange(0, family, family.upper(), "index", seconds("2014-01-01"), 1.0, "dashed", ())
            for rank, asset in enumerate(coins):
                mapped = f"{asset.symbol}-USD"
                yield self._instrument(
                    exchange,
                    mapped,
                    mapped,
                    (asset, usd, usd, asset),
                    span=(self._listing(exchange, mapped, (asset, usd), rank), None),
                    notional=asset.volume,
                    status="ACTIVE",
                    rank=0,
                    code=code,
                )

    def _listing(self, exchange: Exchange, mapped: str, pair: tuple[Asset, Asset], rank: int) -> int:
        """The first trade: after the exchange opened and both assets exist, in the middle of a day."""
        chance = self._chance(exchange.kind, exchange.name, mapped, "listing")
        delay = 0 if rank < 2 else int(chance * (60 + 8 * rank)) * DAY.seconds
        born = max(exchange.opened, *(asset.launch for asset in pair)) + delay
        return DAY.floor(born) + 36_000 + int(28_000 * chance)

    def _retired(self, exchange: Exchange, mapped: str, rank: int, first: int) -> int | None:
        """When a small name stopped trading; None for most."""
        chance = self._chance(exchange.kind, exchange.name, mapped, "retired")
        if rank < _KEPT or chance > 0.08:
            return None
        last = first + int(400 + 9_000 * chance) * DAY.seconds
        last = DAY.floor(last) + 43_000 + int(20_000 * chance)
        return last if last < seconds("2025-03-01") else None

    def _instrument(
        self,
        exchange: Exchange,
        mapped: str,
        own_id: str,
        assets: tuple[Asset, Asset, Asset, Asset],
        *,
        span: tuple[int, int | None],
        notional: float,
        status: str,
        rank: int,
        denomination: str = "",
        expires: int | None = None,
        code: str = "",
    ) -> Instrument:
        base, quote, settle, contract = assets
        series = self._series(exchange, mapped, (base, quote), span, notional, denomination)
        funding, interest = self._streams(exchange, series, rank, perpetual=expires is None)
        return Instrument(
            kind=exchange.kind,
            market=exchange.name,
            mapped=mapped,
            own_id=own_id,
            base=base,
            quote=quote,
            settle=settle,
            unit=contract,
            denomination=denomination,
            status=status,
            expires=expires,
            shard=f"PG_COLLECT_{exchange.id % 4 + 1:02}",
            created=max(span[0], seconds("2022-03-10") + rank * 3_600),
            code=code or {"spot": "954", "futures": "914"}[exchange.kind],
            series=series,
            funding=funding,
            interest=interest,
        )

    def _streams(
        self, exchange: Exchange, series: Series, rank: int, *, perpetual: bool
    ) -> tuple[Stream | None, Stream | None]:
        """Funding rate and open interest of a contract; a few small ones have one of them or none."""
        if exchange.kind != "futures":
            return None, None
        chance = self._chance(series.key, "published")
        silent = rank >= _KEPT and chance < 0.06
        funding = self._funding(exchange, series, chance) if perpetual and not silent else None
        lacking = silent or (rank >= _KEPT and chance > 0.95)
        return funding, None if lacking else self._interest(exchange, series, chance)

    def _funding(self, exchange: Exchange, series: Series, chance: float) -> Stream | None:
        """From the day of the first trade, if funding rates were recorded then."""
        known = PUBLICATIONS[exchange.name]
        first = max(DAY.floor(series.first), known.funding_since + int(25 * chance) * DAY.seconds)
        if series.last is not None and first >= series.last:
            return None
        places = 8 if known.interval_ms > HOUR.seconds * 1_000 else 10
        level = round(0.0001 * known.interval_ms / 28_800_000 * 10**places)
        rate = known.funding_rate * _activity(series, chance)
        seed = key_of(self._seed, series.key, "funding")
        return Stream(series, first, rate, level, places, seed, known.interval_ms)

    def _interest(self, exchange: Exchange, series: Series, chance: float) -> Stream | None:
        """Recorded later than the first trade, of older contracts by years."""
        known = PUBLICATIONS[exchange.name]
        first = max(series.first + 600, known.interest_since + int(40 * chance) * DAY.seconds + 25_200)
        first += int(3_000 * chance)
        if series.last is not None and first >= series.last:
            return None
        rate = known.interest_rate * _activity(series, chance)
        seed = key_of(self._seed, series.key, "interest")
        return Stream(series, first, rate, *interest_size(series), seed)

    def _series(
        self,
        exchange: Exchange,
        mapped: str,
        pair: tuple[Asset, Asset],
        span: tuple[int, int | None],
        notional: float,
        denomination: str,
    ) -> Series:
        key = f"{exchange.kind}/{exchange.name}/{mapped}"
        base, quote = pair
        inverse = denomination == "INVERSE"
        scale = scale_for(base.price / quote.price, notional / quote.price, inverse)
        return Series(
            key=key,
            base=base.symbol,
            quote=quote.symbol,
            first=span[0],
            last=span[1],
            ticks=scale.ticks,
            lots=scale.lots,
            values=scale.values,
            contract=(100 if base.symbol == "BTC" else 10) if inverse else None,
            notional=notional,
            trade_size=max(150.0, min(notional / 400.0, 3_000.0), notional / 400_000),
            parts=_parts(exchange),
            idle_days=0.15 * self._chance(key, "idle") if notional < _QUIET else 0.0,
            seed=key_of(self._seed, key),
            venue=key_of(self._seed, exchange.kind, exchange.name, "outage"),
        )


def status_at(instrument: Instrument, now: int) -> str:
    """The vendor's status word at `now` (UTC seconds); what ends later is still active."""
    if instrument.said is not None:
        return instrument.said
    if instrument.expires is not None:
        return "ACTIVE" if now < instrument.expires else "EXPIRED"
    if instrument.series.last is not None and now < instrument.series.last:
        return "ACTIVE"
    return instrument.status


def interest_size(series: Series) -> tuple[int, int]:
    """Level and decimals of a contract's open interest, see `Stream`."""
    if series.contract is not None:
        return round(max(20_000, series.notional / 2 / series.contract)), 0
    coins = series.notional / 2 / ASSETS[series.base].price
    places = floor(_DIGITS_OF_SIZE - log10(coins))
    return round(coins * 10.0**places), places


def _activity(series: Series, chance: float) -> float:
    """How often a contract is heard of, compared with the largest of its market."""
    return max(0.03, min(1.0, sqrt(series.notional / 2e8))) * (0.7 + 0.3 * chance)


def _carried(exchange: Exchange, asset: Asset, rank: int) -> bool:
    if asset.industry == "STABLECOIN":
        return rank < 12
    small = exchange.name in {"kraken", "bitstamp", "bitfinex"}
    return not (small and rank > {"kraken": 52, "bitstamp": 30, "bitfinex": 26}[exchange.name])


def _parts(exchange: Exchange) -> tuple[float, ...]:
    """Components of the volume: buy and sell; with unknown side where a venue does not say; for
    indices the four combinations of top tier and direct pairs."""
    if exchange.kind == "index":
        return normalised((0.121, 0.442, 0.019, 0.418))
    if exchange.name == "bitstamp":
        return normalised((0.48, 0.46, 0.06))
    return (0.505, 0.495)


def _currencies(denomination: str, base: Asset, quote: Asset) -> tuple[Asset, Asset, Asset, Asset]:
    """Base, quote, settlement and contract currency."""
    if denomination == "INVERSE":
        return base, quote, base, quote
    return base, quote, ASSETS["USDC"] if denomination == "QUANTO" else quote, base


def _last_friday(year: int, month: int) -> int:
    following = datetime(year + month // 12, month % 12 + 1, 1, 8, tzinfo=UTC)
    last = following - timedelta(days=1)
    return int((last - timedelta(days=(last.weekday() - 4) % 7)).timestamp())
