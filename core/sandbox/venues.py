"""The markets of the synthetic world, what they publish, and how they write the ids of instruments."""

from dataclasses import dataclass
from datetime import UTC, datetime

from core.sandbox.assets import seconds


@dataclass(frozen=True, slots=True)
class Exchange:
    """A market. `weight` is its share of all trading; `style` how it writes its own ids."""

    id: int
    name: str
    title: str
    kind: str
    opened: int
    weight: float
    style: str
    quotes: tuple[str, ...]


# id name title opened share style quotes
_SPOT = """
8 binance Binance 2017-08-17 0.42 joined USDT,USDC,FDUSD,BTC,EUR,TRY,BRL
2 coinbase Coinbase 2015-01-26 0.10 dashed USD,EUR,GBP,USDC,BTC,USDT
3 kraken Kraken 2013-09-10 0.05 kraken USD,EUR,GBP,USDT,BTC,CAD
12 bybit Bybit 2021-07-15 0.13 joined USDT,USDC,BTC,EUR
9 okex OKX 2017-10-01 0.11 dashed USDT,USDC,BTC,EUR
4 bitstamp Bitstamp 2013-11-01 0.02 lower USD,EUR,GBP,BTC
14 gateio Gate 2018-03-01 0.11 under USDT,BTC
5 bitfinex Bitfinex 2013-04-01 0.02 t USD,USDT,EUR,BTC,JPY
"""
_FUTURES = """
8 binance Binance 2019-09-08 0.5 joined USDT,USD,USDC
9 okex OKX 2019-12-20 0.2 swap USDT,USD,USDC
12 bybit Bybit 2020-03-25 0.2 joined USDT,USD,USDC
20 deribit Deribit 2018-08-14 0.05 deribit USD,USDC
41 hyperliquid Hyperliquid 2023-06-01 0.05 bare USDT
"""
# The vendor's words for the state of an instrument.
STATUSES = ("ACTIVE", "IGNORED", "RETIRED", "EXPIRED", "READY_FOR_DECOMMISSIONING", "RETIRED_UNMAPPED")
# The vendor's score of spot exchanges, of 100.
BENCHMARK = {
    "coinbase": 88.4, "kraken": 86.9, "bitstamp": 81.2, "binance": 78.7, "okex": 70.3, "bybit": 61.5,
    "gateio": 49.8, "bitfinex": 42.6,
}  # fmt: skip
# What is published besides trades: hours between payments, updates a day of the funding rate and since
# when they are recorded, the same of the open interest.
_PUBLISHED = """
binance 8 1440 2020-08-10 2880 2022-01-30
okex 8 720 2020-11-02 4320 2021-09-14
bybit 8 1440 2020-06-01 5760 2022-03-10
deribit 8 4320 2019-10-01 2880 2021-07-01
hyperliquid 1 4320 2023-06-01 4320 2023-11-20
"""
_INDICES = (("cadli", "267"), ("ccix", "227"))
_KRAKEN = {"BTC": "XXBT", "ETH": "XETH", "LTC": "XLTC", "XRP": "XXRP", "XLM": "XXLM", "ETC": "XETC",
           "ZEC": "XZEC", "DOGE": "XDG", "XMR": "XXMR"}  # fmt: skip
_KRAKEN_FIAT = {"USD": "ZUSD", "EUR": "ZEUR", "GBP": "ZGBP", "CAD": "ZCAD"}
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")


@dataclass(frozen=True, slots=True)
class Publication:
    """What a futures market publishes besides trades.

    Rates are updates a day of a large contract; `..._since` is from when they are recorded (UTC
    seconds), `interval_ms` the time between two payments.
    """

    interval_ms: int
    funding_rate: float
    funding_since: int
    interest_rate: float
    interest_since: int

    @classmethod
    def parse(cls, line: str) -> tuple[str, "Publication"]:
        name, hours, rate, since, interest, interest_since = line.split()
        every = int(hours) * 3_600_000
        return name, cls(every, float(rate), seconds(since), float(interest), seconds(interest_since))


PUBLICATIONS = dict(map(Publication.parse, _PUBLISHED.strip().splitlines()))


def _exchanges(text: str, kind: str) -> dict[str, Exchange]:
    found = {}
    for line in text.strip().splitlines():
        number, name, title, opened, weight, style, quotes = line.split()
        found[name] = Exchange(
            int(number), name, title, kind, seconds(opened), float(weight), style, tuple(quotes.split(","))
        )
    return found


SPOT_EXCHANGES = _exchanges(_SPOT, "spot")
FUTURES_EXCHANGES = _exchanges(_FUTURES, "futures")
INDEX_FAMILIES = dict(_INDICES)
MARKETS: dict[str, tuple[str, ...]] = {
    "spot": tuple(SPOT_EXCHANGES),
    "futures": tuple(FUTURES_EXCHANGES),
    "index": tuple(INDEX_FAMILIES),
}


def spot_id(style: str, base: str, quote: str) -> str:
    if style == "kraken":
        return _kraken_id(base, quote)
    if style == "t":
        return f"t{base}{'UST' if quote == 'USDT' else quote}"
    between = {"dashed": "-", "under": "_"}.get(style, "")
    name = base + between + quote
    return name.lower() if style == "lower" else name


def _kraken_id(base: str, quote: str) -> str:
    if base in _KRAKEN and quote in _KRAKEN_FIAT:
        return _KRAKEN[base] + _KRAKEN_FIAT[quote]
    return {"BTC": "XBT", "DOGE": "XDG"}.get(base, base) + {"BTC": "XBT"}.get(quote, quote)


def futures_id(style: str, base: str, quote: str, expiry: int | None) -> str:
    date = datetime.fromtimestamp(expiry, UTC) if expiry is not None else None
    if style == "bare":
        return base
    if style == "deribit":
        head = base if quote == "USD" else f"{base}_{quote}"
        return f"{head}-{date.day}{_MONTHS[date.month - 1]}{date:%y}" if date else f"{head}-PERPETUAL"
    if style == "swap":
        return f"{base}-{quote}-{date:%y%m%d}" if date else f"{base}-{quote}-SWAP"
    if date:
        return f"{base}USD_{date:%y%m%d}"
    if quote == "USD":
        return f"{base}USD_PERP"
    return base + quote
