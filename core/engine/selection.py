"""Which series an operation means, and from when: rankings and listings to a list of wanted series.

The vendor ranks assets, not pairs. Assets are walked by 30-day spot quote volume; of each, one active
instrument of the chosen markets is taken (best quote currency, then most trades, then name), and the
walk starts again with the second best of each until the number asked for is reached.
"""

from collections.abc import Callable, Iterator
from itertools import zip_longest

from core.datasets import SeriesKey
from core.errors import ConfigError
from core.operations import Operation
from core.planner import Wanted
from core.sources import Instrument, Listings, Recorded

QUOTES = {
    "spot": ("USD", "USDT", "USDC", "EUR", "BTC"),
    "futures": ("USDT", "USD", "USDC", "EUR", "BTC"),
    "index": ("USD",),
}
LARGEST_WALK_PAGES = 50


async def select(operation: Operation, listings: Listings, now: Callable[[], float]) -> list[Wanted]:
    """The series of `operation` in rank order.

    `now` is the vendor's time; it is read after the listings, whose answers tell it. Raises ConfigError
    when an instrument that was named does not exist on any of the markets.
    """
    if not operation.needs_listing:
        pairs = list(_named_pairs(operation))
        return [_wanted(operation, market, name, *operation.span(0)) for market, name in pairs]
    found = await _candidates(operation, listings)
    chosen = _named(operation, found) if operation.instrument else await _ranked(operation, listings, found)
    span = operation.span(int(now()))
    return [_from_listing(operation, instrument, *span) for instrument in chosen]


def markets(operation: Operation) -> tuple[str, ...]:
    return tuple(name.lower() for name in operation.market) or operation.dataset.markets


def _named_pairs(operation: Operation) -> Iterator[tuple[str, str]]:
    for market in markets(operation):
        for name in dict.fromkeys(operation.instrument):
            yield market, name


def _wanted(operation: Operation, market: str, name: str, start: int | None, end: int | None) -> Wanted:
    key = SeriesKey(operation.data_type, market, name, operation.interval)
    return Wanted(key, start, end)


def _from_listing(operation: Operation, instrument: Instrument, start: int | None, end: int | None) -> Wanted:
    key = SeriesKey(operation.data_type, instrument.market, instrument.name, operation.interval)
    recorded = instrument.recorded(operation.dataset.feature) or Recorded()
    last = None if instrument.is_active else recorded.last
    return Wanted(key, start, end, listed=recorded.first, last=last, is_dead=not instrument.is_active)


async def _candidates(operation: Operation, listings: Listings) -> list[Instrument]:
    found: list[Instrument] = []
    for market in markets(operation):
        listed = await listings.instruments(operation.dataset.kind, market)
        found += [instrument for instrument in listed if _is_wanted(operation, instrument)]
    return found


def _is_wanted(operation: Operation, instrument: Instrument) -> bool:
    if instrument.recorded(operation.dataset.feature) is None:
        return False
    if operation.instrument:
        return True
    if not instrument.is_active and not operation.include_inactive:
        return False
    if operation.dataset.kind != "futures":
        return True
    return instrument.perpetual == (operation.contract != "expiring")


def _named(operation: Operation, found: list[Instrument]) -> list[Instrument]:
    """The instruments that were named, by their mapped or their exchange's own id."""
    chosen: list[Instrument] = []
    for name in dict.fromkeys(operation.instrument):
        matches = [entry for entry in found if name in {entry.name, entry.exchange_symbol}]
        if not matches:
            where = ", ".join(markets(operation))
            raise ConfigError(f"--instrument {name}: no such {operation.dataset.kind} instrument on {where}")
        chosen += matches
    return chosen


async def _ranked(operation: Operation, listings: Listings, found: list[Instrument]) -> list[Instrument]:
    """At most `operation.count` instruments, walked in rounds over the ranked assets."""
    by_asset = _best_first(found, QUOTES[operation.dataset.kind])
    ranked: list[list[Instrument]] = []
    for page in range(1, LARGEST_WALK_PAGES + 1):
        top = await listings.top_assets(page)
        ranked += [by_asset[asset.symbol] for asset in top.assets if asset.symbol in by_asset]
        if top.is_last or len(ranked) >= operation.count:
            break
    rounds = (entry for turn in zip_longest(*ranked) for entry in turn if entry is not None)
    return [entry for entry, _ in zip(rounds, range(operation.count), strict=False)]


def _best_first(found: list[Instrument], quotes: tuple[str, ...]) -> dict[str, list[Instrument]]:
    by_asset: dict[str, list[Instrument]] = {}
    for instrument in sorted(found, key=_preference(quotes)):
        by_asset.setdefault(instrument.base, []).append(instrument)
    return by_asset


def _preference(quotes: tuple[str, ...]) -> Callable[[Instrument], tuple[int, int, str, str]]:
    rank = {quote: at for at, quote in enumerate(quotes)}

    def key(instrument: Instrument) -> tuple[int, int, str, str]:
        worst = len(rank)
        return rank.get(instrument.quote, worst), -instrument.trades, instrument.name, instrument.market

    return key
